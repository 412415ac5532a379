//! What starts custom-mongo beside Wazuh: units that systemd takes and that may do little, or cron.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::manager_root::{ManagerRoot, STOCK, USUAL_HOME};
use crate::scratch;

/// The most that `systemd-analyze security` may say: 0 is closed, 10 is open.
const EXPOSURE: f64 = 2.0;

/// The installed units, and the names of those among them that are services.
fn installed(host: &ManagerRoot) -> Vec<(String, String)> {
    host.ok(&["install", "--collect", "--serve", "--follow"]);
    let folder = host.here("/etc/systemd/system");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut units: Vec<_> = files
        .map(|path| (name(&path), fs::read_to_string(&path).unwrap()))
        .collect();
    units.sort();
    units
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Copies that can be verified on this host: what they start is here, and they lack what only systemd
/// 254 and newer know and others pass over with a warning.
fn verifiable(units: &[(String, String)], home: &str) -> Vec<PathBuf> {
    let folder = scratch::fresh("units");
    let started = format!("{home}/integrations/custom-mongo");
    let write = |(name, text): &(String, String)| {
        let path = folder.join(name);
        let known =
            |line: &&str| !line.starts_with("RestartSteps") && !line.starts_with("RestartMaxDelay");
        let text: String = text.split_inclusive('\n').filter(known).collect();
        fs::write(&path, text.replace(&started, "/bin/true")).unwrap();
        path
    };
    units.iter().map(write).collect()
}

fn systemd_analyze() -> Command {
    let found = Command::new("systemd-analyze").arg("--version").output();
    assert!(
        found.is_ok(),
        "systemd-analyze is needed: apt install systemd"
    );
    Command::new("systemd-analyze")
}

#[test]
fn systemd_takes_the_units() {
    for home in [USUAL_HOME, "/opt/wazuh"] {
        let host = ManagerRoot::with(home, STOCK);
        let units = installed(&host);
        assert_eq!(units.len(), 6, "{units:?}");
        let files = verifiable(&units, home);
        let output = systemd_analyze()
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .args(&files)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let faults = said.lines().filter(|line| line.contains("custom-mongo"));
        assert_eq!(faults.collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn services_may_do_little() {
    let host = ManagerRoot::new();
    let units = installed(&host);
    for file in verifiable(&units, USUAL_HOME) {
        if file.extension().is_none_or(|kind| kind != "service") {
            continue;
        }
        let output = systemd_analyze()
            .args(["security", "--offline=true", "--no-pager"])
            .arg(&file)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains("Overall exposure level"));
        let level = line.and_then(|line| line.split(": ").nth(1)?.split(' ').next()?.parse().ok());
        let level: f64 = level.unwrap_or_else(|| panic!("no level in {output:?}"));
        assert!(level <= EXPOSURE, "{}: {level}", name(&file));
    }
}

#[test]
fn units_and_cron_name_the_home_and_the_user_of_that_host() {
    let host = ManagerRoot::with("/opt/wazuh", STOCK);
    let accounts = fs::read_to_string(host.here("/etc/passwd")).unwrap();
    fs::write(
        host.here("/etc/passwd"),
        accounts.replace("\nwazuh:", "\nossec:"),
    )
    .unwrap();
    for (name, text) in installed(&host) {
        assert!(!text.contains("/var/ossec"), "{name}: {text}");
        assert_eq!(
            text.contains("User=ossec\n"),
            name.ends_with("service"),
            "{name}: {text}"
        );
    }
    let turned = fs::read_to_string(host.here("/etc/logrotate.d/custom-mongo")).unwrap();
    assert!(
        turned.contains("/opt/wazuh/logs/integrations.log {"),
        "{turned}"
    );
    assert!(turned.contains("su ossec wazuh\n"), "{turned}");
}

#[test]
fn without_systemd_cron_does_it() {
    let host = ManagerRoot::with("/opt/wazuh", STOCK).without_systemd();
    let said = host.fails(1, &["install", "--serve"]);
    assert!(
        said.contains("custom-mongo.service needs systemd"),
        "{said}"
    );
    let said = host.ok(&["install"]);
    assert!(
        said.contains("/opt/wazuh/bin/wazuh-control restart"),
        "{said}"
    );
    let cron =
        |host: &ManagerRoot| fs::read_to_string(host.here("/etc/cron.d/custom-mongo")).unwrap();
    let drain = "*/5 * * * * wazuh /opt/wazuh/integrations/custom-mongo spool drain -q\n";
    assert!(cron(&host).contains(drain), "{}", cron(&host));
    assert!(!cron(&host).contains("collect -q"), "{}", cron(&host));
    host.ok(&["install", "--collect"]);
    let collect = "*/15 * * * * wazuh /opt/wazuh/integrations/custom-mongo collect -q\n";
    assert!(
        cron(&host).contains(drain) && cron(&host).contains(collect),
        "{}",
        cron(&host)
    );
    assert!(!host.here("/etc/systemd").exists());
}

#[test]
fn a_log_that_somebody_else_turns_is_left_to_him() {
    let host = ManagerRoot::new();
    let other = host.here("/etc/logrotate.d/wazuh");
    fs::write(&other, "/var/ossec/logs/integrations.log {\n  weekly\n}\n").unwrap();
    host.ok(&["install"]);
    assert!(!host.here("/etc/logrotate.d/custom-mongo").exists());
}
