//! One segment file: open, lock, find the tail, append, move the cursor, seal. What its bytes mean
//! is told in the head of the room; nothing here knows of other segments.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{Result, io_error};
use super::file::{open_file, read_up_to, try_lock};
use super::record::{self, ALIGN, EntryRef};
use super::scan::{Scan, scan};
use super::sectors::{self, DATA, HEADS, Kind, Mark, Sector, Sectors, VERSION};
use super::step::{step, write_at};

/// The largest segment that is read: one record of the greatest length, with room to spare.
const MAX_READ: u64 = 48 << 20;
/// A sector that was read while it was written is read again.
const READS: usize = 4;

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

/// A part of a segment in memory, and what it holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) base: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) scan: Scan,
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

    /// Where a record of `size` bytes goes; `None` when it does not fit or nobody may append here.
    pub(super) fn room(&self, size: usize) -> Result<Option<Tail>> {
        if !self.writable() {
            return Ok(None);
        }
        let tail = self.tail()?;
        let end = tail.place.offset + (size + ALIGN) as u64;
        Ok((end <= self.length).then_some(tail))
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
    pub(super) fn ends_at(&self, place: Place) -> Result<bool> {
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
    pub(super) fn load(&self, from: Place) -> Result<Loaded> {
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
    pub(super) fn bytes(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        let size = to.min(self.length).saturating_sub(from).min(MAX_READ);
        let mut bytes = vec![0; length(size)];
        let read =
            read_up_to(&self.file, &mut bytes, from).map_err(io_error("read", &self.path))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Writes a record and waits until it is durable; gives its end. The hint is not written yet.
    pub(super) fn append(&self, at: Place, entry: &EntryRef) -> Result<Place> {
        let seq = at.seq + 1;
        let record = record::encode(self.number, seq, entry)?;
        write_at(&self.file, &record, at.offset).map_err(io_error("write", &self.path))?;
        step();
        self.file
            .sync_data()
            .map_err(io_error("sync", &self.path))?;
        step();
        Ok(Place {
            offset: at.offset + (record.len() - ALIGN) as u64,
            seq,
        })
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

impl Loaded {
    /// Behind the last record.
    pub(super) fn end(&self) -> Place {
        Place {
            offset: self.base + self.scan.tail as u64,
            seq: self.scan.last_seq,
        }
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

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
