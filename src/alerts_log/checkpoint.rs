//! A place in the log that outlives the process: which file, by all that it can be known by, and how
//! far. One small JSON file, replaced as a whole: temporary file, fsync, rename, fsync of the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::beginning::Fingerprint;
use super::dated::{self, Key};
use super::error::{Error, Result, cannot};
use super::listing::Entry;

const VERSION: u32 = 1;

/// The place behind a piece. Everything before it was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The format; a newer one is refused.
    pub version: u32,
    /// The file as it was called (for people: files are renamed).
    pub file: String,
    /// Its name by date, if it has one: `…/2025/Jun/ossec-alerts-02.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dated: Option<String>,
    /// The device it lay on (for people: its number changes when a machine boots).
    pub device: u64,
    /// Its inode; 0 while there was no file.
    pub inode: u64,
    /// Bytes of its text that were given out.
    pub offset: u64,
    /// What its text begins with.
    pub beginning: Fingerprint,
    /// Its last change as last seen, in milliseconds since 1970; without a file: when it was missed.
    pub changed: u64,
}

/// Version alone: it is looked at before all else.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Checkpoint {
    /// Reads a saved place; `None` if none was saved.
    ///
    /// # Errors
    ///
    /// Names the file and the fix if it cannot be read or understood: a place is never guessed.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot("read the checkpoint", path)(error)),
        };
        let fault = |why: String| Error::Checkpoint {
            path: path.to_owned(),
            why,
        };
        let broken = |error: serde_json::Error| {
            fault(format!(
                "is damaged ({error}); remove it and start from a known time (--since): reading something again doubles nothing"
            ))
        };
        let Versioned { version } = serde_json::from_slice(&text).map_err(broken)?;
        if version != VERSION {
            return Err(fault(format!(
                "has version {version}, and this program knows {VERSION}; use the program that wrote it, or remove it and start from a known time (--since)"
            )));
        }
        serde_json::from_slice(&text).map(Some).map_err(broken)
    }

    /// Saves the place durably. The folder has to exist, and one process at a time may save there.
    ///
    /// # Errors
    ///
    /// The system's; the place saved before is then still there.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// The place before everything that appears from now on: there is no file yet.
    pub(super) fn nowhere(live: &Path, now: SystemTime) -> Self {
        Self {
            version: VERSION,
            file: live.display().to_string(),
            dated: None,
            device: 0,
            inode: 0,
            offset: 0,
            beginning: Fingerprint::default(),
            changed: millis(now),
        }
    }

    /// The place behind the first `offset` bytes of a file's text.
    pub(super) fn behind(entry: &Entry, beginning: Fingerprint, offset: u64) -> Self {
        let name = |path: &PathBuf| path.display().to_string();
        Self {
            version: VERSION,
            file: name(&entry.path),
            dated: entry.dated.as_ref().map(name),
            device: entry.device,
            inode: entry.inode,
            offset,
            beginning,
            changed: millis(entry.changed),
        }
    }

    /// Nothing was given out of its file, and too little was in it to know it again.
    pub(super) fn is_unknown(&self) -> bool {
        self.offset == 0 && self.beginning.is_vague()
    }

    pub(super) fn key(&self) -> Option<Key> {
        dated::key(Path::new(self.dated.as_ref()?))
    }

    pub(super) fn changed(&self) -> SystemTime {
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(self.changed));
        since.unwrap_or(UNIX_EPOCH)
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
