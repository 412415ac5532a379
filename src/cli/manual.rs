//! The manual in the pages' own language (man(7)), from the command line's definition: one page for
//! the program and one for each command. A library for this (`clap_mangen`) adds 95 kB to the binary.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const FILES: &str = "\
/var/ossec/integrations/custom-mongo|The program, where wazuh-integratord finds it.
/var/ossec/etc/custom-mongo.toml|The settings; also /etc/custom-mongo/custom-mongo.toml. The annotated sample names every one.
/var/ossec/var/db/custom-mongo|What waits for MongoDB, dead letters, checkpoints.
/var/ossec/logs/integrations.log|What the program said when Wazuh called it.";

const STATUS: &str = "\
0|Stored, safely spooled, or done.
1|Failed: a dead letter, a full spool; check, status: something is wrong.
2|Wrong usage.
3|collect, backfill: finished, but some parts are missing.
6|There is no alert file.
7|The file holds no alert.
78|The settings are wrong; the alert is in the spool.";

const ENVIRONMENT: &str = "\
CUSTOM_MONGO_CONFIG|The settings file, in place of the usual ones.
CUSTOM_MONGO_STATE_DIR|The folder for spool, checkpoints and locks.
CUSTOM_MONGO_SECTION__KEY|Any setting, as in CUSTOM_MONGO_STORE__URI; counts before the file.
MONGO_URI, MONGO_DB, WAZUH_API_URL, WAZUH_USER, WAZUH_PASS|The same under the names of the Python service.
NO_COLOR|If set, nothing is coloured (https://no-color.org).
RUST_LOG|What is logged, in place of -v and -q.";

/// The page of the program.
pub fn page() -> String {
    let mut command = Cli::command();
    command.build();
    let mut out = page_of(&command, "custom-mongo");
    for (title, list) in [
        ("EXIT STATUS", STATUS),
        ("FILES", FILES),
        ("ENVIRONMENT", ENVIRONMENT),
    ] {
        section(&mut out, title);
        for (name, text) in list.lines().filter_map(|line| line.split_once('|')) {
            item(&mut out, name, text);
        }
    }
    out
}

/// Writes every page into a folder: `custom-mongo.1`, `custom-mongo-watch-alerts.1` and so on. Gives
/// how many.
///
/// # Errors
///
/// The system's.
pub fn write_pages(folder: &Path) -> io::Result<usize> {
    let mut command = Cli::command();
    command.build();
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("custom-mongo.1"), page())?;
    write_below(&command, "custom-mongo", folder).map(|count| count + 1)
}

fn write_below(command: &Command, name: &str, folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for inner in shown(command) {
        let name = format!("{name}-{}", inner.get_name());
        std::fs::write(folder.join(format!("{name}.1")), page_of(inner, &name))?;
        count += 1 + write_below(inner, &name, folder)?;
    }
    Ok(count)
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let own = |inner: &&Command| !inner.is_hide_set() && inner.get_name() != "help";
    command.get_subcommands().filter(own)
}

fn page_of(command: &Command, name: &str) -> String {
    let about = command.get_about().map(ToString::to_string);
    let version = env!("CARGO_PKG_VERSION");
    let title = name.to_uppercase();
    // Without a date, so that the same program gives the same bytes.
    let mut out = format!(
        ".TH \"{}\" \"1\" \"\" \"custom-mongo {version}\" \"custom-mongo\"\n",
        escaped(&title)
    );
    section(&mut out, "NAME");
    let about = about.unwrap_or_default();
    let about = about.trim_end_matches('.');
    push(
        &mut out,
        &format!("{} \\- {}", escaped(name), escaped(about)),
    );
    section(&mut out, "SYNOPSIS");
    synopsis(&mut out, command);
    section(&mut out, "DESCRIPTION");
    let long = command.get_long_about().or(command.get_about());
    paragraphs(&mut out, &long.map(ToString::to_string).unwrap_or_default());
    options(&mut out, command);
    commands(&mut out, command, name);
    examples(&mut out, command);
    out
}

fn synopsis(out: &mut String, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    out.push_str(".nf\n");
    for line in usage.trim_start_matches("Usage:").lines() {
        push(out, &escaped(line.trim()));
    }
    out.push_str(".fi\n");
}

fn paragraphs(out: &mut String, text: &str) {
    for line in text.lines() {
        if line.trim().is_empty() {
            out.push_str(".PP\n");
        } else {
            push(out, &escaped(line));
        }
    }
}

fn options(out: &mut String, command: &Command) {
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .collect();
    if shown.is_empty() {
        return;
    }
    section(out, "OPTIONS");
    for argument in shown {
        let help = argument.get_help().map(ToString::to_string);
        let mut text = help.unwrap_or_default();
        let values: Vec<_> = argument
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect();
        if !values.is_empty() && argument.get_action().takes_values() {
            write!(text, " [{}]", values.join(", ")).ok();
        }
        item(out, &option(argument), &text);
    }
}

/// `-v, --verbose`, `--config FILE`, `[PATHS]...`.
fn option(argument: &Arg) -> String {
    if argument.is_positional() {
        return argument.to_string();
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let values = argument.get_value_names().unwrap_or_default();
    let mut out = flags.join(", ");
    if argument.get_action().takes_values() {
        for name in values {
            write!(out, " {name}").ok();
        }
    }
    out
}

fn commands(out: &mut String, command: &Command, name: &str) {
    if shown(command).next().is_none() {
        return;
    }
    section(out, "COMMANDS");
    for inner in shown(command) {
        let about = inner.get_about().map(ToString::to_string);
        let page = format!("{name}-{}(1)", inner.get_name());
        item(out, &page, &about.unwrap_or_default());
    }
}

fn examples(out: &mut String, command: &Command) {
    let Some(examples) = command.get_after_help() else {
        return;
    };
    section(out, "EXAMPLES");
    out.push_str(".nf\n");
    let text = examples.to_string();
    for line in text.lines().filter(|line| line.starts_with("  ")) {
        push(out, &escaped(line.trim()));
    }
    out.push_str(".fi\n");
}

fn section(out: &mut String, title: &str) {
    push(out, &format!(".SH \"{title}\""));
}

fn item(out: &mut String, name: &str, text: &str) {
    push(out, &format!(".TP\n\\fB{}\\fR", escaped(name)));
    push(out, &escaped(text));
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// Text that is nothing but text: no request at the start of a line, no escape, and a hyphen that can
/// be copied as one.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    if text.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\n' => out.push(' '),
            c if c.is_ascii() => out.push(c),
            // Whatever the terminal's own letters are, groff knows what is meant.
            c => {
                write!(out, "\\[u{:04X}]", u32::from(c)).ok();
            }
        }
    }
    out
}
