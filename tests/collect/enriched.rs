//! Alerts carry what `collect` knows of their agent, from memory, where that is switched on.

use std::cell::Cell;

use mongodb::bson::{Document, doc};

use super::Site;
use crate::service::Service;
use crate::wazuh::ALERTS;
use crate::webhook::until;

/// Backfills the alerts of the tests; what they carry of agent 002.
fn agent_of(site: &Site, settings: &str) -> Option<Document> {
    site.settings_of(
        &site.wazuh,
        100_000,
        &format!("kinds = [\"osinfo\"]\n{settings}"),
    );
    let file = site.wazuh.home.join("alerts.json");
    std::fs::write(&file, ALERTS).unwrap();
    let output = site.wazuh.run(&["backfill", file.to_str().unwrap()]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let alert = site
        .documents("alerts", doc! { "agent_id": "002" })
        .remove(0);
    alert.get_document("_agent").ok().cloned()
}

#[test]
fn an_alert_carries_its_agent_if_that_is_switched_on() {
    let site = Site::usual("enriched_agent", "kinds = [\"osinfo\"]\n");
    site.collect(0, "");
    let labels = doc! { "$set": { "labels": { "owner": "ops", "tier": "web" } } };
    let agents = site.database().collection::<Document>("agents");
    agents
        .update_one(doc! { "agent_id": "002" }, labels)
        .run()
        .unwrap();
    let on = "[enrich]\nagents = true\n[enrich.labels.\"*\"]\ntier = \"gold\"\nzone = \"dmz\"\n";
    let agent = agent_of(&site, on).expect("_agent");
    assert_eq!(agent.get_str("name").unwrap(), "host-00002");
    assert_eq!(agent.get_str("status").unwrap(), "active");
    let os = agent.get_document("os").unwrap();
    assert_eq!(os.get_str("platform").unwrap(), "ubuntu");
    assert_eq!(agent.get_array("groups").unwrap().len(), 1);
    // The settings count before what stands in the collection.
    let labels = doc! { "owner": "ops", "tier": "gold", "zone": "dmz" };
    assert_eq!(agent.get_document("labels").unwrap(), &labels);
}

#[test]
fn an_alert_carries_nothing_if_it_is_not() {
    let site = Site::usual("enriched_off", "kinds = [\"osinfo\"]\n");
    site.collect(0, "");
    assert_eq!(agent_of(&site, ""), None);
}

/// An alert of agent 002 under an id of its own.
fn fresh(number: u32) -> String {
    let is_ours = |alert: &serde_json::Value| alert["agent"]["id"] == "002";
    let alerts = ALERTS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut alert: serde_json::Value = alerts.into_iter().find(is_ours).expect("agent 002");
    alert["id"] = format!("1748872001.9{number}").into();
    alert.to_string()
}

#[test]
fn the_service_adds_it_to_what_is_posted_and_to_what_hooks_hand_over() {
    let site = Site::usual("enriched_served", "kinds = [\"osinfo\"]\n");
    site.collect(0, "");
    let on = "kinds = [\"osinfo\"]\n[enrich]\nagents = true\n";
    site.settings_of(&site.wazuh, 100_000, on);
    let service = Service::start(&site.wazuh);
    let carried = |source: &str| {
        let known = doc! { "_source": source, "_agent.name": "host-00002" };
        !site.documents("alerts", known).is_empty()
    };
    // The roster is loaded beside the start.
    let number = Cell::new(0);
    until("a posted alert carries its agent", || {
        number.set(number.get() + 1);
        let posted = service.post("/wazuh-alert", &[], fresh(number.get()).as_bytes());
        assert_eq!(posted.status, 200, "{}", posted.text());
        carried("webhook")
    });
    site.wazuh.call(fresh(0)).assert_yes();
    until("an alert of the hook carries its agent", || carried("hook"));
}
