//! `install` and `uninstall` on a root folder that is laid out like a manager's host.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use nix::unistd::geteuid;

use crate::manager_root::{BINARY, INTEGRATIONS, ManagerRoot, STOCK, USUAL_HOME};

mod alert;
mod links;
mod retention;
mod uninstall;
mod units;

/// What `wazuh-integratord -t` says there, started from outside.
fn integratord(host: &ManagerRoot) -> Output {
    let mut command = Command::new(host.path("bin/wazuh-integratord"));
    command.arg("-t").output().expect("the stand-in starts")
}

/// The hosts that everything is tried on.
fn hosts() -> Vec<ManagerRoot> {
    let crlf = INTEGRATIONS.replace('\n', "\r\n");
    let mut hosts = vec![
        ManagerRoot::new(),
        ManagerRoot::with("/opt/wazuh", INTEGRATIONS),
        ManagerRoot::with(USUAL_HOME, &crlf),
        ManagerRoot::with(USUAL_HOME, STOCK.trim_end()).without_systemd(),
        ManagerRoot::with(USUAL_HOME, "<!-- nothing yet -->"),
    ];
    // A comment of older days, in Latin-1.
    let latin = ManagerRoot::new();
    let mut bytes = b"<!-- S\xe9curit\xe9 -->\n".to_vec();
    bytes.extend(STOCK.bytes());
    fs::write(latin.path("etc/ossec.conf"), bytes).unwrap();
    hosts.push(latin);
    hosts
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

#[test]
fn a_dry_run_shows_every_change_and_makes_none() {
    let host = ManagerRoot::with(USUAL_HOME, INTEGRATIONS);
    let before = host.snapshot();
    let said = host.ok(&["install", "--dry-run", "--collect", "--level", "7"]);
    assert_eq!(host.snapshot(), before);
    for part in [
        "+++ /var/ossec/etc/ossec.conf",
        "+    <name>custom-mongo</name>",
        "+    <level>7</level>",
        "would create        /var/ossec/integrations/custom-mongo",
        "would create        /var/ossec/etc/custom-mongo.toml",
        "+[store]",
        "would create folder /var/ossec/var/db/custom-mongo",
        "+++ /etc/systemd/system/custom-mongo-collect.timer",
        "+++ /etc/custom-mongo/installed.json",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    // The secrets of others stand around the place.
    assert!(!said.contains("hunter2"), "{said}");
    let json = host.ok(&["install", "--dry-run", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["dry_run"], true);
    assert!(json["changes"].as_array().unwrap().len() > 6, "{json}");
}

/// `wazuh` may write ossec.conf, and root reads the diff on his terminal.
#[test]
fn a_diff_shows_no_secret_of_others_and_commands_no_terminal() {
    let block = "<integration><name>slack</name><hook_url>\n  https://x/hunter2\n</hook_url>\
        <api_key>hunter2</api_key></integration> <!-- \x1b]0;owned\x07\u{9b}2J -->\n";
    let conf = format!("<ossec_config>\n{block}</ossec_config>\n");
    let host = ManagerRoot::with(USUAL_HOME, &conf);
    for format in ["text", "json"] {
        let said = host.ok(&["install", "--dry-run", "--format", format]);
        assert!(said.contains("<name>slack</name>"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        let hostile = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!said.contains(hostile), "{said:?}");
    }
    host.ok(&["install"]);
    assert_eq!(host.conf().matches("hunter2").count(), 2, "only shown so");
    let said = host.ok(&["uninstall", "--dry-run"]);
    assert!(
        !said.contains("hunter2") && !said.contains('\x1b'),
        "{said:?}"
    );
}

#[test]
fn settings_that_are_there_are_not_asked_for_again() {
    let host = ManagerRoot::new();
    assert!(host.ok(&["install"]).contains("set store.uri"));
    let said = host.ok(&["install", "--collect"]);
    assert!(
        said.contains("Next:") && !said.contains("set store.uri"),
        "{said}"
    );
}

#[test]
fn what_is_installed_has_its_place_its_owner_and_its_mode() {
    let host = ManagerRoot::new();
    let said = host.ok(&["install", "--collect", "--serve", "--follow"]);
    assert!(said.contains("restart wazuh-manager"), "{said}");
    let (user, group) = ManagerRoot::wazuh();
    let root = if geteuid().is_root() { 0 } else { user };
    let roots_group = if geteuid().is_root() { 0 } else { group };
    let expected = [
        ("/var/ossec/integrations/custom-mongo", root, group, 0o750),
        ("/var/ossec/etc/custom-mongo.toml", root, group, 0o640),
        ("/var/ossec/var/db/custom-mongo", user, group, 0o700),
        ("/var/ossec/etc/ossec.conf", root, group, 0o660),
        ("/etc/custom-mongo/installed.json", root, roots_group, 0o600),
        (
            "/etc/systemd/system/custom-mongo.service",
            root,
            roots_group,
            0o644,
        ),
        (
            "/etc/systemd/system/custom-mongo-follow.service",
            root,
            roots_group,
            0o644,
        ),
        (
            "/etc/systemd/system/custom-mongo-collect.timer",
            root,
            roots_group,
            0o644,
        ),
        (
            "/etc/systemd/system/custom-mongo-drain.timer",
            root,
            roots_group,
            0o644,
        ),
        ("/etc/logrotate.d/custom-mongo", root, roots_group, 0o644),
    ];
    for (path, user, group, mode) in expected {
        let meta = fs::symlink_metadata(host.here(path)).expect(path);
        assert_eq!((meta.uid(), meta.gid()), (user, group), "{path}");
        assert_eq!(meta.permissions().mode() & 0o7777, mode, "{path}");
        assert!(meta.mtime() > 0, "{path}");
    }
    let binary = fs::read(host.path("integrations/custom-mongo")).unwrap();
    assert!(binary == fs::read(&*BINARY).unwrap());
    assert!(
        !host.here("/etc/cron.d/custom-mongo").exists(),
        "systemd and cron"
    );
}

#[test]
fn the_block_comes_first_and_the_file_stays_what_it_was() {
    for host in hosts() {
        let path = host.path("etc/ossec.conf");
        let before = fs::read(&path).unwrap();
        host.ok(&["install"]);
        let after = fs::read(&path).unwrap();
        let start = before
            .iter()
            .zip(&after)
            .take_while(|(a, b)| a == b)
            .count();
        let inserted = after.len() - before.len();
        // All that was there is there, in its order: one piece was put in.
        let fits = (0..=start)
            .rev()
            .any(|at| after[..at] == before[..at] && after[at + inserted..] == before[at..]);
        assert!(fits, "{}", String::from_utf8_lossy(&after));
        let text = String::from_utf8_lossy(&after).into_owned();
        let ours = text.rfind("<name>custom-mongo</name>").unwrap();
        for other in ["slack", "virustotal", "custom-pager"] {
            let name = format!("<name>{other}</name>");
            assert!(text.find(&name).is_none_or(|at| at > ours), "{text}");
        }
        assert!(text.contains("<alert_format>json</alert_format>"));
        let verdict = integratord(&host);
        assert!(verdict.status.success(), "{verdict:?}");
    }
}

#[test]
fn a_second_install_changes_nothing() {
    for host in hosts() {
        host.ok(&["install", "--collect"]);
        let before = host.snapshot();
        let said = host.ok(&["install", "--collect"]);
        assert!(said.starts_with("nothing to do"), "{said}");
        assert_eq!(host.snapshot(), before);
    }
}

#[test]
fn the_installed_file_can_install_itself() {
    let host = ManagerRoot::new();
    host.ok(&["install"]);
    let path = host.path("integrations/custom-mongo");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let again = |arguments: &[&str]| {
        let mut command = Command::new(&path);
        command.args(arguments).arg("--root").arg(&host.root);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = again(&["install"]);
    assert!(said.starts_with("replace"), "{said}");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o750
    );
    let said = again(&["install"]);
    assert!(said.starts_with("nothing to do"), "{said}");
}

#[test]
fn another_version_takes_the_place_of_the_one_that_is_there() {
    let host = ManagerRoot::new();
    host.ok(&["install"]);
    let path = host.path("integrations/custom-mongo");
    fs::write(&path, "an older one").unwrap();
    let unit = host.here("/etc/systemd/system/custom-mongo-drain.timer");
    fs::write(&unit, "[Timer]\nOnCalendar=hourly\n").unwrap();
    let said = host.ok(&["install"]);
    assert!(
        said.contains("replace       /var/ossec/integrations/custom-mongo"),
        "{said}"
    );
    assert!(fs::metadata(&path).unwrap().len() > 1_000_000);
    // Somebody's work stays.
    assert!(
        said.contains("custom-mongo-drain.timer is there already"),
        "{said}"
    );
    assert_eq!(
        fs::read_to_string(&unit).unwrap(),
        "[Timer]\nOnCalendar=hourly\n"
    );
}

#[test]
fn settings_and_a_block_that_are_there_stay() {
    let block = "  <integration>\n    <name>custom-mongo</name>\n  </integration>\n";
    let conf = STOCK.replacen("</ossec_config>", &format!("{block}</ossec_config>"), 1);
    let host = ManagerRoot::with(USUAL_HOME, &conf);
    let settings = host.path("etc/custom-mongo.toml");
    fs::write(&settings, "[store]\nuri = \"mongodb://a\"\n").unwrap();
    host.give_to_group(&settings, 0o640);
    let said = host.ok(&["install", "--uri", "mongodb://b", "--retention", "off"]);
    assert!(said.contains("has our block already, in line"), "{said}");
    assert!(
        said.contains("custom-mongo.toml is there already"),
        "{said}"
    );
    assert_eq!(host.conf(), conf);
    host.ok(&["uninstall"]);
    assert_eq!(host.conf(), conf);
    assert!(settings.exists(), "it was there before");
}

/// Only root can start it in there; for others our own reader has to do, and that is told.
#[test]
fn what_wazuh_refuses_does_not_stay() {
    let host = ManagerRoot::new().with_shell();
    host.let_integratord_refuse(
        "custom-mongo",
        "(1230): Invalid element in the configuration: 'x'.",
    );
    let before = host.snapshot();
    if !geteuid().is_root() {
        let said = host.ok(&["install"]);
        return assert!(
            said.contains("was not asked: only root can start it"),
            "{said}"
        );
    }
    let said = host.fails(1, &["install"]);
    assert!(
        said.contains("refuses ossec.conf with our block: (1230)"),
        "{said}"
    );
    let after = host.snapshot();
    let conf = std::path::Path::new("var/ossec/etc/ossec.conf");
    assert_eq!(after[conf], before[conf]);
    let names = after
        .keys()
        .filter(|path| path.to_string_lossy().contains("ossec.conf"));
    assert_eq!(names.count(), 1, "{after:?}");
    // What is there can be taken back, or completed.
    host.let_integratord_refuse("nobody", "");
    let said = host.ok(&["install"]);
    assert!(
        said.contains("wazuh-integratord -t takes ossec.conf"),
        "{said}"
    );
    assert!(host.conf().contains("<name>custom-mongo</name>"));
    host.let_integratord_refuse("", "(1226): Error reading XML file.");
    host.ok(&["uninstall"]);
    let broken = ManagerRoot::new().with_shell();
    broken.let_integratord_refuse("", "(1226): Error reading XML file.");
    let said = broken.fails(1, &["install"]);
    assert!(
        said.contains("as it is: (1226)") && said.contains("mend that first"),
        "{said}"
    );
    assert_eq!(broken.conf(), STOCK);
}

#[test]
fn a_file_that_wazuh_cannot_read_is_left_alone() {
    let host = ManagerRoot::with(USUAL_HOME, "<ossec_config>\n  <global>\n");
    let before = host.snapshot();
    let said = host.fails(1, &["install"]);
    assert!(said.contains("ossec.conf cannot be read: line 2"), "{said}");
    assert_eq!(host.snapshot(), before);
}

#[test]
fn a_node_of_a_cluster_says_that_the_others_need_it_too() {
    let conf = STOCK.replace(
        "<disabled>yes</disabled>\n  </cluster>",
        "<disabled>no</disabled>\n  </cluster>",
    );
    let host = ManagerRoot::with(USUAL_HOME, &conf);
    let said = host.ok(&["install"]);
    assert!(
        said.contains("is a master of a cluster: each node"),
        "{said}"
    );
    let alone = ManagerRoot::new().ok(&["install"]);
    assert!(!alone.contains("cluster"), "{alone}");
}

#[test]
fn a_password_on_the_command_line_is_refused() {
    let host = ManagerRoot::new();
    let before = host.snapshot();
    let said = host.fails(2, &["install", "--uri", "mongodb://u:hunter2@db/"]);
    assert!(
        said.contains("--password-file") && !said.contains("hunter2"),
        "{said}"
    );
    let said = host.fails(2, &["install", "--rule-id", "5500-5599"]);
    assert!(said.contains("no ranges"), "{said}");
    assert_eq!(host.snapshot(), before);
}

#[test]
fn where_there_is_no_manager_nothing_is_done() {
    let host = ManagerRoot::new();
    fs::remove_file(host.path("bin/wazuh-integratord")).unwrap();
    let before = host.snapshot();
    let said = host.fails(1, &["install"]);
    assert!(said.contains("there is no Wazuh manager"), "{said}");
    assert_eq!(host.snapshot(), before);
    let odd = host.fails(1, &["install", "--home", "/var/os sec"]);
    assert!(odd.contains("--home /var/os sec"), "{odd}");
}

#[test]
fn the_block_can_be_had_alone() {
    let host = ManagerRoot::new();
    let before = host.snapshot();
    let block = host.ok(&["install", "--print-block", "--rule-id", "5710,5712"]);
    assert_eq!(
        block,
        "  <integration>\n    <name>custom-mongo</name>\n    <alert_format>json</alert_format>\n    \
         <rule_id>5710,5712</rule_id>\n  </integration>\n"
    );
    assert_eq!(host.snapshot(), before);
    host.set_conf(&format!("<ossec_config>\n{block}</ossec_config>\n"));
    assert!(integratord(&host).status.success());
}
