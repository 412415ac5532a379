//! Where a secret may come from: the settings, a file, or a command, read anew each time. No message
//! from here holds one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::setting::Secret;

/// The places where one secret may stand. It may stand in one of them only.
pub struct Source<'a> {
    /// The setting, with its section.
    pub name: &'static str,
    /// In the settings themselves.
    pub text: Option<&'a Secret>,
    /// In a file that not everyone may read.
    pub file: Option<&'a Path>,
    /// In what a command (`/bin/sh -c`) prints.
    pub command: Option<&'a str>,
}

/// The secret, if it stands anywhere; a command may take `within`.
///
/// # Errors
///
/// Says which source cannot be read, or that there are two.
pub fn read(source: &Source<'_>, within: Duration) -> Result<Option<Secret>, String> {
    let name = source.name;
    let places = [
        source.text.is_some().then(|| name.to_owned()),
        source.file.is_some().then(|| format!("{name}_file")),
        source.command.is_some().then(|| format!("{name}_command")),
    ];
    let places: Vec<String> = places.into_iter().flatten().collect();
    if places.len() > 1 {
        let all = places.join(" and ");
        return Err(format!("{all} are set; keep one of them"));
    }
    if let Some(text) = source.text {
        return Ok(Some(text.clone()));
    }
    if let Some(path) = source.file {
        return read_file(source.name, path).map(Some);
    }
    let command = source
        .command
        .map(|command| run(source.name, command, within));
    command.transpose()
}

/// systemd puts a unit's credentials (`LoadCredential=`) into a folder of its own, named by a variable.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// The path, with the folder of credentials in place of its variable.
fn place(name: &str, path: &Path) -> Result<PathBuf, String> {
    let Some(credential) = path
        .to_str()
        .and_then(|path| path.strip_prefix(CREDENTIALS))
    else {
        return Ok(path.to_owned());
    };
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(folder) => Ok(Path::new(&folder).join(credential)),
        None => Err(format!(
            "{name}_file: there are no credentials here: only a unit of systemd with LoadCredential={credential}:… has them"
        )),
    }
}

fn read_file(name: &str, path: &Path) -> Result<Secret, String> {
    let path = &*place(name, path)?;
    let fault =
        |error: std::io::Error| format!("{name}_file: cannot read {}: {error}", path.display());
    let mode = std::fs::metadata(path).map_err(fault)?.permissions().mode();
    if mode & 0o007 != 0 {
        let path = path.display();
        return Err(format!(
            "{name}_file: everyone may read {path}; run chmod 640 {path}"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(fault)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// How long the output of a command that has ended may take to be read.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What commands have printed in this process: one call asks each at most once.
static PRINTED: Mutex<BTreeMap<String, Secret>> = Mutex::new(BTreeMap::new());

/// Whether commands are not run at all.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// From now on no command is run: the settings are somebody's whom root does not trust.
pub fn refuse_commands() {
    REFUSED.store(true, Ordering::Relaxed);
}

fn run(name: &str, command: &str, within: Duration) -> Result<Secret, String> {
    if REFUSED.load(Ordering::Relaxed) {
        return Err(format!(
            "{name}_command: it is not run as root; see check --config-only"
        ));
    }
    let known = PRINTED.lock().ok();
    if let Some(secret) = known.as_ref().and_then(|known| known.get(command)) {
        return Ok(secret.clone());
    }
    let secret = run_now(name, command, within)?;
    if let Some(mut known) = known {
        known.insert(command.to_owned(), secret.clone());
    }
    Ok(secret)
}

fn run_now(name: &str, command: &str, within: Duration) -> Result<Secret, String> {
    let fault = |why: String| format!("{name}_command: {why}");
    // Not our own stderr: whoever inherits it keeps wazuh-integratord waiting for its end.
    let child = shell()
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| fault(format!("cannot be started: {error}")))?;
    let text = output(&mut child, within);
    let status = child.try_wait();
    stop(&mut child);
    let text = text.ok_or_else(|| fault(format!("gave no answer within {within:?}")))?;
    match status {
        Ok(Some(status)) if !status.success() => Err(fault(format!(
            "failed ({status}); run it by hand to see why"
        ))),
        _ => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
    }
}

/// A shell that can be ended with all that it starts, and that has no terminal: `wazuh` may write the
/// settings, and on the terminal of root, who calls us, a command could read and type keys.
fn shell() -> Command {
    if File::open("/dev/tty").is_err() {
        let mut shell = Command::new("/bin/sh");
        shell.process_group(0);
        return shell;
    }
    // Of util-linux and busybox: std can make no session.
    let mut shell = Command::new("setsid");
    shell.arg("/bin/sh");
    shell
}

/// What the command prints until it ends. A child that it leaves behind holds the pipe open: so the
/// reading has a thread of its own, and what has come by the command's end counts.
fn output(child: &mut Child, within: Duration) -> Option<String> {
    let mut pipe = child.stdout.take()?.take(64 * 1024);
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut part) {
            if sender
                .send(part.get(..count).unwrap_or_default().to_vec())
                .is_err()
            {
                return;
            }
        }
    });
    let end = Instant::now() + within;
    let mut text = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_millis(2)) {
            Ok(part) => text.extend(part),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= end => return None,
            // No child any more: it ended, or whoever started us ignores SIGCHLD.
            Err(RecvTimeoutError::Timeout) if !matches!(child.try_wait(), Ok(None)) => {
                // Its words are in the pipe; on a busy machine the reader had no turn yet.
                while let Ok(part) = lines.recv_timeout(LAST_WORDS) {
                    text.extend(part);
                    if Instant::now() >= end {
                        break;
                    }
                }
                break;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    // The pipe may close a moment before the process is gone.
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    String::from_utf8(text).ok()
}

/// Ends the command and what it has started.
fn stop(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let group = nix::unistd::Pid::from_raw(group);
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).ok();
    }
    // It may not have a group of its own yet.
    child.kill().ok();
    child.wait().ok();
}
