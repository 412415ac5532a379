//! `POST /wazuh-alert`: what is answered is true, in every shape of body and in every trouble.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use mongodb::bson::doc;
use serde_json::json;

use crate::http::{self, Answer};
use crate::json::Json;
use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::{Wazuh, alerts, numbered, only, stored, stored_on, text};

const PATH: &str = "/wazuh-alert";
/// A machine that is busy with other tests may take longer than the usual two seconds.
const PATIENT: &str = "[delivery]\ndeadline = \"30 s\"\n";

/// A home whose alerts MongoDB has time for.
fn patient(database: &str) -> Wazuh {
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
    // An object without fields is one of some kind, in a list.
    assert_eq!(found, ["stored", "already there", "stored"]);

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
    assert_eq!(stored("hook_many").len(), 24);
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
fn while_mongodb_is_away_alerts_go_to_disk_and_then_into_mongodb_once() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "hook_away");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    server.stop();
    let begun = Instant::now();
    for number in 1..20 {
        let answer = post(&service, numbered(number).to_string());
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json()["status"], "success");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    let lines = format!("{}\n{}\n", numbered(20), numbered(21));
    let answer = post(&service, &lines);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["items"][1]["status"], "spooled");
    server.start();
    until("the spool is empty", || wazuh.pending() == 0);
    assert_eq!(stored_on(&server, "hook_away").len(), 22);
    until("alerts go straight to MongoDB again", || {
        post(&service, numbered(22).to_string()).status == 200
    });
}

#[test]
fn a_frozen_mongodb_holds_a_sender_no_longer_than_the_deadline() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "hook_frozen");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    server.freeze();
    for number in 1..4 {
        let begun = Instant::now();
        let answer = post(&service, numbered(number).to_string());
        assert_eq!(answer.status, 202, "{answer:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
    }
    server.thaw();
    until("the spool is empty", || wazuh.pending() == 0);
    assert_eq!(stored_on(&server, "hook_frozen").len(), 4);
}

#[test]
fn neither_mongodb_nor_disk_is_a_no_that_asks_to_come_again() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "hook_nowhere");
    wazuh.settings("[spool]\nmax_size = \"1 KiB\"\n");
    let service = Service::start(&wazuh);
    for body in [numbered(0).to_string(), format!("[{}]", numbered(1))] {
        let answer = post(&service, &body);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert!(
            !answer.text().contains("127.0.0.1") && !answer.text().contains('/'),
            "{answer:?}"
        );
    }
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
fn bombs_and_floods_leave_memory_as_it_was_and_others_are_served() {
    let wazuh = patient("hook_bombs");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    let zeros = gzip(&vec![b' '; 16 << 20]);
    let bomb = zeros.repeat(64);
    let mut packed = http::connect(service.address);
    let head = format!(
        "POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n",
        bomb.len()
    );
    // It is refused long before it has been sent.
    packed.send(&[head.as_bytes(), &bomb].concat()).ok();
    assert_eq!(packed.answer("POST").unwrap().status, 413);
    let mut endless = http::connect(service.address);
    endless
        .send(
            b"POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n",
        )
        .unwrap();
    assert_eq!(endless.answer("POST").unwrap().status, 413);
    let mut chunked = http::connect(service.address);
    chunked
        .send(
            b"POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .unwrap();
    let piece = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    while chunked.send(&piece).is_ok() {}
    assert_eq!(post(&service, numbered(1).to_string()).status, 200);
    // 10 MB for one body in two shapes, and a debug build's own size.
    assert!(service.peak() < 80 << 20, "{} bytes", service.peak());
    assert_eq!(stored("hook_bombs").len(), 2);
}

/// MongoDB does not answer, and forty senders come with large alerts: some are told to come again,
/// and none who was told yes is lost.
#[test]
fn memory_is_bounded_while_much_waits() {
    let server = Mongod::standalone();
    let wazuh = Wazuh::with_uri(&server.uri(), "hook_flood");
    wazuh.settings("[serve]\nqueue_size = \"8 MiB\"\n[delivery]\ndeadline = \"5 s\"\n");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    server.freeze();
    let large = "x".repeat(1 << 20);
    let address = service.address;
    let statuses: Vec<u16> = thread::scope(|scope| {
        let senders: Vec<_> = (1..41)
            .map(|number| {
                let alert = numbered(number).with("full_log", Json::Text(large.clone()));
                scope.spawn(move || {
                    let body = alert.to_string();
                    http::post(address, PATH, &[], body.as_bytes()).status
                })
            })
            .collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect()
    });
    server.thaw();
    let yes = statuses
        .iter()
        .filter(|status| matches!(status, 200 | 202))
        .count();
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, 200 | 202 | 503)),
        "{statuses:?}"
    );
    assert!((1..40).contains(&yes), "{statuses:?}");
    assert!(service.peak() < 100 << 20, "{} bytes", service.peak());
    until("the spool is empty", || wazuh.pending() == 0);
    assert!(stored_on(&server, "hook_flood").len() > yes);
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

#[test]
fn a_stop_finishes_what_was_taken() {
    let wazuh = Wazuh::new("hook_stop");
    let service = Service::start(&wazuh);
    let address = service.address;
    let sender = thread::spawn(move || {
        let (mut yes, mut connection) = (0, http::connect(address));
        for number in 0..5000 {
            let body = numbered(number).to_string();
            match connection.ask("POST", PATH, &[], body.as_bytes()) {
                Ok(answer) if matches!(answer.status, 200 | 202) => yes += 1,
                other => return (yes, format!("{other:?}")),
            }
        }
        (yes, String::new())
    });
    until("something is stored", || {
        alerts(mongod::shared(), "hook_stop")
            .count_documents(doc! {})
            .run()
            .unwrap()
            > 20
    });
    service.stop();
    let (yes, last) = sender.join().unwrap();
    assert!(yes > 20, "{yes}, {last}");
    let kept = stored("hook_stop").len() + usize::try_from(wazuh.pending()).unwrap();
    assert!(kept >= yes, "{kept} of {yes}");
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

fn message(answer: &Answer) -> String {
    let answer = answer.json();
    answer["message"].as_str().unwrap_or_default().to_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
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
