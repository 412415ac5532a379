//! The file that Wazuh runs: its place, its name, its owner, its mode.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::time::SystemTime;

use nix::unistd::geteuid;

use super::{Installed, OWN, faults, findings, mode, note, only, read};
use crate::manager_root::ManagerRoot;

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
    assert_eq!(faults(&installed.check_below()), []);
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
        assert_eq!(faults(&installed.check_below()), []);
        fs::remove_file(&file).unwrap();
    }
    let elsewhere = installed.host.path("tmp/program");
    fs::write(&elsewhere, "a program").unwrap();
    symlink(&elsewhere, &file).unwrap();
    let fault = only(&installed.check_below(), "integration");
    assert!(fault.fix.starts_with("rm "), "{fault:?}");
    if geteuid().is_root() {
        fault.run();
        assert_eq!(faults(&installed.check_below()), []);
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
    let faults = faults(&read(&command.output().unwrap()));
    let names: Vec<_> = faults.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names, ["integration name", "ossec.conf block"]);
    faults[0].run();
    installed.assert_good();
}

#[test]
fn another_version_than_the_one_that_checks_is_noted() {
    let installed = Installed::new("check_version");
    installed.own_file();
    let said = note(&installed.check_below(), "integration version");
    assert!(said.fix.contains(" install --root "), "{said:?}");
    if geteuid().is_root() {
        said.run();
        let check = installed.check_below();
        assert!(
            !check.to_string().contains("integration version"),
            "{check:#}"
        );
    }
}
