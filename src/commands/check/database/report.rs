//! What MongoDB lets the login do.

use super::{ROLE, WITHIN};
use crate::commands::check::Reached;
use crate::commands::check::finding::Findings;
use crate::commands::check::place::Place;
use crate::config::Settings;
use crate::store::{self, Need, Report, Store};

/// A clock that is off by more makes `_processed_at` and retention wrong.
const SKEW_MS: i64 = 5_000;

/// Logs in and asks.
pub(super) fn check(findings: &mut Findings, settings: &Settings, place: &Place) -> Reached {
    match store::inspect(&settings.store, WITHIN) {
        Ok(report) => check_report(findings, settings, &report, place),
        Err(error) => {
            refuse(findings, &error);
            Reached::No
        }
    }
}

fn refuse(findings: &mut Findings, error: &store::Error) {
    let why = error.to_string();
    let why = why.trim_end_matches("; see custom-mongo check").to_owned();
    let nobody = why.contains("requires authentication");
    if nobody || why.contains("refused the login") {
        let fix = format!(
            "correct user, password and authSource in [store]; for a user who has none: {ROLE}"
        );
        findings.bad("mongodb login", why, fix);
    } else if why.contains("(13)") {
        findings.bad("mongodb role", why, ROLE);
    } else {
        let fix = "is there a primary (mongosh --eval 'rs.status()'), and does it answer?";
        findings.bad("mongodb", why, fix);
    }
}

fn check_report(
    findings: &mut Findings,
    settings: &Settings,
    report: &Report,
    place: &Place,
) -> Reached {
    let kind = report.replica_set.as_ref().map_or_else(
        || "standalone".to_owned(),
        |name| format!("replica set {name}"),
    );
    let millis = report.connected_in.as_millis();
    let login = format!("{} ({kind}), connected in {millis} ms", report.version);
    findings.good("mongodb", login);
    if report.replica_set.is_none() {
        let detail = "a server alone: no second copy of the alerts, and `serve` looks for new ones instead of being told";
        findings.note("mongodb set", detail);
    }
    let before = findings.faults();
    match &report.round_trip {
        Ok(took) => findings.good(
            "mongodb write",
            format!(
                "write, read and delete with majority and journal in {} ms",
                took.as_millis()
            ),
        ),
        Err(why) => refuse_write(findings, why),
    }
    if findings.faults() > before {
        return Reached::No;
    }
    check_role(findings, settings, report);
    let can_insert = findings.faults() == before;
    check_indexes(findings, report, place);
    check_clock(findings, report.clock_skew_ms);
    if can_insert {
        Reached::Yes
    } else {
        Reached::No
    }
}

fn refuse_write(findings: &mut Findings, why: &str) {
    if why.contains("(13)") {
        findings.bad("mongodb role", why, ROLE);
    } else {
        let fix = "are enough members of the replica set up for a majority (mongosh --eval 'rs.status()'), and is there room on their disks?";
        findings.bad("mongodb write", why, fix);
    }
}

/// What each way of working needs beside what was just done.
fn check_role(findings: &mut Findings, settings: &Settings, report: &Report) {
    if !report.may_insert {
        let detail = "the login may not insert into alerts";
        return findings.bad("mongodb role", detail, ROLE);
    }
    let mut needs = Vec::new();
    if !settings.managers().is_empty() {
        for collection in ["agents", "collect_state", "collect_runs", "leases"] {
            needs.extend(["find", "insert", "update"].map(|action| Need { collection, action }));
        }
    }
    let Ok(store) = Store::open(&settings.store, WITHIN) else {
        return;
    };
    match store.lacking(&needs, WITHIN) {
        Ok(lacking) if !lacking.is_empty() => {
            let list = lacking
                .iter()
                .map(|need| format!("{} {}", need.action, need.collection));
            let list = list.collect::<Vec<_>>().join(", ");
            let detail = format!("collect is set up, and the login may not: {list}");
            findings.bad("mongodb role", detail, ROLE);
        }
        Ok(_) => {
            findings.good("mongodb role", "sufficient");
            note_stream(findings, &store, report);
        }
        // A server that does not tell what a login may do is not at fault.
        Err(error) => log::debug!("{error}"),
    }
}

/// Alerts as they are stored are a privilege of their own on a replica set; without it none is lost.
fn note_stream(findings: &mut Findings, store: &Store, report: &Report) {
    let need = Need {
        collection: "alerts",
        action: "changeStream",
    };
    let lacks = |lacking: Vec<Need>| !lacking.is_empty();
    if report.replica_set.is_some() && store.lacking(&[need], WITHIN).is_ok_and(lacks) {
        let detail = "`watch alerts` and the service's stream show nothing: the login may not changeStream alerts";
        findings.advise("mongodb stream", detail, ROLE);
    }
}

fn check_indexes(findings: &mut Findings, report: &Report, place: &Place) {
    let missing = report.missing_indexes.join(", ");
    if report.missing_indexes.is_empty() {
        findings.good(
            "mongodb indexes",
            format!("all there, about {} alerts", report.alerts),
        );
    } else if report.alerts == 0 {
        findings.good("mongodb indexes", "created with the first alert");
    } else {
        let detail = format!(
            "missing: {missing}; about {} alerts are there, so choose a quiet time: `migrate --dry-run` says how long it takes",
            report.alerts
        );
        findings.bad("mongodb indexes", detail, place.command("migrate"));
    }
}

fn check_clock(findings: &mut Findings, skew_ms: i64) {
    let detail = format!("this host is {skew_ms} ms off the server");
    if skew_ms.abs() > SKEW_MS {
        let fix = "timedatectl set-ntp true, on both, with the same time servers";
        findings.bad("mongodb clock", detail, fix);
    } else {
        findings.good("mongodb clock", detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Findings;

    #[test]
    fn a_clock_that_is_seconds_off_is_a_fault_either_way() {
        for (skew, faults) in [(0, 0), (-4_900, 0), (5_100, 1), (-86_400_000, 1)] {
            let mut findings = Findings::default();
            check_clock(&mut findings, skew);
            assert_eq!(findings.faults(), faults, "{skew} ms");
        }
    }
}
