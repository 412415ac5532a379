//! What the program says of itself: completions that complete, pages that `man` shows.

use std::fs;
use std::process::{Command, Output};

use crate::scratch;
use crate::wazuh::Wazuh;

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What bash offers behind these words; the last one is being typed.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let words = quoted.join(" ");
    let ask = format!(
        "source {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         complete -p custom-mongo >&2; \
         function=$(complete -p custom-mongo | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); \
         $function custom-mongo \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("-o default"),
        "no files where no word fits: {said}"
    );
    text(&output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    let wazuh = Wazuh::new("explained_bash");
    let folder = scratch::fresh("completions");
    let script = folder.join("bash");
    fs::write(&script, text(&wazuh.run(&["completions", "bash"]))).unwrap();
    let script = script.to_str().unwrap();
    assert_eq!(offered(script, &["custom-mongo", "wat"]), ["watch"]);
    assert_eq!(
        offered(script, &["custom-mongo", "watch", "al"]),
        ["alerts"]
    );
    assert_eq!(
        offered(script, &["custom-mongo", "watch", "alerts", "--lev"]),
        ["--level-min"]
    );
    assert_eq!(
        offered(script, &["custom-mongo", "watch", "alerts", "--risk", "cr"]),
        ["critical"]
    );
    assert_eq!(
        offered(script, &["custom-mongo", "spool", "dead", "ret"]),
        ["retry"]
    );
    fs::write(folder.join("some-alert.json"), "{}").unwrap();
    let begun = folder.join("some-a");
    let begun = begun.to_str().unwrap();
    for words in [
        &["custom-mongo", "--config", begun][..],
        &["custom-mongo", "--test", begun],
    ] {
        assert_eq!(
            offered(script, words),
            [format!("{begun}lert.json")],
            "{words:?}"
        );
    }
}

#[test]
fn each_shell_has_its_script_with_every_command_in_it() {
    let wazuh = Wazuh::new("explained_shells");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&wazuh.run(&["completions", shell]));
        for word in ["watch", "alerts", "level-min", "completions", "backfill"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    let output = wazuh.run(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn what_the_program_says_of_itself_needs_no_settings() {
    let wazuh = Wazuh::new("explained_alone");
    wazuh.raw_settings("[nonsense");
    assert!(text(&wazuh.run(&["man"])).starts_with(".TH \"CUSTOM\\-MONGO\" \"1\""));
    text(&wazuh.run(&["completions", "fish"]));
}

#[test]
fn every_page_is_right_and_says_what_the_help_says() {
    let wazuh = Wazuh::new("explained_man");
    let folder = scratch::fresh("man");
    let output = wazuh.run(&["man", "--dir", folder.to_str().unwrap()]);
    let said = text(&output);
    let pages: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|page| page.unwrap().path())
        .collect();
    assert!(pages.len() > 20, "{pages:?}");
    assert!(
        said.starts_with(&format!("{} pages", pages.len())),
        "{said}"
    );
    for page in &pages {
        let shown = shown(page.to_str().unwrap());
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
            assert!(
                shown.contains(section),
                "no {section} in {}",
                page.display()
            );
        }
    }
    let watch = shown(folder.join("custom-mongo-watch-alerts.1").to_str().unwrap());
    assert!(watch.contains("--level-min LEVEL"), "{watch}");
    assert!(
        watch.contains("custom-mongo watch alerts --level-min 10"),
        "{watch}"
    );
    assert!(watch.contains("[critical, high, medium, low]"), "{watch}");
    let whole = shown(folder.join("custom-mongo.1").to_str().unwrap());
    for section in ["EXIT STATUS", "FILES", "ENVIRONMENT", "COMMANDS"] {
        assert!(whole.contains(section), "{whole}");
    }
    assert!(whole.contains("custom-mongo-watch(1)"), "{whole}");
    assert_eq!(
        fs::read(folder.join("custom-mongo.1")).unwrap(),
        wazuh.run(&["man"]).stdout
    );
}

/// The page as groff shows it; a warning of its macros is a fault. Where there is no groff, the
/// page's own text.
fn shown(page: &str) -> String {
    let groff = Command::new("groff")
        .args(["-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=100n", page])
        .output();
    match groff {
        Ok(output) => {
            assert!(output.stderr.is_empty(), "{page}: {output:?}");
            text(&output)
        }
        Err(_) => fs::read_to_string(page).unwrap().replace("\\-", "-"),
    }
}
