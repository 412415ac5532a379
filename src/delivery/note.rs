//! Small files beside the journal: 0600 like it. None of them is needed for the promise, so one
//! that cannot be written costs time or comfort and loses nothing.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::spool::Spool;

/// Writes the file anew.
pub(super) fn write(spool: &Spool, path: &Path, text: &str) {
    if let Err(error) = spool.prepare() {
        log::warn!("{error}");
    } else {
        replace(path, text);
    }
}

/// As `write`, in a folder that is there.
pub(super) fn replace(path: &Path, text: &str) {
    if let Err(error) = try_replace(path, text) {
        log::warn!("cannot write {}: {error}", path.display());
    }
}

fn try_replace(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits());
    options.open(path)?.write_all(text.as_bytes())
}
