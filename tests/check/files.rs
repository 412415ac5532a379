//! Settings, integration and state folder: places, owners, modes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::SystemTime;

use nix::unistd::geteuid;

use super::{Installed, OWN, findings, good, only, read};
use crate::manager_root::ManagerRoot;
use crate::wazuh::{ALERTS, Wazuh};
use crate::{mongod, scratch};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

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
    assert!(fault.fix.starts_with("chmod 640 "), "{fault:?}");
    fault.run();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_connection_string_with_an_unknown_option_is_refused_with_the_option() {
    let installed = Installed::new("check_option");
    let uri = mongod::shared().uri();
    let text = |uri: &str| format!("[store]\nuri = {uri:?}\ndatabase = \"check_option\"\n");
    installed.settings(&text(&format!("{uri}&compressors=zlib")));
    let fault = only(&installed.check(), "store.uri");
    assert!(fault.detail.contains("remove this option"), "{fault:?}");
    installed.settings(&text(&uri));
    installed.assert_good();
}

#[test]
fn the_integration_belongs_to_root_and_wazuh_can_run_it_and_not_write_it() {
    let installed = Installed::new("check_rights");
    let file = installed.own_file();
    let check = installed.check_below();
    if !geteuid().is_root() {
        let own = findings(&check, "fault")
            .into_iter()
            .map(|fault| fault.name);
        return assert_eq!(own.collect::<Vec<_>>(), OWN);
    }
    let (user, group) = ManagerRoot::wazuh();
    for (owner, bits) in [
        ((user, group), 0o750),
        ((0, group), 0o770),
        ((0, 0), 0o750),
        ((0, group), 0o757),
    ] {
        chown(&file, Some(owner.0), Some(owner.1)).unwrap();
        mode(&file, bits);
        let fault = only(&installed.check_below(), "integration rights");
        fault.run();
        let meta = fs::metadata(&file).unwrap();
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o777),
            (0, group, 0o750)
        );
        assert_eq!(installed.check_below()["ok"], true, "{fault:?}");
    }
    let folder = installed.host.path("integrations");
    mode(&folder, 0o770);
    only(&installed.check_below(), "integration folder").run();
    chown(&folder, Some(user), None).unwrap();
    only(&installed.check_below(), "integration folder").run();
    assert_eq!(installed.check_below()["ok"], true);
}

#[test]
fn an_integration_without_a_time_is_touched() {
    let installed = Installed::new("check_time");
    let file = installed.own_file();
    let open = fs::File::options().append(true).open(&file).unwrap();
    open.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    only(&installed.check_below(), "integration time").run();
    assert!(fs::metadata(&file).unwrap().mtime() > 0);
    assert_eq!(super::faults(&installed.check_below()), []);
}

#[test]
fn an_integration_that_is_a_link_or_is_not_there_is_installed() {
    let installed = Installed::new("check_link");
    let file = installed.own_file();
    fs::remove_file(&file).unwrap();
    let fault = only(&installed.check_below(), "integration");
    assert!(fault.fix.contains(" install --root "), "{fault:?}");
    if geteuid().is_root() {
        fault.run();
        assert_eq!(super::faults(&installed.check_below()), []);
        fs::remove_file(&file).unwrap();
    }
    let elsewhere = installed.host.path("tmp/program");
    fs::write(&elsewhere, "a program").unwrap();
    symlink(&elsewhere, &file).unwrap();
    let fault = only(&installed.check_below(), "integration");
    assert!(fault.fix.starts_with("rm "), "{fault:?}");
    if geteuid().is_root() {
        fault.run();
        assert_eq!(super::faults(&installed.check_below()), []);
    }
}

/// Wazuh runs nothing else; the block has the name of the file.
#[test]
fn a_program_with_another_name_is_renamed() {
    let installed = Installed::new("check_name");
    let file = installed.host.path("integrations/custom-mongo");
    let other = file.with_file_name("mongo");
    fs::rename(&file, &other).unwrap();
    let mut command = std::process::Command::new(&other);
    command.env_clear().args(["check", "--format", "json"]);
    let faults = super::faults(&read(&command.output().unwrap()));
    let names: Vec<_> = faults.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names, ["integration name", "ossec.conf block"]);
    faults[0].run();
    installed.assert_good();
}

#[test]
fn another_version_than_the_one_that_checks_is_noted() {
    let installed = Installed::new("check_version");
    installed.own_file();
    let note = super::note(&installed.check_below(), "integration version");
    assert!(note.fix.contains(" install --root "), "{note:?}");
}

#[test]
fn the_state_folder_is_wazuhs_own_or_can_be_made() {
    let installed = Installed::new("check_state");
    let state = installed.host.path("var/db/custom-mongo");
    fs::remove_dir_all(&state).unwrap();
    let above = installed.host.path("var/db");
    assert!(good(&installed.check(), "state folder").contains("is made"));
    assert!(!state.exists(), "and not by a check");
    // What follows takes rights away, which root alone can see.
    mode(&above, 0o555);
    let fault = only(&installed.check(), "state folder");
    mode(&above, 0o770);
    assert!(fault.fix.starts_with("mkdir -p "), "{fault:?}");
    if geteuid().is_root() {
        mode(&above, 0o750);
        installed.mended_by_its_command("state folder");
        chown(&state, Some(0), Some(0)).unwrap();
        installed.mended_by_its_command("state folder");
        assert_eq!(fs::metadata(&state).unwrap().uid(), ManagerRoot::wazuh().0);
    } else {
        fs::create_dir(&state).unwrap();
    }
    mode(&state, 0o777);
    let fault = only(&installed.check(), "state folder");
    assert!(fault.fix.contains("chmod 0700"), "{fault:?}");
    mode(&state, 0o700);
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "").unwrap();
    let fault = only(&installed.check(), "state folder");
    assert!(fault.fix.starts_with("rm "), "{fault:?}");
    if geteuid().is_root() {
        fault.run();
        installed.assert_good();
    }
}

#[test]
fn a_spool_without_room_is_a_fault_before_alerts_are_lost() {
    let wazuh = Wazuh::new("check_room");
    let text = |spool: &str| {
        let uri = mongod::shared().uri();
        format!("[store]\nuri = {uri:?}\ndatabase = \"check_room\"\n[spool]\n{spool}")
    };
    wazuh.raw_settings(&text("disk_reserve = \"100 %\"\n"));
    let fault = super::only_of(&wazuh, "spool room");
    assert!(fault.fix.contains("spool.disk_reserve"), "{fault:?}");
    wazuh.raw_settings(&text("disk_reserve = \"0 %\"\n"));
    super::assert_good(&wazuh);

    // Filled to its limit while nothing is delivered.
    let small = "disk_reserve = \"0 %\"\nmax_size = \"1 MiB\"\n[delivery]\nmode = \"spool\"\n";
    wazuh.raw_settings(&text(small));
    let filler = "x".repeat(100 << 10);
    let full = (0..40).any(|number| {
        let alert = format!("{{\"id\":\"1.{number}\",\"full_log\":\"{filler}\"}}");
        wazuh.call(alert).status == 1
    });
    assert!(full, "it refuses");
    let fault = super::only_of(&wazuh, "spool room");
    assert!(fault.fix.ends_with("spool drain"), "{fault:?}");
    fault.run();
    super::assert_good(&wazuh);
}

#[test]
fn alerts_that_wait_and_dead_letters_are_told_with_the_command() {
    let wazuh = Wazuh::new("check_waiting");
    let good = fs::read_to_string(wazuh.home.join("etc/custom-mongo.toml")).unwrap();
    let away = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let uri = mongod::shared().uri();
    wazuh.raw_settings("[store]\nx = 1\n");
    wazuh
        .call(ALERTS.lines().next().unwrap())
        .assert_no(78, &wazuh);
    wazuh.raw_settings(&good);
    let fault = super::only_of(&wazuh, "spool");
    fault.run();
    super::assert_good(&wazuh);

    wazuh.raw_settings(&good.replace(&uri, &away));
    wazuh.call(ALERTS.lines().nth(1).unwrap()).assert_yes();
    wazuh.raw_settings(&good);
    let fault = super::only_of(&wazuh, "spool");
    assert!(fault.fix.contains("spool drain --from "), "{fault:?}");
    fault.run();
    wazuh.call("[]").assert_no(7, &wazuh);
    let check = wazuh.json("check");
    assert_eq!(super::faults(&check), [], "{check:#}");
    super::note(&check, "dead letters").run();
}

/// Whoever is neither root nor Wazuh's user sees less, and is told so.
#[test]
fn somebody_else_is_told_that_he_sees_less() {
    if !geteuid().is_root() {
        return assert!(scratch::root().exists());
    }
    let installed = Installed::new("check_user");
    for folder in ["", "etc", "integrations", "var", "var/db", "logs"] {
        mode(&installed.host.path(folder), 0o755);
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_custom-mongo"));
    command
        .args(["check", "--format", "json", "--root"])
        .arg(&installed.host.root);
    command.uid(64_998).gid(64_998);
    let output = command.env_clear().output().unwrap();
    let said = super::note(&serde_json::from_slice(&output.stdout).unwrap(), "user");
    assert!(
        said.detail.contains("64998") && said.detail.contains("64950"),
        "{said:?}"
    );
}

/// `etc/` and `var/db/` are writable for `wazuh`, and root runs what is named as the fix: of a link that
/// was put there, nothing that it leads to is given away.
#[test]
fn a_fix_gives_nothing_away_that_a_link_leads_to() {
    if !geteuid().is_root() {
        return assert!(scratch::root().exists());
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
