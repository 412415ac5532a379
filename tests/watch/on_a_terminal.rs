//! A terminal of its own: colours, counts, and nothing that an alert says as a command.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};

use super::alerts;
use crate::api_data::{insert, now};
use crate::mongod::{self, Mongod};
use crate::terminal::{INTERRUPT, Terminal, unpainted};
use crate::wazuh::Wazuh;

/// An alert by which somebody tries to take the terminal over.
fn hostile(id: &str) -> Document {
    let text = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31mred\u{9b}5mblink\u{90}\u{7f}\u{202e}fdp\r\nCRITICAL 日本";
    doc! {
        "_id": id, "_site": "default\u{1b}[1A", "_risk_score": "high\u{1b}[2K", "agent_id": "\u{1b}c",
        "_timestamp": mongodb::bson::DateTime::from_millis(now()),
        "agent": { "name": text }, "rule": { "id": text, "level": text, "description": text },
        "full_log": text,
    }
}

#[test]
fn what_an_alert_says_never_commands_the_terminal() {
    let name = "watch_hostile";
    let wazuh = Wazuh::new(name);
    let collection = mongod::shared()
        .database(name)
        .collection::<Document>("alerts");
    collection.insert_one(hostile("1")).run().unwrap();
    for format in ["text", "json"] {
        let arguments = format!("watch alerts --format {format}");
        let mut terminal = Terminal::start(&wazuh, "", &arguments, (400, 24));
        terminal.wait_for("owned");
        terminal.key(INTERRUPT);
        let (status, text) = terminal.end();
        assert_eq!(status, 0, "{text:?}");
        let (plain, sequences) = unpainted(&text);
        let own = [
            "0m", "1m", "2m", "36m", "32m", "33m", "1;31m", "1;97;41m", "J",
        ];
        assert!(
            sequences.iter().all(|one| own.contains(&one.as_str())),
            "{sequences:?}"
        );
        let strange = |c: char| c.is_control() && !matches!(c, '\r' | '\n');
        assert!(!plain.contains(strange), "{plain:?}");
        assert!(!plain.contains('\u{202e}'), "{plain:?}");
    }
}

#[test]
fn a_terminal_has_colours_counts_and_a_line_that_stays() {
    let name = "watch_terminal";
    let wazuh = Wazuh::new(name);
    let database = mongod::shared().database(name);
    let mut known = alerts(0, 1).remove(0);
    known.risk = "critical";
    known.site = "default";
    insert(&database, std::slice::from_ref(&known));
    let mut terminal = Terminal::start(&wazuh, "", "watch alerts", (100, 24));
    let text = terminal.wait_for("live");
    assert!(text.contains("\x1b[1;97;41mCRITICAL\x1b[0m"), "{text:?}");
    assert!(text.contains("last minute 0  in all 0"), "{text:?}");
    known.id = "new".to_owned();
    known.risk = "low";
    insert(&database, std::slice::from_ref(&known));
    terminal.wait_for("in all 1: 1 low");
    terminal.resize(40, 10);
    let before = terminal.text().len();
    // The line of 99 columns has become three.
    let narrow = terminal.wait_until("a line for 40 columns", |text| {
        text[before..].contains("\x1b[1A\x1b[J") || text[before..].contains("\x1b[2A\x1b[J")
    });
    let (plain, _) = unpainted(&narrow);
    let last = plain.rsplit('\r').next().unwrap();
    assert!(last.chars().count() < 40, "{last:?}");
    terminal.key(INTERRUPT);
    let (status, text) = terminal.end();
    assert_eq!(status, 0, "{text:?}");
    assert!(
        text.ends_with("\r\x1b[J"),
        "the line is left behind: {text:?}"
    );
}

#[test]
fn no_color_is_respected() {
    let wazuh = Wazuh::new("watch_plain");
    insert(&mongod::shared().database("watch_plain"), &alerts(0, 1));
    let mut terminal = Terminal::start(&wazuh, "NO_COLOR=1", "watch alerts", (100, 24));
    terminal.wait_for("live");
    terminal.key(INTERRUPT);
    let (status, text) = terminal.end();
    let (_, sequences) = unpainted(&text);
    assert!(sequences.iter().all(|one| one == "J"), "{sequences:?}");
    assert_eq!(status, 0);
    // A terminal that cannot move its cursor gets lines.
    let mut terminal = Terminal::start(&wazuh, "TERM=dumb", "watch alerts", (100, 24));
    let text = terminal.wait_for("00000000\r\n");
    assert!(!text.contains('\x1b') && text.contains('\t'), "{text:?}");
    terminal.key(INTERRUPT);
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn the_terminal_says_that_mongodb_is_away_and_ctrl_c_still_works() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "watch_frozen");
    let mut terminal = Terminal::start(&wazuh, "", "watch alerts", (120, 24));
    terminal.wait_for("live");
    server.stop();
    terminal.wait_for("waiting for it");
    server.start();
    let before = terminal.text().len();
    terminal.wait_until("live again", |text| text[before..].contains("live"));
    server.freeze();
    let begun = Instant::now();
    terminal.key(INTERRUPT);
    let (status, _) = terminal.end();
    server.thaw();
    assert_eq!(status, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}
