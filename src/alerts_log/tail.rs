//! The live log as one endless text: across rotations, truncations, copies and restarts.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::checkpoint::Checkpoint;
use super::current::{Current, Opened, Step};
use super::error::Result;
use super::lines::Cut;
use super::listing;
use super::successor::{self, Search};
use super::watch::Watch;
use super::{Piece, Place};

/// How long to wait at most while the old file may still get something: it is not watched.
const BETWEEN_FILES: Duration = Duration::from_secs(1);

/// Where a tail begins.
#[derive(Debug, Clone)]
pub enum Start {
    /// Behind the last whole line of the live file.
    End,
    /// With the first line of the live file.
    Beginning,
    /// With the oldest file that may hold lines from this time on; earlier ones are in it too.
    Since(SystemTime),
    /// Behind the line that was given out last.
    At(Checkpoint),
}

/// Follows a live file.
#[derive(Debug)]
pub struct Tail {
    live: PathBuf,
    current: Option<Current>,
    /// The place behind the piece given out last while `current` has given none.
    place: Checkpoint,
    /// `current` has given out a piece.
    gave: bool,
    /// `current` is no longer the live one, and this was seen before it was read for the last time.
    replaced: bool,
    /// The live file as the last look saw it: inode, and how far it was read, or its size.
    seen: Option<(u64, u64)>,
    lost: Option<Lost>,
    watch: Watch,
}

/// A place that is nowhere any more: what stood behind it may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The place.
    pub place: Checkpoint,
    /// With which file reading went on, from its beginning.
    pub continued_in: PathBuf,
}

/// How far behind a tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of the file being read and of the live one that were not read yet.
    pub bytes: u64,
    /// Older files come before the live one.
    pub older_files: bool,
}

/// What to do at the end of a file.
enum Turn {
    Stay,
    ReadOn,
    Give(Cut),
}

impl Tail {
    /// Follows `file`, which need not be there yet. Touches nothing; one process may follow what
    /// others follow.
    ///
    /// # Errors
    ///
    /// Names what cannot be read.
    pub fn open(file: &Path, start: Start) -> Result<Self> {
        let now = SystemTime::now();
        let mut tail = Self {
            live: file.to_owned(),
            current: None,
            place: Checkpoint::nowhere(file, now),
            gave: false,
            replaced: false,
            seen: None,
            lost: None,
            watch: Watch::new(),
        };
        tail.watch.aim(file);
        match start {
            Start::End => tail.begin_in_live(Opened::behind_last_line)?,
            Start::Beginning => tail.begin_in_live(|_| Ok(0))?,
            Start::Since(time) => tail.place = Checkpoint::nowhere(file, time),
            Start::At(place) => tail.place = place,
        }
        Ok(tail)
    }

    /// The next whole piece and its place; `None` when all that is there was given out. After an
    /// error the next call goes on where this one stopped.
    ///
    /// # Errors
    ///
    /// Names the file and the fix.
    pub fn next(&mut self) -> Result<Option<(Piece<'_>, Place<'_>)>> {
        let cut = self.cut();
        if cut.is_err() {
            self.seen = sight(&self.live);
        }
        let cut = cut?;
        let Some(cut) = cut else { return Ok(None) };
        self.gave = true;
        Ok(self.current.as_ref().map(|current| {
            let place = Place {
                file: current.path(),
                offset: cut.offset,
            };
            (current.lines().piece(cut), place)
        }))
    }

    /// The place behind the piece given out last; touches no disk.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        match &self.current {
            Some(current) if self.gave => current.checkpoint(),
            _ => self.place.clone(),
        }
    }

    /// The last place that was lost, if one was.
    #[must_use]
    #[cfg(test)]
    pub(super) fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// Waits until there may be more, `limit` at most.
    pub fn wait(&mut self, limit: Duration) {
        self.watch.aim(&self.live);
        let limit = if self.replaced {
            limit.min(BETWEEN_FILES)
        } else {
            limit
        };
        let (live, seen) = (&self.live, self.seen);
        self.watch.wait(limit, || sight(live) != seen);
    }

    /// How far behind it is; `None` while there is no live file.
    #[must_use]
    pub fn lag(&self) -> Option<Lag> {
        let live = listing::live(&self.live).ok()??;
        let Some(current) = &self.current else {
            let bytes = live.size;
            return Some(Lag {
                bytes,
                older_files: false,
            });
        };
        let older_files = !live.is_same_file(current.entry());
        let unread = |size: u64| size.saturating_sub(current.lines().offset());
        let bytes = match older_files {
            false => unread(live.size),
            true if current.entry().gzip => live.size,
            true => live.size + unread(current.entry().size),
        };
        Some(Lag { bytes, older_files })
    }

    /// As where there is no inotify.
    #[cfg(test)]
    pub(super) fn poll(&mut self) {
        self.watch = Watch::without_inotify();
    }

    fn begin_in_live(&mut self, offset: impl Fn(&Opened) -> Result<u64>) -> Result<()> {
        let Some(entry) = listing::live(&self.live)? else {
            return Ok(());
        };
        // With its dated name, if it has one.
        let day = super::dated::Day::of(entry.changed).plus(-1);
        let listed = listing::list(&self.live, day)?.and_then(|listing| listing.live);
        if let Some(opened) = Opened::open(listed.as_ref().unwrap_or(&entry))? {
            let offset = offset(&opened)?;
            let current = opened.at(offset)?;
            self.place = current.checkpoint();
            self.current = Some(current);
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<Option<Cut>> {
        loop {
            let Some(current) = &mut self.current else {
                if self.begin()? {
                    continue;
                }
                return Ok(None);
            };
            match current.step()? {
                Step::Found(cut) => return Ok(Some(cut)),
                Step::Changed => self.search_again(),
                Step::End => match self.turn()? {
                    Turn::Stay => return Ok(None),
                    Turn::ReadOn => {}
                    Turn::Give(cut) => return Ok(Some(cut)),
                },
            }
        }
    }

    /// Opens the file of the place, else what is newer; false while there is nothing.
    fn begin(&mut self) -> Result<bool> {
        self.seen = sight(&self.live);
        let current = match successor::find(&self.live, &self.place)? {
            Search::Nothing => return Ok(false),
            Search::Same(current) => current,
            Search::Newer(current) => {
                self.lose(&current);
                current
            }
        };
        self.go_to(current);
        Ok(true)
    }

    fn go_to(&mut self, current: Current) {
        log::debug!("reading {}", current.path().display());
        self.current = Some(current);
        self.gave = false;
        self.replaced = false;
        self.watch.aim(&self.live);
    }

    /// Nothing is lost with a file that nothing was read of.
    fn lose(&mut self, next: &Current) {
        if self.place.is_unknown() {
            return;
        }
        let (place, next) = (&self.place, next.path());
        log::warn!(
            "{} (inode {}) was read up to byte {}, and is no longer there, nor is a copy that goes on from there: what was written behind that, up to the beginning of {}, is missing if it was not read; look for it in a backup (backfill takes any file)",
            place.file,
            place.inode,
            place.offset,
            next.display()
        );
        self.lost = Some(Lost {
            place: place.clone(),
            continued_in: next.to_path_buf(),
        });
    }

    fn search_again(&mut self) {
        self.place = self.checkpoint();
        self.current = None;
    }

    fn turn(&mut self) -> Result<Turn> {
        let Some(current) = &mut self.current else {
            return Ok(Turn::Stay);
        };
        let live = listing::live(&self.live)?;
        self.seen = live.as_ref().map(|live| (live.inode, live.size));
        if live
            .as_ref()
            .is_some_and(|live| live.is_same_file(current.entry()))
        {
            self.seen = Some((current.entry().inode, current.position()));
            self.replaced = false;
            return Ok(Turn::Stay);
        }
        if !self.replaced {
            self.replaced = true;
            return Ok(Turn::ReadOn);
        }
        if current.is_unknown() {
            self.search_again();
            return Ok(Turn::ReadOn);
        }
        let (place, position) = (current.checkpoint(), current.position());
        let next = match successor::after(&self.live, &place, position)? {
            Search::Nothing => return Ok(Turn::Stay),
            // What is not whole here may be whole there.
            Search::Same(copy) => copy,
            Search::Newer(next) => match current.rest() {
                Some(cut) => return Ok(Turn::Give(cut)),
                None => next,
            },
        };
        self.place = self.checkpoint();
        self.go_to(next);
        Ok(Turn::ReadOn)
    }
}

/// The live file's inode and size.
fn sight(live: &Path) -> Option<(u64, u64)> {
    let live = listing::live(live).ok()??;
    Some((live.inode, live.size))
}
