//! `put`: choose a segment, or make one, and append. The only writer of records.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use super::error::{Error, Result, io_error};
use super::file::{self, try_lock};
use super::folder::{self, Listing, UNFINISHED};
use super::record::{self, ALIGN, EntryRef};
use super::sectors::{self, DATA, Kind};
use super::segment::{Lock, Place, Segment, Tail, file_name};
use super::step::{step, write_at};
use super::{RecordId, Spool, dead};

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

    /// Makes the next segment, large enough and locked; `None` when another was faster.
    fn create(&self, listing: &Listing, size: usize) -> Result<Option<(Box<Segment>, Tail)>> {
        let least = (DATA + (size + ALIGN) as u64).next_multiple_of(DATA);
        let wanted = least.max(self.segment_size());
        let reused = if wanted == self.segment_size() && listing.spare {
            self.reuse_or_log(listing)
        } else {
            None
        };
        let made = if reused.is_some() {
            reused
        } else {
            self.check_room(listing, wanted)?;
            self.create_fresh(listing.newest() + 1, wanted)?
        };
        Ok(made.map(|segment| {
            (
                Box::new(segment),
                Tail {
                    place: Place::START,
                    proven: false,
                },
            )
        }))
    }

    fn reuse_or_log(&self, listing: &Listing) -> Option<Segment> {
        self.reuse(listing).unwrap_or_else(|error| {
            log::warn!("{error}; a new segment is made");
            None
        })
    }

    /// Turns the spare segment into the next one: header, sync, name.
    fn reuse(&self, listing: &Listing) -> Result<Option<Segment>> {
        let Some(spare) = folder::take_spare(self.folder())? else {
            return Ok(None);
        };
        let known = spare
            .header_generation()
            .filter(|_| spare.length == self.segment_size() && !spare.foreign());
        let Some(generation) = known else {
            file::remove(&spare.path)?;
            return Ok(None);
        };
        let number = listing.newest().max(generation) + 1;
        write_at(&spare.file, &sectors::fresh(number, spare.length), 0)
            .map_err(io_error("write", &spare.path))?;
        step();
        spare
            .file
            .sync_data()
            .map_err(io_error("sync", &spare.path))?;
        self.publish(&spare.path, spare.file, number)
    }

    fn create_fresh(&self, number: u64, size: u64) -> Result<Option<Segment>> {
        let nanos = SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_nanos());
        let path = self
            .folder()
            .join(format!("{UNFINISHED}{}-{nanos}", std::process::id()));
        step();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("create", &path))?;
        if !try_lock(&file, &path)? {
            // Taken for a leftover between its creation and its lock.
            return Ok(None);
        }
        let made =
            fill(&file, &path, number, size).and_then(|()| self.publish(&path, file, number));
        if made.is_err() {
            folder::sweep(&[path]);
        }
        made
    }

    /// Gives a segment its number, unless another has got it, and takes its first name away.
    fn publish(&self, path: &Path, file: File, number: u64) -> Result<Option<Segment>> {
        let name = self.folder().join(file_name(number));
        step();
        let linked = match fs::hard_link(path, &name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            other => other.map(|()| true).map_err(io_error("create", &name))?,
        };
        file::remove(path)?;
        linked.then(|| Segment::of(number, name, file)).transpose()
    }

    /// Refuses what the settings forbid. Leftovers and the spare segment go before anything is refused.
    fn check_room(&self, listing: &Listing, needed: u64) -> Result<()> {
        let refused = self.check_limits(listing, needed);
        if refused.is_ok() || (listing.unfinished.is_empty() && !listing.spare) {
            return refused;
        }
        folder::sweep(&listing.unfinished);
        if let Some(spare) = folder::take_spare(self.folder())? {
            file::remove(&spare.path)?;
        }
        self.check_limits(&folder::list(self.folder())?.unwrap_or_default(), needed)
    }

    fn check_limits(&self, listing: &Listing, needed: u64) -> Result<()> {
        let folder = || self.folder().to_owned();
        let limit = self.max_size();
        let used = listing.bytes(self.folder()) + dead::reserved(self)?;
        if used.saturating_add(needed) > limit {
            return Err(Error::Full {
                folder: folder(),
                used,
                needed,
                limit,
            });
        }
        let room = folder::room(self.folder())?;
        let reserve = room.total / 100 * u64::from(self.settings.disk_reserve.0);
        if room.free < reserve.saturating_add(needed) {
            return Err(Error::DiskLow {
                folder: folder(),
                free: room.free,
                needed,
                reserve,
            });
        }
        Ok(())
    }
}

/// Real zeros, so that no later append changes what the file system knows of the file.
fn fill(file: &File, path: &Path, number: u64, size: u64) -> Result<()> {
    let zeros = vec![0; 64 << 10];
    for offset in (0..size).step_by(zeros.len()) {
        let rest = usize::try_from(size - offset)
            .unwrap_or(usize::MAX)
            .min(zeros.len());
        file.write_all_at(zeros.get(..rest).unwrap_or_default(), offset)
            .map_err(io_error("write", path))?;
    }
    write_at(file, &sectors::fresh(number, size), 0).map_err(io_error("write", path))?;
    step();
    file.sync_all().map_err(io_error("sync", path))
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
