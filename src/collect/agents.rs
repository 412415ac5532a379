//! The agents themselves: one document each, updated in place. One that is no longer listed has
//! vanished only if the login may see every agent: a list without it may be a missing permission.

use std::collections::{HashMap, HashSet};

use super::report::{Counts, Report};
use super::run::{Mode, WITHIN};
use super::{Error, loss};
use crate::inventory::{AGENTS, Agent, Id, Item, Owner, Row, identity, item, text};
use crate::setting::{Percent, Span};
use crate::store::{AgentChange, Held, KnownAgent, State, Store};
use crate::wazuh_api::{self, Api, Listing, Reach};

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

    /// Marks who has vanished, if that is to be believed. Gives what is held back.
    fn vanished(
        &self,
        api: &mut Api,
        known: HashMap<Id, Known>,
        listed: &[Agent],
        before: Option<Held>,
        told: (&mut Counts, &mut Report),
    ) -> Result<Option<Held>, Error> {
        let (counts, report) = told;
        let had = whole(known.len());
        let gone = gone(known, listed);
        let count = whole(gone.len());
        if gone.is_empty() {
            return Ok(None);
        }
        if let Some(why) = hides_agents(api)? {
            log::info!("{count} agents are not listed; nothing is concluded from that: {why}");
            counts.held += count;
            return Ok(before);
        }
        if count > loss::allowed(had, self.max_loss) {
            let held = before.filter(|held| held.version == self.version);
            let held = held.unwrap_or_else(|| self.held(had));
            if !loss::is_due(&held, self.confirm_after, self.at) {
                counts.held += count;
                report.warn(format!(
                    "{count} of {had} agents are not listed any longer, all at once; none is marked as removed until that has held (collect.confirm_loss_after)"
                ));
                return Ok(Some(held));
            }
        }
        counts.removed += count;
        let gone: Vec<_> = gone.into_iter().map(AgentChange::Vanished).collect();
        self.write(&gone, report)?;
        Ok(None)
    }

    fn held(&self, had: u64) -> Held {
        Held {
            since: self.at,
            had,
            newest: None,
            version: self.version.to_owned(),
        }
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
        let states = [(everybody(self.site), AGENTS.name, state)];
        Ok(self.store.save_states(&states, WITHIN)?)
    }
}

/// The owner of what is known about the list itself.
pub(super) fn everybody(site: &str) -> Owner {
    Owner {
        site: site.to_owned(),
        agent: "*".to_owned(),
        node: None,
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
            is_removed: false,
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
    let is_anew = was.is_removed || was.status != status;
    if !is_anew && was.hash == hash {
        return None;
    }
    counts.changed += 1;
    status.clone_into(&mut was.status);
    (was.hash, was.is_removed) = (hash, false);
    Some(if is_anew {
        AgentChange::SeenAnew(item)
    } else {
        AgentChange::Seen(item)
    })
}

/// Who is not listed any longer. Another node's manager is not listed while this one is the master.
fn gone(known: HashMap<Id, Known>, listed: &[Agent]) -> Vec<Id> {
    let manager = listed.iter().find(|agent| agent.is_manager());
    let node = manager.and_then(|agent| agent.node.clone());
    let gone = known.into_values().filter(|known| {
        let agent = &known.agent;
        !known.is_seen && !agent.is_removed && (agent.node.is_none() || agent.node == node)
    });
    gone.map(|known| known.agent.id).collect()
}

/// Why the login may not see every agent; none if it may. `GET /agents` answers 200 with fewer
/// agents, not 403.
fn hides_agents(api: &mut Api) -> Result<Option<String>, Error> {
    match api.rights() {
        Ok(rights) if rights.reach("agent:read") == Reach::All => Ok(None),
        Ok(_) => Ok(Some(
            "the login may not read every agent; give it agent:read on agent:id:*".to_owned(),
        )),
        Err(error @ (wazuh_api::Error::Deadline | wazuh_api::Error::BadLogin(_))) => {
            Err(error.into())
        }
        Err(error) => Ok(Some(format!("the login's policies are not known: {error}"))),
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
