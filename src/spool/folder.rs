//! A destination's folder: what lies in it, how it is made and synced, how much room is left. Knows
//! names and sizes, not what is in a segment.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::error::{Result, io_error};
use super::file::{open_file, remove, try_lock};
use super::segment::Segment;
use super::step::step;

const JOURNAL: &str = ".journal";
/// No segment of ours gets near it: so a number can always be followed by another.
pub(super) const HIGHEST: u64 = 1 << 62;
/// The name of a finished segment that waits to be used again.
pub(super) const SPARE: &str = "spare";
/// How the names of segments that are still being made begin.
pub(super) const UNFINISHED: &str = "new-";

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Numbers of the segments, rising.
    pub(super) numbers: Vec<u64>,
    /// A finished segment waits to be used again.
    pub(super) spare: bool,
    /// Segments that were being made when the folder was read.
    pub(super) unfinished: Vec<PathBuf>,
}

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// What this user may still take.
    pub(super) free: u64,
    /// The size of the disk.
    pub(super) total: u64,
}

/// Reads a folder; `None` when there is none.
pub(super) fn list(folder: &Path) -> Result<Option<Listing>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read the folder", folder)(error)),
    };
    let mut listing = Listing::default();
    for entry in entries {
        let name = entry
            .map_err(io_error("read the folder", folder))?
            .file_name();
        let Some(name) = name.to_str() else { continue };
        if name == SPARE {
            listing.spare = true;
        } else if name.starts_with(UNFINISHED) {
            listing.unfinished.push(folder.join(name));
        } else if let Some(number) = number(name) {
            listing.numbers.push(number);
        }
    }
    listing.numbers.sort_unstable();
    Ok(Some(listing))
}

impl Listing {
    /// The newest segment's number, 0 when there is none.
    pub(super) fn newest(&self) -> u64 {
        self.numbers.last().copied().unwrap_or(0)
    }

    /// Bytes that segments take, finished or not.
    pub(super) fn bytes(&self, folder: &Path) -> u64 {
        let segments = self
            .numbers
            .iter()
            .map(|&number| folder.join(super::segment::file_name(number)));
        let spare = self.spare.then(|| folder.join(SPARE));
        let size = |path: PathBuf| fs::symlink_metadata(path).map_or(0, |meta| meta.len());
        segments
            .chain(spare)
            .chain(self.unfinished.iter().cloned())
            .map(size)
            .fold(0, u64::saturating_add)
    }
}

/// Makes a folder and its parents, 0700, each one durable in its parent.
pub(super) fn make(folder: &Path) -> Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|path| !path.exists())
        .collect();
    for path in missing.into_iter().rev() {
        step();
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(io_error("create the folder", path)(error));
            }
            Ok(()) | Err(_) => sync(path.parent().unwrap_or(path))?,
        }
    }
    Ok(())
}

/// Makes the names in a folder durable. One above ours may be closed to us, and some file systems
/// sync no folders: then there is nothing that could be done.
pub(super) fn sync(folder: &Path) -> Result<()> {
    step();
    match File::open(folder).and_then(|open| open.sync_all()) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput
            ) =>
        {
            Err(io_error("sync the folder", folder)(error))
        }
        Err(error) => {
            log::debug!("cannot sync the folder {}: {error}", folder.display());
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Removes what creators that died have left. One that lives holds the lock of its file.
pub(super) fn sweep(unfinished: &[PathBuf]) {
    for path in unfinished {
        let swept = open_file(path, OpenOptions::new().read(true)).and_then(|file| match file {
            Some(file) if try_lock(&file, path)? => {
                fs::remove_file(path).map_err(io_error("remove", path))
            }
            _ => Ok(()),
        });
        if let Err(error) = swept {
            log::warn!("{error}");
        }
    }
}

/// Takes the spare segment with its lock, if there is one and nobody else has it.
///
/// A file may have this name and a number at once when a process died between two changes of the
/// folder: then only the name `spare` goes.
pub(super) fn take_spare(folder: &Path) -> Result<Option<Segment>> {
    let path = folder.join(SPARE);
    let Some(file) = open_file(&path, OpenOptions::new().read(true).write(true))? else {
        return Ok(None);
    };
    if !try_lock(&file, &path)? {
        return Ok(None);
    }
    let spare = Segment::of(0, path, file)?;
    let named = fs::symlink_metadata(&spare.path).is_ok_and(|meta| meta.ino() == spare.inode);
    if !named || spare.links == 1 {
        return Ok(named.then_some(spare));
    }
    remove(&spare.path)?;
    Ok(None)
}

/// Asks how much room the folder's disk has.
pub(super) fn room(folder: &Path) -> Result<Room> {
    let disk = statvfs(folder)
        .map_err(|errno| io_error("ask for the free space of", folder)(errno.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Ok(Room {
        free: bytes(disk.blocks_available()),
        total: bytes(disk.blocks()),
    })
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(JOURNAL)?;
    let whole = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = whole.then(|| digits.parse().ok())?;
    number.filter(|&number| number < HIGHEST)
}
