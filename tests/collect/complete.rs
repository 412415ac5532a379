//! What is in MongoDB equals what is in the fleet, run after run, and only what changed is written.

use mongodb::bson::doc;

use super::oracle::Oracle;
use super::{ALL_KINDS, Site, count, quick};
use crate::fake::Options;
use crate::fake::fleet::Status;
use crate::fake::json::{Json, object, text};
use crate::fake::kind::Kind;
use crate::fake::rows::{SCANNED, mix};
use crate::fake::state::State;

#[test]
fn every_kind_of_every_agent_is_stored_as_the_server_has_it() {
    let site = Site::usual("collect_all_kinds", ALL_KINDS);
    let report = site.collect(0, "");
    assert_eq!(report["outcome"], "complete");
    let mut oracle = Oracle::default();
    oracle.look(&site.state());
    oracle.check(&site);
    let software = site.documents("software_inventory", doc! {}).len();
    assert!(software > 500, "{software}");
    assert_eq!(count(&report, "software", "new"), software as u64);
    let runs = site.documents("collect_runs", doc! {});
    assert_eq!(runs.len(), 1);
    let (began, ended) = (
        runs[0].get_datetime("started_at"),
        runs[0].get_datetime("finished_at"),
    );
    assert!(ended.unwrap() >= began.unwrap(), "{runs:?}");
    let wrote = runs[0]
        .get_document("kinds")
        .unwrap()
        .get_document("software")
        .unwrap();
    assert_eq!(
        wrote.get_i64("new").unwrap(),
        i64::try_from(software).unwrap()
    );
}

#[test]
fn a_refresh_with_nothing_changed_writes_no_inventory_document() {
    let site = Site::usual("collect_refresh", ALL_KINDS);
    site.collect(0, "");
    let before = site.inventory();
    for arguments in ["", "", "--full"] {
        let report = site.collect(0, arguments);
        for (kind, counts) in report["kinds"].as_object().unwrap() {
            for what in ["new", "changed", "removed", "failed"] {
                assert_eq!(counts[what], 0, "{arguments} {kind} {what}");
            }
        }
        // Each write would move `_fetched_at`.
        assert_eq!(site.inventory(), before);
    }
}

#[test]
fn a_refresh_asks_once_for_each_list_that_can_be_asked_and_not_at_all_for_the_rest() {
    let site = Site::usual("collect_requests", "");
    site.collect(0, "");
    site.state().seen.clear();
    site.collect(0, "");
    let state = site.state();
    let asked: Vec<&str> = state.seen.iter().map(|seen| seen.target.as_str()).collect();
    // The manager and agents 1 to 25; 7 never connected, 20 is disconnected and says nothing new.
    let packages = asked
        .iter()
        .filter(|target| target.contains("/packages?sort"));
    assert_eq!(packages.count(), 24, "{asked:?}");
    assert_eq!(state.count("/syscheck/"), 24, "{asked:?}");
    assert_eq!(
        state.count("/os"),
        0,
        "the list of agents already says it: {asked:?}"
    );
    assert_eq!(
        state.count("/hotfixes"),
        3,
        "only Windows has hotfixes: {asked:?}"
    );
    assert!(
        !asked.iter().any(|target| target.contains("/020")),
        "{asked:?}"
    );
}

#[test]
fn history_is_kept_through_many_rounds_of_changes() {
    rounds("collect_rounds", quick());
}

#[test]
fn probes_of_many_agents_at_once_see_the_same_changes() {
    let options = Options {
        experimental: true,
        ..quick()
    };
    let site = rounds("collect_rounds_fleet", options);
    assert!(site.state().count("/experimental/syscollector/packages") > 5);
    site.state().seen.clear();
    site.collect(0, "");
    let state = site.state();
    let asked = state
        .seen
        .iter()
        .filter(|seen| seen.target.contains("/packages?sort"));
    assert_eq!(asked.count(), 0, "one question spares many");
}

/// Six rounds of changes of every sort, each compared with the oracle.
fn rounds(name: &'static str, options: Options) -> Site {
    let site = Site::new(name, options, &format!("{ALL_KINDS}max_loss = \"100 %\"\n"));
    // A disconnected agent sends no changes, and the fleet's drift does not know that.
    if let Some(agent) = site.state().fleet.agent_mut("020") {
        agent.status = Status::Active;
    }
    let mut oracle = Oracle::default();
    for round in 0..6 {
        if round > 0 {
            change(&mut site.state(), round);
        }
        let report = site.collect(0, "");
        assert_eq!(report["outcome"], "complete", "round {round}: {report}");
        oracle.look(&site.state());
        oracle.check(&site);
    }
    site
}

/// Changes, additions and removals in every kind, different ones each round; never most of a kind.
fn change(state: &mut State, round: u64) {
    // Each round at a time of its own, long ago: its rows are settled.
    state.fleet.time = Some(SCANNED + 3600 * i64::try_from(round).unwrap());
    state.fleet.drift(7, round);
    let agents: Vec<String> = state
        .fleet
        .connected()
        .map(|agent| agent.id.clone())
        .collect();
    for (number, id) in (0..).zip(&agents) {
        let dice = mix(round * 1000 + number);
        match dice % 5 {
            0 => remove_one(state, id, Kind::Packages, dice),
            1 => remove_one(state, id, Kind::Syscheck, dice),
            2 => add(state, id, dice),
            3 => touch(state, id, dice),
            _ => {}
        }
    }
}

fn index(dice: u64) -> usize {
    usize::try_from(dice).unwrap()
}

fn remove_one(state: &mut State, id: &str, kind: Kind, dice: u64) {
    let rows = state.fleet.rows(id, kind);
    if let Some(row) = rows.get(index(dice) / 7 % rows.len().max(1)) {
        assert_eq!(state.fleet.remove(id, kind, |one| one == row), 1);
    }
}

fn add(state: &mut State, id: &str, dice: u64) {
    let package = object([
        ("name", text(format!("added-{}", dice % 4))),
        ("version", text("1.0")),
        ("architecture", text("amd64")),
        ("format", text("deb")),
        ("location", text(" ")),
        (
            "install_time",
            text(["2026-01-02T03:04:05+00:00", "20231105"][index(dice) / 4 % 2]),
        ),
        ("size", Json::Int(i64::try_from(dice >> 12).unwrap())),
    ]);
    state.fleet.put(id, Kind::Packages, package);
    let port = object([
        ("protocol", text("tcp")),
        (
            "local",
            object([
                ("ip", text("::")),
                ("port", Json::Int(i64::try_from(dice % 9).unwrap())),
            ]),
        ),
        ("inode", Json::Int(1 << 40)),
        (
            "state",
            text(if dice & 64 == 0 {
                "listening"
            } else {
                "established"
            }),
        ),
    ]);
    state.fleet.put(id, Kind::Ports, port);
}

fn touch(state: &mut State, id: &str, dice: u64) {
    for (kind, field) in [
        (Kind::Syscheck, "md5"),
        (Kind::Os, "hostname"),
        (Kind::Hardware, "board_serial"),
        (Kind::Users, "user.shell"),
        (Kind::Services, "service.state"),
        (Kind::Netiface, "mac"),
        (Kind::Netaddr, "netmask"),
        (Kind::Rootcheck, "status"),
        (Kind::Hotfixes, "hotfix"),
        (Kind::ScaChecks, "result"),
        (Kind::Sca, "name"),
    ] {
        // Some have no time of their own: an address changes with its interface, a check with a
        // scan of its policy, the hostname with the agent's version.
        let rows = state.fleet.rows(id, kind);
        if let Some(row) = rows.get(index(dice) % rows.len().max(1)) {
            let new = text(format!("new-{}", dice % 100));
            state.fleet.change(id, kind, |one| one == row, field, &new);
        }
    }
    if let Some(agent) = state.fleet.agent_mut(id) {
        agent.version = format!("Wazuh v4.14.7-{}", dice % 100);
    }
}

#[test]
fn a_collection_that_somebody_emptied_is_filled_again() {
    let site = Site::usual("collect_emptied", "");
    site.collect(0, "");
    let before = site.documents("software_inventory", doc! {}).len();
    site.database()
        .collection::<mongodb::bson::Document>("software_inventory")
        .drop()
        .run()
        .unwrap();
    site.collect(0, "");
    assert_eq!(site.documents("software_inventory", doc! {}).len(), before);
}

#[test]
fn volatile_kinds_keep_their_current_state_only() {
    let site = Site::usual("collect_volatile", "kinds = [\"ports\", \"processes\"]\n");
    site.collect(0, "");
    let before = site.documents("ports", doc! { "agent_id": "004" });
    remove_one(&mut site.state(), "004", Kind::Ports, 0);
    let change = |state: &mut State| {
        let is = |row: &Json| row.at("pid").and_then(Json::as_text) == Some("1");
        state
            .fleet
            .change("004", Kind::Processes, is, "cmd", &text("/sbin/new"))
    };
    assert_eq!(change(&mut site.state()), 1);
    site.collect(0, "");
    let after = site.documents("ports", doc! { "agent_id": "004" });
    assert_eq!(after.len(), before.len() - 1);
    assert!(after.iter().all(|port| !port.contains_key("_removed_at")));
    let processes = site.documents("processes", doc! { "agent_id": "004", "pid": 1_i64 });
    assert_eq!(processes.len(), 1, "{processes:?}");
    assert_eq!(processes[0].get_str("cmd").unwrap(), "/sbin/new");
}

#[test]
fn a_dry_run_counts_and_touches_nothing() {
    let site = Site::usual("collect_dry", "");
    let report = site.collect(0, "--dry-run");
    assert!(count(&report, "software", "new") > 500, "{report}");
    assert!(
        site.database()
            .list_collection_names()
            .run()
            .unwrap()
            .is_empty()
    );
    assert!(!site.wazuh.state().join("roster-default.json").exists());
    site.collect(0, "");
    let before = site.inventory();
    remove_one(&mut site.state(), "004", Kind::Packages, 3);
    let report = site.collect(0, "--dry-run");
    assert_eq!(count(&report, "software", "removed"), 1);
    assert_eq!(site.inventory(), before);
    assert_eq!(site.documents("collect_runs", doc! {}).len(), 1);
}

#[test]
fn two_sites_share_a_database_and_nothing_else() {
    let one = Site::usual("collect_sites", "");
    one.collect(0, "");
    let before = one.inventory();
    let other = Site::usual("collect_sites", "");
    other.state().fleet.remove("004", Kind::Packages, |_| true);
    let settings = std::fs::read_to_string(other.wazuh.home.join("etc/custom-mongo.toml")).unwrap();
    other
        .wazuh
        .raw_settings(&format!("site = \"paris\"\n{settings}"));
    other.collect(0, "");
    let of_one = |all: Vec<(String, Vec<mongodb::bson::Document>)>| -> Vec<_> {
        let own = |one: &mongodb::bson::Document| one.get_str("_site").unwrap() == "default";
        all.into_iter()
            .map(|(name, all)| (name, all.into_iter().filter(own).collect::<Vec<_>>()))
            .collect()
    };
    assert_eq!(of_one(one.inventory()), before);
    let paris = doc! { "_site": "paris" };
    assert!(one.documents("software_inventory", paris.clone()).len() > 500);
    assert_eq!(one.documents("agents", paris).len(), 26);
}
