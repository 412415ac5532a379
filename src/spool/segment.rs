//! One segment file: open, lock, find the tail, append, move the cursor, seal. What its bytes mean
//! is told in the head of the room; nothing here knows of other segments.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{Result, io_error};
use super::file::{open_file, read_up_to, try_lock};
use super::record::{self, ALIGN, EntryRef};
use super::sectors::{self, DATA, HEADS, Kind, Mark, Sector, Sectors, VERSION};
use super::step::{step, write_at};

pub(super) use self::walk::Loaded;

mod walk;

/// A sector that was read while it was written is read again.
const READS: usize = 4;
/// The most that is written with one sync, unless the first record alone is longer.
const AT_ONCE: usize = 1 << 20;

/// An open segment, as it was when its sectors were read.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) inode: u64,
    pub(super) links: u64,
    sectors: Sectors,
}

/// A boundary between records, and the number of the record before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) seq: u64,
}

/// Where the next record goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    pub(super) place: Place,
    /// The hint named it: so a record was acknowledged here, and the folder synced, before.
    pub(super) proven: bool,
}

/// What came of the wish to write to a segment.
pub(super) enum Lock {
    /// Nobody else writes; the lock goes with the file.
    Held(Box<Segment>),
    /// Somebody else writes, or is stopped while he does.
    Busy,
    /// Recycled or removed since the folder was read.
    Gone,
}

impl Place {
    /// Before the first record.
    pub(super) const START: Self = Self {
        offset: DATA,
        seq: 0,
    };

    fn later(self, other: Self) -> Self {
        Self {
            offset: self.offset.max(other.offset),
            seq: self.seq.max(other.seq),
        }
    }
}

impl Segment {
    /// Opens a segment to look at it; `None` when it is gone.
    pub(super) fn open(folder: &Path, number: u64) -> Result<Option<Self>> {
        Self::open_with(folder, number, OpenOptions::new().read(true))
    }

    /// Opens a segment to move its cursor; `None` when it is gone.
    pub(super) fn open_to_drain(folder: &Path, number: u64) -> Result<Option<Self>> {
        Self::open_with(folder, number, OpenOptions::new().read(true).write(true))
    }

    /// Opens a segment and takes its lock, without waiting.
    pub(super) fn lock(folder: &Path, number: u64) -> Result<Lock> {
        let path = folder.join(file_name(number));
        let Some(file) = open_file(&path, OpenOptions::new().read(true).write(true))? else {
            return Ok(Lock::Gone);
        };
        if !try_lock(&file, &path)? {
            return Ok(Lock::Busy);
        }
        let segment = Self::of(number, path, file)?;
        Ok(if segment.links == 0 {
            Lock::Gone
        } else {
            Lock::Held(Box::new(segment))
        })
    }

    /// Reads the sectors of an open file.
    pub(super) fn of(number: u64, path: PathBuf, file: File) -> Result<Self> {
        let meta = file.metadata().map_err(io_error("read", &path))?;
        let sectors = read_sectors(&file).map_err(io_error("read", &path))?;
        Ok(Self {
            number,
            path,
            file,
            length: meta.len(),
            inode: meta.ino(),
            links: meta.nlink(),
            sectors,
        })
    }

    fn open_with(folder: &Path, number: u64, options: &mut OpenOptions) -> Result<Option<Self>> {
        let path = folder.join(file_name(number));
        open_file(&path, options)?
            .map(|file| Self::of(number, path, file))
            .transpose()
    }

    /// Reads the sectors again: others may have written.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.sectors = read_sectors(&self.file).map_err(io_error("read", &self.path))?;
        Ok(())
    }

    /// The generation under its records' checksums: the header's, or the name's if that is lost.
    pub(super) fn generation(&self) -> u64 {
        self.sectors
            .header
            .mark()
            .map_or(self.number, |mark| mark.generation)
    }

    /// The header's generation, if there is a header.
    pub(super) fn header_generation(&self) -> Option<u64> {
        self.sectors.header.mark().map(|mark| mark.generation)
    }

    /// True when a later version of this program wrote it.
    pub(super) fn foreign(&self) -> bool {
        self.sectors
            .header
            .mark()
            .is_some_and(|mark| mark.seq != VERSION)
    }

    /// True when nobody appends here again.
    pub(super) fn sealed(&self) -> bool {
        self.sectors.seal != Sector::Blank
    }

    /// True when records may be appended: whole, ours, and not sealed.
    pub(super) fn writable(&self) -> bool {
        let header = Mark {
            generation: self.number,
            offset: self.length,
            seq: VERSION,
        };
        self.sectors.header == Sector::Good(header) && !self.sealed()
    }

    /// Up to where everything is delivered.
    pub(super) fn cursor(&self) -> Place {
        self.place(self.sectors.cursor).unwrap_or(Place::START)
    }

    /// Where the last writer stopped, if the hint is readable.
    pub(super) fn hint(&self) -> Option<Place> {
        self.place(self.sectors.hint)
    }

    fn place(&self, sector: Sector) -> Option<Place> {
        let Mark {
            generation,
            offset,
            seq,
        } = sector.mark()?;
        let within = (DATA..=self.length).contains(&offset) && offset % ALIGN as u64 == 0;
        (generation == self.generation() && within).then_some(Place { offset, seq })
    }

    /// Writes the first record, and as many of those behind it as fit and go well with one sync;
    /// waits until they are durable and gives their end. The hint is not written yet.
    pub(super) fn append(&self, at: Place, entries: &[EntryRef]) -> Result<Place> {
        let mut end = at;
        let mut records = Vec::new();
        for entry in entries {
            let size = record::size(entry);
            let size = match size {
                Ok(size) if end == at || self.goes_along(end, size, records.len()) => size,
                Err(error) if end == at => return Err(error),
                // It gets its own error when its turn comes.
                _ => break,
            };
            end.seq += 1;
            end.offset += size as u64;
            record::encode(self.number, end.seq, entry, &mut records)?;
        }
        records.resize(records.len() + ALIGN, 0);
        write_at(&self.file, &records, at.offset).map_err(io_error("write", &self.path))?;
        step();
        self.file
            .sync_data()
            .map_err(io_error("sync", &self.path))?;
        step();
        Ok(end)
    }

    fn goes_along(&self, end: Place, size: usize, written: usize) -> bool {
        let fits = end.offset + (size + ALIGN) as u64 <= self.length;
        fits && written + size <= AT_ONCE && end.seq < u64::MAX
    }

    /// Writes the hint, the cursor or the seal; none is ever synced.
    pub(super) fn write(&self, kind: Kind, place: Place) -> Result<()> {
        let mark = Mark {
            generation: self.generation(),
            offset: place.offset,
            seq: place.seq,
        };
        write_at(&self.file, &sectors::encode(kind, &mark), kind.offset())
            .map_err(io_error("write", &self.path))
    }
}

/// The name of a segment's file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:020}.journal")
}

fn read_sectors(file: &File) -> io::Result<Sectors> {
    let mut bytes = [0; HEADS];
    let mut reads = READS;
    loop {
        let read = read_up_to(file, &mut bytes, 0)?;
        let found = Sectors::read(bytes.get(..read).unwrap_or_default());
        reads -= 1;
        if reads == 0 || !found.any_bad() {
            return Ok(found);
        }
    }
}
