//! A file's beginning: what it is known by when its name and inode are no longer the same.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::text;

/// How much of the beginning is compared, in bytes of text. An alert's time and id stand in its
/// first 2 KiB.
const LENGTH: usize = 4096;

/// Fewer bytes than that do not tell one file from another: Wazuh's time ends with the 44th.
const VAGUE: usize = 64;

/// The first bytes of a text, up to 4 KiB; fewer while there were no more. Of a file that begins
/// with a hole (copytruncate under a writer that does not append), the first bytes behind it: holes
/// are all alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    hole: u64,
    bytes: Vec<u8>,
}

/// A beginning as a checkpoint keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// The hole before the bytes that are covered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hole: u64,
    /// How many bytes are covered; 0 if the file was empty: then nothing is known of it.
    pub length: usize,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

impl Fingerprint {
    /// Other files may begin like that.
    pub(super) fn is_vague(&self) -> bool {
        self.length < VAGUE
    }
}

impl Beginning {
    /// Of a plain file; leaves its position as it was.
    pub(super) fn of_plain(file: &File) -> io::Result<Self> {
        let bytes = read_at(file, 0)?;
        if !is_hole(&bytes) {
            return Ok(Self { hole: 0, bytes });
        }
        let mut hole = 0;
        loop {
            hole += text::hole_at(file, hole)?;
            let bytes = read_at(file, hole)?;
            let nuls = leading_nuls(&bytes);
            hole += nuls as u64;
            if nuls < LENGTH {
                let bytes = read_at(file, hole)?;
                return Ok(Self { hole, bytes });
            }
        }
    }

    /// Of a plain file that began with this when it was looked at before.
    pub(super) fn again(&self, file: &File) -> io::Result<Self> {
        // A long hole is not measured at every look: what was behind it is still there, or not.
        if self.hole > 0 && !self.bytes.is_empty() && is_hole(&read_at(file, 0)?) {
            let bytes = read_at(file, self.hole)?;
            return Ok(Self {
                hole: self.hole,
                bytes,
            });
        }
        Self::of_plain(file)
    }

    /// Of a compressed file: of its text, as far as it can be decoded.
    pub(super) fn of_gzip(file: &File) -> Self {
        let mut text = MultiGzDecoder::new(file);
        let mut hole = 0;
        loop {
            let mut bytes = Vec::with_capacity(LENGTH);
            // What is damaged so early has no text that could be known again.
            let whole = text.by_ref().take(LENGTH as u64).read_to_end(&mut bytes);
            let nuls = leading_nuls(&bytes);
            if hole == 0 && !is_hole(&bytes) || whole.is_err() {
                return Self { hole, bytes };
            }
            hole += nuls as u64;
            if nuls < LENGTH {
                bytes.drain(..nuls);
                let rest = text.take(nuls as u64).read_to_end(&mut bytes);
                return match rest {
                    Ok(_) | Err(_) => Self { hole, bytes },
                };
            }
        }
    }

    /// Takes what a file that was known by this beginning begins with now; false if it is not the
    /// same any more.
    pub(super) fn grow(&mut self, now: Self) -> bool {
        // A file that was all hole has got its first bytes: in the hole, or behind it.
        let was_hole = self.bytes.is_empty() && now.hole >= self.hole;
        let same = was_hole || (self.hole == now.hole && now.bytes.starts_with(&self.bytes));
        if same {
            *self = now;
        }
        same
    }

    /// This text begins with the other beginning, which is not empty.
    pub(super) fn covers(&self, other: &Fingerprint) -> bool {
        let first = self.bytes.get(..other.length);
        let first = first.filter(|first| !first.is_empty() && self.hole == other.hole);
        first.is_some_and(|first| hash(first) == other.sha256)
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            hole: self.hole,
            length: self.bytes.len(),
            sha256: hash(&self.bytes),
        }
    }

    /// Knows fewer bytes than the other.
    pub(super) fn is_less_than(&self, other: &Self) -> bool {
        self.bytes.len() < other.bytes.len()
    }

    /// Whether the fingerprint taken earlier still says all that is known.
    pub(super) fn is_said_by(&self, fingerprint: &Fingerprint) -> bool {
        (self.hole, self.bytes.len()) == (fingerprint.hole, fingerprint.length)
    }
}

/// A whole beginning of nothing but NULs.
fn is_hole(bytes: &[u8]) -> bool {
    leading_nuls(bytes) == LENGTH
}

fn leading_nuls(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == 0).count()
}

/// Up to [`LENGTH`] bytes from `offset` on.
fn read_at(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH];
    let mut filled = 0;
    while filled < LENGTH {
        let room = bytes.get_mut(filled..).unwrap_or_default();
        match file.read_at(room, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(hole: &u64) -> bool {
    *hole == 0
}

fn hash(bytes: &[u8]) -> String {
    let hex = |byte: &u8| format!("{byte:02x}");
    Sha256::digest(bytes).iter().map(hex).collect()
}
