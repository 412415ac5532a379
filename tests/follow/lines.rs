//! What may stand in a line, and what a line may look like before it is whole.

use serde_json::Value;

use super::{checkpoint, count, dead, wait_for};
use crate::analysisd::{Log, line};
use crate::background::Background;
use crate::json::Json;
use crate::lossless::assert_kept;
use crate::mongod;
use crate::outages::{Kept, assert_once};
use crate::wazuh::{Wazuh, alerts, stored};

/// As short as an alert can be, with all that a cut can hurt: escapes, several bytes a character.
fn short(number: usize) -> String {
    format!(
        r#"{{"timestamp":"2025-06-02T21:47:23.199+0800","id":"1748872000.{number}","data":{{"a\"\\\u00e9":"é登🔥\n","n":[1.5,-2e3]}}}}"#
    )
}

#[test]
fn a_line_cut_at_any_byte_is_delivered_once_and_whole() {
    let wazuh = Wazuh::new("follow_cut");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    let positions = short(1000).len();
    for cut in 1..=positions {
        // As long as the others: the numbers have four digits.
        let line = short(999 + cut);
        let (first, rest) = line.as_bytes().split_at(cut);
        log.write(first);
        follow.wait_until_read(&log.live());
        log.line(rest);
    }
    log.line(short(9999));
    let all = u64::try_from(positions + 1).unwrap();
    wait_for(all, "follow_cut");
    assert_eq!(follow.stop().status, 0);
    assert_eq!(dead(&wazuh), Vec::<Value>::new());
    for document in stored("follow_cut") {
        let id = document.get_str("id").unwrap();
        let number = id.rsplit('.').next().unwrap().parse().unwrap();
        assert_kept(&Json::read(&short(number)), &document);
    }
}

#[test]
fn a_part_of_a_line_is_never_delivered_however_long_it_lies_there() {
    let wazuh = Wazuh::new("follow_part");
    let mut log = Log::new(&wazuh);
    let (whole, alert) = (line(0), line(1));
    // All but the newline: it could be taken for an alert.
    log.write(format!("{whole}\n{alert}"));
    let follow = Background::follow(&wazuh, &["--from-start"]);
    wait_for(1, "follow_part");
    follow.wait_until_read(&log.live());
    follow.stop();
    assert_eq!((count("follow_part"), dead(&wazuh).len()), (1, 0));
    let follow = Background::follow(&wazuh, &[]);
    follow.wait_until_read(&log.live());
    log.write("\n");
    wait_for(2, "follow_part");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_part")), 2);
}

#[test]
fn a_huge_alert_is_stored_and_what_is_none_is_kept_once_with_its_place() {
    let wazuh = Wazuh::new("follow_odd");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    let begin = std::fs::read(checkpoint(&wazuh)).unwrap();
    let huge = Json::read(&line(0)).with("full_log", Json::Text("é".repeat(5 << 19)));
    log.line(huge.to_string());
    let invalid_at = size(&log);
    log.line("this is no alert");
    log.line("");
    log.line(" \t");
    let nuls_at = size(&log);
    log.line([0; 5000]);
    let cut_at = size(&log);
    log.line(r#"{"timestamp":"2025-06-02T21:47:23.199+0800","id":"#);
    let list_at = size(&log);
    log.line("[1,2]");
    log.line(line(1));
    wait_for(2, "follow_odd");
    follow.kill();
    let letters = dead(&wazuh);
    let name = log.dated().display().to_string();
    for at in [invalid_at, nuls_at, cut_at, list_at] {
        let place = format!("offset {at}:");
        let of_place = letters.iter().filter(|letter| {
            let reason = letter["reason"].as_str().unwrap();
            reason.contains(&place) && (reason.contains(&name) || reason.contains("alerts.json"))
        });
        assert_eq!(of_place.count(), 1, "{place} {letters:#?}");
    }
    assert_eq!(letters.len(), 4, "{letters:#?}");
    let invalid = letters.iter().find(|letter| letter["bytes"] == 16);
    let id = invalid.unwrap()["id"].as_str().unwrap().to_owned();
    let shown = wazuh.run(&["spool", "dead", "show", &id]);
    assert_eq!(shown.stdout, b"this is no alert");
    let stored_huge = stored("follow_odd").into_iter().find(|document| {
        let id = document.get_str("id").unwrap();
        id == "1748872000.0"
    });
    assert_kept(&huge, &stored_huge.unwrap());

    // As if it had died before it kept a checkpoint.
    std::fs::write(checkpoint(&wazuh), begin).unwrap();
    let follow = Background::follow(&wazuh, &[]);
    log.line(line(2));
    wait_for(3, "follow_odd");
    assert_eq!(follow.stop().status, 0);
    assert_eq!(dead(&wazuh), letters);
    assert_once(&Kept::of(stored("follow_odd")), 3);
}

#[test]
fn what_mongodb_refuses_is_a_dead_letter_and_its_batch_is_stored() {
    let wazuh = Wazuh::new("follow_refused");
    let database = mongod::shared().database("follow_refused");
    let no_poison = mongodb::bson::doc! { "data.poison": { "$exists": false } };
    let created = database.create_collection("alerts").validator(no_poison);
    created.run().unwrap();
    let mut log = Log::new(&wazuh);
    let numbers = || (0..300).filter(|number| number % 100 != 50);
    for number in 0..300 {
        let poison = Json::read(r#"{"poison":1}"#);
        let alert = Json::read(&line(number));
        log.line(match number % 100 {
            50 => alert.with("data", poison).to_string(),
            _ => alert.to_string(),
        });
    }
    let follow = Background::follow(&wazuh, &["--from-start"]);
    wait_for(297, "follow_refused");
    assert_eq!(follow.stop().status, 0);
    let letters = dead(&wazuh);
    assert_eq!(letters.len(), 3, "{letters:#?}");
    for letter in &letters {
        let reason = letter["reason"].as_str().unwrap();
        assert!(
            reason.contains("offset ") && reason.contains("121"),
            "{reason}"
        );
        assert_eq!(letter["source"], "follow");
    }
    let documents = stored("follow_refused");
    let of_number = |number: usize| format!("1748872000.{number}");
    let is_there = |id: &String| documents.iter().any(|d| d.get_str("id").unwrap() == id);
    assert!(numbers().map(of_number).all(|id| is_there(&id)));
    let open = mongodb::bson::doc! { "collMod": "alerts", "validator": {} };
    database.run_command(open).run().unwrap();
    assert!(
        wazuh
            .run(&["spool", "dead", "retry", "all"])
            .status
            .success()
    );
    wazuh.drain();
    assert_once(&Kept::of(stored("follow_refused")), 300);
    assert_eq!(alerts(mongod::shared(), "follow_refused").name(), "alerts");
}

#[test]
fn bytes_that_no_json_has_harm_no_other_line() {
    let wazuh = Wazuh::new("follow_bytes");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    log.line(line(0));
    log.line(b"{\"id\":\"1748872000.1\",\"timestamp\":\"x\",\"full_log\":\"\xff\xfe\"}");
    log.write(line(2) + "\r\n");
    log.line(line(3));
    wait_for(4, "follow_bytes");
    assert_eq!(follow.stop().status, 0);
    assert_eq!(dead(&wazuh), Vec::<Value>::new());
    assert_once(&Kept::of(stored("follow_bytes")), 4);
}

fn size(log: &Log) -> u64 {
    std::fs::metadata(log.live()).unwrap().len()
}
