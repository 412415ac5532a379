//! Text from outside, made fit for a terminal and for a column of it. An attacker writes log lines,
//! and log lines stand in alerts: nothing of them may move the cursor, change a title or colours,
//! answer on the keyboard's behalf, or make text look like other text.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// Marks that may stand upon one character; more would grow over the lines around it.
const MARKS: usize = 2;
/// What is looked at of a text; nobody reads more in a line.
const LONGEST: usize = 4096;

/// The text in one line, with what is no visible character written out (`\x1b`).
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    let mut marks = 0;
    for c in text.chars().take(LONGEST) {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_hostile(c) => write_out(c, &mut out),
            c if c.width() == Some(0) => {
                marks += 1;
                if marks <= MARKS && !out.is_empty() {
                    out.push(c);
                }
                continue;
            }
            c => out.push(c),
        }
        marks = 0;
    }
    out
}

/// The text with its lines and tabs, with what is no visible character written out.
pub(crate) fn clean_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if is_hostile(c) => write_out(c, &mut out),
            c => out.push(c),
        }
    }
    out
}

/// JSON in which nothing can reach a terminal: the same document, with such characters as escapes.
/// They stand inside of its strings only, but for the ends of its lines.
pub(crate) fn clean_json(json: &str) -> String {
    let is_hostile = |c: char| c != '\n' && is_hostile(c);
    if !json.chars().any(is_hostile) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").ok();
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Controls (C0, DEL, C1), what turns the direction of text around, and other characters that are
/// there without being seen (Cf of Unicode, as far as it is in use; soft hyphen, joiners, tags).
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

fn write_out(c: char, out: &mut String) {
    let number = u32::from(c);
    if number < 0x100 {
        write!(out, "\\x{number:02x}").ok();
    } else {
        write!(out, "\\u{{{number:x}}}").ok();
    }
}

/// How many columns a clean text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A clean text in exactly so many columns: cut with `…`, or filled with blanks.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let taken = width(text);
    if taken <= columns {
        return format!("{text}{}", " ".repeat(columns - taken));
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > columns.saturating_sub(1) {
            break;
        }
        used += wide;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
        used += 1;
    }
    // A wide character may leave a column that it does not fit into.
    out.push_str(&" ".repeat(columns.saturating_sub(used)));
    out
}

/// How long ago something was, from milliseconds: `12 s`, `5 min`, `3 h`, `4 d`.
pub(crate) fn ago(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A size for people: `512 B`, `3.4 MiB`.
pub(crate) fn bytes(count: i64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = count.max(0);
    if value < 1024 {
        return format!("{value} B");
    }
    let mut shown = "";
    let mut tenths = 0;
    for unit in units {
        shown = unit;
        tenths = value * 10 / 1024 % 10;
        value /= 1024;
        if value < 1024 {
            break;
        }
    }
    format!("{value}.{tenths} {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_visible_characters_is_left() {
        assert_eq!(clean("a\x1b[31mb\x07"), "a\\x1b[31mb\\x07");
        assert_eq!(clean("\u{9b}2J \u{7f}"), "\\x9b2J \\x7f");
        assert_eq!(clean("two\nlines\tand\r"), "two lines and ");
        assert_eq!(clean("gp\u{202e}cod.exe"), "gp\\u{202e}cod.exe");
        assert_eq!(clean("pass\u{200b}word"), "pass\\u{200b}word");
        assert_eq!(clean("Zoé 日本"), "Zoé 日本");
    }

    #[test]
    fn lines_stay_lines() {
        let hostile = "a\tb\r\n\x1b]0;x\x07\u{9b}2J\u{202e}";
        assert_eq!(
            clean_lines(hostile),
            "a\tb\\x0d\n\\x1b]0;x\\x07\\x9b2J\\u{202e}"
        );
    }

    #[test]
    fn marks_do_not_pile_up() {
        let piled = format!("a{}", "\u{301}".repeat(50));
        assert_eq!(clean(&piled), "a\u{301}\u{301}");
    }

    #[test]
    fn json_stays_the_same_document() {
        let json = "{\"a\":\"x\u{9b}y\u{202e}\u{e0041}\"}";
        let cleaned = clean_json(json);
        assert_eq!(cleaned, "{\"a\":\"x\\u009by\\u202e\\udb40\\udc41\"}");
        let before: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&cleaned).unwrap(),
            before
        );
        let pretty = "{\n  \"a\": 1\n}";
        assert_eq!(clean_json(pretty), pretty);
    }

    #[test]
    fn a_column_has_its_width_in_any_script() {
        for text in [
            "",
            "short",
            "日本語日本語日本語",
            "a much longer text",
            "e\u{301}tat",
        ] {
            for columns in 1..20 {
                assert_eq!(width(&fit(text, columns)), columns, "{text} in {columns}");
            }
        }
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日… ");
    }

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3_758_096_384), "3.5 GiB");
        assert_eq!(ago(119_000), "119 s");
        assert_eq!(ago(7_199_000), "119 min");
        assert_eq!(ago(172_800_000), "2 d");
    }
}
