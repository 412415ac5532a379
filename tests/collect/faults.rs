//! Whatever goes wrong on the way: what was only not fetched is not marked as removed, the run says
//! what is missing, and the next one brings it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongodb::bson::doc;
use serde_json::Value;

use super::oracle::Oracle;
use super::{Site, count, quick};
use crate::fake::json::Json;
use crate::fake::kind::Kind;
use crate::fake::rows::mix;
use crate::fake::{Fault, Options, Server};

const KINDS: &str = "kinds = [\"software\", \"syscheck\", \"osinfo\", \"hotfixes\"]\n";

fn oracle_of(site: &Site) -> Oracle {
    let mut oracle = Oracle::default();
    oracle.look(&site.state());
    oracle
}

/// Runs with a fault on a fleet that changed meanwhile; then without.
#[track_caller]
fn suffers(
    name: &'static str,
    status: i32,
    target: &str,
    after: usize,
    times: usize,
    fault: Fault,
) -> Value {
    let site = Site::usual(name, KINDS);
    site.collect(0, "");
    let mut oracle = Oracle::default();
    only_these_kinds(&site);
    oracle.look(&site.state());
    oracle.check(&site);
    site.state().fleet.drift(5, 1);
    // The disconnected one sends nothing.
    site.state().fleet.resync("020", Kind::Packages);
    oracle.look(&site.state());
    site.state().fail_after(target, after, times, fault);
    let report = site.collect(status, "--full");
    // What was written is right, what is missing is still as it was.
    let lost = site.documents("syscheck", doc! { "_removed_at": { "$ne": null } });
    assert!(lost.is_empty(), "{lost:?}");
    for kind in ["os_info", "hotfixes"] {
        assert!(
            site.documents(kind, doc! { "_removed_at": { "$ne": null } })
                .is_empty()
        );
    }
    oracle.check_removed_only_what_is_gone(&site);
    site.state().heal();
    site.collect(0, "");
    oracle.check(&site);
    report
}

/// The other kinds of the fleet are not collected here.
fn only_these_kinds(site: &Site) {
    let mut state = site.state();
    let agents: Vec<String> = state
        .fleet
        .connected()
        .map(|agent| agent.id.clone())
        .collect();
    for agent in agents {
        for kind in crate::fake::kind::ALL {
            if ![Kind::Packages, Kind::Syscheck, Kind::Os, Kind::Hotfixes].contains(&kind) {
                state.fleet.wipe(&agent, kind);
            }
        }
    }
}

#[test]
fn a_manager_that_restarts_for_good_ends_the_run_early() {
    let fault = Fault::restarting();
    let report = suffers("fault_restart", 3, "/sys", 9, 1_000_000, fault);
    assert!(report["not_reached"].as_u64().unwrap() > 10, "{report}");
    assert!(
        report["failures"].to_string().contains("not ready yet"),
        "{report}"
    );
}

#[test]
fn a_kind_that_fails_again_and_again_is_left_out_and_the_rest_goes_on() {
    let fault = Fault::restarting();
    let report = suffers("fault_kind", 3, "/syscheck/", 3, 1_000_000, fault);
    assert_eq!(
        (&report["not_reached"], count(&report, "software", "read")),
        (&0.into(), 25)
    );
    assert_eq!(count(&report, "syscheck", "failed"), 3, "{report}");
}

#[test]
fn a_manager_that_restarts_shortly_costs_only_time() {
    suffers(
        "fault_restart_short",
        0,
        "/packages",
        2,
        2,
        Fault::restarting(),
    );
}

#[test]
fn a_body_that_breaks_off_is_asked_for_again() {
    suffers("fault_cut", 0, "/packages", 4, 2, Fault::CutBody);
}

#[test]
fn a_connection_that_closes_is_made_again() {
    suffers("fault_close", 0, "/syscheck/", 2, 1, Fault::Close);
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed() {
    suffers("fault_revoked", 0, "/packages", 5, 1, Fault::Revoke);
}

#[test]
fn a_total_that_never_fits_is_a_partial_read() {
    let fault = Fault::MoreInTotal(3);
    let report = suffers(
        "fault_total",
        3,
        "/syscollector/004/packages",
        0,
        1_000_000,
        fault,
    );
    assert_eq!(report["failed"], 1, "{report}");
    let failure = &report["failures"][0];
    assert_eq!(
        (&failure["agent"], &failure["kind"]),
        (&"004".into(), &"software".into())
    );
}

#[test]
fn a_total_that_moves_once_is_read_again() {
    suffers(
        "fault_total_once",
        0,
        "/syscollector/004/packages",
        0,
        1,
        Fault::MoreInTotal(-1),
    );
}

#[test]
fn an_agent_whose_database_is_away_is_skipped() {
    let fault = Fault::no_database("004");
    let report = suffers("fault_2007", 0, "/syscollector/004/", 0, 1_000_000, fault);
    assert!(count(&report, "software", "skipped") >= 1, "{report}");
}

#[test]
fn an_agent_that_is_gone_meanwhile_is_skipped() {
    suffers(
        "fault_1701",
        0,
        "/syscollector/004/",
        0,
        1_000_000,
        Fault::no_agent("004"),
    );
}

#[test]
fn small_pages_and_a_list_that_moves_under_the_reader_lose_nothing() {
    let options = Options {
        most_rows: 16,
        takes: Duration::from_millis(1),
        ..quick()
    };
    let site = Site::new(
        "fault_moving",
        options,
        &format!("{KINDS}max_loss = \"100 %\"\n"),
    );
    only_these_kinds(&site);
    site.collect(0, "");
    let (stop, server) = (AtomicBool::new(false), &site.server);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                disturb(server, round);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        for _ in 0..3 {
            let output = site.run("");
            assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let oracle = oracle_of(&site);
    oracle.check_steady(&site, |key| key.contains("aaa-"));
    let report = site.collect(0, "");
    assert_eq!(report["outcome"], "complete");
    oracle_of(&site).check_now(&site);
}

/// Takes a package away and puts another one in, which shifts every row behind it.
fn disturb(site: &Server, round: u64) {
    let mut state = site.state();
    let id = format!("{:03}", 1 + mix(round) % 6);
    let rows = state.fleet.rows(&id, Kind::Packages);
    let Some(row) = rows
        .get(usize::try_from(mix(round * 7)).unwrap() % rows.len().max(1))
        .cloned()
    else {
        return;
    };
    state.fleet.remove(&id, Kind::Packages, |one| *one == row);
    let mut other = row;
    other.set("name", Json::Text(format!("aaa-{}", mix(round) % 40)));
    state.fleet.put(&id, Kind::Packages, other);
}

#[test]
fn a_kind_that_the_server_does_not_have_is_said_once_and_the_rest_goes_on() {
    let site = Site::usual(
        "fault_absent",
        "kinds = [\"software\", \"users\", \"services\"]\n",
    );
    site.state().fleet.version = "4.4.0".to_owned();
    let report = site.collect(0, "");
    assert_eq!(report["absent"], serde_json::json!(["users", "services"]));
    assert!(count(&report, "software", "new") > 500);
    assert_eq!(site.state().count("/users"), 1, "one question is enough");
}

#[test]
fn a_right_that_is_missing_is_named_and_the_rest_goes_on() {
    let mut options = quick();
    options.users[0]
        .policies
        .retain(|(action, _)| action != "syscheck:read");
    let site = Site::new("fault_forbidden", options, KINDS);
    let report = site.collect(3, "");
    assert!(count(&report, "software", "new") > 500, "{report}");
    let said = report["failures"].to_string();
    assert!(
        said.contains("syscheck") && said.contains("Permission denied"),
        "{said}"
    );
    assert_eq!(
        site.state().count("/syscheck/"),
        3,
        "it is not asked of every agent"
    );
}

#[test]
fn a_wrong_password_is_tried_once_and_is_not_shown() {
    let site = Site::usual("fault_password", KINDS);
    site.state().logins.users[0].password = "Another.1".to_owned();
    let output = site.run("");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("Secret.Fake.1"), "{said}");
    assert_eq!(site.state().count("/authenticate"), 1);
    assert!(site.documents("agents", doc! {}).is_empty());
}

#[test]
fn wrong_settings_and_wrong_words_have_their_own_status() {
    let site = Site::usual("fault_settings", "kinds = [\"softwear\"]\n");
    let output = site.run("");
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `software`"));
    site.settings(KINDS);
    assert_eq!(site.run("--only softwear").status.code(), Some(2));
    assert_eq!(site.run("--agent twelve").status.code(), Some(2));
    let output = site.run("--agent 4711");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("4711"),
        "{output:?}"
    );
    site.wazuh.settings("");
    assert_eq!(site.run("").status.code(), Some(78), "no API is configured");
}

#[test]
fn mongodb_that_is_away_is_said_and_nothing_is_asked_of_the_server() {
    let site = Site::usual("fault_mongodb", KINDS);
    let settings = std::fs::read_to_string(site.wazuh.home.join("etc/custom-mongo.toml")).unwrap();
    let uri = crate::mongod::shared().uri();
    let away = settings.replace(&uri, "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300");
    assert_ne!(away, settings);
    site.wazuh.raw_settings(&away);
    let output = site.run("");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("MongoDB"),
        "{output:?}"
    );
    assert_eq!(site.state().seen.len(), 0);
}
