//! One question to two hundred agents at once, where the server has experimental features on: with
//! `limit=1`, which counts per agent there, and never for whole lists, which take it minutes.

use std::collections::HashMap;

use super::plan::{Visit, Why};
use super::probe::{self, Sign};
use crate::inventory::{Kind, Owner, Probe, Row, text};
use crate::store::State;
use crate::wazuh_api::{Answer, Api, Error};

/// Agents in one question; the URL of Wazuh 4.4 to 4.8 takes 8190 bytes.
const CHUNK: usize = 200;
/// For fewer, a question each costs the same.
const FEW: usize = 3;
/// Agents without a database that a chunk may name before each agent is asked by itself.
const EXCUSES: u32 = 5;
/// How often a chunk is asked without those that moved.
const ROUNDS: u32 = 3;

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
            match settle(api, visits, chunk.to_vec(), kind, (path, field)) {
                Ok(settled) => quiet.extend(settled),
                Err(Error::Absent(_) | Error::Forbidden(_) | Error::Refused(_)) => {
                    return Ok(quiet);
                }
                Err(error @ (Error::Deadline | Error::BadLogin(_) | Error::Settings(_))) => {
                    return Err(error);
                }
                Err(error) => log::debug!("{path}: {error}"),
            }
        }
    }
    Ok(quiet)
}

/// Asks until nobody is left in the chunk whose newest time moved. The total is the sum over all
/// agents: a row less here and a row more there look like nothing, so that only among agents that
/// all stand still it says that nobody lost a row.
fn settle(
    api: &mut Api,
    visits: &mut [Visit],
    mut chunk: Vec<usize>,
    kind: &'static Kind,
    (path, field): (&str, &str),
) -> Result<Quiet, Error> {
    for _ in 0..ROUNDS {
        let Some(answer) = ask_chunk(api, visits, &mut chunk, path, field)? else {
            break;
        };
        let moved = mark_moved(visits, &chunk, kind, &newest_of(&answer, field));
        if moved.is_empty() {
            let is_whole = answer.failed.is_empty();
            return Ok(if is_whole {
                take(visits, &chunk, kind, answer.total)
            } else {
                Quiet::new()
            });
        }
        chunk.retain(|index| !moved.contains(index));
        if chunk.len() < FEW {
            break;
        }
    }
    Ok(Quiet::new())
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
    chunk: &mut Vec<usize>,
    path: &str,
    field: &str,
) -> Result<Option<Answer>, Error> {
    let id = |index: &usize| {
        visits
            .get(*index)
            .map_or("", |visit| visit.owner.agent.as_str())
    };
    let sort = format!("-{field}");
    for _ in 0..EXCUSES {
        let list = chunk.iter().map(id).collect::<Vec<_>>().join(",");
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
                let before = chunk.len();
                chunk.retain(|index| !names(&why, id(index)));
                if chunk.len() == before || chunk.is_empty() {
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

/// The newest time of each agent that has rows.
fn newest_of(answer: &Answer, field: &str) -> HashMap<String, Option<String>> {
    let one = |row: &Row| Some((text(row, "agent_id")?.to_owned(), probe::newest(row, field)));
    answer.items.iter().filter_map(one).collect()
}

/// Marks whose newest time is another than what is known.
fn mark_moved(
    visits: &mut [Visit],
    chunk: &[usize],
    kind: &Kind,
    newest: &HashMap<String, Option<String>>,
) -> Vec<usize> {
    let mut moved = Vec::new();
    for index in chunk {
        let Some(visit) = visits.get_mut(*index) else {
            continue;
        };
        let newest = newest.get(&visit.owner.agent).cloned().flatten();
        let is_same = before(visit, kind).is_some_and(|state| state.newest == newest);
        let task = place(visit, kind).and_then(|place| visit.tasks.get_mut(place));
        if let Some(task) = task.filter(|_| !is_same) {
            task.why = Why::Changed;
            moved.push(*index);
        }
    }
    moved
}

/// Takes the tasks out that are not needed, if the rows of all add up to what is known.
fn take(visits: &mut [Visit], chunk: &[usize], kind: &'static Kind, total: u64) -> Quiet {
    let count = |index: &usize| {
        let visit = visits.get(*index);
        visit
            .and_then(|visit| before(visit, kind))
            .map_or(0, |state| state.count)
    };
    if chunk.iter().map(count).sum::<u64>() != total {
        return Quiet::new();
    }
    let mut quiet = Quiet::new();
    for index in chunk {
        let Some(visit) = visits.get_mut(*index) else {
            continue;
        };
        let Some(state) = before(visit, kind).cloned() else {
            continue;
        };
        let sign = Sign {
            newest: state.newest.clone(),
            total: state.count,
        };
        // What may have changed within the second of its last read is asked by itself.
        if probe::is_unchanged(kind, &state, &sign) {
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
