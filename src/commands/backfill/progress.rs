//! Where a stopped run stands: which files are done, and how far the one is that it was in. Kept in
//! the state folder under the arguments it was started with; removed when a run is complete.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::alerts_log::Archive;

const KEEP_EVERY: Duration = Duration::from_secs(1);
const VERSION: u32 = 1;

/// A place in the list of files: everything before it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) file: usize,
    /// In the uncompressed text.
    pub(super) offset: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    done: Vec<Known>,
    current: Option<Known>,
    offset: u64,
}

/// A file as it was when it was read: one that has changed since is read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    path: PathBuf,
    size: u64,
    changed: SystemTime,
}

impl Known {
    fn of(archive: &Archive) -> Self {
        Self {
            path: archive.path.clone(),
            size: archive.size,
            changed: archive.changed,
        }
    }
}

/// What is kept, and when it was.
#[derive(Debug)]
pub(super) struct Progress {
    path: Option<PathBuf>,
    files: Vec<Known>,
    /// What an earlier run had done.
    before: Kept,
    settled: Option<Position>,
    /// Files that could not be read to their end.
    left: Vec<usize>,
    kept_at: Instant,
}

impl Progress {
    /// What a run of the same arguments left in `path`; none keeps nothing.
    pub(super) fn resume(path: Option<PathBuf>, archives: &[Archive]) -> Result<Self> {
        let before = path.as_deref().map(read).transpose()?.flatten();
        Ok(Self {
            path,
            files: archives.iter().map(Known::of).collect(),
            before: before.unwrap_or_default(),
            settled: None,
            left: Vec::new(),
            kept_at: Instant::now(),
        })
    }

    /// How many files an earlier run had done, and whether it was in another one.
    pub(super) fn is_resumed(&self) -> bool {
        !self.before.done.is_empty() || self.before.current.is_some()
    }

    /// Where to begin in a file; none if it is done.
    pub(super) fn begin(&self, file: usize) -> Option<u64> {
        let file = self.files.get(file)?;
        if self.before.done.contains(file) {
            return None;
        }
        let is_current = self.before.current.as_ref() == Some(file);
        Some(if is_current { self.before.offset } else { 0 })
    }

    pub(super) fn note(&mut self, settled: Option<Position>) {
        if settled.is_some() {
            self.settled = settled;
        }
        if self.kept_at.elapsed() >= KEEP_EVERY {
            self.keep();
        }
    }

    /// A file that could not be read to its end is not done: the next run tries it again, or says
    /// once more that it cannot.
    pub(super) fn leave(&mut self, file: usize) {
        self.left.push(file);
    }

    /// What cannot be kept is read again, which costs time and doubles nothing.
    pub(super) fn keep(&mut self) {
        self.kept_at = Instant::now();
        let (Some(path), Some(settled)) = (&self.path, self.settled) else {
            return;
        };
        let mut done = self.before.done.clone();
        let files = self.files.iter().enumerate().take(settled.file);
        let whole = files.filter(|(file, _)| !self.left.contains(file));
        done.extend(whole.map(|(_, known)| known.clone()));
        let kept = Kept {
            version: VERSION,
            done,
            current: self.files.get(settled.file).cloned(),
            offset: settled.offset,
        };
        if let Err(error) = write(path, &kept) {
            log::warn!("cannot write {}: {error}", path.display());
        }
    }

    /// The next run of these arguments begins anew.
    pub(super) fn complete(&self) {
        if let Some(path) = &self.path
            && let Err(error) = fs::remove_file(path)
            && error.kind() != ErrorKind::NotFound
        {
            log::warn!("cannot remove {}: {error}", path.display());
        }
    }
}

fn read(path: &Path) -> Result<Option<Kept>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
    };
    let kept: Option<Kept> = serde_json::from_slice(&text).ok();
    let kept = kept.filter(|kept| kept.version == VERSION);
    if kept.is_none() {
        // Reading again doubles nothing.
        log::warn!("{} cannot be used: beginning anew", path.display());
    }
    Ok(kept)
}

fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(kept)?)?;
    fs::rename(&new, path)
}
