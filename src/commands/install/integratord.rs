//! What `wazuh-integratord -t` says to the ossec.conf that is in place.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::unistd::geteuid;

use super::host::Host;

/// It reads a file and ends; longer than this it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// `chroot(1)` could not start what it was given.
const NOT_STARTED: [i32; 3] = [125, 126, 127];

/// What it says.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the file.
    Fine,
    /// It would keep the manager from starting; its words.
    Refused(String),
    /// It was not asked, and why.
    Unasked(&'static str),
}

/// Asks it, inside the root folder if that is not this host's.
///
/// # Errors
///
/// As the tree's.
pub fn ask(host: &Host) -> Result<Verdict> {
    let program = host.layout.home().join("bin/wazuh-integratord");
    let entry = host.tree.entry(&program)?;
    if !entry.is_some_and(|entry| entry.is_safe()) {
        return Ok(Verdict::Unasked("others than root may change it"));
    }
    if !geteuid().is_root() {
        return Ok(Verdict::Unasked("only root can start it"));
    }
    let mut command = if host.layout.is_this_host() {
        Command::new(&program)
    } else {
        inside(host.layout.root(), &program)
    };
    command
        .arg("-t")
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(run(command))
}

fn inside(root: &Path, program: &Path) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg(program);
    command
}

fn run(mut command: Command) -> Verdict {
    let started = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return Verdict::Unasked("it could not be started");
    };
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                child.kill().ok();
                child.wait().ok();
                return Verdict::Unasked("it did not come to an end");
            }
        }
    };
    let mut said = Vec::new();
    // A few lines; they fit into the pipe, or else it would not have ended.
    if let Some(stderr) = child.stderr.take() {
        stderr.take(64 << 10).read_to_end(&mut said).ok();
    }
    match status.code() {
        Some(0) => Verdict::Fine,
        Some(code) if NOT_STARTED.contains(&code) => Verdict::Unasked("it does not run there"),
        None => Verdict::Unasked("it was ended by a signal"),
        Some(_) => Verdict::Refused(words(&String::from_utf8_lossy(&said))),
    }
}

/// The first error: those behind it follow from it.
fn words(said: &str) -> String {
    let error = said.lines().find(|line| line.contains("ERROR"));
    let line = error.or_else(|| said.lines().next()).unwrap_or_default();
    let line = line.split_once("ERROR: ").map_or(line, |(_, words)| words);
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}
