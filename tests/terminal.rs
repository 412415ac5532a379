//! A command on a real terminal: `script` gives it one of its own, with keys and a size.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::call;
use crate::wazuh::Wazuh;

const PATIENCE: Duration = Duration::from_secs(30);
/// Ctrl-C.
pub(crate) const INTERRUPT: &[u8] = b"\x03";

/// A command that runs on a terminal.
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    device: String,
}

impl Terminal {
    /// Starts it on a terminal of this size; `environment` as a shell writes it (`NO_COLOR=1`).
    #[track_caller]
    pub(crate) fn start(
        wazuh: &Wazuh,
        environment: &str,
        arguments: &str,
        (columns, rows): (u16, u16),
    ) -> Self {
        let program = wazuh.home.join("integrations/custom-mongo");
        let program = program.display();
        let line = format!(
            "tty; stty cols {columns} rows {rows}; exec env TERM=xterm {environment} {program} {arguments}"
        );
        let mut child = Command::new("script")
            .args(["-qfec", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .current_dir(&wazuh.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script (of bsdutils or util-linux) is there");
        let keys = child.stdin.take().expect("a pipe");
        let mut output = child.stdout.take().expect("a pipe");
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let written = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                written.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        let mut terminal = Self {
            child,
            keys,
            shown,
            reader: Some(reader),
            device: String::new(),
        };
        let text = terminal.wait_for("\n");
        let device = text.lines().next().expect("a line");
        device.trim().clone_into(&mut terminal.device);
        terminal
    }

    /// Everything that was written to it so far, escape sequences included, without its own name.
    pub(crate) fn text(&self) -> String {
        let shown = self.shown.lock().unwrap();
        let text = String::from_utf8_lossy(&shown).into_owned();
        let first = format!("{}\r\n", self.device);
        text.strip_prefix(&first).unwrap_or(&text).to_owned()
    }

    /// Waits until this stands somewhere in what was written; gives all of it.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str) -> String {
        self.wait_until(what, |text| text.contains(what))
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if is_there(&text) {
                return text;
            }
            assert!(begun.elapsed() < PATIENCE, "no {what:?} in {text:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types.
    pub(crate) fn key(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).expect("a terminal");
        self.keys.flush().expect("a terminal");
    }

    /// As if the window was pulled.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = ["cols", &columns.to_string(), "rows", &rows.to_string()].map(str::to_owned);
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(&self.device).args(size);
        assert!(stty.status().expect("stty is there").success());
    }

    /// Waits for the command's end; its exit status and everything that was written.
    #[track_caller]
    pub(crate) fn end(mut self) -> (i32, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "no end: {:?}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        };
        self.reader.take().unwrap().join().expect("a reader");
        (call::number(status), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The text without the sequences that this program writes, and those that it wrote: colours, moves,
/// erasures, and modes.
pub(crate) fn unpainted(text: &str) -> (String, Vec<String>) {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    let mut sequences = Vec::new();
    for part in parts {
        let end = part
            .find(|c: char| c.is_ascii_alphabetic())
            .expect("an end");
        sequences.push(part[..=end].to_owned());
        plain.push_str(&part[end + 1..]);
    }
    (plain, sequences)
}
