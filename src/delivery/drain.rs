//! From the spool into MongoDB, in batches. A batch is settled only after every alert in it is in
//! MongoDB or a dead letter, so a crash repeats work and loses none.

use std::time::{Duration, Instant};

use crate::alert::enrich::{Enricher, Receipt, Source};
use crate::filter::Filter;
use crate::spool::{self, DeadLetter, Entry, EntryRef, Spool};
use crate::store::{self, Store, Written};

/// How much at a time, and until when. Batches begin small and double while they are answered, so
/// that a slow line gets something done in each call.
#[derive(Debug, Clone)]
pub struct Limits {
    records: usize,
    bytes: usize,
    largest: (usize, usize),
    per_batch: Duration,
    end: Option<Instant>,
    /// Until when a single alert may take, which cannot be divided.
    end_of_one: Option<Instant>,
}

/// What one batch of an unhurried drain may take.
const PER_BATCH: Duration = Duration::from_secs(60);
/// What one batch of a steady drain may take: a line that swallows everything is given up sooner.
const PER_STEADY_BATCH: Duration = Duration::from_secs(20);
/// The largest batch; the driver divides it further if the server wants that.
const LARGEST: (usize, usize) = (1000, 12 << 20);

impl Limits {
    /// Small batches, until `end`, or `end_of_one` for a large alert: for a call that holds up Wazuh.
    pub fn brief(end: Instant, end_of_one: Instant) -> Self {
        Self {
            records: 16,
            bytes: 64 << 10,
            largest: LARGEST,
            per_batch: PER_BATCH,
            end: Some(end),
            end_of_one: Some(end_of_one),
        }
    }

    /// Large batches, until the spool is empty.
    pub fn unhurried() -> Self {
        Self {
            records: 200,
            bytes: 1 << 20,
            largest: LARGEST,
            per_batch: PER_BATCH,
            end: None,
            end_of_one: None,
        }
    }

    /// Batches that hold little memory, until the spool is empty: for a process that goes on.
    pub fn steady() -> Self {
        Self {
            largest: (500, 1 << 20),
            per_batch: PER_STEADY_BATCH,
            ..Self::unhurried()
        }
    }

    /// Whether there is time for another batch.
    fn has_time(&self) -> bool {
        let least = Duration::from_millis(5);
        self.end
            .is_none_or(|end| end.saturating_duration_since(Instant::now()) > least)
    }

    fn within(&self, count: usize) -> Duration {
        let end = if count == 1 {
            self.end_of_one
        } else {
            self.end
        };
        end.map_or(self.per_batch, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }

    fn double(&mut self) {
        self.records = (self.records * 2).min(self.largest.0);
        self.bytes = (self.bytes * 2).min(self.largest.1);
    }
}

/// What became of the alerts in the spool.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Inserted now.
    pub stored: u64,
    /// They had been in MongoDB before.
    pub already_there: u64,
    /// Kept as dead letters.
    pub dead: u64,
    /// Taken out by a filter that could not be read when they came.
    pub filtered: u64,
    /// Refused by MongoDB, and back in the spool, since the dead letters' share is used up.
    put_back: u64,
    /// Whether MongoDB decided on any.
    reached_store: bool,
}

impl Drained {
    /// Whether MongoDB decided on at least one alert.
    pub fn reached_store(&self) -> bool {
        self.reached_store
    }

    /// Adds the counts of another drain.
    pub fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.already_there += other.already_there;
        self.dead += other.dead;
        self.filtered += other.filtered;
        self.reached_store |= other.reached_store;
    }
}

/// Why a drain stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spool cannot be read or written.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// MongoDB did not decide on a batch; it stays in the spool.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Dead letters have used up their share.
    #[error(
        "{0} alerts that MongoDB refuses were put back: the dead letters have no more room; look at them, then drop some (custom-mongo spool dead list)"
    )]
    NoRoom(u64),
    /// Another process drains.
    #[error("another process{} is draining this spool; wait for it, or end it if it hangs", pid(*.0))]
    Busy(Option<u32>),
}

fn pid(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

pub(super) fn drain(
    spool: &Spool,
    store: &Store,
    enricher: &mut Enricher,
    filter: Option<&Filter>,
    limits: &Limits,
) -> Result<Drained, Error> {
    let mut drain = spool.drain()?.ok_or_else(|| Error::Busy(spool.drainer()))?;
    let mut total = Drained::default();
    let mut limits = limits.clone();
    while limits.has_time() {
        let batch = drain.next_batch(limits.records, limits.bytes)?;
        if batch.is_empty() {
            break;
        }
        let mut entries: Vec<Entry> = batch.into_iter().map(|(_, entry)| entry).collect();
        let all = entries.len();
        if let Some(filter) = filter {
            entries.retain(|entry| !is_refused(enricher, filter, entry));
        }
        let mut counts = write(spool, store, enricher, &entries, &limits)?;
        counts.filtered = (all - entries.len()) as u64;
        drain.settle()?;
        total.add(counts);
        if counts.put_back > 0 {
            // No room for dead letters: the good ones behind them go first, the next time.
            return Err(Error::NoRoom(counts.put_back));
        }
        limits.double();
    }
    Ok(total)
}

fn write(
    spool: &Spool,
    store: &Store,
    enricher: &mut Enricher,
    entries: &[Entry],
    limits: &Limits,
) -> Result<Drained, Error> {
    let mut counts = Drained::default();
    let mut documents = Vec::with_capacity(entries.len());
    let mut of_document = Vec::with_capacity(entries.len());
    for entry in entries {
        match document(enricher, entry) {
            Ok(document) => {
                documents.push(document);
                of_document.push(entry);
            }
            Err(why) => bury(spool, entry, &why, &mut counts)?,
        }
    }
    if documents.is_empty() {
        return Ok(counts);
    }
    let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let answers = store.insert(&documents, limits.within(documents.len()))?;
    counts.reached_store = true;
    for (entry, written) in of_document.into_iter().zip(answers) {
        match written {
            Written::New => counts.stored += 1,
            Written::AlreadyThere => counts.already_there += 1,
            Written::Rejected(why) => bury(spool, entry, &why, &mut counts)?,
        }
    }
    Ok(counts)
}

fn receipt(entry: &Entry) -> Receipt<'_> {
    Receipt {
        received_at: entry.received_at_ms,
        source: Source::of_code(entry.source),
        options: &entry.options,
    }
}

fn is_refused(enricher: &mut Enricher, filter: &Filter, entry: &Entry) -> bool {
    super::refused(enricher, filter, &entry.raw, &receipt(entry)).is_some()
}

fn document(enricher: &mut Enricher, entry: &Entry) -> Result<Vec<u8>, String> {
    let document = enricher.document(&entry.raw, &receipt(entry));
    document
        .map(|document| document.bson.to_vec())
        .map_err(|why| why.to_string())
}

fn bury(spool: &Spool, entry: &Entry, reason: &str, counts: &mut Drained) -> Result<(), Error> {
    let buried = spool.bury(&DeadLetter {
        reason,
        received_at_ms: entry.received_at_ms,
        source: entry.source,
        options: &entry.options,
        raw: &entry.raw,
        offset: None,
    });
    match buried {
        Ok(_) => counts.dead += 1,
        Err(spool::Error::DeadFull { .. }) => {
            spool.put(&EntryRef {
                received_at_ms: entry.received_at_ms,
                source: entry.source,
                options: &entry.options,
                raw: &entry.raw,
            })?;
            counts.put_back += 1;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
