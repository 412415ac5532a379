//! A command that runs on while a test does other things: watched, asked to stop, or killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::call::number;
use crate::wazuh::Wazuh;

/// Longer than anything may take; only what hangs reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Background {
    child: Child,
    log: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct End {
    /// Exit status; a death by signal is minus the signal.
    pub(crate) status: i32,
    /// From the signal to the end.
    pub(crate) took: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Background {
    /// Starts a command of an administrator.
    pub(crate) fn start(wazuh: &Wazuh, arguments: &[&str]) -> Self {
        let log = wazuh.home.join(format!("tmp/{}", fresh_name()));
        let file = |ending: &str| File::create(log.with_extension(ending)).expect("a file");
        let mut command = wazuh.command(arguments);
        let child = command
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("the command starts");
        Self { child, log }
    }

    /// `follow`, once it has opened its file.
    pub(crate) fn follow(wazuh: &Wazuh, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = ["follow", "-v"].iter().chain(arguments).copied().collect();
        let started = Self::start(wazuh, &arguments);
        started.wait_for("following ");
        started
    }

    /// What it has written to stderr.
    pub(crate) fn stderr(&self) -> String {
        read(&self.log.with_extension("err"))
    }

    /// Waits until it has written that to stderr.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        eventually(|| {
            let said = self.stderr();
            said.contains(text).then_some(()).ok_or(said)
        });
    }

    /// Waits until it has read a file to its present end.
    #[track_caller]
    pub(crate) fn wait_until_read(&self, file: &Path) {
        let size = fs::metadata(file).expect("a file").len();
        eventually(|| match self.position(file) {
            Some(position) if position >= size => Ok(()),
            position => Err(format!("{position:?} of {size} bytes: {}", self.stderr())),
        });
    }

    /// How far it has read a file that it has open under any of its names.
    fn position(&self, file: &Path) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let wanted = fs::metadata(file).ok()?;
        let descriptors = fs::read_dir(process.join("fd")).ok()?;
        let number = descriptors.flatten().find_map(|entry| {
            let open = fs::metadata(entry.path()).ok()?;
            let same = (open.dev(), open.ino()) == (wanted.dev(), wanted.ino());
            same.then(|| entry.file_name())
        })?;
        let info = fs::read_to_string(process.join("fdinfo").join(number)).ok()?;
        let position = info.lines().next()?.strip_prefix("pos:")?;
        position.trim().parse().ok()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = read(Path::new(&format!("/proc/{}/status", self.child.id())));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes
            .expect("a process")
            .parse::<u64>()
            .expect("a number")
            * 1024
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    /// SIGTERM, and what comes of it.
    pub(crate) fn stop(self) -> End {
        self.signal(Signal::SIGTERM);
        self.end()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("a status");
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> End {
        let begun = Instant::now();
        while self.is_running() {
            assert!(begun.elapsed() < PATIENCE, "it hangs: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
        End {
            status: number(self.child.wait().expect("a status")),
            took: begun.elapsed(),
            stdout: read(&self.log.with_extension("out")),
            stderr: self.stderr(),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("a process of ours");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn eventually(mut look: impl FnMut() -> Result<(), String>) {
    let begun = Instant::now();
    while let Err(state) = look() {
        assert!(begun.elapsed() < PATIENCE, "it never comes: {state}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a number is what it should be.
#[track_caller]
pub(crate) fn eventually_equal(wanted: u64, look: impl Fn() -> u64) {
    eventually(|| match look() {
        is if is == wanted => Ok(()),
        is => Err(format!("{is:?} instead of {wanted:?}")),
    });
}

/// All bytes below a folder.
pub(crate) fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_of(&entry.path()),
        meta => meta.map_or(0, |meta| meta.len()),
    };
    entries.map(size).sum()
}

fn read(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

fn fresh_name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("background-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
