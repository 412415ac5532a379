//! By whichever path the binary is started, it works for the Wazuh home that it lies in, and what
//! cannot be found out about that path keeps nobody from an alert.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::call::{self, Outcome};
use crate::mongod;
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered};

/// A home whose alerts stay in the spool.
fn spooling(database: &str) -> Wazuh {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, database);
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    wazuh
}

/// A call by this path from this folder.
fn start(wazuh: &Wazuh, number: usize, program: &Path, folder: &Path) -> Outcome {
    let file = wazuh.alert_file(numbered(number).to_string().as_bytes());
    let mut command = Command::new("sh");
    // Of the shell, since `Command` looks for relative programs by rules of its own.
    command.args(["-c", "exec \"$0\" \"$@\""]).arg(program);
    command.args(call::normal(&file, "", ""));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command.env("PATH", "/usr/bin:/bin:.");
    call::start(command).outcome()
}

#[test]
fn the_home_is_found_by_any_path() {
    let wazuh = spooling("started");
    let home = &wazuh.home;
    let link = home.join("tmp/link");
    symlink(home.join("integrations/custom-mongo"), &link).unwrap();
    let by_root = home.strip_prefix("/").unwrap();
    let ways: [(PathBuf, PathBuf); 9] = [
        ("integrations/custom-mongo".into(), home.clone()),
        ("./integrations/custom-mongo".into(), home.clone()),
        ("./custom-mongo".into(), home.join("integrations")),
        ("custom-mongo".into(), home.join("integrations")),
        ("../integrations/custom-mongo".into(), home.join("logs")),
        (
            "../../integrations//custom-mongo".into(),
            home.join("var/db"),
        ),
        (home.join("integrations/custom-mongo"), "/".into()),
        (by_root.join("integrations/custom-mongo"), "/".into()),
        (link, "/".into()),
    ];
    for (number, (program, folder)) in ways.iter().enumerate() {
        start(&wazuh, number, program, folder).assert_yes();
        let pending = u64::try_from(number + 1).unwrap();
        assert_eq!(
            wazuh.pending(),
            pending,
            "{} in {}",
            program.display(),
            folder.display()
        );
    }
}

/// A link in the folder counts for the folder's home, not for that of the file behind it.
#[test]
fn a_link_in_the_folder_is_as_good_as_a_file() {
    let (wazuh, other) = (spooling("started_link"), spooling("started_behind"));
    let binary = wazuh.home.join("integrations/custom-mongo");
    fs::remove_file(&binary).unwrap();
    symlink(other.home.join("integrations/custom-mongo"), &binary).unwrap();
    wazuh.call(numbered(0).to_string()).assert_yes();
    assert_eq!((wazuh.pending(), other.pending()), (1, 0));
}

/// An update renames a new binary over the old one while `serve` runs on.
#[test]
fn a_binary_that_was_replaced_goes_on() {
    let wazuh = Wazuh::new("started_replaced");
    let _service = Service::start(&wazuh);
    let binary = wazuh.home.join("integrations/custom-mongo");
    fs::copy(&binary, binary.with_extension("new")).unwrap();
    fs::rename(binary.with_extension("new"), &binary).unwrap();
    let file = wazuh.alert_file(numbered(0).to_string().as_bytes());
    let outcome = wazuh.invoke(&[file.as_str(), "", "", "debug", "", "10", "3"]);
    outcome.assert_yes();
    assert!(wazuh.log().contains("handed over"), "{}", wazuh.log());
}

/// Kernels before 6.4 say it through /proc alone, which may not be there, or no file may be left to
/// open.
#[test]
fn a_kernel_that_does_not_tell_the_path_keeps_nobody_from_an_alert() {
    let wazuh = spooling("started_untold");
    let trace = wazuh.home.join("tmp/trace");
    let traced = |number: usize, fault: &str| {
        let file = wazuh.alert_file(numbered(number).to_string().as_bytes());
        let mut command = Command::new("strace");
        command.args(["-e", "trace=?open,openat,prctl", "-e", fault]);
        command.args(["-e", "inject=prctl:error=EINVAL", "-o"]);
        command.arg(&trace).arg("integrations/custom-mongo");
        command.args(call::normal(&file, "", ""));
        command.current_dir(&wazuh.home).stdin(Stdio::null());
        call::start(command).outcome().assert_yes();
        fs::read_to_string(&trace).unwrap()
    };
    let calls = traced(0, "inject=prctl:error=EINVAL");
    let asked = calls.lines().find(|call| call.contains("/proc/self/auxv"));
    let name = asked.expect("it asks /proc").split('(').next().unwrap();
    let before = calls.split("/proc/self/auxv").next().unwrap();
    let same = before
        .lines()
        .filter(|call| call.starts_with(&format!("{name}(")));
    let fault = format!("inject={name}:error=EMFILE:when={}", same.count());
    let calls = traced(1, &fault);
    let refused = calls.lines().find(|call| call.contains("/proc/self/auxv"));
    assert!(
        refused.is_some_and(|call| call.contains("EMFILE")),
        "{calls}"
    );
    assert_eq!(wazuh.pending(), 2);
}
