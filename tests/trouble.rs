//! The README's table of what commands say when something is wrong: each line of it is one that the
//! program prints, and what it tells to do can be done.

use std::fs;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");
const SAMPLE: &str = include_str!("../packaging/config/custom-mongo.toml");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Words in it that are passed on: the system's, MongoDB's with its numbers, Wazuh's and its rights.
const OF_OTHERS: [&str; 7] = [
    "Permission denied",
    "Address already in use",
    "not authorized",
    "(13)",
    "(121)",
    "Invalid credentials",
    "agent:read",
];

/// What is said, and what to do.
fn rows() -> Vec<(&'static str, &'static str)> {
    let (_, table) = README.split_once("| The line says | Do |\n").unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let cells = |row: &'static str| row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
    rows.map(cells).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Our own words of a message, in their order.
fn words(message: &str) -> Vec<String> {
    let mut own = message.replace(" ID", " …");
    for others in OF_OTHERS {
        own = own.replace(others, "…");
    }
    let words = own.split('…').map(|words| words.trim_matches([' ', ':']));
    words
        .filter(|words| !words.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The program's text, each file on its own, without its tests; a literal over several lines is one.
fn sources(folder: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let mut parts = program.split("\\\n");
            let first = parts.next().unwrap().to_owned();
            all.push(parts.fold(first, |text, part| text + part.trim_start()));
        }
    }
}

/// Whether these words follow each other in one line of the text.
fn says(line: &str, words: &[String]) -> bool {
    let behind = |rest, word: &String| str::split_once(rest, word.as_str()).map(|(_, rest)| rest);
    words.iter().try_fold(line, behind).is_some()
}

#[test]
fn each_line_of_the_readmes_table_is_one_that_the_program_prints() {
    let mut all = Vec::new();
    sources(&Path::new(ROOT).join("src"), &mut all);
    let lines: Vec<&str> = all.iter().flat_map(|text| text.lines()).collect();
    let rows = rows();
    assert!(rows.len() > 20, "{rows:?}");
    for message in rows.iter().flat_map(|(says, _)| quoted(says)) {
        let words = words(message);
        let is_said = lines.iter().any(|line| says(line, &words));
        assert!(is_said, "nobody says `{message}`: {words:?}");
    }
}

#[test]
fn what_the_readmes_table_tells_to_do_can_be_done() {
    for (said, fix) in rows() {
        assert!(fix.len() > 8, "{said}: {fix}");
        for named in quoted(fix) {
            if named.starts_with("integrations/") {
                assert!(Path::new(ROOT).join(named).is_file(), "{named}");
            } else if let Some(words) = command(named) {
                assert_is_command(&words);
            } else if let Some((section, key)) = named.split_once('.') {
                let (_, settings) = SAMPLE.split_once(&format!("\n[{section}]\n")).unwrap();
                assert!(settings.contains(&format!("\n#: {key} = ")), "{named}");
            }
        }
    }
}

/// The words of one of our own commands, without what stands for something else.
fn command(text: &str) -> Option<Vec<&str>> {
    let own = text.strip_prefix("custom-mongo ").unwrap_or(text);
    let is_own = own.starts_with("check") || own.starts_with("spool ");
    let words = own.split(' ').filter(|word| !["ID", "…"].contains(word));
    is_own.then(|| words.collect())
}

#[track_caller]
fn assert_is_command(words: &[&str]) {
    let options = words.iter().filter(|word| word.starts_with("--"));
    let names = words.iter().filter(|word| !word.starts_with("--"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-mongo"));
    let output = command
        .env_clear()
        .args(names)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    for option in options {
        assert!(help.contains(option), "{words:?}: {help}");
    }
}
