//! While MongoDB is away the file is the queue: nothing is read ahead, nothing is lost.

use std::fs;
use std::time::{Duration, Instant};

use mongodb::bson::doc;

use super::{count, dead, wait_for};
use crate::analysisd::{Log, line};
use crate::background::{Background, eventually, eventually_equal, size_of};
use crate::mongod::Mongod;
use crate::outages::{Kept, assert_once, behind_proxy};
use crate::proxy::Mode;
use crate::wazuh::{Wazuh, alerts, stored, stored_on};

const MIB: u64 = 1 << 20;

#[test]
fn neither_memory_nor_disk_grows_with_what_waits_in_the_file() {
    let (proxy, wazuh) = behind_proxy("follow_away", "");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    let mut next = 0;
    let mut append = |bytes: u64| {
        let end = size(&log) + bytes;
        while size(&log) < end {
            log.line(large(next));
            next += 1;
        }
        u64::try_from(next).unwrap()
    };
    // Once with all buffers in use.
    wait_for(append(15 * MIB), "follow_away");
    proxy.set(Mode::Refuse);
    append(20 * MIB);
    follow.wait_for("waiting for MongoDB, nothing is lost");
    let state = size_of(&wazuh.state());
    std::thread::sleep(Duration::from_millis(500));
    let resident = follow.resident();
    let all = append(50 * MIB);
    std::thread::sleep(Duration::from_millis(1500));
    let (grown, state_now) = (
        follow.resident().saturating_sub(resident),
        size_of(&wazuh.state()),
    );
    assert!(grown < 2 * MIB, "{grown} bytes on top of {resident}");
    assert!(
        state_now < state + 1024,
        "{state_now} bytes instead of {state}"
    );
    assert_eq!(follow.stderr().matches("waiting for MongoDB").count(), 1);
    proxy.set(Mode::Pass);
    wait_for(all, "follow_away");
    let resident_now = follow.resident();
    let bound = resident + 32 * MIB;
    assert!(
        resident_now < bound,
        "{resident_now} bytes, {resident} before"
    );
    let end = follow.stop();
    assert_eq!(end.status, 0);
    assert!(end.stderr.contains("MongoDB is back"), "{end:?}");
    assert_eq!(dead(&wazuh).len(), 0);
}

#[test]
fn a_server_that_is_away_at_the_start_is_waited_for() {
    let (proxy, wazuh) = behind_proxy("follow_later", "");
    proxy.set(Mode::Refuse);
    let mut log = Log::new(&wazuh);
    log.alerts(0..10);
    let mut follow = Background::follow(&wazuh, &["--from-start"]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(follow.is_running() && proxy.connections() > 0);
    assert_eq!(count("follow_later"), 0);
    proxy.set(Mode::Pass);
    wait_for(10, "follow_later");
    assert_eq!(follow.stop().status, 0);
}

#[test]
fn a_frozen_server_gets_each_alert_once_when_it_thaws() {
    let server = Mongod::standalone();
    let wazuh = Wazuh::with_uri(&server.uri(), "follow_frozen");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    log.alerts(0..100);
    let frozen = || {
        alerts(&server, "follow_frozen")
            .count_documents(doc! {})
            .run()
    };
    eventually_equal(100, || frozen().unwrap());
    server.freeze();
    log.alerts(100..3500);
    std::thread::sleep(Duration::from_secs(2));
    server.thaw();
    eventually_equal(3500, || frozen().unwrap());
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored_on(&server, "follow_frozen")), 3500);
}

#[test]
fn replies_that_are_cut_double_nothing() {
    let (proxy, wazuh) = behind_proxy("follow_cut_replies", "");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    log.alerts(0..1);
    wait_for(1, "follow_cut_replies");
    let mut next = 1;
    for bytes in [0, 300, 600, 900, 2000] {
        // Closes what is open: from now on each connection is cut behind so many bytes.
        proxy.set(Mode::Refuse);
        log.alerts(next..next + 10);
        std::thread::sleep(Duration::from_millis(50));
        proxy.set(Mode::CutReply(bytes));
        log.alerts(next + 10..next + 100);
        next += 100;
        std::thread::sleep(Duration::from_millis(400));
    }
    proxy.set(Mode::Pass);
    wait_for(u64::try_from(next).unwrap(), "follow_cut_replies");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_cut_replies")), next);
}

#[test]
fn sigterm_ends_it_soon_and_loses_nothing() {
    let wazuh = Wazuh::new("follow_term");
    let mut log = Log::new(&wazuh);
    let mut written = 0;
    let mut unfinished = 0;
    Background::follow(&wazuh, &[]).stop();
    for _ in 0..3 {
        log.alerts(written..written + 2000);
        written += 2000;
        let follow = Background::follow(&wazuh, &[]);
        std::thread::sleep(Duration::from_millis(30));
        let end = follow.stop();
        assert_eq!(end.status, 0, "{end:?}");
        assert!(end.took < Duration::from_secs(10), "{end:?}");
        unfinished += u32::from(count("follow_term") < u64::try_from(written).unwrap());
    }
    assert!(unfinished > 0, "not one was stopped before its end");
    let follow = Background::follow(&wazuh, &[]);
    wait_for(u64::try_from(written).unwrap(), "follow_term");
    assert_eq!(follow.stop().status, 0);
    assert_once(&Kept::of(stored("follow_term")), written);
}

#[test]
fn sigterm_ends_it_also_while_mongodb_is_away() {
    for (database, mode) in [
        ("follow_term_refused", Mode::Refuse),
        ("follow_term_frozen", Mode::Freeze),
    ] {
        let (proxy, wazuh) = behind_proxy(database, "");
        let mut log = Log::new(&wazuh);
        let follow = Background::follow(&wazuh, &[]);
        log.alerts(0..1);
        wait_for(1, database);
        proxy.set(mode);
        log.alerts(1..2500);
        eventually(|| match follow.stderr() {
            said if said.contains("waiting for MongoDB") => Ok(()),
            _ if matches!(mode, Mode::Freeze) => Ok(()),
            said => Err(said),
        });
        std::thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        let end = follow.stop();
        assert_eq!(end.status, 0, "{end:?}");
        assert!(begun.elapsed() < Duration::from_secs(12), "{end:?}");
        proxy.set(Mode::Pass);
        let follow = Background::follow(&wazuh, &[]);
        wait_for(2500, database);
        assert_eq!(follow.stop().status, 0);
        assert_once(&Kept::of(stored(database)), 2500);
    }
}

#[test]
fn an_alert_is_found_soon_after_its_line() {
    let wazuh = Wazuh::new("follow_soon");
    let mut log = Log::new(&wazuh);
    let follow = Background::follow(&wazuh, &[]);
    log.line(line(0));
    wait_for(1, "follow_soon");
    let mut took = Vec::new();
    for number in 1..=20 {
        let begun = Instant::now();
        log.line(line(number));
        wait_for(u64::try_from(number + 1).unwrap(), "follow_soon");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    // A look from time to time would take a quarter of a second at least. The quickest ones count,
    // since the machine may be busy.
    assert!(took[4] < Duration::from_millis(200), "{took:?}");
    assert_eq!(follow.stop().status, 0);
}

/// An alert of eight KiB.
fn large(number: usize) -> String {
    let text = format!(r#""full_log":"{}"#, "0123456789abcdef".repeat(512));
    line(number).replacen(r#""full_log":""#, &text, 1)
}

fn size(log: &Log) -> u64 {
    fs::metadata(log.live()).unwrap().len()
}
