//! Secrets of the store: from the settings, from a file, or from a command, read anew each time.
//! No message from here holds one.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::Error;
use crate::setting::Secret;

/// How long a command may take; the hook's own deadline has to hold it.
const COMMAND_LIMIT: Duration = Duration::from_millis(500);

/// The places where one secret may stand.
pub(super) struct Source<'a> {
    pub(super) name: &'static str,
    pub(super) text: Option<&'a Secret>,
    pub(super) file: Option<&'a Path>,
    pub(super) command: Option<&'a str>,
}

/// The secret, if it stands anywhere; it may stand in one place only.
pub(super) fn read(source: &Source<'_>) -> Result<Option<Secret>, Error> {
    let name = source.name;
    let places = [
        source.text.is_some().then(|| name.to_owned()),
        source.file.is_some().then(|| format!("{name}_file")),
        source.command.is_some().then(|| format!("{name}_command")),
    ];
    let places: Vec<String> = places.into_iter().flatten().collect();
    if places.len() > 1 {
        let all = places.join(" and ");
        return Err(Error::Settings(format!("{all} are set; keep one of them")));
    }
    if let Some(text) = source.text {
        return Ok(Some(text.clone()));
    }
    if let Some(path) = source.file {
        return read_file(source.name, path).map(Some);
    }
    let command = source.command.map(|command| run(source.name, command));
    command.transpose()
}

fn read_file(name: &str, path: &Path) -> Result<Secret, Error> {
    let fault = |error: std::io::Error| {
        Error::Settings(format!(
            "{name}_file: cannot read {}: {error}",
            path.display()
        ))
    };
    let mode = std::fs::metadata(path).map_err(fault)?.permissions().mode();
    if mode & 0o007 != 0 {
        let path = path.display();
        return Err(Error::Settings(format!(
            "{name}_file: everyone may read {path}; run chmod 640 {path}"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(fault)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// What commands have printed in this process: one call asks each at most once.
static PRINTED: Mutex<BTreeMap<String, Secret>> = Mutex::new(BTreeMap::new());

fn run(name: &str, command: &str) -> Result<Secret, Error> {
    let known = PRINTED.lock().ok();
    if let Some(secret) = known.as_ref().and_then(|known| known.get(command)) {
        return Ok(secret.clone());
    }
    let secret = run_now(name, command)?;
    if let Some(mut known) = known {
        known.insert(command.to_owned(), secret.clone());
    }
    Ok(secret)
}

fn run_now(name: &str, command: &str) -> Result<Secret, Error> {
    let fault = |why: String| Error::Settings(format!("{name}_command: {why}"));
    // Not our own stderr: whoever inherits it keeps wazuh-integratord waiting for its end.
    let child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = child.map_err(|error| fault(format!("cannot be started: {error}")))?;
    let text = output(&mut child);
    let status = child.try_wait();
    stop(&mut child);
    let text = text.ok_or_else(|| fault(format!("gave no answer within {COMMAND_LIMIT:?}")))?;
    match status {
        Ok(Some(status)) if !status.success() => Err(fault(format!(
            "failed ({status}); run it by hand to see why"
        ))),
        _ => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
    }
}

/// What the command prints until it ends. A child that it leaves behind holds the pipe open: so the
/// reading has a thread of its own, and what has come by the command's end counts.
fn output(child: &mut Child) -> Option<String> {
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
    let end = Instant::now() + COMMAND_LIMIT;
    let mut text = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_millis(2)) {
            Ok(part) => text.extend(part),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= end => return None,
            // No child any more: it ended, or whoever started us ignores SIGCHLD.
            Err(RecvTimeoutError::Timeout) if !matches!(child.try_wait(), Ok(None)) => break,
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
    child.wait().ok();
}

/// `user:password` of a connection string, as it stands there: everything up to the last `@`, since
/// a password that was not percent-encoded may hold `/`, `?` and `@` itself.
pub(super) fn user_info(uri: &str) -> Option<&str> {
    let rest = uri.split_once("://")?.1;
    rest.rsplit_once('@').map(|(user, _)| user)
}

/// The connection string with the login that is set apart from it.
pub(super) fn with_login(uri: &str, username: Option<&str>, password: Option<&Secret>) -> String {
    if username.is_none() && password.is_none() {
        return uri.to_owned();
    }
    let written = user_info(uri);
    let (written_user, written_password) = match written.map(|user| user.split_once(':')) {
        Some(Some((user, password))) => (user.to_owned(), Some(password.to_owned())),
        _ => (written.unwrap_or_default().to_owned(), None),
    };
    let user = username.map_or(written_user, encode);
    let password = password
        .map(|password| encode(password.expose()))
        .or(written_password);
    let login = password.map_or(user.clone(), |password| format!("{user}:{password}"));
    let (scheme, rest) = uri.split_once("://").unwrap_or(("mongodb", uri));
    let rest = written
        .and_then(|user| rest.strip_prefix(user))
        .unwrap_or(rest);
    format!(
        "{scheme}://{login}@{}",
        rest.strip_prefix('@').unwrap_or(rest)
    )
}

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3).
fn encode(text: &str) -> String {
    let encode_byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode_byte).collect()
}

/// Takes the login out of a message that the driver or the server wrote.
pub(super) fn scrub(message: &str, uri: &str, password: Option<&Secret>) -> String {
    let written = user_info(uri).unwrap_or_default();
    let secret = written
        .split_once(':')
        .map(|(_, secret)| secret)
        .unwrap_or_default();
    let decoded = decode(secret);
    let apart = password.map(Secret::expose).unwrap_or_default();
    let mut message = message.replace(uri, "(uri)");
    // The user's name alone is no secret, and may well be the program's.
    let login = if secret.is_empty() { "" } else { written };
    for secret in [login, secret, &decoded, apart] {
        // A password of a letter or two would blacken the whole message and hide nothing.
        if secret.len() > 2 {
            message = message.replace(secret, "***");
        }
    }
    message
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let is_escape = first == b'%' && byte.is_some();
        out.push(byte.filter(|_| is_escape).unwrap_or(first));
        rest = after
            .get(if is_escape { 2.. } else { 0.. })
            .unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_set_apart_takes_the_place_of_the_written_one() {
        let password = Secret::new("p@ss/word");
        let with = |uri, user, password| with_login(uri, user, password);
        assert_eq!(with("mongodb://h/db", None, None), "mongodb://h/db");
        assert_eq!(
            with("mongodb://h:1/db?x=1", Some("us"), Some(&password)),
            "mongodb://us:p%40ss%2Fword@h:1/db?x=1"
        );
        assert_eq!(
            with("mongodb://a:b@h", None, Some(&password)),
            "mongodb://a:p%40ss%2Fword@h"
        );
        assert_eq!(with("mongodb://a:b@h", Some("c"), None), "mongodb://c:b@h");
    }

    #[test]
    fn a_message_keeps_no_password() {
        let uri = "mongodb://ann:s%40cret@h/";
        let message = scrub("cannot use mongodb://ann:s%40cret@h/: s@cret", uri, None);
        assert!(
            !message.contains("s%40cret") && !message.contains("s@cret"),
            "{message}"
        );
        let apart = Secret::new("hunter2");
        assert!(!scrub("bad hunter2", "mongodb://h", Some(&apart)).contains("hunter2"));
    }
}
