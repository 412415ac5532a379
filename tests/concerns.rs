//! What the connection string says of reading counts; what MongoDB has not confirmed is not stored;
//! and an election costs nobody an answer.

use mongodb::bson::{Document, doc};

use crate::api_data::{ask, column, fill, now, wait_for_indexes};
use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::{Wazuh, alerts, numbered, stored};

/// What questions about alerts mongod was asked meanwhile, by its own profiler.
fn asked(database: &mongodb::sync::Database, work: impl FnOnce()) -> Vec<Document> {
    let profile = |level: i32| {
        database
            .run_command(doc! { "profile": level })
            .run()
            .unwrap()
    };
    profile(2);
    work();
    profile(0);
    let there = |name: &str| doc! { format!("command.{name}"): "alerts" };
    let kinds = ["find", "aggregate", "count", "distinct"].map(there);
    let profile = database.collection::<Document>("system.profile");
    let found = profile.find(
        doc! { "appName": "custom-mongo", "op": { "$ne": "getmore" }, "$or": kinds.to_vec() },
    );
    let command = |one: Document| one.get_document("command").unwrap().clone();
    found
        .run()
        .unwrap()
        .map(|one| command(one.unwrap()))
        .collect()
}

#[test]
fn questions_go_where_the_connection_string_sends_them() {
    let server = mongod::shared();
    let options = "readPreference=secondaryPreferred&readConcernLevel=majority";
    let wazuh = Wazuh::with_uri(&format!("{}&{options}", server.uri()), "concerns_read");
    let database = server.database("concerns_read");
    let service = Service::start(&wazuh);
    wait_for_indexes(&database);
    fill(&database, 10, now());
    let asked = asked(&database, || {
        ask(&service, "/api/alerts?limit=5");
        ask(&service, "/api/alerts?limit=1&count=true");
        ask(&service, "/api/alerts/stats");
    });
    assert!(asked.len() > 2, "{asked:?}");
    for command in asked {
        let preference = command.get_document("$readPreference");
        let preference = preference.and_then(|one| one.get_str("mode")).ok();
        assert_eq!(preference, Some("secondaryPreferred"), "{command}");
        let concern = command.get_document("readConcern");
        let level = concern.and_then(|one| one.get_str("level")).ok();
        assert_eq!(level, Some("majority"), "{command}");
    }
}

#[test]
fn what_is_not_confirmed_waits_in_the_spool() {
    let server = mongod::shared();
    // A concern that this set does not have: it writes, and confirms nothing.
    let wazuh = Wazuh::with_uri(&format!("{}&w=nowhere", server.uri()), "concerns_write");
    wazuh.settings("[delivery]\ndeadline = \"30 s\"\n");
    // On an empty collection the indexes would come first.
    let other = doc! { "_id": "somebody's" };
    alerts(server, "concerns_write")
        .insert_one(other)
        .run()
        .unwrap();
    wazuh.call(numbered(0).to_string()).assert_yes();
    assert_eq!((stored("concerns_write").len(), wazuh.pending()), (2, 1));
    let drain = wazuh.run(&["spool", "drain"]);
    assert_eq!(drain.status.code(), Some(1), "{drain:?}");
    assert_eq!(wazuh.pending(), 1);
}

#[test]
fn an_election_costs_nobody_an_answer() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "concerns_election");
    let database = server.database("concerns_election");
    let service = Service::start(&wazuh);
    wait_for_indexes(&database);
    fill(&database, 10, now());
    for _ in 0..2 {
        let question = "/api/alerts?limit=5";
        ask(&service, question);
        let step_down =
            doc! { "replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": true };
        server.admin(step_down);
        assert_eq!(column(&ask(&service, question), "_id").len(), 5);
    }
}
