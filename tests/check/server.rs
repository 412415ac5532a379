//! The server itself: its release.

use mongodb::bson::doc;

use super::database::store;
use super::{assert_good, good, only_of};
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
