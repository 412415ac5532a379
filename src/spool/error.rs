//! What can go wrong in the spool. Each message names the path, the cause and, where there is one,
//! the fix.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// A result of the spool.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the spool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spool's own limit is reached; nothing was evicted, nothing was written.
    #[error("the spool {} is full: {used} of {limit} bytes are taken and {needed} more are needed; drain it (custom-mongo spool drain) or raise spool.max_size", folder.display())]
    Full {
        /// The destination's folder.
        folder: PathBuf,
        /// Bytes that segments and dead letters hold now, with the share kept for dead letters.
        used: u64,
        /// Bytes of the segment that would be created.
        needed: u64,
        /// The setting `spool.max_size`.
        limit: u64,
    },
    /// The disk would have less free space than the setting keeps for others.
    #[error("the spool {} may not grow: {free} bytes are free on its disk, {needed} are needed and {reserve} stay reserved; free space on the disk, drain the spool or lower spool.disk_reserve", folder.display())]
    DiskLow {
        /// The destination's folder.
        folder: PathBuf,
        /// Bytes that this user may still use.
        free: u64,
        /// Bytes of the segment that would be created.
        needed: u64,
        /// Bytes that stay free for others.
        reserve: u64,
    },
    /// The share of the spool that dead letters may take is used up.
    #[error("the dead letters in {} are full: {files} files, {used} of {limit} bytes, {needed} more are needed; look at them, then retry or drop some (custom-mongo spool dead)", folder.display())]
    DeadFull {
        /// The folder of the dead letters.
        folder: PathBuf,
        /// Dead letters on disk.
        files: usize,
        /// Bytes that they hold.
        used: u64,
        /// Bytes of the one that was refused.
        needed: u64,
        /// Bytes that they may hold.
        limit: u64,
    },
    /// A record longer than the format allows.
    #[error("an alert of {length} bytes is too large for the spool: at most {limit} are kept")]
    TooLarge {
        /// Length of the alert or of its options.
        length: usize,
        /// The most that is kept.
        limit: usize,
    },
    /// No dead letter has this id (an id that is not one of ours is answered alike).
    #[error("there is no dead letter {id:?} in {}; custom-mongo spool dead lists them", folder.display())]
    NoDeadLetter {
        /// The id as given.
        id: String,
        /// The folder of the dead letters.
        folder: PathBuf,
    },
    /// The disk or its rights.
    #[error("cannot {action} {}: {source}{}", path.display(), fix(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Puts the action and the path to an error of the system.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn errno(cause: &io::Error) -> Errno {
    Errno::from_raw(cause.raw_os_error().unwrap_or(0))
}

fn fix(cause: &io::Error) -> &'static str {
    match errno(cause) {
        Errno::ENOSPC => "; free space on that disk or move the state folder",
        Errno::EDQUOT => "; raise the quota of the user that runs Wazuh",
        Errno::EROFS => "; remount the file system read-write or move the state folder",
        Errno::EACCES | Errno::EPERM => {
            "; give the folder to the user that runs Wazuh (chown -hR wazuh:wazuh, mode 0700)"
        }
        Errno::EIO => "; check the disk (dmesg)",
        Errno::ENOTDIR => "; a file is in the way where a folder should be",
        Errno::ELOOP => "; a symbolic link is not followed here",
        Errno::EMFILE | Errno::ENFILE => "; raise the limit of open files",
        _ => "",
    }
}
