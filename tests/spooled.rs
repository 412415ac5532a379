//! The spool and the dead letters, as an administrator sees them: nothing is evicted, nothing is
//! retried for ever, everything can be looked at.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use crate::json::Json;
use crate::mongod;
use crate::proxy::{Mode, Proxy};
use crate::terminal::Terminal;
use crate::wazuh::{Wazuh, alerts, numbered, only, stored};

#[test]
fn what_waits_is_listed() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "listed");
    assert_eq!(wazuh.pending(), 0);
    let alerts = [numbered(0).to_string(), numbered(1).to_string()];
    for alert in &alerts {
        wazuh.call(alert).assert_yes();
    }
    let status = wazuh.json("spool status");
    let one = &status["destinations"][0];
    assert_eq!(one["pending"], 2, "{status}");
    assert_eq!(one["dead"], 0, "{status}");
    assert_eq!(one["breaker"], "open", "{status}");
    assert_eq!(one["max_size"], 1 << 30, "{status}");
    assert!(
        one["bytes"].as_u64() >= Some(alerts[0].len() as u64 * 2),
        "{status}"
    );
    assert_time(&one["oldest"]);
    let list = wazuh.json("spool list");
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    for (entry, alert) in list.as_array().unwrap().iter().zip(&alerts) {
        assert_eq!(
            (&entry["source"], &entry["bytes"]),
            (&"hook".into(), &alert.len().into())
        );
        assert_time(&entry["received_at"]);
        assert!(entry["id"].is_string(), "{entry}");
    }
    let text = wazuh.run(&["spool", "status"]);
    assert!(text.status.success() && !text.stdout.is_empty(), "{text:?}");
}

#[test]
fn a_full_spool_refuses_and_never_evicts() {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = Wazuh::with_uri(&proxy.uri(), "full");
    wazuh.settings("[spool]\nmax_size = \"2 MiB\"\n[delivery]\nprobe_every = \"10 min\"\n");
    proxy.set(Mode::Refuse);
    let large = |number| numbered(number).with("full_log", Json::Text("x".repeat(100_000)));
    let refused = (0..50).find(|number| {
        let outcome = wazuh.call(large(*number).to_string());
        if outcome.status == 0 {
            outcome.assert_yes();
            return false;
        }
        let line = outcome.assert_no(1, &wazuh);
        assert!(line.contains("spool") && line.contains("full"), "{line}");
        true
    });
    let kept = refused.expect("2 MiB do not hold 50 times 100 KB");
    assert!(kept >= 10, "only {kept} alerts of 100 KB fit into 2 MiB");
    wazuh.call(large(50).to_string()).assert_no(1, &wazuh);
    proxy.set(Mode::Pass);
    assert_eq!(wazuh.drain()["stored"], kept);
    let mut numbers: Vec<_> = stored("full").iter().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..kept).collect::<Vec<_>>());
    wazuh.call(large(51).to_string()).assert_yes();
}

#[test]
fn a_disk_reserve_that_is_used_up_refuses() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "reserve");
    wazuh.raw_settings(&format!(
        "[store]\nuri = {dead:?}\ndatabase = \"reserve\"\n[spool]\ndisk_reserve = \"100 %\"\n"
    ));
    let line = wazuh
        .call(numbered(0).to_string())
        .assert_no(1, &wazuh)
        .to_owned();
    assert!(line.contains("disk"), "{line}");
}

#[test]
fn mode_spool_writes_nothing_until_it_is_drained() {
    let wazuh = Wazuh::new("by_choice");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    for number in 0..5 {
        wazuh.call(numbered(number).to_string()).assert_yes();
    }
    assert_eq!((stored("by_choice").len(), wazuh.pending()), (0, 5));
    let drained = wazuh.drain();
    assert_eq!(
        (&drained["stored"], &drained["already_there"]),
        (&5.into(), &0.into())
    );
    wazuh.call(numbered(3).to_string()).assert_yes();
    assert_eq!(wazuh.drain()["already_there"], 1);
    assert_eq!((stored("by_choice").len(), wazuh.pending()), (5, 0));
}

#[test]
fn a_rejected_document_is_a_dead_letter_with_its_reason() {
    let wazuh = rejecting("rejected");
    let alert = numbered(13)
        .with("rule", Json::read(r#"{"level":13}"#))
        .to_string();
    let line = wazuh
        .call(format!("{alert}\n"))
        .assert_no(1, &wazuh)
        .to_owned();
    wazuh.call(numbered(1).to_string()).assert_yes();
    assert_eq!((stored("rejected").len(), wazuh.pending()), (1, 0));

    let dead = wazuh.json("spool dead list");
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
    let (letter, id) = (&dead[0], dead[0]["id"].as_str().unwrap());
    assert!(line.contains(id), "{line} names the dead letter {id}");
    assert!(
        letter["reason"]
            .as_str()
            .unwrap()
            .to_lowercase()
            .contains("validation"),
        "{letter}"
    );
    assert_eq!(letter["source"], "hook");
    assert_time(&letter["received_at"]);
    let shown = wazuh.run(&["spool", "dead", "show", id]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim_end(), alert);
    assert!(!shown.stderr.is_empty(), "what is known about it");

    let again = wazuh.run(&["spool", "dead", "retry", id]);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(wazuh.drain()["dead"], 1, "rejected again");
    assert_eq!(wazuh.json("spool dead list").as_array().unwrap().len(), 1);
    accept_all("rejected");
    let retried = wazuh.run(&["spool", "dead", "retry", "all"]);
    assert!(retried.status.success(), "{retried:?}");
    wazuh.drain();
    assert_eq!(wazuh.json("spool dead list").as_array().unwrap().len(), 0);
    assert_eq!(stored("rejected").len(), 2);
}

/// Somebody's own unique index: the other alert is not there, whatever its duplicate is.
#[test]
fn a_duplicate_of_something_else_is_a_dead_letter() {
    let wazuh = Wazuh::new("unique");
    let unique = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder().keys(doc! { "location": 1 });
    let alerts = alerts(mongod::shared(), "unique");
    let made = alerts.create_index(index.options(unique).build()).run();
    made.expect("an index");
    wazuh.call(numbered(0).to_string()).assert_yes();
    wazuh.call(numbered(1).to_string()).assert_no(1, &wazuh);
    let letters = wazuh.json("spool dead list");
    assert_eq!(letters.as_array().unwrap().len(), 1, "{letters}");
    assert_eq!(number(&only("unique")), 0);
}

#[test]
fn dead_letters_are_dropped_by_hand_only() {
    let wazuh = rejecting("dropped");
    for number in 0..3 {
        let alert = numbered(number).with("rule", Json::read(r#"{"level":13}"#));
        wazuh.call(alert.to_string()).assert_no(1, &wazuh);
    }
    let dead = wazuh.json("spool dead list");
    let id = dead[1]["id"].as_str().unwrap();
    assert!(wazuh.run(&["spool", "dead", "drop", id]).status.success());
    let left = wazuh.json("spool dead list");
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");
    assert!(
        left.as_array().unwrap().iter().all(|one| one["id"] != id),
        "{left}"
    );
    let unknown = wazuh.run(&["spool", "dead", "drop", "no-such-id"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(
        wazuh
            .run(&["spool", "dead", "drop", "all"])
            .status
            .success()
    );
    assert_eq!(wazuh.json("spool dead list").as_array().unwrap().len(), 0);
}

#[test]
fn one_rejected_document_holds_up_no_other_in_a_drain() {
    let wazuh = rejecting("one_of_many");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    for number in 0..10 {
        let level = if number == 4 { 13 } else { 3 };
        let rule = Json::read(&format!(r#"{{"level":{level}}}"#));
        wazuh
            .call(numbered(number).with("rule", rule).to_string())
            .assert_yes();
    }
    let answer = wazuh.drain();
    assert_eq!(
        (&answer["stored"], &answer["dead"]),
        (&9.into(), &1.into()),
        "{answer}"
    );
    assert_eq!((stored("one_of_many").len(), wazuh.pending()), (9, 0));
}

#[test]
fn another_destination_keeps_its_own_spool() {
    let wazuh = Wazuh::new("mine");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    wazuh.call(numbered(0).to_string()).assert_yes();
    let uri = mongod::shared().uri();
    let settings = |database: &str| format!("[store]\nuri = {uri:?}\ndatabase = {database:?}\n");
    wazuh.raw_settings(&settings("theirs"));
    assert_eq!((wazuh.pending(), &wazuh.drain()["stored"]), (0, &0.into()));
    assert_eq!(stored("theirs").len(), 0);
    wazuh.raw_settings(&settings("mine"));
    assert_eq!(wazuh.drain()["stored"], 1);
    assert_eq!(number(&only("mine")), 0);
}

/// A home whose collection refuses alerts of level 10 and above.
fn rejecting(database: &str) -> Wazuh {
    let create =
        doc! { "create": "alerts", "validator": { "rule.level": { "$not": { "$gte": 10 } } } };
    mongod::shared()
        .database(database)
        .run_command(create)
        .run()
        .expect("a collection");
    Wazuh::new(database)
}

fn accept_all(database: &str) {
    let change = doc! { "collMod": "alerts", "validationLevel": "off" };
    mongod::shared()
        .database(database)
        .run_command(change)
        .run()
        .expect("a change");
}

fn number(document: &Document) -> usize {
    let id = document.get_str("id").expect("an id");
    id.rsplit('.')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a numbered alert")
}

#[track_caller]
fn assert_time(value: &serde_json::Value) {
    let text = value.as_str().expect("a time");
    mongodb::bson::DateTime::parse_rfc3339_str(text).expect("a time as in RFC 3339");
}

/// What was posted as an alert may be anything; on a terminal it is only looked at.
#[test]
fn a_dead_letter_commands_no_terminal() {
    let wazuh = Wazuh::new("dead_terminal");
    let hostile = "{\x1b]0;owned\x07\u{9b}2J\nno alert";
    wazuh.call(hostile).assert_no(7, &wazuh);
    let log = wazuh.log();
    assert!(!log.contains(['\x1b', '\x07', '\u{9b}']), "{log:?}");
    let letters = wazuh.json("spool dead list");
    let id = letters[0]["id"].as_str().unwrap();
    let shown = wazuh.run(&["spool", "dead", "show", id]);
    assert_eq!(shown.stdout, hostile.as_bytes(), "into a pipe its bytes");
    let show = format!("spool dead show {id}");
    let (status, said) = Terminal::start(&wazuh, "", &show, (100, 20)).end();
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("\\x1b]0;owned"), "{said:?}");
    assert!(!said.contains(['\x1b', '\x07', '\u{9b}']), "{said:?}");
}
