//! `check`: each precondition, and for each that fails the way to mend it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::spool::{age, others};
use super::{Format, now, status};
use crate::config::{self, Loaded, Settings};
use crate::delivery::{Breaker, Mode, UNASSIGNED};
use crate::home::Home;
use crate::serve;
use crate::spool::Spool;
use crate::store::{self, Report};

mod finding;
mod wazuh_api;

use finding::Findings;

/// How long MongoDB may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
/// A clock that is off by more makes `_processed_at` and retention wrong.
const SKEW_MS: i64 = 5_000;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only the settings: nothing is asked, nothing touched.
    ConfigOnly,
    /// Only Wazuh's API, and its certificate is trusted from now on.
    Trust,
    /// MongoDB, the spool and Wazuh's API as well.
    All,
}

/// Checks and prints. Returns 0 if everything holds, else 1.
pub fn run(config: Option<&Path>, depth: Depth, format: Format) -> u8 {
    let home = Home::find();
    let mut findings = Findings::default();
    match config::load(config, &home) {
        Ok(loaded) => {
            check_settings(&mut findings, &loaded, depth);
            check_serve(&mut findings, &loaded.settings, &home);
            check_depth(&mut findings, &loaded.settings, &home, depth);
        }
        Err(fault) => findings.bad("settings", fault.to_string(), "mend it where the line says"),
    }
    findings.print(format);
    if findings.failed() {
        status::FAILED
    } else {
        status::DONE
    }
}

fn check_depth(findings: &mut Findings, settings: &Settings, home: &Home, depth: Depth) {
    match depth {
        Depth::ConfigOnly => wazuh_api::check_settings(findings, settings),
        Depth::Trust => {
            wazuh_api::trust(findings, settings, home);
            wazuh_api::check(findings, settings, home);
        }
        Depth::All => {
            check_mongodb(findings, settings);
            check_spool(findings, settings, home);
            wazuh_api::check(findings, settings, home);
        }
    }
}

fn check_settings(findings: &mut Findings, loaded: &Loaded, depth: Depth) {
    match &loaded.file {
        Some(file) => findings.good("settings", format!("{} is read", file.display())),
        None => findings.good("settings", "no file; defaults and environment"),
    }
    let store = &loaded.settings.store;
    let managers = loaded.settings.managers();
    let written = store.password.is_some()
        || loaded.settings.wazuh_api.password.is_some()
        || managers
            .iter()
            .any(|manager| manager.api.password.is_some())
        || (store.uri.is_some() && store.has_password_in_uri());
    for file in loaded.file.iter().chain(&loaded.env_file) {
        check_mode(findings, file, written);
    }
    if depth == Depth::ConfigOnly && store.asks_command() {
        return findings.good(
            "store.uri",
            "from a command, which --config-only does not run",
        );
    }
    match store::validate(store) {
        Ok(()) => findings.good(
            "store.uri",
            format!("{}, database {}", store.servers(), store.database),
        ),
        Err(error) => findings.bad(
            "store.uri",
            error.to_string(),
            "see [store] in the sample settings",
        ),
    }
}

fn check_serve(findings: &mut Findings, settings: &Settings, home: &Home) {
    match serve::validate(&settings.serve, home) {
        Ok(where_and_how) => findings.good("serve", where_and_how),
        Err(why) => findings.bad("serve", why, "see [serve] in the sample settings"),
    }
}

fn check_mode(findings: &mut Findings, file: &Path, holds_secret: bool) {
    let Ok(meta) = std::fs::metadata(file) else {
        return;
    };
    let mode = meta.permissions().mode() & 0o777;
    let place = file.display();
    let fix = format!("chown root:wazuh {place} && chmod 640 {place}");
    if holds_secret && mode & 0o007 != 0 {
        let detail = format!("{mode:04o} {place}: everyone can read the password in it");
        findings.bad("settings mode", detail, fix);
    } else if mode & 0o002 != 0 {
        findings.bad(
            "settings mode",
            format!("{mode:04o} {place}: everyone can write it"),
            fix,
        );
    } else {
        findings.good("settings mode", format!("{mode:04o} {place}"));
    }
}

fn check_mongodb(findings: &mut Findings, settings: &Settings) {
    match store::inspect(&settings.store, WITHIN) {
        Ok(report) => check_report(findings, &report),
        Err(store::Error::Settings(why)) => {
            findings.bad("mongodb", why, "correct [store] in the settings");
        }
        Err(error) => {
            let why = error.to_string();
            let why = why.trim_end_matches("; see custom-mongo check");
            let fix = if why.contains("login") || why.contains("role") {
                "see integrations/mongodb-role.js for user and role".to_owned()
            } else {
                let servers = settings.store.servers();
                format!(
                    "is mongod running at {servers}, may this host reach it, is the replica set's name right?"
                )
            };
            findings.bad("mongodb", why, fix);
        }
    }
}

fn check_report(findings: &mut Findings, report: &Report) {
    let kind = report.replica_set.as_ref().map_or_else(
        || "standalone".to_owned(),
        |name| format!("replica set {name}"),
    );
    let millis = report.connected_in.as_millis();
    findings.good(
        "mongodb",
        format!("{} ({kind}), connected in {millis} ms", report.version),
    );
    let major = report
        .version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < 5) {
        findings.bad(
            "mongodb version",
            report.version.clone(),
            "MongoDB 5.0 or newer is needed",
        );
    }
    match &report.round_trip {
        Ok(took) => findings.good(
            "write concern",
            format!(
                "write, read and delete with majority and journal in {} ms",
                took.as_millis()
            ),
        ),
        Err(why) => findings.bad(
            "write concern",
            why.clone(),
            "see integrations/mongodb-role.js for the role that is needed",
        ),
    }
    if !report.may_insert {
        let fix = "see integrations/mongodb-role.js for the role that is needed";
        findings.bad("role", "the login may not insert into alerts", fix);
    }
    check_indexes(findings, report);
    if report.clock_skew_ms.abs() > SKEW_MS {
        let skew = format!(
            "this host's clock is {} ms off the server's",
            report.clock_skew_ms
        );
        findings.bad("clock", skew, "let both use the same NTP servers");
    } else {
        findings.good(
            "clock",
            format!("{} ms off the server's", report.clock_skew_ms),
        );
    }
}

fn check_indexes(findings: &mut Findings, report: &Report) {
    let missing = report.missing_indexes.join(", ");
    if report.missing_indexes.is_empty() {
        findings.good(
            "indexes",
            format!("all there, about {} alerts", report.alerts),
        );
    } else if report.alerts == 0 {
        findings.good("indexes", "created with the first alert");
    } else {
        findings.bad(
            "indexes",
            format!("missing: {missing}; the collection had alerts before custom-mongo came"),
            "create them at a quiet time, see Indexes in the README",
        );
    }
}

fn check_spool(findings: &mut Findings, settings: &Settings, home: &Home) {
    if let Err(error) = home.enter() {
        return findings.bad(
            "state folder",
            error.to_string(),
            "run the commands it names as root",
        );
    }
    let state = home.state().display();
    findings.good("state folder", state.to_string());
    let Ok(destination) = settings.store.destination() else {
        return;
    };
    let spool = Spool::new(home.state(), &destination, &settings.spool);
    if let Err(error) = spool.prepare() {
        return findings.bad("spool", error.to_string(), "let the wazuh user write there");
    }
    check_pending(findings, settings, &spool);
    check_pending(findings, settings, &spool.sibling(UNASSIGNED));
    match others(&settings.spool, home, Some(&destination)) {
        Ok(others) => {
            for other in others {
                findings.bad("spool", other.describe(), "see custom-mongo spool status");
            }
        }
        Err(error) => findings.bad("spool", error.to_string(), "look at the named file"),
    }
    let breaker = Breaker::of(spool.folder());
    if breaker.is_open() {
        let reason = breaker.reason().unwrap_or_default();
        let fix = "mend that; it closes with the first call or drain that reaches MongoDB";
        findings.bad("breaker", format!("open: {reason}"), fix);
    } else {
        findings.good("breaker", "closed");
    }
}

/// In the mode `spool` alerts wait for the next drain: only old ones are a fault.
const DRAINED_WITHIN_MS: i64 = 3_600_000;

fn check_pending(findings: &mut Findings, settings: &Settings, spool: &Spool) {
    let status = match spool.status() {
        Ok(status) => status,
        Err(error) => return findings.bad("spool", error.to_string(), "look at the named file"),
    };
    let oldest = status.oldest_ms.unwrap_or_else(now);
    let detail = format!(
        "{} alerts wait, the oldest for {}",
        status.pending,
        age(oldest)
    );
    let planned = settings.delivery.mode == Mode::Spool && now() - oldest < DRAINED_WITHIN_MS;
    if status.pending > 0 && !planned {
        findings.bad("spool", detail, "custom-mongo spool drain");
    } else if status.pending > 0 {
        findings.good("spool", detail);
    } else if !spool.folder().ends_with(UNASSIGNED) {
        findings.good("spool", format!("empty, {} dead letters", status.dead));
    }
}
