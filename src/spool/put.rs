//! `put`: choose a segment, or make one, and append. The only writer of records.

use std::io::ErrorKind;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::error::{Error, Result, io_error};
use super::folder::{self, Listing};
use super::record::{self, EntryRef};
use super::sectors::Kind;
use super::segment::{Lock, Place, Segment, Tail};
use super::{RecordId, Spool};

mod create;

/// The longest wait for a lock, all in all; then a new segment is made.
const WAIT: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_micros(100);
/// How many of the newest segments are tried while others hold the newest one.
const CANDIDATES: usize = 4;
/// How often others may be faster before it is an error; each time they have got on.
const ATTEMPTS: usize = 100;

/// What became of many entries.
#[derive(Debug)]
pub struct PutAll {
    /// The first so many are durable.
    pub kept: Vec<RecordId>,
    /// Why the one behind them is not; the others behind it were not tried.
    pub refused: Option<Error>,
}

enum Choice {
    Append(Box<Segment>, Tail),
    Create,
    Again,
}

impl Spool {
    /// Keeps an entry; when this returns `Ok` it is durable. Never waits for another process for
    /// more than a few milliseconds.
    pub fn put(&self, entry: &EntryRef) -> Result<RecordId> {
        self.put_some(std::slice::from_ref(entry))?
            .pop()
            .ok_or_else(|| self.no_segment())
    }

    /// Keeps many entries in their order, as many as possible with one sync. Those that `kept`
    /// names are durable; the one behind them is the one that was `refused`, and none behind that
    /// has been tried.
    pub fn put_all(&self, entries: &[EntryRef]) -> PutAll {
        let mut kept = Vec::with_capacity(entries.len());
        while let Some(rest) = entries.get(kept.len()..).filter(|rest| !rest.is_empty()) {
            match self.put_some(rest) {
                Ok(ids) => kept.extend(ids),
                Err(error) => {
                    let refused = Some(error);
                    return PutAll { kept, refused };
                }
            }
        }
        PutAll {
            kept,
            refused: None,
        }
    }

    /// Keeps the first entry and those behind it that go along, at least one.
    fn put_some(&self, entries: &[EntryRef]) -> Result<Vec<RecordId>> {
        let size = entries.first().map_or(Ok(0), record::size)?;
        let mut failed = false;
        for _ in 0..ATTEMPTS {
            let Some(listing) = folder::list(self.folder())? else {
                self.prepare()?;
                continue;
            };
            let Some((segment, tail)) = self.choose_or_create(&listing, size)? else {
                continue;
            };
            match self.append(&segment, tail, entries) {
                Ok(ids) => return Ok(ids),
                Err(error) if failed => return Err(error),
                Err(error) => log::error!("{error}; a new segment is tried"),
            }
            failed = true;
        }
        Err(self.no_segment())
    }

    fn no_segment(&self) -> Error {
        io_error("find a free segment in", self.folder())(ErrorKind::WouldBlock.into())
    }

    fn choose_or_create(
        &self,
        listing: &Listing,
        size: usize,
    ) -> Result<Option<(Box<Segment>, Tail)>> {
        match self.choose(listing, size) {
            Choice::Append(segment, tail) => Ok(Some((segment, tail))),
            Choice::Again => Ok(None),
            Choice::Create => self.create(listing, size),
        }
    }

    /// The newest segment; while others write there one of those before it.
    fn choose(&self, listing: &Listing, size: usize) -> Choice {
        let started = Instant::now();
        loop {
            for &number in listing.numbers.iter().rev().take(CANDIDATES) {
                match self.try_segment(number, size) {
                    Some(Choice::Create) if number != listing.newest() => {}
                    Some(choice) => return choice,
                    None => {}
                }
            }
            if listing.numbers.is_empty() || started.elapsed() >= WAIT {
                return Choice::Create;
            }
            sleep(PAUSE);
        }
    }

    /// A segment that cannot be used is no reason to lose an alert: a new one is made.
    fn try_segment(&self, number: u64, size: usize) -> Option<Choice> {
        let tried = Segment::lock(self.folder(), number).and_then(|lock| match lock {
            Lock::Busy => Ok(None),
            Lock::Gone => Ok(Some(Choice::Again)),
            Lock::Held(segment) => {
                let tail = segment.room(size)?;
                Ok(Some(tail.map_or(Choice::Create, |tail| {
                    Choice::Append(segment, tail)
                })))
            }
        });
        tried.unwrap_or_else(|error| {
            log::warn!("{error}; a new segment is made");
            Some(Choice::Create)
        })
    }

    /// Records, sync, the folder's sync if none is proven yet, hint: in this order.
    fn append(&self, segment: &Segment, tail: Tail, entries: &[EntryRef]) -> Result<Vec<RecordId>> {
        let written = segment.append(tail.place, entries).and_then(|end| {
            if !tail.proven {
                self.sync_names()?;
            }
            Ok(end)
        });
        match written {
            Ok(end) => {
                hint(segment, end);
                let segment = segment.number;
                let seqs = tail.place.seq + 1..=end.seq;
                Ok(seqs.map(|seq| RecordId { segment, seq }).collect())
            }
            Err(error) => {
                seal(segment);
                Err(error)
            }
        }
    }

    /// The segment's name, the folder's and the spool's: a creator may have died before his sync.
    fn sync_names(&self) -> Result<()> {
        self.folder().ancestors().take(3).try_for_each(folder::sync)
    }
}

/// A hint that is not written costs the next writer a walk, and nothing else.
fn hint(segment: &Segment, end: Place) {
    if let Err(error) = segment.write(Kind::Hint, end) {
        log::warn!("{error}");
    }
}

/// After a failed write nobody knows what the disk holds here: nothing is put behind it.
fn seal(segment: &Segment) {
    if let Err(error) = segment.write(Kind::Seal, Place::START) {
        log::error!("{error}");
    }
}
