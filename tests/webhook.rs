//! `POST /wazuh-alert`: what is answered is true, in every shape of body.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use mongodb::bson::doc;
use serde_json::json;

use crate::http::Answer;
use crate::json::Json;
use crate::mongod::{self};
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered, only, stored, text};

pub(crate) const PATH: &str = "/wazuh-alert";
/// A machine that is busy with other tests may take longer than the usual two seconds.
const PATIENT: &str = "[delivery]\ndeadline = \"30 s\"\n";

/// A home whose alerts MongoDB has time for.
pub(crate) fn patient(database: &str) -> Wazuh {
    let wazuh = Wazuh::new(database);
    wazuh.settings(PATIENT);
    wazuh
}

#[test]
fn one_alert_is_answered_as_the_python_service_did() {
    let wazuh = patient("hook_one");
    let service = Service::start(&wazuh);
    let alert = numbered(1).to_string();
    for _ in 0..2 {
        let answer = post_with(&service, &["Content-Type: application/json"], &alert);
        assert_eq!(
            (answer.status, &*answer.text()),
            (200, r#"{"status":"success"}"#)
        );
        assert!(
            answer.header("content-type") == Some("application/json"),
            "{answer:?}"
        );
    }
    let document = only("hook_one");
    assert_eq!(text(&document, "_source"), "webhook");
    assert_eq!(text(&document, "id"), "1748872000.1");
    for empty in ["", "  \n", "{}", "{ }", "[]"] {
        let answer = post(&service, empty);
        let expected = r#"{"status":"error","message":"Empty payload"}"#;
        assert_eq!(answer.status, 400, "{empty}: {answer:?}");
        assert_eq!(
            answer.json(),
            serde_json::from_str::<serde_json::Value>(expected).unwrap()
        );
    }
}

#[test]
fn an_alert_without_an_id_is_stored_once_by_what_it_says() {
    let wazuh = patient("hook_without_id");
    let service = Service::start(&wazuh);
    for body in [r#"{"message":"x","n":1}"#, r#"{"message":"x","n":1}"#] {
        assert_eq!(post(&service, body).status, 200);
    }
    assert_eq!(text(&only("hook_without_id"), "message"), "x");
}

#[test]
fn what_is_no_alert_is_refused_with_the_reason_and_not_kept() {
    let wazuh = patient("hook_refused");
    let service = Service::start(&wazuh);
    for (body, reason) in [
        ("nonsense", "not JSON at byte 0"),
        ("{\"a\":", "cut off after 5 bytes"),
        ("5", "not an object"),
        ("[{}", "cut off"),
        ("{\"a\":1} x", "more text"),
    ] {
        let answer = post(&service, body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(message(&answer).contains(reason), "{body}: {answer:?}");
    }
    for header in [
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: text/html",
        "Content-Encoding: br",
    ] {
        let answer = post_with(&service, &[header], numbered(1).to_string());
        assert_eq!(answer.status, 415, "{header}: {answer:?}");
    }
    let answer = post_with(&service, &["Content-Encoding: gzip"], "not gzip");
    assert_eq!(answer.status, 400, "{answer:?}");
    let cut = gzip(numbered(1).to_string().as_bytes());
    let answer = post_with(&service, &["Content-Encoding: gzip"], &cut[..cut.len() - 9]);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(stored("hook_refused").is_empty());
    let dead = wazuh.json("spool dead list");
    assert_eq!(dead.as_array().map(Vec::len), Some(0), "{dead}");
}

#[test]
fn whatever_a_sender_calls_json_is_taken() {
    let wazuh = patient("hook_types");
    let service = Service::start(&wazuh);
    for (number, kind) in [
        "application/x-www-form-urlencoded",
        "text/plain; charset=utf-8",
        "application/vnd.wazuh+json",
        "application/octet-stream",
    ]
    .into_iter()
    .enumerate()
    {
        let header = format!("Content-Type: {kind}");
        let answer = post_with(&service, &[&header], numbered(number).to_string());
        assert_eq!(answer.status, 200, "{kind}: {answer:?}");
    }
    assert_eq!(stored("hook_types").len(), 4);
}

#[test]
fn of_many_each_has_its_own_answer_in_their_order() {
    let wazuh = patient("hook_many");
    let service = Service::start(&wazuh);
    let list = format!("[{}, 5, {}, {{}}]", numbered(1), numbered(1));
    let answer = post(&service, &list);
    assert_eq!(answer.status, 207, "{answer:?}");
    let statuses = |answer: &Answer| -> Vec<String> {
        let items = answer.json()["items"].as_array().expect("items").clone();
        let status = |item: &serde_json::Value| item["status"].as_str().unwrap().to_owned();
        items.iter().map(status).collect()
    };
    let mut found = statuses(&answer);
    assert_eq!(found.remove(1), "error");
    // An object without fields is none, in a list as alone.
    assert_eq!(found, ["stored", "already there", "error"]);

    let lines = (10..30).fold(String::new(), |all, number| {
        all + &numbered(number).to_string() + "\n"
    });
    let headers = [
        "Content-Type: application/x-ndjson",
        "Content-Encoding: gzip",
    ];
    let answer = post_with(&service, &headers, gzip(lines.as_bytes()));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(statuses(&answer), ["stored"; 20]);

    let bad = format!("{}\n{{\"cut\":\n{}\n", numbered(40), numbered(41));
    let answer = post(&service, &bad);
    assert_eq!(
        (answer.status, statuses(&answer)),
        (
            207,
            ["stored", "error", "stored"].map(String::from).to_vec()
        )
    );
    let answer = post(&service, "[1, 2]");
    assert_eq!((answer.status, statuses(&answer).len()), (400, 2));
    let too_many = format!("[{}]", vec!["{}"; 10_001].join(","));
    assert_eq!(post(&service, &too_many).status, 413);
    assert_eq!(stored("hook_many").len(), 23);
}

#[test]
fn a_notification_of_wazuh_5_gets_the_same_fields() {
    let wazuh = patient("hook_wazuh_5");
    let service = Service::start(&wazuh);
    let document = json!({
        "@timestamp": "2026-03-01T10:00:00.000Z",
        "wazuh": {"agent": {"id": "007"}, "rule": {"id": "5710", "level": "high"}},
        "event": {"original": "text"},
    });
    let body = json!({"documents": [document]}).to_string();
    assert_eq!(post(&service, &body).status, 200);
    let found = only("hook_wazuh_5");
    assert_eq!(text(&found, "agent_id"), "007");
    assert_eq!(text(&found, "_risk_score"), "high");
    let raw = found.get_document("wazuh").unwrap();
    assert_eq!(text(raw.get_document("rule").unwrap(), "level"), "high");
    assert_eq!(
        found.get_datetime("_timestamp").unwrap().timestamp_millis(),
        1_772_359_200_000
    );
}

#[test]
fn what_a_filter_takes_out_is_said_and_not_stored() {
    let wazuh = Wazuh::new("hook_filtered");
    wazuh.settings("[filter]\nlevel = 16\n");
    let service = Service::start(&wazuh);
    let answer = post(&service, numbered(1).to_string());
    assert_eq!(answer.status, 200);
    assert!(message(&answer).contains("not stored"), "{answer:?}");
    assert!(stored("hook_filtered").is_empty());
    assert_eq!(wazuh.pending(), 0);
}

#[test]
fn what_mongodb_refuses_for_good_is_a_dead_letter_and_said() {
    let database = mongod::shared().database("hook_rejected");
    let validator = doc! { "location": { "$ne": "bad" } };
    database
        .create_collection("alerts")
        .validator(validator)
        .run()
        .unwrap();
    let wazuh = patient("hook_rejected");
    let service = Service::start(&wazuh);
    let bad = numbered(1).with("location", Json::Text("bad".into()));
    let answer = post(&service, bad.to_string());
    assert_eq!(answer.status, 422, "{answer:?}");
    let dead = wazuh.json("spool dead list");
    let id = dead[0]["id"].as_str().expect("a dead letter").to_owned();
    assert!(message(&answer).contains(&id), "{answer:?}");
    let answer = post(&service, format!("{}\n{}\n", numbered(2), bad));
    assert_eq!(answer.status, 207, "{answer:?}");
    assert_eq!(answer.json()["items"][0]["status"], "stored");
    assert_eq!(stored("hook_rejected").len(), 1);
}

#[test]
fn what_became_of_them_is_counted() {
    let wazuh = Wazuh::new("hook_counted");
    wazuh.settings(&format!("{PATIENT}[filter]\nexclude_rule_id = \"1\"\n"));
    let service = Service::start(&wazuh);
    let unwanted = r#"{"id":"1.2","rule":{"id":"1"}}"#;
    let all = format!("[{0},{0},{unwanted},5]", numbered(1));
    assert_eq!(post(&service, &all).status, 207);
    let page = service.get("/metrics", &[]).text();
    for (name, value) in [
        ("received", 4),
        ("stored", 1),
        ("duplicates", 1),
        ("filtered", 1),
        ("invalid", 1),
        ("spooled", 0),
    ] {
        let line = format!("custom_mongo_alerts_{name}_total {value}\n");
        assert!(page.contains(&line), "{line} is not in {page}");
    }
    assert!(page.contains("custom_mongo_queue_bytes 0\n"), "{page}");
}

/// Posts a body over a connection of its own.
#[track_caller]
pub(crate) fn post(service: &Service, body: impl AsRef<[u8]>) -> Answer {
    service.post(PATH, &[], body.as_ref())
}

/// The same with these header lines.
#[track_caller]
fn post_with(service: &Service, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
    let headers: Vec<_> = headers
        .iter()
        .map(|header| header.split_once(": ").expect("a name and a value"))
        .collect();
    service.post(PATH, &headers, body.as_ref())
}

pub(crate) fn message(answer: &Answer) -> String {
    let answer = answer.json();
    answer["message"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Waits for what takes its time.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "not in time: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
