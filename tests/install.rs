//! `install` and `uninstall` on a root folder that is laid out like a manager's host.

use std::process::{Command, Output};

use crate::manager_root::{INTEGRATIONS, ManagerRoot, STOCK};

/// What `wazuh-integratord -t` says there, started from outside.
fn integratord(host: &ManagerRoot) -> Output {
    let mut command = Command::new(host.path("bin/wazuh-integratord"));
    command.arg("-t").output().expect("the stand-in starts")
}

#[test]
fn the_stand_in_of_integratord_refuses_what_wazuh_refuses() {
    let host = ManagerRoot::with("/opt/wazuh", STOCK);
    assert!(integratord(&host).status.success());
    host.set_conf(&INTEGRATIONS.replace('\n', "\r\n"));
    assert!(integratord(&host).status.success());
    host.set_conf(&INTEGRATIONS.replace("<retries>", "<retires>"));
    let refused = integratord(&host);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("(1230): Invalid element in the configuration: 'retires'"),
        "{said}"
    );
    host.set_conf(&INTEGRATIONS.replace("<level>10", "<level>ten"));
    assert_eq!(integratord(&host).status.code(), Some(1));
}
