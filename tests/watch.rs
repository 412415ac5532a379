//! `watch alerts`: what is stored is shown, once, whatever it says and whatever breaks in between.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::api_data::{Dice, Known, fill, insert, now, rfc3339, right};
use crate::call;
use crate::mongod::{self, Mongod};
use crate::outages::behind_proxy;
use crate::proxy::Mode;
use crate::wazuh::Wazuh;

mod filters;
mod on_a_terminal;

const PATIENCE: Duration = Duration::from_secs(60);

/// A watcher whose lines go into a pipe.
struct Watcher {
    child: Child,
    lines: Receiver<String>,
}

impl Watcher {
    fn start(wazuh: &Wazuh, arguments: &[&str]) -> Self {
        let mut all = vec!["watch", "alerts"];
        all.extend(arguments);
        let mut command = wazuh.command(&all);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let written = BufReader::new(child.stdout.take().unwrap()).lines();
        let (to, lines) = channel();
        thread::spawn(move || {
            for line in written.map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("a further line in time")
    }

    /// The last column of each of the next lines.
    #[track_caller]
    fn ids(&self, count: usize) -> Vec<String> {
        let id = |line: String| line.rsplit('\t').next().unwrap().to_owned();
        (0..count).map(|_| id(self.line())).collect()
    }

    /// Ends it as Ctrl-C does; its status and what it said on stderr.
    fn end(mut self) -> (i32, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        self.wait()
    }

    fn wait(&mut self) -> (i32, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
            thread::sleep(Duration::from_millis(10));
        };
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (call::number(status), said)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Alerts whose ids say in which order they were stored.
fn alerts(from: usize, count: usize) -> Vec<Known> {
    let mut dice = Dice::new();
    let now = now();
    let make = |number: usize| {
        let mut known = Known::made(0, now, &mut dice);
        known.id = format!("{number:08}");
        known.time = now + i64::try_from(number).unwrap();
        known
    };
    (from..from + count).map(make).collect()
}

fn ids(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("{number:08}")).collect()
}

fn shows_each_once(server: &Mongod, name: &str) {
    let wazuh = Wazuh::with_uri(&server.uri(), name);
    let database = server.database(name);
    insert(&database, &alerts(0, 10));
    let watcher = Watcher::start(&wazuh, &["--last", "3"]);
    assert_eq!(watcher.ids(3), ids(7, 10));
    for from in (10..60).step_by(5) {
        insert(&database, &alerts(from, 5));
    }
    // What is written at once is unordered.
    let mut seen = watcher.ids(50);
    seen.sort();
    assert_eq!(seen, ids(10, 60));
    assert_eq!(watcher.end(), (0, String::new()));
}

#[test]
fn a_watcher_sees_the_newest_alerts_and_then_each_as_it_is_stored() {
    shows_each_once(mongod::shared(), "watch_set");
    shows_each_once(&Mongod::standalone(), "watch_alone");
}

/// The list of what is there goes over into the stream of what comes.
#[test]
fn what_is_stored_while_it_starts_is_shown_once() {
    for (round, server) in [mongod::shared(), &Mongod::standalone()]
        .into_iter()
        .enumerate()
    {
        let name = format!("watch_start_{round}");
        let wazuh = Wazuh::with_uri(&server.uri(), &name);
        let database = server.database(&name);
        insert(&database, &alerts(0, 1));
        let watcher = Watcher::start(&wazuh, &["--last", "10000"]);
        for one in alerts(1, 600).chunks(1) {
            insert(&database, one);
        }
        let mut seen = watcher.ids(601);
        seen.sort();
        assert_eq!(seen, ids(0, 601));
        assert_eq!(watcher.end(), (0, String::new()));
    }
}

#[test]
fn a_line_for_programs_has_nine_columns_whatever_the_alert_says() {
    let wazuh = Wazuh::new("watch_columns");
    let collection = mongod::shared()
        .database("watch_columns")
        .collection::<Document>("alerts");
    let odd = doc! {
        "_id": "odd", "rule": { "description": "tab\there\nand line \u{1b}[31m", "level": "x" },
        "agent": { "name": ["a", 1] }, "timestamp": "2025-06-02T21:47:23.199+0800",
    };
    collection.insert_one(odd).run().unwrap();
    let watcher = Watcher::start(&wazuh, &[]);
    let line = watcher.line();
    assert_eq!(
        line.split('\t').collect::<Vec<_>>(),
        [
            "2025-06-02T21:47:23.199+0800",
            "-",
            "x",
            "-",
            "-",
            "[\"a\",1]",
            "-",
            "tab here and line \\x1b[31m",
            "odd"
        ]
    );
}

#[test]
fn since_says_how_far_back_the_list_begins() {
    let name = "watch_since";
    let wazuh = Wazuh::new(name);
    let now = now();
    let all = fill(&mongod::shared().database(name), 100, now);
    let since = rfc3339(now - 10_000);
    let mut expected = right(&all, &[("since", since.clone())]);
    expected.reverse();
    assert!((10..50).contains(&expected.len()), "{}", expected.len());
    let watcher = Watcher::start(&wazuh, &["--since", &since]);
    assert_eq!(watcher.ids(expected.len()), expected);
    assert_eq!(watcher.end().0, 0);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly_though_nothing_comes() {
    let wazuh = Wazuh::new("watch_pipe");
    let mut command = wazuh.command(&["watch", "alerts"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let reader = child.stdout.take();
    thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    drop(reader);
    let (_, lines) = channel();
    let mut watcher = Watcher { child, lines };
    assert_eq!(watcher.wait(), (0, String::new()));
}

#[test]
fn mongodb_may_go_and_come_back() {
    let server = Mongod::replica_set();
    let name = "watch_away";
    let wazuh = Wazuh::with_uri(&server.uri(), name);
    let database = server.database(name);
    insert(&database, &alerts(0, 1));
    let watcher = Watcher::start(&wazuh, &[]);
    assert_eq!(watcher.ids(1), ids(0, 1));
    server.stop();
    thread::sleep(Duration::from_secs(2));
    server.start();
    insert(&database, &alerts(1, 3));
    let mut seen = watcher.ids(3);
    seen.sort();
    assert_eq!(seen, ids(1, 4));
    let (status, said) = watcher.end();
    assert_eq!(status, 0, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].ends_with("; waiting for it"), "{said}");
    assert_eq!(lines[1], "custom-mongo: MongoDB is back");
}

/// Stored while the watcher cannot ask, whatever broke its connection.
#[test]
fn what_comes_while_it_cannot_ask_is_shown_when_it_can() {
    let name = "watch_cut_off";
    let (proxy, wazuh) = behind_proxy(name, "");
    let database = mongod::shared().database(name);
    insert(&database, &alerts(0, 1));
    let watcher = Watcher::start(&wazuh, &[]);
    assert_eq!(watcher.ids(1), ids(0, 1));
    insert(&database, &alerts(1, 1));
    assert_eq!(watcher.ids(1), ids(1, 2));
    proxy.set(Mode::Refuse);
    insert(&database, &alerts(2, 2));
    thread::sleep(Duration::from_secs(4));
    insert(&database, &alerts(4, 2));
    proxy.set(Mode::Pass);
    let mut seen = watcher.ids(4);
    seen.sort();
    assert_eq!(seen, ids(2, 6));
    assert_eq!(watcher.end().0, 0);
}

#[test]
fn wrong_settings_end_it_with_78_and_a_wrong_word_with_2() {
    let wazuh = Wazuh::with_uri("mongodb://127.0.0.1:1/?strange=1", "watch_wrong");
    let output = wazuh.run(&["watch", "alerts"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let output = wazuh.run(&["watch", "alerts", "--risk", "huge"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
