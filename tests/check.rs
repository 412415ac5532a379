//! `check`: every fault that it knows is produced once, and what it names as the fix mends it. A fix
//! that is a command is run as it stands there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use nix::unistd::geteuid;
use serde_json::Value;

use crate::manager_root::{ManagerRoot, STOCK};
use crate::wazuh::Wazuh;
use crate::{call, mongod, scratch};

mod certificates;
mod database;
mod files;
mod integration;
mod ossec_conf;
mod replica_set;
mod running;
mod server;
mod settings;
mod state;
mod units;

/// The block that the README shows, in a root element of its own before all others.
const BLOCK: &str = "<ossec_config>
  <integration>
    <name>custom-mongo</name>
    <alert_format>json</alert_format>
    <level>3</level>
  </integration>
</ossec_config>
";

/// What cannot be right where the tests do not run as root: every file is their own.
const OWN: [&str; 2] = ["integration rights", "integration folder"];

/// A manager's host on which everything is in order: integration, settings, state, block.
struct Installed {
    host: ManagerRoot,
}

impl Installed {
    fn new(database: &str) -> Self {
        let uri = mongod::shared().uri();
        Self::with_settings(&format!(
            "[store]\nuri = {uri:?}\ndatabase = {database:?}\n"
        ))
    }

    fn with_settings(text: &str) -> Self {
        let host = ManagerRoot::with("/var/ossec", &format!("{BLOCK}{STOCK}"));
        let integration = host.path("integrations/custom-mongo");
        fs::hard_link(&*BINARY, integration).expect("a hard link");
        let state = host.path("var/db/custom-mongo");
        fs::create_dir(&state).expect("a state folder");
        host.give_to_wazuh(&state, 0o700);
        let installed = Self { host };
        installed.settings(text);
        installed
    }

    /// Writes the settings; the disk of the tests is not under test.
    fn settings(&self, text: &str) {
        let path = self.host.path("etc/custom-mongo.toml");
        let reserve = "[spool]\ndisk_reserve = \"0 %\"\n";
        fs::write(&path, format!("{text}{reserve}")).expect("a settings file");
        self.host.give_to_group(&path, 0o640);
    }

    /// The integration as a file of its own, which a test may spoil.
    fn own_file(&self) -> PathBuf {
        let path = self.host.path("integrations/custom-mongo");
        fs::remove_file(&path).expect("the link");
        fs::write(&path, "a program").expect("a file");
        self.host.give_to_group(&path, 0o750);
        path
    }

    /// The installed program, as an administrator calls it.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = call::command(&self.host.path(""), arguments);
        command.current_dir("/");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        call::finish(self.command(arguments), b"")
    }

    fn check(&self) -> Value {
        read(&self.run(&["check", "--format", "json"]))
    }

    /// As `check --root`, by a program that lies elsewhere.
    fn check_below(&self) -> Value {
        read(&self.host.run(&["check", "--format", "json"]))
    }

    #[track_caller]
    fn assert_good(&self) {
        let check = self.check();
        assert_eq!(faults(&check), [], "{check:#}");
    }

    /// There is this fault alone; the command that it names is run, and then there is none.
    #[track_caller]
    fn mended_by_its_command(&self, name: &str) -> Fault {
        let fault = only(&self.check(), name);
        fault.run();
        self.assert_good();
        fault
    }
}

/// What does not hold.
#[derive(Debug, PartialEq)]
struct Fault {
    name: String,
    detail: String,
    fix: String,
}

impl Fault {
    /// Runs the fix as it stands there.
    #[track_caller]
    fn run(&self) {
        let output = Command::new("sh").args(["-c", &self.fix]).output().unwrap();
        assert!(output.status.success(), "{self:?}: {output:?}");
    }
}

/// The result of `check --format json`; its status says the same.
#[track_caller]
fn read(output: &Output) -> Value {
    let check: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("no JSON ({why}): {output:?}"));
    let status = i32::from(check["ok"] == false);
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    check
}

fn faults(check: &Value) -> Vec<Fault> {
    let mut all = findings(check, "fault");
    if !geteuid().is_root() {
        all.retain(|fault| !OWN.contains(&fault.name.as_str()));
    }
    assert!(all.iter().all(|one| !one.fix.is_empty()), "{check:#}");
    all
}

fn findings(check: &Value, level: &str) -> Vec<Fault> {
    let all = check["checks"].as_array().expect("findings").iter();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    all.filter(|one| one["level"] == level)
        .map(|one| Fault {
            name: text(one, "name"),
            detail: text(one, "detail"),
            fix: text(one, "fix"),
        })
        .collect()
}

#[track_caller]
fn only(check: &Value, name: &str) -> Fault {
    let mut all = faults(check);
    assert_eq!(all.len(), 1, "{check:#}");
    let fault = all.remove(0);
    assert_eq!(fault.name, name, "{check:#}");
    fault
}

#[track_caller]
fn note(check: &Value, name: &str) -> Fault {
    let mut all = findings(check, "note").into_iter();
    let note = all.find(|one| one.name == name);
    note.unwrap_or_else(|| panic!("no note {name}: {check:#}"))
}

#[track_caller]
fn good(check: &Value, name: &str) -> String {
    let mut all = findings(check, "good").into_iter();
    let good = all.find(|one| one.name == name);
    good.unwrap_or_else(|| panic!("{name} is not good: {check:#}"))
        .detail
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(bits)).expect("a mode");
}

/// Where the fault lies in a home without a manager.
#[track_caller]
fn only_of(wazuh: &Wazuh, name: &str) -> Fault {
    only(&wazuh.json("check"), name)
}

#[track_caller]
fn assert_good(wazuh: &Wazuh) {
    let check = wazuh.json("check");
    assert_eq!(faults(&check), [], "{check:#}");
}

/// root:wazuh 0750, as it is installed. All homes link the one copy.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let copy = scratch::root().join("custom-mongo.installed");
    let status = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_custom-mongo"))
        .arg(&copy)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "a copy");
    if geteuid().is_root() {
        let (_, group) = ManagerRoot::wazuh();
        std::os::unix::fs::chown(&copy, Some(0), Some(group)).expect("an owner");
    }
    mode(&copy, 0o750);
    copy
});

#[test]
fn where_everything_is_in_order_there_is_no_fault() {
    let installed = Installed::new("check_order");
    let check = installed.check();
    assert_eq!(faults(&check), [], "{check:#}");
    for name in [
        "settings",
        "ossec.conf block",
        "state folder",
        "mongodb write",
        "spool",
    ] {
        good(&check, name);
    }
    assert_eq!(faults(&installed.check_below()), [], "from outside");
    let state = installed.host.path("var/db/custom-mongo");
    let (user, _) = ManagerRoot::wazuh();
    for entry in fs::read_dir(state).unwrap() {
        let meta = entry.unwrap().metadata().unwrap();
        assert_eq!(
            std::os::unix::fs::MetadataExt::uid(&meta),
            user,
            "nothing is root's"
        );
    }
}

#[test]
fn lines_are_aligned_and_end_with_the_sum() {
    let installed = Installed::new("check_lines");
    let output = installed.run(&["check"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let marked = |line: &&str| line.starts_with("  ✓ ") || line.starts_with("  ! ");
    assert!(text.lines().filter(marked).count() > 8, "{text}");
    assert!(text.contains("\nmongodb\n"), "a heading: {text}");
    if geteuid().is_root() {
        assert!(
            text.lines().last().unwrap().starts_with("no faults"),
            "{text}"
        );
        assert!(output.status.success());
        assert_eq!(
            installed.run(&["check", "-q"]).stdout,
            b"",
            "cron hears of faults only"
        );
    }
    fs::write(installed.host.path("etc/ossec.conf"), STOCK).unwrap();
    installed.settings("[store]\nuri = \"mongodb://127.0.0.1:1/\"\n");
    let output = installed.run(&["check", "-q"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('✓') && text.contains("✗ block"), "{text}");
    assert!(
        text.lines().last().unwrap().contains("from the top"),
        "{text}"
    );
}

#[test]
fn before_anything_is_installed_it_says_so_and_nothing_else() {
    let host = ManagerRoot::new();
    let before = host.snapshot();
    let fault = only(
        &read(&host.run(&["check", "--format", "json"])),
        "installed",
    );
    assert!(fault.detail.contains("not installed"), "{fault:?}");
    assert!(fault.fix.contains("install --root"), "{fault:?}");
    assert!(host.snapshot() == before, "it changes nothing");
    if geteuid().is_root() {
        // As it says; then the one thing that nobody else can know is missing.
        fault.run();
        let check = read(&host.run(&["check", "--format", "json"]));
        let fault = only(&check, "store.uri");
        let file = host.path("etc/custom-mongo.toml");
        let named = format!("correct [store] in {}", file.display());
        assert_eq!(fault.fix, named);
        let (uri, sample) = (mongod::shared().uri(), fs::read_to_string(&file).unwrap());
        let store = format!("[store]\nuri = {uri:?}\ndatabase = \"check_new\"\n");
        let spool = "[spool]\ndisk_reserve = \"0 %\"\n";
        let text = sample.replacen("[store]\n", &store, 1);
        fs::write(&file, text.replacen("[spool]\n", spool, 1)).unwrap();
        let check = read(&host.run(&["check", "--format", "json"]));
        assert_eq!(faults(&check), [], "{check:#}");
    }
    // Nor where there is no Wazuh at all.
    let empty = scratch::fresh("empty");
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-mongo"));
    command
        .env_clear()
        .args(["check", "--format", "json", "--root"]);
    let fault = only(&read(&command.arg(&empty).output().unwrap()), "installed");
    assert!(fault.detail.contains("no Wazuh manager"), "{fault:?}");
}

/// Root gives its rights up first, since whoever may write the settings could name a command.
#[test]
fn no_command_of_the_settings_runs_as_root() {
    let installed = Installed::new("check_command");
    let uri = mongod::shared().uri();
    let seen = scratch::fresh("whoami");
    fs::set_permissions(&seen, PermissionsExt::from_mode(0o777)).unwrap();
    let command = format!("id -u > {}/id; echo {uri}", seen.display());
    installed.settings(&format!(
        "[store]\nuri_command = {command:?}\ndatabase = \"check_command\"\n"
    ));
    for look in [Installed::check, Installed::check_below] {
        let check = look(&installed);
        assert_eq!(faults(&check), [], "{check:#}");
        let id = fs::read_to_string(seen.join("id")).unwrap();
        let (user, _) = ManagerRoot::wazuh();
        assert_eq!(id.trim(), user.to_string());
        fs::remove_file(seen.join("id")).unwrap();
    }
}

/// The user that Wazuh runs as, from his own folder, without root's help.
#[test]
fn it_works_as_wazuh_too() {
    let installed = Installed::new("check_wazuh");
    let mut command = installed.command(&["check", "--format", "json"]);
    if geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        let (user, group) = ManagerRoot::wazuh();
        command.uid(user).gid(group);
    }
    let check = read(&call::finish(command, b""));
    assert_eq!(faults(&check), [], "{check:#}");
}

/// An image that names nobody to become: what its settings say is nothing for root to run.
#[test]
fn no_command_of_an_image_runs_as_root() {
    if !geteuid().is_root() {
        return;
    }
    let installed = Installed::new("check_image");
    let seen = scratch::fresh("image").join("id");
    let command = format!("id -u > {}; echo mongodb://127.0.0.1:1/", seen.display());
    installed.settings(&format!("[store]\nuri_command = {command:?}\n"));
    for path in ["logs", "var/db/custom-mongo"] {
        std::os::unix::fs::chown(installed.host.path(path), Some(0), Some(0)).unwrap();
    }
    let check = installed.check_below();
    assert!(!seen.exists(), "{check:#}");
    let fault = faults(&check)
        .into_iter()
        .find(|one| one.name == "store.uri");
    assert!(
        fault.unwrap().detail.contains("not run as root"),
        "{check:#}"
    );
}
