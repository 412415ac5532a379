//! kill -9 at any moment: at most the alert in flight is absent, and no record is ever damaged.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::call::{self, normal};
use crate::json::Json;
use crate::lossless::assert_kept;
use crate::mongod;
use crate::proxy::{Mode, Proxy};
use crate::wazuh::{Wazuh, numbered, stored};

const ROUNDS: usize = 100;

#[test]
fn killed_while_mongodb_is_up() {
    let wazuh = Wazuh::new("killed_up");
    wazuh.call(numbered(ROUNDS).to_string()).assert_yes();
    let said_yes = killed_calls(&wazuh);
    assert_all_there(&wazuh, "killed_up", &said_yes);
}

#[test]
fn killed_while_mongodb_is_down() {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = Wazuh::with_uri(&proxy.uri(), "killed_down");
    proxy.set(Mode::Refuse);
    // The call that opens the breaker; from now on calls only spool.
    wazuh.settings("[delivery]\nprobe_every = \"10 min\"\n");
    wazuh.call(numbered(ROUNDS).to_string()).assert_yes();
    let said_yes = killed_calls(&wazuh);
    assert!(wazuh.pending() >= u64::try_from(said_yes.len()).unwrap());
    proxy.set(Mode::Pass);
    assert_all_there(&wazuh, "killed_down", &said_yes);
}

#[test]
fn killed_while_draining() {
    let wazuh = Wazuh::new("killed_drain");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    let batch = |from: usize| {
        for number in from..from + 10 {
            wazuh.call(numbered(number).to_string()).assert_yes();
        }
    };
    batch(0);
    wazuh.drain();
    // The first one has made the indexes; this is what the others take.
    batch(10);
    let begun = Instant::now();
    wazuh.drain();
    let longest = begun.elapsed() * 3 / 2;
    let mut unfinished = 0;
    for round in 2..22 {
        batch(round * 10);
        let mut drain = call::start(wazuh.command(&["spool", "drain"]));
        thread::sleep(random(longest));
        drain.child.kill().unwrap();
        drain.outcome();
        unfinished += u32::from(wazuh.pending() > 0);
    }
    assert!(unfinished > 0, "not one drain was killed before its end");
    assert_all_there(&wazuh, "killed_drain", &(0..220).collect::<Vec<_>>());
}

#[test]
fn a_call_that_is_stopped_holds_up_no_other() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "stopped_call");
    wazuh.settings("[delivery]\nprobe_every = \"10 min\"\n");
    wazuh.call(numbered(0).to_string()).assert_yes();
    for number in 0..30 {
        let file = wazuh.alert_file(numbered(1000 + number).to_string().as_bytes());
        let running = call::start(call::integration(&wazuh.home, &normal(&file, "", "")));
        let pid = Pid::from_raw(i32::try_from(running.child.id()).unwrap());
        thread::sleep(random(Duration::from_millis(8)));
        kill(pid, Signal::SIGSTOP).unwrap();
        let other = wazuh.call(numbered(2000 + number).to_string());
        kill(pid, Signal::SIGCONT).unwrap();
        other.assert_yes();
        assert!(other.took < Duration::from_secs(8), "{:?}", other.took);
        running.outcome().assert_yes();
    }
    assert_eq!(wazuh.pending(), 61);
}

#[test]
fn a_record_that_is_torn_on_disk_harms_no_other() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "torn");
    for number in 0..3 {
        wazuh.call(numbered(number).to_string()).assert_yes();
    }
    // What a power cut leaves behind the last record: half of another.
    let journal = journals(&wazuh).remove(0);
    let bytes = fs::read(&journal).unwrap();
    let alert = numbered(2).to_string();
    let last = find(&bytes, alert.as_bytes());
    fs::write(
        &journal,
        [&bytes[..last + alert.len() / 2], &vec![0; bytes.len() / 2]].concat(),
    )
    .unwrap();
    assert_eq!(wazuh.pending(), 2);
    wazuh.call(numbered(3).to_string()).assert_yes();
    assert_eq!(wazuh.pending(), 3);
}

#[test]
fn the_journal_is_on_disk_before_the_call_says_yes() {
    let found = Command::new("strace").arg("-V").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test needs strace (Debian: apt-get install strace; .ci/run does it)"
    );
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "traced");
    // The second time, the journal is there already.
    for (number, trace) in ["first.strace", "second.strace"].iter().enumerate() {
        let trace = wazuh.home.join("tmp").join(trace);
        let file = wazuh.alert_file(numbered(number).to_string().as_bytes());
        let mut command = Command::new("strace");
        command
            .args(["-f", "-y", "-e", "trace=fsync,fdatasync,exit_group", "-o"])
            .arg(&trace);
        command
            .arg(wazuh.home.join("integrations/custom-mongo"))
            .args(normal(&file, "", ""));
        let output = command.current_dir(&wazuh.home).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let calls = fs::read_to_string(trace).unwrap();
        let before_exit = calls.split("exit_group(0)").next().unwrap_or_default();
        let synced = before_exit.lines().any(|line| {
            // The first journal is written under another name than it gets.
            let record = line.contains("/spool/") && (number == 0 || line.contains(".journal>"));
            line.contains("fdatasync(") && record && line.ends_with("= 0")
        });
        assert!(
            synced,
            "no fdatasync of the record before the exit:\n{calls}"
        );
    }
}

/// Calls that are killed at random moments; gives the numbers of those that said yes before.
fn killed_calls(wazuh: &Wazuh) -> Vec<usize> {
    let begun = Instant::now();
    wazuh.call(numbered(ROUNDS).to_string()).assert_yes();
    let longest = begun.elapsed() * 3 / 2;
    let mut said_yes = vec![ROUNDS];
    for number in 0..ROUNDS {
        let file = wazuh.alert_file(numbered(number).to_string().as_bytes());
        let command = call::integration(&wazuh.home, &normal(&file, "", ""));
        let mut running = call::start(command);
        thread::sleep(random(longest));
        running.child.kill().unwrap();
        let outcome = running.outcome();
        match outcome.status {
            0 => said_yes.push(number),
            -9 => assert_eq!(outcome.output, "", "killed, and yet it said something"),
            _ => panic!("{outcome:?}"),
        }
    }
    said_yes
}

/// After a drain, what said yes is there once, and nothing is there that was not sent.
fn assert_all_there(wazuh: &Wazuh, database: &str, said_yes: &[usize]) {
    wazuh.drain();
    let dead = wazuh.json("spool dead list");
    assert_eq!(
        dead.as_array().unwrap().len(),
        0,
        "a record was damaged: {dead}"
    );
    let mut count = BTreeMap::new();
    for document in stored(database) {
        let number = document
            .get_str("id")
            .unwrap()
            .rsplit('.')
            .next()
            .unwrap()
            .to_owned();
        let number: usize = number.parse().unwrap();
        assert_kept(&numbered(number), &document);
        *count.entry(number).or_insert(0) += 1;
    }
    assert!(count.values().all(|times| *times == 1), "{count:?}");
    for number in said_yes {
        assert!(
            count.contains_key(number),
            "{number} said yes and is not there"
        );
    }
    let more = Json::Text("the spool still works".into());
    wazuh
        .call(numbered(9999).with("data", more).to_string())
        .assert_yes();
}

fn journals(wazuh: &Wazuh) -> Vec<std::path::PathBuf> {
    let spool = wazuh.state().join("spool");
    let destinations = fs::read_dir(spool)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = destinations.flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let paths = files.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "journal"))
        .collect()
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .expect("the alert, as it came")
}

/// A random span up to `longest`.
fn random(longest: Duration) -> Duration {
    let random = RandomState::new().hash_one(Instant::now());
    Duration::from_micros(random % u64::try_from(longest.as_micros()).unwrap().max(1))
}
