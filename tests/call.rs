//! How a process is started and heard: an integration exactly as wazuh-integratord starts it
//! (`os_integrator/integrator.c`), and a command as an administrator types it.

use std::ffi::OsStr;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Whence, lseek};

use crate::scratch;

/// Longer than any call may take; only a call that hangs reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What wazuh-integratord learns from a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit status; a death by signal is minus the signal.
    pub(crate) status: i32,
    /// stdout and stderr, one pipe, read to its end.
    pub(crate) output: String,
    pub(crate) took: Duration,
}

/// An integration that runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    output: PipeReader,
    begun: Instant,
}

/// The arguments after argv[0] that wazuh-integratord 4.14 gives when its debug level is off.
pub(crate) fn normal<'a>(file: &'a str, api_key: &'a str, hook_url: &'a str) -> [&'a str; 8] {
    [
        file,
        api_key,
        hook_url,
        "",
        "",
        "10",
        "3",
        "> /dev/null 2>&1",
    ]
}

/// A process as integratord makes it: cwd, argv[0], no HOME, an inherited descriptor, no stdin.
pub(crate) fn integration<S: AsRef<OsStr>>(home: &Path, arguments: &[S]) -> Command {
    LazyLock::force(&INHERITED);
    let mut command = Command::new(home.join("integrations/custom-mongo"));
    command
        .arg0("integrations")
        .args(arguments)
        .current_dir(home);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null());
    command
}

/// Starts it with stdout and stderr as one pipe.
pub(crate) fn start(mut command: Command) -> Running {
    let (output, writer) = std::io::pipe().expect("a pipe");
    command
        .stdout(writer.try_clone().expect("a descriptor"))
        .stderr(writer);
    let begun = Instant::now();
    let child = command.spawn().expect("the integration starts");
    Running {
        child,
        output,
        begun,
    }
}

impl Running {
    /// Reads to end-of-file and only then waits, as integratord does.
    pub(crate) fn outcome(mut self) -> Outcome {
        let (done, guarded) = std::sync::mpsc::channel::<()>();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let guard = thread::spawn(move || {
            if guarded
                .recv_timeout(PATIENCE)
                .is_err_and(|why| why.to_string().contains("timed"))
            {
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
            }
        });
        let mut output = Vec::new();
        self.output
            .read_to_end(&mut output)
            .expect("the pipe can be read");
        let status = number(self.child.wait().expect("a status"));
        let took = self.begun.elapsed();
        drop(done);
        guard.join().expect("the guard ends");
        Outcome {
            status,
            output: String::from_utf8_lossy(&output).into(),
            took,
        }
    }
}

/// Exit status, or minus the signal that killed it.
pub(crate) fn number(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| -status.signal().unwrap_or(0))
}

/// The same environment, with the name that tells a command of an administrator from a call.
pub(crate) fn command<S: AsRef<OsStr>>(home: &Path, arguments: &[S]) -> Command {
    let mut command = integration(home, arguments);
    command.arg0("custom-mongo");
    command
}

/// Runs a command to its end, with `input` as its stdin.
pub(crate) fn finish(mut command: Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let (mut stdin, input) = (child.stdin.take().expect("a pipe"), input.to_vec());
    // It may end before it has read everything.
    let feeder = thread::spawn(move || stdin.write_all(&input).ok());
    let output = child.wait_with_output().expect("the command ends");
    feeder.join().expect("the feeder ends");
    output
}

/// Where integratord's own descriptor stands: every child inherits it (fd 4, alerts.json), and
/// whoever moves it makes Wazuh skip alerts.
pub(crate) fn inherited_position() -> i64 {
    lseek(&*INHERITED, 0, Whence::SeekCur).expect("an open file")
}

/// The file behind the inherited descriptor.
pub(crate) fn inherited_content() -> Vec<u8> {
    std::fs::read(scratch::root().join("inherited")).expect("the inherited file")
}

/// Without `O_CLOEXEC`, and at number 4 unless somebody else already gave us a 4.
static INHERITED: LazyLock<OwnedFd> = LazyLock::new(|| {
    let path = scratch::root().join("inherited");
    std::fs::write(&path, "{\"alert\":1}\n{\"alert\":2}\n").expect("a file");
    let mut lower = Vec::new();
    let fd = loop {
        let fd = nix::fcntl::open(&path, OFlag::O_RDWR, Mode::empty()).expect("an open file");
        if fd.as_raw_fd() >= 4 {
            break fd;
        }
        lower.push(fd);
    };
    lseek(&fd, 12, Whence::SeekSet).expect("an open file");
    fd
});
