//! `--test` and `check`: what an administrator does before and after the first alert.

use std::fs;
use std::process::Output;

use mongodb::bson::{Bson, DateTime, Document};
use serde_json::Value;

use crate::mongod;
use crate::wazuh::{ALERTS, Wazuh, numbered, only, stored, text};

#[test]
fn a_file_is_replayed() {
    let wazuh = Wazuh::new("test_file");
    let file = wazuh.alert_file(numbered(0).to_string().as_bytes());
    let said = succeeded(&wazuh.run(&["--test", &file]));
    let document = only("test_file");
    assert_eq!(text(&document, "_source"), "test");
    assert!(said.contains(document.get_str("_id").unwrap()), "{said}");
    assert!(!document.contains_key("_expire_at"), "a real alert stays");
    succeeded(&wazuh.run(&["--test", &file]));
    assert_eq!(stored("test_file").len(), 1);
}

#[test]
fn the_replay_of_an_alert_is_the_same_document() {
    let wazuh = Wazuh::new("test_same");
    let alert = numbered(0).to_string();
    wazuh.call(&alert).assert_yes();
    let file = wazuh.alert_file(alert.as_bytes());
    succeeded(&wazuh.run(&["--test", &file]));
    assert_eq!(text(&only("test_same"), "_source"), "hook");
}

#[test]
fn stdin_and_many_lines_are_replayed() {
    let wazuh = Wazuh::new("test_stdin");
    succeeded(&wazuh.run_with_input(&["--test", "-"], numbered(0).to_string().as_bytes()));
    assert_eq!(stored("test_stdin").len(), 1);
    succeeded(&wazuh.run_with_input(&["--test", "-"], ALERTS.as_bytes()));
    assert_eq!(stored("test_stdin").len(), 1 + ALERTS.lines().count());
    let file = wazuh.alert_file(ALERTS.as_bytes());
    succeeded(&wazuh.run(&["--test", &file]));
    assert_eq!(stored("test_stdin").len(), 1 + ALERTS.lines().count());
}

#[test]
fn the_built_in_sample_expires_within_the_hour() {
    let wazuh = Wazuh::new("test_sample");
    let before = DateTime::now().timestamp_millis();
    succeeded(&wazuh.run(&["--test"]));
    let document = only("test_sample");
    assert_eq!(text(&document, "_source"), "test");
    let expires = document
        .get_datetime("_expire_at")
        .unwrap()
        .timestamp_millis()
        - before;
    assert!((3_590_000..=3_660_000).contains(&expires), "{expires} ms");
}

#[test]
fn a_dry_run_prints_the_exact_documents_and_stores_none() {
    let wazuh = Wazuh::new("dry_run");
    let file = wazuh.alert_file(ALERTS.as_bytes());
    let printed = succeeded(&wazuh.run(&["--test", &file, "--dry-run"]));
    assert_eq!(stored("dry_run").len(), 0);
    succeeded(&wazuh.run(&["--test", &file]));
    let documents = stored("dry_run");
    let printed = printed_documents(&printed);
    assert_eq!(printed.len(), ALERTS.lines().count());
    for mut shown in printed {
        let own = |one: &&Document| one.get_str("_id").ok() == shown["_id"].as_str();
        let document = documents
            .iter()
            .find(own)
            .unwrap_or_else(|| panic!("no {shown}"));
        let mut kept = relaxed(document);
        assert!(shown["_processed_at"]["$date"].is_string(), "{shown}");
        shown["_processed_at"] = Value::Null;
        kept["_processed_at"] = Value::Null;
        assert_eq!(shown, kept);
    }
}

#[test]
fn a_dry_run_needs_no_server() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "dry_alone");
    let said = succeeded(&wazuh.run(&["--test", "--dry-run"]));
    assert_eq!(printed_documents(&said).len(), 1);
    let output = wazuh.run_with_input(&["--test", "-", "--dry-run"], ALERTS.as_bytes());
    assert_eq!(
        printed_documents(&succeeded(&output)).len(),
        ALERTS.lines().count()
    );
    assert!(
        !wazuh.state().join("spool").exists(),
        "a dry run writes nothing"
    );
}

#[test]
fn a_test_of_what_is_no_alert_says_so() {
    let wazuh = Wazuh::new("test_bad");
    let status = |output: Output| output.status.code();
    assert_eq!(status(wazuh.run(&["--test", "/nonexistent.json"])), Some(6));
    assert_eq!(
        status(wazuh.run_with_input(&["--test", "-"], b"[1]")),
        Some(7)
    );
    assert_eq!(
        status(wazuh.run_with_input(&["--test", "-", "--dry-run"], b"")),
        Some(7)
    );
    assert_eq!(stored("test_bad").len(), 0);
}

#[test]
fn a_test_says_that_an_alert_was_only_spooled() {
    let dead = format!(
        "mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=300",
        mongod::free_port()
    );
    let wazuh = Wazuh::with_uri(&dead, "test_spooled");
    let file = wazuh.alert_file(numbered(0).to_string().as_bytes());
    let said = succeeded(&wazuh.run(&["--test", &file]));
    assert!(said.contains("spool"), "{said}");
    assert_eq!(wazuh.pending(), 1);
}

#[test]
fn check_passes_where_all_is_well() {
    let wazuh = Wazuh::new("check_good");
    let check = wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    assert!(check["checks"].as_array().unwrap().len() >= 3, "{check:#}");
    assert!(wazuh.run(&["check"]).status.success());
    let database = mongod::shared().database("check_good");
    let left = database.list_collection_names().run().unwrap();
    assert!(left.is_empty(), "a check leaves {left:?} behind");
}

#[test]
fn check_names_each_fault_with_its_fix() {
    let dead = format!(
        "mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=300",
        mongod::free_port()
    );
    let wazuh = Wazuh::with_uri(&dead, "check_bad");
    assert_faults(&wazuh);
    wazuh.raw_settings("[store]\ndatabse = \"x\"\n");
    assert_faults(&wazuh);
    fs::remove_file(wazuh.home.join("etc/custom-mongo.toml")).unwrap();
    assert_faults(&wazuh);
}

#[test]
fn check_of_the_settings_alone_needs_no_server() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "check_config");
    let check = wazuh.json("check --config-only");
    assert_eq!(check["ok"], true, "{check:#}");
}

fn assert_faults(wazuh: &Wazuh) {
    let output = wazuh.run(&["check", "--format", "json"]);
    assert!(matches!(output.status.code(), Some(1 | 78)), "{output:?}");
    let check: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(check["ok"], false, "{check:#}");
    let faults = check["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["ok"] == false);
    let mut count = 0;
    for fault in faults {
        let said = |name: &str| fault[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("name") && said("detail") && said("fix"), "{fault}");
        count += 1;
    }
    assert!(count > 0, "{check:#}");
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into()
}

/// The documents of a dry run, in relaxed extended JSON.
fn printed_documents(stdout: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(stdout).into_iter();
    values
        .map(|value| value.expect("only documents on stdout"))
        .collect()
}

/// A document in the same form, and through text as that is.
fn relaxed(document: &Document) -> Value {
    let text = Bson::from(document.clone())
        .into_relaxed_extjson()
        .to_string();
    serde_json::from_str(&text).expect("JSON")
}
