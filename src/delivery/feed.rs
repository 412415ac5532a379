//! Alerts in bulk, from a file that is its own queue: filter, enrich, batch, store. What was sent
//! is settled in order, so that the reader's mark behind the last settled batch can be kept: before
//! it nothing is missing. What is not settled is read again, and is one document all the same.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::enrich::{Agents, Enricher, Receipt, Source};
use crate::alert::facts;
use crate::filter::Screen;
use crate::spool::{self, DeadLetter, Spool};
use crate::store::{self, Answer, Bulk, IN_FLIGHT, MAX_DOCUMENT, Written};

mod counts;
mod hours;
mod load;

pub use counts::Counts;
pub use hours::{Hour, Hours};
use load::Load;

/// A batch is sent when it has so many documents or bytes: larger ones gain nothing (measured).
const FULL: (usize, usize) = (1000, 2 << 20);

/// Why feeding stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// MongoDB did not decide, or the settings are wrong.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// MongoDB refuses alerts, and the dead letters have no more room for them.
    #[error("{why}; MongoDB refuses {place}: {refused}")]
    NoRoom {
        /// What the spool says.
        why: spool::Error,
        /// File and offset.
        place: String,
        /// Why MongoDB refuses it.
        refused: String,
    },
}

/// What a feed is for.
#[derive(Debug)]
pub enum Purpose {
    /// What is not there is inserted by this connection.
    Store(Bulk),
    /// What is not there is missing; this connection looks.
    Report(Bulk),
    /// Nothing is asked.
    Count,
}

/// Which alerts are taken, by their time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From this time on.
    pub since: i64,
    /// Before this time.
    pub until: i64,
}

impl Window {
    /// All time.
    pub const ALL: Self = Self {
        since: i64::MIN,
        until: i64::MAX,
    };

    fn holds(self, time: i64) -> bool {
        self.since <= time && time < self.until
    }
}

/// Feeds lines to MongoDB; `M` is the reader's mark.
#[derive(Debug)]
pub struct Feed<'a, M> {
    enricher: Enricher,
    screen: &'a Screen,
    spool: &'a Spool,
    source: Source,
    purpose: Purpose,
    window: Window,
    open: Load,
    flying: VecDeque<Flight<M>>,
    spare: Vec<Load>,
    next_ticket: u64,
    counts: Counts,
    hours: Hours,
}

/// A batch that is under way, or that waits for one before it.
#[derive(Debug)]
struct Flight<M> {
    ticket: u64,
    load: Load,
    mark: M,
    landed: bool,
}

impl<'a, M> Feed<'a, M> {
    /// Lines of one source, through one connection.
    pub fn new(
        purpose: Purpose,
        window: Window,
        source: Source,
        enricher: Enricher,
        screen: &'a Screen,
        spool: &'a Spool,
    ) -> Self {
        Self {
            enricher,
            screen,
            spool,
            source,
            purpose,
            window,
            open: Load::default(),
            flying: VecDeque::with_capacity(IN_FLIGHT),
            spare: Vec::new(),
            next_ticket: 0,
            counts: Counts::default(),
            hours: Hours::default(),
        }
    }

    /// From now on alerts of these agents carry what is known of them.
    pub fn know(&mut self, agents: Arc<Agents>) {
        self.enricher.know(agents);
    }

    /// Takes a line; `offset` is where it begins in its file.
    pub fn line(&mut self, raw: &[u8], file: &Arc<Path>, offset: u64) {
        self.counts.read += 1;
        self.counts.bytes += raw.len() as u64;
        let receipt = Receipt {
            received_at: self.open.begun_at(),
            source: self.source,
            options: &[],
        };
        let document = match self.enricher.document(raw, &receipt) {
            Ok(document) => document,
            Err(why) => return self.bury(raw, file, offset, &why.to_string()),
        };
        if !self.window.holds(document.time) {
            self.counts.outside += 1;
        } else if document
            .expires_at
            .is_some_and(|at| at <= receipt.received_at)
        {
            self.counts.expired += 1;
        } else if !self.screen.is_empty() && !self.screen.lets_pass(&facts(document.bson)) {
            self.counts.filtered += 1;
        } else if document.bson.len() > MAX_DOCUMENT {
            let bytes = document.bson.len();
            let why = format!("the document has {bytes} bytes, MongoDB takes {MAX_DOCUMENT}");
            self.bury(raw, file, offset, &why);
        } else if matches!(self.purpose, Purpose::Count) {
            self.counts.wanted += 1;
            self.hours.note(document.time, &Written::AlreadyThere);
        } else {
            self.open.push(&document, raw, file, offset);
        }
    }

    /// Counts an empty line.
    pub fn empty_line(&mut self) {
        self.counts.empty += 1;
    }

    /// Keeps what is no alert as a dead letter, with file and offset; the lines behind it go on.
    pub fn bury(&mut self, raw: &[u8], file: &Path, offset: u64, why: &str) {
        if !matches!(self.purpose, Purpose::Store(_)) {
            self.counts.rejected += 1;
            return;
        }
        let place = place(file, offset);
        let at = self.open.begun_at();
        match self.keep(raw, offset, &format!("{place}: {why}"), at) {
            Ok(id) => {
                self.counts.rejected += 1;
                log::warn!("{place}: {why}; kept as dead letter {id}");
            }
            Err(error) => {
                self.counts.unkept += 1;
                log::error!("{place}: {why}; it stays in the file, since {error}");
            }
        }
    }

    fn keep(&self, raw: &[u8], offset: u64, reason: &str, at: i64) -> Result<String, spool::Error> {
        self.spool.bury(&DeadLetter {
            reason,
            received_at_ms: at,
            source: self.source.code(),
            options: &[],
            raw,
            offset: Some(offset),
        })
    }

    /// Whether the batch should be sent before another line is taken.
    pub fn is_full(&self) -> bool {
        self.open.batch.len() >= FULL.0 || self.open.batch.bytes() >= FULL.1
    }

    /// How many alerts wait to be sent.
    pub fn len(&self) -> usize {
        self.open.batch.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.open.batch.is_empty()
    }

    /// Whether a batch may be sent without waiting.
    pub fn has_slot(&self) -> bool {
        self.flying.iter().filter(|flight| !flight.landed).count() < IN_FLIGHT
    }

    /// Whether everything that was sent is settled.
    pub fn is_idle(&self) -> bool {
        self.flying.is_empty()
    }

    /// Sends what was taken; `mark` is the reader's, behind the last line. The caller waits for a
    /// slot first.
    ///
    /// # Errors
    ///
    /// The connection's thread has ended.
    pub fn send(&mut self, mark: M) -> Result<(), Error> {
        let mut load = std::mem::replace(&mut self.open, self.spare.pop().unwrap_or_default());
        let batch = std::mem::take(&mut load.batch);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let landed = batch.is_empty();
        if landed {
            load.batch = batch;
        } else {
            self.bulk()?.send(ticket, batch)?;
        }
        self.flying.push_back(Flight {
            ticket,
            load,
            mark,
            landed,
        });
        Ok(())
    }

    /// Waits for an answer, at most for so long, and gives the mark behind which everything is
    /// settled, if it has moved.
    ///
    /// # Errors
    ///
    /// MongoDB did not decide, or a refused alert cannot be kept: nothing behind the last mark is
    /// settled then.
    pub fn settle(&mut self, within: Duration) -> Result<Option<M>, Error> {
        if self.flying.iter().any(|flight| !flight.landed)
            && let Some(answer) = self.bulk()?.answer(within)?
        {
            self.land(answer)?;
        }
        let mut settled = None;
        while self.flying.front().is_some_and(|flight| flight.landed) {
            if let Some(mut flight) = self.flying.pop_front() {
                flight.load.clear();
                self.spare.push(flight.load);
                settled = Some(flight.mark);
            }
        }
        Ok(settled)
    }

    fn land(&mut self, answer: Answer) -> Result<(), Error> {
        let Some(at) = self
            .flying
            .iter()
            .position(|flight| flight.ticket == answer.ticket)
        else {
            return Ok(());
        };
        let written = answer.written?;
        self.counts.completed += answer.completed;
        for (place, written) in written.iter().enumerate() {
            self.count(at, place, written)?;
        }
        if let Some(flight) = self.flying.get_mut(at) {
            flight.landed = true;
            flight.load.batch = answer.batch;
        }
        Ok(())
    }

    fn count(&mut self, flight: usize, place: usize, written: &Written) -> Result<(), Error> {
        let Some(flight) = self.flying.get(flight) else {
            return Ok(());
        };
        let time = flight.load.time(place);
        match (written, &self.purpose) {
            (Written::AlreadyThere, _) => self.counts.already_there += 1,
            (Written::New, Purpose::Store(_)) => self.counts.stored += 1,
            (Written::New, _) => self.counts.missing += 1,
            (Written::Rejected(why), _) => {
                let (raw, file, offset) = flight.load.line(place);
                self.refused(raw, &file, offset, why)?;
                self.counts.rejected += 1;
            }
        }
        self.hours.note(time, written);
        Ok(())
    }

    /// An alert that MongoDB will never take: kept, or nothing goes on.
    fn refused(&self, raw: &[u8], file: &Path, offset: u64, why: &str) -> Result<(), Error> {
        let place = place(file, offset);
        let reason = format!("{place}: {why}");
        let kept = self.keep(raw, offset, &reason, crate::delivery::now());
        let id = kept.map_err(|error| Error::NoRoom {
            why: error,
            place,
            refused: why.to_owned(),
        })?;
        log::warn!("{reason}; kept as dead letter {id}");
        Ok(())
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What was there and what was missing, hour by hour.
    pub fn into_hours(self) -> Hours {
        self.hours
    }

    /// Asks MongoDB no more than once again.
    pub fn stop(&self) {
        if let Ok(bulk) = self.bulk() {
            bulk.stop();
        }
    }

    fn bulk(&self) -> Result<&Bulk, Error> {
        match &self.purpose {
            Purpose::Store(bulk) | Purpose::Report(bulk) => Ok(bulk),
            Purpose::Count => {
                let why = "nothing is sent while alerts are only counted".to_owned();
                Err(store::Error::Settings(why).into())
            }
        }
    }
}

fn place(file: &Path, offset: u64) -> String {
    format!("{}, offset {offset}", file.display())
}
