//! `put`: choose a segment, or make one, and append. The only writer of records.

use std::io::ErrorKind;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::error::{Result, io_error};
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

enum Choice {
    Append(Box<Segment>, Tail),
    Create,
    Again,
}

impl Spool {
    /// Keeps an entry; when this returns `Ok` it is durable. Never waits for another process for
    /// more than a few milliseconds.
    pub fn put(&self, entry: &EntryRef) -> Result<RecordId> {
        let size = record::size(entry)?;
        let mut failed = false;
        for _ in 0..ATTEMPTS {
            let Some(listing) = folder::list(self.folder())? else {
                self.prepare()?;
                continue;
            };
            let Some((segment, tail)) = self.choose_or_create(&listing, size)? else {
                continue;
            };
            match self.append(&segment, tail, entry) {
                Ok(id) => return Ok(id),
                Err(error) if failed => return Err(error),
                Err(error) => log::error!("{error}; a new segment is tried"),
            }
            failed = true;
        }
        Err(io_error("find a free segment in", self.folder())(
            ErrorKind::WouldBlock.into(),
        ))
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

    /// Record, sync, the folder's sync if none is proven yet, hint: in this order.
    fn append(&self, segment: &Segment, tail: Tail, entry: &EntryRef) -> Result<RecordId> {
        let written = segment.append(tail.place, entry).and_then(|end| {
            if !tail.proven {
                self.sync_names()?;
            }
            Ok(end)
        });
        match written {
            Ok(end) => {
                hint(segment, end);
                Ok(RecordId {
                    segment: segment.number,
                    seq: end.seq,
                })
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
