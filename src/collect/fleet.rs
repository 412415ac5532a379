//! One question to two hundred agents at once, where the server has experimental features on: with
//! `limit=1`, which counts per agent there, and never for whole lists, which take it minutes.

use std::collections::HashMap;

use super::plan::{Visit, Why};
use super::probe::{self, Sign};
use crate::inventory::{Kind, Owner, Probe, text};
use crate::store::State;
use crate::wazuh_api::{Answer, Api, Error};

/// Agents in one question; the URL of Wazuh 4.4 to 4.8 takes 8190 bytes.
const CHUNK: usize = 200;
/// For fewer, a question each costs the same.
const FEW: usize = 3;
/// Agents without a database that a chunk may name before each agent is asked by itself.
const EXCUSES: u32 = 5;

/// Lists that cannot have changed.
pub(super) type Quiet = Vec<(Owner, &'static Kind, State)>;

/// Asks; takes what is unchanged out of the visits, and marks what changed.
///
/// # Errors
///
/// Only what ends the run; a server without these endpoints is none.
pub(super) fn ask(
    api: &mut Api,
    visits: &mut [Visit],
    kinds: &[&'static Kind],
) -> Result<Quiet, Error> {
    let mut quiet = Quiet::new();
    for kind in kinds {
        let (Some(path), Probe::Newest(field)) = (kind.fleet, kind.probe) else {
            continue;
        };
        let asked: Vec<usize> = visits
            .iter()
            .enumerate()
            .filter(|(_, visit)| place(visit, kind).is_some())
            .map(|(index, _)| index)
            .collect();
        if asked.len() < FEW {
            continue;
        }
        for chunk in asked.chunks(CHUNK) {
            match ask_chunk(api, visits, chunk, path, field) {
                Ok(Some(answer)) => quiet.extend(apply(visits, chunk, kind, field, &answer)),
                Ok(None) => {}
                Err(Error::Absent(_) | Error::Forbidden(_) | Error::Refused(_)) => return Ok(quiet),
                Err(error @ (Error::Deadline | Error::BadLogin(_) | Error::Settings(_))) => {
                    return Err(error);
                }
                Err(error) => log::debug!("{path}: {error}"),
            }
        }
    }
    Ok(quiet)
}

/// The task of this kind, if a question can spare it.
fn place(visit: &Visit, kind: &Kind) -> Option<usize> {
    visit.tasks.iter().position(|task| {
        let complete = task.before.as_ref().is_some_and(|state| state.complete);
        task.kind == kind && task.why == Why::Ask && !task.is_full && complete
    })
}

/// One agent without a database makes the whole call fail and is named; it is left out then.
fn ask_chunk(
    api: &mut Api,
    visits: &[Visit],
    chunk: &[usize],
    path: &str,
    field: &str,
) -> Result<Option<Answer>, Error> {
    let ids = chunk.iter().filter_map(|index| visits.get(*index));
    let mut ids: Vec<&str> = ids.map(|visit| visit.owner.agent.as_str()).collect();
    let sort = format!("-{field}");
    for _ in 0..EXCUSES {
        let list = ids.join(",");
        let query = [
            ("agents_list", list.as_str()),
            ("select", field),
            ("sort", &sort),
            ("limit", "1"),
            ("wait_for_complete", "true"),
        ];
        match api.get(path, &query) {
            Ok(answer) => return Ok(Some(answer)),
            Err(Error::NoDatabase(why)) => {
                let before = ids.len();
                ids.retain(|id| !names(&why, id));
                if ids.len() == before || ids.is_empty() {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether the message names this agent.
fn names(message: &str, id: &str) -> bool {
    message
        .split(|c: char| !c.is_ascii_digit())
        .any(|number| number == id)
}

/// The total is the sum over all agents: only if it is the sum of what is known, nobody lost a row.
fn apply(
    visits: &mut [Visit],
    chunk: &[usize],
    kind: &'static Kind,
    field: &str,
    answer: &Answer,
) -> Quiet {
    let mut newest = HashMap::new();
    for row in &answer.items {
        if let Some(agent) = text(row, "agent_id") {
            newest.insert(agent, probe::newest(row, field));
        }
    }
    let mut known = 0;
    for index in chunk {
        let before = visits.get(*index).and_then(|visit| before(visit, kind));
        known += before.map_or(0, |state| state.count);
    }
    let sums_up = known == answer.total && answer.failed.is_empty();
    let mut quiet = Quiet::new();
    for index in chunk {
        let Some(visit) = visits.get_mut(*index) else {
            continue;
        };
        let Some(state) = before(visit, kind).cloned() else {
            continue;
        };
        let sign = Sign {
            newest: newest.get(visit.owner.agent.as_str()).cloned().flatten(),
            total: state.count,
        };
        if sign.newest != state.newest {
            let changed = place(visit, kind).and_then(|place| visit.tasks.get_mut(place));
            if let Some(task) = changed {
                task.why = Why::Changed;
            }
        } else if sums_up && probe::is_unchanged(kind, &state, &sign) {
            visit.tasks.retain(|task| task.kind != kind);
            quiet.push((visit.owner.clone(), kind, state));
        }
    }
    quiet
}

fn before<'a>(visit: &'a Visit, kind: &Kind) -> Option<&'a State> {
    let task = visit.tasks.get(place(visit, kind)?)?;
    task.before.as_ref()
}
