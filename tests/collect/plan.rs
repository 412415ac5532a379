//! Order, deadline and budget: whoever was not looked at for the longest time comes first, a run
//! stops cleanly, the next one goes on, and the server never gets more than the budget.

use std::collections::BTreeSet;
use std::time::Duration;

use mongodb::bson::doc;

use super::oracle::Oracle;
use super::{Site, count, quick};
use crate::fake::Options;
use crate::fake::fleet::Status;
use crate::fake::kind::Kind;

const KINDS: &str = "kinds = [\"software\"]\n";

/// Whose packages were asked for, in this order.
fn asked(site: &Site) -> Vec<String> {
    let state = site.state();
    let agents = state.seen.iter().filter_map(|seen| {
        let (agent, list) = seen
            .target
            .strip_prefix("/syscollector/")?
            .split_once('/')?;
        list.starts_with("packages").then(|| agent.to_owned())
    });
    agents.collect()
}

#[test]
fn a_run_that_meets_its_deadline_is_continued_by_the_next() {
    let options = Options {
        takes: Duration::from_millis(100),
        ..quick()
    };
    let site = Site::new(
        "plan_deadline",
        options,
        &format!("{KINDS}deadline = \"1500 ms\"\n"),
    );
    let report = site.collect(3, "");
    let left = report["not_reached"].as_u64().unwrap();
    assert!(left > 5, "{report}");
    let mut reached: BTreeSet<String> = asked(&site).into_iter().collect();
    let first = reached.clone();
    for _ in 0..40 {
        site.state().seen.clear();
        site.collect_any("");
        reached.extend(asked(&site));
        if site.documents("software_inventory", doc! {}).len() == 25 * 30 {
            break;
        }
    }
    assert_eq!(reached.len(), 25, "everybody has a turn");
    assert!(first.len() < 20, "{first:?}");
    assert_eq!(site.documents("software_inventory", doc! {}).len(), 25 * 30);
}

#[test]
fn whoever_was_not_looked_at_for_the_longest_time_comes_first_and_who_is_new_before() {
    let site = Site::usual("plan_order", KINDS);
    site.collect(0, "");
    site.collect(0, "--agent 005 --agent 4");
    site.state().seen.clear();
    let new = site.state().fleet.add_agent("late");
    site.collect(0, "");
    let order = asked(&site);
    assert_eq!(order.first(), Some(&new), "{order:?}");
    let last: BTreeSet<&str> = order[order.len() - 2..]
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(last, ["004", "005"].into(), "{order:?}");
}

#[test]
fn only_what_is_asked_for_is_read() {
    let site = Site::usual("plan_only", "");
    site.collect(0, "--agent 4 --only packages --only os");
    assert_eq!(site.documents("software_inventory", doc! {}).len(), 30);
    assert_eq!(site.documents("os_info", doc! {}).len(), 1);
    assert!(site.documents("syscheck", doc! {}).is_empty());
    assert_eq!(site.documents("agents", doc! {}).len(), 26);
}

#[test]
fn an_agent_that_comes_back_is_read_in_full() {
    let site = Site::usual("plan_back", "kinds = [\"syscheck\"]\n");
    site.collect(0, "");
    // A file that the agent sends late, with a time older than what is known and the total as before.
    let rows = site.state().fleet.rows("020", Kind::Syscheck);
    let mut late = rows[3].clone();
    late.set(
        "md5",
        crate::fake::json::text("00ff00ff00ff00ff00ff00ff00ff00ff"),
    );
    site.state().fleet.time = Some(1_000_000_000);
    site.state().fleet.put("020", Kind::Syscheck, late);
    let report = site.collect(0, "");
    assert_eq!(
        count(&report, "syscheck", "changed"),
        0,
        "it is disconnected: {report}"
    );
    site.state().fleet.agent_mut("020").unwrap().status = Status::Active;
    let report = site.collect(0, "");
    assert_eq!(count(&report, "syscheck", "changed"), 1, "{report}");
}

#[test]
fn everything_is_read_in_full_once_in_a_while() {
    let site = Site::usual(
        "plan_full",
        "kinds = [\"syscheck\"]\nfull_every = \"1 s\"\n",
    );
    site.collect(0, "");
    std::thread::sleep(Duration::from_millis(1100));
    let report = site.collect(0, "");
    assert_eq!(count(&report, "syscheck", "read"), 24, "{report}");
    assert_eq!(count(&report, "syscheck", "changed"), 0);
}

#[test]
fn the_server_never_gets_more_than_the_budget() {
    let site = Site::usual(
        "plan_budget",
        "kinds = [\"software\", \"osinfo\"]\ndeadline = \"20 s\"\n",
    );
    site.settings_of(
        &site.wazuh,
        40,
        "kinds = [\"software\", \"osinfo\"]\ndeadline = \"20 s\"\n",
    );
    for _ in 0..2 {
        site.collect_any("");
    }
    let state = site.state();
    assert!(state.seen.len() >= 20, "{}", state.seen.len());
    assert!(
        state.peak(Duration::from_secs(60)) <= 40,
        "{}",
        state.peak(Duration::from_secs(60))
    );
}

#[test]
fn cron_hears_nothing_unless_something_is_wrong() {
    let site = Site::usual("plan_cron", KINDS);
    let output = site.run("");
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (0, 0),
        "{output:?}"
    );
    let output = site.run("-v");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for line in [
        "Fetching agents...",
        "Fetched 24 active agents",
        "Processing agent 001 (host-00001)",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    let mut oracle = Oracle::default();
    site.state().fleet.wipe("004", Kind::Packages);
    site.state().fleet.wipe("005", Kind::Packages);
    oracle.look(&site.state());
    let output = site.run("");
    assert_eq!(output.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("2 of 25 agents lost"),
        "{output:?}"
    );
}
