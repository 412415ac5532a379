//! Settings that stand in variables: in the environment, and in the `.env` beside the file.

use std::fs;
use std::os::unix::fs::chown;

use nix::unistd::geteuid;

use super::super::{Installed, good, mode, only};
use super::{Home, STORE};

/// In the environment and in the `.env`: the one that has the mistake is named, and neither the other
/// nor the settings file.
#[test]
fn a_variable_with_a_mistake_is_told_with_its_place() {
    for (name, wrong, told, right) in [
        (
            "MAX_WORKERS",
            "many",
            "[collect] max_workers: `many` is not a whole number",
            "2",
        ),
        (
            "CUSTOM_MONGO_SPOOL__MAX_SIZE",
            "much",
            "[spool] max_size: `much` is not a size",
            "1 GiB",
        ),
        (
            "CUSTOM_MONGO_COLLECT__KINDS",
            "prots",
            "[collect] kinds: unknown kind `prots`",
            "ports",
        ),
        (
            "CUSTOM_MONGO_REDACT__PATTERNS",
            "(",
            "redact.patterns: `(`",
            "()",
        ),
    ] {
        let mut home = Home::new();
        home.wazuh.raw_settings(STORE);
        home.wazuh.environment = vec![(name, wrong.to_owned())];
        let fault = only(&home.check(), "settings");
        assert!(
            fault.detail.starts_with(&format!("environment: {told}")),
            "{fault:?}"
        );
        assert!(fault.fix.starts_with("correct the variable"), "{fault:?}");
        home.wazuh.environment = vec![(name, right.to_owned())];
        home.assert_good(STORE);

        home.wazuh.environment.clear();
        let beside = write_env(&home, &format!("{name}={wrong}\n"));
        let fault = only(&home.check(), "settings");
        assert!(
            fault.detail.starts_with(&format!("{beside}: {told}")),
            "{fault:?}"
        );
        assert!(
            fault.fix.starts_with(&format!("correct {beside}, ")),
            "{fault:?}"
        );
        write_env(&home, &format!("{name}={right}\n"));
        home.assert_good(STORE);
    }
}

#[test]
fn a_variable_that_sets_nothing_is_told() {
    for (name, told) in [
        (
            "CUSTOM_MONGO_STATEDIR",
            "`CUSTOM_MONGO_STATEDIR`; did you mean `CUSTOM_MONGO_STATE_DIR`? (a setting is",
        ),
        (
            "CUSTOM_MONGO_SPOL__MAX_SIZE",
            "unknown key `spol`; did you mean `spool`?",
        ),
        (
            "CUSTOM_MONGO_SPOOL__MAX_SISE",
            "[spool] unknown key `max_sise`; did you mean `max_size`?",
        ),
        (
            "CUSTOM_MONGO_STORE__URI__HOST",
            "store.uri__host: `uri` is not a section",
        ),
    ] {
        let mut home = Home::new();
        home.wazuh.raw_settings(STORE);
        home.wazuh.environment = vec![(name, "5".to_owned())];
        let fault = only(&home.check(), "settings");
        assert!(fault.detail.starts_with("environment: "), "{fault:?}");
        assert!(fault.detail.contains(told), "{fault:?}");
        assert!(fault.fix.starts_with("correct the variable"), "{fault:?}");
        home.wazuh.environment.clear();
        home.assert_good(STORE);

        let beside = write_env(&home, &format!("{name}=5\n"));
        let fault = only(&home.check(), "settings");
        assert!(
            fault.detail.starts_with(&beside) && fault.detail.contains(told),
            "{fault:?}"
        );
        write_env(&home, "");
        home.assert_good(STORE);
    }
}

/// It may name commands, as the settings may.
#[test]
fn an_env_file_that_others_can_write_is_given_its_owner_and_mode() {
    let home = Home::new();
    home.wazuh.raw_settings(STORE);
    let beside = write_env(&home, "MAX_WORKERS=2\n");
    mode(beside.as_ref(), 0o646);
    let fault = only(&home.check(), "settings");
    assert!(
        fault.detail.contains(".env: others may write it"),
        "{fault:?}"
    );
    if geteuid().is_root() {
        fault.run();
        home.assert_good(STORE);
        chown(&beside, Some(64_999), None).unwrap();
        only(&home.check(), "settings").run();
        home.assert_good(STORE);
    }
}

#[test]
fn an_env_file_that_wazuh_cannot_read_is_opened_to_it() {
    if !geteuid().is_root() {
        return;
    }
    let installed = Installed::new("check_env");
    let beside = installed.host.path("etc/.env");
    fs::write(&beside, "MAX_WORKERS=2\n").unwrap();
    mode(&beside, 0o600);
    let fault = installed.mended_by_its_command("settings");
    assert!(
        fault
            .detail
            .contains(".env: cannot be read: Permission denied"),
        "{fault:?}"
    );
    good(&installed.check(), "settings mode");
}

/// The `.env` beside the settings; its path.
pub(super) fn write_env(home: &Home, text: &str) -> String {
    let path = home.wazuh.home.join("etc/.env");
    fs::write(&path, text).unwrap();
    mode(&path, 0o600);
    path.display().to_string()
}
