//! Nesting: what the server takes is stored as it is, what it refuses keeps its text, and no depth
//! ends a process.

use crate::hostile::{assert_raw, defects, stored_or_dead};
use crate::json::Json;
use crate::lossless::assert_kept;
use crate::wazuh::{Wazuh, numbered, only};

#[test]
fn ninety_levels_are_nothing_special() {
    let wazuh = Wazuh::new("ninety");
    let alert = numbered(0).with("data", nested(88));
    wazuh.call(alert.to_string()).assert_yes();
    let document = only("ninety");
    assert_kept(&alert, &document);
    assert!(!document.contains_key("_defects"));
}

#[test]
fn five_hundred_levels_keep_their_text() {
    with_room(five_hundred_levels);
}

fn five_hundred_levels() {
    let wazuh = Wazuh::new("deep");
    let alert = numbered(0).with("data", nested(498)).to_string();
    wazuh.call(&alert).assert_yes();
    let document = only("deep");
    assert_raw(&document, alert.as_bytes());
    assert_eq!(defects(&document).len(), 1);
}

#[test]
fn a_hundred_thousand_levels_end_no_process() {
    with_room(a_hundred_thousand_levels);
}

fn a_hundred_thousand_levels() {
    let wazuh = Wazuh::new("abyss");
    let levels = 100_000;
    let objects = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let lists = format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    for alert in [objects, lists] {
        stored_or_dead(&wazuh, "abyss", alert.as_bytes());
    }
}

/// `levels` objects and lists in one another.
fn nested(levels: usize) -> Json {
    let wrap = |inner: Json, level: usize| match level % 2 {
        0 => Json::List(vec![inner]),
        _ => Json::Object(vec![("a".into(), inner)]),
    };
    (0..levels).fold(Json::Text("deep".into()), wrap)
}

/// The test's own reader of BSON recurses, and a test's thread has 2 MiB.
fn with_room(test: fn()) {
    let thread = std::thread::Builder::new()
        .stack_size(256 << 20)
        .spawn(test);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}
