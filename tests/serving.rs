//! `serve` as a process of its own, ended at the latest with this program, and a small HTTP client
//! that sends what a test says, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::mongod::free_port;
use crate::scratch;
use crate::wazuh::Wazuh;

/// Starts the service, says its pid, and kills it when this program is gone.
const KEEPER: &str = r#"
log=$0
"$@" </dev/null >>"$log" 2>&1 &
echo $!
read -r word
kill -9 $! 2>/dev/null
wait $!"#;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Serving {
    pub(crate) port: u16,
    keeper: Child,
    pid: Pid,
    log: PathBuf,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        let name = format!("{name}:");
        let mut lines = self.head.lines();
        lines.any(|line| line.to_ascii_lowercase().starts_with(&name))
    }
}

impl Serving {
    /// Starts it for this home and waits until it takes connections.
    pub(crate) fn start(wazuh: &Wazuh) -> Self {
        let serving = Self::start_on(wazuh, free_port());
        serving.wait();
        serving
    }

    /// Starts it without waiting.
    pub(crate) fn start_on(wazuh: &Wazuh, port: u16) -> Self {
        let log = wazuh.home.join("serve.log");
        let address = format!("127.0.0.1:{port}");
        let binary = wazuh.home.join("integrations/custom-mongo");
        let mut line = vec![log.display().to_string(), "env".into(), "-i".into()];
        let environment = wazuh.environment.iter();
        line.extend(environment.map(|(name, value)| format!("{name}={value}")));
        line.push(binary.display().to_string());
        line.extend(["-v", "serve", "--listen", &address].map(String::from));
        let mut keeper = scratch::watchdog(KEEPER, line);
        let mut pid = String::new();
        let stdout = keeper.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut pid)
            .expect("the pid of serve");
        let pid = Pid::from_raw(pid.trim().parse().expect("a pid"));
        Self {
            port,
            keeper,
            pid,
            log,
        }
    }

    fn wait(&self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "no serve: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("a signal to serve");
    }

    /// Ends it as `systemctl stop` does, and waits for that.
    pub(crate) fn stop(self) {
        self.signal(Signal::SIGTERM);
        let begun = Instant::now();
        // The keeper has not waited for it yet: a zombie, too, has ended.
        while self.state() != 'Z' {
            assert!(begun.elapsed() < PATIENCE, "no end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(self) {
        drop(self);
    }

    fn state(&self) -> char {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        let status = status.unwrap_or_default();
        let behind_name = status.rsplit(')').next().unwrap_or_default();
        behind_name.trim().chars().next().unwrap_or('Z')
    }

    /// The most memory that it has had, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        let status = status.expect("serve runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.expect("VmHWM").split_whitespace().nth(1);
        number.unwrap().parse().unwrap()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::to(self.port).expect("serve listens")
    }

    /// Posts a body as an alert, over a connection of its own.
    #[track_caller]
    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.connect().post(&[], body.as_ref()).expect("an answer")
    }

    /// The same with these header lines.
    #[track_caller]
    pub(crate) fn post_with(&self, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
        self.connect()
            .post(headers, body.as_ref())
            .expect("an answer")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().expect("the keeper of serve ends");
    }
}

/// A connection that is kept.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn to(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub(crate) fn post(&mut self, headers: &[&str], body: &[u8]) -> std::io::Result<Answer> {
        let mut request = format!(
            "POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n",
            body.len()
        );
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        self.send(request.as_bytes())?;
        // Who is refused early is answered while he still sends.
        let sent = self.send(body);
        let answer = self.answer();
        if answer.is_err() {
            sent?;
        }
        answer
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    pub(crate) fn answer(&mut self) -> std::io::Result<Answer> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: String::from_utf8(body).expect("text"),
        })
    }
}
