//! kill -9 at any time, or a MongoDB that goes away: the next run completes it, without duplicates and
//! without invented history.

use std::time::{Duration, Instant};

use super::oracle::Oracle;
use super::{ALL_KINDS, Site, quick};
use crate::fake::Options;
use crate::fake::fleet::Status;
use crate::fake::rows::{SCANNED, mix};

#[test]
fn killed_at_any_time_the_next_run_completes_it() {
    let options = Options {
        takes: Duration::from_millis(2),
        ..quick()
    };
    let site = Site::new(
        "collect_killed",
        options,
        &format!("{ALL_KINDS}max_loss = \"100 %\"\n"),
    );
    site.state().fleet.agent_mut("020").unwrap().status = Status::Active;
    let mut oracle = Oracle::default();
    for round in 0..3 {
        site.state().fleet.time = Some(SCANNED + 3600 * i64::try_from(round).unwrap());
        if round > 0 {
            site.state().fleet.drift(20, round);
        }
        for attempt in 0..5 {
            let mut run = site.wazuh.command(&["collect"]).spawn().unwrap();
            let longest = if round == 0 { 1500 } else { 900 };
            let wait = mix(round * 10 + attempt) % longest;
            std::thread::sleep(Duration::from_millis(wait));
            run.kill().unwrap();
            run.wait().unwrap();
        }
        // The lease of whoever was killed here is not waited for.
        let report = site.collect(0, "");
        assert_eq!(report["outcome"], "complete", "{report}");
        oracle.look(&site.state());
        oracle.check(&site);
    }
}

#[test]
fn mongodb_that_goes_away_in_the_middle_costs_a_run_and_no_row() {
    let options = Options {
        takes: Duration::from_millis(10),
        ..quick()
    };
    let collect = format!("{ALL_KINDS}max_loss = \"100 %\"\n");
    let site = Site::with_mongod("collect_outage", options, &collect);
    let mongod = site.mongod.as_ref().unwrap();
    site.state().fleet.agent_mut("020").unwrap().status = Status::Active;
    site.collect(0, "");
    let mut oracle = Oracle::default();
    oracle.look(&site.state());
    site.state().fleet.time = Some(SCANNED + 3600);
    site.state().fleet.drift(20, 1);
    oracle.look(&site.state());
    site.state().seen.clear();
    let run = site
        .wazuh
        .command(&["collect", "--full"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while site.state().seen.len() < 100 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not begin"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    mongod.stop();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("MongoDB"), "{said}");
    mongod.start();
    let report = site.collect(0, "");
    assert_eq!(report["outcome"], "complete", "{report}");
    oracle.check(&site);
}
