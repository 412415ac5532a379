//! From the spool into MongoDB, in batches. A batch is settled only after every alert in it is in
//! MongoDB or a dead letter, so a crash repeats work and loses none.

use std::time::{Duration, Instant};

use crate::alert::enrich::{Enricher, Receipt, Source};
use crate::spool::{self, DeadLetter, Entry, Spool};
use crate::store::{self, Store, Written};

/// How much at a time, and until when.
#[derive(Debug, Clone)]
pub struct Limits {
    records: usize,
    bytes: usize,
    end: Option<Instant>,
    per_batch: Duration,
}

impl Limits {
    /// Small batches, until `end`: for a call that holds up Wazuh.
    pub fn brief(end: Instant) -> Self {
        let per_batch = end.saturating_duration_since(Instant::now());
        Self {
            records: 200,
            bytes: 1 << 20,
            end: Some(end),
            per_batch,
        }
    }

    /// Large batches, until the spool is empty.
    pub fn unhurried() -> Self {
        Self {
            records: 1000,
            bytes: 12 << 20,
            end: None,
            per_batch: Duration::from_secs(30),
        }
    }

    fn left(&self) -> Option<Duration> {
        let Some(end) = self.end else {
            return Some(self.per_batch);
        };
        let left = end.saturating_duration_since(Instant::now());
        (left > Duration::from_millis(5)).then_some(left)
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
    limits: &Limits,
) -> Result<Drained, Error> {
    let mut drain = spool.drain()?.ok_or_else(|| Error::Busy(spool.drainer()))?;
    let mut total = Drained::default();
    while let Some(within) = limits.left() {
        let batch = drain.next_batch(limits.records, limits.bytes)?;
        if batch.is_empty() {
            break;
        }
        let entries: Vec<Entry> = batch.into_iter().map(|(_, entry)| entry).collect();
        total.add(write(spool, store, enricher, &entries, within)?);
        drain.settle()?;
    }
    Ok(total)
}

fn write(
    spool: &Spool,
    store: &Store,
    enricher: &mut Enricher,
    entries: &[Entry],
    within: Duration,
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
    let answers = store.insert(&documents, within)?;
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

fn document(enricher: &mut Enricher, entry: &Entry) -> Result<Vec<u8>, String> {
    let receipt = Receipt {
        received_at: entry.received_at_ms,
        source: Source::of_code(entry.source),
        options: &entry.options,
    };
    let document = enricher.document(&entry.raw, &receipt);
    document
        .map(|document| document.bson.to_vec())
        .map_err(|why| why.to_string())
}

fn bury(spool: &Spool, entry: &Entry, reason: &str, counts: &mut Drained) -> Result<(), Error> {
    spool.bury(&DeadLetter {
        reason,
        received_at_ms: entry.received_at_ms,
        source: entry.source,
        options: &entry.options,
        raw: &entry.raw,
    })?;
    counts.dead += 1;
    Ok(())
}
