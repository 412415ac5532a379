//! The map in the README, as a test: a room uses only rooms below its own line, and an outside
//! crate has one door.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down; rooms on one line do not name each other.
const LINES: [&[&str]; 11] = [
    &["main"],
    &["cli"],
    &["commands"],
    &["config"],
    &["serve"],
    &["delivery", "collect"],
    &[
        "alerts_log",
        "filter",
        "relay",
        "spool",
        "store",
        "wazuh_api",
    ],
    &["inventory"],
    &["alert", "ossec_conf"],
    &["certificate", "secret"],
    &["home", "setting"],
];

/// Crates that one room alone may name.
const DOORS: [(&str, &[&str]); 27] = [
    ("mongodb", &["store"]),
    ("bson", &["store"]),
    ("tokio", &["serve", "store"]),
    ("axum", &["serve"]),
    ("hyper", &["serve"]),
    ("hyper_util", &["serve"]),
    ("tower_http", &["serve"]),
    ("form_urlencoded", &["serve"]),
    ("futures_util", &["serve", "store"]),
    ("tokio_rustls", &["serve"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("indicatif", &["commands"]),
    ("terminal_size", &["commands"]),
    ("unicode_width", &["commands"]),
    ("rustix", &["commands", "home"]),
    ("env_logger", &["main"]),
    ("toml", &["config"]),
    ("directories", &["home"]),
    ("crc32fast", &["spool"]),
    ("flate2", &["alerts_log", "serve"]),
    ("memchr", &["alerts_log"]),
    ("regex_lite", &["alert"]),
    ("ureq", &["wazuh_api"]),
    ("rustls", &["certificate", "wazuh_api"]),
    ("webpki_roots", &["certificate", "wazuh_api"]),
    ("base64", &["store", "wazuh_api"]),
];

/// The source of each room without its tests.
fn rooms() -> BTreeMap<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut rooms = BTreeMap::new();
    for file in files(&source) {
        let inside = file.strip_prefix(&source).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap();
        let room = room.trim_end_matches(".rs").to_owned();
        if inside.components().any(|part| part.as_os_str() == "tests")
            || inside.ends_with("tests.rs")
        {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let product = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        rooms
            .entry(room)
            .or_insert_with(String::new)
            .push_str(product);
    }
    rooms
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code without comments: prose may name what it likes.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap())
}

fn line_of(room: &str) -> usize {
    let line = LINES.iter().position(|line| line.contains(&room));
    line.unwrap_or_else(|| panic!("src/{room} is not in LINES: give it a place on the map"))
}

/// Names behind `crate::`, also in `crate::{a, b}`.
fn named(line: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(|item| name(item.trim())).collect(),
            None => vec![name(rest)],
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn a_room_uses_only_rooms_below_it() {
    let rooms = rooms();
    assert!(rooms.len() >= 9, "{:?}", rooms.keys());
    for (room, text) in &rooms {
        for line in code(text) {
            for other in named(line).iter().filter(|other| *other != room) {
                assert!(
                    line_of(other) > line_of(room),
                    "src/{room} names {other}, which is not below it: {line}"
                );
            }
        }
    }
}

#[test]
fn an_outside_crate_has_one_door() {
    for (room, text) in rooms() {
        for line in code(&text) {
            for (name, doors) in DOORS {
                // `alert` has a module `bson` of its own, which is never named from the root.
                let own = room == "alert" && name == "bson";
                let path = format!("{name}::");
                let inside = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                let mut found = line.match_indices(&path);
                let uses = found.any(|(at, _)| !line[..at].ends_with(inside));
                assert!(
                    own || !uses || doors.contains(&room.as_str()),
                    "src/{room} names {name}, whose door is {doors:?}: {line}"
                );
            }
        }
    }
}
