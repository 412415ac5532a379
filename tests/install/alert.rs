//! From nothing to an alert in MongoDB, as a new user goes.

use std::fs;
use std::process::Command;

use super::uninstall::as_wazuh;
use crate::call;
use crate::manager_root::ManagerRoot;
use crate::mongod;
use crate::wazuh::{numbered, only, text};

#[test]
fn after_install_an_alert_is_in_mongodb() {
    let host = ManagerRoot::new();
    let uri = mongod::shared().uri();
    host.ok(&["install", "--uri", &uri, "--retention", "90d"]);

    let mut check = Command::new(host.path("integrations/custom-mongo"));
    check.args(["check", "--config-only"]).env_clear();
    let output = as_wazuh(check).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let file = host.path("tmp/1.alert");
    fs::write(&file, numbered(0).to_string()).unwrap();
    host.give_to_wazuh(&file, 0o640);
    let arguments = call::normal(file.to_str().unwrap(), "", "");
    let mut hook = call::integration(&host.path(""), &arguments);
    hook.env("MONGO_DB", "installed");
    hook.env("CUSTOM_MONGO_DELIVERY__DEADLINE", "30 s");
    call::start(as_wazuh(hook)).outcome().assert_yes();
    let stored = only("installed");
    assert_eq!(text(&stored, "_source"), "hook");
    assert!(stored.contains_key("_expire_at"), "{stored}");
}
