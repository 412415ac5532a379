//! What became of all alerts so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Taken;
use crate::delivery::Drained;

/// Counts while the service runs.
#[derive(Debug, Default)]
pub(in crate::serve) struct Tally {
    stored: AtomicU64,
    already_there: AtomicU64,
    spooled: AtomicU64,
    filtered: AtomicU64,
    not_alerts: AtomicU64,
    rejected: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
    writes: AtomicU64,
    write_micros: AtomicU64,
    forwarded: AtomicU64,
    forwarded_dead: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::serve) struct Counts {
    /// In MongoDB when they were answered.
    pub(in crate::serve) stored: u64,
    /// In MongoDB before.
    pub(in crate::serve) already_there: u64,
    /// On disk when they were answered.
    pub(in crate::serve) spooled: u64,
    /// Taken out by a filter.
    pub(in crate::serve) filtered: u64,
    /// No alerts.
    pub(in crate::serve) not_alerts: u64,
    /// Refused by MongoDB for good; dead letters.
    pub(in crate::serve) rejected: u64,
    /// Told to come again, since too much waited.
    pub(in crate::serve) busy: u64,
    /// Taken neither by MongoDB nor by the disk.
    pub(in crate::serve) failed: u64,
    /// Batches that MongoDB has decided on.
    pub(in crate::serve) writes: u64,
    /// How long they took together, in microseconds.
    pub(in crate::serve) write_micros: u64,
    /// Brought from the spool into MongoDB.
    pub(in crate::serve) forwarded: u64,
    /// Dead letters from the spool.
    pub(in crate::serve) forwarded_dead: u64,
    /// Alerts that wait for a write now.
    pub(in crate::serve) waiting: u64,
    /// What alerts without an answer hold now, in bytes.
    pub(in crate::serve) held: u64,
}

impl Counts {
    /// Whatever became of them.
    pub(in crate::serve) fn received(&self) -> u64 {
        let kept = self.stored + self.already_there + self.spooled;
        let not_kept = self.filtered + self.not_alerts + self.rejected;
        kept + not_kept + self.busy + self.failed
    }
}

impl Tally {
    pub(super) fn note(&self, taken: &Taken) {
        let count = match taken {
            Taken::Stored {
                already_there: false,
            } => &self.stored,
            Taken::Stored {
                already_there: true,
            } => &self.already_there,
            Taken::Spooled => &self.spooled,
            Taken::Filtered(_) => &self.filtered,
            Taken::NotAnAlert(_) => &self.not_alerts,
            Taken::Rejected(_) => &self.rejected,
            Taken::Busy => &self.busy,
            Taken::Failed(_) => &self.failed,
        };
        add(count, 1);
    }

    pub(super) fn note_write(&self, took: Duration) {
        add(&self.writes, 1);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        add(&self.write_micros, micros);
    }

    pub(in crate::serve) fn note_drained(&self, drained: &Drained) {
        add(&self.forwarded, drained.stored + drained.already_there);
        add(&self.forwarded_dead, drained.dead);
    }

    pub(super) fn counts(&self, waiting: u64, held: u64) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            stored: read(&self.stored),
            already_there: read(&self.already_there),
            spooled: read(&self.spooled),
            filtered: read(&self.filtered),
            not_alerts: read(&self.not_alerts),
            rejected: read(&self.rejected),
            busy: read(&self.busy),
            failed: read(&self.failed),
            writes: read(&self.writes),
            write_micros: read(&self.write_micros),
            forwarded: read(&self.forwarded),
            forwarded_dead: read(&self.forwarded_dead),
            waiting,
            held,
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
