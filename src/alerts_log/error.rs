//! What can go wrong with the log's files. Each message names the path and, where there is one, the
//! fix.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A result of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the log cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read; nothing is skipped, and trying again goes on from here.
    #[error("cannot {action} {}: {cause}{}", path.display(), fix(cause))]
    Unreadable {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// A compressed file is damaged or cut. Its whole lines up to there were given out; trying
    /// again goes on with the next file.
    #[error("{} is damaged or cut behind {offset} bytes of its text: {why}; the lines before were read, those behind need a sound copy of the file", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Up to where its text could be read.
        offset: u64,
        /// The decoder's word.
        why: String,
    },
    /// The saved place cannot be understood; nothing is assumed instead.
    #[error("the checkpoint {} {why}", path.display())]
    Checkpoint {
        /// Its file.
        path: PathBuf,
        /// What is wrong, and the fix.
        why: String,
    },
}

/// Gives an I/O error its object.
pub(super) fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |cause| Error::Unreadable {
        action,
        path: path.to_owned(),
        cause,
    }
}

/// The error again, for whoever has to give it out later.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn fix(cause: &io::Error) -> &'static str {
    if cause.kind() == ErrorKind::PermissionDenied {
        "; it has to be readable for this user (Wazuh's own files are, for the group wazuh), or to be moved away"
    } else {
        ""
    }
}
