//! Processes side by side: two that put while a third drains, and one that is stopped in the middle.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::crash::{child, state};
use super::{drain_all, entry, place, spool};
use crate::spool::segment::{Lock, Segment};

const MAX_SIZE: u64 = 64 << 20;
const EACH: usize = 1000;

struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
#[ignore = "a part of a test below, run by it in a process of its own"]
fn putter() {
    let Some(state) = state() else { return };
    let spool = spool(&state, MAX_SIZE);
    for number in 0..EACH {
        let raw = format!("{} {number} {}", std::process::id(), "x".repeat(1300));
        spool.put(&entry(raw.as_bytes())).unwrap();
    }
}

#[test]
fn two_put_while_a_third_drains_and_each_record_comes_once() {
    let place = place(MAX_SIZE);
    let start = || {
        Reaped(
            child("spool::tests::processes::putter", place.state.path())
                .spawn()
                .unwrap(),
        )
    };
    let mut putters = [start(), start()];
    let mut found = Vec::new();
    loop {
        let done = putters
            .iter_mut()
            .all(|putter| putter.0.try_wait().unwrap().is_some());
        found.extend(drain_all(&place.spool));
        if done {
            break;
        }
    }
    for putter in &mut putters {
        assert!(putter.0.wait().unwrap().success());
    }
    assert_eq!(found.len(), 2 * EACH);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 2 * EACH);
    assert!(place.spool.dead().unwrap().is_empty());
    assert!(!place.spool.has_pending());
}

#[test]
#[ignore = "a part of a test below, run by it in a process of its own"]
fn holder() {
    let Some(state) = state() else { return };
    let spool = spool(&state, MAX_SIZE);
    // The parent may have copies of its locks in a process that it is starting just now.
    let held = (0..1000).find_map(|_| match Segment::lock(spool.folder(), 1).unwrap() {
        Lock::Held(segment) => Some(segment),
        Lock::Busy | Lock::Gone => {
            sleep(Duration::from_millis(1));
            None
        }
    });
    assert!(held.is_some());
    fs::write(state.join("held"), "").unwrap();
    sleep(Duration::from_secs(60));
}

fn await_file(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(
            started.elapsed().as_secs() < 30,
            "{} does not come",
            path.display()
        );
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_stopped_holder_of_the_lock_delays_nobody() {
    let place = place(MAX_SIZE);
    place.spool.put(&entry(b"first")).unwrap();
    let mut holder = Reaped(
        child("spool::tests::processes::holder", place.state.path())
            .spawn()
            .unwrap(),
    );
    await_file(&place.state.path().join("held"));
    let pid = Pid::from_raw(i32::try_from(holder.0.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let started = Instant::now();
    let id = place.spool.put(&entry(b"second")).unwrap();
    let first = started.elapsed();
    assert_ne!(id.segment, 1);
    let mut waits: Vec<Duration> = (0..50)
        .map(|_| timed(|| assert_ne!(place.spool.put(&entry(b"more")).unwrap().segment, 1)))
        .collect();
    waits.sort();
    assert!(
        first < Duration::from_millis(250) && waits[25] < Duration::from_millis(10),
        "{first:?}, then {:?}",
        waits[25]
    );
    let found = drain_all(&place.spool);
    assert_eq!(found.len(), 52);
    kill(pid, Signal::SIGCONT).unwrap();
    holder.0.kill().unwrap();
    assert_eq!(holder.0.wait().unwrap().signal(), Some(9));
    assert!(drain_all(&place.spool).is_empty());
}

fn timed(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}
