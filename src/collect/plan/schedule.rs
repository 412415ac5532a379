//! How old the inventory of 2,900 agents gets at the default budget: the real plan, run after run, with
//! the requests that each list costs, counted and not sent. A tenth of the agents with a tenth of the
//! budget, which is the same and takes a tenth of the time.

use std::collections::HashMap;

use super::*;
use crate::inventory::{Row, find};

const MINUTE: i64 = 60_000;
/// `collect.kinds`, `wazuh_api.requests_per_minute`, `collect.deadline`, cron's interval.
const KINDS: [&str; 4] = ["syscheck", "software", "osinfo", "hotfixes"];
const PER_MINUTE: i64 = 20;
const DEADLINE: i64 = 13 * MINUTE;
const EVERY: i64 = 15 * MINUTE;
const HOUR: i64 = 60 * MINUTE;

/// What the agents have, in pages, and how often a question shows a change.
struct Fleet {
    agents: u32,
    packages: i64,
    files: i64,
    /// Of a hundred.
    changes: i64,
}

/// What came of it, in minutes; ages from an hour after the first load on.
#[derive(Debug)]
struct Ages {
    first_load: i64,
    /// The worst moment's 95th percentile.
    p95: i64,
    oldest: i64,
}

impl Fleet {
    /// Every fifth has Windows, every twentieth is away.
    fn list(&self) -> Vec<Agent> {
        let agent = |number: u32| {
            let mut row = Row::new();
            let (windows, away) = (number.is_multiple_of(5), number % 20 == 7);
            row.insert("id".to_owned(), format!("{number:03}").into());
            let status = if away { "disconnected" } else { "active" };
            row.insert("status".to_owned(), status.into());
            let platform = if windows { "windows" } else { "ubuntu" };
            row.insert("os.platform".to_owned(), platform.into());
            row.insert("lastKeepAlive".to_owned(), "then".into());
            Agent::of(&row).unwrap()
        };
        (1..=self.agents).map(agent).collect()
    }

    /// Requests for a list: pages, a question after them where something may be removed or moved, and
    /// the one before that may spare them.
    fn cost(&self, task: &Task, dice: i64) -> i64 {
        let pages = match task.kind.name {
            "software" => self.packages,
            "syscheck" => self.files,
            _ => 1,
        };
        let read = pages + i64::from(task.before.is_some() || pages > 1);
        let question = i64::from(task.kind.name != "osinfo");
        match task.why {
            Why::Ask if !task.is_full && dice >= self.changes => question,
            Why::Ask if !task.is_full => question + read,
            _ => read,
        }
    }

    fn run(&self, hours: i64) -> Ages {
        let kinds: Vec<_> = KINDS.iter().map(|kind| find(kind).unwrap()).collect();
        let agents = self.list();
        let lists: usize = plan(agents.clone(), &mut States::new(), &view(&kinds, 0))
            .visits
            .iter()
            .map(|visit| visit.tasks.len())
            .sum();
        let (mut states, mut first_load) = (States::new(), None);
        let (mut p95, mut oldest, mut dice) = (0, 0, 0_i64);
        for at in (0..hours * HOUR).step_by(usize::try_from(EVERY).unwrap()) {
            let mut planned = plan(agents.clone(), &mut states, &view(&kinds, at));
            for (owner, kind, state) in planned.quiet.drain(..) {
                let fresh = State {
                    checked_at: Some(at),
                    ..state
                };
                states.insert((owner, kind.name.to_owned()), fresh);
            }
            // The login, the version, the list of agents.
            let mut now = at + 5 * MINUTE / PER_MINUTE;
            for visit in planned.visits {
                let is_over = now - at >= DEADLINE;
                for task in visit.tasks {
                    let key = (visit.owner.clone(), task.kind.name.to_owned());
                    if is_over {
                        states.extend(task.before.map(|before| (key, before)));
                        continue;
                    }
                    dice = (dice * 21 + 17) % 100;
                    now += self.cost(&task, dice) * MINUTE / PER_MINUTE;
                    states.insert(key, done(&task, now));
                }
            }
            if first_load.is_none() && states.len() == lists {
                first_load = Some(now / MINUTE);
            }
            let is_steady = first_load.is_some_and(|loaded| at / MINUTE > loaded + 60);
            if is_steady {
                let ages = ages(&states, &agents, at + EVERY);
                p95 = p95.max(ages[ages.len() * 95 / 100]);
                oldest = oldest.max(ages[ages.len() - 1]);
            }
        }
        let first_load = first_load.expect("it is loaded some time");
        Ages {
            first_load,
            p95: p95 / MINUTE,
            oldest: oldest / MINUTE,
        }
    }
}

fn view<'a>(kinds: &'a [&'static Kind], now: i64) -> View<'a> {
    View {
        site: "default",
        kinds,
        now,
        full_every: Span(std::time::Duration::from_secs(86_400)),
        all: false,
    }
}

fn done(task: &Task, now: i64) -> State {
    let is_read = task.is_full || task.before.is_none();
    let before = task.before.clone().unwrap_or_default();
    State {
        tried_at: now,
        checked_at: Some(now),
        read_at: if is_read { Some(now) } else { before.read_at },
        complete: true,
        count: 1,
        was_active: true,
        keep_alive: Some("then".to_owned()),
        ..before
    }
}

/// How old each list is at this moment, the youngest first.
fn ages(states: &States, agents: &[Agent], at: i64) -> Vec<i64> {
    let connection: HashMap<&str, Status> = agents
        .iter()
        .map(|agent| (agent.id.as_str(), agent.status))
        .collect();
    let active = states
        .iter()
        .filter(|((owner, _), _)| connection[owner.agent.as_str()] == Status::Active);
    let mut ages: Vec<i64> = active
        .map(|(_, state)| at - state.checked_at.unwrap())
        .collect();
    ages.sort_unstable();
    ages
}

#[test]
fn the_inventory_of_2900_agents_is_as_young_as_promised() {
    for (packages, files) in [(1, 1), (2, 3)] {
        let fleet = Fleet {
            agents: 290,
            packages,
            files,
            changes: 3,
        };
        let ages = fleet.run(40);
        println!("{packages} and {files} pages: {ages:?}");
        assert!(ages.first_load <= 180, "{ages:?}");
        assert!(ages.p95 <= 60, "{ages:?}");
        assert!(ages.oldest <= 240, "{ages:?}");
    }
}
