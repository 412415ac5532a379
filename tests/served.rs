//! The promise under fire: many senders, while `MongoDB` and `serve` are killed and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::http::Connection;
use crate::mongod::{Mongod, free_port};
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered, stored_on, text};
use crate::webhook::until;

const CONNECTIONS: usize = 32;
/// Set this to 50000 for the whole length.
const COUNT: &str = "CUSTOM_MONGO_TEST_POSTED";

/// Posts numbers as long as there are any; those with a yes are returned.
fn send(
    address: SocketAddr,
    next: &AtomicUsize,
    count: usize,
    yes: &AtomicUsize,
) -> BTreeSet<usize> {
    let mut acknowledged = BTreeSet::new();
    let mut connection = None;
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= count {
            return acknowledged;
        }
        let alert = numbered(number).to_string();
        while !is_taken(&mut connection, address, alert.as_bytes()) {
            thread::sleep(Duration::from_millis(20));
        }
        acknowledged.insert(number);
        yes.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether there was a yes: over the connection that is kept, or over a new one.
fn is_taken(kept: &mut Option<Connection<TcpStream>>, address: SocketAddr, alert: &[u8]) -> bool {
    let open = kept.take();
    let Some(mut open) = open.or_else(|| TcpStream::connect(address).ok().map(Connection::over))
    else {
        return false;
    };
    let Ok(answer) = open.ask("POST", "/wazuh-alert", &[], alert) else {
        return false;
    };
    assert!(matches!(answer.status, 200 | 202 | 503), "{answer:?}");
    *kept = Some(open);
    answer.status != 503
}

#[test]
fn every_acknowledged_alert_is_there_once_whatever_is_killed() {
    let count = std::env::var(COUNT)
        .ok()
        .and_then(|count| count.parse().ok());
    let count: usize = count.unwrap_or(6000);
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "under_fire");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listen = address.to_string();
    let (next, yes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let acknowledged: Vec<BTreeSet<usize>> = thread::scope(|scope| {
        let work = || send(address, &next, count, &yes);
        let senders: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        let reached = |share: usize| {
            until("the senders get on", || {
                yes.load(Ordering::SeqCst) >= count * share / 10
            });
        };
        let mut service = Service::start_on(&wazuh, &listen);
        reached(2);
        server.stop();
        reached(3);
        server.start();
        reached(4);
        drop(service);
        service = Service::start_on(&wazuh, &listen);
        reached(5);
        // Both at once: what lies in the spool is all that there is.
        server.stop();
        reached(6);
        drop(service);
        service = Service::start_on(&wazuh, &listen);
        reached(7);
        server.start();
        let all = senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect();
        until("the spool is empty", || wazuh.pending() == 0);
        service.stop();
        all
    });
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
