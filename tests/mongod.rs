//! A private, real mongod: free port, temporary folder, killed when it is dropped or this program ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::sync::{Client, Database};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scratch;

/// Kills mongod at end-of-file; the words `keep` and `end` leave its folder for a restart, and `end`
/// lets it shut down.
const KEEPER: &str = r#"
folder=$0
"$@" </dev/null >>"$folder/log" 2>&1 &
echo $!
read -r word
[ "$word" = end ] && kill $! || kill -9 $!
wait $!
[ -n "$word" ] || rm -rf "$folder""#;

/// How a server differs from a plain one.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    pub(crate) replica_set: bool,
    pub(crate) arguments: Vec<String>,
    /// What a client must add to the URI to be let in, with a `&` at the end (`tls=true&`).
    pub(crate) options: String,
    /// One that `packaging/mongod` knows, instead of the server that all tests use.
    pub(crate) release: Option<&'static str>,
    /// What is in its environment beside ours, `NAME=value`.
    pub(crate) environment: Vec<String>,
}

pub(crate) struct Mongod {
    pub(crate) port: u16,
    setup: Setup,
    folder: PathBuf,
    process: Mutex<Option<Process>>,
    client: Client,
}

struct Process {
    keeper: Child,
    pid: Pid,
}

/// The server that most tests use, each with a database of its own.
pub(crate) fn shared() -> &'static Mongod {
    static SHARED: LazyLock<Mongod> = LazyLock::new(Mongod::replica_set);
    &SHARED
}

impl Mongod {
    pub(crate) fn replica_set() -> Self {
        Self::start_with(Setup {
            replica_set: true,
            ..Setup::default()
        })
    }

    pub(crate) fn standalone() -> Self {
        Self::start_with(Setup::default())
    }

    pub(crate) fn start_with(setup: Setup) -> Self {
        let (port, folder) = (free_port(), scratch::fresh("mongod"));
        let mongod = Self {
            port,
            client: client(port, &setup),
            setup,
            folder,
            process: Mutex::new(None),
        };
        mongod.start();
        mongod
    }

    /// Where its data lies.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The URI that a user of this server writes into the settings.
    pub(crate) fn uri(&self) -> String {
        let set = if self.setup.replica_set {
            "/?replicaSet=rs0"
        } else {
            "/"
        };
        format!("mongodb://127.0.0.1:{}{set}", self.port)
    }

    pub(crate) fn database(&self, name: &str) -> Database {
        self.client.database(name)
    }

    pub(crate) fn admin(&self, command: Document) -> Document {
        self.database("admin")
            .run_command(command)
            .run()
            .expect("an admin command")
    }

    /// Starts mongod on its port and folder, and waits until it takes writes.
    pub(crate) fn start(&self) {
        let mut keeper = scratch::watchdog(KEEPER, self.command_line());
        let mut pid = String::new();
        let stdout = keeper.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut pid)
            .expect("the pid of mongod");
        let pid = Pid::from_raw(pid.trim().parse().expect("a pid"));
        *self.process.lock().unwrap() = Some(Process { keeper, pid });
        self.wait(|hello| hello.contains_key("isWritablePrimary"));
        if self.setup.replica_set {
            let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", self.port) };
            let config = doc! { "_id": "rs0", "members": [member] };
            let initiate = doc! { "replSetInitiate": config };
            // After a restart the set is there already.
            self.database("admin").run_command(initiate).run().ok();
        }
        let initiates_itself = self.setup.arguments.iter().any(|one| one == "--replSet");
        self.wait(|hello| {
            initiates_itself || matches!(hello.get_bool("isWritablePrimary"), Ok(true))
        });
    }

    /// Kills mongod like a power cut does; the port refuses from now on.
    pub(crate) fn stop(&self) {
        self.tell("keep");
    }

    /// Shuts it down, and starts it with its data and on its port in another way: an upgrade, a mended
    /// clock.
    pub(crate) fn restarted_with(mut self, setup: Setup) -> Self {
        self.tell("end");
        // The driver keeps what it knew of the server before.
        self.client = client(self.port, &setup);
        self.setup = setup;
        self.start();
        self
    }

    fn tell(&self, word: &str) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            let mut stdin = process.keeper.stdin.take().expect("a pipe");
            writeln!(stdin, "{word}").expect("the keeper of mongod is alive");
            process.keeper.wait().expect("the keeper of mongod ends");
        }
    }

    /// SIGSTOP: connections are accepted by the kernel, and nobody ever answers.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        // On a busy machine a thread goes on until it is its turn to stop.
        while !self.is_stopped() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether every thread is (`T` in proc(5)).
    fn is_stopped(&self) -> bool {
        let pid = self
            .process
            .lock()
            .unwrap()
            .as_ref()
            .expect("mongod runs")
            .pid;
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") T ")
        })
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock().unwrap();
        kill(process.as_ref().expect("mongod runs").pid, signal).expect("a signal to mongod");
    }

    fn command_line(&self) -> Vec<String> {
        let folder = self.folder.display().to_string();
        let port = self.port.to_string();
        let mut line = vec![folder.clone(), "env".to_owned()];
        line.extend(self.setup.environment.clone());
        let binary = self.setup.release.map(|release| found(&[release]));
        line.push(binary.unwrap_or_else(|| BINARY.clone()));
        line.extend(["--dbpath", &folder, "--port", &port].map(Into::into));
        line.extend(FIXED.map(Into::into));
        if self.setup.replica_set {
            line.extend(["--replSet", "rs0", "--oplogSize", "64"].map(Into::into));
        }
        line.extend(self.setup.arguments.clone());
        line
    }

    fn wait(&self, ready: impl Fn(&Document) -> bool) {
        let begun = Instant::now();
        loop {
            let hello = self
                .database("admin")
                .run_command(doc! { "hello": 1 })
                .run();
            match hello {
                Ok(hello) if ready(&hello) => return,
                // Too old for the driver: no more can be asked of it.
                Err(error) if error.to_string().contains("reports wire version") => return,
                answer if begun.elapsed() > Duration::from_secs(60) => {
                    let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    let tail = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
                    panic!("mongod does not become ready: {answer:?}\n{tail}");
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        if let Some(Process { mut keeper, .. }) = self.process.get_mut().unwrap().take() {
            drop(keeper.stdin.take());
            keeper.wait().expect("the keeper of mongod ends");
        }
    }
}

const FIXED: [&str; 8] = [
    "--bind_ip",
    "127.0.0.1",
    "--nounixsocket",
    "--quiet",
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--setParameter",
    "diagnosticDataCollectionEnabled=false",
];

static BINARY: LazyLock<String> = LazyLock::new(|| found(&[]));

fn found(release: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/mongod");
    let output = Command::new(script)
        .args(release)
        .output()
        .expect("packaging/mongod runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the tests need a real mongod. {said}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn client(port: u16, setup: &Setup) -> Client {
    let uri = format!(
        "mongodb://127.0.0.1:{port}/?{}directConnection=true&serverSelectionTimeoutMS=500",
        setup.options
    );
    Client::with_uri_str(uri).expect("a client for the test's own mongod")
}

/// Below the range that the kernel gives to outgoing connections, so that nobody takes the port of
/// a server that a test has stopped.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 100).unwrap_or(0) * 100;
    (0..1000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
