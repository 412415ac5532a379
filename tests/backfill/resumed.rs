//! A run that is stopped, killed or cut off goes on where it stood, and MongoDB may be away a while.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{assert_counts, count, run, text};
use crate::analysisd::{archive, gzip};
use crate::background::{Background, eventually};
use crate::outages::{Kept, assert_once, behind_proxy};
use crate::proxy::Mode;
use crate::scratch;
use crate::wazuh::{Wazuh, stored};

const EACH: usize = 1000;

/// So many files of `EACH` alerts.
fn files(count: usize) -> PathBuf {
    let root = scratch::fresh("resumed");
    for file in 0..count {
        let text = text(file * EACH..(file + 1) * EACH);
        let name = format!("2025/Jun/ossec-alerts-{:02}.json", file + 1);
        match file % 2 {
            0 => archive(&root, &format!("{name}.gz"), gzip(text.as_bytes())),
            _ => archive(&root, &name, text),
        };
    }
    root
}

/// A run that is slow enough to be disturbed, once it has stored so many.
fn disturbed(wazuh: &Wazuh, database: &str, root: &Path, stored: u64) -> Background {
    let root = root.display().to_string();
    let running = Background::start(
        wazuh,
        &["backfill", "--rate", "2000", "--format", "json", &root],
    );
    eventually(|| match count(database) {
        count if count >= stored => Ok(()),
        count => Err(format!("{count} of {stored}: {}", running.stderr())),
    });
    running
}

#[test]
fn a_stopped_run_goes_on_where_it_stood() {
    let wazuh = Wazuh::new("backfill_stopped");
    let root = files(4);
    let running = disturbed(&wazuh, "backfill_stopped", &root, 1200);
    let end = running.stop();
    assert_eq!(end.status, 3, "{end:?}");
    assert!(end.took < Duration::from_secs(10), "{end:?}");
    assert!(
        end.stderr.contains("run the same command again to go on"),
        "{end:?}"
    );
    let report: serde_json::Value = serde_json::from_str(&end.stdout).unwrap();
    assert_eq!(report["end"], "stopped");
    let there = count("backfill_stopped");
    assert!(there < 4000, "it was not stopped before its end");
    let rest = run(&wazuh, &[], &[&root]);
    assert_counts(&rest, 0, &[("rejected", 0)]);
    // It did not read again what was settled: the checkpoint is at most a second old.
    assert!(
        rest.1["read"].as_u64().unwrap() <= 4000 - there + 500,
        "{:#}",
        rest.1
    );
    assert_once(&Kept::of(stored("backfill_stopped")), 4 * EACH);
    // A complete run leaves nothing to go on with.
    assert_counts(
        &run(&wazuh, &[], &[&root]),
        0,
        &[("read", 4000), ("already_there", 4000)],
    );
}

#[test]
fn a_killed_run_goes_on_and_restart_begins_anew() {
    let wazuh = Wazuh::new("backfill_killed");
    let root = files(4);
    let running = disturbed(&wazuh, "backfill_killed", &root, 2200);
    running.kill();
    assert!(
        count("backfill_killed") < 4000,
        "it was not killed before its end"
    );
    let anew = disturbed(&wazuh, "backfill_killed", &root, 3000);
    anew.kill();
    let whole = run(&wazuh, &["--restart"], &[&root]);
    assert_counts(&whole, 0, &[("read", 4000), ("rejected", 0)]);
    assert_once(&Kept::of(stored("backfill_killed")), 4 * EACH);
}

#[test]
fn a_file_that_changed_since_is_read_again() {
    let wazuh = Wazuh::new("backfill_changed");
    let root = files(4);
    disturbed(&wazuh, "backfill_changed", &root, 2200).stop();
    // Somebody restored a better copy of the first, which was done.
    let first = [text(0..EACH), text(9000..9010)].concat();
    archive(
        &root,
        "2025/Jun/ossec-alerts-01.json.gz",
        gzip(first.as_bytes()),
    );
    assert_counts(&run(&wazuh, &[], &[&root]), 0, &[("rejected", 0)]);
    let kept = Kept::of(stored("backfill_changed"));
    assert!(kept.is_once() && (9000..9010).all(|number| kept.has(number)));
    assert!((0..4 * EACH).all(|number| kept.has(number)));
}

#[test]
fn a_damaged_file_is_not_forgotten_by_going_on() {
    let wazuh = Wazuh::new("backfill_torn_stopped");
    let root = files(3);
    let whole = gzip(text(8000..8600).as_bytes());
    archive(
        &root,
        "2025/Jun/ossec-alerts-01.json.gz",
        &whole[..whole.len() / 2],
    );
    let end = disturbed(&wazuh, "backfill_torn_stopped", &root, 1200).stop();
    assert_eq!(end.status, 3, "{end:?}");
    let rest = run(&wazuh, &[], &[&root]);
    assert_counts(&rest, 3, &[]);
    assert_eq!(rest.1["end"], "partial", "{:#}", rest.1);
}

#[test]
fn mongodb_may_be_away_at_the_start_and_in_the_middle() {
    let (proxy, wazuh) = behind_proxy("backfill_away", "");
    let root = files(3);
    proxy.set(Mode::Refuse);
    let path = root.display().to_string();
    let running = Background::start(
        &wazuh,
        &["backfill", "--rate", "2000", "--format", "json", &path],
    );
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(count("backfill_away"), 0);
    proxy.set(Mode::Pass);
    eventually(|| {
        (count("backfill_away") > 800)
            .then_some(())
            .ok_or_else(|| running.stderr())
    });
    let connections = proxy.connections();
    proxy.set(Mode::Refuse);
    std::thread::sleep(Duration::from_millis(700));
    proxy.set(Mode::Pass);
    let end = running.end();
    assert_eq!(end.status, 0, "{end:?}");
    assert!(proxy.connections() > connections, "it was not cut off");
    assert_once(&Kept::of(stored("backfill_away")), 3 * EACH);
}

#[test]
fn sigterm_ends_it_also_while_mongodb_is_away() {
    for (database, mode) in [
        ("backfill_term_refused", Mode::Refuse),
        ("backfill_term_frozen", Mode::Freeze),
    ] {
        let (proxy, wazuh) = behind_proxy(database, "");
        let root = files(3);
        let running = disturbed(&wazuh, database, &root, 500);
        proxy.set(mode);
        // Long enough for both slots to be taken.
        std::thread::sleep(Duration::from_millis(1500));
        let end = running.stop();
        assert!(end.took < Duration::from_secs(12), "{end:?}");
        assert_eq!(end.status, 3, "{end:?}");
        proxy.set(Mode::Pass);
        assert_counts(&run(&wazuh, &[], &[&root]), 0, &[("rejected", 0)]);
        assert_once(&Kept::of(stored(database)), 3 * EACH);
    }
}
