//! Waiting for what is not there yet.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::{Log, Start, Tail, read_all};
use crate::alerts_log::tail::Lag;

const LONG: Duration = Duration::from_secs(20);

/// Waits until a piece is there; the time that took.
fn wait_for_a_piece(tail: &mut Tail) -> Duration {
    let started = Instant::now();
    while tail.next().unwrap().is_none() {
        assert!(started.elapsed() < LONG, "nothing came");
        tail.wait(LONG);
    }
    started.elapsed()
}

/// Wazuh writes through the dated name, which is no event of the folder.
fn append_while_it_waits(tail: &mut Tail, log: &mut Log) -> Duration {
    assert!(read_all(tail).is_empty());
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            log.append(1);
        });
        wait_for_a_piece(tail)
    })
}

#[test]
fn an_append_ends_the_wait() {
    let mut log = Log::new();
    log.append(1);
    let mut tail = log.tail(Start::End);
    let took = append_while_it_waits(&mut tail, &mut log);
    // Looking from time to time would take a second.
    assert!(took < Duration::from_millis(800), "{took:?}");
}

#[test]
fn without_inotify_an_append_is_seen_at_the_next_look() {
    let mut log = Log::new();
    log.append(1);
    let mut tail = log.tail(Start::End);
    tail.poll();
    let took = append_while_it_waits(&mut tail, &mut log);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_rotation_ends_the_wait() {
    let mut log = Log::new();
    log.append(1);
    let mut tail = log.tail(Start::End);
    assert!(read_all(&mut tail).is_empty());
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            log.rotate();
            log.append(1);
        });
        assert!(wait_for_a_piece(&mut tail) < Duration::from_secs(8));
    });
}

#[test]
fn a_wait_ends_when_its_limit_is_over_and_not_before() {
    let mut log = Log::new();
    log.append(1);
    log.write(b"{\"begun\":");
    let mut tail = log.tail(Start::Beginning);
    read_all(&mut tail);
    let started = Instant::now();
    tail.wait(Duration::from_millis(300));
    let took = started.elapsed();
    // A part of a line that was read is no news.
    assert!(took >= Duration::from_millis(290), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn what_came_between_the_look_and_the_wait_ends_it_at_once() {
    let mut log = Log::new();
    let mut tail = log.tail(Start::Beginning);
    assert!(read_all(&mut tail).is_empty());
    log.append(1);
    let started = Instant::now();
    tail.wait(LONG);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_missing_file_and_a_missing_folder_are_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs/alerts");
    for (start, what) in [(Start::End, "end"), (Start::Beginning, "beginning")] {
        let live = logs.join("alerts.json");
        let mut tail = Tail::open(&live, start).unwrap();
        assert!(tail.next().unwrap().is_none());
        assert!(tail.lag().is_none());
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                fs::create_dir_all(&logs).unwrap();
                thread::sleep(Duration::from_millis(50));
                fs::write(&live, b"{\"first\":1}\n").unwrap();
            });
            assert!(
                wait_for_a_piece(&mut tail) < Duration::from_secs(5),
                "{what}"
            );
        });
        // It goes away again, and another comes.
        fs::remove_file(&live).unwrap();
        assert!(tail.next().unwrap().is_none());
        fs::remove_dir(&logs).unwrap();
        assert!(tail.next().unwrap().is_none());
        fs::create_dir_all(&logs).unwrap();
        fs::write(&live, b"{\"second\":1}\n").unwrap();
        assert_eq!(read_all(&mut tail), ["{\"second\":1}"], "{what}");
        fs::remove_dir_all(&logs).unwrap();
    }
}

#[test]
fn the_lag_is_what_was_not_given_out() {
    let (mut log, mut tail) = Log::followed(2);
    let size = log.writer.metadata().unwrap().len();
    assert_eq!(tail.lag().unwrap().bytes, size);
    tail.next().unwrap();
    assert_eq!(tail.lag().unwrap().bytes, size / 2);
    log.rotate();
    log.append(1);
    let lag = tail.lag().unwrap();
    assert_eq!((lag.bytes, lag.older_files), (size, true));
    read_all(&mut tail);
    let lag = tail.lag().unwrap();
    let none = Lag {
        bytes: 0,
        older_files: false,
    };
    assert_eq!(lag, none);
}
