//! The server itself: its release and its clock.

use mongodb::bson::doc;

use super::database::store;
use super::{assert_good, good, only_of};
use crate::clock;
use crate::mongod::{Mongod, Setup};
use crate::wazuh::Wazuh;

/// The driver refuses 4.2 and takes 4.4. The upgrade is MongoDB's own: from one release to the next,
/// with the same data.
#[test]
fn a_release_before_5_0_is_refused_and_the_upgrade_mends_it() {
    let release = |name| Setup {
        release: Some(name),
        ..Setup::default()
    };
    let server = Mongod::start_with(release("4.2"));
    let wazuh = store(&server.uri(), "");
    assert_is_too_old(&wazuh);
    let server = server.restarted_with(release("4.4"));
    assert_is_too_old(&wazuh);
    server.admin(doc! { "setFeatureCompatibilityVersion": "4.4" });
    let server = server.restarted_with(release("5.0"));
    assert_good(&wazuh);
    let said = good(&wazuh.json("check"), "mongodb");
    assert!(said.starts_with("5.0."), "{said}");
    drop(server);
}

#[track_caller]
fn assert_is_too_old(wazuh: &Wazuh) {
    let fault = only_of(wazuh, "mongodb version");
    assert!(fault.detail.contains("older than MongoDB 5.0"), "{fault:?}");
    assert_eq!(fault.fix, "MongoDB 5.0 or newer is needed");
}

/// A mongod whose every look at the clock is an hour ahead, and the same one with the right time.
#[test]
fn a_clock_that_is_wrong_is_a_fault_until_it_is_set() {
    let ahead = Setup {
        environment: vec![format!("LD_PRELOAD={}", clock::off_by(3600).display())],
        ..Setup::default()
    };
    let server = Mongod::start_with(ahead);
    let wazuh = store(&server.uri(), "");
    let fault = only_of(&wazuh, "mongodb clock");
    let (off, _) = fault.detail.split_once(" ms off").unwrap();
    let off: i64 = off.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((-3_600_000..-3_590_000).contains(&off), "{fault:?}");
    assert!(fault.fix.contains("set-ntp true"), "{fault:?}");
    let server = server.restarted_with(Setup::default());
    assert_good(&wazuh);
    good(&wazuh.json("check"), "mongodb clock");
    drop(server);
}
