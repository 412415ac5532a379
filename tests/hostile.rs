//! Files that no sane manager writes: a status, at most one line, and the text is not lost.

use mongodb::bson::{Bson, Document};

use crate::json::Json;
use crate::lossless::assert_kept;
use crate::wazuh::{ALERTS, Wazuh, numbered, only, stored};

#[test]
fn what_is_no_object_is_7_and_a_dead_letter() {
    let wazuh = Wazuh::new("no_object");
    let cut = &ALERTS.as_bytes()[..400];
    let deep = "[".repeat(1_000_000);
    let texts: [&[u8]; 8] = [
        cut,
        b"[1,2]",
        b"\"text\"",
        deep.as_bytes(),
        b"{",
        b"\0\0",
        b"{} {}",
        b"17",
    ];
    for (count, text) in texts.iter().enumerate() {
        wazuh.call(text).assert_no(7, &wazuh);
        let dead = wazuh.json("spool dead list");
        assert_eq!(dead.as_array().unwrap().len(), count + 1, "{dead}");
    }
    assert_eq!(stored("no_object").len(), 0);
    assert_eq!(wazuh.pending(), 0);
    let kept = dead_letters(&wazuh);
    for text in texts {
        assert!(
            kept.iter().any(|raw| raw == text),
            "{}",
            String::from_utf8_lossy(&text[..8.min(text.len())])
        );
    }
}

#[test]
fn more_than_a_document_can_hold_is_a_dead_letter() {
    let wazuh = Wazuh::new("large");
    let mebibytes = |count: usize| Json::Text("x".repeat(count << 20));
    let large = numbered(1).with("full_log", mebibytes(8));
    wazuh.call(large.to_string()).assert_yes();
    assert_kept(&large, &only("large"));
    let larger = numbered(2).with("full_log", mebibytes(17)).to_string();
    wazuh.call(&larger).assert_no(1, &wazuh);
    assert_eq!(dead_letters(&wazuh), [larger.as_bytes()]);
    assert_eq!(wazuh.pending(), 0);
}

#[test]
fn numbers_of_every_size_are_kept() {
    let wazuh = Wazuh::new("numbers");
    let alert = ALERTS
        .lines()
        .find(|line| line.contains("18446744073709551615"))
        .unwrap();
    wazuh.call(alert).assert_yes();
    let document = only("numbers");
    let data = document.get_document("data").unwrap();
    assert_kept(&Json::read(alert), &document);
    assert_eq!(
        data.get("uint64").unwrap().to_string(),
        "18446744073709551615"
    );
    assert_eq!(data.get("int64"), Some(&Bson::Int64(i64::MAX)));
    assert_eq!(data.get("tenth"), Some(&Bson::Double(0.1)));
    let absurd = numbered(1).with("n", Json::Number(format!("{}e99999", "9".repeat(50))));
    wazuh.call(absurd.to_string()).assert_yes();
    let documents = stored("numbers");
    assert_kept(
        &absurd,
        documents.iter().find(|one| one.contains_key("n")).unwrap(),
    );
}

#[test]
fn nul_in_values_is_kept_and_in_keys_is_named() {
    let wazuh = Wazuh::new("nul");
    let value = numbered(0).with("data", Json::Text("a\0b".into()));
    wazuh.call(value.to_string()).assert_yes();
    assert_kept(&value, &only("nul"));
    let key = numbered(1)
        .with("k\0ey", Json::Text("v".into()))
        .to_string();
    wazuh.call(&key).assert_yes();
    let documents = stored("nul");
    let odd = documents
        .iter()
        .find(|one| one.contains_key("_defects"))
        .unwrap();
    assert_raw(odd, key.as_bytes());
}

#[test]
fn keys_that_mean_something_to_a_database_are_kept() {
    let wazuh = Wazuh::new("keys");
    let odd = r#"{"$where":"1==1","$set":{"$inc":{"a.b":1}},"a.b":2,"a":{"b":3},"":4,".":5,"$":6}"#;
    let Json::Object(fields) = Json::read(odd) else {
        panic!("not an object")
    };
    let alert = fields
        .into_iter()
        .fold(numbered(0), |alert, (name, value)| alert.with(&name, value));
    let alert = alert.with("data", Json::read(odd));
    wazuh.call(alert.to_string()).assert_yes();
    let document = only("keys");
    assert_kept(&alert, &document);
    assert!(!document.contains_key("_defects"), "{document}");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let wazuh = Wazuh::new("bom");
    let alert = numbered(0);
    wazuh.call(format!("\u{feff}{alert}")).assert_yes();
    assert_kept(&alert, &only("bom"));
}

#[test]
fn a_repeated_key_keeps_the_text() {
    let wazuh = Wazuh::new("repeated");
    let alert =
        r#"{"id":"1748872000.1","rule":{"level":3},"data":{"a":1,"b":2,"a":3},"rule":{"level":9}}"#;
    wazuh.call(alert).assert_yes();
    let document = only("repeated");
    assert_raw(&document, alert.as_bytes());
    assert!(
        defects(&document).iter().any(|path| path == "data.a"),
        "{document}"
    );
}

#[test]
fn bytes_that_are_no_text_are_kept_raw() {
    let wazuh = Wazuh::new("bytes");
    let alert = b"{\"id\":\"1748872000.2\",\"full_log\":\"caf\xe9 \xf0\x28\x8c\x28\",\"data\":{\"x\":\"ok\"}}";
    wazuh.call(alert).assert_yes();
    let document = only("bytes");
    assert_raw(&document, alert);
    assert!(
        document
            .get_str("full_log")
            .unwrap()
            .starts_with("caf\u{fffd}")
    );
    assert_eq!(defects(&document), ["full_log"]);
}

#[test]
fn half_a_surrogate_pair_is_named() {
    let wazuh = Wazuh::new("surrogate");
    let alert = r#"{"id":"1748872000.3","data":"\ud83d alone"}"#;
    wazuh.call(alert).assert_yes();
    assert_raw(&only("surrogate"), alert.as_bytes());
}

#[test]
fn any_type_in_any_field() {
    let wazuh = Wazuh::new("types");
    let mut count = 0;
    for name in [
        "timestamp",
        "rule",
        "agent",
        "manager",
        "cluster",
        "id",
        "location",
        "data",
    ] {
        for value in [
            "null",
            "true",
            "-1.5",
            "\"\"",
            "[]",
            "[[{}]]",
            "{}",
            "{\"id\":{\"id\":[]}}",
        ] {
            let alert = numbered(count).with(name, Json::read(value));
            let alert = alert.with("number", Json::Number(count.to_string()));
            wazuh.call(alert.to_string()).assert_yes();
            count += 1;
        }
    }
    // Where the id itself is none, the whole content tells them apart.
    let mut numbers: Vec<_> = stored("types")
        .iter()
        .map(|one| one.get("number").unwrap().to_string())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
}

/// Exit 0 and a document with the text, or exit 1 and a dead letter with it.
pub(crate) fn stored_or_dead(wazuh: &Wazuh, database: &str, alert: &[u8]) {
    let outcome = wazuh.call(alert);
    if outcome.status == 0 {
        outcome.assert_yes();
        let kept = |document: &Document| raw(document).is_some_and(|raw| raw == alert);
        assert!(stored(database).iter().any(kept), "stored without its text");
    } else {
        outcome.assert_no(1, wazuh);
        assert!(
            dead_letters(wazuh).iter().any(|raw| raw == alert),
            "{outcome:?}"
        );
    }
}

/// The raw bytes of all dead letters.
fn dead_letters(wazuh: &Wazuh) -> Vec<Vec<u8>> {
    let list = wazuh.json("spool dead list");
    let show = |id: &str| wazuh.run(&["spool", "dead", "show", id]).stdout;
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| show(one["id"].as_str().unwrap()))
        .collect()
}

/// The paths of what is odd.
pub(crate) fn defects(document: &Document) -> Vec<String> {
    let all = document.get_array("_defects").expect("defects are named");
    let path = |one: &Bson| {
        let one = one.as_document().expect("a defect");
        assert!(!one.get_str("what").expect("what is odd").is_empty());
        one.get_str("path").expect("a path").to_owned()
    };
    all.iter().map(path).collect()
}

fn raw(document: &Document) -> Option<&[u8]> {
    match document.get("_raw")? {
        Bson::String(text) => Some(text.as_bytes()),
        Bson::Binary(binary) => Some(&binary.bytes),
        _ => None,
    }
}

/// Defects are named, and the text is there.
pub(crate) fn assert_raw(document: &Document, text: &[u8]) {
    assert!(!defects(document).is_empty(), "{document}");
    let kept = raw(document).expect("the original text");
    assert!(
        kept == text,
        "{} became {}",
        String::from_utf8_lossy(text),
        String::from_utf8_lossy(kept)
    );
}
