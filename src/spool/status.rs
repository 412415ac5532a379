//! What lies in a spool, for people and for whoever decides whether to drain. Changes nothing, and
//! takes no lock.

use super::error::Result;
use super::record::{self, EntryRef};
use super::scan::Item;
use super::segment::{Loaded, Segment};
use super::{RecordId, Spool, dead, folder};

/// One destination's spool in numbers; bytes unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Records that are not delivered.
    pub pending: u64,
    /// Bytes that they take.
    pub pending_bytes: u64,
    /// When the oldest of them was received, in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// Segments, dead letters and what is kept for reuse, together.
    pub bytes_on_disk: u64,
    /// The most that `bytes_on_disk` may be.
    pub max_size: u64,
    /// Dead letters.
    pub dead: u64,
    /// Bytes that they take.
    pub dead_bytes: u64,
    /// Damaged stretches: those among the dead letters, and those that were met in the segments.
    pub damaged: u64,
    /// Bytes that are free on the disk for this user.
    pub disk_free: u64,
    /// Bytes that segments may still take: within `max_size`, dead letters' share and the disk's
    /// reserve left out.
    pub room: u64,
}

/// A record that waits, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Segment and number.
    pub id: RecordId,
    /// When it was received, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// Which way it came; the caller's code.
    pub source: u8,
    /// Length of the alert.
    pub bytes: u64,
}

#[derive(Default)]
struct Pending {
    records: u64,
    bytes: u64,
    oldest: Option<i64>,
    gaps: u64,
}

impl Spool {
    /// True when something waits to be delivered, or when nobody can tell (`drain` will say why).
    /// Reads a folder and the heads of its segments; a folder that is not there holds nothing.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.find_pending().unwrap_or_else(|error| {
            log::debug!("{error}");
            true
        })
    }

    fn find_pending(&self) -> Result<bool> {
        for number in folder::list(self.folder())?.unwrap_or_default().numbers {
            if let Some(segment) = self.readable(number)?
                && waits(&segment)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The spool in numbers; what was never made counts as empty.
    pub fn status(&self) -> Result<Status> {
        let listing = folder::list(self.folder())?.unwrap_or_default();
        let mut all = Pending::default();
        for &number in &listing.numbers {
            let Some(segment) = self.readable(number)? else {
                continue;
            };
            let one = pending(&segment, all.oldest.is_none())?;
            all.add(&one);
        }
        let dead = dead::census(self)?;
        let disk = folder::room(
            self.folder()
                .ancestors()
                .find(|path| path.exists())
                .unwrap_or(self.folder()),
        )?;
        let segments = listing.bytes(self.folder());
        let dead_share = dead.bytes.max(self.max_size() / 10);
        let limit = self.max_size().saturating_sub(dead_share);
        let reserve = self.reserve(&disk);
        Ok(Status {
            room: limit
                .saturating_sub(segments)
                .min(disk.free.saturating_sub(reserve)),
            pending: all.records,
            pending_bytes: all.bytes,
            oldest_ms: all.oldest,
            bytes_on_disk: segments.saturating_add(dead.bytes),
            max_size: self.max_size(),
            dead: dead.files as u64,
            dead_bytes: dead.bytes,
            damaged: dead.damaged as u64 + all.gaps,
            disk_free: disk.free,
        })
    }

    /// Whether no further segment can be made.
    #[must_use]
    pub fn is_full(&self, status: &Status) -> bool {
        status.room < self.segment_size()
    }

    /// The first `limit` records that wait.
    pub fn list(&self, limit: usize) -> Result<Vec<Summary>> {
        let mut found = Vec::new();
        for number in folder::list(self.folder())?.unwrap_or_default().numbers {
            if found.len() >= limit {
                break;
            }
            let Some(segment) = self.readable(number)? else {
                continue;
            };
            if waits(&segment)? {
                let loaded = segment.load(segment.cursor())?;
                found.extend(
                    records(&segment, &loaded)
                        .map(|(seq, entry)| summary(number, seq, &entry))
                        .take(limit - found.len()),
                );
            }
        }
        Ok(found)
    }

    /// A segment of this version, if it is still there.
    fn readable(&self, number: u64) -> Result<Option<Segment>> {
        Ok(Segment::open(self.folder(), number)?.filter(|segment| !segment.foreign()))
    }
}

impl Pending {
    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.oldest = self.oldest.or(other.oldest);
        self.gaps += other.gaps;
    }
}

fn waits(segment: &Segment) -> Result<bool> {
    let cursor = segment.cursor();
    if segment.ends_at(cursor)? {
        return Ok(false);
    }
    if segment
        .hint()
        .is_some_and(|hint| hint.offset > cursor.offset)
    {
        return Ok(true);
    }
    Ok(!segment.load(cursor)?.scan.items.is_empty())
}

/// Believes a hint with a clean tail behind it; reads and walks everything otherwise, or when the
/// oldest record is asked for.
fn pending(segment: &Segment, with_oldest: bool) -> Result<Pending> {
    let cursor = segment.cursor();
    if segment.ends_at(cursor)? {
        return Ok(Pending::default());
    }
    if let Some(hint) = segment.hint().filter(|_| !with_oldest)
        && hint.offset > cursor.offset
        && segment.ends_at(hint)?
    {
        let (records, bytes) = (
            hint.seq.saturating_sub(cursor.seq),
            hint.offset - cursor.offset,
        );
        return Ok(Pending {
            records,
            bytes,
            ..Pending::default()
        });
    }
    let loaded = segment.load(cursor)?;
    let records = loaded
        .scan
        .items
        .iter()
        .filter(|item| matches!(item, Item::Record { .. }))
        .count() as u64;
    Ok(Pending {
        records,
        bytes: loaded.scan.tail as u64,
        oldest: self::records(segment, &loaded)
            .next()
            .map(|(_, entry)| entry.received_at_ms),
        gaps: loaded.scan.items.len() as u64 - records,
    })
}

fn records<'a>(
    segment: &'a Segment,
    loaded: &'a Loaded,
) -> impl Iterator<Item = (u64, EntryRef<'a>)> {
    loaded.scan.items.iter().filter_map(|item| match *item {
        Item::Record { at, seq, .. } => Some((
            seq,
            record::read(segment.generation(), loaded.bytes.get(at..)?)?.entry,
        )),
        Item::Gap { .. } => None,
    })
}

fn summary(segment: u64, seq: u64, entry: &EntryRef) -> Summary {
    let EntryRef {
        received_at_ms,
        source,
        raw,
        ..
    } = *entry;
    Summary {
        id: RecordId { segment, seq },
        received_at_ms,
        source,
        bytes: raw.len() as u64,
    }
}
