//! Dead letters: what can never be delivered, one file each, kept until a person decides. The first
//! line is JSON (id, reason, when, source, options), the rest the raw bytes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use self::letter::{BLOCK, blocks, identify};
use super::error::{Error, Result, io_error};
use super::step::step;
use super::{Spool, file, folder};

mod letter;

const FOLDER: &str = "dead";
const ENDING: &str = ".dead";
const UNFINISHED: &str = "new-";
const MAX_LETTERS: usize = 10_000;
const LEAST_SHARE: u64 = 1 << 20;
/// Nobody takes this long to write one letter.
const ABANDONED: Duration = Duration::from_secs(3600);

/// An alert that can never be delivered, and why.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// Why it cannot be delivered.
    pub reason: &'a str,
    /// When it was received, in milliseconds since 1970; 0 for damage, where nobody knows.
    pub received_at_ms: i64,
    /// Which way it came; the caller's code.
    pub source: u8,
    /// The caller's options.
    pub options: &'a [u8],
    /// The alert's bytes.
    pub raw: &'a [u8],
    /// Where its line begins in a file that may be read again: the same bytes at the same place are
    /// one letter, whenever they are read.
    pub offset: Option<u64>,
}

/// What a dead letter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEntry {
    /// When it was received, in milliseconds since 1970; 0 for damage.
    pub received_at_ms: i64,
    /// Which way it came; the caller's code.
    pub source: u8,
    /// The caller's options.
    pub options: Vec<u8>,
    /// The alert's bytes.
    pub raw: Vec<u8>,
}

/// A dead letter without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadSummary {
    /// What `dead_show` and `dead_drop` want.
    pub id: String,
    /// Why it cannot be delivered.
    pub reason: String,
    /// When it was received, in milliseconds since 1970; 0 for damage.
    pub received_at_ms: i64,
    /// Which way it came; the caller's code.
    pub source: u8,
    /// Length of the alert.
    pub bytes: u64,
}

/// How many letters there are, and what they take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Census {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) damaged: usize,
}

impl Spool {
    /// Keeps a dead letter durably and gives its id. The same letter again is the same file, so
    /// that a drain that died between `bury` and `settle` leaves no second one.
    pub fn bury(&self, letter: &DeadLetter<'_>) -> Result<String> {
        let (id, blocks) = identify(letter);
        if let Some(known) = self.known_line(letter, &id)? {
            return Ok(known);
        }
        if !self.letter(&id).exists() {
            self.check_share(blocks * BLOCK)?;
        }
        self.keep(id, letter)
    }

    /// A letter of the same line, whenever it was read.
    fn known_line(&self, letter: &DeadLetter<'_>, id: &str) -> Result<Option<String>> {
        if letter.offset.is_none() {
            return Ok(None);
        }
        let hash = |id: &str| id.split('-').nth(1).map(str::to_owned);
        let wanted = hash(id);
        Ok(ids(&self.graves())?
            .into_iter()
            .find(|known| hash(known) == wanted))
    }

    /// Damage takes no share: it gives up as much in its segment, and no sender can cause it.
    pub(super) fn bury_damage(&self, letter: &DeadLetter<'_>) -> Result<()> {
        log::error!("{}; its bytes are kept as a dead letter", letter.reason);
        self.keep(identify(letter).0, letter).map(drop)
    }

    /// All dead letters, oldest first. A file that cannot be read is named in its reason.
    pub fn dead(&self) -> Result<Vec<DeadSummary>> {
        let mut ids = ids(&self.graves())?;
        ids.sort_unstable();
        Ok(ids
            .into_iter()
            .map(|id| {
                letter::summary(&self.letter(&id), &id)
                    .unwrap_or_else(|error| letter::unreadable(id, &error))
            })
            .collect())
    }

    /// One dead letter with its bytes.
    pub fn dead_show(&self, id: &str) -> Result<DeadEntry> {
        letter::read(&self.known(id)?)
    }

    /// Removes a dead letter for good.
    pub fn dead_drop(&self, id: &str) -> Result<()> {
        file::remove(&self.known(id)?)?;
        folder::sync(&self.graves())
    }

    fn graves(&self) -> PathBuf {
        self.folder().join(FOLDER)
    }

    fn letter(&self, id: &str) -> PathBuf {
        self.graves().join(format!("{id}{ENDING}"))
    }

    /// The path of a letter that exists; an id that is not one of ours gets no path.
    fn known(&self, id: &str) -> Result<PathBuf> {
        let path = self.letter(id);
        if blocks(id).is_some() && path.is_file() {
            return Ok(path);
        }
        Err(Error::NoDeadLetter {
            id: id.to_owned(),
            folder: self.graves(),
        })
    }

    fn check_share(&self, needed: u64) -> Result<()> {
        let Census {
            files, bytes: used, ..
        } = census(self)?;
        let limit = share(self);
        let reserved = self.max_size() / 10;
        let then = used.saturating_add(needed);
        let within = then <= limit && files < MAX_LETTERS;
        if within
            && (then <= reserved || self.segment_bytes()?.saturating_add(then) <= self.max_size())
        {
            return Ok(());
        }
        Err(Error::DeadFull {
            folder: self.graves(),
            files,
            used,
            needed,
            limit,
        })
    }

    /// Temporary file, sync, name, sync of the folder.
    fn keep(&self, id: String, letter: &DeadLetter<'_>) -> Result<String> {
        folder::make(&self.graves())?;
        let nanos = SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_nanos());
        let path = self
            .graves()
            .join(format!("{UNFINISHED}{}-{nanos}", std::process::id()));
        let kept = letter::write(&path, &id, letter).and_then(|()| {
            step();
            let name = self.letter(&id);
            fs::rename(&path, &name).map_err(io_error("create", &name))
        });
        if let Err(error) = kept {
            fs::remove_file(&path)
                .unwrap_or_else(|error| log::debug!("cannot remove {}: {error}", path.display()));
            return Err(error);
        }
        [self.graves().as_path(), self.folder()]
            .into_iter()
            .try_for_each(folder::sync)?;
        Ok(id)
    }
}

/// What segments may not take: what dead letters hold, and a tenth in any case, so that a record
/// that can never be delivered can be buried while the spool is full.
pub(super) fn reserved(spool: &Spool) -> Result<u64> {
    Ok(census(spool)?.bytes.max(spool.max_size() / 10))
}

/// Counts the letters by their names alone.
pub(super) fn census(spool: &Spool) -> Result<Census> {
    let mut census = Census::default();
    for id in ids(&spool.graves())? {
        census.files += 1;
        let bytes = blocks(&id).unwrap_or(0).saturating_mul(BLOCK);
        census.bytes = census.bytes.saturating_add(bytes);
        census.damaged += usize::from(id.starts_with("0000000000000-"));
    }
    Ok(census)
}

/// Removes what writers that died have left.
pub(super) fn sweep(spool: &Spool) -> Result<()> {
    let abandoned = |path: &Path| {
        let age = fs::symlink_metadata(path)
            .ok()?
            .modified()
            .ok()?
            .elapsed()
            .ok()?;
        (age > ABANDONED).then_some(())
    };
    for name in names(&spool.graves())?
        .iter()
        .filter(|name| name.starts_with(UNFINISHED))
    {
        let path = spool.graves().join(name);
        if abandoned(&path).is_some() {
            file::remove(&path)?;
        }
    }
    Ok(())
}

fn share(spool: &Spool) -> u64 {
    let max = spool.max_size();
    (max / 10).max(LEAST_SHARE).min(max)
}

fn ids(graves: &Path) -> Result<Vec<String>> {
    let id = |name: &String| {
        name.strip_suffix(ENDING)
            .filter(|id| blocks(id).is_some())
            .map(str::to_owned)
    };
    Ok(names(graves)?.iter().filter_map(id).collect())
}

fn names(graves: &Path) -> Result<Vec<String>> {
    match fs::read_dir(graves) {
        Ok(entries) => Ok(entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_error("read the folder", graves)(error)),
    }
}
