//! How long the past is kept, if `collect.history` says so: versions that ended before that, and all
//! that is left of agents that vanished before that.

use super::Error;
use super::report::Report;
use super::run::WITHIN;
use crate::inventory::{AGENTS, KINDS};
use crate::setting::Span;
use crate::store::{Past, Store};

/// Marks what is older; MongoDB removes it. What is current stays, however old.
pub(super) fn expire(
    (store, site): (&Store, &str),
    kept: Span,
    now: i64,
    report: &mut Report,
) -> Result<(), Error> {
    let end = now.saturating_sub(kept.as_millis());
    let known = store.known_agents(site, WITHIN)?;
    let is_gone = |removed_at: Option<i64>| removed_at.is_some_and(|at| at < end);
    // Each node has a manager; its id says nothing about another node's.
    let gone = known
        .iter()
        .filter(|one| one.node.is_none() && is_gone(one.removed_at));
    let gone: Vec<String> = gone.map(|one| one.agent.clone()).collect();
    let all: Vec<String> = known.into_iter().map(|one| one.agent).collect();
    if !gone.is_empty() && may(store, "collect_state", report)? {
        // Before its rows go: if it comes back in between, it is read in full.
        store.forget(site, &gone, WITHIN)?;
    }
    for kind in &KINDS {
        if store.is_empty(kind.collection, WITHIN)? || !may(store, kind.collection, report)? {
            continue;
        }
        let past = store.expire(kind.collection, (site, &all), Past::Before(end), WITHIN)?;
        let rest = store.expire(kind.collection, (site, &gone), Past::Everything, WITHIN)?;
        if past + rest > 0 {
            report.of(kind.name).expired += past + rest;
        }
    }
    // At last: as long as the agent is there, a run that was cut off is made up for.
    if !gone.is_empty() && may(store, AGENTS.collection, report)? {
        let gone = store.expire(AGENTS.collection, (site, &gone), Past::Before(end), WITHIN)?;
        report.of(AGENTS.name).expired += gone;
    }
    Ok(())
}

fn may(store: &Store, collection: &str, report: &mut Report) -> Result<bool, Error> {
    let may = store.may_expire(collection, WITHIN)?;
    if !may {
        report.warn(format!(
            "{collection}: the login may not create the index by which MongoDB removes what is older than collect.history; see integrations/mongodb-role.js"
        ));
    }
    Ok(may)
}
