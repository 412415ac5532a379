//! What `install` did, for `uninstall`: written before it is done, so that a run that was cut off can
//! be taken back as well. Only root may write it, since it names files that root removes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tree::Tree;

/// Versions of the record that this program understands.
const VERSION: u32 = 1;

/// In place of a digest: the file is ours whatever is in it, as the binary is in any version.
pub const ANY: &str = "any";

/// What was not there before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// The Wazuh home that it belongs to.
    pub home: PathBuf,
    /// Files with the SHA-256 of their content, or `ANY`.
    pub files: BTreeMap<PathBuf, String>,
    /// Folders, the outer ones first.
    pub folders: Vec<PathBuf>,
    /// The block in ossec.conf.
    pub block: Option<Block>,
}

/// A block that was put into ossec.conf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// All that was inserted.
    pub text: String,
    /// The name, in the same folder, of the file as it was.
    pub backup: String,
    /// SHA-256 of the file as it was.
    pub before: String,
    /// SHA-256 of the file with the block.
    pub after: String,
}

impl Record {
    /// An empty one for this home.
    pub fn new(home: &Path) -> Self {
        Self {
            version: VERSION,
            home: home.to_owned(),
            ..Self::default()
        }
    }

    /// Reads it; None if nothing was installed.
    ///
    /// # Errors
    ///
    /// If it is not a record, or if others than root may have written it.
    pub fn read(tree: &Tree, path: &Path) -> Result<Option<Self>> {
        let Some((folder, name)) = tree.place(path)? else {
            return Ok(None);
        };
        let Some(entry) = folder.entry(name)? else {
            return Ok(None);
        };
        let place = path.display();
        if !entry.is_safe() || !folder.itself()?.is_safe() {
            bail!("{place}: others than root may have written it; look at it and remove it");
        }
        let bytes = folder.read(name)?.map(|(bytes, _)| bytes);
        let record: Self = serde_json::from_slice(&bytes.unwrap_or_default())
            .with_context(|| format!("{place} is damaged; look at it and remove it"))?;
        if record.version != VERSION {
            bail!("{place} was written by a newer custom-mongo; use that one");
        }
        Ok(Some(record))
    }

    /// As it is written.
    ///
    /// # Errors
    ///
    /// Never for the paths that are in it.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether it says nothing any more.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty() && self.block.is_none()
    }
}

/// SHA-256 in hex.
pub fn digest(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        for half in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(half), 16));
        }
    }
    hex
}
