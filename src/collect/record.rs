//! The writing side: makes documents of rows, compares them with what is stored, writes only what
//! changed, and keeps removals until the end of the run, when `loss` can be judged for the site.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use super::Error;
use super::holder::LASTS;
use super::loss::{self, Evidence, Verdict};
use super::plan::Task;
use super::probe::Sign;
use super::report::Report;
use super::run::{Mode, WITHIN};
use crate::inventory::{Agent, Digest, Hash, Id, Item, Kind, Owner, Row, Status, digest, item};
use crate::setting::{Percent, Span};
use crate::store::{Change, Held, Lease, State, Store};

/// Rows that are kept until the list has ended; then their sum often spares every comparison.
const BUFFERED: usize = 4000;
/// States that are written together.
const STATES: usize = 200;
/// Removals that are kept until the end of a run, 16 bytes each; a list beyond is read again.
const PENDING: usize = 1_000_000;

/// What the reading side says.
#[derive(Debug)]
pub(super) enum Message {
    /// A list begins.
    Begin(Box<Begin>),
    /// Some of its rows.
    Rows(Vec<(Id, Row)>),
    /// It moved, and is read once more from its beginning.
    Again,
    /// It has ended.
    End(End),
    /// It broke off; a message of its own says what is known now.
    Abandon,
    /// Nothing was read; this is what is known now.
    Known(Box<(Owner, &'static Kind, State)>),
}

/// A list that is read.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) owner: Owner,
    pub(super) task: Task,
    pub(super) agent: Agent,
    /// When the read begins.
    pub(super) at: i64,
}

/// How a list ended.
#[derive(Debug)]
pub(super) enum End {
    /// Every row was seen.
    Complete {
        sign: Sign,
        /// Nothing moved meanwhile, so that what is not there is gone.
        is_verified: bool,
        /// When the agent scanned last, where that matters.
        scanned: Option<String>,
    },
    /// Rows may be missing.
    Partial(String),
}

/// What the recorder works with.
pub(super) struct Recorder<'a> {
    pub(super) store: &'a Store,
    pub(super) lease: Option<&'a Lease>,
    pub(super) mode: Mode,
    pub(super) version: &'a str,
    pub(super) confirm_after: Span,
    pub(super) max_loss: Percent,
    /// Agents of the site that have data.
    pub(super) agents: u64,
    /// Agents that have lost a kind before this run, and have not got it back.
    pub(super) losing: HashMap<&'static str, HashSet<Owner>>,
    pub(super) report: Report,
    pub(super) reading: Option<Reading>,
    pub(super) states: Vec<(Owner, &'static str, State)>,
    pub(super) pending: Vec<Pending>,
    pub(super) renewed: Instant,
}

/// A list between its beginning and its end.
pub(super) struct Reading {
    begin: Begin,
    buffer: Vec<Item>,
    /// What is stored, and whether this pass has seen it. Read when it is needed.
    stored: Option<HashMap<Id, Stored>>,
    count: u64,
    digest: Digest,
    refused: Option<String>,
}

struct Stored {
    hash: Hash,
    is_seen: bool,
    /// It came with this read.
    is_new: bool,
}

/// Documents whose rows are gone, until the run ends.
pub(super) struct Pending {
    owner: Owner,
    kind: &'static Kind,
    gone: Vec<Id>,
    /// The loss that is believed now, if it is one.
    held: Option<Held>,
    at: i64,
    state: State,
}

impl Recorder<'_> {
    /// Works until the reading side has ended; gives what was done.
    pub(super) fn run(mut self, from: &Receiver<Message>) -> Result<Report, Error> {
        loop {
            match from.recv_timeout(LASTS / 6) {
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.renew()?;
        }
        self.finish()?;
        Ok(self.report)
    }

    fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Begin(begin) => self.reading = Some(Reading::new(*begin)),
            Message::Rows(rows) => return self.rows(rows),
            Message::Again => {
                if let Some(reading) = &mut self.reading {
                    reading.again();
                }
            }
            Message::End(end) => {
                if let Some(reading) = self.reading.take() {
                    return self.end(reading, end);
                }
            }
            Message::Abandon => {
                // What was seen is there, whatever else is not known.
                if let Some(mut reading) = self.reading.take() {
                    return self.compare(&mut reading);
                }
            }
            Message::Known(known) => {
                let (owner, kind, state) = *known;
                return self.keep(owner, kind, state);
            }
        }
        Ok(())
    }

    /// Before anything is written it is certain that nobody else writes for this site.
    fn renew(&mut self) -> Result<(), Error> {
        let Some(lease) = self.lease.filter(|_| self.renewed.elapsed() > LASTS / 4) else {
            return Ok(());
        };
        if !self.store.renew(lease, LASTS, WITHIN)? {
            return Err(Error::LeaseLost);
        }
        self.renewed = Instant::now();
        Ok(())
    }

    fn rows(&mut self, rows: Vec<(Id, Row)>) -> Result<(), Error> {
        let Some(mut reading) = self.reading.take() else {
            return Ok(());
        };
        self.report.of(reading.kind().name).seen += whole(rows.len());
        reading.add(rows);
        if reading.buffer.len() >= BUFFERED {
            self.compare(&mut reading)?;
        }
        self.reading = Some(reading);
        Ok(())
    }

    /// Compares what is buffered with what is stored and writes the difference.
    fn compare(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let mut stored = match reading.stored.take() {
            Some(stored) => stored,
            None => self.stored(reading)?,
        };
        let change = difference(std::mem::take(&mut reading.buffer), &mut stored);
        reading.stored = Some(stored);
        let counts = self.report.of(reading.kind().name);
        counts.new += whole(change.new.len());
        counts.changed += whole(change.changed.len());
        let refused = self.write(reading.kind(), &change, reading.begin.at)?;
        reading.refused = reading.refused.take().or(refused);
        Ok(())
    }

    fn stored(&self, reading: &Reading) -> Result<HashMap<Id, Stored>, Error> {
        let current = self
            .store
            .current(reading.kind(), &reading.begin.owner, WITHIN)?;
        let unseen = |hash| Stored {
            hash,
            is_seen: false,
            is_new: false,
        };
        Ok(current
            .into_iter()
            .map(|(id, hash)| (id, unseen(hash)))
            .collect())
    }

    /// Gives the first reason why a document was refused.
    fn write(&mut self, kind: &Kind, change: &Change, at: i64) -> Result<Option<String>, Error> {
        if self.mode == Mode::Dry || change.is_empty() {
            return Ok(None);
        }
        self.renew()?;
        let refused = self.store.write(kind, change, at, WITHIN)?;
        Ok(refused.into_iter().next())
    }

    fn end(&mut self, mut reading: Reading, end: End) -> Result<(), Error> {
        self.report.of(reading.kind().name).read += 1;
        let (sign, is_verified, scanned) = match end {
            End::Partial(why) => return self.partial(reading, why),
            End::Complete {
                sign,
                is_verified,
                scanned,
            } => (sign, is_verified, scanned),
        };
        if reading.is_known(&sign) {
            let state = reading.state(sign, None);
            return self.keep(reading.begin.owner, reading.begin.task.kind, state);
        }
        self.compare(&mut reading)?;
        if let Some(why) = reading.refused.take() {
            return self.partial(reading, format!("MongoDB refused a document: {why}"));
        }
        let stored = reading.stored.take().unwrap_or_default();
        let had = whole(stored.values().filter(|stored| !stored.is_new).count());
        let unseen = stored.iter().filter(|(_, stored)| !stored.is_seen);
        let gone: Vec<Id> = unseen.map(|(id, _)| *id).collect();
        let before = reading.begin.task.before.as_ref();
        let verdict = loss::judge(
            &Evidence {
                had,
                now: sign.total,
                newest_before: before.and_then(|state| state.newest.as_deref()),
                scanned: scanned.as_deref(),
                held: before.and_then(|state| state.held.as_ref()),
                is_active: reading.begin.agent.status == Status::Active,
                version: self.version,
                at: reading.begin.at,
            },
            self.confirm_after,
        );
        if !gone.is_empty() && !is_verified {
            return self.partial(reading, "it is not certain that nothing moved".to_owned());
        }
        self.conclude(reading, sign, verdict, gone)
    }

    fn conclude(
        &mut self,
        reading: Reading,
        sign: Sign,
        verdict: Verdict,
        gone: Vec<Id>,
    ) -> Result<(), Error> {
        let (owner, kind) = (reading.begin.owner.clone(), reading.begin.task.kind);
        match verdict {
            _ if gone.is_empty() => {
                self.recovered(&owner, kind);
                self.keep(owner, kind, reading.state(sign, None))
            }
            Verdict::Suspicious(held) => {
                self.losing
                    .entry(kind.name)
                    .or_default()
                    .insert(owner.clone());
                self.report.of(kind.name).held += 1;
                self.keep(owner, kind, reading.state(sign, Some(held)))
            }
            Verdict::Confirmed(held) => {
                self.losing.entry(kind.name).or_default().insert(owner);
                self.put_off(reading, sign, gone, Some(held))
            }
            Verdict::Ordinary => {
                self.recovered(&owner, kind);
                self.put_off(reading, sign, gone, None)
            }
        }
    }

    fn recovered(&mut self, owner: &Owner, kind: &Kind) {
        if let Some(losing) = self.losing.get_mut(kind.name) {
            losing.remove(owner);
        }
    }

    /// Removals wait for the end of the run.
    fn put_off(
        &mut self,
        reading: Reading,
        sign: Sign,
        gone: Vec<Id>,
        held: Option<Held>,
    ) -> Result<(), Error> {
        let waiting: usize = self.pending.iter().map(|pending| pending.gone.len()).sum();
        if waiting + gone.len() > PENDING {
            let why = "too many rows are gone at once; the next run goes on".to_owned();
            return self.partial(reading, why);
        }
        let state = reading.state(sign, None);
        self.pending.push(Pending {
            owner: reading.begin.owner,
            kind: reading.begin.task.kind,
            gone,
            held,
            at: reading.begin.at,
            state,
        });
        Ok(())
    }

    fn partial(&mut self, mut reading: Reading, why: String) -> Result<(), Error> {
        // What was seen is there, whatever else is not known.
        self.compare(&mut reading)?;
        let begin = reading.begin;
        let kind = begin.task.kind;
        self.report.of(kind.name).failed += 1;
        self.report
            .fail(Some(&begin.owner.agent), kind.name, why.clone());
        let state = State {
            tried_at: begin.at,
            complete: false,
            failure: Some(why),
            ..begin.task.before.unwrap_or_default()
        };
        self.keep(begin.owner, kind, state)
    }

    fn keep(&mut self, owner: Owner, kind: &'static Kind, state: State) -> Result<(), Error> {
        self.states.push((owner, kind.name, state));
        if self.states.len() >= STATES {
            self.save()
        } else {
            Ok(())
        }
    }

    fn save(&mut self) -> Result<(), Error> {
        let states = std::mem::take(&mut self.states);
        if self.mode == Mode::Write && !states.is_empty() {
            self.store.save_states(&states, WITHIN)?;
        }
        Ok(())
    }

    /// Removes what is gone, kind by kind, unless too many agents lost it at once.
    fn finish(&mut self) -> Result<(), Error> {
        self.save()?;
        let allowed = loss::allowed(self.agents, self.max_loss);
        let mut stopped = HashSet::new();
        for (kind, losing) in &self.losing {
            let count = whole(losing.len());
            if count > allowed {
                stopped.insert(*kind);
                let agents = self.agents;
                self.report.warn(format!(
                    "{kind}: {count} of {agents} agents lost most or all of it; nothing of it is marked as removed (collect.max_loss). Was the manager upgraded, or did a worker fail over?"
                ));
            }
        }
        for pending in std::mem::take(&mut self.pending) {
            if stopped.contains(pending.kind.name) {
                self.hold_back(pending)?;
            } else {
                self.remove(pending)?;
            }
        }
        self.save()
    }

    fn hold_back(&mut self, pending: Pending) -> Result<(), Error> {
        self.report.of(pending.kind.name).held += 1;
        let state = State {
            complete: false,
            held: pending.held,
            failure: Some("too many agents lost this kind at once".to_owned()),
            ..pending.state
        };
        self.keep(pending.owner, pending.kind, state)
    }

    fn remove(&mut self, pending: Pending) -> Result<(), Error> {
        let change = Change {
            gone: pending.gone,
            ..Change::default()
        };
        self.report.of(pending.kind.name).removed += whole(change.gone.len());
        let mut state = pending.state;
        if let Some(why) = self.write(pending.kind, &change, pending.at)? {
            self.report
                .fail(Some(&pending.owner.agent), pending.kind.name, why.clone());
            (state.complete, state.failure) = (false, Some(why));
        }
        self.keep(pending.owner, pending.kind, state)
    }
}

impl Reading {
    fn new(begin: Begin) -> Self {
        Self {
            begin,
            buffer: Vec::new(),
            stored: None,
            count: 0,
            digest: 0,
            refused: None,
        }
    }

    fn kind(&self) -> &'static Kind {
        self.begin.task.kind
    }

    fn again(&mut self) {
        self.buffer.clear();
        (self.count, self.digest) = (0, 0);
        for stored in self.stored.iter_mut().flat_map(HashMap::values_mut) {
            stored.is_seen = false;
        }
    }

    fn add(&mut self, rows: Vec<(Id, Row)>) {
        let (kind, owner, at) = (self.kind(), &self.begin.owner, self.begin.at);
        let items = rows
            .into_iter()
            .map(|(id, row)| item(kind, owner, id, row, at));
        let items: Vec<Item> = items.collect();
        self.count += whole(items.len());
        let sum = digest(items.iter().map(|item| &item.hash));
        self.digest = self.digest.wrapping_add(sum);
        self.buffer.extend(items);
    }

    /// Whether the sum says that every row is stored as it is.
    fn is_known(&self, sign: &Sign) -> bool {
        let task = &self.begin.task;
        self.stored.is_none()
            && !task.is_full
            && task.before.as_ref().is_some_and(|before| {
                before.complete && before.count == sign.total && before.digest == self.digest
            })
    }

    /// What is known after a complete read.
    fn state(&self, sign: Sign, held: Option<Held>) -> State {
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

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
