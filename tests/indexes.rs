//! What a call does to a collection before its first document, and never to one that has some.

use mongodb::bson::{Document, doc};

use crate::mongod;
use crate::wazuh::{Wazuh, alerts, numbered, stored};

#[test]
fn indexes_are_made_on_an_empty_collection_only() {
    let fresh = Wazuh::new("indexed");
    fresh.call(numbered(0).to_string()).assert_yes();
    let made = indexes("indexed");
    assert!(made.len() > 1, "{made:?}");
    let expires = |index: &Document| {
        index
            .get_document("key")
            .is_ok_and(|key| key.contains_key("_expire_at"))
            && index
                .get("expireAfterSeconds")
                .is_some_and(|after| after.to_string() == "0")
    };
    assert!(made.iter().any(expires), "{made:?}");

    let foreign = doc! { "_id": "1748872001.1337", "inserted_by": "the Python service" };
    alerts(mongod::shared(), "filled")
        .insert_one(foreign)
        .run()
        .unwrap();
    Wazuh::new("filled")
        .call(numbered(0).to_string())
        .assert_yes();
    assert_eq!(
        indexes("filled").len(),
        1,
        "an index build on a large collection is no hook's affair"
    );
    assert_eq!(stored("filled").len(), 2);
}

#[test]
fn a_first_alert_by_way_of_the_spool_finds_indexes_too() {
    let wazuh = Wazuh::new("indexed_late");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    wazuh.call(numbered(0).to_string()).assert_yes();
    wazuh.drain();
    assert!(indexes("indexed_late").len() > 1);
}

fn indexes(database: &str) -> Vec<Document> {
    let answer = mongod::shared()
        .database(database)
        .run_command(doc! { "listIndexes": "alerts" })
        .run()
        .expect("indexes");
    let batch = answer
        .get_document("cursor")
        .and_then(|cursor| cursor.get_array("firstBatch"));
    batch
        .expect("a batch")
        .iter()
        .filter_map(|one| one.as_document().cloned())
        .collect()
}
