//! How commands print. A reader that has gone away (EPIPE) is no failure.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::screen;

/// How a command prints its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
    /// For cron: only what went wrong.
    Quiet,
}

/// Prints a line, or several, to stdout. What other people wrote may stand in it: nothing of that
/// reaches a terminal but characters that can be seen.
pub(super) fn line(text: &str) {
    painted(&screen::clean_lines(text));
}

/// As `line`, for a text that is clean already, and coloured.
pub(super) fn painted(text: &str) {
    ignore(writeln!(io::stdout(), "{}", text.trim_end()));
}

/// Prints JSON to stdout.
pub(super) fn json(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    painted(&screen::clean_json(&text));
}

/// Writes bytes to stdout as they are, or to a terminal what can be seen of them.
pub(super) fn raw(bytes: &[u8]) {
    if io::stdout().is_terminal() {
        line(&String::from_utf8_lossy(bytes));
    } else {
        self::bytes(bytes);
    }
}

/// Writes our own bytes to stdout.
pub fn bytes(bytes: &[u8]) {
    ignore(io::stdout().write_all(bytes));
}

/// Prints a line to stderr.
///
/// Control characters and others that cannot be seen, which only hostile input can have brought, are
/// left out.
pub fn error_line(text: &str) {
    let line = text.chars().filter(|c| !screen::is_hostile(*c));
    let line: String = line.chain(['\n']).collect();
    // One write: nothing of another process can come between text and line end.
    ignore(io::stderr().write_all(line.as_bytes()));
}

fn ignore(written: io::Result<()>) {
    drop(written);
}
