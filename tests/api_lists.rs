//! Lists without an end: they cost no memory, and one that breaks off does not look whole.

use std::io::Read as _;
use std::time::Duration;

use crate::api_data::{Dice, Known, ask, insert, now, service, wait_for_indexes};
use crate::http;
use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::Wazuh;

/// Alerts of two kilobytes.
fn fill_large(database: &mongodb::sync::Database, count: usize) {
    let now = now();
    let mut dice = Dice::new();
    for batch in 0..count / 1000 {
        let known: Vec<Known> = (0..1000)
            .map(|number| {
                let mut known = Known::made(batch * 1000 + number, now, &mut dice);
                "001".clone_into(&mut known.agent);
                known.text = "x".repeat(2000);
                known
            })
            .collect();
        insert(database, &known);
    }
}

#[test]
fn a_list_without_a_limit_costs_no_memory() {
    let (_home, service) = service("api_streaming");
    fill_large(&mongod::shared().database("api_streaming"), 20_000);
    ask(&service, "/api/agents/001/alerts?limit=500");
    let before = service.memory();
    let answer = service.get("/api/agents/001/alerts", &[]);
    let after = service.memory();
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 20_000);
    assert!(answer.body.len() > 40_000_000);
    assert!(
        after < before + (8 << 20),
        "{before} bytes before, {after} after"
    );
}

#[test]
fn a_list_that_breaks_off_does_not_look_whole() {
    let server = Mongod::replica_set();
    let home = Wazuh::with_uri(&server.uri(), "api_broken");
    let service = Service::start(&home);
    wait_for_indexes(&server.database("api_broken"));
    fill_large(&server.database("api_broken"), 20_000);
    let mut connection = http::connect(service.address);
    connection
        .send(
            b"GET /api/agents/001/alerts HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
    let mut begin = [0; 4096];
    let read = connection.stream.read_exact(&mut begin);
    let head = String::from_utf8_lossy(&begin);
    assert!(
        read.is_ok() && begin.starts_with(b"HTTP/1.1 200"),
        "{head}{}",
        service.log()
    );
    std::thread::sleep(Duration::from_millis(300));
    server.stop();
    let mut rest = Vec::new();
    // Either way the connection ends: by a reset, or without the last chunk.
    connection.stream.read_to_end(&mut rest).ok();
    assert!(
        rest.len() < 40_000_000,
        "it was all read before the server stopped"
    );
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "a list that broke off ends like a whole one"
    );
    let refused = service.get("/api/alerts", &[]);
    assert_eq!(
        (refused.status, refused.header("retry-after").is_some()),
        (503, true)
    );
    assert!(
        !refused.whole().contains("127.0.0.1"),
        "{}",
        refused.whole()
    );
    server.start();
    service.wait_for("/api/alerts?limit=1", |answer| answer.status == 200);
}
