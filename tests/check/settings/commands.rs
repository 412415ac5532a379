//! Secrets that a command prints: only a whole `check` runs it.

use crate::fake::{Options, Server};
use crate::mongod;
use crate::wazuh::Wazuh;
use crate::wazuh_api::section;

use super::super::{assert_good, good, only_of};

#[test]
fn a_command_that_prints_no_connection_string_is_told() {
    let wazuh = Wazuh::new("check_uri_command");
    let set = |command: &str| {
        let reserve = "[spool]\ndisk_reserve = \"0 %\"\n";
        let database = "database = \"check_uri_command\"\n";
        wazuh.raw_settings(&format!(
            "[store]\nuri_command = {command:?}\n{database}{reserve}"
        ));
    };
    for (command, told) in [
        (
            "exit 3",
            "store.uri_command: failed (exit status: 3); run it by hand to see why",
        ),
        ("sleep 9", "store.uri_command: gave no answer within 500ms"),
        (
            "echo hush",
            "store.uri: it has to begin with mongodb:// or mongodb+srv://",
        ),
    ] {
        set(command);
        assert!(good(&wazuh.json("check --config-only"), "store.uri").contains("does not run"));
        let fault = only_of(&wazuh, "store.uri");
        assert_eq!(fault.detail, told);
        assert!(fault.fix.starts_with("correct [store] in "), "{fault:?}");
    }
    set(&format!("echo '{}'", mongod::shared().uri()));
    assert_good(&wazuh);
}

#[test]
fn a_command_that_prints_no_password_of_the_api_is_told() {
    let server = Server::start(Options::default()).unwrap();
    let wazuh = Wazuh::new("check_api_command");
    let settings = section(&server.url(), "");
    let (before, rest) = settings.split_once("password = \"").unwrap();
    let (password, _) = rest.split_once('"').unwrap();
    let set = |command: &str| wazuh.settings(&format!("{before}password_command = {command:?}\n"));
    for (command, told) in [
        (
            "exit 3",
            "wazuh_api.password_command: failed (exit status: 3)",
        ),
        ("true", "no password; set wazuh_api.password or WAZUH_PASS"),
    ] {
        set(command);
        let fault = only_of(&wazuh, "wazuh_api");
        assert!(fault.detail.starts_with(told), "{fault:?}");
    }
    set(&format!("echo {password}"));
    assert_good(&wazuh);
}
