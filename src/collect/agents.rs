//! The agents themselves: one document each, updated in place.

mod vanished;

use std::collections::{HashMap, HashSet};

use super::Error;
use super::report::{Counts, Report};
use super::run::{Mode, WITHIN};
use crate::alert::time;
use crate::inventory::{AGENTS, Agent, Id, Item, Owner, Row, identity, item, text};
use crate::setting::{Percent, Span};
use crate::store::{AgentChange, Held, KnownAgent, State, Store};
use crate::wazuh_api::{Api, Listing};

/// How often the list is read if it moves meanwhile.
const TRIES: u32 = 3;

/// Reads the list and brings it into MongoDB.
pub(super) struct Census<'a> {
    pub(super) site: &'a str,
    pub(super) store: &'a Store,
    pub(super) mode: Mode,
    pub(super) at: i64,
    pub(super) version: &'a str,
    pub(super) max_loss: Percent,
    pub(super) confirm_after: Span,
}

/// What is stored of an agent, and whether the list has it.
struct Known {
    agent: KnownAgent,
    is_seen: bool,
}

impl Census<'_> {
    /// Gives the agents that the server lists. `before` is the state of the list itself.
    pub(super) fn take(
        &self,
        api: &mut Api,
        before: Option<State>,
        report: &mut Report,
    ) -> Result<Vec<Agent>, Error> {
        let known = self.store.known_agents(self.site, WITHIN)?;
        let unseen = |agent: KnownAgent| {
            let is_seen = false;
            (agent.id, Known { agent, is_seen })
        };
        let mut known: HashMap<Id, Known> = known.into_iter().map(unseen).collect();
        let mut counts = Counts::default();
        let mut agents = Vec::new();
        let mut moved = None;
        for _ in 0..TRIES {
            agents.clear();
            for known in known.values_mut() {
                known.is_seen = false;
            }
            moved = self.pass(api, &mut known, &mut agents, &mut counts, report)?;
            if moved.is_none() {
                break;
            }
        }
        self.remember_times(&known, &agents)?;
        counts.seen = whole(agents.len());
        counts.read = 1;
        let held = before.and_then(|state| state.held);
        if let Some(why) = moved {
            report.fail(None, AGENTS.name, why);
        } else {
            let held = self.vanished(api, known, &agents, held, (&mut counts, report))?;
            self.remember(counts.seen, held)?;
        }
        *report.of(AGENTS.name) = counts;
        Ok(agents)
    }

    /// One pass over the pages. Gives the reason if it is not known that all were seen.
    fn pass(
        &self,
        api: &mut Api,
        known: &mut HashMap<Id, Known>,
        agents: &mut Vec<Agent>,
        counts: &mut Counts,
        report: &mut Report,
    ) -> Result<Option<String>, Error> {
        let list = Listing {
            path: AGENTS.path(""),
            query: Vec::new(),
            limit: AGENTS.limit,
        };
        let (mut offset, mut expected) = (0, None);
        let mut ids = HashSet::new();
        loop {
            let page = api.page(&list, offset)?;
            if expected.is_some_and(|expected| expected != page.total) {
                return Ok(Some(
                    "the list of agents changed while it was read".to_owned(),
                ));
            }
            expected = Some(page.total);
            let count = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
            offset += count;
            let seen = self.compare(page.items, known, counts);
            ids.extend(seen.agents.iter().map(|agent| agent.id.clone()));
            agents.extend(seen.agents);
            self.write(&seen.changes, report)?;
            if offset >= page.total || count == 0 {
                let distinct = u64::try_from(ids.len()).unwrap_or(u64::MAX);
                let total = page.total;
                let why = || format!("{distinct} agents came, the server counts {total}");
                return Ok((distinct != total).then(why));
            }
        }
    }

    fn compare(&self, rows: Vec<Row>, known: &mut HashMap<Id, Known>, counts: &mut Counts) -> Seen {
        let mut seen = Seen::default();
        for row in rows {
            let Some(agent) = Agent::of(&row) else {
                continue;
            };
            let owner = agent.owner(self.site);
            let status = text(&row, "status").unwrap_or_default().to_owned();
            let id = identity(&AGENTS, &owner, &row);
            let item = item(&AGENTS, &owner, id, row, self.at);
            seen.agents.push(agent);
            seen.changes
                .extend(change(item, &owner, &status, known, counts));
        }
        seen
    }

    fn write(&self, changes: &[AgentChange], report: &mut Report) -> Result<(), Error> {
        if self.mode == Mode::Dry || changes.is_empty() {
            return Ok(());
        }
        for why in self.store.change_agents(changes, self.at, WITHIN)? {
            report.fail(None, AGENTS.name, why);
        }
        Ok(())
    }

    /// When each agent was last heard of, also of those that are not listed any longer.
    fn remember_times(&self, known: &HashMap<Id, Known>, agents: &[Agent]) -> Result<(), Error> {
        if self.mode == Mode::Dry {
            return Ok(());
        }
        let mut times = self.store.keep_alives(self.site, WITHIN)?;
        let stored: HashSet<&str> = known
            .values()
            .map(|known| known.agent.agent.as_str())
            .collect();
        times.retain(|agent, _| stored.contains(agent.as_str()));
        // The manager's own is a date in the year 9999, and each node has one.
        let heard = agents.iter().filter(|agent| !agent.is_manager());
        times.extend(heard.filter_map(|agent| {
            let at = agent.last_keep_alive.as_deref().and_then(time::parse)?;
            Some((agent.id.clone(), at))
        }));
        Ok(self.store.save_keep_alives(self.site, &times, WITHIN)?)
    }

    /// How fresh the list is, and what is held back.
    fn remember(&self, count: u64, held: Option<Held>) -> Result<(), Error> {
        if self.mode == Mode::Dry {
            return Ok(());
        }
        let state = State {
            tried_at: self.at,
            checked_at: Some(self.at),
            read_at: Some(self.at),
            complete: held.is_none(),
            count,
            held,
            ..State::default()
        };
        let states = [(Owner::everybody(self.site), AGENTS.name, state)];
        Ok(self.store.save_states(&states, WITHIN)?)
    }
}

/// What a page brought.
#[derive(Default)]
struct Seen {
    agents: Vec<Agent>,
    changes: Vec<AgentChange>,
}

/// What has to be written of an agent that is listed.
fn change(
    item: Item,
    owner: &Owner,
    status: &str,
    known: &mut HashMap<Id, Known>,
    counts: &mut Counts,
) -> Option<AgentChange> {
    let (id, hash) = (item.id, item.hash);
    let Some(before) = known.get_mut(&id) else {
        counts.new += 1;
        let agent = KnownAgent {
            id,
            agent: owner.agent.clone(),
            node: owner.node.clone(),
            hash,
            status: status.to_owned(),
            removed_at: None,
        };
        known.insert(
            id,
            Known {
                agent,
                is_seen: true,
            },
        );
        return Some(AgentChange::SeenAnew(item));
    };
    before.is_seen = true;
    let was = &mut before.agent;
    let is_anew = was.removed_at.is_some() || was.status != status;
    if !is_anew && was.hash == hash {
        return None;
    }
    counts.changed += 1;
    status.clone_into(&mut was.status);
    (was.hash, was.removed_at) = (hash, None);
    Some(if is_anew {
        AgentChange::SeenAnew(item)
    } else {
        AgentChange::Seen(item)
    })
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
