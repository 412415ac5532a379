//! `watch agents`: who needs a look, as a table, on a terminal again and again.

use mongodb::bson::{DateTime, Document, doc};
use mongodb::sync::Database;
use serde_json::Value;

use crate::api_data::{insert, now};
use crate::mongod;
use crate::terminal::{INTERRUPT, Terminal, unpainted};
use crate::wazuh::Wazuh;

const HOUR: i64 = 3_600_000;

fn agent(id: &str, status: &str) -> Document {
    let group = if id == "003" {
        vec!["web", "linux"]
    } else {
        vec!["default"]
    };
    doc! {
        "_id": format!("agent{id}"), "_site": "default", "agent_id": id, "name": format!("host-{id}"),
        "status": status, "os": { "name": "Debian", "version": "12" }, "version": "Wazuh v4.14.0",
        "group": group, "lastKeepAlive": DateTime::from_millis(now() - 90_000),
    }
}

fn state(id: &str, kind: &str, hours: i64) -> Document {
    doc! {
        "_id": format!("{id}{kind}"), "_site": "default", "agent_id": id, "kind": kind,
        "checked_at": DateTime::from_millis(now() - hours * HOUR), "complete": true, "count": 1_i64,
    }
}

fn put(database: &Database, name: &str, documents: Vec<Document>) {
    database
        .collection::<Document>(name)
        .insert_many(documents)
        .run()
        .unwrap();
}

fn fleet(name: &str) -> Wazuh {
    let database = mongod::shared().database(name);
    let mut vanished = agent("009", "disconnected");
    vanished.insert("_removed_at", DateTime::now());
    put(
        &database,
        "agents",
        vec![
            agent("001", "active"),
            agent("002", "active"),
            agent("003", "disconnected"),
            agent("004", "never_connected"),
            agent("005", "active"),
            vanished,
        ],
    );
    let mut failed = state("001", "osinfo", 1);
    failed.insert("failure", "timeout");
    put(
        &database,
        "collect_state",
        vec![
            state("*", "agents", 90),
            state("001", "software", 3),
            failed,
            state("002", "software", 5),
            state("002", "osinfo", 30),
            state("005", "software", 2),
        ],
    );
    let mut known = crate::api_data::Known::made(0, now(), &mut crate::api_data::Dice::new());
    "002".clone_into(&mut known.agent);
    known.site = "default";
    let mut old = known.clone();
    (old.id, old.time) = ("old".to_owned(), now() - 2 * HOUR);
    insert(&database, &[known, old]);
    Wazuh::new(name)
}

#[test]
fn a_pipe_gets_the_table_once_the_worst_first() {
    let wazuh = fleet("agents_once");
    let output = wazuh.run(&["watch", "agents"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| {
            let cells = line.split("  ").map(str::trim);
            cells.filter(|cell| !cell.is_empty()).collect()
        })
        .collect();
    let ids: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(ids, ["AGENT", "003", "004", "001", "002", "005"], "{text}");
    // It was 90 seconds ago when the test began.
    let heard = rows[4][4];
    let seconds: u32 = heard.trim_end_matches(" s").parse().expect(heard);
    assert!((90..120).contains(&seconds), "{text}");
    assert_eq!(
        rows[4],
        [
            "002",
            "host-002",
            "active",
            "30 h",
            heard,
            "1",
            "Debian 12",
            "v4.14.0",
            "default"
        ]
    );
    assert_eq!(rows[3][3], "3 h, 1 failed", "{text}");
    assert_eq!(rows[1][3], "none", "{text}");
    assert_eq!(rows[1].last(), Some(&"web,linux"), "{text}");
}

#[test]
fn scripts_get_the_same_as_json() {
    let wazuh = fleet("agents_json");
    let all = wazuh.json("watch agents");
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 5);
    let second: &Value = &all[3];
    assert_eq!(second["agent_id"], "002");
    assert_eq!(second["alerts_last_hour"], 1);
    assert_eq!(second["inventory_age_seconds"].as_i64().unwrap() / 3600, 30);
    assert_eq!(second["groups"], serde_json::json!(["default"]));
    assert!(second["last_keep_alive"].as_str().unwrap().ends_with('Z'));
    let some = wazuh.json("watch agents --status never_connected");
    assert_eq!(some.as_array().unwrap().len(), 1, "{some}");
    let none = wazuh.json("watch agents --site paris");
    assert_eq!(none, serde_json::json!([]));
}

#[test]
fn a_terminal_gets_a_screen_of_its_own_and_its_own_one_back() {
    let wazuh = fleet("agents_terminal");
    let mut terminal = Terminal::start(&wazuh, "", "watch agents --interval 1s", (80, 24));
    let text = terminal.wait_for("host-005");
    assert!(text.starts_with("\x1b[?1049h\x1b[?25l"), "{text:?}");
    assert!(text.contains("5 agents: 1 disconnected, 1 never_connected, 3 active"));
    assert!(text.contains("\x1b[1;31mdisconnected"), "{text:?}");
    let agents = mongod::shared()
        .database("agents_terminal")
        .collection::<Document>("agents");
    let back = doc! { "$set": { "status": "active" } };
    agents
        .update_one(doc! { "agent_id": "003" }, back)
        .run()
        .unwrap();
    let text = terminal.wait_for("1 never_connected, 4 active");
    let (plain, _) = unpainted(&text);
    assert!(
        plain
            .split("\r\r\n")
            .all(|line| line.trim_start().chars().count() < 80),
        "{plain:?}"
    );
    terminal.resize(40, 6);
    terminal.wait_for("… and");
    terminal.key(INTERRUPT);
    let (status, text) = terminal.end();
    assert_eq!(status, 0);
    assert!(text.ends_with("\x1b[?25h\x1b[?1049l"), "{text:?}");
}

#[test]
fn without_mongodb_a_pipe_gets_an_error_and_a_terminal_waits() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "agents_dead");
    let output = wazuh.run(&["watch", "agents"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let mut terminal = Terminal::start(&wazuh, "", "watch agents", (100, 24));
    terminal.wait_for("waiting for it");
    terminal.key(INTERRUPT);
    assert_eq!(terminal.end().0, 0);
}
