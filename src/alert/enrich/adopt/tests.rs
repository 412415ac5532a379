//! What the Python service wrote, against what the hook writes of the same alert.

use ::bson::{Bson, Document as Tree, RawDocument, doc, oid::ObjectId};

use super::*;
use crate::alert::enrich::{RedactSettings, Settings};

fn enricher() -> Enricher {
    Enricher::new("default", &Settings::default(), &RedactSettings::default()).unwrap()
}

fn tree(bytes: &[u8]) -> Tree {
    Tree::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap()
}

fn adopted(old: &Tree) -> Option<Tree> {
    let bytes = old.to_vec().unwrap();
    let mut enricher = enricher();
    enricher.adopt(&bytes, 5).map(|new| tree(new.bson))
}

fn by_hook(text: &str) -> Tree {
    let receipt = Receipt {
        received_at: 1_748_872_043_000,
        source: Source::Hook,
        options: &[],
    };
    let mut enricher = enricher();
    tree(enricher.document(text.as_bytes(), &receipt).unwrap().bson)
}

/// What the Python service made of an alert.
fn by_python(text: &str) -> Tree {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let Bson::Document(mut old) = Bson::try_from(value).unwrap() else {
        panic!("no object");
    };
    let id = old.get("id").cloned();
    let agent = old.get_document("agent").ok();
    let agent = agent
        .and_then(|agent| agent.get_str("id").ok())
        .map(str::to_owned);
    if agent.is_none() {
        let mut agent = old.get_document("agent").cloned().unwrap_or_default();
        agent.insert("id", "unknown");
        old.insert("agent", agent);
    }
    old.insert("agent_id", agent.unwrap_or_else(|| "unknown".to_owned()));
    old.insert("_risk_score", "low");
    old.insert("_assessment_category", "configuration");
    old.insert("_processed_at", "2025-06-02T13:47:23.000000");
    let mut whole = doc! { "_id": id.unwrap_or_else(|| ObjectId::new().into()) };
    whole.extend(old);
    whole
}

const ALERTS: [&str; 3] = [
    include_str!("../../../../tests/fixtures/golden/sshd.json"),
    include_str!("../../../../tests/fixtures/golden/agentless.json"),
    include_str!("../../../../tests/fixtures/golden/other_languages.json"),
];

#[test]
fn the_identity_is_that_of_the_copies_that_the_hook_and_follow_bring() {
    for text in ALERTS {
        let (ours, new) = (by_hook(text), adopted(&by_python(text)).unwrap());
        assert_eq!(new.get("_id"), ours.get("_id"), "{new}");
        assert_eq!(new.get("_timestamp"), ours.get("_timestamp"));
        for (name, value) in ours.iter().filter(|(name, _)| !name.starts_with('_')) {
            assert_eq!(new.get(name), Some(value), "{name}");
        }
        assert_eq!(new.get_str("_source").unwrap(), "migrate");
        let processed = new.get_datetime("_processed_at").unwrap();
        assert_eq!(processed.timestamp_millis(), 1_748_872_043_000);
    }
}

#[test]
fn the_order_and_the_types_of_what_people_added_stay() {
    let mut old = by_python(ALERTS[0]);
    let case = ObjectId::new();
    old.insert("case", case);
    old.insert("closed", doc! { "by": "ana", "re": ::bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() } });
    old.insert("last", true);
    let new = adopted(&old).unwrap();
    assert_eq!(new.get_object_id("case").unwrap(), case);
    assert_eq!(new.get("closed"), old.get("closed"));
    assert!(new.get_bool("last").unwrap());
    assert!(!new.contains_key("_original"), "{new}");
}

#[test]
fn an_id_that_nothing_repeats_and_fields_of_our_names_are_kept() {
    let id = ObjectId::new();
    let old = doc! {
        "_id": id, "timestamp": "2025-06-02T21:47:23.199+0800", "rule": { "level": 5 },
        "_source": "elastic", "_risk_score": 7, "agent_id": "001",
    };
    let new = adopted(&old).unwrap();
    let original = new.get_document("_original").unwrap();
    assert_eq!(original.get_object_id("_id").unwrap(), id);
    assert_eq!(original.get_str("_source").unwrap(), "elastic");
    assert_eq!(original.get_i64("_risk_score").unwrap(), 7);
    assert_eq!(new.get_str("_risk_score").unwrap(), "medium");
    let processed = new.get_datetime("_processed_at").unwrap();
    assert_eq!(
        processed.timestamp_millis(),
        id.timestamp().timestamp_millis()
    );
}

#[test]
fn what_is_no_alert_is_left_alone() {
    assert_eq!(
        adopted(&doc! { "_id": 1, "note": "a config document" }),
        None
    );
}

#[test]
fn a_second_copy_adds_what_the_first_lacks_and_keeps_what_differs_beside_it() {
    let ours = by_hook(ALERTS[0]).to_vec().unwrap();
    let mut old = by_python(ALERTS[0]);
    let same = enricher()
        .adopt(&old.to_vec().unwrap(), 5)
        .unwrap()
        .bson
        .to_vec();
    assert_eq!(merged(&ours, &same), None);
    old.insert("status", "closed");
    old.insert("location", "changed by hand");
    let other = enricher()
        .adopt(&old.to_vec().unwrap(), 5)
        .unwrap()
        .bson
        .to_vec();
    let once = merged(&ours, &other).unwrap();
    let both = tree(&once);
    assert_eq!(both.get_str("status").unwrap(), "closed");
    assert_eq!(both.get_str("_source").unwrap(), "hook");
    let copies = both.get_array("_before_migration").unwrap();
    assert_eq!(
        copies[0].as_document().unwrap(),
        &doc! { "location": "changed by hand" }
    );
    assert_eq!(
        merged(&once, &other),
        None,
        "a run that was killed does it again"
    );
}
