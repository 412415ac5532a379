//! What is taken back, and what stays.

use std::fs;
use std::path::Path;

use super::hosts;
use crate::call;
use crate::manager_root::{ManagerRoot, STOCK, USUAL_HOME};
use crate::mongod;
use crate::wazuh::numbered;

#[test]
fn install_and_uninstall_leave_the_tree_as_it_was() {
    for host in hosts() {
        let before = host.snapshot();
        host.ok(&["install", "--collect"]);
        assert_ne!(host.snapshot(), before);
        let dry = host.snapshot();
        let said = host.ok(&["uninstall", "--dry-run"]);
        assert!(
            said.contains("would restore") && said.contains("-    <name>custom-mongo</name>")
                || said.contains("\t<name>"),
            "{said}"
        );
        assert_eq!(host.snapshot(), dry);
        host.ok(&["uninstall"]);
        assert_eq!(host.snapshot(), before);
        let said = host.ok(&["uninstall"]);
        assert!(said.contains("nothing to do"), "{said}");
    }
}

#[test]
fn more_units_later_are_taken_back_as_well() {
    let host = ManagerRoot::new();
    let before = host.snapshot();
    host.ok(&["install"]);
    host.ok(&["install", "--serve", "--follow"]);
    // As `systemctl --root enable` does it.
    let wants = host.here("/etc/systemd/system/multi-user.target.wants");
    fs::create_dir(&wants).unwrap();
    let unit = "/etc/systemd/system/custom-mongo.service";
    std::os::unix::fs::symlink(unit, wants.join("custom-mongo.service")).unwrap();
    host.ok(&["uninstall"]);
    fs::remove_dir(&wants).expect("the link is gone");
    assert_eq!(host.snapshot(), before);
}

#[test]
fn after_an_edit_only_our_block_goes() {
    for host in hosts() {
        let path = host.path("etc/ossec.conf");
        let mut expected = fs::read(&path).unwrap();
        host.ok(&["install"]);
        let mut edited = fs::read(&path).unwrap();
        let later = b"\n<ossec_config>\n  <global>\n    <logall>yes</logall>\n  </global>\n</ossec_config>\n";
        edited.extend(later);
        expected.extend(later);
        fs::write(&path, edited).unwrap();
        host.ok(&["uninstall"]);
        let left = fs::read(&path).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&left),
            String::from_utf8_lossy(&expected)
        );
        let names = host.snapshot().into_keys();
        let conf = names.filter(|path| path.to_string_lossy().contains("ossec.conf"));
        assert_eq!(conf.count(), 1, "a backup is left");
    }
}

#[test]
fn a_block_that_was_edited_goes_too() {
    let host = ManagerRoot::new();
    host.ok(&["install", "--level", "3"]);
    let edited = host.conf().replace(
        "    <level>3</level>\n",
        "    <level>12</level>\n    <max_log>200</max_log>\n",
    );
    host.set_conf(&edited);
    let said = host.ok(&["uninstall"]);
    assert!(said.contains("our block goes"), "{said}");
    assert_eq!(host.conf(), STOCK);
}

#[test]
fn without_its_backup_the_file_is_cut() {
    let host = ManagerRoot::new();
    host.ok(&["install"]);
    for entry in fs::read_dir(host.path("etc")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("ossec.conf.custom-mongo-") {
            // wazuh may write there.
            fs::write(path, "<ossec_config></ossec_config>").unwrap();
        }
    }
    host.ok(&["uninstall"]);
    assert_eq!(host.conf(), STOCK);
}

#[test]
fn what_was_changed_or_waits_stays_unless_it_is_purged() {
    let host = ManagerRoot::with(USUAL_HOME, STOCK);
    let before = host.snapshot();
    host.ok(&["install"]);
    let settings = host.path("etc/custom-mongo.toml");
    let port = mongod::free_port();
    let text =
        format!("[store]\nuri = \"mongodb://127.0.0.1:{port}\"\n[spool]\ndisk_reserve = \"0 %\"\n");
    fs::write(&settings, &text).unwrap();
    let file = host.path("tmp/1.alert");
    fs::write(&file, numbered(0).to_string()).unwrap();
    host.give_to_wazuh(&file, 0o640);
    let hook = call::integration(
        &host.path(""),
        &call::normal(file.to_str().unwrap(), "", ""),
    );
    call::start(as_wazuh(hook)).outcome().assert_yes();
    fs::remove_file(&file).unwrap();

    let said = host.ok(&["uninstall"]);
    assert!(
        said.contains("custom-mongo.toml was changed and stays"),
        "{said}"
    );
    assert!(said.contains("1 alerts wait in the spool"), "{said}");
    assert!(
        said.contains("var/db/custom-mongo is not empty and stays"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&settings).unwrap(), text);
    assert_eq!(host.conf(), STOCK);
    assert!(!host.path("integrations/custom-mongo").exists());

    let said = host.ok(&["uninstall", "--purge"]);
    assert!(
        said.contains("1 alerts that wait in the spool go"),
        "{said}"
    );
    let mut after = host.snapshot();
    // The hook has written to it: MongoDB was away.
    let log = Path::new("var/ossec/logs/integrations.log");
    after.insert(log.to_owned(), before[log].clone());
    assert_eq!(after, before);
}

#[test]
fn what_is_left_when_wazuh_is_gone_is_taken_back() {
    let host = ManagerRoot::new();
    host.ok(&["install"]);
    fs::remove_dir_all(host.path("")).unwrap();
    host.ok(&["uninstall"]);
    for folder in ["/etc/systemd/system", "/etc/logrotate.d"] {
        assert_eq!(
            fs::read_dir(host.here(folder)).unwrap().count(),
            0,
            "{folder}"
        );
    }
    assert!(!host.here("/etc/custom-mongo").exists());
}

#[test]
fn a_record_that_others_may_have_written_is_not_believed() {
    use std::os::unix::fs::PermissionsExt;
    let host = ManagerRoot::new();
    host.ok(&["install"]);
    let record = host.here("/etc/custom-mongo/installed.json");
    fs::set_permissions(&record, PermissionsExt::from_mode(0o666)).unwrap();
    let before = host.snapshot();
    let said = host.fails(1, &["uninstall"]);
    assert!(
        said.contains("others than root may have written it"),
        "{said}"
    );
    assert_eq!(host.snapshot(), before);
}

/// As root: the user that Wazuh runs as there.
pub(super) fn as_wazuh(mut command: std::process::Command) -> std::process::Command {
    use std::os::unix::process::CommandExt;
    if nix::unistd::geteuid().is_root() {
        let (user, group) = ManagerRoot::wazuh();
        command.uid(user).gid(group);
    }
    command
}
