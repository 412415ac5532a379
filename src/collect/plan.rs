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
    let is_due = age >= view.full_every.as_millis();
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
mod tests {
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
}
