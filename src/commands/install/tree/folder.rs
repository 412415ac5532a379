//! A folder that is held open, and files in it by their names.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Attributes, Entry, give};

/// No file that is read here is larger: settings, and our own binary.
const LARGEST: u64 = 256 << 20;

/// A folder that is held open.
pub struct Folder {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

impl Folder {
    /// What lies under this name; None if nothing does.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn entry(&self, name: &OsStr) -> Result<Option<Entry>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Entry::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error).with_context(|| self.cannot("look at", name)),
        }
    }

    /// Its own owner and mode.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn itself(&self) -> Result<Entry> {
        let stat = rustix::fs::fstat(&self.fd);
        let stat = stat.with_context(|| format!("cannot look at {}", self.path.display()))?;
        Ok(Entry::of(&stat))
    }

    /// Bytes and attributes of a plain file; None if nothing lies there.
    ///
    /// # Errors
    ///
    /// Names it; if it is a link or anything but a plain file.
    pub fn read(&self, name: &OsStr) -> Result<Option<(Vec<u8>, File)>> {
        let named = || self.cannot("read", name);
        let Some(mut file) = self.open(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut file)
            .take(LARGEST)
            .read_to_end(&mut bytes);
        if read.with_context(named)? as u64 == LARGEST {
            bail!("{}: it is too large", named());
        }
        Ok(Some((bytes, file)))
    }

    /// Opens a plain file for reading; None if nothing lies there.
    ///
    /// # Errors
    ///
    /// Names it; if it is a link or anything but a plain file.
    pub fn open(&self, name: &OsStr) -> Result<Option<File>> {
        let named = || self.cannot("read", name);
        // Opening a pipe must not wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => bail!("{}: it is a link", named()),
            Err(error) => return Err(error).with_context(named),
        };
        let file = File::from(fd);
        if !file.metadata().with_context(named)?.is_file() {
            bail!("{}: it is no plain file", named());
        }
        Ok(Some(file))
    }

    /// Puts a file into place in one step; what lay there before is gone.
    ///
    /// # Errors
    ///
    /// Names it; then nothing has changed.
    pub fn write(&self, name: &OsStr, bytes: &[u8], attributes: &Attributes) -> Result<()> {
        let named = || self.cannot("write", name);
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}", std::process::id()));
        let written = self
            .write_new(&temporary, bytes, attributes)
            .and_then(|()| Ok(rustix::fs::renameat(&self.fd, &temporary, &self.fd, name)?));
        if let Err(error) = written {
            rustix::fs::unlinkat(&self.fd, &temporary, AtFlags::empty()).ok();
            return Err(error).with_context(named);
        }
        self.flush().with_context(named)
    }

    /// Makes a folder and gives it away. Only an empty one of our own is given away: whoever may
    /// write here could have put another in its place.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn make(&self, name: &OsStr, attributes: &Attributes) -> Result<()> {
        let named = || self.cannot("make the folder", name);
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU).with_context(named)?;
        let flags = folder_flags() | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).with_context(named)?;
        let made = Entry::of(&rustix::fs::fstat(&fd).with_context(named)?);
        let is_fresh = made.owner.0 == geteuid().as_raw() && made.mode & 0o777 == 0o700;
        if !is_fresh || !is_empty(&fd) {
            bail!("{}: somebody else is at work there", named());
        }
        give(fd.as_fd(), attributes).with_context(named)
    }

    /// A second name for a file, which must still be this one.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn link(&self, name: &OsStr, second: &OsStr, identity: (u64, u64)) -> Result<()> {
        let named = || self.cannot("make a second name for", name);
        rustix::fs::linkat(&self.fd, name, &self.fd, second, AtFlags::empty())
            .with_context(named)?;
        if self
            .entry(second)?
            .is_some_and(|entry| entry.identity == identity)
        {
            return Ok(());
        }
        self.remove(second)?;
        bail!("{}: it was replaced meanwhile; try again", named())
    }

    /// Gives a file another name here; what had that name is gone.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn rename(&self, name: &OsStr, other: &OsStr) -> Result<()> {
        let named = || self.cannot("rename", name);
        rustix::fs::renameat(&self.fd, name, &self.fd, other).with_context(named)?;
        self.flush().with_context(named)
    }

    /// Takes a file or a link away.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn remove(&self, name: &OsStr) -> Result<()> {
        let removed = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
        removed.with_context(|| self.cannot("remove", name))
    }

    /// Takes a folder away if it is empty; says whether it was.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn remove_empty(&self, name: &OsStr) -> Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(error) => Err(error).with_context(|| self.cannot("remove", name)),
        }
    }

    /// Takes a folder away with all that is in it; of a link, the link.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn remove_all(&self, name: &OsStr) -> Result<()> {
        // By the descriptor: the path could lead elsewhere.
        let descriptor = self.fd.as_fd().as_raw_fd().to_string();
        let path = Path::new("/proc/self/fd").join(descriptor).join(name);
        std::fs::remove_dir_all(path).with_context(|| self.cannot("remove", name))
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    ///
    /// Names the folder.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let fault = || format!("cannot list {}", self.path.display());
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).with_context(fault)? {
            let name = entry.with_context(fault)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    fn write_new(&self, name: &OsStr, bytes: &[u8], attributes: &Attributes) -> Result<()> {
        // Left by a run that was killed and had our number.
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()).ok();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(&self.fd, name, flags, mode)?);
        file.write_all(bytes)?;
        give(file.as_fd(), attributes)?;
        Ok(file.sync_all()?)
    }

    fn flush(&self) -> Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    fn cannot(&self, what: &str, name: &OsStr) -> String {
        format!("cannot {what} {}", self.path.join(name).display())
    }
}

/// How a folder is opened.
pub(super) fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn is_empty(folder: &OwnedFd) -> bool {
    let entries = rustix::fs::Dir::read_from(folder).ok();
    entries.is_some_and(|entries| {
        let mut names =
            entries.map(|entry| entry.map(|entry| entry.file_name().to_bytes().to_vec()));
        names.all(|name| name.is_ok_and(|name| name == b"." || name == b".."))
    })
}
