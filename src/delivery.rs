//! Stored or spooled: the one place that keeps the promise.
//!
//! An alert goes straight to MongoDB. If that does not work within the deadline it goes into the
//! spool, and the breaker opens: from then on calls spool at once, and one in `probe_every` asks
//! MongoDB again after it has spooled. What MongoDB will never take becomes a dead letter. A write
//! that timed out may still have arrived: the spooled copy has the same `_id`, and is one with it.

use std::time::{Duration, Instant, SystemTime};

use crate::alert::enrich::{Enricher, Receipt};
use crate::alert::{self, facts};
use crate::filter::{Filter, Refusal};
use crate::spool::{self, DeadLetter, EntryRef, Spool};
use crate::store::{self, Store, Written};

mod breaker;
mod drain;
pub mod feed;
mod memory;
mod name;
mod note;
mod outcome;
mod settings;

pub use breaker::Breaker;
pub use drain::{Drained, Error as DrainError, Limits};
use memory::Memory;
pub use name::{destination_name, write as write_destination_name};
pub use outcome::{Error, Kept, Outcome};
pub use settings::{Mode, Settings};

/// The share of the deadline that MongoDB gets; the rest is kept for the spool.
const STORE_SHARE: f32 = 0.8;
/// What a call that has stored its own alert spends on what lies in the spool, at most.
const HEAL_LIMIT: Duration = Duration::from_millis(200);

/// Where alerts lie that came while the settings could not say which MongoDB they are for: the
/// first one that is reached takes them.
pub const UNASSIGNED: &str = "unassigned";

/// What a drain without hurry waits for MongoDB's first answer, at most.
const CONNECT: Duration = Duration::from_secs(10);

/// Delivers alerts to one destination.
pub struct Delivery<'a> {
    settings: &'a Settings,
    store: &'a store::Settings,
    spool: &'a Spool,
    enricher: Enricher,
    filter: Filter,
    /// When MongoDB has to have answered; the spool has its share of the deadline behind it.
    end: Instant,
    by_hand: bool,
}

impl<'a> Delivery<'a> {
    /// The call began at `started`; `bound` is the caller's own limit, if it has one.
    pub fn new(
        settings: &'a Settings,
        store: &'a store::Settings,
        spool: &'a Spool,
        enricher: Enricher,
        started: Instant,
        bound: Option<Duration>,
    ) -> Self {
        let own = settings.deadline.0;
        let deadline = bound.map_or(own, |bound| own.min(bound));
        Self {
            settings,
            store,
            spool,
            enricher,
            filter: Filter::default(),
            end: started + deadline.mul_f32(STORE_SHARE),
            by_hand: false,
        }
    }

    /// Stores only what this filter wants.
    #[must_use]
    pub fn filtered(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Asks MongoDB also while the breaker is open: a person wants to know now.
    #[must_use]
    pub fn by_hand(mut self) -> Self {
        self.by_hand = true;
        self
    }

    /// Says yes only when the alert is in MongoDB or durably on disk.
    ///
    /// # Errors
    ///
    /// What is wrong, and where the alert is now.
    pub fn deliver(&mut self, raw: &[u8], receipt: &Receipt<'_>) -> Result<Outcome, Error> {
        if let Err(why) = alert::validate(raw) {
            let dead = bury(self.spool, raw, receipt, &why.to_string());
            return Err(Error::NotAnAlert { why, dead });
        }
        if let Some(refusal) = refused(&mut self.enricher, &self.filter, raw, receipt) {
            return Ok(Outcome::Filtered(refusal));
        }
        if self.settings.mode == Mode::Spool {
            name::write(self.spool, self.store);
            return self.spool(raw, receipt, None);
        }
        let breaker = Breaker::of(self.spool.folder());
        if breaker.is_open() && !self.by_hand {
            return self.deliver_while_open(raw, receipt, &breaker);
        }
        match self.store(raw, receipt) {
            Err(store::Error::Unavailable(why)) => {
                name::write(self.spool, self.store);
                breaker.open(&why, self.spool);
                self.spool(raw, receipt, Some(why))
            }
            Err(store::Error::Settings(why)) => {
                name::write(self.spool, self.store);
                self.spool(raw, receipt, None)?;
                Err(Error::Settings(why))
            }
            Err(store::Error::Rejected(why)) | Ok(Written::Rejected(why)) => {
                Err(self.rejected(raw, receipt, why))
            }
            Ok(written) => {
                if self.by_hand {
                    breaker.close();
                }
                Ok(Outcome::Stored {
                    already_there: written == Written::AlreadyThere,
                })
            }
        }
    }

    fn rejected(&self, raw: &[u8], receipt: &Receipt<'_>, why: String) -> Error {
        let dead = bury(self.spool, raw, receipt, &why);
        Error::Rejected { why, dead }
    }

    fn deliver_while_open(
        &mut self,
        raw: &[u8],
        receipt: &Receipt<'_>,
        breaker: &Breaker,
    ) -> Result<Outcome, Error> {
        match self.spool.put(&entry(raw, receipt)) {
            Ok(_) => {
                if breaker.claim_probe(self.settings.probe_every.0) {
                    self.probe(raw, receipt, breaker);
                }
                Ok(Outcome::Spooled(None))
            }
            // The disk does not take it: then MongoDB is asked all the same.
            Err(spool) => self.store_at_last(raw, receipt, spool),
        }
    }

    fn store_at_last(
        &mut self,
        raw: &[u8],
        receipt: &Receipt<'_>,
        spool: spool::Error,
    ) -> Result<Outcome, Error> {
        match self.store(raw, receipt) {
            Ok(Written::Rejected(why)) | Err(store::Error::Rejected(why)) => {
                Err(self.rejected(raw, receipt, why))
            }
            Ok(written) => Ok(Outcome::Stored {
                already_there: written == Written::AlreadyThere,
            }),
            Err(error) => Err(Error::Refused {
                spool,
                store: Some(error.to_string()),
            }),
        }
    }

    fn spool(
        &self,
        raw: &[u8],
        receipt: &Receipt<'_>,
        why: Option<String>,
    ) -> Result<Outcome, Error> {
        match self.spool.put(&entry(raw, receipt)) {
            Ok(_) => Ok(Outcome::Spooled(why)),
            Err(spool) => Err(Error::Refused { spool, store: why }),
        }
    }

    /// Writes one alert straight to MongoDB, then a bounded bit of what lies in the spool.
    fn store(&mut self, raw: &[u8], receipt: &Receipt<'_>) -> Result<Written, store::Error> {
        let end = self.end;
        let began = Instant::now();
        let store = Store::open(self.store, left(end))?;
        let mut memory = Memory::ready(self.spool, &store, left(end))?;
        let document = self.enricher.document(raw, receipt);
        // `deliver` has validated it; should the two ever disagree it is a dead letter.
        let document = document.map_err(|why| store::Error::Rejected(why.to_string()))?;
        let written = store
            .insert(&[document.bson], left(end))?
            .into_iter()
            .next();
        memory.connected_in(began.elapsed(), self.spool);
        self.heal(&store, end);
        written.ok_or_else(|| store::Error::Unavailable("MongoDB gave no answer".to_owned()))
    }

    /// A host without any daemon drains its spool by the calls that come after an outage.
    fn heal(&mut self, store: &Store, end: Instant) {
        let unassigned = self.spool.sibling(UNASSIGNED);
        for spool in [self.spool, &unassigned] {
            if !spool.has_pending() {
                continue;
            }
            let limits = Limits::brief(end.min(Instant::now() + HEAL_LIMIT), end);
            let filter = filter_of(spool, &self.filter);
            if let Err(error) = drain::drain(spool, store, &mut self.enricher, filter, &limits) {
                log::warn!("the spool could not be drained: {error}");
            }
        }
    }

    /// Asks MongoDB whether it is back, and if so begins to drain.
    fn probe(&mut self, raw: &[u8], receipt: &Receipt<'_>, breaker: &Breaker) {
        let usual = Memory::of(self.spool.folder()).usual_connect();
        let limit = self.settings.probe_timeout.0.max(usual.saturating_mul(3));
        let end = self.end.min(Instant::now() + limit);
        let Ok(store) = Store::open(self.store, left(end)) else {
            return;
        };
        if Memory::ready(self.spool, &store, left(end)).is_err() {
            return;
        }
        // First of all this call's own alert: an answer to it proves that MongoDB is back, however
        // long the rest of the spool takes.
        if !self.insert_again(raw, receipt, &store, end) {
            return;
        }
        breaker.close();
        let limits = Limits::brief(end, self.end);
        if let Err(error) = drain::drain(self.spool, &store, &mut self.enricher, None, &limits) {
            log::warn!("the spool could not be drained: {error}");
        }
    }

    /// Inserts what has been spooled already: the two are one document.
    fn insert_again(
        &mut self,
        raw: &[u8],
        receipt: &Receipt<'_>,
        store: &Store,
        end: Instant,
    ) -> bool {
        let document = self.enricher.document(raw, receipt);
        document.is_ok_and(|document| store.insert(&[document.bson], left(end)).is_ok())
    }
}

/// Drains the whole spool, for as long as it takes; stops when MongoDB does not answer.
///
/// # Errors
///
/// Why it stopped.
pub fn drain_all(
    spool: &Spool,
    store: &Store,
    enricher: &mut Enricher,
    filter: &Filter,
    limits: &Limits,
) -> Result<Drained, drain::Error> {
    if spool.has_pending() {
        Memory::ready(spool, store, CONNECT)?;
    }
    let filter = filter_of(spool, filter);
    let drained = drain::drain(spool, store, enricher, filter, limits)?;
    if drained.reached_store() {
        Breaker::of(spool.folder()).close();
    }
    Ok(drained)
}

/// Which filter what lies in a spool has still to pass: it was asked before an alert went in, except
/// while the settings could not be read.
fn filter_of<'f>(spool: &Spool, filter: &'f Filter) -> Option<&'f Filter> {
    spool.folder().ends_with(UNASSIGNED).then_some(filter)
}

/// What takes the alert out; what cannot be read is not a filter's matter.
fn refused(
    enricher: &mut Enricher,
    filter: &Filter,
    raw: &[u8],
    receipt: &Receipt<'_>,
) -> Option<Refusal> {
    if filter.is_empty() {
        return None;
    }
    let document = enricher.document(raw, receipt).ok()?;
    filter.refuses(&facts(document.bson))
}

/// Keeps what will never be delivered as it is.
pub fn bury(spool: &Spool, raw: &[u8], receipt: &Receipt<'_>, reason: &str) -> Kept {
    if raw.trim_ascii().is_empty() {
        return Kept::Nothing;
    }
    let letter = DeadLetter {
        reason,
        received_at_ms: receipt.received_at,
        source: receipt.source.code(),
        options: receipt.options,
        raw,
        offset: None,
    };
    match spool.bury(&letter) {
        Ok(id) => Kept::As(id),
        Err(error) => Kept::Failed(error),
    }
}

/// The record of an alert in the spool: raw bytes, so that whoever drains it reads them afresh.
pub fn entry<'e>(raw: &'e [u8], receipt: &Receipt<'e>) -> EntryRef<'e> {
    EntryRef {
        received_at_ms: receipt.received_at,
        source: receipt.source.code(),
        options: receipt.options,
        raw,
    }
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn left(end: Instant) -> Duration {
    // The driver takes no limit of zero; a millisecond is over as soon.
    end.saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}
