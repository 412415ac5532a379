//! `POST /wazuh-alert` in trouble: MongoDB away or frozen, the disk full, bodies without an end.

use std::thread;
use std::time::{Duration, Instant};

use mongodb::bson::doc;

use crate::http;
use crate::json::Json;
use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::{Wazuh, alerts, numbered, stored, stored_on};
use crate::webhook::{PATH, gzip, patient, post, until};

#[test]
fn while_mongodb_is_away_alerts_go_to_disk_and_then_into_mongodb_once() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "hook_away");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    server.stop();
    let begun = Instant::now();
    for number in 1..20 {
        let answer = post(&service, numbered(number).to_string());
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json()["status"], "success");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    let lines = format!("{}\n{}\n", numbered(20), numbered(21));
    let answer = post(&service, &lines);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["items"][1]["status"], "spooled");
    server.start();
    until("the spool is empty", || wazuh.pending() == 0);
    assert_eq!(stored_on(&server, "hook_away").len(), 22);
    until("alerts go straight to MongoDB again", || {
        post(&service, numbered(22).to_string()).status == 200
    });
}

#[test]
fn a_frozen_mongodb_holds_a_sender_no_longer_than_the_deadline() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "hook_frozen");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    server.freeze();
    for number in 1..4 {
        let begun = Instant::now();
        let answer = post(&service, numbered(number).to_string());
        assert_eq!(answer.status, 202, "{answer:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "{:?}",
            begun.elapsed()
        );
    }
    server.thaw();
    until("the spool is empty", || wazuh.pending() == 0);
    assert_eq!(stored_on(&server, "hook_frozen").len(), 4);
}

#[test]
fn neither_mongodb_nor_disk_is_a_no_that_asks_to_come_again() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "hook_nowhere");
    wazuh.settings("[spool]\nmax_size = \"1 KiB\"\n");
    let service = Service::start(&wazuh);
    for body in [numbered(0).to_string(), format!("[{}]", numbered(1))] {
        let answer = post(&service, &body);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert!(
            !answer.text().contains("127.0.0.1") && !answer.text().contains('/'),
            "{answer:?}"
        );
    }
}

#[test]
fn bombs_and_floods_leave_memory_as_it_was_and_others_are_served() {
    let wazuh = patient("hook_bombs");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    let zeros = gzip(&vec![b' '; 16 << 20]);
    let bomb = zeros.repeat(64);
    let mut packed = http::connect(service.address);
    let head = format!(
        "POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n",
        bomb.len()
    );
    // It is refused long before it has been sent.
    packed.send(&[head.as_bytes(), &bomb].concat()).ok();
    assert_eq!(packed.answer("POST").unwrap().status, 413);
    let mut endless = http::connect(service.address);
    endless
        .send(
            b"POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n",
        )
        .unwrap();
    assert_eq!(endless.answer("POST").unwrap().status, 413);
    let mut chunked = http::connect(service.address);
    chunked
        .send(
            b"POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .unwrap();
    let piece = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    while chunked.send(&piece).is_ok() {}
    assert_eq!(post(&service, numbered(1).to_string()).status, 200);
    // 10 MB for one body in two shapes, and a debug build's own size.
    assert!(service.peak() < 80 << 20, "{} bytes", service.peak());
    assert_eq!(stored("hook_bombs").len(), 2);
}

/// MongoDB does not answer, and forty senders come with large alerts: some are told to come again,
/// and none who was told yes is lost.
#[test]
fn memory_is_bounded_while_much_waits() {
    let server = Mongod::standalone();
    let wazuh = Wazuh::with_uri(&server.uri(), "hook_flood");
    wazuh.settings("[serve]\nqueue_size = \"8 MiB\"\n[delivery]\ndeadline = \"5 s\"\n");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 200);
    server.freeze();
    let large = "x".repeat(1 << 20);
    let address = service.address;
    let statuses: Vec<u16> = thread::scope(|scope| {
        let senders: Vec<_> = (1..41)
            .map(|number| {
                let alert = numbered(number).with("full_log", Json::Text(large.clone()));
                scope.spawn(move || {
                    let body = alert.to_string();
                    http::post(address, PATH, &[], body.as_bytes()).status
                })
            })
            .collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect()
    });
    server.thaw();
    let yes = statuses
        .iter()
        .filter(|status| matches!(status, 200 | 202))
        .count();
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, 200 | 202 | 503)),
        "{statuses:?}"
    );
    assert!((1..40).contains(&yes), "{statuses:?}");
    assert!(service.peak() < 100 << 20, "{} bytes", service.peak());
    until("the spool is empty", || wazuh.pending() == 0);
    assert!(stored_on(&server, "hook_flood").len() > yes);
}

#[test]
fn a_stop_finishes_what_was_taken() {
    let wazuh = Wazuh::new("hook_stop");
    let service = Service::start(&wazuh);
    let address = service.address;
    let sender = thread::spawn(move || {
        let (mut yes, mut connection) = (0, http::connect(address));
        for number in 0..5000 {
            let body = numbered(number).to_string();
            match connection.ask("POST", PATH, &[], body.as_bytes()) {
                Ok(answer) if matches!(answer.status, 200 | 202) => yes += 1,
                other => return (yes, format!("{other:?}")),
            }
        }
        (yes, String::new())
    });
    until("something is stored", || {
        alerts(mongod::shared(), "hook_stop")
            .count_documents(doc! {})
            .run()
            .unwrap()
            > 20
    });
    service.stop();
    let (yes, last) = sender.join().unwrap();
    assert!(yes > 20, "{yes}, {last}");
    let kept = stored("hook_stop").len() + usize::try_from(wazuh.pending()).unwrap();
    assert!(kept >= yes, "{kept} of {yes}");
}
