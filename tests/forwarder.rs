//! `serve` brings into MongoDB what lies in the spool, whoever put it there.

use std::time::Duration;

use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered, stored, stored_on};
use crate::webhook::{post, until};

#[test]
fn what_hooks_have_spooled_by_themselves_is_found_within_seconds() {
    let wazuh = Wazuh::new("forward_polled");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    for number in 0..5 {
        wazuh.call(numbered(number).to_string()).assert_yes();
    }
    let _service = Service::start(&wazuh);
    until("what lay there", || stored("forward_polled").len() == 5);
    wazuh.call(numbered(5).to_string()).assert_yes();
    until("what came since", || stored("forward_polled").len() == 6);
    until("the spool is empty", || wazuh.pending() == 0);
}

#[test]
fn what_came_while_the_settings_were_wrong_is_brought_in_too() {
    let wazuh = Wazuh::new("forward_unassigned");
    wazuh.raw_settings("nonsense");
    let outcome = wazuh.call(numbered(0).to_string());
    assert_eq!(outcome.status, 78, "{outcome:?}");
    wazuh.settings("");
    let _service = Service::start(&wazuh);
    until("the alert", || stored("forward_unassigned").len() == 1);
}

#[test]
fn mongodb_may_go_and_come_at_any_time() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "forward_again");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    let service = Service::start(&wazuh);
    for round in 0..3 {
        server.stop();
        for number in 0..5 {
            wazuh
                .call(numbered(round * 5 + number).to_string())
                .assert_yes();
        }
        server.start();
        until("what came meanwhile", || {
            stored_on(&server, "forward_again").len() == round * 5 + 5
        });
    }
    until("the spool is empty", || wazuh.pending() == 0);
    service.stop();
}

#[test]
fn serve_starts_without_mongodb_and_stops_while_it_is_away() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "forward_dead");
    let service = Service::start(&wazuh);
    assert_eq!(post(&service, numbered(0).to_string()).status, 202);
    std::thread::sleep(Duration::from_millis(500));
    service.stop();
    assert_eq!(wazuh.pending(), 1);
}
