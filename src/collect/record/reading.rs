//! A list between its beginning and its end: the rows that have come, and what is stored of it.

use std::collections::HashMap;

use super::Begin;
use super::whole;
use crate::collect::probe::Sign;
use crate::inventory::{Digest, Hash, Id, Item, Kind, Row, Status, digest, item};
use crate::store::{Change, Held, State};

/// A list between its beginning and its end.
pub(in crate::collect) struct Reading {
    pub(super) begin: Begin,
    pub(super) buffer: Vec<Item>,
    /// What is stored, and whether this pass has seen it. Read when it is needed.
    pub(super) stored: Option<HashMap<Id, Stored>>,
    digest: Digest,
    pub(super) refused: Option<String>,
}

pub(super) struct Stored {
    hash: Hash,
    is_seen: bool,
    /// It came with this read.
    is_new: bool,
}

impl Reading {
    pub(super) fn new(begin: Begin) -> Self {
        Self {
            begin,
            buffer: Vec::new(),
            stored: None,
            digest: 0,
            refused: None,
        }
    }

    pub(super) fn kind(&self) -> &'static Kind {
        self.begin.task.kind
    }

    pub(super) fn again(&mut self) {
        self.buffer.clear();
        self.digest = 0;
        for stored in self.stored.iter_mut().flat_map(HashMap::values_mut) {
            stored.is_seen = false;
        }
    }

    pub(super) fn add(&mut self, rows: Vec<(Id, Row)>) {
        let (kind, owner, at) = (self.kind(), &self.begin.owner, self.begin.at);
        let items = rows
            .into_iter()
            .map(|(id, row)| item(kind, owner, id, row, at));
        let items: Vec<Item> = items.collect();
        let sum = digest(items.iter().map(|item| &item.hash));
        self.digest = self.digest.wrapping_add(sum);
        self.buffer.extend(items);
    }

    /// Whether the sum says that every row is stored as it is.
    pub(super) fn is_known(&self, sign: &Sign) -> bool {
        let task = &self.begin.task;
        self.stored.is_none()
            && !task.is_full
            && task.before.as_ref().is_some_and(|before| {
                before.complete && before.count == sign.total && before.digest == self.digest
            })
    }

    /// What is known after a complete read.
    pub(super) fn state(&self, sign: Sign, held: Option<Held>) -> State {
        let (agent, at) = (&self.begin.agent, self.begin.at);
        let before = self.begin.task.before.as_ref();
        let same = before.filter(|before| before.newest == sign.newest);
        State {
            tried_at: at,
            checked_at: Some(at),
            read_at: Some(at),
            complete: held.is_none(),
            count: sign.total,
            digest: self.digest,
            newest_since: same.map_or(at, |before| before.newest_since),
            newest: sign.newest,
            keep_alive: agent.last_keep_alive.clone(),
            was_active: agent.status == Status::Active,
            os: agent.os.clone(),
            held,
            failure: None,
        }
    }

    /// What has to be written of the rows that have come; they are seen now.
    pub(super) fn difference(&mut self, mut stored: HashMap<Id, Stored>) -> Change {
        let change = difference(std::mem::take(&mut self.buffer), &mut stored);
        self.stored = Some(stored);
        change
    }

    /// How many documents there were before, and which of them no row stands for any more.
    pub(super) fn gone(&self) -> (u64, Vec<Id>) {
        let stored = || self.stored.iter().flatten();
        let had = stored().filter(|(_, stored)| !stored.is_new).count();
        let unseen = stored().filter(|(_, stored)| !stored.is_seen);
        (whole(had), unseen.map(|(id, _)| *id).collect())
    }
}

impl Stored {
    /// What is stored, and not yet seen by the read.
    pub(super) fn unseen(current: Vec<(Id, Hash)>) -> HashMap<Id, Self> {
        let one = |(id, hash)| {
            let (is_seen, is_new) = (false, false);
            (
                id,
                Self {
                    hash,
                    is_seen,
                    is_new,
                },
            )
        };
        current.into_iter().map(one).collect()
    }
}

/// What has to be written of these rows; marks them as seen.
fn difference(items: Vec<Item>, stored: &mut HashMap<Id, Stored>) -> Change {
    let mut change = Change::default();
    for item in items {
        match stored.get_mut(&item.id) {
            None => {
                let (hash, is_seen, is_new) = (item.hash, true, true);
                stored.insert(
                    item.id,
                    Stored {
                        hash,
                        is_seen,
                        is_new,
                    },
                );
                change.new.push(item);
            }
            Some(known) => {
                known.is_seen = true;
                if known.hash != item.hash {
                    known.hash = item.hash;
                    change.changed.push(item);
                }
            }
        }
    }
    change
}
