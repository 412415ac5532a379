//! "Had N, now 0" says nothing by itself: a manager's upgrade and a worker's failover empty databases
//! that fill again.

use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::{Site, count};
use crate::fake::fleet::Status;
use crate::fake::json::Json;
use crate::fake::kind::Kind;
use crate::fake::rows::SCANNED;

const DAY: &str = "kinds = [\"software\", \"syscheck\", \"osinfo\"]\n";
const AT_ONCE: &str =
    "kinds = [\"software\", \"syscheck\", \"osinfo\"]\nconfirm_loss_after = \"0 s\"\n";

/// The agent's system scanned again, a day later.
fn scan_again(site: &Site, agent: &str) {
    let mut state = site.state();
    state.fleet.agent_mut(agent).unwrap().scanned = SCANNED + 86_400;
}

fn software(site: &Site, agent: &str) -> usize {
    site.current("software_inventory", agent).len()
}

fn state_of(site: &Site, agent: &str) -> Document {
    let filter = doc! { "agent_id": agent, "kind": "software" };
    site.documents("collect_state", filter).remove(0)
}

#[test]
fn a_database_that_is_suddenly_empty_removes_nothing() {
    let site = Site::usual("loss_wiped", DAY);
    site.collect(0, "");
    site.state().fleet.wipe("004", Kind::Packages);
    scan_again(&site, "004");
    for _ in 0..3 {
        let report = site.collect(0, "");
        assert_eq!(count(&report, "software", "held"), 1, "{report}");
        assert_eq!(software(&site, "004"), 30);
    }
    let held = state_of(&site, "004");
    let held = held.get_document("held").unwrap();
    assert_eq!(held.get_i64("had").unwrap(), 30);
    // It fills again: as if nothing had been.
    let before = site.inventory();
    site.state().fleet.resync("004", Kind::Packages);
    let report = site.collect(0, "");
    assert_eq!(count(&report, "software", "held"), 0);
    assert!(!state_of(&site, "004").contains_key("held"));
    let unchanged = site.inventory();
    let software = |all: &[(String, Vec<Document>)]| {
        all.iter()
            .find(|(name, _)| name == "software_inventory")
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(software(&unchanged), software(&before));
}

#[test]
fn less_than_half_is_as_suspicious_and_more_than_half_is_not() {
    let site = Site::usual("loss_half", DAY);
    site.collect(0, "");
    keep(&site, "004", 14);
    keep(&site, "005", 15);
    let report = site.collect(0, "");
    assert_eq!(count(&report, "software", "held"), 1);
    assert_eq!(count(&report, "software", "removed"), 15);
    assert_eq!((software(&site, "004"), software(&site, "005")), (30, 15));
}

/// Leaves so many packages, as a scan long ago left them.
fn keep(site: &Site, agent: &str, count: usize) {
    let mut state = site.state();
    let rows = state.fleet.rows(agent, Kind::Packages);
    let gone = |row: &Json| rows[count..].contains(row);
    assert_eq!(state.fleet.remove(agent, Kind::Packages, gone), 30 - count);
}

#[test]
fn a_loss_is_believed_after_its_time_and_a_newer_scan() {
    let site = Site::usual("loss_believed", AT_ONCE);
    site.collect(0, "");
    site.state().fleet.wipe("004", Kind::Packages);
    let report = site.collect(0, "");
    assert_eq!(
        count(&report, "software", "removed"),
        0,
        "no scan proves it: {report}"
    );
    scan_again(&site, "004");
    let report = site.collect(0, "");
    assert_eq!(count(&report, "software", "removed"), 30, "{report}");
    assert_eq!(software(&site, "004"), 0);
    assert_eq!(
        site.documents("software_inventory", doc! { "agent_id": "004" })
            .len(),
        30
    );
    assert_eq!(count(&site.collect(0, ""), "software", "removed"), 0);
}

#[test]
fn a_loss_of_an_agent_that_does_not_report_is_not_believed() {
    let site = Site::usual("loss_disconnected", AT_ONCE);
    site.collect(0, "");
    site.state().fleet.wipe("004", Kind::Packages);
    scan_again(&site, "004");
    site.state().fleet.agent_mut("004").unwrap().status = Status::Disconnected;
    let report = site.collect(0, "--full");
    assert_eq!(count(&report, "software", "held"), 1, "{report}");
    assert_eq!(software(&site, "004"), 30);
}

#[test]
fn an_upgrade_of_the_manager_starts_the_time_anew() {
    let site = Site::usual("loss_upgrade", DAY);
    site.collect(0, "");
    site.state().fleet.wipe("004", Kind::Packages);
    site.collect(0, "");
    // As if it had been seen the day before yesterday, by another version.
    let age = |version: &str| {
        let since = mongodb::bson::DateTime::from_millis(
            mongodb::bson::DateTime::now().timestamp_millis() - 2 * 86_400_000,
        );
        let set = doc! { "$set": { "held.since": since, "held.version": version } };
        let states = site.database().collection::<Document>("collect_state");
        let filter = doc! { "agent_id": "004", "kind": "software" };
        states.update_one(filter, set).run().unwrap();
    };
    scan_again(&site, "004");
    age("4.13.0");
    let report = site.collect(0, "");
    assert_eq!(count(&report, "software", "held"), 1, "{report}");
    age("4.14.7");
    let report = site.collect(0, "");
    assert_eq!(count(&report, "software", "removed"), 30, "{report}");
}

#[test]
fn when_many_agents_lose_a_kind_at_once_nothing_of_it_is_removed() {
    let site = Site::usual("loss_many", AT_ONCE);
    site.collect(0, "");
    for agent in ["004", "005", "006"] {
        site.state().fleet.wipe(agent, Kind::Packages);
        scan_again(&site, agent);
    }
    // What another agent lost in the ordinary way waits too; another kind does not.
    keep(&site, "008", 29);
    let files = site.state().fleet.rows("008", Kind::Syscheck);
    site.state()
        .fleet
        .remove("008", Kind::Syscheck, |row| *row == files[0]);
    for _ in 0..2 {
        let report = site.collect(3, "");
        assert!(
            warnings(&report).contains("software: 3 of 25 agents lost"),
            "{report}"
        );
        assert_eq!(count(&report, "software", "removed"), 0);
    }
    assert_eq!(software(&site, "008"), 30);
    assert_eq!(site.current("syscheck", "008").len(), files.len() - 1);
    site.settings(&format!("{AT_ONCE}max_loss = \"20 %\"\n"));
    let report = site.collect(0, "");
    assert_eq!(count(&report, "software", "removed"), 91, "{report}");
}

#[test]
fn a_loss_that_spreads_over_several_runs_is_seen_as_one() {
    let site = Site::usual("loss_slow", DAY);
    site.collect(0, "");
    for (number, agent) in ["004", "005", "006"].into_iter().enumerate() {
        site.state().fleet.wipe(agent, Kind::Packages);
        let status = if number == 0 { 0 } else { 3 };
        site.collect(status, &format!("--agent {agent}"));
    }
    let report = site.collect(3, "--agent 009");
    assert!(warnings(&report).contains("3 of 25"), "{report}");
}

fn warnings(report: &Value) -> String {
    report["warnings"].to_string()
}
