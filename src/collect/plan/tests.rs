//! What is planned, and in which order.

use super::*;
use crate::inventory::{Row, find};

const NOW: i64 = 1_000_000_000;

fn agent(id: &str, status: &str, platform: &str) -> Agent {
    let mut row = Row::new();
    row.insert("id".to_owned(), id.into());
    row.insert("status".to_owned(), status.into());
    row.insert("os.platform".to_owned(), platform.into());
    row.insert("lastKeepAlive".to_owned(), "then".into());
    Agent::of(&row).unwrap()
}

fn known(tried_at: i64) -> State {
    State {
        tried_at,
        read_at: Some(NOW - 1000),
        complete: true,
        count: 5,
        was_active: true,
        keep_alive: Some("then".to_owned()),
        ..State::default()
    }
}

fn planned(agents: Vec<Agent>, states: Vec<(&str, &str, State)>, kinds: &[&str]) -> Plan {
    let kinds: Vec<_> = kinds.iter().map(|kind| find(kind).unwrap()).collect();
    let view = View {
        site: "default",
        kinds: &kinds,
        now: NOW,
        full_every: Span(std::time::Duration::from_secs(86_400)),
        all: false,
    };
    let named = |(id, kind, state): (&str, &str, State)| {
        (
            (agent(id, "active", "").owner("default"), kind.to_owned()),
            state,
        )
    };
    plan(agents, &mut states.into_iter().map(named).collect(), &view)
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.visits
        .iter()
        .map(|visit| visit.agent.id.as_str())
        .collect()
}

#[test]
fn a_kind_that_was_never_tried_does_not_make_everybody_new() {
    let agents = ["001", "002", "003"]
        .map(|id| agent(id, "active", "ubuntu"))
        .to_vec();
    let states = vec![
        ("001", "software", known(300)),
        ("002", "software", known(200)),
        ("003", "software", known(100)),
    ];
    let plan = planned(agents, states, &["software", "users"]);
    assert_eq!(ids(&plan), ["003", "002", "001"]);
}

#[test]
fn who_is_new_and_who_changed_come_before_who_waits() {
    let agents = ["001", "002", "003"]
        .map(|id| agent(id, "active", "ubuntu"))
        .to_vec();
    let back = State {
        was_active: false,
        ..known(900)
    };
    let states = vec![("001", "software", known(100)), ("002", "software", back)];
    assert_eq!(
        ids(&planned(agents, states, &["software"])),
        ["003", "002", "001"]
    );
}

#[test]
fn who_has_nothing_new_is_not_asked() {
    let agents = vec![
        agent("001", "disconnected", "ubuntu"),
        agent("002", "never_connected", ""),
        agent("003", "active", "ubuntu"),
    ];
    let plan = planned(agents, vec![("001", "hotfixes", known(1))], &["hotfixes"]);
    assert!(plan.visits.is_empty(), "{:?}", plan.visits);
    assert_eq!((plan.quiet.len(), plan.skipped.len()), (1, 2));
}

#[test]
fn an_id_that_changed_its_system_loses_its_old_rows() {
    let agents = vec![agent("001", "active", "ubuntu")];
    let plan = planned(agents, vec![("001", "hotfixes", known(1))], &["hotfixes"]);
    assert_eq!(ids(&plan), ["001"], "it had five as a Windows");
}

#[test]
fn an_incomplete_read_is_never_quiet() {
    let cut = State {
        complete: false,
        ..known(1)
    };
    let plan = planned(
        vec![agent("001", "disconnected", "")],
        vec![("001", "software", cut)],
        &["software"],
    );
    assert_eq!(
        plan.visits.first().map(|visit| visit.tasks[0].is_full),
        Some(true)
    );
}
