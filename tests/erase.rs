//! `erase`: what is erased is gone from MongoDB, the spool and the dead letters, and nothing that
//! Wazuh's files still hold brings it back.

use std::fs;
use std::path::Path;

use mongodb::bson::{Document, doc};
use serde_json::Value;

use crate::analysisd::{archive, at, line};
use crate::api_data::{ask, service};
use crate::json::Json;
use crate::mongod;
use crate::python_service::{alert, all, put};
use crate::scratch;
use crate::wazuh::{Wazuh, stored};

mod elsewhere;

/// The report, and the exit status.
#[track_caller]
fn erase(wazuh: &Wazuh, arguments: &[&str]) -> (i32, Value) {
    let all = [&["erase", "--format", "json"], arguments].concat();
    let output = wazuh.run(&all);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|why| panic!("no JSON ({why}): {output:?}"));
    (output.status.code().expect("an exit"), report)
}

fn is_stone(document: &Document) -> bool {
    document.contains_key("_erased_at")
}

/// Alerts 0..80 are of the agents 001 to 040, two each.
fn filled(name: &str) -> Wazuh {
    let wazuh = Wazuh::new(name);
    let root = history(0..80);
    let filled = wazuh.run(&["backfill", &root]);
    assert!(filled.status.success(), "{filled:?}");
    wazuh
}

/// A folder with the day's archive of these alerts.
fn history(numbers: std::ops::Range<usize>) -> String {
    let root = scratch::fresh("archive");
    let text: String = numbers.map(|number| line(number) + "\n").collect();
    archive(&root, "2025/Jun/ossec-alerts-02.json", text);
    root.display().to_string()
}

/// Whether the bytes are in any file below.
fn is_on_disk(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return is_on_disk(&path, text);
            }
            let bytes = fs::read(&path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(text)
        })
}

#[test]
fn an_agent_is_gone_and_nothing_brings_it_back() {
    let wazuh = filled("erase_agent");
    let database = mongod::shared().database("erase_agent");
    for collection in ["agents", "software_inventory", "collect_state"] {
        let of = |agent: &str| {
            doc! { "_id": format!("{agent:0>32}"), "_site": "default", "_schema": 1_i64, "agent_id": agent }
        };
        put(&database, collection, &[of("005"), of("006")]);
    }
    // A copy that the Python service left, under another id; and an agent 005 of another site.
    put(&database, "alerts", &[alert(&line(44 + 40 * 3))]);
    let elsewhere = doc! { "_id": "north", "_site": "north", "_schema": 1_i64, "agent_id": "005" };
    put(&database, "alerts", std::slice::from_ref(&elsewhere));

    let before = all(&database, "alerts");
    let (status, dry) = erase(&wazuh, &["--agent", "005", "--dry-run"]);
    assert_eq!(
        (status, &dry["alerts"], &dry["agent_listed"]),
        (0, &3.into(), &false.into()),
        "{dry:#}"
    );
    assert_eq!(all(&database, "alerts"), before, "a dry run erases nothing");
    assert_eq!(database.list_collection_names().run().unwrap().len(), 4);

    let (status, report) = erase(&wazuh, &["--agent", "005"]);
    assert_eq!((status, &report["alerts"]), (0, &3.into()), "{report:#}");
    assert_eq!(
        report["inventory"],
        serde_json::json!({ "agents": 1, "collect_state": 1, "software_inventory": 1 })
    );
    let now = stored("erase_agent");
    let stones: Vec<&Document> = now.iter().filter(|one| is_stone(one)).collect();
    assert_eq!((now.len(), stones.len()), (82, 3));
    for stone in stones {
        let fields: Vec<&String> = stone.keys().collect();
        assert_eq!(
            fields,
            ["_id", "_erased_at", "_erasure", "_site", "_schema"],
            "{stone}"
        );
    }
    assert!(now.contains(&elsewhere));
    for collection in ["agents", "software_inventory", "collect_state"] {
        assert_eq!(all(&database, collection).len(), 1, "{collection}");
    }
    let record = all(&database, "erasures").remove(0);
    assert_eq!(record.get_str("agent").unwrap(), "005");
    assert!(record.get_datetime("finished_at").is_ok(), "{record}");

    // The hook again, the gap report and its repair, the whole archive, and the old copy's line.
    wazuh.call(line(4)).assert_yes();
    let root = history(0..80);
    let old = history(164..165);
    for arguments in [
        vec!["backfill", "--check", &root],
        vec!["backfill", "--repair", &root, &old],
        vec!["backfill", "--restart", &root, &old],
    ] {
        let output = wazuh.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert_eq!(stored("erase_agent"), now);
    assert_eq!(migrate_finds(&wazuh), 0);
}

fn migrate_finds(wazuh: &Wazuh) -> u64 {
    let report = wazuh.json("migrate --dry-run");
    report["alerts"]["found"].as_u64().expect("a number")
}

#[test]
fn the_api_shows_nothing_of_what_is_erased() {
    let (wazuh, service) = service("erase_api");
    for number in 0..41 {
        wazuh.call(line(number)).assert_yes();
    }
    let id =
        ask(&service, "/api/alerts?agent_id=001&fields=_id,id&limit=1")["data"][0]["_id"].clone();
    let id = id.as_str().unwrap();
    assert_eq!(erase(&wazuh, &["--agent", "1"]).1["alerts"], 2);
    for site in ["", "&site=default"] {
        let listed = ask(&service, &format!("/api/alerts?limit=0{site}"));
        assert_eq!(listed["data"].as_array().unwrap().len(), 39, "{site}");
        let counted = ask(&service, &format!("/api/alerts?limit=1&count=true{site}"));
        assert_eq!(counted["count"], 39, "{site} {counted}");
        let stats = ask(
            &service,
            &format!("/api/alerts/stats?since=2025-01-01T00:00:00Z&by=agent{site}"),
        );
        assert_eq!(
            stats["data"]["total"].as_i64().or(stats["total"].as_i64()),
            Some(39),
            "{stats}"
        );
    }
    assert_eq!(
        ask(&service, "/api/agents/001/alerts")["data"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let one = service.get(&format!("/api/alerts/{id}"), &[]);
    assert_eq!(one.status, 404, "{}", one.text());
    // Also where no index says which sites there are.
    let alerts = mongod::shared()
        .database("erase_api")
        .collection::<Document>("alerts");
    alerts.drop_indexes().run().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(16));
    let listed = ask(&service, "/api/alerts?limit=0");
    assert_eq!(listed["data"].as_array().unwrap().len(), 39);
}

#[test]
fn the_line_of_an_erased_alert_does_not_complete_its_stone() {
    let wazuh = Wazuh::new("erase_completion");
    let long = |log: &str| {
        let log = Json::Text(log.repeat(40));
        Json::read(&line(1)).with("full_log", log).to_string()
    };
    wazuh.call(long("x").get(..).unwrap()).assert_yes();
    assert_eq!(erase(&wazuh, &["--agent", "002"]).1["alerts"], 1);
    let before = stored("erase_completion");
    let root = scratch::fresh("archive");
    archive(
        &root,
        "2025/Jun/ossec-alerts-02.json",
        long("xxxxxx") + "\n",
    );
    let output = wazuh.run(&["backfill", &root.display().to_string()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stored("erase_completion"), before);
}

#[test]
fn a_person_is_found_by_field_or_anywhere_and_the_record_does_not_name_them() {
    let wazuh = Wazuh::new("erase_person");
    let database = mongod::shared().database("erase_person");
    let of = |number: usize, user: &str, log: &str| {
        Json::read(&line(number))
            .with("data", Json::read(&format!(r#"{{"dstuser":"{user}"}}"#)))
            .with("full_log", Json::Text(log.to_owned()))
            .to_string()
    };
    wazuh.call(of(1, "alice", "login")).assert_yes();
    wazuh.call(of(2, "malice", "login")).assert_yes();
    wazuh
        .call(of(3, "bob", "mail to Alice@Example.org sent"))
        .assert_yes();
    let user = doc! { "_id": "u1", "_site": "default", "_schema": 1_i64, "agent_id": "001", "user": { "name": "alice" } };
    put(&database, "users", &[user]);

    let queries = [
        "--query",
        "data.dstuser=alice",
        "--query",
        "*=alice@example.org",
        "--query",
        "user.name=alice",
    ];
    let (status, report) = erase(&wazuh, &queries);
    assert_eq!((status, &report["alerts"]), (0, &2.into()), "{report:#}");
    assert_eq!(report["inventory"], serde_json::json!({ "users": 1 }));
    assert_eq!(report["days"], serde_json::json!(["2025-06-02"]));
    let now = stored("erase_person");
    assert_eq!(now.iter().filter(|one| is_stone(one)).count(), 2);
    assert!(now.iter().any(|one| one.to_string().contains("malice")));
    let record = all(&database, "erasures").remove(0).to_string();
    assert!(!record.to_lowercase().contains("alice"), "{record}");
    assert!(
        record.contains("data.dstuser") && record.contains("sha256"),
        "{record}"
    );
}

/// An alert that MongoDB refuses.
fn refused() -> String {
    let alert = Json::read(&at(7, "2025-06-03T10:00:00.000+0000"));
    let rule = Json::read(r#"{"level":13}"#);
    alert.with("rule", rule).to_string()
}

/// A home with that alert and something that is none as dead letters, and another alert in its spool.
fn with_something_on_disk(name: &str) -> Wazuh {
    let wazuh = Wazuh::new(name);
    let rules = doc! { "rule.level": { "$ne": 13 } };
    let database = mongod::shared().database(name);
    let alerts = database.create_collection("alerts").validator(rules);
    alerts.run().unwrap();
    wazuh.call(refused()).assert_no(1, &wazuh);
    wazuh.call("not json but of ec2-user").assert_no(7, &wazuh);
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    wazuh.call(line(1)).assert_yes();
    wazuh.settings("");
    assert_eq!(wazuh.pending(), 1);
    wazuh
}

#[test]
fn the_spool_and_the_dead_letters_of_this_host_are_searched_too() {
    let wazuh = with_something_on_disk("erase_spool");
    let (status, report) = erase(&wazuh, &["--query", "*=ec2-user"]);
    let counts = ["drained", "alerts", "dead_letters"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1], "{report:#}");
    // What is no alert is left to people.
    assert_eq!(status, 3);
    let unclear = report["unclear_dead_letters"][0].as_str().unwrap();
    let dropped = wazuh.run(&["spool", "dead", "drop", unclear]);
    assert!(dropped.status.success(), "{dropped:?}");
    let is_left = is_on_disk(&wazuh.state(), "ec2-user");
    assert!(!is_left, "bytes of a delivered alert are left");

    let (status, report) = erase(&wazuh, &["--query", "*=ec2-user"]);
    assert_eq!((status, &report["alerts"]), (0, &0.into()), "{report:#}");
    let now = stored("erase_spool");
    assert_eq!(now.iter().filter(|one| is_stone(one)).count(), 2);
    wazuh.call(line(1)).assert_yes();
    assert_eq!(stored("erase_spool"), now);
}

#[test]
fn it_names_the_files_of_wazuh_that_still_hold_the_alerts() {
    let wazuh = Wazuh::new("erase_files");
    wazuh.call(line(1)).assert_yes();
    let logs = wazuh.home.join("logs");
    archive(
        &logs.join("alerts"),
        "2025/Jun/ossec-alerts-02.json.gz",
        b"",
    );
    archive(
        &logs.join("alerts"),
        "2025/Jun/ossec-alerts-03.json.gz",
        b"",
    );
    archive(
        &logs.join("archives"),
        "2025/Jun/ossec-archive-02.json",
        b"",
    );
    let report = erase(&wazuh, &["--agent", "002"]).1;
    let files = report["wazuh_files"].as_array().unwrap().iter();
    let names: Vec<&str> = files
        .map(|file| file.as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["ossec-alerts-02.json.gz", "ossec-archive-02.json"]);
}

#[test]
fn it_wants_to_know_whose_data() {
    let wazuh = Wazuh::new("erase_usage");
    for arguments in [
        vec!["erase"],
        vec!["erase", "--agent", "001", "--query", "a=b"],
        vec!["erase", "--query", "alice"],
    ] {
        let output = wazuh.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
