//! The promise under fire: many senders, while `MongoDB` and `serve` are killed and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::mongod::{Mongod, free_port};
use crate::serving::{Connection, Serving};
use crate::wazuh::{Wazuh, numbered, stored_on, text};
use crate::webhook::until;

const CONNECTIONS: usize = 32;
/// Set this to 50000 for the whole length.
const COUNT: &str = "CUSTOM_MONGO_TEST_POSTED";

/// Posts numbers as long as there are any; those with a yes are returned. One without is sent again.
fn send(port: u16, next: &AtomicUsize, count: usize, yes: &AtomicUsize) -> BTreeSet<usize> {
    let mut acknowledged = BTreeSet::new();
    let mut connection = None;
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= count {
            return acknowledged;
        }
        let alert = numbered(number).to_string();
        loop {
            let open = connection.take().or_else(|| Connection::to(port).ok());
            let Some(mut open) = open else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            match open.post(&[], alert.as_bytes()) {
                Ok(answer) => {
                    connection = Some(open);
                    if matches!(answer.status, 200 | 202) {
                        break;
                    }
                    assert_eq!(answer.status, 503, "{answer:?}");
                    thread::sleep(Duration::from_millis(50));
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
        acknowledged.insert(number);
        yes.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn every_acknowledged_alert_is_there_once_whatever_is_killed() {
    let count = std::env::var(COUNT)
        .ok()
        .and_then(|count| count.parse().ok());
    let count: usize = count.unwrap_or(6000);
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "under_fire");
    let port = free_port();
    let (next, yes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    let acknowledged: Vec<BTreeSet<usize>> = thread::scope(|scope| {
        let work = || send(port, &next, count, &yes);
        let senders: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        let reached = |share: usize| {
            until("the senders get on", || {
                yes.load(Ordering::SeqCst) >= count * share / 10
            });
        };
        let mut serving = Serving::start_on(&wazuh, port);
        reached(2);
        server.stop();
        reached(3);
        server.start();
        reached(4);
        serving.kill();
        serving = Serving::start_on(&wazuh, port);
        reached(5);
        // Both at once: what lies in the spool is all that there is.
        server.stop();
        reached(6);
        serving.kill();
        serving = Serving::start_on(&wazuh, port);
        reached(7);
        server.start();
        let all = senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect();
        until("the spool is empty", || wazuh.pending() == 0);
        serving.stop();
        over.store(true, Ordering::SeqCst);
        all
    });
    assert!(over.load(Ordering::SeqCst));
    let told: BTreeSet<usize> = acknowledged.into_iter().flatten().collect();
    assert_eq!(told.len(), count);
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    for document in stored_on(&server, "under_fire") {
        let (_, number) = text(&document, "id").rsplit_once('.').unwrap();
        *found.entry(number.parse().unwrap()).or_default() += 1;
    }
    assert!(found.values().all(|times| *times == 1), "{found:?}");
    let lost: Vec<_> = told
        .iter()
        .filter(|number| !found.contains_key(number))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}
