//! Many hooks at once, and a `serve` that is killed, asked to stop or without MongoDB meanwhile: every
//! call says yes in time, and each alert is there exactly once.

use std::ops::Range;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::handed_over;
use crate::call::{self, Outcome, Running};
use crate::mongod;
use crate::outages::{Kept, assert_once};
use crate::proxy::{Mode, Proxy};
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered, stored};
use crate::webhook::until;

/// For many debug builds at a time on a busy machine; the deadline is 2 s.
const IN_TIME: Duration = Duration::from_secs(10);

/// Calls that run at the same time.
fn begin(wazuh: &Wazuh, numbers: Range<usize>) -> Vec<Running> {
    let start = |number: usize| {
        let file = wazuh.alert_file(numbered(number).to_string().as_bytes());
        let arguments = [file.as_str(), "", "", "debug", "", "10", "3"];
        call::start(call::integration(&wazuh.home, &arguments))
    };
    numbers.map(start).collect()
}

/// The longest of them.
fn all_yes(running: Vec<Running>) -> Duration {
    let outcomes: Vec<Outcome> = running.into_iter().map(Running::outcome).collect();
    outcomes.iter().for_each(Outcome::assert_yes);
    let longest = outcomes.iter().map(|outcome| outcome.took).max().unwrap();
    assert!(longest < IN_TIME, "{longest:?}");
    longest
}

#[test]
fn fifty_hooks_at_once_with_mongodb_and_without() {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = Wazuh::with_uri(&proxy.uri(), "relay_fifty");
    wazuh.settings("[delivery]\nrelay_timeout = \"5 s\"\ndeadline = \"15 s\"\n");
    let service = Service::start(&wazuh);
    all_yes(begin(&wazuh, 0..50));
    proxy.set(Mode::Refuse);
    all_yes(begin(&wazuh, 50..100));
    proxy.set(Mode::Freeze);
    all_yes(begin(&wazuh, 100..150));
    assert_eq!(handed_over(&wazuh), 150, "{}", wazuh.log());
    proxy.set(Mode::Pass);
    until("all are in MongoDB", || stored("relay_fifty").len() == 150);
    assert_once(&Kept::of(stored("relay_fifty")), 150);
    assert!(service.metric("custom_mongo_alerts_spooled_total") > 149.5);
}

/// The service is told of each, and does not find it when it looks again after a second.
#[test]
fn what_was_handed_over_is_in_mongodb_at_once() {
    let wazuh = Wazuh::new("relay_rung");
    let _service = Service::start(&wazuh);
    let took = |number: usize| {
        all_yes(begin(&wazuh, number..number + 1));
        let begun = Instant::now();
        until("it is in MongoDB", || stored("relay_rung").len() > number);
        begun.elapsed()
    };
    let quickest = (0..5).map(took).skip(1).min().unwrap();
    assert_eq!(handed_over(&wazuh), 5, "{}", wazuh.log());
    assert!(quickest < Duration::from_millis(600), "{quickest:?}");
}

/// A limit for the size of files is an error of the write like any other.
#[test]
fn a_serve_that_may_not_write_lives_on_and_the_hook_goes_its_own_way() {
    let wazuh = Wazuh::new("relay_limited");
    let service = Service::start(&wazuh);
    let pid = service.pid().to_string();
    let mut limit = Command::new("prlimit");
    let limit = limit.args(["--fsize=51200", "--pid", &pid]).status();
    assert!(limit.unwrap().success());
    all_yes(begin(&wazuh, 0..2));
    assert_eq!(handed_over(&wazuh), 0, "{}", wazuh.log());
    until("both are in MongoDB", || stored("relay_limited").len() == 2);
    assert_eq!(service.get("/healthz", &[]).status, 200);
}

#[test]
fn a_serve_that_is_killed_while_many_hand_over_has_lost_and_doubled_nothing() {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = Wazuh::with_uri(&proxy.uri(), "relay_killed");
    let (rounds, calls) = (10, 20);
    for round in 0..rounds {
        proxy.set(if round % 2 == 0 {
            Mode::Pass
        } else {
            Mode::Refuse
        });
        let service = Service::start(&wazuh);
        let running = begin(&wazuh, round * calls..(round + 1) * calls);
        let pause = u64::try_from(round * 20).unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        drop(service);
        all_yes(running);
    }
    proxy.set(Mode::Pass);
    let _service = Service::start(&wazuh);
    let all = rounds * calls;
    until("all are in MongoDB", || stored("relay_killed").len() >= all);
    until("the spool is empty", || wazuh.pending() == 0);
    assert_once(&Kept::of(stored("relay_killed")), all);
    assert!(handed_over(&wazuh) > 0, "{}", wazuh.log());
}

#[test]
fn a_serve_that_is_asked_to_stop_answers_those_that_have_begun() {
    let wazuh = Wazuh::new("relay_stopped");
    for round in 0..5 {
        let service = Service::start(&wazuh);
        let running = begin(&wazuh, round * 20..(round + 1) * 20);
        std::thread::sleep(Duration::from_millis(30 * u64::try_from(round).unwrap()));
        let (status, log) = service.stop();
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("not finished"), "{log}");
        all_yes(running);
    }
    assert!(handed_over(&wazuh) > 0, "{}", wazuh.log());
    let _service = Service::start(&wazuh);
    until("all are in MongoDB", || {
        stored("relay_stopped").len() >= 100
    });
    until("the spool is empty", || wazuh.pending() == 0);
    assert_once(&Kept::of(stored("relay_stopped")), 100);
}

/// Each of them waits at most for its limit, and what they have left at the socket is no second alert.
#[test]
fn fifty_hooks_at_a_frozen_serve_go_their_own_way() {
    let wazuh = Wazuh::new("relay_stopped_fifty");
    wazuh.settings("[delivery]\nrelay_timeout = \"300 ms\"\ndeadline = \"15 s\"\n");
    let service = Service::start(&wazuh);
    service.signal(Signal::SIGSTOP);
    all_yes(begin(&wazuh, 0..50));
    assert_eq!(handed_over(&wazuh), 0, "{}", wazuh.log());
    service.signal(Signal::SIGCONT);
    let database = "relay_stopped_fifty";
    until("serve has taken what was left", || wazuh.pending() == 0);
    until("all are in MongoDB", || stored(database).len() >= 50);
    assert_once(&Kept::of(stored(database)), 50);
}

/// What has no id of its own is known by its content, which is the same on both ways.
#[test]
fn an_alert_without_an_id_that_went_both_ways_is_one() {
    let wazuh = Wazuh::new("relay_both_ways");
    wazuh.settings("[delivery]\nrelay_timeout = \"100 ms\"\ndeadline = \"15 s\"\n");
    let service = Service::start(&wazuh);
    service.signal(Signal::SIGSTOP);
    let file = wazuh.alert_file(br#"{"rule":{"level":3},"full_log":"a"}"#);
    wazuh.invoke(&call::normal(&file, "", "")).assert_yes();
    assert_eq!(stored("relay_both_ways").len(), 1);
    service.signal(Signal::SIGCONT);
    until("serve has taken what was left", || {
        service.metric("custom_mongo_alerts_forwarded_total") > 0.5
    });
    assert_eq!(stored("relay_both_ways").len(), 1);
}

/// The least that the settings allow, and less than `serve` needs.
#[test]
fn the_tightest_limits_lose_nothing_and_are_kept() {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = Wazuh::with_uri(&proxy.uri(), "relay_tight");
    wazuh.settings("[delivery]\ndeadline = \"100 ms\"\nrelay_timeout = \"1 ms\"\n");
    let service = Service::start(&wazuh);
    let quickest = |numbers: Range<usize>| {
        let took = numbers.map(|number| all_yes(begin(&wazuh, number..number + 1)));
        took.min().unwrap()
    };
    quickest(0..10);
    service.signal(Signal::SIGSTOP);
    proxy.set(Mode::Freeze);
    let frozen = quickest(10..20);
    assert!(frozen < Duration::from_millis(500), "{frozen:?}");
    service.signal(Signal::SIGCONT);
    proxy.set(Mode::Pass);
    until("all are in MongoDB", || stored("relay_tight").len() >= 20);
    until("the spool is empty", || wazuh.pending() == 0);
    assert_once(&Kept::of(stored("relay_tight")), 20);
}

/// The worst that the usual settings can meet: a `serve` and a MongoDB that take a call and say nothing.
#[test]
fn with_everything_frozen_a_call_keeps_its_deadline() {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = Wazuh::with_uri(&proxy.uri(), "relay_all_frozen");
    let service = Service::start(&wazuh);
    service.signal(Signal::SIGSTOP);
    proxy.set(Mode::Freeze);
    let first = all_yes(begin(&wazuh, 0..1));
    assert!(first < Duration::from_secs(4), "{first:?}");
    all_yes(begin(&wazuh, 1..20));
    proxy.set(Mode::Pass);
    service.signal(Signal::SIGCONT);
    until("all are in MongoDB", || {
        stored("relay_all_frozen").len() >= 20
    });
    until("the spool is empty", || wazuh.pending() == 0);
    assert_once(&Kept::of(stored("relay_all_frozen")), 20);
}
