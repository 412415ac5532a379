//! The gap report: which hours lack how many alerts, and nothing but those comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::{assert_counts, count, hour, run, three_days};
use crate::analysisd::{archive, gzip, line};
use crate::json::Json;
use crate::mongod;
use crate::outages::Kept;
use crate::scratch;
use crate::wazuh::{Wazuh, alerts, stored, text};

const HOURS: [&str; 5] = [
    "2025-06-02T21",
    "2025-06-02T22",
    "2025-06-02T23",
    "2025-06-03T00",
    "2025-06-03T05",
];
const IN_AN_HOUR: usize = 500;

/// Five hours of local time, three in the first day's file, two in the next one's.
fn five_hours() -> PathBuf {
    let root = scratch::fresh("gaps");
    let of = |index: usize| {
        let numbers = index * IN_AN_HOUR..(index + 1) * IN_AN_HOUR;
        hour(numbers, HOURS[index], "+0530")
    };
    let first = [of(0), of(1), of(2)].concat();
    let packed = gzip(first.as_bytes());
    archive(&root, "2025/Jun/ossec-alerts-02.json.gz", packed);
    let second = [of(3), of(4)].concat();
    archive(&root, "2025/Jun/ossec-alerts-03.json", second);
    root
}

/// So many of the numbers below `all`, at random.
fn chosen(count: usize, all: usize) -> BTreeSet<usize> {
    let random = RandomState::new();
    let mut numbers: Vec<usize> = (0..all).collect();
    numbers.sort_by_cached_key(|number| random.hash_one(number));
    numbers.into_iter().take(count).collect()
}

fn delete(database: &str, numbers: &BTreeSet<usize>) {
    let ids: Vec<String> = numbers.iter().map(|number| id(*number)).collect();
    let alerts = alerts(mongod::shared(), database);
    let deleted = alerts.delete_many(doc! { "id": { "$in": ids } }).run();
    assert_eq!(deleted.unwrap().deleted_count, numbers.len() as u64);
}

fn id(number: usize) -> String {
    format!("1748872000.{number}")
}

/// The documents by their `id`.
fn by_id(database: &str) -> BTreeMap<String, Document> {
    let documents = stored(database).into_iter();
    let pair = |document: Document| (text(&document, "id").to_owned(), document);
    documents.map(pair).collect()
}

#[test]
fn a_thousand_deleted_alerts_are_found_by_the_hour_and_exactly_those_come_back() {
    let wazuh = Wazuh::new("gaps_thousand");
    let root = five_hours();
    let all = HOURS.len() * IN_AN_HOUR;
    assert_counts(&run(&wazuh, &[], &[&root]), 0, &[("stored", all as u64)]);
    let analyst =
        doc! { "$set": { "note": "a false positive", "rule.level": 0, "data.by": "Zoé" } };
    let changed = alerts(mongod::shared(), "gaps_thousand");
    changed
        .update_many(doc! { "agent.id": "007" }, analyst)
        .run()
        .unwrap();
    let gone = chosen(1000, all);
    delete("gaps_thousand", &gone);
    let before = by_id("gaps_thousand");

    let check = run(&wazuh, &["--check"], &[&root]);
    let there = (all - 1000) as u64;
    assert_counts(
        &check,
        3,
        &[
            ("missing", 1000),
            ("already_there", there),
            ("read", all as u64),
        ],
    );
    assert_eq!(check.1["zone"], "UTC");
    assert_eq!(hours(&check.1), expected(&gone));
    assert_eq!(by_id("gaps_thousand"), before, "--check wrote something");
    let output = wazuh.run(&["backfill", "--check", &root.display().to_string()]);
    let said = String::from_utf8(output.stdout).unwrap();
    let first = expected(&gone).into_iter().next().unwrap();
    let (name, (on_disk, missing)) = first;
    let row = format!("{name}  {missing} of {on_disk} missing\n");
    assert!(said.contains(&row), "{row} {said}");
    assert!(
        said.contains(
            "MongoDB lacks 1000 of 2500 alerts, in 7 hours (UTC); --repair brings them back"
        ),
        "{said}"
    );

    let repair = run(&wazuh, &["--repair"], &[&root]);
    assert_counts(&repair, 0, &[("repaired", 1000), ("already_there", there)]);
    assert_eq!(hours(&repair.1), expected(&gone));
    let mut after = by_id("gaps_thousand");
    for number in &gone {
        let document = after.remove(&id(*number)).expect("it came back");
        assert_eq!(text(&document, "_source"), "backfill");
    }
    assert_eq!(after, before, "what was there was touched");

    let again = run(&wazuh, &["--check"], &[&root]);
    assert_counts(&again, 0, &[("missing", 0), ("already_there", all as u64)]);
    assert_eq!(again.1["hours"], Value::Array(Vec::new()));
    let output = wazuh.run(&["backfill", "--check", &root.display().to_string()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("MongoDB has all 2500 alerts"), "{said}");
}

/// Per hour in UTC: how many are on disk and how many are missing.
fn hours(report: &Value) -> BTreeMap<String, (u64, u64)> {
    let hours = report["hours"].as_array().expect("a list").iter();
    let number = |value: &Value| value.as_u64().expect("a number");
    let one = |hour: &Value| {
        let name = hour["hour"].as_str().expect("a name").to_owned();
        (name, (number(&hour["on_disk"]), number(&hour["missing"])))
    };
    hours.map(one).collect()
}

/// Half an hour off: each local hour lies in two hours of UTC, thirty minutes of each.
fn expected(gone: &BTreeSet<usize>) -> BTreeMap<String, (u64, u64)> {
    let mut hours: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let utc = |index: usize, minute: usize| {
        let later = usize::from(minute >= 30);
        let name = [
            "2025-06-02T15",
            "2025-06-02T16",
            "2025-06-02T17",
            "2025-06-02T18",
            "2025-06-02T23",
        ][index];
        let hour: usize = name[11..].parse::<usize>().unwrap() + later;
        match hour {
            24 => "2025-06-03T00:00Z".to_owned(),
            hour => format!("{}{hour:02}:00Z", &name[..11]),
        }
    };
    for number in 0..HOURS.len() * IN_AN_HOUR {
        let (index, minute) = (number / IN_AN_HOUR, number % IN_AN_HOUR % 60);
        let hour = hours.entry(utc(index, minute)).or_default();
        hour.0 += 1;
        hour.1 += u64::from(gone.contains(&number));
    }
    hours.retain(|_, (_, missing)| *missing > 0);
    hours
}

#[test]
fn a_check_reads_the_index_alone_and_writes_nothing() {
    let wazuh = Wazuh::new("gaps_index");
    let root = three_days();
    run(&wazuh, &[], &[&root]);
    delete("gaps_index", &(3..9).collect());
    let database = mongod::shared().database("gaps_index");
    let profile = |level: i32| {
        let answer = database.run_command(doc! { "profile": level }).run();
        answer.expect("a profiler")
    };
    profile(2);
    let check = run(&wazuh, &["--check"], &[&root]);
    profile(0);
    assert_counts(&check, 3, &[("missing", 6)]);
    let entries = database.collection::<Document>("system.profile");
    let entries = entries
        .find(doc! { "ns": "gaps_index.alerts" })
        .run()
        .unwrap();
    let entries: Vec<Document> = entries.map(Result::unwrap).collect();
    assert!(!entries.is_empty());
    for entry in entries {
        assert_eq!(text(&entry, "op"), "query", "{entry}");
        assert_eq!(entry.get_i32("docsExamined").unwrap(), 0, "{entry}");
        assert!(entry.get_i32("keysExamined").unwrap() >= 24, "{entry}");
        assert_eq!(entry.get_i32("nreturned").unwrap(), 24, "{entry}");
    }
}

const CONF: &str = r"<ossec_config>
  <integration>
    <name>slack</name>
    <hook_url>https://example.org/</hook_url>
    <level>3</level>
    <alert_format>json</alert_format>
  </integration>
  <integration>
    <name>custom-mongo</name>
    <level>12</level>
    <alert_format>json</alert_format>
  </integration>
  <integration>
    <name>custom-mongo</name>
    <rule_id>100,200</rule_id>
    <event_location>^/var/log/nginx</event_location>
    <alert_format>json</alert_format>
  </integration>
</ossec_config>
";

/// A home with these blocks and 26 alerts: levels 3 to 15 twice.
fn home_with_blocks(database: &str) -> Wazuh {
    let wazuh = Wazuh::new(database);
    fs::write(wazuh.home.join("etc/ossec.conf"), CONF).unwrap();
    let nginx = |rule: &str| {
        let rule = Json::read(&format!(r#"{{"level":3,"id":"{rule}"}}"#));
        let location = Json::Text("/var/log/nginx/access.log".into());
        let alert = Json::read(&line(100 + usize::from(rule.text("id") == Some("200"))));
        let alert = alert.with("rule", rule).with("location", location);
        alert.to_string() + "\n"
    };
    let text = [super::text(0..26), nginx("200"), nginx("300")].concat();
    archive(
        &wazuh.home,
        "logs/alerts/2025/Jun/ossec-alerts-02.json",
        text,
    );
    wazuh
}

#[test]
fn what_the_blocks_in_ossec_conf_keep_out_is_no_gap() {
    let wazuh = home_with_blocks("gaps_blocks");
    // Levels 12 to 15 twice, and the one of rule 200.
    let check = run(&wazuh, &["--check"], &[]);
    assert_counts(&check, 3, &[("read", 28), ("missing", 9), ("filtered", 19)]);
    let filters = check.1["filters"].as_array().unwrap();
    assert_eq!(filters.len(), 2, "{filters:?}");
    let conf = wazuh.home.join("etc/ossec.conf").display().to_string();
    assert!(
        filters
            .iter()
            .all(|filter| filter.as_str().unwrap().contains(&conf)),
        "{filters:?}"
    );
    let repair = run(&wazuh, &["--repair"], &[&wazuh.home]);
    assert_counts(&repair, 0, &[("repaired", 9), ("filtered", 19)]);
    let kept = Kept::of(stored("gaps_blocks"));
    let wanted = |number: &usize| number % 13 >= 9;
    assert!(
        (0..26).all(|number| kept.has(number) == wanted(&number)) && kept.has(101),
        "{kept:?}"
    );
    // Nobody but a person who says so wants the rest.
    let all = run(&wazuh, &["--check", "--all"], &[]);
    assert_counts(&all, 3, &[("missing", 19), ("filtered", 0)]);
    assert_counts(
        &run(&wazuh, &["--repair", "--all"], &[]),
        0,
        &[("repaired", 19)],
    );
    assert_eq!(count("gaps_blocks"), 28);
}

#[test]
fn what_the_settings_filter_out_is_no_gap_either_and_all_does_not_bring_it() {
    let wazuh = home_with_blocks("gaps_filter");
    wazuh.settings("[filter]\nexclude_level = \"15\"\n");
    assert_counts(
        &run(&wazuh, &["--check"], &[]),
        3,
        &[("missing", 7), ("filtered", 21)],
    );
    assert_counts(
        &run(&wazuh, &["--repair", "--all"], &[]),
        0,
        &[("repaired", 26), ("filtered", 2)],
    );
}

#[test]
fn a_conf_that_wazuh_could_not_read_is_an_error_and_no_licence() {
    let wazuh = home_with_blocks("gaps_broken");
    let broken = CONF.replace("</integration>", "");
    fs::write(wazuh.home.join("etc/ossec.conf"), broken).unwrap();
    let output = wazuh.run(&["backfill", "--repair"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("ossec.conf") && said.contains("line "),
        "{said}"
    );
    assert_eq!(count("gaps_broken"), 0);
}

#[test]
fn what_has_expired_is_no_gap() {
    let wazuh = Wazuh::new("gaps_expired");
    let root = three_days();
    wazuh.settings("[enrich.retention]\nlow = \"1 d\"\nmedium = \"1 d\"\nhigh = \"1 d\"\n");
    // Of levels 3 to 15 those from 12 on are critical, which are kept for ever.
    let critical = (0..30).filter(|number| number % 13 >= 9).count() as u64;
    let check = run(&wazuh, &["--check"], &[&root]);
    assert_counts(
        &check,
        3,
        &[("expired", 30 - critical), ("missing", critical)],
    );
    let repair = run(&wazuh, &["--repair"], &[&root]);
    assert_counts(&repair, 0, &[("repaired", critical)]);
    assert_eq!(count("gaps_expired"), critical);
}

#[test]
fn nodes_of_a_cluster_are_told_apart() {
    let wazuh = Wazuh::new("gaps_nodes");
    let root = three_days();
    run(&wazuh, &[], &[&root]);
    // The same seconds and offsets, hence the same ids, on another node.
    let worker = scratch::fresh("worker");
    let text = hour(0..30, "2025-06-01T10", "+0000").replace("master-node", "worker-1");
    let file = archive(&worker, "alerts.json", text);
    let check = run(&wazuh, &["--check"], &[&root, &file]);
    assert_counts(&check, 3, &[("missing", 30), ("already_there", 30)]);
    let wanted = BTreeMap::from([("2025-06-01T10:00Z".to_owned(), (40, 30))]);
    assert_eq!(hours(&check.1), wanted);
    assert_counts(
        &run(&wazuh, &["--repair"], &[&file]),
        0,
        &[("repaired", 30)],
    );
    assert_counts(
        &run(&wazuh, &["--check"], &[&root, &file]),
        0,
        &[("already_there", 60)],
    );
    assert_eq!(count("gaps_nodes"), 60);
}

#[test]
fn an_alert_that_lies_on_disk_twice_comes_back_once() {
    let wazuh = Wazuh::new("gaps_copies");
    let root = three_days();
    let copy = hour(20..30, "2025-06-03T10", "+0000");
    archive(&root, "alerts.json.1", copy);
    let repair = run(&wazuh, &["--repair"], &[&root]);
    assert_counts(
        &repair,
        0,
        &[("read", 40), ("repaired", 30), ("already_there", 10)],
    );
    assert_counts(
        &run(&wazuh, &["--check"], &[&root]),
        0,
        &[("already_there", 40)],
    );
}

#[test]
fn a_repair_keeps_what_mongodb_refuses_as_a_dead_letter() {
    let wazuh = Wazuh::new("gaps_refused");
    let database = mongod::shared().database("gaps_refused");
    let no_seventh = doc! { "agent.id": { "$ne": "007" } };
    database
        .create_collection("alerts")
        .validator(no_seventh)
        .run()
        .unwrap();
    let root = three_days();
    let repair = run(&wazuh, &["--repair"], &[&root]);
    assert_counts(&repair, 3, &[("repaired", 29), ("rejected", 1)]);
    assert_eq!(count("gaps_refused"), 29);
    assert_eq!(wazuh.json("spool dead list").as_array().unwrap().len(), 1);
    let check = run(&wazuh, &["--check"], &[&root]);
    assert_counts(&check, 3, &[("missing", 1)]);
}
