//! Whoever sends too much, too slowly or nothing at all costs the others nothing.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::http::{Connection, connect};
use crate::service::Service;
use crate::wazuh::Wazuh;

/// A machine that is busy with other tests has some seconds to spare.
#[track_caller]
fn others_wait_no_longer(since: Instant) {
    assert!(
        since.elapsed() < Duration::from_secs(4),
        "{:?}",
        since.elapsed()
    );
}

fn service(name: &str, settings: &str) -> Service {
    let wazuh = Wazuh::new(name);
    wazuh.settings(&format!("[serve]\n{settings}\n"));
    Service::start(&wazuh)
}

#[test]
fn a_head_that_comes_drop_by_drop_is_cut() {
    let service = service("serve_loris", "header_timeout = \"1 s\"");
    service.get("/healthz", &[]);
    let before = service.memory();
    let mut slow: Vec<_> = (0..200).map(|_| connect(service.address)).collect();
    let begun = Instant::now();
    let mut cut = 0;
    while cut < slow.len() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{cut} of {} are cut",
            slow.len()
        );
        cut = 0;
        for connection in &mut slow {
            let gone = connection
                .send(b"GET /healthz HTTP/1.1\r\nx-a: b\r\n")
                .is_err();
            cut += usize::from(gone);
        }
        let asked = Instant::now();
        assert_eq!(service.get("/healthz", &[]).status, 200);
        others_wait_no_longer(asked);
        std::thread::sleep(Duration::from_millis(100));
    }
    // Those that were told so have two seconds to read it.
    service.wait_for("/metrics", |page| {
        let open = page.text();
        let open = open
            .lines()
            .find_map(|line| line.strip_prefix("custom_mongo_connections "));
        open.is_some_and(|open| open.parse::<f64>().unwrap() < 3.0)
    });
    let more = service.memory().saturating_sub(before);
    assert!(more < 16 << 20, "{more} bytes more");
}

#[test]
fn a_connection_without_a_request_is_closed_in_the_end() {
    let service = service(
        "serve_idle",
        "header_timeout = \"1 s\"\nidle_timeout = \"6 s\"",
    );
    let mut fresh = connect(service.address);
    let mut used = connect(service.address);
    assert_eq!(used.ask("GET", "/healthz", &[], b"").unwrap().status, 200);
    let begun = Instant::now();
    assert!(fresh.is_closed());
    assert!(
        begun.elapsed() < Duration::from_millis(4900),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(used.ask("GET", "/healthz", &[], b"").unwrap().status, 200);
    let begun = Instant::now();
    assert!(used.is_closed());
    assert!(
        begun.elapsed() > Duration::from_millis(4900),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_thousand_idle_connections_leave_the_others_alone() {
    let service = service("serve_idlers", "max_connections = 100");
    service.get("/healthz", &[]);
    let before = service.memory();
    let mut regular = connect(service.address);
    let mut idlers = Vec::new();
    for number in 0..1000 {
        let mut idler = connect(service.address);
        if number % 2 == 0 {
            // It may have been closed for the benefit of a later one: never this one.
            assert_eq!(idler.ask("GET", "/healthz", &[], b"").unwrap().status, 200);
        }
        idlers.push(idler);
        if number % 20 == 0 {
            let answer = regular.ask("GET", "/healthz", &[], b"");
            assert_eq!(answer.expect("whoever is not idle stays").status, 200);
        }
    }
    let asked = Instant::now();
    assert_eq!(service.get("/healthz", &[]).status, 200);
    others_wait_no_longer(asked);
    assert!(service.metric("custom_mongo_connections") <= 100.0);
    let more = service.memory().saturating_sub(before);
    assert!(more < 8 << 20, "{more} bytes more");
}

#[test]
fn a_body_of_a_gigabyte_is_refused_before_it_comes() {
    let service = service("serve_gigabyte", "");
    service.get("/healthz", &[]);
    let before = service.memory();
    let head = "POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1073741824\r\n\r\n";
    for _ in 0..4 {
        let mut connection = connect(service.address);
        connection.send(head.as_bytes()).unwrap();
        let sent = pour(&mut connection, 1 << 30);
        assert!(sent < 32 << 20, "{sent} bytes were taken");
        let asked = Instant::now();
        assert_eq!(service.get("/healthz", &[]).status, 200);
        others_wait_no_longer(asked);
        let answer = connection.answer("POST").expect("an answer");
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    let more = service.memory().saturating_sub(before);
    assert!(more < 4 << 20, "{more} bytes more");
}

/// Writes until the other side does not want any more; how much went out.
fn pour(connection: &mut Connection<std::net::TcpStream>, most: usize) -> usize {
    let piece = vec![b'x'; 64 * 1024];
    let pause = Duration::from_millis(500);
    connection.stream.set_write_timeout(Some(pause)).unwrap();
    let mut sent = 0;
    while sent < most && connection.stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    sent
}

#[test]
fn who_does_not_take_his_answers_is_cut() {
    let service = service("serve_deaf", "body_timeout = \"1 s\"");
    let mut deaf = connect(service.address);
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000);
    deaf.stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let begun = Instant::now();
    loop {
        match deaf.stream.write_all(&request) {
            Err(error)
                if error.kind() == std::io::ErrorKind::ConnectionReset
                    || error.kind() == std::io::ErrorKind::BrokenPipe =>
            {
                break;
            }
            _ => assert!(
                begun.elapsed() < Duration::from_secs(30),
                "it is still there"
            ),
        }
    }
    assert_eq!(service.get("/healthz", &[]).status, 200);
}

#[test]
fn more_files_than_the_process_may_open_are_no_connections() {
    let wazuh = Wazuh::new("serve_files");
    wazuh.settings("[serve]\nmax_connections = 1000000\n");
    let service = Service::start(&wazuh);
    assert!(
        service.log().contains("serve.max_connections is 1000000"),
        "{}",
        service.log()
    );
    assert_eq!(service.get("/healthz", &[]).status, 200);
}

#[test]
fn bodies_that_come_drop_by_drop_leave_the_others_alone() {
    let service = service(
        "serve_slow_bodies",
        "max_connections = 20\nbody_timeout = \"3 s\"",
    );
    let head = "POST /wazuh-alert HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    let mut slow: Vec<_> = (0..30).map(|_| connect(service.address)).collect();
    let mut asked = 0;
    let begun = Instant::now();
    let mut over = 0;
    while over < slow.len() {
        assert!(begun.elapsed() < Duration::from_secs(40), "{over} are over");
        over = 0;
        for connection in &mut slow {
            let piece = if asked == 0 { head } else { " " };
            over += usize::from(connection.send(piece.as_bytes()).is_err());
        }
        asked += 1;
        std::thread::sleep(Duration::from_millis(200));
        // One who waits a second for room gets it, whatever the slow ones do.
        let mut patience = 15;
        loop {
            let answer = connect(service.address).ask("GET", "/healthz", &[], b"");
            if answer.is_ok_and(|answer| answer.status == 200) {
                break;
            }
            patience -= 1;
            assert!(patience > 0, "nobody else gets in");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let mut one = connect(service.address);
    one.send(head.as_bytes()).unwrap();
    let answer = one.answer("POST").expect("an answer");
    assert_eq!(answer.status, 408, "{answer:?}");
}
