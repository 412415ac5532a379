//! HEAD

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

pub use self::dead::{DeadLetter, DeadSummary};
pub use self::error::{Error, Result};
pub use self::record::{Entry, EntryRef};

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
