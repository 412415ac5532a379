//! How commands print. A reader that has gone away (EPIPE) is no failure.

use std::io::{self, Write};

use serde_json::Value;

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

/// Prints a line to stdout.
pub(super) fn line(text: &str) {
    ignore(writeln!(io::stdout(), "{}", text.trim_end()));
}

/// Prints JSON to stdout.
pub(super) fn json(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    line(&text);
}

/// Writes bytes to stdout as they are.
pub fn bytes(bytes: &[u8]) {
    ignore(io::stdout().write_all(bytes));
}

/// Prints a line to stderr.
///
/// Control characters, which only hostile input can have brought, are left out.
pub fn error_line(text: &str) {
    let line = text.chars().filter(|c| !c.is_control());
    let line: String = line.chain(['\n']).collect();
    // One write: nothing of another process can come between text and line end.
    ignore(io::stderr().write_all(line.as_bytes()));
}

fn ignore(written: io::Result<()>) {
    drop(written);
}
