//! Where a segment's records end, and what they are: the hint where it can be believed, a walk
//! through everything where not.

use super::{Place, Segment, Tail};
use crate::spool::error::{Result, io_error};
use crate::spool::file::read_up_to;
use crate::spool::record::ALIGN;
use crate::spool::scan::{Scan, scan};
use crate::spool::sectors::Sector;

/// The largest segment that is read: one record of the greatest length, with room to spare.
const MAX_READ: u64 = 48 << 20;

/// A part of a segment in memory, and what it holds.
#[derive(Debug)]
pub(in crate::spool) struct Loaded {
    pub(in crate::spool) base: u64,
    pub(in crate::spool) bytes: Vec<u8>,
    pub(in crate::spool) scan: Scan,
}

impl Segment {
    /// Where a record of `size` bytes goes; `None` when it does not fit or nobody may append here.
    pub(in crate::spool) fn room(&self, size: usize) -> Result<Option<Tail>> {
        if !self.writable() {
            return Ok(None);
        }
        let tail = self.tail()?;
        let end = tail.place.offset + (size + ALIGN) as u64;
        let fits = end <= self.length && tail.place.seq < u64::MAX;
        Ok(fits.then_some(tail))
    }

    fn tail(&self) -> Result<Tail> {
        let known = self.hint().unwrap_or(Place::START).later(self.cursor());
        let proven = self.hint().is_some();
        let empty = self.sectors.hint == Sector::Blank && known == Place::START;
        if (proven || empty) && self.clean_at(known.offset)? {
            return Ok(Tail {
                place: known,
                proven,
            });
        }
        let loaded = self.load(Place::START)?;
        Ok(Tail {
            place: loaded.end().later(known),
            proven: false,
        })
    }

    /// True when nothing lies behind `place`, for certain and without a walk through the records.
    pub(in crate::spool) fn ends_at(&self, place: Place) -> Result<bool> {
        let known = self
            .hint()
            .or((self.sectors.hint == Sector::Blank).then_some(Place::START));
        Ok(known.is_some_and(|known| known.offset <= place.offset)
            && self.clean_at(place.offset)?)
    }

    /// True when the zero block that a writer leaves behind his record lies here.
    fn clean_at(&self, offset: u64) -> Result<bool> {
        let mut block = [0; ALIGN];
        let length =
            read_up_to(&self.file, &mut block, offset).map_err(io_error("read", &self.path))?;
        Ok(block == [0; ALIGN] && (length == ALIGN || offset == self.length))
    }

    /// Reads and walks everything from `from` on. Without the lock a record may be half seen while
    /// it is written, so that damage is believed only when it is still there in a second reading,
    /// and only below what the first one found to be complete.
    pub(in crate::spool) fn load(&self, from: Place) -> Result<Loaded> {
        let hint = self
            .hint()
            .map_or(0, |hint| hint.offset.saturating_sub(from.offset));
        let bytes = self.bytes(from.offset, self.length)?;
        let found = scan(self.generation(), &bytes, from.seq, length(hint));
        if !found.damaged() {
            return Ok(Loaded {
                base: from.offset,
                bytes,
                scan: found,
            });
        }
        let bytes = self.bytes(from.offset, from.offset + found.tail as u64)?;
        let again = scan(self.generation(), &bytes, from.seq, bytes.len());
        let scan = Scan {
            gave_up: found.gave_up || again.gave_up,
            ..again
        };
        Ok(Loaded {
            base: from.offset,
            bytes,
            scan,
        })
    }

    /// The bytes between two offsets, as far as there are any.
    pub(in crate::spool) fn bytes(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        let size = to.min(self.length).saturating_sub(from).min(MAX_READ);
        let mut bytes = vec![0; length(size)];
        let read =
            read_up_to(&self.file, &mut bytes, from).map_err(io_error("read", &self.path))?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl Loaded {
    /// Behind the last record.
    pub(in crate::spool) fn end(&self) -> Place {
        Place {
            offset: self.base + self.scan.tail as u64,
            seq: self.scan.last_seq,
        }
    }
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
