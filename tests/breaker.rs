//! While the server is away, later calls cost almost nothing, and no daemon is needed to heal.

use std::thread;
use std::time::Duration;

use crate::outages::{Kept, LATER, assert_once, behind_proxy, hand_over};
use crate::proxy::Mode;
use crate::wazuh::{Wazuh, stored};

#[test]
fn the_breaker_spares_later_calls_the_wait() {
    let (proxy, wazuh) = behind_proxy("breaker", LATER);
    proxy.set(Mode::Freeze);
    hand_over(&wazuh, 0..1);
    let tried = proxy.connections();
    assert!(tried > 0, "the first call tries");
    hand_over(&wazuh, 1..20);
    assert_eq!(
        proxy.connections(),
        tried,
        "later calls do not touch the server"
    );
    assert_eq!(breaker(&wazuh), "open");

    proxy.set(Mode::Pass);
    hand_over(&wazuh, 20..21);
    assert_eq!(
        wazuh.pending(),
        21,
        "nothing tells a hook yet that the server is back"
    );
    wazuh.drain();
    assert_eq!(breaker(&wazuh), "closed");
    let before = proxy.connections();
    hand_over(&wazuh, 21..22);
    assert!(proxy.connections() > before && wazuh.pending() == 0);
    assert_once(&Kept::of(stored("breaker")), 22);
}

#[test]
fn one_call_probes_once_in_a_while() {
    let (proxy, wazuh) = behind_proxy("probe", "[delivery]\nprobe_every = \"5 s\"\n");
    proxy.set(Mode::Freeze);
    hand_over(&wazuh, 0..1);
    let tried = proxy.connections();
    thread::sleep(Duration::from_millis(5100));
    hand_over(&wazuh, 1..2);
    assert!(proxy.connections() > tried, "the probe");
    let probed = proxy.connections();
    hand_over(&wazuh, 2..4);
    assert_eq!(proxy.connections(), probed, "one probe, not one a call");
    assert_eq!(wazuh.pending(), 4);
}

#[test]
fn hooks_alone_empty_the_spool_when_mongodb_is_back() {
    let (proxy, wazuh) = behind_proxy("healed", "[delivery]\nprobe_every = \"1 s\"\n");
    proxy.set(Mode::Refuse);
    hand_over(&wazuh, 0..40);
    assert_eq!(wazuh.pending(), 40);
    proxy.set(Mode::Pass);
    thread::sleep(Duration::from_millis(1100));
    let mut calls = 40;
    while wazuh.pending() > 0 {
        assert!(calls < 140, "{} are left after 100 calls", wazuh.pending());
        hand_over(&wazuh, calls..calls + 1);
        calls += 1;
        thread::sleep(Duration::from_millis(30));
    }
    assert_eq!(breaker(&wazuh), "closed");
    assert_once(&Kept::of(stored("healed")), calls);
}

fn breaker(wazuh: &Wazuh) -> String {
    let status = wazuh.json("spool status");
    status["destinations"][0]["breaker"]
        .as_str()
        .expect("open or closed")
        .into()
}
