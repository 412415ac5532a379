//! The settings file: its place, its owner, its mode, and what can be read of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::process::CommandExt;

use nix::unistd::geteuid;
use serde_json::Value;

use super::{Installed, assert_good, mode, only, only_of, read};
use crate::manager_root::ManagerRoot;
use crate::mongod;
use crate::wazuh::Wazuh;

#[test]
fn a_key_that_is_not_known_is_respelled() {
    let installed = Installed::new("check_key");
    let path = installed.host.path("etc/custom-mongo.toml");
    let right = fs::read_to_string(&path).unwrap();
    for (known, wrong) in [("database =", "databse ="), ("[store]", "[stoer]")] {
        fs::write(&path, right.replace(known, wrong)).unwrap();
        let fault = installed.mended_by_its_command("settings");
        assert!(fault.detail.contains("did you mean"), "{fault:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), right);
        installed.host.give_to_group(&path, 0o640);
    }
}

#[test]
fn settings_that_are_not_toml_are_named_by_their_line() {
    let installed = Installed::new("check_toml");
    let path = installed.host.path("etc/custom-mongo.toml");
    let right = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{right}disk_reserve 5\n")).unwrap();
    let fault = only(&installed.check(), "settings");
    let line = format!("line {}", right.lines().count() + 1);
    assert!(fault.detail.contains(&line), "{fault:?}");
    fs::write(&path, right).unwrap();
    installed.assert_good();
}

#[test]
fn settings_of_an_image_that_are_not_there_are_written_by_install() {
    let installed = Installed::new("check_absent");
    let path = installed.host.path("etc/custom-mongo.toml");
    let kept = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let fault = only(&installed.check_below(), "settings");
    assert!(fault.fix.contains(" install --root "), "{fault:?}");
    let here = only(&installed.check(), "store.uri");
    assert!(
        here.fix.contains("install") && here.fix.contains("store.uri"),
        "{here:?}"
    );
    fs::write(&path, kept).unwrap();
    installed.host.give_to_group(&path, 0o640);
    installed.assert_good();
}

#[test]
fn settings_that_others_can_read_or_write_or_wazuh_cannot_read_get_their_mode() {
    let installed = Installed::new("check_mode");
    let path = installed.host.path("etc/custom-mongo.toml");
    let plain = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        plain.replace("[store]\n", "[store]\nusername = \"\"\n"),
    )
    .unwrap();
    for (bits, secret, name) in [
        (0o644, "[wazuh_api]\npassword = \"x\"\n", "settings mode"),
        (0o642, "", "settings mode"),
        (0o200, "", "settings"),
    ] {
        fs::write(&path, format!("{plain}{secret}")).unwrap();
        mode(&path, bits);
        if bits == 0o200 && !geteuid().is_root() {
            // As its owner, who is not root, nobody is locked out by a group.
            continue;
        }
        let fault = only(&installed.check(), name);
        assert!(fault.fix.starts_with("chown -h root:"), "{fault:?}");
        if geteuid().is_root() {
            fault.run();
            installed.assert_good();
        }
    }
}

/// Somebody else reads what the hook cannot.
#[test]
fn settings_that_only_others_can_read_get_wazuhs_group() {
    if !geteuid().is_root() {
        return;
    }
    let installed = Installed::new("check_group");
    let path = installed.host.path("etc/custom-mongo.toml");
    open_to_all(&installed);
    chown(&path, Some(0), Some(STRANGER)).unwrap();
    let check = as_stranger(&installed);
    let mut found = super::faults(&check).into_iter();
    let fault = found.find(|fault| fault.name == "settings mode").unwrap();
    assert!(fault.detail.contains("cannot read it"), "{fault:?}");
    fault.run();
    let check = installed.check_below();
    assert_eq!(super::faults(&check), [], "{check:#}");
    super::good(&check, "settings mode");
}

#[test]
fn settings_that_are_named_and_not_there_are_named_in_the_fix() {
    let installed = Installed::new("check_named");
    let absent = installed.host.path("tmp/absent.toml");
    let named = [
        "check",
        "--format",
        "json",
        "--config",
        &absent.display().to_string(),
    ];
    let fault = only(&read(&installed.run(&named)), "settings");
    assert!(
        fault.fix.ends_with("or name another with --config"),
        "{fault:?}"
    );
    let path = installed.host.path("etc/custom-mongo.toml");
    fs::copy(&path, &absent).unwrap();
    installed.host.give_to_group(&absent, 0o640);
    let check = read(&installed.run(&named));
    assert_eq!(super::faults(&check), [], "{check:#}");
}

#[test]
fn a_variable_that_cannot_be_read_is_named() {
    let installed = Installed::new("check_variable");
    let check = |value: &str| {
        let mut command = installed.command(&["check", "--format", "json"]);
        command.env("CUSTOM_MONGO_SPOOL__MAX_SIZE", value);
        read(&crate::call::finish(command, b""))
    };
    let fault = only(&check("much"), "settings");
    assert!(fault.detail.contains("[spool] max_size"), "{fault:?}");
    assert!(fault.fix.starts_with("correct the variable"), "{fault:?}");
    assert_eq!(super::faults(&check("1 GiB")), []);
}

/// Without a file: as the Python service was set up.
#[test]
fn settings_of_the_environment_alone_are_corrected_there() {
    let mut wazuh = Wazuh::new("check_environment");
    fs::remove_file(wazuh.home.join("etc/custom-mongo.toml")).unwrap();
    let uri = mongod::shared().uri();
    let set = |wazuh: &mut Wazuh, uri: &str, reserve: &str| {
        let reserve = ("CUSTOM_MONGO_SPOOL__DISK_RESERVE", reserve.to_owned());
        wazuh.environment = vec![("MONGO_URI", uri.to_owned()), reserve];
    };
    set(&mut wazuh, &format!("{uri}&compressors=zlib"), "0 %");
    let fault = only_of(&wazuh, "store.uri");
    assert!(fault.fix.starts_with("correct MONGO_URI"), "{fault:?}");
    set(&mut wazuh, &uri, "much");
    let fault = only_of(&wazuh, "settings");
    assert!(fault.fix.starts_with("correct the variable"), "{fault:?}");
    set(&mut wazuh, &uri, "0 %");
    assert_good(&wazuh);
}

#[test]
fn settings_of_a_stranger_become_roots() {
    if !geteuid().is_root() {
        // Nobody can give files away.
        return assert!(Installed::new("check_stranger").check()["checks"].is_array());
    }
    let installed = Installed::new("check_stranger");
    let path = installed.host.path("etc/custom-mongo.toml");
    chown(&path, Some(64_999), None).unwrap();
    installed.mended_by_its_command("settings owner");
}

#[test]
fn a_password_file_that_everyone_can_read_is_closed() {
    let installed = Installed::new("check_password");
    let file = installed.host.path("etc/custom-mongo.password");
    fs::write(&file, "hush").unwrap();
    installed.host.give_to_group(&file, 0o644);
    let uri = mongod::shared().uri();
    let text =
        |more: &str| format!("[store]\nuri = {uri:?}\ndatabase = \"check_password\"\n{more}");
    installed.settings(&text(&format!("password_file = {file:?}\n")));
    let fault = only(&installed.check(), "store.uri");
    assert!(
        fault
            .fix
            .ends_with(&format!("chmod 0640 {}", file.display())),
        "{fault:?}"
    );
    if geteuid().is_root() {
        fault.run();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    }
}

#[test]
fn a_connection_string_with_an_unknown_option_is_refused_with_the_option() {
    let installed = Installed::new("check_option");
    let uri = mongod::shared().uri();
    let text = |uri: &str| format!("[store]\nuri = {uri:?}\ndatabase = \"check_option\"\n");
    for option in ["compressors=zlib", "socketTimeoutMS=1000"] {
        installed.settings(&text(&format!("{uri}&{option}")));
        let fault = only(&installed.check(), "store.uri");
        assert!(fault.detail.contains("remove this option"), "{fault:?}");
    }
    installed.settings(&text(&uri));
    installed.assert_good();
}

/// Whoever is neither root nor Wazuh's user sees less, and is told so.
#[test]
fn somebody_else_is_told_that_he_sees_less() {
    if !geteuid().is_root() {
        return;
    }
    let installed = Installed::new("check_user");
    open_to_all(&installed);
    let said = super::note(&as_stranger(&installed), "user");
    assert!(
        said.detail.contains("64998") && said.detail.contains("64950"),
        "{said:?}"
    );
}

/// Neither root nor Wazuh's user, nor in its group.
const STRANGER: u32 = 64_998;

/// Folders that anybody may look into.
fn open_to_all(installed: &Installed) {
    for folder in ["", "etc", "integrations", "var", "var/db", "logs"] {
        mode(&installed.host.path(folder), 0o755);
    }
}

fn as_stranger(installed: &Installed) -> Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_custom-mongo"));
    command
        .args(["check", "--format", "json", "--root"])
        .arg(&installed.host.root);
    command.uid(STRANGER).gid(STRANGER);
    read(&command.env_clear().output().unwrap())
}

/// `etc/` and `var/db/` are writable for `wazuh`, and root runs what is named as the fix: of a link that
/// was put there, nothing that it leads to is given away.
#[test]
fn a_fix_gives_nothing_away_that_a_link_leads_to() {
    if !geteuid().is_root() {
        return;
    }
    let installed = Installed::new("check_trap");
    let (_, group) = ManagerRoot::wazuh();
    let victim = installed.host.here("/etc/victim");
    fs::write(&victim, "root's").unwrap();
    mode(&victim, 0o600);
    for place in ["etc/custom-mongo.toml", "etc/ossec.conf"] {
        let path = installed.host.path(place);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        for fault in super::faults(&installed.check()) {
            if fault.fix.starts_with("chown") {
                fault.run();
            }
            let meta = fs::metadata(&victim).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (0, 0), "{fault:?}");
            assert_ne!(meta.gid(), group);
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, kept).unwrap();
        installed.host.give_to_group(&path, 0o660);
    }
    let state = installed.host.path("var/db/custom-mongo");
    fs::remove_dir_all(&state).unwrap();
    symlink(installed.host.here("/etc"), &state).unwrap();
    let output = installed.run(&["spool", "status"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("rm ") && !said.contains("chown"), "{said}");
}
