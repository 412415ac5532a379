//! One collector at a time for a site; the other says who it is and is content.

use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, Document, doc};

use super::{Site, quick};
use crate::fake::Options;
use crate::wazuh::Wazuh;

fn slow() -> Options {
    Options {
        takes: Duration::from_millis(20),
        ..quick()
    }
}

fn lease(site: &Site) -> Document {
    site.documents("leases", doc! {}).remove(0)
}

/// Waits until a run holds the lease.
fn wait_for_lease(site: &Site) {
    let begun = Instant::now();
    let held = |one: &Document| *one.get_datetime("expires_at").unwrap() > DateTime::now();
    while !site.documents("leases", doc! {}).iter().any(held) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "nobody takes the lease"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_on_one_host_one_works_and_the_other_says_who() {
    let site = Site::new("alone_host", slow(), "");
    let first = site.wazuh.command(&["collect"]).spawn().unwrap();
    wait_for_lease(&site);
    let output = site.run("");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let process = format!("process {}", first.id());
    assert!(
        said.contains("already in progress, skipping") && said.contains(&process),
        "{said}"
    );
    assert!(first.wait_with_output().unwrap().status.success());
    assert_eq!(site.documents("collect_runs", doc! {}).len(), 1);
}

#[test]
fn two_on_two_hosts_one_works_and_the_other_says_who() {
    let site = Site::new("alone_hosts", slow(), "");
    let other = Wazuh::new("alone_hosts");
    site.settings_of(&other, 100_000, "");
    let first = site.wazuh.command(&["collect"]).spawn().unwrap();
    wait_for_lease(&site);
    let output = other.run(&["collect"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let process = format!("process {}", first.id());
    assert!(
        said.contains("holds the lease") && said.contains(&process),
        "{said}"
    );
    assert!(first.wait_with_output().unwrap().status.success());
    // Given back, it can be had at once.
    assert_eq!(other.run(&["collect"]).status.code(), Some(0));
    assert_eq!(site.documents("collect_runs", doc! {}).len(), 2);
}

#[test]
fn a_dead_holder_elsewhere_keeps_the_lease_until_it_ends_and_no_longer() {
    let site = Site::usual("alone_dead", "");
    site.collect(0, "");
    let leases = site.database().collection::<Document>("leases");
    let until = |seconds: i64| {
        let end = DateTime::from_millis(DateTime::now().timestamp_millis() + seconds * 1000);
        let set = doc! { "$set": { "expires_at": end, "place": "elsewhere", "holder": "db7" } };
        leases.update_one(doc! {}, set).run().unwrap();
    };
    until(3600);
    let output = site.run("");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("db7"),
        "{output:?}"
    );
    assert_eq!(site.documents("collect_runs", doc! {}).len(), 1);
    until(-1);
    site.collect(0, "");
    assert_eq!(site.documents("collect_runs", doc! {}).len(), 2);
    assert!(!lease(&site).get_str("holder").unwrap().contains("db7"));
}

#[test]
fn whoever_lost_the_lease_writes_nothing_more() {
    // The lease is renewed every half minute; before that nobody can take it in good faith. So the
    // clock is not waited for: the token is changed, and the run is long enough to renew.
    let options = Options {
        takes: Duration::from_millis(600),
        ..quick()
    };
    let site = Site::new(
        "alone_lost",
        options,
        "kinds = [\"software\", \"osinfo\", \"syscheck\"]\n",
    );
    let run = site
        .wazuh
        .command(&["collect"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_lease(&site);
    let leases = site.database().collection::<Document>("leases");
    let set = doc! { "$set": { "token": "somebody else" } };
    leases.update_one(doc! {}, set).run().unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("took the lease"),
        "{output:?}"
    );
    assert!(site.documents("collect_runs", doc! {}).is_empty());
}
