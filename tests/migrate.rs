//! `migrate`: what an older version or the Python service left becomes what this version writes;
//! nothing is lost, whenever it is killed, and nothing comes twice.

use std::fs;
use std::time::Duration;

use mongodb::IndexModel;
use mongodb::bson::{Document, doc, oid::ObjectId};
use mongodb::options::IndexOptions;
use serde_json::Value;

use crate::analysisd::{archive, line};
use crate::api_data::{ask, column, service};
use crate::mongod;
use crate::python_service::{agent, alert, all, package, put};
use crate::scratch;
use crate::wazuh::{Wazuh, stored};

mod beside;
mod careful;

/// The report, and the exit status.
#[track_caller]
fn migrate(wazuh: &Wazuh, arguments: &[&str]) -> (i32, Value) {
    let all = [&["migrate", "--format", "json"], arguments].concat();
    let output = wazuh.run(&all);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|why| panic!("no JSON ({why}): {output:?}"));
    (output.status.code().expect("an exit"), report)
}

/// The document with this text in `id`.
fn by_wazuh_id(documents: &[Document], id: &str) -> Document {
    let mut found = documents
        .iter()
        .filter(|one| one.get_str("id").ok() == Some(id));
    let one = found.next().unwrap_or_else(|| panic!("{id} is lost"));
    assert!(found.next().is_none(), "{id} is there twice");
    one.clone()
}

/// Thirty alerts, two of which the hook has brought as well, some with what people added, and a
/// document that is no alert.
fn python_database(name: &str) -> (Wazuh, Vec<Document>) {
    let wazuh = Wazuh::new(name);
    let mut old: Vec<Document> = (0..30).map(|number| alert(&line(number))).collect();
    old[3].insert("ticket", doc! { "number": 4711, "by": ObjectId::new() });
    old[7].insert("verdict", "false positive");
    old[8].insert("_id", ObjectId::new());
    old.push(doc! { "_id": "settings", "colour": "blue" });
    put(&mongod::shared().database(name), "alerts", &old);
    wazuh.call(line(7)).assert_yes();
    wazuh.call(line(9)).assert_yes();
    (wazuh, old)
}

/// These counts of the alerts.
fn counts<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| report["alerts"][name].as_u64().expect("a number"))
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let (wazuh, _) = python_database("migrate_dry");
    let database = mongod::shared().database("migrate_dry");
    let before = all(&database, "alerts");
    let (status, report) = migrate(&wazuh, &["--dry-run"]);
    assert_eq!(
        (status, &report["dry_run"]),
        (3, &true.into()),
        "{report:#}"
    );
    let found = counts(&report, ["found", "converted", "already_there", "kept"]);
    assert_eq!(found, [31, 30, 2, 1], "{report:#}");
    assert_eq!(report["alerts"]["kept_examples"][0]["id"], "settings");
    assert_eq!(report["indexes"]["missing"].as_array().unwrap().len(), 8);
    assert_eq!(all(&database, "alerts"), before);
    let alerts = database.collection::<Document>("alerts");
    assert_eq!(alerts.list_index_names().run().unwrap(), ["_id_"]);
}

#[test]
fn alerts_of_the_python_service_become_ours_and_nothing_is_lost() {
    let (wazuh, old) = python_database("migrate_alerts");
    let (status, report) = migrate(&wazuh, &[]);
    let done = counts(&report, ["converted", "already_there", "merged", "kept"]);
    assert_eq!((status, done), (3, [28, 2, 1, 1]), "{report:#}");
    let now = stored("migrate_alerts");
    assert_eq!(now.len(), 31);
    for (number, old) in old.iter().take(30).enumerate() {
        let new = by_wazuh_id(&now, &format!("1748872000.{number}"));
        assert_eq!(new.get_str("_id").unwrap().len(), 32, "{new}");
        let time = new.get_datetime("_timestamp").unwrap();
        assert_eq!(time.timestamp_millis(), 1_748_872_043_199);
        assert_eq!(new.get_str("_site").unwrap(), "default");
        for name in ["full_log", "location", "id", "timestamp"] {
            assert_eq!(new.get(name), old.get(name), "{name}");
        }
    }
    let with = |number: usize| by_wazuh_id(&now, &format!("1748872000.{number}"));
    let (ticket, before) = (with(3), old[3].get_document("ticket").unwrap());
    let ticket = ticket.get_document("ticket").unwrap();
    assert_eq!(ticket.get_i64("number").unwrap(), 4711);
    assert_eq!(ticket.get("by"), before.get("by"));
    assert_eq!(with(7).get_str("verdict").unwrap(), "false positive");
    assert_eq!(with(7).get_str("_source").unwrap(), "hook");
    let original = with(8);
    let original = original.get_document("_original").unwrap();
    assert_eq!(original.get("_id"), old[8].get("_id"));
    assert!(now.contains(&old[30]));
}

#[test]
fn what_was_converted_is_the_alert_that_wazuhs_own_files_hold() {
    let (wazuh, _) = python_database("migrate_again");
    migrate(&wazuh, &[]);
    let root = scratch::fresh("archive");
    let text: String = (0..30).map(|number| line(number) + "\n").collect();
    archive(&root, "2025/Jun/ossec-alerts-02.json", text);
    let root = root.display().to_string();
    let filled = wazuh.run(&["backfill", &root, "--format", "json"]);
    let filled: Value = serde_json::from_slice(&filled.stdout).unwrap();
    let seen = (&filled["stored"], &filled["already_there"]);
    assert_eq!(seen, (&0.into(), &30.into()), "{filled}");
    let (status, report) = migrate(&wazuh, &[]);
    assert_eq!((status, counts(&report, ["found", "kept"])), (3, [1, 1]));
    assert_eq!(stored("migrate_again").len(), 31);
}

#[test]
fn what_two_copies_say_differently_is_kept_for_people_to_decide() {
    let wazuh = Wazuh::new("migrate_conflict");
    let database = mongod::shared().database("migrate_conflict");
    let mut old = alert(&line(1));
    old.insert("full_log", "changed by hand");
    put(&database, "alerts", &[old]);
    wazuh.call(line(1)).assert_yes();
    assert_eq!(migrate(&wazuh, &[]).0, 0);
    let one = crate::wazuh::only("migrate_conflict");
    assert!(one.get_str("full_log").unwrap().contains("Invalid user"));
    let copies = one.get_array("_before_migration").unwrap();
    let copy = copies[0].as_document().unwrap();
    assert_eq!(copy.get_str("full_log").unwrap(), "changed by hand");
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_the_next_run_goes_on() {
    const ALERTS: usize = 4000;
    let wazuh = Wazuh::new("migrate_killed");
    let database = mongod::shared().database("migrate_killed");
    let lines: Vec<Document> = (0..ALERTS).map(|number| alert(&line(number))).collect();
    put(&database, "alerts", &lines);
    let ids = || -> Vec<String> {
        let mut ids: Vec<String> = stored("migrate_killed")
            .iter()
            .map(|one| one.get_str("id").unwrap().to_owned())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let alerts = database.collection::<Document>("alerts");
    let new = doc! { "_schema": { "$exists": true } };
    let converted = || alerts.count_documents(new.clone()).run().unwrap();
    let mut cut = 0;
    for round in 0..6_u64 {
        let before = converted();
        let mut child = wazuh
            .command(&["migrate", "--rate", "3000", "-q"])
            .spawn()
            .unwrap();
        while converted() == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Somewhere in the first page, or behind it.
        std::thread::sleep(Duration::from_millis(9 * round));
        cut += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ids().len(), ALERTS, "after {round}");
    }
    assert!(cut > 2, "the test shows nothing");
    assert_eq!(migrate(&wazuh, &[]).0, 0);
    let now = stored("migrate_killed");
    assert_eq!(now.len(), ALERTS);
    assert_eq!(ids().len(), ALERTS);
    assert!(now.iter().all(|one| one.get_i64("_schema").is_ok()));
}

#[test]
fn inventory_of_the_python_service_is_set_aside_and_the_api_shows_ours_alone() {
    let (wazuh, service) = service("migrate_inventory");
    let database = mongod::shared().database("migrate_inventory");
    let agents = [agent("001", "a"), agent("001", "b"), agent("002", "c")];
    put(&database, "agents", &agents);
    let packages = [
        package("001", "openssl", "1"),
        package("001", "openssl", "2"),
    ];
    put(&database, "software_inventory", &packages);
    put(
        &database,
        "agents",
        &[doc! {
            "_id": "00000000000000000000000000000001", "_site": "default", "_schema": 1_i64,
            "agent_id": "001", "name": "host-001", "status": "active",
        }],
    );
    assert_eq!(
        ask(&service, "/api/agents")["data"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let (status, report) = migrate(&wazuh, &[]);
    assert_eq!(status, 0, "{report:#}");
    assert_eq!(report["inventory"][0]["moved"], 3, "{report:#}");
    assert_eq!(column(&ask(&service, "/api/agents"), "agent_id"), ["001"]);
    assert_eq!(
        column(&ask(&service, "/api/agents/001/software"), "name").len(),
        0
    );
    let mut kept = all(&database, "agents_python_service");
    kept.sort_by_key(|one| one.get_str("_log_hash").unwrap().to_owned());
    assert_eq!(kept, agents);
    assert_eq!(
        all(&database, "software_inventory_python_service"),
        packages
    );
    let output = wazuh.run(&["migrate"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(!said.contains("set aside"), "{said}");
}

#[test]
fn missing_indexes_are_built_and_those_of_older_versions_go() {
    let wazuh = Wazuh::new("migrate_indexes");
    let database = mongod::shared().database("migrate_indexes");
    put(&database, "alerts", &[alert(&line(1))]);
    put(&database, "software_inventory", &[package("001", "a", "1")]);
    let index = |name: &str, keys: Document| {
        let options = IndexOptions::builder().name(name.to_owned()).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let alerts = database.collection::<Document>("alerts");
    let older = [
        index("time", doc! { "_timestamp": -1, "_id": -1 }),
        index(
            "rule_time",
            doc! { "rule.id": 1, "_timestamp": -1, "_id": -1 },
        ),
        IndexModel::builder()
            .keys(doc! { "_site": 1, "rule.level": 1, "_timestamp": -1 })
            .options(
                IndexOptions::builder()
                    .name("site_level_time".to_owned())
                    .partial_filter_expression(doc! { "rule.level": { "$gte": 6 } })
                    .build(),
            )
            .build(),
        // Somebody's own, under the name of one of ours that is over.
        index("agent_time", doc! { "agent.name": 1, "timestamp": 1 }),
    ];
    alerts.create_indexes(older).run().unwrap();
    let dry = migrate(&wazuh, &["--dry-run"]).1;
    assert_eq!(
        dry["indexes"]["obsolete"].as_array().unwrap().len(),
        3,
        "{dry:#}"
    );
    assert_eq!(alerts.list_index_names().run().unwrap().len(), 5);

    let (status, report) = migrate(&wazuh, &[]);
    assert_eq!(status, 0, "{report:#}");
    let mut names = alerts.list_index_names().run().unwrap();
    names.sort_unstable();
    let expected = [
        "_id_",
        "agent_time",
        "expire",
        "site_agent_time",
        "site_group_time",
        "site_levels_time",
        "site_mitre_time",
        "site_risk_time",
        "site_rule_time",
        "site_time",
    ];
    assert_eq!(names, expected);
    let software = database.collection::<Document>("software_inventory");
    let names = software.list_index_names().run().unwrap();
    assert!(names.contains(&"agents_of_package".to_owned()), "{names:?}");
    let again = migrate(&wazuh, &["--dry-run"]).1;
    assert!(
        again["indexes"]["missing"].as_array().unwrap().is_empty(),
        "{again:#}"
    );
}

#[test]
fn an_index_that_another_one_keeps_out_is_named() {
    let wazuh = Wazuh::new("migrate_barred");
    let database = mongod::shared().database("migrate_barred");
    let alerts = database.collection::<Document>("alerts");
    let options = IndexOptions::builder().name("site_time".to_owned()).build();
    let own = IndexModel::builder()
        .keys(doc! { "mine": 1 })
        .options(options);
    alerts.create_index(own.build()).run().unwrap();
    let output = wazuh.run(&["migrate"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("index alerts.site_time cannot be built"),
        "{said}"
    );
    assert!(said.contains("rename or drop"), "{said}");
    assert_eq!(alerts.list_index_names().run().unwrap().len(), 9);
}

#[test]
fn the_python_service_was_of_one_site_and_it_may_be_named() {
    let wazuh = Wazuh::new("migrate_site");
    let database = mongod::shared().database("migrate_site");
    put(&database, "alerts", &[alert(&line(1)), alert(&line(2))]);
    let (status, report) = migrate(&wazuh, &["--site", "paris"]);
    assert_eq!(
        (status, &report["site"]),
        (0, &"paris".into()),
        "{report:#}"
    );
    wazuh.raw_settings(&format!(
        "site = \"paris\"\n{}",
        fs::read_to_string(wazuh.home.join("etc/custom-mongo.toml")).unwrap()
    ));
    wazuh.call(line(1)).assert_yes();
    assert_eq!(
        stored("migrate_site").len(),
        2,
        "the hook of that site knows it"
    );
}
