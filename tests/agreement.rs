//! The hook's copy of an alert and its line in alerts.json are one document, and the better of the
//! two counts: numbers that did not pass through a double, texts that nobody cut.

use std::fs;

use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::analysisd::Log;
use crate::background::{Background, eventually};
use crate::json::Json;
use crate::lossless::assert_kept;
use crate::mongod;
use crate::scratch;
use crate::wazuh::{Wazuh, alerts, only, stored, text};

/// An alert as alerts.json has it.
fn line(number: usize) -> String {
    format!(
        r#"{{"timestamp":"2025-06-02T21:47:23.199+0800","rule":{{"level":5,"id":"5710","groups":["sshd"]}},"agent":{{"id":"002"}},"manager":{{"name":"m"}},"id":"1748872000.{number}","full_log":"{}","data":{{"odd":9007199254740993,"large":18446744073709551615,"pi":3.141592653589793,"list":[1,9223372036854775807],"cut":"before\u0000behind","plain":"as it is"}},"location":"/var/log/auth.log"}}"#,
        "0123456789".repeat(30)
    )
}

/// The same as wazuh-integratord hands it over when a block that is not JSON stands before ours:
/// numbers printed by `%.15g`, texts up to their NUL, and `full_log` cut (`os_integrator`).
fn poorer(number: usize) -> String {
    let whole = "0123456789".repeat(30);
    let cut = format!("{}...", &whole[..161]);
    line(number)
        .replace(&whole, &cut)
        .replace("9007199254740993", "9.00719925474099e+15")
        .replace("18446744073709551615", "1.84467440737096e+19")
        .replace("3.141592653589793", "3.14159265358979")
        .replace("9223372036854775807", "9.22337203685478e+18")
        .replace(r"before\u0000behind", "before")
}

/// One of the two commands that read files.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Reader {
    Follow,
    Backfill,
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Self::Follow => "follow",
            Self::Backfill => "backfill",
        }
    }

    /// Reads a file of these lines from its beginning to its end.
    fn read(self, wazuh: &Wazuh, lines: &str) {
        let file = scratch::fresh("agreement").join("alerts.json");
        fs::write(&file, format!("{lines}\n")).unwrap();
        let name = file.display().to_string();
        match self {
            Self::Backfill => {
                let output = wazuh.run(&["backfill", &name]);
                assert!(output.status.success(), "{output:?}");
            }
            Self::Follow => {
                let follow = Background::follow(wazuh, &[&name, "--from-start"]);
                follow.wait_until_read(&file);
                // What was read is settled before the checkpoint stands behind it.
                let size = fs::metadata(&file).unwrap().len();
                let kept = || {
                    let output = std::process::Command::new("grep")
                        .args(["-rlF", &format!("\"offset\":{size},")])
                        .arg(wazuh.state().join("follow"))
                        .output();
                    output.unwrap().status.success()
                };
                eventually(|| kept().then_some(()).ok_or_else(|| follow.stderr()));
                assert_eq!(follow.stop().status, 0);
            }
        }
    }
}

fn change(database: &str, change: Document) {
    let alerts = alerts(mongod::shared(), database);
    let done = alerts.update_many(doc! {}, change).run().unwrap();
    assert!(done.modified_count > 0);
}

#[test]
fn the_line_completes_the_hooks_copy_once() {
    for reader in [Reader::Follow, Reader::Backfill] {
        let database = format!("agree_{}", reader.name());
        let wazuh = Wazuh::new(&database);
        wazuh.call(poorer(1)).assert_yes();
        let hooks = only(&database);
        assert_kept(&Json::read(&poorer(1)), &hooks);
        let before = DateTime::now();
        reader.read(&wazuh, &line(1));
        let completed = only(&database);
        assert_kept(&Json::read(&line(1)), &completed);
        assert_eq!(text(&completed, "_source"), "hook");
        assert_eq!(text(&completed, "_completed_from"), reader.name());
        let at = *completed.get_datetime("_completed_at").unwrap();
        assert!((before..=DateTime::now()).contains(&at));
        for field in [
            "_id",
            "_processed_at",
            "_timestamp",
            "_risk_score",
            "agent_id",
        ] {
            assert_eq!(completed.get(field), hooks.get(field), "{field}");
        }
        // Nothing more happens, by whichever way it comes again.
        Reader::Backfill.read(&wazuh, &line(1));
        Reader::Follow.read(&wazuh, &line(1));
        wazuh.call(poorer(1)).assert_yes();
        assert_eq!(only(&database), completed);
    }
}

#[test]
fn a_copy_that_is_as_good_stays_as_it_is() {
    let wazuh = Wazuh::new("agree_equal");
    wazuh.call(line(1)).assert_yes();
    let hooks = only("agree_equal");
    Reader::Backfill.read(&wazuh, &line(1));
    Reader::Follow.read(&wazuh, &line(1));
    assert_eq!(only("agree_equal"), hooks);
}

#[test]
fn the_line_first_and_the_hooks_copy_after_it_change_nothing() {
    for reader in [Reader::Follow, Reader::Backfill] {
        let database = format!("agree_first_{}", reader.name());
        let wazuh = Wazuh::new(&database);
        reader.read(&wazuh, &line(1));
        let first = only(&database);
        assert_kept(&Json::read(&line(1)), &first);
        assert_eq!(text(&first, "_source"), reader.name());
        wazuh.call(poorer(1)).assert_yes();
        assert_eq!(only(&database), first);
        Reader::Backfill.read(&wazuh, &line(1));
        assert_eq!(only(&database), first);
    }
}

#[test]
fn what_an_analyst_added_or_changed_stays() {
    let wazuh = Wazuh::new("agree_analyst");
    wazuh.call(poorer(1)).assert_yes();
    change(
        "agree_analyst",
        doc! {
            "$set": { "note": "seen", "case": { "id": 7 }, "data.by": "Zoé", "rule.level": 1,
                "data.plain": "corrected", "data.odd": 5, "data.list": [1, 9.223_372_036_854_78e18, 3] },
            "$unset": { "data.cut": 1 },
        },
    );
    Reader::Backfill.read(&wazuh, &line(1));
    let document = only("agree_analyst");
    let data = document.get_document("data").unwrap();
    assert_eq!(text(&document, "note"), "seen");
    assert_eq!(document.get_document("case").unwrap(), &doc! { "id": 7 });
    assert_eq!(text(data, "by"), "Zoé");
    assert_eq!(text(data, "plain"), "corrected");
    assert_eq!(data.get("odd"), Some(&Bson::Int32(5)));
    assert_eq!(data.get_array("list").unwrap().len(), 3);
    assert_eq!(data.get("cut"), None);
    let level = document.get_document("rule").unwrap().get("level");
    assert_eq!(level, Some(&Bson::Int32(1)));
    // What nobody touched is completed all the same.
    assert_eq!(data.get("pi"), Some(&Bson::Double(std::f64::consts::PI)));
    assert_eq!(text(&document, "full_log").len(), 300);
    assert!(document.contains_key("_completed_at"));
    // What an analyst does afterwards stays too.
    change("agree_analyst", doc! { "$set": { "full_log": "0123" } });
    let changed = only("agree_analyst");
    Reader::Backfill.read(&wazuh, &line(1));
    assert_eq!(only("agree_analyst"), changed);
}

#[test]
fn an_analysts_change_while_a_copy_is_completed_is_not_overwritten() {
    const COPIES: usize = 150;
    let wazuh = Wazuh::new("agree_race");
    // By one process: the spool takes them, and one drain stores them.
    let all = |copy: fn(usize) -> String| (0..COPIES).map(copy).collect::<Vec<_>>();
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    for alert in all(poorer) {
        wazuh.call(alert).assert_yes();
    }
    wazuh.drain();
    let file = scratch::fresh("agreement").join("alerts.json");
    fs::write(&file, all(line).join("\n") + "\n").unwrap();
    let name = file.display().to_string();
    let mut changes = 0;
    for _ in 0..3 {
        let mut reading = Background::start(&wazuh, &["backfill", &name]);
        while reading.is_running() {
            change("agree_race", doc! { "$inc": { "seen": 1 } });
            changes += 1;
        }
        assert_eq!(reading.end().status, 0);
    }
    assert!(wazuh.run(&["backfill", &name]).status.success());
    assert!(changes > 3, "nobody was disturbed");
    let documents = stored("agree_race");
    assert_eq!(documents.len(), COPIES);
    for document in documents {
        assert_eq!(
            document.get("seen"),
            Some(&Bson::Int32(changes)),
            "{document}"
        );
        assert_eq!(text(&document, "full_log").len(), 300);
        assert_eq!(text(&document, "_completed_from"), "backfill");
    }
}

#[test]
fn a_log_that_an_analyst_emptied_stays_empty() {
    let wazuh = Wazuh::new("agree_emptied");
    wazuh.call(poorer(1)).assert_yes();
    change("agree_emptied", doc! { "$set": { "full_log": "" } });
    Reader::Backfill.read(&wazuh, &line(1));
    let document = only("agree_emptied");
    assert!(document.contains_key("_completed_at"), "{document}");
    assert_eq!(text(&document, "full_log"), "");
}

#[test]
fn a_log_cut_within_a_character_is_completed() {
    let wazuh = Wazuh::new("agree_utf8");
    // 161 bytes end in the middle of a character of two.
    let whole = "é".repeat(150);
    let alert = line(1).replace(&"0123456789".repeat(30), &whole);
    let (before, behind) = alert.split_once(&whole).unwrap();
    let cut = [
        before.as_bytes(),
        &whole.as_bytes()[..161],
        b"...",
        behind.as_bytes(),
    ]
    .concat();
    wazuh.call(cut).assert_yes();
    assert!(only("agree_utf8").contains_key("_defects"));
    Reader::Backfill.read(&wazuh, &alert);
    let document = only("agree_utf8");
    assert_eq!(text(&document, "full_log"), whole);
    assert!(
        !document.contains_key("_defects") && !document.contains_key("_raw"),
        "{document}"
    );
}

#[test]
fn a_completion_brings_back_nothing_that_was_redacted() {
    let wazuh = Wazuh::new("agree_redact");
    wazuh.settings("[redact]\nkeys = [\"plain\"]\npatterns = ['secret=\\S+']\n");
    let with_secret = |alert: String| alert.replacen("0123456789", "secret=hunter2 0123456789", 1);
    wazuh.call(with_secret(poorer(1))).assert_yes();
    Reader::Backfill.read(&wazuh, &with_secret(line(1)));
    let document = only("agree_redact");
    assert!(document.contains_key("_completed_at"), "{document}");
    let all = document.to_string();
    assert!(
        !all.contains("hunter2") && !all.contains("as it is"),
        "{document}"
    );
    assert!(text(&document, "full_log").ends_with("0123456789"));
}

#[test]
fn while_both_ways_deliver_there_is_one_document_each() {
    let wazuh = Wazuh::new("agree_both");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    for number in 0..20 {
        if number % 2 == 0 {
            log.line(line(number));
            wazuh.call(poorer(number)).assert_yes();
        } else {
            wazuh.call(poorer(number)).assert_yes();
            log.line(line(number));
        }
    }
    follow.wait_until_read(&log.live());
    let is_whole = |document: &Document| text(document, "full_log").len() == 300;
    eventually(|| {
        let documents = stored("agree_both");
        let whole = documents.len() == 20 && documents.iter().all(is_whole);
        whole.then_some(()).ok_or_else(|| format!("{documents:?}"))
    });
    assert_eq!(follow.stop().status, 0);
    assert_eq!(stored("agree_both").len(), 20);
}
