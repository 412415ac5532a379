//! Every alert that Wazuh hands over is one document, whatever module it comes from and however
//! often it comes, and nothing in it is altered.

use std::collections::HashSet;

use mongodb::bson::Document;

use crate::json::Json;
use crate::lossless::assert_kept;
use crate::wazuh::{ALERTS, Wazuh, only, stored, text};

#[test]
fn each_alert_is_one_document_however_often_it_comes() {
    let wazuh = Wazuh::new("each_alert");
    let count = ALERTS.lines().count();
    call_all(&wazuh, ALERTS.lines());
    assert_eq!(ids("each_alert").len(), count);
    call_all(&wazuh, ALERTS.lines());
    assert_eq!(ids("each_alert").len(), count, "the second time");

    let elsewhere: Vec<String> = ALERTS.lines().map(on_another_node).collect();
    call_all(&wazuh, elsewhere.iter().map(String::as_str));
    assert_eq!(
        ids("each_alert").len(),
        2 * count,
        "from another node of the cluster"
    );
}

#[test]
fn a_document_is_what_wazuh_sent() {
    let wazuh = Wazuh::new("lossless");
    call_all(&wazuh, ALERTS.lines());
    let documents = stored("lossless");
    for alert in ALERTS.lines().map(Json::read) {
        assert_kept(&alert, twin(&documents, &alert));
    }
    assert_eq!(documents.len(), ALERTS.lines().count());
}

#[test]
fn what_an_analyst_added_is_not_overwritten() {
    use mongodb::bson::doc;
    let wazuh = Wazuh::new("analyst");
    let alert = ALERTS.lines().next().unwrap();
    wazuh.call(alert).assert_yes();
    let server = crate::mongod::shared();
    let note = doc! { "$set": { "note": "seen by Zoé", "rule.level": 1 } };
    crate::wazuh::alerts(server, "analyst")
        .update_one(doc! {}, note)
        .run()
        .unwrap();
    wazuh.call(alert).assert_yes();
    let document = only("analyst");
    assert_eq!(text(&document, "note"), "seen by Zoé");
    assert_eq!(
        document
            .get_document("rule")
            .unwrap()
            .get("level")
            .unwrap()
            .to_string(),
        "1"
    );
}

#[test]
fn the_identity_is_in_what_the_copy_and_the_log_line_share() {
    let wazuh = Wazuh::new("identity");
    let line = Json::read(ALERTS.lines().next().unwrap());
    wazuh.call(line.to_string()).assert_yes();
    // A block that is not JSON, placed before ours, cuts the hook's full_log; integratord prints
    // fields in an order of its own.
    let Json::Object(mut fields) = line.with("full_log", Json::Text("cut".into())) else {
        panic!("not an object");
    };
    fields.reverse();
    wazuh.call(Json::Object(fields).to_string()).assert_yes();
    assert_eq!(stored("identity").len(), 1);
}

#[test]
fn every_part_of_the_identity_tells_alerts_apart() {
    let wazuh = Wazuh::new("identity_parts");
    let alert = Json::read(ALERTS.lines().next().unwrap());
    let text = |text: &str| Json::Text(text.into());
    let agent = |id: &str| Json::Object(vec![("id".into(), text(id))]);
    let variants = [
        alert.clone(),
        alert.clone().with("id", text("1748872001.1338")),
        alert
            .clone()
            .with("timestamp", text("2025-06-02T21:01:07.038+0800")),
        alert.clone().with("location", text("/var/log/secure")),
        alert.clone().with("rule", agent("5711")),
        alert.clone().with("agent", agent("777")),
        alert.clone().with(
            "cluster",
            Json::read(r#"{"name":"other","node":"master-node"}"#),
        ),
    ];
    call_all(&wazuh, variants.iter().map(ToString::to_string));
    assert_eq!(ids("identity_parts").len(), variants.len());
}

fn call_all<S: AsRef<str>>(wazuh: &Wazuh, alerts: impl Iterator<Item = S>) {
    for alert in alerts {
        let outcome = wazuh.call(format!("{}\n", alert.as_ref()));
        assert_eq!(
            (outcome.status, outcome.output.as_str()),
            (0, ""),
            "{}",
            alert.as_ref()
        );
    }
}

fn on_another_node(line: &str) -> String {
    let cluster = Json::read(r#"{"name":"wazuh","node":"worker-7"}"#);
    Json::read(line).with("cluster", cluster).to_string()
}

fn ids(database: &str) -> HashSet<String> {
    stored(database)
        .iter()
        .map(|document| document.get_str("_id").unwrap().to_owned())
        .collect()
}

/// The document of an alert: by what only it has.
fn twin<'a>(documents: &'a [Document], alert: &Json) -> &'a Document {
    let own = |document: &&Document| match (alert.text("id"), alert.text("@timestamp")) {
        (Some(id), _) => document.get_str("id").ok() == Some(id),
        (None, Some(time)) => document.get_str("@timestamp").ok() == Some(time),
        (None, None) => document.get_str("timestamp").ok() == alert.text("timestamp"),
    };
    let mut found = documents.iter().filter(own);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no document for {alert}"));
    assert!(found.next().is_none(), "two documents for {alert}");
    first
}
