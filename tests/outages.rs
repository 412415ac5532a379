//! `MongoDB` stopped, frozen, restarted, unreachable: every call says yes in time, and afterwards
//! every alert is there exactly once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use mongodb::bson::DateTime;
use nix::sys::signal::Signal;

use crate::background::Background;
use crate::mongod::{self, Mongod};
use crate::proxy::{Mode, Proxy};
use crate::wazuh::{Wazuh, numbered, only, stored, stored_on, text};

/// The deadline of 2 s, and room for a debug build on a busy machine. The driver alone would wait 30.
const IN_TIME: Duration = Duration::from_secs(8);
/// No second probe while a test looks.
pub(crate) const LATER: &str = "[delivery]\nprobe_every = \"10 min\"\n";

#[test]
fn stopped_and_restarted_in_the_middle_of_a_run() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "stopped");
    wazuh.settings("[delivery]\nprobe_every = \"1 s\"\n");
    hand_over(&wazuh, 0..10);
    server.stop();
    hand_over(&wazuh, 10..20);
    let held = wazuh.pending();
    assert_eq!(held, 10);
    server.start();
    hand_over(&wazuh, 20..30);
    wazuh.drain();
    assert_once(&Kept::of(stored_on(&server, "stopped")), 30);
}

#[test]
fn frozen_and_thawed() {
    let server = Mongod::standalone();
    let wazuh = Wazuh::with_uri(&server.uri(), "frozen");
    wazuh.settings(LATER);
    hand_over(&wazuh, 0..3);
    server.freeze();
    hand_over(&wazuh, 3..20);
    let drain = wazuh.run(&["spool", "drain", "--format", "json"]);
    assert_eq!(drain.status.code(), Some(1), "{drain:?}");
    server.thaw();
    wazuh.drain();
    assert_once(&Kept::of(stored_on(&server, "frozen")), 20);
}

#[test]
fn nobody_listens() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "nobody");
    hand_over(&wazuh, 0..5);
    assert_eq!(wazuh.pending(), 5);
    let ids = wazuh.json("spool list");
    assert_eq!(ids.as_array().unwrap().len(), 5, "{ids}");
}

#[test]
fn a_host_that_never_answers() {
    // Reserved for documentation (RFC 5737): packets to it vanish, or are refused at once.
    let wazuh = Wazuh::with_uri("mongodb://192.0.2.1:27017/", "vanished");
    hand_over(&wazuh, 0..2);
    let wazuh = Wazuh::with_uri("mongodb://mongodb.invalid/", "no_such_name");
    hand_over(&wazuh, 0..2);
    assert_eq!(wazuh.pending(), 2);
}

#[test]
fn a_network_that_refuses_freezes_or_dawdles() {
    for (name, mode) in [
        ("net_refuse", Mode::Refuse),
        ("net_freeze", Mode::Freeze),
        ("net_delay", Mode::Delay(Duration::from_secs(3))),
    ] {
        let (proxy, wazuh) = behind_proxy(name, "");
        proxy.set(mode);
        hand_over(&wazuh, 0..3);
        proxy.set(Mode::Pass);
        wazuh.drain();
        assert_once(&Kept::of(stored(name)), 3);
    }
}

#[test]
fn a_reply_that_is_cut_leaves_one_document() {
    // From inside the first hello's reply to beyond the last reply of a write.
    for bytes in [0, 10, 200, 400, 450, 500, 600, 800, 1000, 1500] {
        let name = format!("cut_{bytes}");
        let (proxy, wazuh) = behind_proxy(&name, "");
        proxy.set(Mode::CutReply(bytes));
        hand_over(&wazuh, 0..2);
        proxy.set(Mode::Pass);
        wazuh.drain();
        assert_once(&Kept::of(stored(&name)), 2);
    }
}

#[test]
fn a_slow_network_is_no_outage() {
    let (proxy, wazuh) = behind_proxy("slow", "");
    proxy.set(Mode::Delay(Duration::from_millis(30)));
    hand_over(&wazuh, 0..3);
    assert_eq!((stored("slow").len(), wazuh.pending()), (3, 0));
}

#[test]
fn the_deadline_and_the_timeout_argument_bound_a_call() {
    // Less than the usual deadline; the quickest of some, since the machine may be busy.
    let took = |_| {
        let (proxy, wazuh) = behind_proxy("deadline", "[delivery]\ndeadline = \"300 ms\"\n");
        proxy.set(Mode::Freeze);
        let outcome = wazuh.call(numbered(0).to_string());
        outcome.assert_yes();
        outcome.took
    };
    let quickest = (0..4).map(took).min().unwrap();
    assert!(quickest < Duration::from_millis(1500), "{quickest:?}");

    let (proxy, wazuh) = behind_proxy("timeout", "[delivery]\ndeadline = \"20 s\"\n");
    proxy.set(Mode::Freeze);
    let file = wazuh.alert_file(numbered(0).to_string().as_bytes());
    let outcome = wazuh.invoke(&[&file, "", "", "", "", "1", "3", "> /dev/null 2>&1"]);
    outcome.assert_yes();
    assert!(outcome.took < IN_TIME, "{:?}", outcome.took);
}

#[test]
fn a_drain_that_is_stopped_holds_up_no_call() {
    let (proxy, wazuh) = behind_proxy("stopped_drain", "[delivery]\nprobe_every = \"1 s\"\n");
    proxy.set(Mode::Refuse);
    hand_over(&wazuh, 0..20);
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let drain = Background::start(&wazuh, &["spool", "drain"]);
    thread::sleep(Duration::from_millis(350));
    drain.signal(Signal::SIGSTOP);
    proxy.set(Mode::Pass);
    thread::sleep(Duration::from_millis(1100));
    hand_over(&wazuh, 20..30);
    drain.kill();
    wazuh.drain();
    assert_once(&Kept::of(stored("stopped_drain")), 30);
}

#[test]
fn a_state_folder_that_cannot_be_used_loses_no_alert_while_mongodb_is_there() {
    let (proxy, wazuh) = behind_proxy("no_state", "");
    std::fs::remove_dir(wazuh.state()).ok();
    std::fs::write(wazuh.state(), "a file where a folder should be").unwrap();
    wazuh.call(numbered(0).to_string()).assert_yes();
    assert_once(&Kept::of(stored("no_state")), 1);
    proxy.set(Mode::Refuse);
    let line = wazuh
        .call(numbered(1).to_string())
        .assert_no(1, &wazuh)
        .to_owned();
    assert!(line.contains("var/db/custom-mongo"), "{line}");
}

#[test]
fn receipt_is_when_the_hook_was_called() {
    let (proxy, wazuh) = behind_proxy("receipt", LATER);
    proxy.set(Mode::Refuse);
    let before = DateTime::now();
    hand_over(&wazuh, 0..1);
    let after = DateTime::now();
    thread::sleep(Duration::from_millis(50));
    proxy.set(Mode::Pass);
    wazuh.drain();
    let document = only("receipt");
    assert!((before..=after).contains(document.get_datetime("_processed_at").unwrap()));
    assert_eq!(text(&document, "_source"), "hook");
}

#[test]
fn calls_at_once_lose_nothing() {
    let (proxy, wazuh) = behind_proxy("at_once", "[delivery]\nprobe_every = \"100 ms\"\n");
    let calls = |from: usize| {
        let files: Vec<_> = (from..from + 30)
            .map(|number| wazuh.alert_file(numbered(number).to_string().as_bytes()))
            .collect();
        let start = |file: &String| {
            let arguments = crate::call::normal(file, "", "");
            crate::call::start(crate::call::integration(&wazuh.home, &arguments))
        };
        let running: Vec<_> = files.iter().map(start).collect();
        for call in running {
            call.outcome().assert_yes();
        }
    };
    proxy.set(Mode::Refuse);
    calls(0);
    proxy.set(Mode::Pass);
    thread::sleep(Duration::from_millis(150));
    calls(30);
    calls(60);
    wazuh.drain();
    assert_once(&Kept::of(stored("at_once")), 90);
}

/// How often each alert is there, by its number.
#[derive(Debug)]
pub(crate) struct Kept(BTreeMap<usize, usize>);

impl Kept {
    pub(crate) fn of(documents: Vec<mongodb::bson::Document>) -> Self {
        let mut kept = BTreeMap::new();
        for document in documents {
            let id = document.get_str("id").expect("an id");
            let number = id.strip_prefix("1748872000.").expect("a numbered alert");
            *kept.entry(number.parse().expect("a number")).or_default() += 1;
        }
        Self(kept)
    }

    pub(crate) fn has(&self, number: usize) -> bool {
        self.0.contains_key(&number)
    }

    /// None of them is there twice.
    pub(crate) fn is_once(&self) -> bool {
        self.0.values().all(|times| *times == 1)
    }
}

/// The alerts below `count` are there, each of them once.
#[track_caller]
pub(crate) fn assert_once(kept: &Kept, count: usize) {
    let expected: BTreeMap<usize, usize> = (0..count).map(|number| (number, 1)).collect();
    assert_eq!(kept.0, expected);
}

/// A home whose server is the shared one behind a proxy.
pub(crate) fn behind_proxy(database: &str, settings: &str) -> (Proxy, Wazuh) {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = Wazuh::with_uri(&proxy.uri(), database);
    wazuh.settings(settings);
    (proxy, wazuh)
}

/// Calls with the alerts of these numbers; each says yes in time.
#[track_caller]
pub(crate) fn hand_over(wazuh: &Wazuh, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let outcome = wazuh.call(numbered(number).to_string());
        outcome.assert_yes();
        assert!(
            outcome.took < IN_TIME,
            "call {number} took {:?}",
            outcome.took
        );
    }
}
