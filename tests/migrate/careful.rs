//! What is in the way of a migration costs nothing: a document that MongoDB refuses, an edit at the
//! same moment, what was erased.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};

use super::{by_wazuh_id, counts, migrate};
use crate::analysisd::line;
use crate::background::Background;
use crate::mongod;
use crate::python_service::{alert, put};
use crate::wazuh::{Wazuh, only, stored};

#[test]
fn what_mongodb_refuses_in_its_new_form_stays_in_its_old_one() {
    let wazuh = Wazuh::new("migrate_refused");
    let database = mongod::shared().database("migrate_refused");
    let old = [alert(&line(1)), alert(&line(2))];
    put(&database, "alerts", &old);
    // Somebody's own rule for an agent.
    let rule =
        doc! { "$or": [{ "agent_id": { "$ne": "003" } }, { "_schema": { "$exists": false } }] };
    let add = doc! { "collMod": "alerts", "validator": rule };
    database.run_command(add).run().unwrap();
    let (status, report) = migrate(&wazuh, &[]);
    let found = counts(&report, ["converted", "kept"]);
    assert_eq!((status, found), (3, [1, 1]), "{report:#}");
    let now = stored("migrate_refused");
    assert_eq!(now.len(), 2);
    assert!(now.contains(&old[1]), "{now:?}");
}

#[test]
fn what_was_erased_does_not_come_back_from_an_old_copy() {
    let wazuh = Wazuh::new("migrate_erased");
    wazuh.call(line(1)).assert_yes();
    let erased = wazuh.run(&["erase", "--agent", "002"]);
    assert!(erased.status.success(), "{erased:?}");
    let stone = only("migrate_erased");
    assert!(stone.contains_key("_erased_at"), "{stone}");
    // Somebody has put a backup of the Python service's database back.
    let database = mongod::shared().database("migrate_erased");
    put(&database, "alerts", &[alert(&line(1))]);
    let (status, report) = migrate(&wazuh, &[]);
    let found = counts(&report, ["already_there", "merged"]);
    assert_eq!((status, found), (0, [1, 0]), "{report:#}");
    assert_eq!(only("migrate_erased"), stone);
}

#[test]
fn an_edit_at_the_same_moment_is_not_lost() {
    const ALERTS: usize = 4000;
    let wazuh = Wazuh::new("migrate_edited");
    let database = mongod::shared().database("migrate_edited");
    let old: Vec<Document> = (0..ALERTS).map(|number| alert(&line(number))).collect();
    put(&database, "alerts", &old);
    let alerts = database.collection::<Document>("alerts");
    let mut running = Background::start(&wazuh, &["migrate", "-q"]);
    let mut noted: BTreeMap<String, usize> = BTreeMap::new();
    let mut note = 0;
    while running.is_running() {
        note += 1;
        let id = format!("1748872000.{}", note * 7919 % ALERTS);
        // By its old `_id`: as long as it has not been removed.
        let edit = doc! { "$set": { "note": note.to_string() } };
        let edited = alerts.update_one(doc! { "_id": &id }, edit).run().unwrap();
        if edited.modified_count == 1 {
            noted.insert(id, note);
        }
    }
    let end = running.end();
    assert!(matches!(end.status, 0 | 3), "{end:?}");
    assert!(!noted.is_empty(), "nobody was disturbed");
    assert_eq!(migrate(&wazuh, &[]).0, 0);
    let now = stored("migrate_edited");
    assert_eq!(now.len(), ALERTS);
    for (id, note) in noted {
        let one = by_wazuh_id(&now, &id);
        let has = |document: &Document| document.get_str("note").ok() == Some(&*note.to_string());
        let beside = one.get_array("_before_migration").ok();
        let mut beside = beside.into_iter().flatten().filter_map(Bson::as_document);
        assert!(has(&one) || beside.any(has), "{note} is lost: {one}");
    }
}
