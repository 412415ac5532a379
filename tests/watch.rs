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
use crate::terminal::{INTERRUPT, Terminal, unpainted};
use crate::wazuh::Wazuh;

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

/// What is typed, and what asks the same of the API.
type Case = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

const CASES: [Case; 9] = [
    (&["--risk", "high"], &[("risk_score", "high")]),
    (&["--agent", "3"], &[("agent_id", "003")]),
    (&["--rule", "5710"], &[("rule_id", "5710")]),
    (&["--group", "sshd"], &[("group", "sshd")]),
    (&["--mitre", "T1110"], &[("mitre", "T1110")]),
    (&["--level-min", "9"], &[("level_min", "9")]),
    (&["--site", "north"], &[("site", "north")]),
    (&["--text", "ALPHA7"], &[("q", "alpha7")]),
    (
        &["--agent-id", "003", "--risk-score", "low"],
        &[("agent_id", "003"), ("risk_score", "low")],
    ),
];

#[test]
fn every_filter_of_the_api_counts_for_what_is_there_and_for_what_comes() {
    let name = "watch_filters";
    let wazuh = Wazuh::new(name);
    let database = mongod::shared().database(name);
    let all = fill(&database, 400, now());
    for (place, (arguments, question)) in CASES.into_iter().enumerate() {
        let question: Vec<_> = question
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let mut expected = right(&all, &question);
        expected.reverse();
        assert!(expected.len() > 1, "{question:?}");
        let mut words = vec!["--last", "10000", "--format", "json"];
        words.extend(arguments);
        let watcher = Watcher::start(&wazuh, &words);
        let id = |line: String| -> String {
            let document: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            document["_id"].as_str().unwrap().to_owned()
        };
        for wanted in &expected {
            assert_eq!(id(watcher.line()), *wanted, "{arguments:?}");
        }
        let of = |is_in: bool, id: String| {
            let known = all.iter().find(|known| known.is_in(&question) == is_in);
            Known {
                id,
                ..known.unwrap().clone()
            }
        };
        let (no, yes) = (
            of(false, format!("no{place}")),
            of(true, format!("yes{place}")),
        );
        insert(&database, &[no]);
        insert(&database, std::slice::from_ref(&yes));
        assert_eq!(id(watcher.line()), yes.id, "{arguments:?}");
        let both = [format!("no{place}"), yes.id];
        let alerts = database.collection::<Document>("alerts");
        alerts
            .delete_many(doc! { "_id": { "$in": both.to_vec() } })
            .run()
            .unwrap();
    }
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

/// An alert by which somebody tries to take the terminal over.
fn hostile(id: &str) -> Document {
    let text = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31mred\u{9b}5mblink\u{90}\u{7f}\u{202e}fdp\r\nCRITICAL 日本";
    doc! {
        "_id": id, "_site": "default\u{1b}[1A", "_risk_score": "high\u{1b}[2K", "agent_id": "\u{1b}c",
        "_timestamp": mongodb::bson::DateTime::from_millis(now()),
        "agent": { "name": text }, "rule": { "id": text, "level": text, "description": text },
        "full_log": text,
    }
}

#[test]
fn what_an_alert_says_never_commands_the_terminal() {
    let name = "watch_hostile";
    let wazuh = Wazuh::new(name);
    let collection = mongod::shared()
        .database(name)
        .collection::<Document>("alerts");
    collection.insert_one(hostile("1")).run().unwrap();
    for format in ["text", "json"] {
        let arguments = format!("watch alerts --format {format}");
        let mut terminal = Terminal::start(&wazuh, "", &arguments, (400, 24));
        terminal.wait_for("owned");
        terminal.key(INTERRUPT);
        let (status, text) = terminal.end();
        assert_eq!(status, 0, "{text:?}");
        let (plain, sequences) = unpainted(&text);
        let own = [
            "0m", "1m", "2m", "36m", "32m", "33m", "1;31m", "1;97;41m", "J",
        ];
        assert!(
            sequences.iter().all(|one| own.contains(&one.as_str())),
            "{sequences:?}"
        );
        let strange = |c: char| c.is_control() && !matches!(c, '\r' | '\n');
        assert!(!plain.contains(strange), "{plain:?}");
        assert!(!plain.contains('\u{202e}'), "{plain:?}");
    }
}

#[test]
fn a_terminal_has_colours_counts_and_a_line_that_stays() {
    let name = "watch_terminal";
    let wazuh = Wazuh::new(name);
    let database = mongod::shared().database(name);
    let mut known = alerts(0, 1).remove(0);
    known.risk = "critical";
    known.site = "default";
    insert(&database, std::slice::from_ref(&known));
    let mut terminal = Terminal::start(&wazuh, "", "watch alerts", (100, 24));
    let text = terminal.wait_for("live");
    assert!(text.contains("\x1b[1;97;41mCRITICAL\x1b[0m"), "{text:?}");
    assert!(text.contains("last minute 0  in all 0"), "{text:?}");
    known.id = "new".to_owned();
    known.risk = "low";
    insert(&database, std::slice::from_ref(&known));
    terminal.wait_for("in all 1: 1 low");
    terminal.resize(40, 10);
    let before = terminal.text().len();
    // The line of 99 columns has become three.
    let narrow = terminal.wait_until("a line for 40 columns", |text| {
        text[before..].contains("\x1b[1A\x1b[J") || text[before..].contains("\x1b[2A\x1b[J")
    });
    let (plain, _) = unpainted(&narrow);
    let last = plain.rsplit('\r').next().unwrap();
    assert!(last.chars().count() < 40, "{last:?}");
    terminal.key(INTERRUPT);
    let (status, text) = terminal.end();
    assert_eq!(status, 0, "{text:?}");
    assert!(
        text.ends_with("\r\x1b[J"),
        "the line is left behind: {text:?}"
    );
}

#[test]
fn no_color_is_respected() {
    let wazuh = Wazuh::new("watch_plain");
    insert(&mongod::shared().database("watch_plain"), &alerts(0, 1));
    let mut terminal = Terminal::start(&wazuh, "NO_COLOR=1", "watch alerts", (100, 24));
    terminal.wait_for("live");
    terminal.key(INTERRUPT);
    let (status, text) = terminal.end();
    let (_, sequences) = unpainted(&text);
    assert!(sequences.iter().all(|one| one == "J"), "{sequences:?}");
    assert_eq!(status, 0);
    // A terminal that cannot move its cursor gets lines.
    let mut terminal = Terminal::start(&wazuh, "TERM=dumb", "watch alerts", (100, 24));
    let text = terminal.wait_for("00000000\r\n");
    assert!(!text.contains('\x1b') && text.contains('\t'), "{text:?}");
    terminal.key(INTERRUPT);
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn the_terminal_says_that_mongodb_is_away_and_ctrl_c_still_works() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "watch_frozen");
    let mut terminal = Terminal::start(&wazuh, "", "watch alerts", (120, 24));
    terminal.wait_for("live");
    server.stop();
    terminal.wait_for("waiting for it");
    server.start();
    let before = terminal.text().len();
    terminal.wait_until("live again", |text| text[before..].contains("live"));
    server.freeze();
    let begun = Instant::now();
    terminal.key(INTERRUPT);
    let (status, _) = terminal.end();
    server.thaw();
    assert_eq!(status, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}
