//! The writing side: makes documents of rows, compares them with what is stored, writes only what
//! changed, and keeps removals until the end of the run, when `loss` can be judged for the site.

mod reading;
mod removal;

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
use crate::inventory::{Agent, Id, Kind, Owner, Row, Status};
use crate::setting::{Percent, Span};
use crate::store::{Change, Lease, State, Store};
use reading::{Reading, Stored};
use removal::Pending;

/// Rows that are kept until the list has ended; then their sum often spares every comparison.
const BUFFERED: usize = 4000;
/// States that are written together.
const STATES: usize = 200;

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
        let stored = match reading.stored.take() {
            Some(stored) => stored,
            None => self.stored(reading)?,
        };
        let change = reading.difference(stored);
        let counts = self.report.of(reading.kind().name);
        counts.new += whole(change.new.len());
        counts.changed += whole(change.changed.len());
        let refused = self.write(reading.kind(), &change, reading.begin.at)?;
        reading.refused = reading.refused.take().or(refused);
        Ok(())
    }

    fn stored(&self, reading: &Reading) -> Result<HashMap<Id, Stored>, Error> {
        let owner = &reading.begin.owner;
        let current = self.store.current(reading.kind(), owner, WITHIN)?;
        Ok(Stored::unseen(current))
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
        let (had, gone) = reading.gone();
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
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
