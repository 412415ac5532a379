//! What never becomes a request is answered like everything else: JSON, with the headers that protect.

use std::time::Duration;

use crate::http::{Answer, connect};
use crate::service::Service;
use crate::wazuh::Wazuh;

fn service(name: &str, settings: &str) -> Service {
    let wazuh = Wazuh::new(name);
    wazuh.settings(&format!("[serve]\n{settings}\n"));
    Service::start(&wazuh)
}

/// It is an error as any route gives it, and the connection ends with it.
#[track_caller]
fn is_error(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json()["status"], "error");
    assert!(
        !answer.json()["message"].as_str().unwrap().is_empty(),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert_eq!(answer.header("server"), None);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let service = service("refused_heads", "");
    let value = "x".repeat(64 * 1024);
    is_error(&service.get("/healthz", &[("x-large", &value)]), 431);
    let names: Vec<_> = (0..200).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    is_error(&service.get("/healthz", &many), 431);
    assert_eq!(service.get("/healthz", &many[..50]).status, 200);
    let path = format!("/{}", "x".repeat(64 * 1024));
    is_error(&service.get(&path, &[]), 431);
}

#[test]
fn what_is_no_http_is_told_so_and_ends_the_connection() {
    let service = service("refused_nonsense", "");
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..],
        b"HELO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"POST /wazuh-alert HTTP/1.1\r\ncontent-length: 1, 2\r\n\r\n",
    ] {
        let mut connection = connect(service.address);
        connection.send(nonsense).unwrap();
        is_error(&connection.answer("GET").unwrap(), 400);
        assert!(connection.is_closed());
    }
    assert_eq!(service.get("/healthz", &[]).status, 200);
}

/// The answer before it is whole, and the error comes behind it.
#[test]
fn what_is_no_request_behind_a_good_one_is_told_too() {
    let service = service("refused_second", "");
    let mut connection = connect(service.address);
    connection
        .send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    assert_eq!(connection.answer("GET").unwrap().status, 200);
    connection.send(b"NONSENSE\r\n\r\n").unwrap();
    is_error(&connection.answer("GET").unwrap(), 400);
    assert!(connection.is_closed());
}

#[test]
fn a_head_that_does_not_come_is_told_that_it_took_too_long() {
    let service = service("refused_slow", "header_timeout = \"1 s\"");
    let mut slow = connect(service.address);
    slow.send(b"GET /healthz HTTP/1.1\r\nhost: loc").unwrap();
    is_error(&slow.answer("GET").unwrap(), 408);
    assert!(slow.is_closed());
}

#[test]
fn who_finds_no_room_is_told_to_come_again() {
    let service = service("refused_room", "max_connections = 1");
    let mut stream = connect(service.address);
    stream
        .send(b"GET /api/alerts/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    // Its first piece: from now on it is busy.
    let mut piece = [0; 1];
    std::io::Read::read_exact(&mut stream.stream, &mut piece).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let answer = connect(service.address).answer("GET").unwrap();
    is_error(&answer, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn a_path_that_is_no_text_is_refused_in_json() {
    let service = service("refused_paths", "");
    for path in [
        "/api/agents/%ff",
        "/api/agents/%ff/software",
        "/api/alerts/%C3",
    ] {
        let answer = service.get(path, &[]);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert_eq!(answer.json()["status"], "error", "{path}");
    }
}
