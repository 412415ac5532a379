//! What is to be read in this run, and in which order: new agents, then those that are known to have
//! changed, then whoever was not looked at for the longest time. Pure.

use std::collections::HashMap;

use crate::inventory::{Agent, Kind, Owner, Status};
use crate::setting::Span;
use crate::store::State;

/// What is known of each agent's kind.
pub(super) type States = HashMap<(Owner, String), State>;

/// Why a list is read, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// It was never read completely.
    New,
    /// It is known to have changed.
    Changed,
    /// Perhaps nothing changed: ask first.
    Ask,
}

/// One list to be read.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) kind: &'static Kind,
    pub(super) why: Why,
    pub(super) before: Option<State>,
    /// Compare with the documents and not only with the sum of their hashes.
    pub(super) is_full: bool,
}

/// One agent's lists.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) agent: Agent,
    pub(super) owner: Owner,
    pub(super) tasks: Vec<Task>,
}

/// What is decided without asking.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) visits: Vec<Visit>,
    /// Lists that cannot have changed.
    pub(super) quiet: Vec<(Owner, &'static Kind, State)>,
    /// Lists of agents that have no data.
    pub(super) skipped: Vec<&'static Kind>,
}

/// How a run looks at things.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) site: &'a str,
    pub(super) kinds: &'a [&'static Kind],
    pub(super) now: i64,
    pub(super) full_every: Span,
    /// Read everything, whatever is known.
    pub(super) all: bool,
}

/// Plans the run.
pub(super) fn plan(agents: Vec<Agent>, states: &mut States, view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    for agent in agents {
        if agent.status == Status::NeverConnected {
            plan.skipped.extend(view.kinds);
            continue;
        }
        let owner = agent.owner(view.site);
        let mut tasks = Vec::new();
        for kind in view.kinds {
            let state = states.remove(&(owner.clone(), kind.name.to_owned()));
            if has_none(kind, &agent, state.as_ref()) {
                plan.skipped.push(kind);
                continue;
            }
            match state {
                Some(state) if !view.all && is_quiet(&agent, &state) => {
                    plan.quiet.push((owner.clone(), kind, state));
                }
                state => tasks.push(task(kind, &agent, state, view)),
            }
        }
        if !tasks.is_empty() {
            plan.visits.push(Visit {
                agent,
                owner,
                tasks,
            });
        }
    }
    order(&mut plan.visits);
    plan
}

/// Sorts anew, after a question to many agents at once has shown who changed.
///
/// New is who was never looked at. A kind that was never tried does not make an agent new: where the
/// server or the login lacks it, that would hold for all of them and for ever.
pub(super) fn order(visits: &mut [Visit]) {
    visits.sort_by_cached_key(|visit| {
        let states = visit.tasks.iter().filter_map(|task| task.before.as_ref());
        let oldest = states.map(|state| state.tried_at).min();
        let has_changed = visit.tasks.iter().any(|task| task.why == Why::Changed);
        (oldest.is_some(), !has_changed, oldest)
    });
}

/// Hotfixes are Windows': asking others costs a request each for an empty list.
fn has_none(kind: &Kind, agent: &Agent, state: Option<&State>) -> bool {
    let (Some(only), Some(platform)) = (kind.platform, agent.platform.as_deref()) else {
        return false;
    };
    // An id may have changed its system; then its old rows have to go.
    only != platform && state.is_none_or(|state| state.count == 0 && state.held.is_none())
}

/// Who is disconnected and was not heard of since the last complete read has nothing new.
fn is_quiet(agent: &Agent, state: &State) -> bool {
    agent.status == Status::Disconnected
        && state.complete
        && agent.last_keep_alive.is_some()
        && state.keep_alive == agent.last_keep_alive
}

/// Between half of the time and all of it, for each list its own: what was read in the hour of the
/// first load must not be due in one hour, and keep everybody else waiting, for ever after.
fn own_share(full: i64, owner: &Owner, kind: &Kind) -> i64 {
    let name = owner.name_of(kind.name);
    let share = name
        .get(..4)
        .and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let half = full / 2;
    half + (half / i64::from(u16::MAX)).saturating_mul(share.unwrap_or_default().into())
}

fn task(kind: &'static Kind, agent: &Agent, before: Option<State>, view: &View<'_>) -> Task {
    let Some(state) = before.as_ref().filter(|state| state.complete) else {
        return Task {
            kind,
            why: Why::New,
            before,
            is_full: true,
        };
    };
    let age = view.now.saturating_sub(state.read_at.unwrap_or_default());
    let full = view.full_every.as_millis();
    let is_due = age >= full / 2 && age >= own_share(full, &agent.owner(view.site), kind);
    // What a disconnected agent kept back may be older than what is known: no probe shows it.
    let is_back = agent.status == Status::Active && !state.was_active;
    let is_full = view.all || is_due;
    let why = if is_full || is_back {
        Why::Changed
    } else {
        Why::Ask
    };
    Task {
        kind,
        // A full read that is merely due comes in its turn.
        why: if is_due && !is_back && !view.all {
            Why::Ask
        } else {
            why
        },
        before,
        is_full,
    }
}

#[cfg(test)]
mod schedule;
#[cfg(test)]
mod tests;
