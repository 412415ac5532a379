//! The place of the Unix socket at which hooks hand their alerts over.
//!
//! One `serve` at a time: it holds a lock beside the socket, and only its holder takes a socket away
//! that another one has left. The socket gets its mode before it gets its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::socket::{Shutdown, shutdown};

/// A socket that is ours.
#[derive(Debug)]
pub(super) struct RelaySocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    _lock: File,
}

impl RelaySocket {
    /// Takes the place.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another `serve` has it; names the path and the fix.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| {
            let place = path.display();
            let text = format!("cannot listen at {place}: {error}; see serve.relay_socket");
            io::Error::new(error.kind(), text)
        };
        Self::take_place(path).map_err(named)
    }

    fn take_place(path: &Path) -> io::Result<Self> {
        let lock = lock(&path.with_extension("lock"))?;
        remove_stale(path)?;
        let fresh = path.with_extension("new");
        remove_stale(&fresh)?;
        let listener = UnixListener::bind(&fresh)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o660))?;
        fs::rename(&fresh, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode: fs::symlink_metadata(path)?.ino(),
            _lock: lock,
        })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// As `accept`; each time once it is closed and nobody waits any more.
    pub(super) fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().map(|(stream, _)| stream)
    }

    /// Takes no more connections, and wakes whoever waits for one.
    pub(super) fn close(&self) {
        if let Err(error) = shutdown(self.listener.as_raw_fd(), Shutdown::Both) {
            log::warn!("cannot close {}: {error}", self.path.display());
        }
        self.remove();
    }

    /// Hooks are to see at once that nobody listens. Another's socket is left alone.
    fn remove(&self) {
        let own = fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode);
        if own && let Err(error) = fs::remove_file(&self.path) {
            log::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let options = options.mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(
            ErrorKind::AddrInUse,
            "another custom-mongo serve has it",
        )),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Removes a socket that nobody serves: we hold the lock. Anything else stays where it is.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "something that is no socket is in the way",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
