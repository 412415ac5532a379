//! `custom-mongo serve` as a process: its address, its log, its end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::call;
use crate::http::{self, Answer};
use crate::wazuh::Wazuh;

/// Longer than a start or an end may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that runs; killed when it is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts it on a free port with the home's settings, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(wazuh: &Wazuh) -> Self {
        Self::start_on(wazuh, "127.0.0.1:0")
    }

    /// Starts it on this address.
    #[track_caller]
    pub(crate) fn start_on(wazuh: &Wazuh, listen: &str) -> Self {
        let mut command = wazuh.command(&["serve", "--listen", listen]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                written.lock().unwrap().push(line);
            }
        });
        let mut service = Self {
            address: ([127, 0, 0, 1], 0).into(),
            child,
            log,
            reader: Some(reader),
        };
        let line = service.line_with("Starting webhook receiver on ");
        let address = line.split(" on ").nth(1).expect("an address");
        service.address = address.parse().expect("an address");
        service
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        http::get(self.address, path, headers)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::post(self.address, path, headers, body)
    }

    /// Asks again and again until the answer is as wanted.
    #[track_caller]
    pub(crate) fn wait_for(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.get(path, &[]);
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} stays at {answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A number of /metrics; 0 if it is not there.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics", &[]).text();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Everything that was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits for a line of the log with this text.
    #[track_caller]
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            // In this order: what it wrote before its end is in the log.
            let ended = self.child.try_wait().expect("a child");
            let found = self
                .log()
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned);
            if let Some(line) = found {
                return line;
            }
            let late = begun.elapsed() > PATIENCE;
            assert!(
                !late && ended.is_none(),
                "no {text:?} in {ended:?}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal to the service");
    }

    /// Waits for its end; the exit status, or minus the signal, and the whole log.
    #[track_caller]
    pub(crate) fn end(mut self) -> (i32, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it does not end: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        self.reader.take().unwrap().join().expect("the reader ends");
        (call::number(status), self.log())
    }

    /// Asks it to stop, and waits for its end.
    #[track_caller]
    pub(crate) fn stop(self) -> (i32, String) {
        self.signal(Signal::SIGTERM);
        self.end()
    }

    /// Resident memory in bytes (`VmRSS` of proc(5)).
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory that it has had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
