//! The spool: a durable queue on disk, one folder per destination, shared by many short processes
//! that may die or be stopped at any instant, and by one drainer. Nobody resides; locks are `flock`.
//! A process that forks while another of its threads holds a lock keeps that lock until it has become
//! its program: then others take another segment, as they do with any holder. So the order of records
//! is the order of segments and numbers, which under contention is not quite the order of arrival.
//!
//! # On disk
//!
//! `<state>/spool/<destination>/` (folders 0700, files 0600):
//!
//! - `<20 digits>.journal`: segments. The number rises; the newest is the one that is written to.
//! - `spare`: at most one finished segment of standard size, to be used again.
//! - `new-*`: segments being made; their makers hold their locks, so that others know leftovers.
//! - `drain.lock`: held by the one drainer, who writes his pid into it.
//! - `dead/<id>.dead`: dead letters, `dead/new-*` those being written.
//!
//! A segment has a fixed size (a larger one of its own for a record that does not fit), real zeros
//! when it is new, so that an append changes nothing but data. Its head is four sectors of 512
//! bytes, each with its own checksum: *header* {generation = number, size, version}, *hint*
//! {generation, tail, last seq}, *cursor* {generation, offset up to which all is delivered, seq},
//! *seal* (anything in it: nobody appends here again). From 4096 on records, aligned to 32 bytes
//! (see `record`): the checksum covers the generation, so that what an earlier use of the file has
//! left is no record. Behind the last record lies a block of 32 zeros, written along with it.
//! Alignment supposes what every journal supposes: writing a sector again with the same bytes at
//! its start cannot harm them.
//!
//! # Put
//!
//! 1. Lock the newest segment, without waiting; if others hold it, one of the few before it; retry
//!    for 2 ms at most, then make a new one. A stopped holder blocks nobody. Look at the sectors
//!    only now, under the lock: a segment that was recycled, removed or sealed meanwhile tells so.
//! 2. The tail is where the hint says, if the zero block lies there. If not (a writer died before
//!    his hint, the power failed, something rotted) the whole segment is walked, and the tail is
//!    behind the last valid record, the hint and the cursor, whichever is furthest: nothing
//!    acknowledged is ever overwritten, be it unreadable.
//! 3. Write the record and the zero block; fdatasync. If the tail was not proven by a hint, sync the
//!    folder, the spool's and the state folder too: the one who made them may have died before.
//! 4. Write the hint, which is not synced. So a valid hint proves that step 3 was done once.
//!
//! Many records at once (`put_all`) are one write, one sync and one hint: records in a row, then the
//! zero block. A crash in step 3 may leave any number of them whole, which will be delivered although
//! nobody was told yes. A power failure may even keep a later one and not one before it: that hole
//! becomes a dead letter like other damage, although nothing in it was acknowledged.
//!
//! A step that fails seals the segment, and the record goes to a new one; if that fails too, the
//! caller gets the error. Crash after 1 or 2: nothing happened. In 3: the record is whole and will
//! be delivered, or its checksum is wrong and the next writer overwrites it. After 3: it counts,
//! the next writer finds it by walking. After a power failure the hint on disk may be one record
//! late (each fdatasync takes the hint before it along), and the block at its tail is not zero.
//!
//! # A new segment
//!
//! Fresh: `new-*` locked, zeros, header, fsync, link as the next number (fails if another was
//! faster: then that one is used), unlink `new-*`. Reused: lock `spare`; go on only if that name
//! still is this file and its only one; write the header of the next generation, blank sectors and
//! a zero block, fdatasync; link; unlink `spare`. Crash before the link: a leftover, which goes
//! when room is needed or at the next drain, or a spare as good as before, since a spare never holds
//! anything that waits. Between link and unlink: two names for one file; the segment is in use, and
//! whoever takes the spare sees two links and removes only that name. The next number is above the
//! newest segment's and above the generation in the spare, so that no generation comes twice in one
//! file. Making a segment is refused beyond the limits; an append to one that exists never is.
//!
//! # Drain
//!
//! One drainer, by `drain.lock`. It reads without the segments' locks. A record half seen while it
//! is written looks like damage or like the tail; damage is believed only when it is still there in
//! a second reading, and only below what the first found complete. A stretch that is no record is
//! damage when a valid record lies behind it or the hint names a tail beyond it; otherwise it is
//! the tail. Damage becomes a dead letter, always, outside of their share.
//!
//! `settle` after everything taken out is stored or buried: damage to dead letters, then the
//! cursor, not synced: if it is lost, records come again, which is harmless. Then each segment that
//! was read to its end, unless it is the newest and can still take records: lock it (if it is held,
//! the next drain will), look again whether anything came, seal it, link it as `spare` if there is
//! none, unlink its number. Crash before the unlink: it is found delivered and the work is done
//! again. Power failure: any of these may be undone, and delivered records come again.
//!
//! `forget` takes what is delivered off the disk at once, the newest segment and the spare too: each is
//! locked, looked at again, sealed and unlinked. Numbers may then begin anew, in new files.
//!
//! # Limits
//!
//! Segments, spare and dead letters together never exceed `max_size`; a tenth is kept for dead
//! letters, which may take no more than that (or 1 MiB) and 10,000 files, so that a flood of bad
//! input cannot crowd out alerts, and a full spool can still be drained. Only damage goes beyond.
//! No segment is made when less than the reserve would stay free on the disk. Full is an error,
//! nothing is evicted. Lengths on disk are checked before they are believed.

mod dead;
mod drain;
mod error;
mod file;
mod folder;
mod put;
mod record;
mod scan;
mod sectors;
mod segment;
mod status;
mod step;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::setting::{Percent, Size};

pub use self::dead::{DeadEntry, DeadLetter, DeadSummary};
pub use self::drain::Drain;
pub use self::error::{Error, Result};
pub use self::put::PutAll;
pub use self::record::{Entry, EntryRef};
pub use self::status::Status;

const FOLDER: &str = "spool";
const LARGEST_SEGMENT: u64 = 4 << 20;
const SMALLEST_SEGMENT: u64 = 64 << 10;

/// Section `spool`: how much may wait on disk.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most that one destination's segments and dead letters take together.
    pub max_size: Size,
    /// The share of the disk that stays free for others.
    pub disk_reserve: Percent,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_size: Size(1 << 30),
            disk_reserve: Percent(10),
        }
    }
}

/// One destination's queue on disk.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    settings: Settings,
}

/// Where a record was put: `segment:seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The segment's number.
    pub segment: u64,
    /// The record's number in it, from 1.
    pub seq: u64,
}

impl Spool {
    /// Names the queue of a destination (a plain file name); touches no disk.
    #[must_use]
    pub fn new(state_dir: &Path, destination: &str, settings: &Settings) -> Self {
        Self {
            folder: state_dir.join(FOLDER).join(destination),
            settings: settings.clone(),
        }
    }

    /// The queue of another destination on the same disk, by the same settings.
    #[must_use]
    pub fn sibling(&self, destination: &str) -> Self {
        let folder = self.folder.with_file_name(destination);
        Self {
            folder,
            settings: self.settings.clone(),
        }
    }

    /// The destination's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folders that are missing, 0700 and durable.
    pub fn prepare(&self) -> Result<()> {
        folder::make(&self.folder)
    }

    fn max_size(&self) -> u64 {
        self.settings.max_size.0
    }

    /// What stays free on the disk.
    fn reserve(&self, disk: &folder::Room) -> u64 {
        disk.total / 100 * u64::from(self.settings.disk_reserve.0)
    }

    fn segment_size(&self) -> u64 {
        let size = (self.max_size() / 8).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT);
        size - size % sectors::DATA
    }

    fn segment_bytes(&self) -> Result<u64> {
        Ok(folder::list(&self.folder)?
            .unwrap_or_default()
            .bytes(&self.folder))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}:{}", self.segment, self.seq)
    }
}

/// Names of all destinations that have a folder, sorted.
pub fn destinations(state_dir: &Path) -> Result<Vec<String>> {
    let folder = state_dir.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error::io_error("read the folder", &folder)(error)),
    };
    let name = |entry: fs::DirEntry| {
        entry
            .file_type()
            .ok()?
            .is_dir()
            .then(|| entry.file_name().into_string().ok())?
    };
    let mut names: Vec<String> = entries.filter_map(|entry| name(entry.ok()?)).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests;
