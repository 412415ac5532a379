//! Files of ours: opened without following links, locked without waiting, read as far as they go.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use super::error::{Result, io_error};
use super::step::step;

/// Opens a file of ours, never through a symbolic link; `None` when it is not there.
pub(super) fn open_file(path: &Path, options: &mut OpenOptions) -> Result<Option<File>> {
    match options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("open", path)(error)),
    }
}

/// Takes a file's lock without waiting; false when another holds it.
pub(super) fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path)(error)),
    }
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> Result<()> {
    step();
    fs::remove_file(path).map_err(io_error("remove", path))
}

/// Reads at an offset until the bytes are full or the file ends; gives how many it read.
pub(super) fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
