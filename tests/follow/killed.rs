//! kill -9 of `follow` and of mongod, rotations under both: each alert is one document.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};

use super::dead;
use crate::analysisd::{Log, compress};
use crate::background::Background;
use crate::mongod::Mongod;
use crate::wazuh::{Wazuh, alerts};

/// More of them with `CUSTOM_MONGO_TEST_ALERTS`.
const ALERTS: usize = 20_000;
const KILLS: usize = 20;

/// What the writer is told to do between two parts of the log.
enum Order {
    Rotate,
    Midnight,
    /// After midnight, with the day before compressed.
    Compress,
}

#[test]
fn killed_twenty_times_while_mongod_dies_and_the_log_rotates() {
    let wanted = std::env::var("CUSTOM_MONGO_TEST_ALERTS").ok();
    let wanted = wanted.map_or(ALERTS, |count| count.parse().expect("a count of alerts"));
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "follow_killed");
    let log = Log::begun_days_ago(&wazuh, 2);
    // The first start creates the checkpoint: what is written from now on counts.
    Background::follow(&wazuh, &[]).stop();
    let (orders, todo) = channel();
    let (done, acknowledged) = channel();
    let writer = thread::spawn(move || write_all(log, wanted, &todo, &done));
    let order = |order: Order| {
        orders.send(order).expect("the writer lives");
        acknowledged.recv().expect("the writer lives");
    };
    for kill in 1..=KILLS {
        let follow = Background::start(&wazuh, &["follow", "-v"]);
        thread::sleep(Duration::from_millis(100) + random(Duration::from_millis(250)));
        match kill {
            3 => order(Order::Midnight),
            5 | 10 | 15 => {
                server.stop();
                thread::sleep(random(Duration::from_millis(200)));
            }
            18 => order(Order::Rotate),
            _ => {}
        }
        follow.kill();
        match kill {
            5 | 10 | 15 => server.start(),
            7 => order(Order::Compress),
            12 => {
                order(Order::Rotate);
                order(Order::Rotate);
            }
            _ => {}
        }
    }
    drop(orders);
    let written = writer.join().expect("the writer ends");
    assert_eq!(written, wanted);
    let follow = Background::follow(&wazuh, &[]);
    wait_for_all(&server, wanted, &follow);
    let end = follow.stop();
    assert_eq!(end.status, 0, "{end:?}");
    assert!(!end.stderr.contains("is missing"), "{}", end.stderr);
    assert_each_once(&server, wanted);
    assert_eq!(dead(&wazuh), Vec::<serde_json::Value>::new());
}

/// Writes on until nobody gives orders any more, then what is left of the alerts.
fn write_all(mut log: Log, wanted: usize, todo: &Receiver<Order>, done: &Sender<()>) -> usize {
    let part = (wanted / 250).max(1);
    let mut written = 0;
    loop {
        match todo.recv_timeout(Duration::from_millis(20)) {
            Ok(order) => {
                obey(&mut log, &order);
                done.send(()).expect("the test lives");
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(_) => break,
        }
        let next = (written + part).min(wanted);
        log.alerts(written..next);
        written = next;
    }
    log.alerts(written..wanted);
    wanted
}

fn obey(log: &mut Log, order: &Order) {
    match order {
        Order::Rotate => log.rotate(),
        Order::Midnight => log.midnight(),
        Order::Compress => {
            let before = log.dated();
            log.midnight();
            compress(&before);
        }
    }
}

#[track_caller]
/// As long as more and more arrive.
fn wait_for_all(server: &Mongod, wanted: usize, follow: &Background) {
    let wanted = u64::try_from(wanted).unwrap();
    let alerts = alerts(server, "follow_killed");
    let (mut known, mut since) = (0, Instant::now());
    loop {
        let count = alerts.count_documents(doc! {}).run().expect("a count");
        if count >= wanted {
            return;
        }
        if count > known {
            (known, since) = (count, Instant::now());
        }
        let said = || follow.stderr();
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "no more than {count} of {wanted}: {}",
            said()
        );
        thread::sleep(Duration::from_millis(200));
    }
}

#[track_caller]
fn assert_each_once(server: &Mongod, wanted: usize) {
    let alerts = alerts(server, "follow_killed").clone_with_type::<Document>();
    let found = alerts.find(doc! {}).projection(doc! { "id": 1, "_id": 0 });
    let numbers: Vec<usize> = found
        .run()
        .expect("a cursor")
        .map(|document| {
            let document = document.expect("a document");
            let id = document.get_str("id").expect("an id");
            let number = id.strip_prefix("1748872000.").expect("one of ours");
            number.parse().expect("a number")
        })
        .collect();
    assert_eq!(numbers.len(), wanted);
    let once: BTreeSet<usize> = numbers.into_iter().collect();
    assert!(once.into_iter().eq(0..wanted));
}

/// A random span up to `longest`.
fn random(longest: Duration) -> Duration {
    let random = RandomState::new().hash_one(Instant::now());
    Duration::from_micros(random % u64::try_from(longest.as_micros()).unwrap().max(1))
}
