//! The state folder, and the alerts that wait in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::geteuid;

use super::{Installed, assert_good, faults, good, mode, only, only_of, read};
use crate::fake::{Options, Server};
use crate::manager_root::ManagerRoot;
use crate::wazuh::{ALERTS, Wazuh};
use crate::wazuh_api::section;
use crate::{call, mongod};

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
    let fault = only_of(&wazuh, "spool room");
    assert!(fault.fix.contains("spool.disk_reserve"), "{fault:?}");
    wazuh.raw_settings(&text("disk_reserve = \"0 %\"\n"));
    assert_good(&wazuh);

    // Filled to its limit while nothing is delivered.
    let small = "disk_reserve = \"0 %\"\nmax_size = \"1 MiB\"\n[delivery]\nmode = \"spool\"\n";
    wazuh.raw_settings(&text(small));
    let filler = "x".repeat(100 << 10);
    let full = (0..40).any(|number| {
        let alert = format!("{{\"id\":\"1.{number}\",\"full_log\":\"{filler}\"}}");
        wazuh.call(alert).status == 1
    });
    assert!(full, "it refuses");
    let fault = only_of(&wazuh, "spool room");
    assert!(fault.fix.ends_with("spool drain"), "{fault:?}");
    fault.run();
    assert_good(&wazuh);
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
    let fault = only_of(&wazuh, "spool");
    fault.run();
    assert_good(&wazuh);

    wazuh.raw_settings(&good.replace(&uri, &away));
    wazuh.call(ALERTS.lines().nth(1).unwrap()).assert_yes();
    wazuh.raw_settings(&good);
    let fault = only_of(&wazuh, "spool");
    assert!(fault.fix.contains("spool drain --from "), "{fault:?}");
    fault.run();
    wazuh.call("[]").assert_no(7, &wazuh);
    let check = wazuh.json("check");
    assert_eq!(super::faults(&check), [], "{check:#}");
    super::note(&check, "dead letters").run();
}

/// As its owner, who is not root, whose rights are never too few.
#[test]
fn a_way_to_the_state_folder_that_is_closed_is_opened() {
    let installed = Installed::new("check_way");
    let above = installed.host.path("var/db");
    mode(&above, 0o600);
    let fault = only(&installed.check(), "state folder");
    mode(&above, 0o700);
    assert!(fault.fix.contains("chmod g+rx"), "{fault:?}");
    if geteuid().is_root() {
        installed.mended_by_its_command("state folder");
    }
    fs::remove_dir_all(&above).unwrap();
    fs::write(&above, "").unwrap();
    let fault = only(&installed.check(), "state folder");
    assert!(fault.fix.starts_with("rm "), "{fault:?}");
    fault.run();
    installed.assert_good();
}

#[test]
fn a_spool_that_cannot_be_read_is_given_back() {
    let installed = Installed::new("check_spool");
    let file = installed.host.path("etc/custom-mongo.toml");
    let right = fs::read_to_string(&file).unwrap();
    let spooling = format!("{right}[delivery]\nmode = \"spool\"\n");
    fs::write(&file, &spooling).unwrap();
    let alert = installed.host.path("tmp/1.alert");
    fs::write(&alert, ALERTS.lines().next().unwrap()).unwrap();
    installed.host.give_to_wazuh(&alert, 0o640);
    let home = installed.host.path("");
    let alert = alert.display().to_string();
    let call = call::integration(&home, &call::normal(&alert, "", ""));
    call::start(call).outcome().assert_yes();
    installed.assert_good();
    close_the_spool(&installed);
    let fault = installed.mended_by_its_command("spool");
    assert!(fault.detail.contains("Permission denied"), "{fault:?}");
    // That of another destination.
    let other = spooling.replace("check_spool", "check_other");
    fs::write(&file, other).unwrap();
    close_the_spool(&installed);
    only(&installed.check(), "spool").run();
    let fault = installed.mended_by_its_command("spool");
    assert!(fault.fix.contains("spool drain --from"), "{fault:?}");
}

#[test]
fn tokens_that_cannot_be_read_are_given_back() {
    let installed = Installed::new("check_tokens");
    let made = installed.run(&["token", "new", "--name", "reader", "--scope", "read"]);
    assert!(made.status.success(), "{made:?}");
    let tokens = installed.host.path("var/db/custom-mongo/tokens.json");
    close(&tokens);
    let fault = installed.mended_by_its_command("serve");
    assert!(fault.detail.contains("tokens.json"), "{fault:?}");
}

#[test]
fn tokens_that_are_none_are_told_with_the_way_to_new_ones() {
    let installed = Installed::new("check_bad_tokens");
    let new = ["token", "new", "--name", "reader", "--scope", "read"];
    assert!(installed.run(&new).status.success());
    let tokens = installed.host.path("var/db/custom-mongo/tokens.json");
    let text = fs::read_to_string(&tokens).unwrap();
    let bad = text.replace("\"hash\": \"", "\"hash\": \"no ");
    assert!(bad != text);
    fs::write(&tokens, bad).unwrap();
    let fault = installed.mended_by_its_command("serve");
    assert!(fault.fix.ends_with(" token drop reader"), "{fault:?}");
    fs::write(&tokens, "[{").unwrap();
    let fault = only(&installed.check(), "serve");
    assert!(fault.detail.contains("tokens.json: "), "{fault:?}");
    assert!(
        fault.fix.contains("remove it and make the tokens anew"),
        "{fault:?}"
    );
    fs::remove_file(&tokens).unwrap();
    assert!(installed.run(&new).status.success());
    installed.assert_good();
}

/// The count of the requests to Wazuh's API, without which there is no budget, and the folder in which
/// it lies beside the certificates that are trusted.
#[test]
fn what_is_kept_of_wazuhs_api_and_cannot_be_read_is_given_back() {
    let server = Server::start(Options::default()).unwrap();
    let installed = Installed::new("check_count");
    let settings = installed.host.path("etc/custom-mongo.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text + &section(&server.url(), "")).unwrap();
    // What starts `collect` is not under test.
    let check = || read(&installed.run(&["check", "--trust", "--format", "json"]));
    assert_eq!(faults(&check()), []);
    let kept = installed.host.path("var/db/custom-mongo/wazuh_api");
    let count = kept.join(format!("127.0.0.1_{}.requests", server.port()));
    for (path, told) in [
        (&count, "cannot count requests in the state folder: "),
        (&kept, "trusted: cannot be read: "),
    ] {
        close(path);
        let fault = only(&check(), "wazuh_api");
        assert!(fault.detail.contains(told), "{fault:?}");
        fault.run();
        assert_eq!(faults(&check()), []);
    }
}

/// As what root did by hand leaves it: our own commands give root's rights up first.
fn close_the_spool(installed: &Installed) {
    let spools = installed.host.path("var/db/custom-mongo/spool");
    for spool in fs::read_dir(spools).unwrap() {
        close(&spool.unwrap().path());
    }
}

fn close(path: &Path) {
    mode(path, 0o000);
    if geteuid().is_root() {
        chown(path, Some(0), Some(0)).unwrap();
    }
}

/// Dead letters and a smaller limit than when they came.
#[test]
fn a_limit_that_is_too_small_for_what_lies_there_is_raised() {
    let wazuh = Wazuh::new("check_limit");
    let text = |spool: &str| {
        let uri = mongod::shared().uri();
        format!(
            "[store]\nuri = {uri:?}\ndatabase = \"check_limit\"\n[spool]\ndisk_reserve = \"0 %\"\n{spool}"
        )
    };
    let none = format!("[\"{}\"]", "x".repeat(1 << 20));
    wazuh.call(none).assert_no(7, &wazuh);
    wazuh.raw_settings(&text("max_size = \"1 MiB\"\n"));
    let fault = only_of(&wazuh, "spool room");
    assert_eq!(fault.fix, "raise spool.max_size");
    wazuh.raw_settings(&text("max_size = \"100 MiB\"\n"));
    assert_good(&wazuh);
}
