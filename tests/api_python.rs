//! A database that the Python service filled: the same answers at the same paths, also beside new ones.

use std::collections::HashSet;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::sync::Database;

use crate::api_data::{ask, column, fill, now, right, service};
use crate::api_pages::walk;
use crate::mongod;
use crate::service::Service;

/// As the Python service stored it: Wazuh's id or MongoDB's own, and the time as a text.
fn python(number: i32, agent: &str, risk: &str) -> Document {
    let time = format!(
        "2025-06-02T21:{:02}:{:02}.000+0800",
        number / 60,
        number % 60
    );
    let mut alert = doc! {
        "timestamp": time, "rule": { "level": 5, "description": "x" }, "agent": { "id": agent },
        "id": format!("1748872{number:03}.1"), "agent_id": agent, "_risk_score": risk,
        "_assessment_category": "configuration", "_processed_at": DateTime::from_millis(1_748_872_043_199),
    };
    if number % 2 == 0 {
        alert.insert("_id", ObjectId::new());
    } else {
        alert.insert("_id", format!("1748872{number:03}.1"));
    }
    alert
}

fn pythons() -> Vec<Document> {
    let agents = ["001", "002"];
    let risks = ["low", "high", "critical"];
    let of = |number: usize| {
        let place = i32::try_from(number).unwrap();
        python(place, agents[number % 2], risks[number % 3])
    };
    (0..250).map(of).collect()
}

#[test]
fn a_database_of_the_python_service_gives_the_same_answers() {
    let (_home, service) = service("api_python");
    let database = mongod::shared().database("api_python");
    let alerts = pythons();
    database
        .collection::<Document>("alerts")
        .insert_many(&alerts)
        .run()
        .unwrap();
    let time = |alert: &Document| alert.get_str("timestamp").unwrap().to_owned();
    let mut expected: Vec<String> = alerts.iter().map(time).collect();
    expected.sort();
    expected.reverse();

    let answer = ask(&service, "/api/alerts");
    assert_eq!(answer["status"], "success");
    assert_eq!(column(&answer, "timestamp"), expected[..100]);
    assert!(
        answer["data"][0].get("_id").is_none(),
        "{}",
        answer["data"][0]
    );
    assert_eq!(
        answer["data"][0]["_processed_at"],
        "2025-06-02T13:47:23.199Z"
    );
    assert_eq!(
        column(
            &ask(&service, "/api/alerts?limit=3&risk_score=&agent_id="),
            "timestamp"
        ),
        expected[..3]
    );
    let of_agent = |agent: &str, risk: Option<&str>| -> Vec<String> {
        let wanted = |alert: &&Document| {
            alert.get_str("agent_id").is_ok_and(|id| id == agent)
                && risk.is_none_or(|risk| alert.get_str("_risk_score").unwrap() == risk)
        };
        let mut found: Vec<String> = alerts.iter().filter(wanted).map(time).collect();
        found.sort();
        found.reverse();
        found
    };
    let all = ask(&service, "/api/agents/002/alerts");
    assert_eq!(column(&all, "timestamp"), of_agent("002", None));
    let some = ask(
        &service,
        "/api/alerts?agent_id=001&risk_score=critical&limit=500",
    );
    assert_eq!(
        column(&some, "timestamp"),
        of_agent("001", Some("critical"))
    );
    assert_eq!(
        ask(&service, "/api/agents/777/alerts")["data"],
        serde_json::json!([])
    );
    mixes_with_new_ones(&service, &database, &alerts, &expected);
}

fn mixes_with_new_ones(
    service: &Service,
    database: &Database,
    alerts: &[Document],
    expected: &[String],
) {
    // Pages of them, too, whatever their ids are.
    assert_eq!(walk(service, "/api/alerts?limit=7", "timestamp"), expected);
    // Their time is found although it is only a text.
    let since = "2025-06-02T21:02:00.000%2B0800";
    let late = ask(service, &format!("/api/alerts?limit=500&since={since}"));
    let wanted: Vec<&String> = expected
        .iter()
        .filter(|time| time.as_str() >= "2025-06-02T21:02:00")
        .collect();
    assert_eq!(
        column(&late, "timestamp").iter().collect::<Vec<_>>(),
        wanted
    );

    // New alerts come before those without a date, each once.
    let fresh = fill(database, 30, now());
    let mixed = walk(service, "/api/alerts?limit=9&with_id=true", "_id");
    assert_eq!(mixed.len(), 280);
    assert_eq!(mixed[..30], right(&fresh, &[]));
    assert_eq!(mixed.iter().collect::<HashSet<_>>().len(), 280);
    let id = alerts[0].get_object_id("_id").unwrap().to_hex();
    assert_eq!(
        ask(service, &format!("/api/alerts/{id}"))["data"]["_id"],
        id
    );
}
