//! Alerts as they are stored: none missed, none twice, whatever breaks in between.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::api_data::{Dice, Known, insert, now, service, wait_for_indexes};
use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::Wazuh;

/// A client of server-sent events.
struct Events {
    lines: BufReader<TcpStream>,
    /// As a browser keeps it.
    last: String,
}

impl Events {
    /// Connects; `last` is what the browser sends when it comes back.
    fn open(service: &Service, path: &str, last: &str) -> Self {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(40)))
            .unwrap();
        // HTTP/1.0 has no chunks.
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nhost: localhost\r\nlast-event-id: {last}\r\n\r\n"
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(
            head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"),
            "{head}"
        );
        assert!(head.contains("text/event-stream"), "{head}");
        let mut events = Self {
            lines,
            last: last.to_owned(),
        };
        // The first block has the position and no data.
        events.block().unwrap();
        events
    }

    /// A block: its name and its data. None at the end of the stream.
    fn block(&mut self) -> Option<(String, String)> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                None if line == "\n" => return Some((name, data)),
                Some(("id", id)) => id.clone_into(&mut self.last),
                Some(("event", event)) => event.clone_into(&mut name),
                Some(("data", text)) => text.clone_into(&mut data),
                _ => {}
            }
        }
    }

    /// The next alert.
    #[track_caller]
    fn next(&mut self) -> Value {
        loop {
            let (name, data) = self.block().expect("the stream goes on");
            assert_eq!(name, "", "{data}");
            if !data.is_empty() {
                return serde_json::from_str(&data).unwrap();
            }
        }
    }

    #[track_caller]
    fn ids(&mut self, count: usize) -> Vec<String> {
        (0..count)
            .map(|_| self.next()["_id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Alerts whose ids say in which order they were stored.
fn alerts(from: usize, count: usize) -> Vec<Known> {
    let mut dice = Dice::new();
    let now = now();
    let make = |number: usize| {
        let mut known = Known::made(number, now, &mut dice);
        known.id = format!("{number:08}");
        known.agent = format!("{:03}", 1 + number % 2);
        known
    };
    (from..from + count).map(make).collect()
}

fn ids(all: &[Known]) -> Vec<String> {
    all.iter().map(|known| known.id.clone()).collect()
}

/// What holds of both kinds of server.
fn tells_of_each_alert_once(server: &Mongod, database: &str) {
    let wazuh = Wazuh::with_uri(&server.uri(), database);
    let service = Service::start(&wazuh);
    let database = server.database(database);
    wait_for_indexes(&database);
    insert(&database, &alerts(0, 5));
    let mut all = Events::open(&service, "/api/alerts/stream", "");
    let mut some = Events::open(
        &service,
        "/api/alerts/stream?agent_id=002&fields=agent_id",
        "",
    );
    let begin = all.last.clone();
    assert!(!begin.is_empty(), "a position before the first alert");
    let first = alerts(10, 20);
    insert(&database, &first);
    assert_eq!(
        all.ids(20),
        ids(&first),
        "what was there before is not told"
    );
    for _ in 0..10 {
        let one = some.next();
        assert_eq!(
            (one["agent_id"].as_str(), one.as_object().unwrap().len()),
            (Some("002"), 1)
        );
    }
    // A client that goes away, at any event.
    let mut back = Events::open(&service, "/api/alerts/stream", &begin);
    assert_eq!(back.ids(7), ids(&first[..7]));
    let middle = back.last.clone();
    drop(back);
    let second = alerts(40, 250);
    insert(&database, &second);
    let mut back = Events::open(&service, "/api/alerts/stream", &middle);
    assert_eq!(back.ids(263), [ids(&first[7..]), ids(&second)].concat());
    assert_eq!(all.ids(250), ids(&second));

    // MongoDB goes and comes; the stream stays.
    server.stop();
    thread::sleep(Duration::from_secs(2));
    server.start();
    let third = alerts(400, 30);
    insert(&database, &third);
    assert_eq!(all.ids(30), ids(&third));
    // The service goes and comes; the client comes back with its last id.
    let last = all.last.clone();
    drop(service);
    let fourth = alerts(500, 30);
    insert(&database, &fourth);
    let service = Service::start(&wazuh);
    let mut all = Events::open(&service, "/api/alerts/stream", &last);
    assert_eq!(all.ids(30), ids(&fourth));
}

#[test]
fn a_replica_set_tells_of_each_alert_once() {
    tells_of_each_alert_once(&Mongod::replica_set(), "api_stream");
}

#[test]
fn a_standalone_server_tells_of_each_alert_once() {
    tells_of_each_alert_once(&Mongod::standalone(), "api_stream");
}

/// Two writers at once become visible in another order than that of their records.
#[test]
fn writers_at_the_same_time_are_all_heard_on_a_standalone_server() {
    let server = Mongod::standalone();
    let wazuh = Wazuh::with_uri(&server.uri(), "api_writers");
    let service = Service::start(&wazuh);
    let database = server.database("api_writers");
    wait_for_indexes(&database);
    let mut events = Events::open(&service, "/api/alerts/stream", "");
    thread::scope(|scope| {
        for writer in 0..4 {
            let database = &database;
            scope.spawn(move || {
                for part in alerts(writer * 1000, 500).chunks(25) {
                    insert(database, part);
                }
            });
        }
    });
    let mut seen = events.ids(2000);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2000);
}

#[test]
fn streams_are_limited_and_end_with_the_service() {
    let wazuh = Wazuh::new("api_streams");
    wazuh.settings("[serve]\nmax_streams = 2\n");
    let service = Service::start(&wazuh);
    let mut first = Events::open(&service, "/api/alerts/stream", "");
    let second = Events::open(&service, "/api/alerts/stream", "");
    let refused = service.get("/api/alerts/stream", &[]);
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("30"))
    );
    drop(second);
    let begun = Instant::now();
    loop {
        // The place is free when the service has seen that the client is gone.
        let mut stream = TcpStream::connect(service.address).unwrap();
        write!(
            stream,
            "GET /api/alerts/stream HTTP/1.0\r\nhost: localhost\r\n\r\n"
        )
        .unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        if line.contains(" 200 ") {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "the place stays taken: {line}"
        );
        thread::sleep(Duration::from_millis(200));
    }
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    assert_eq!(first.block(), None, "the stream ends");
    assert_eq!(service.end().0, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "the end took {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_position_that_is_gone_is_told() {
    let (_home, service) = service("api_lost");
    // A record's number means nothing to a replica set.
    let mut stream = TcpStream::connect(service.address).unwrap();
    write!(
        stream,
        "GET /api/alerts/stream?last_event_id=r5 HTTP/1.0\r\nhost: localhost\r\n\r\n"
    )
    .unwrap();
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "event: lost"));
    let database = mongod::shared().database("api_lost");
    let is_told = AtomicBool::new(false);
    thread::scope(|scope| {
        // When it goes on is not told: one of these comes behind that.
        scope.spawn(|| {
            for number in 0..200 {
                insert(&database, &alerts(number, 1));
                thread::sleep(Duration::from_millis(200));
                if is_told.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let told = lines.any(|line| line.starts_with("data: ") && line.contains("\"00000"));
        is_told.store(true, Ordering::Relaxed);
        assert!(told, "it does not go on with what is new");
    });
}

/// A stream may run for months; the token that opened it may not be good for so long.
#[test]
fn a_stream_ends_with_its_token() {
    let wazuh = Wazuh::new("api_revoked");
    let token = crate::serve_tokens::new_token(&wazuh, "one", "read");
    crate::serve_tokens::new_token(&wazuh, "another", "read");
    let service = Service::start(&wazuh);
    let mut stream = TcpStream::connect(service.address).unwrap();
    let limit = Some(Duration::from_secs(15));
    stream.set_read_timeout(limit).unwrap();
    write!(
        stream,
        "GET /api/alerts/stream HTTP/1.0\r\nhost: localhost\r\nx-auth-token: {token}\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains(" 200 "), "{first}");
    assert!(wazuh.run(&["token", "drop", "one"]).status.success());
    thread::sleep(Duration::from_millis(1100));
    let database = mongod::shared().database("api_revoked");
    insert(&database, &alerts(0, 3));
    let rest: Vec<String> = lines.map(|line| line.expect("an end, in time")).collect();
    let told = rest.iter().any(|line| line.starts_with("data:"));
    assert!(!told, "{rest:?}");
}
