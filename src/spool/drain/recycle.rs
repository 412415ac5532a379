//! What becomes of a segment that is delivered to its end, and of damage that was met on the way.

use std::fs;

use super::{Drain, Handed};
use crate::spool::error::{Result, io_error};
use crate::spool::file::{self, try_lock};
use crate::spool::sectors::Kind;
use crate::spool::segment::{Loaded, Lock, Place, Segment};
use crate::spool::step::step;
use crate::spool::{DeadLetter, Spool, folder};

/// Bytes that were records once.
#[derive(Debug)]
pub(super) struct Damage {
    reason: String,
    bytes: Vec<u8>,
}

impl Damage {
    /// The bytes found damaged at an offset of a segment.
    pub(super) fn new(segment: &Segment, offset: u64, bytes: &[u8]) -> Self {
        let name = segment
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        Self {
            reason: format!("damaged record in {name} at offset {offset}"),
            bytes: bytes.to_vec(),
        }
    }

    /// Keeps them as a dead letter; when they were received nobody knows.
    pub(super) fn bury(&self, spool: &Spool) -> Result<()> {
        let Self { reason, bytes: raw } = self;
        spool.bury_damage(&DeadLetter {
            reason,
            received_at_ms: 0,
            source: 0,
            options: &[],
            raw,
            offset: None,
        })
    }
}

impl Drain {
    /// Recycles a segment that is delivered to its end, if under its lock that is still so.
    pub(super) fn finish(&self, handed: &Handed) -> Result<()> {
        let number = handed.segment.number;
        let listing = folder::list(self.spool.folder())?.unwrap_or_default();
        if number == listing.newest()
            && handed.segment.writable()
            && self.is_standard(&handed.segment)
        {
            return Ok(());
        }
        let Lock::Held(segment) = Segment::lock(self.spool.folder(), number)? else {
            return Ok(());
        };
        if segment.cursor() != handed.place || !self.nothing_left(&segment)? {
            return Ok(());
        }
        let spare = segment.writable() && self.is_standard(&segment) && !listing.spare;
        segment.write(Kind::Seal, handed.place)?;
        if spare {
            self.keep(&segment);
        }
        file::remove(&segment.path)
    }

    /// True when a locked segment holds nothing behind its cursor. Where even the header is lost,
    /// nobody knows what the rest was: it is buried.
    fn nothing_left(&self, segment: &Segment) -> Result<bool> {
        if segment.ends_at(segment.cursor())? {
            return Ok(true);
        }
        let loaded = segment.load(segment.cursor())?;
        if !loaded.scan.items.is_empty() {
            return Ok(false);
        }
        if segment.header_generation().is_none() && loaded.bytes.iter().any(|&byte| byte != 0) {
            Damage::new(segment, loaded.base, &loaded.bytes).bury(&self.spool)?;
        }
        Ok(true)
    }

    fn is_standard(&self, segment: &Segment) -> bool {
        segment.length == self.spool.segment_size()
    }

    /// A link, not a rename: it cannot take the place of a spare segment that somebody takes just now.
    fn keep(&self, segment: &Segment) {
        let spare = self.spool.folder().join(folder::SPARE);
        step();
        if let Err(error) = fs::hard_link(&segment.path, &spare) {
            log::warn!("{}", io_error("create", &spare)(error));
        }
    }
}

/// Reads what lies behind `place`. Where the search behind damage was given up, the damage reaches
/// to the end of the segment: it counts only when nobody can append there any more.
pub(super) fn load_for_certain(segment: &mut Segment, place: Place) -> Result<Loaded> {
    let mut loaded = segment.load(place)?;
    if !loaded.scan.gave_up {
        return Ok(loaded);
    }
    if try_lock(&segment.file, &segment.path)? {
        segment.write(Kind::Seal, place)?;
        segment.refresh()?;
        loaded = segment.load(place)?;
        segment
            .file
            .unlock()
            .map_err(io_error("unlock", &segment.path))?;
    } else {
        loaded.scan.items.pop();
    }
    Ok(loaded)
}
