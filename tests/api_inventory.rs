//! Agents and their inventory: every kind, its age, its past.

use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::sync::Database;
use serde_json::json;

use crate::api_data::{ask, column, now, reads, service};
use crate::mongod;
use crate::service::Service;
use crate::wazuh::Wazuh;

const CHECKED: i64 = 1_748_872_043_199;

/// Names in paths, and collections.
const KINDS: [(&str, &str); 17] = [
    ("osinfo", "os_info"),
    ("software", "software_inventory"),
    ("hotfixes", "hotfixes"),
    ("syscheck", "syscheck"),
    ("hardware", "hardware"),
    ("network_interfaces", "network_interfaces"),
    ("network_addresses", "network_addresses"),
    ("network_protocols", "network_protocols"),
    ("users", "users"),
    ("groups", "groups"),
    ("services", "services"),
    ("browser_extensions", "browser_extensions"),
    ("ports", "ports"),
    ("processes", "processes"),
    ("sca_policies", "sca_policies"),
    ("sca_checks", "sca_checks"),
    ("rootcheck", "rootcheck"),
];

/// A row as `collect` stores it.
pub(crate) fn row(site: &str, agent: &str, name: &str, version: &str) -> Document {
    doc! {
        "_id": format!("{site}{agent}{name}{version}"), "_site": site, "agent_id": agent, "name": name,
        "version": version, "log_type": "software_inventory", "_fetched_at": DateTime::from_millis(CHECKED),
    }
}

fn removed(mut row: Document) -> Document {
    row.insert("_removed_at", DateTime::from_millis(CHECKED));
    row
}

pub(crate) fn state(site: &str, agent: &str, kind: &str, digest: &str) -> Document {
    doc! {
        "_id": format!("{site}{agent}{kind}"), "_site": site, "agent_id": agent, "kind": kind,
        "checked_at": DateTime::from_millis(CHECKED), "read_at": DateTime::from_millis(CHECKED - 1000),
        "complete": true, "count": 3_i64, "digest": digest,
    }
}

pub(crate) fn put(database: &Database, collection: &str, documents: &[Document]) {
    database
        .collection::<Document>(collection)
        .insert_many(documents)
        .run()
        .unwrap();
}

#[test]
fn inventory_comes_with_its_age_and_its_past() {
    let (_home, service) = service("api_inventory");
    let database = mongod::shared().database("api_inventory");
    let mut odd = row("default", "001", "a", "0");
    odd.insert("name", Bson::Null);
    let rows = [
        row("default", "001", "zlib", "1.3"),
        row("default", "001", "bash", "5.2"),
        removed(row("default", "001", "curl", "7.88")),
        row("default", "002", "curl", "8.0"),
        odd,
    ];
    put(&database, "software_inventory", &rows);
    put(
        &database,
        "collect_state",
        &[state("default", "001", "software", "ab")],
    );

    let answer = ask(&service, "/api/agents/001/software");
    assert_eq!(column(&answer, "name"), ["bash", "zlib", "-"]);
    let fresh = &answer["freshness"][0];
    assert_eq!(fresh["checked_at"], "2025-06-02T13:47:23.199Z");
    assert_eq!(
        (&fresh["complete"], &fresh["count"], &fresh["site"]),
        (&json!(true), &json!(3), &json!("default"))
    );
    let age = (now() - CHECKED) / 1000;
    assert!(
        (fresh["age_seconds"].as_i64().unwrap() - age).abs() < 60,
        "{fresh}"
    );
    assert_eq!(
        column(
            &ask(&service, "/api/agents/001/software?history=true"),
            "name"
        ),
        ["bash", "curl", "zlib", "-"]
    );
    let (mut seen, mut next) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = ask(&service, &format!("/api/agents/001/software?limit=1{next}"));
        seen.extend(column(&page, "name"));
        next = format!("&next={}", page["next"].as_str().unwrap_or_default());
        if page["next"].is_null() {
            break;
        }
    }
    assert_eq!(seen, ["bash", "zlib", "-"]);
    assert_eq!(ask(&service, "/api/agents/777/software")["data"], json!([]));
}

#[test]
fn who_has_a_package_is_known_for_the_whole_fleet() {
    let (_home, service) = service("api_fleet");
    let rows = [
        removed(row("default", "001", "curl", "7.88")),
        row("default", "002", "curl", "8.0"),
        row("default", "002", "bash", "5.2"),
    ];
    let database = mongod::shared().database("api_fleet");
    put(&database, "software_inventory", &rows);
    assert_eq!(
        column(&ask(&service, "/api/software?name=curl"), "agent_id"),
        ["002"]
    );
    assert_eq!(
        column(
            &ask(&service, "/api/software?name=curl&history=1"),
            "agent_id"
        ),
        ["001", "002"]
    );
    assert_eq!(
        column(
            &ask(&service, "/api/software?name=curl&version=9"),
            "agent_id"
        ),
        Vec::<String>::new()
    );
}

#[test]
fn every_kind_has_a_path() {
    let (_home, service) = service("api_kinds");
    let database = mongod::shared().database("api_kinds");
    for (kind, collection) in KINDS {
        // Without a site, as the Python service stored it.
        put(
            &database,
            collection,
            &[doc! { "agent_id": "001", "from": kind }],
        );
        put(
            &database,
            collection,
            &[doc! { "agent_id": "001", "from": kind, "_site": "default" }],
        );
        let path = format!("/api/agents/001/{kind}");
        assert_eq!(
            column(&ask(&service, &path), "from"),
            [kind, kind],
            "{kind}"
        );
        let page = ask(&service, &format!("{path}?limit=1&site=default"));
        let next = page["next"].as_str().expect("a second page");
        let second = ask(
            &service,
            &format!("{path}?limit=1&site=default&next={next}"),
        );
        assert_eq!(
            (column(&second, "from"), &second["next"]),
            (vec![kind.to_owned()], &json!(null)),
            "{kind}"
        );
    }
    let date = |seconds: i64| DateTime::from_millis(seconds * 1000);
    let files = [
        doc! { "agent_id": "003", "path": "old", "mtime": date(1) },
        doc! { "agent_id": "003", "path": "new", "mtime": date(9) },
        doc! { "agent_id": "003", "path": "text", "mtime": "2025-06-02T00:00:00Z" },
        doc! { "agent_id": "003", "path": "later text", "mtime": "2025-06-03T00:00:00Z" },
    ];
    put(&database, "syscheck", &files);
    let expected = ["new", "old", "later text", "text"];
    assert_eq!(
        column(&ask(&service, "/api/agents/003/syscheck"), "path"),
        expected
    );
}

#[test]
fn who_has_an_answer_already_gets_no_second_one() {
    let (_home, service) = service("api_etag");
    let database = mongod::shared().database("api_etag");
    put(
        &database,
        "agents",
        &[doc! { "agent_id": "001", "status": "active", "_site": "default" }],
    );
    put(
        &database,
        "software_inventory",
        &[row("default", "001", "bash", "5.2")],
    );
    put(
        &database,
        "os_info",
        &[doc! { "agent_id": "001", "_site": "default", "os": "Debian" }],
    );
    put(
        &database,
        "collect_state",
        &[
            state("default", "001", "software", "ab"),
            state("default", "001", "osinfo", "cd"),
        ],
    );
    for path in [
        "/api/agents",
        "/api/agents/001/software",
        "/api/agents/001/osinfo",
    ] {
        let first = service.get(path, &[]);
        let etag = first
            .header("etag")
            .unwrap_or_else(|| panic!("{path}: {first:?}"))
            .to_owned();
        let again = service.get(path, &[("if-none-match", &format!("\"x\", {etag}"))]);
        assert_eq!(
            (again.status, again.header("etag"), again.body.len()),
            (304, Some(etag.as_str()), 0),
            "{path}"
        );
        let other = service.get(
            &format!("{path}?fields=agent_id"),
            &[("if-none-match", &etag)],
        );
        assert_eq!(other.status, 200, "{path}: another answer");
        assert_eq!(service.get(path, &[("if-none-match", "\"x\"")]).status, 200);
        set(&database, "disconnected", "ef");
        let changed = service.get(path, &[("if-none-match", &etag)]);
        assert_eq!(changed.status, 200, "{path}: it changed");
        set(&database, "active", "ab");
    }
    let past = service.get("/api/agents/001/software?history=true", &[]);
    assert_eq!(past.header("etag"), None);
}

fn set(database: &Database, status: &str, digest: &str) {
    for collection in ["agents", "collect_state"] {
        let set = doc! { "$set": { "status": status, "digest": digest } };
        let collection = database.collection::<Document>(collection);
        collection.update_many(doc! {}, set).run().unwrap();
    }
}

#[test]
fn agents_that_have_vanished_are_the_past() {
    let (_home, service) = service("api_agents");
    let database = mongod::shared().database("api_agents");
    let agent =
        |id: &str, status: &str| doc! { "agent_id": id, "status": status, "_site": "default" };
    put(
        &database,
        "agents",
        &[
            agent("002", "active"),
            agent("001", "disconnected"),
            removed(agent("003", "active")),
        ],
    );
    assert_eq!(
        column(&ask(&service, "/api/agents"), "agent_id"),
        ["001", "002"]
    );
    assert_eq!(
        column(&ask(&service, "/api/agents?history=true"), "agent_id"),
        ["001", "002", "003"]
    );
    assert_eq!(
        column(&ask(&service, "/api/agents?status=active"), "agent_id"),
        ["002"]
    );
    assert_eq!(
        column(&ask(&service, "/api/agents/002"), "status"),
        ["active"]
    );
    assert_eq!(service.get("/api/agents/003", &[]).status, 404);
    assert_eq!(
        column(&ask(&service, "/api/agents/003?history=true"), "status"),
        ["active"]
    );
    put(
        &database,
        "collect_state",
        &[state("default", "*", "agents", "ab")],
    );
    for path in ["/api/agents", "/api/agents/002"] {
        let fresh = &ask(&service, path)["freshness"][0];
        assert_eq!(fresh["checked_at"], "2025-06-02T13:47:23.199Z", "{path}");
    }
    let run = |at: i64| doc! { "_site": "default", "started_at": DateTime::from_millis(at), "outcome": at.to_string() };
    put(&database, "collect_runs", &[run(1), run(3), run(2)]);
    assert_eq!(
        column(&ask(&service, "/api/collect/runs"), "outcome"),
        ["3", "2", "1"]
    );
    assert_eq!(
        column(
            &ask(&service, "/api/collect/runs?limit=1&site=default"),
            "outcome"
        ),
        ["3"]
    );
    assert_eq!(
        ask(&service, "/api/collect/runs?site=north")["data"],
        json!([])
    );
}

#[test]
fn runs_are_shown_for_a_site_and_read_from_an_index() {
    let database = mongod::shared().database("api_runs_site");
    let run = |number: i64| {
        let site = if number % 50 == 0 { "paris" } else { "default" };
        doc! { "_site": site, "started_at": DateTime::from_millis(CHECKED + number), "outcome": "complete" }
    };
    let runs: Vec<Document> = (0..1000).map(run).collect();
    put(&database, "agents", &[row("default", "001", "a", "1")]);
    let home = Wazuh::new("api_runs_site");
    let service = Service::start(&home);
    let collection = database.collection::<Document>("collect_runs");
    let are_there = || {
        collection
            .list_index_names()
            .run()
            .is_ok_and(|names| names.len() > 2)
    };
    while !are_there() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    put(&database, "collect_runs", &runs);
    let (read, answer) = reads(&database, || {
        ask(&service, "/api/collect/runs?site=paris&limit=5")
    });
    assert_eq!(column(&answer, "_site"), ["paris"; 5]);
    assert!(read <= 110, "{read}");
}
