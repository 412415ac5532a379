//! `follow`: every line of alerts.json is one document, whatever dies, rotates or stays away.

use std::path::PathBuf;

use mongodb::bson::doc;
use serde_json::Value;

use crate::background::eventually_equal;
use crate::mongod;
use crate::wazuh::{Wazuh, alerts};

mod away;
mod killed;
mod lines;
mod places;
mod settings;

/// How many documents a database on the shared server has.
fn count(database: &str) -> u64 {
    let alerts = alerts(mongod::shared(), database);
    alerts.count_documents(doc! {}).run().expect("a count")
}

/// Waits until a database on the shared server has so many documents.
#[track_caller]
fn wait_for(wanted: u64, database: &str) {
    eventually_equal(wanted, || count(database));
}

/// The dead letters.
fn dead(wazuh: &Wazuh) -> Vec<Value> {
    let list = wazuh.json("spool dead list");
    list.as_array().expect("a list").clone()
}

/// The checkpoint of the only file that is followed.
fn checkpoint(wazuh: &Wazuh) -> PathBuf {
    let folders = std::fs::read_dir(wazuh.state().join("follow")).expect("a folder");
    let files = folders.flat_map(|folder| {
        let files = std::fs::read_dir(folder.expect("a folder").path());
        files
            .expect("a folder")
            .map(|file| file.expect("a file").path())
    });
    let mut found: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|kind| kind == "json"))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}
