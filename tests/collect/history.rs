//! What is kept of the past, if `collect.history` says how long: what is current stays in any case.

use std::time::Duration;

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{Site, count};
use crate::fake::kind::Kind;

const KINDS: &str = "kinds = [\"software\", \"osinfo\"]\n";
const DAY: i64 = 86_400_000;

/// Makes what ended end so many days earlier.
fn age(site: &Site, collection: &str, days: i64) {
    let earlier = doc! { "$subtract": ["$_removed_at", days * DAY] };
    let ended = doc! { "_removed_at": { "$type": "date" } };
    let collection = site.database().collection::<Document>(collection);
    let update = vec![doc! { "$set": { "_removed_at": earlier } }];
    collection.update_many(ended, update).run().unwrap();
}

/// What MongoDB would remove with its next round, which it makes once a minute.
fn marked(site: &Site, collection: &str) -> Vec<Document> {
    let due = doc! { "_expire_at": { "$lte": DateTime::from_millis(DateTime::now().timestamp_millis() + DAY) } };
    site.documents(collection, due)
}

fn with_a_past(name: &'static str) -> Site {
    let site = Site::usual(name, KINDS);
    site.collect(0, "");
    site.state().fleet.drift(10, 1);
    let package = site.state().fleet.rows("005", Kind::Packages)[0].clone();
    site.state()
        .fleet
        .remove("005", Kind::Packages, |row| *row == package);
    site.collect(0, "--full");
    site
}

#[test]
fn versions_that_are_over_end_after_a_while_and_what_is_current_never() {
    let site = with_a_past("history_versions");
    let over = doc! { "_removed_at": { "$ne": Bson::Null } };
    let past = site.documents("software_inventory", over.clone()).len();
    assert!(past > 10, "{past}");
    age(&site, "software_inventory", 31);
    site.collect(0, "");
    assert!(
        marked(&site, "software_inventory").is_empty(),
        "for ever, unless set"
    );
    site.state().fleet.drift(10, 2);
    site.collect(0, "--full");
    let young = site.documents("software_inventory", over).len() - past;
    assert!(young > 10, "{young}");
    let current = doc! { "_removed_at": Bson::Null };
    let before = site.documents("software_inventory", current.clone());
    site.settings(&format!("{KINDS}history = \"30 d\"\n"));
    let report = site.collect(0, "");
    assert_eq!(
        count(&report, "software", "expired"),
        u64::try_from(past).unwrap()
    );
    assert_eq!(marked(&site, "software_inventory").len(), past);
    assert!(site.documents("software_inventory", current) == before);
    assert_eq!(count(&site.collect(0, ""), "software", "expired"), 0);
}

#[test]
fn what_a_vanished_agent_had_ends_with_it_and_comes_back_whole() {
    let site = with_a_past("history_vanished");
    let agent = site.state().fleet.agents.remove(&4).unwrap();
    let settings = format!("{KINDS}history = \"30 d\"\n");
    site.settings(&settings);
    site.collect(0, "");
    let its = |collection: &str| {
        site.documents(
            collection,
            doc! { "agent_id": "004", "_expire_at": Bson::Null },
        )
        .len()
    };
    assert!(
        its("software_inventory") >= 30 && its("agents") == 1,
        "not yet"
    );
    let others = site.documents("software_inventory", doc! { "agent_id": { "$ne": "004" } });
    age(&site, "agents", 31);
    site.collect(0, "");
    assert_eq!(
        (its("software_inventory"), its("os_info"), its("agents")),
        (0, 0, 0)
    );
    assert!(
        site.current("software_inventory", "004").is_empty(),
        "not current any more"
    );
    let same = site.documents("software_inventory", doc! { "agent_id": { "$ne": "004" } });
    assert!(same == others, "nobody else's");
    // It is back before MongoDB has removed anything.
    site.state().fleet.agents.insert(4, agent);
    site.collect(0, "");
    assert_eq!(
        (
            site.current("software_inventory", "004").len(),
            its("agents")
        ),
        (30, 1)
    );
    for row in site.current("software_inventory", "004") {
        assert!(!row.contains_key("_expire_at"), "{row}");
    }
}

#[test]
fn mongodb_itself_removes_what_is_marked() {
    let site = Site::usual("history_removed", &format!("{KINDS}history = \"1 y\"\n"));
    site.collect(0, "");
    let packages = site.database().collection::<Document>("software_inventory");
    let found = packages.list_indexes().run().unwrap().map(Result::unwrap);
    let expiry = found.filter_map(|index| {
        let options = index.options?;
        let is_ours = index.keys == doc! { "_expire_at": 1 } && options.sparse == Some(true);
        options.expire_after.filter(|_| is_ours)
    });
    assert_eq!(expiry.collect::<Vec<_>>(), [Duration::ZERO]);
}
