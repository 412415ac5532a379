//! Wazuh's alerts.json and its archives as whole lines with positions. It knows files: how Wazuh and
//! logrotate write, rotate, copy, compress and truncate them. It knows nothing of what a line says.
//!
//! # What is promised
//!
//! - A line is given out when its end is there, once. What a writer has begun stays unread.
//! - [`Tail`] reads files in the order in which they were written: the one it stands in to its end,
//!   looked at again after the switch was seen; then those between, then the live one. A
//!   [`Checkpoint`] names the place behind the line given out last; from it on nothing is missing.
//! - Where it cannot be known whether something was read, it is read again: once more is harmless.
//!
//! # How a file is known again
//!
//! By its inode and its beginning (up to 4 KiB of text, so also when it was compressed, copied or
//! renamed). The inode alone proves nothing: filesystems use it again. The beginning alone proves
//! enough from 64 bytes on: each alert begins with its time. Devices are not compared across a restart, since their
//! numbers change when a machine boots.
//!
//! # Which files there are
//!
//! Beside the live file, and beside what it links to if it is a symlink:
//!
//! - dated ones, `YYYY/Mon/ossec-alerts-DD.json`, `-DD-NNN.json`, each with or without `.gz`, in the
//!   order of their names; one of them is the live file under another name (a hard link);
//! - undated ones, the live file's name and something behind it (`alerts.json.1`,
//!   `alerts.json-20250602.gz`), in the order of their last change, put between the dated ones.
//!
//! A listing counts only if no folder changed while it was made. A file opened by name counts only
//! if it is the one that was listed.
//!
//! # When a file is over
//!
//! Never while it is the live one, nor before a file that follows it holds anything. Then it is read
//! to its end once more, and what stands behind its last newline will never be completed: it is given
//! out as a line.
//!
//! After each read the beginning is compared and the size looked at. If they changed, what was read
//! is thrown away, and the place is looked for elsewhere: copytruncate leaves a copy. The same when a
//! file that was empty is no longer: it may have been filled, copied and emptied unseen. Only a file
//! that was truncated and grew again with the same first line cannot be told from one that grew.

mod archive;
mod beginning;
mod checkpoint;
mod current;
mod dated;
mod error;
mod lines;
mod listing;
mod prefetch;
mod reader;
mod settings;
mod successor;
mod tail;
mod text;
mod watch;

use std::path::Path;
use std::sync::Arc;

pub use self::archive::{Archive, Found, Span, archives};
pub use self::checkpoint::Checkpoint;
pub use self::dated::Day;
pub use self::error::{Error, Result};
pub use self::prefetch::Prefetch;
pub use self::reader::Reader;
pub use self::settings::Settings;
pub use self::tail::{Start, Tail};
pub use self::text::Text;

/// What stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A line without its newline, never empty, at most 32 MiB bytes.
    Line(&'a [u8]),
    /// A line of nothing but white space.
    Empty,
    /// So many NUL bytes where a line should begin: a hole that a truncation left under a writer.
    /// What follows in that line comes next, as a `Line` or `Empty`.
    Nuls(u64),
    /// A line over 32 MiB.
    TooLong {
        /// Its bytes without the newline.
        length: u64,
        /// The first 64 KiB of them.
        head: &'a [u8],
    },
}

/// Where a piece stands. Cheap to copy; whoever keeps it clones the name, which allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The file, as it was called when it was opened.
    pub file: &'a Arc<Path>,
    /// The offset of the piece's first byte, in the uncompressed text.
    pub offset: u64,
}

#[cfg(test)]
use self::lines::{HEAD, Lines, MAX_LINE};

#[cfg(test)]
mod tests;
