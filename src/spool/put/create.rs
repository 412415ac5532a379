//! Makes the next segment: from the spare one, or fresh, within the limits.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use crate::spool::error::{Error, Result, io_error};
use crate::spool::file::{self, try_lock};
use crate::spool::folder::{self, Listing, UNFINISHED};
use crate::spool::record::ALIGN;
use crate::spool::sectors::{self, DATA};
use crate::spool::segment::{Place, Segment, Tail, file_name};
use crate::spool::step::{step, write_at};
use crate::spool::{Spool, dead};

impl Spool {
    /// Makes the next segment, large enough and locked; `None` when another was faster.
    pub(super) fn create(
        &self,
        listing: &Listing,
        size: usize,
    ) -> Result<Option<(Box<Segment>, Tail)>> {
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
            .filter(|&known| known < folder::HIGHEST && spare.length == self.segment_size())
            .filter(|_| !spare.foreign());
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
            // Taken for a leftover, and swept, between its creation and its lock.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
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
        let used = listing
            .bytes(self.folder())
            .saturating_add(dead::reserved(self)?);
        if used.saturating_add(needed) > limit {
            return Err(Error::Full {
                folder: folder(),
                used,
                needed,
                limit,
            });
        }
        let room = folder::room(self.folder())?;
        let reserve = self.reserve(&room);
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
