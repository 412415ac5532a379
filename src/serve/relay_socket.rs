//! The Unix socket at which hooks hand their alerts over. An alert is looked at before it is
//! acknowledged, so that the hook ends with the status that it would have found alone, and the
//! acknowledgement means that it is durable.
//!
//! One `serve` at a time: it holds a lock beside the socket, and only its holder takes a socket away
//! that another one has left. The socket gets its mode before it gets its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use nix::fcntl::OFlag;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ingest::{Arrival, Held, Ingest, Taken};
use crate::alert::MAX_BYTES;
use crate::alert::enrich::Source;
use crate::relay::{Answer, HEAD, Head, Key, MAX_OPTIONS, is_trusted};

/// Hooks come one at a time; more than that are other programs of the same user.
const CONNECTIONS: usize = 64;
/// How long a peer may take over a frame, and over an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it rests after an `accept` that failed (too many open files, say).
const REST: Duration = Duration::from_millis(100);

/// A socket that is ours.
#[derive(Debug)]
pub(super) struct RelaySocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    seats: Arc<Semaphore>,
    _lock: File,
}

impl RelaySocket {
    /// Takes the place; within a runtime.
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
            seats: Arc::new(Semaphore::new(CONNECTIONS)),
            _lock: lock,
        })
    }

    /// Serves hooks with these settings.
    pub(super) async fn serve(&self, ingest: &Ingest, key: Key) {
        loop {
            let Ok(seat) = Arc::clone(&self.seats).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let ingest = ingest.clone();
                    tokio::spawn(converse(stream, ingest, key, seat));
                }
                Err(error) => {
                    log::warn!("{}: {error}", self.path.display());
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Waits until every alert that is being handed over has its answer.
    pub(super) async fn finish(&self) {
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        drop(self.seats.acquire_many(all).await);
    }
}

impl RelaySocket {
    /// Hooks are to see at once that nobody listens. Another's socket is left alone.
    pub(super) fn remove(&self) {
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

async fn converse(mut stream: UnixStream, ingest: Ingest, key: Key, seat: OwnedSemaphorePermit) {
    if let Err(error) = answer_all(&mut stream, &ingest, key).await {
        log::debug!("a hook's connection broke: {error}");
    }
    drop(seat);
}

async fn answer_all(stream: &mut UnixStream, ingest: &Ingest, key: Key) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if !is_trusted(peer.uid(), peer.gid()) {
        log::warn!("user {} may not hand over alerts", peer.uid());
        return Ok(());
    }
    loop {
        let mut held = ingest.hold();
        let frame = tokio::time::timeout(PATIENCE, read(stream, key, &mut held)).await??;
        let answer = match frame {
            Read::End => return Ok(()),
            Read::No(answer) => answer,
            Read::Alert(arrival) => to_answer(ingest.take_to_disk(arrival).await),
        };
        let bytes = answer.encode();
        tokio::time::timeout(PATIENCE, stream.write_all(&bytes)).await??;
        if !matches!(answer, Answer::Kept | Answer::Filtered(_)) {
            // What it may still send is not read.
            return Ok(());
        }
    }
}

/// What a peer sent.
enum Read {
    End,
    Alert(Arrival),
    No(Answer),
}

async fn read(stream: &mut UnixStream, key: Key, held: &mut Held) -> io::Result<Read> {
    let mut first = [0; HEAD];
    match stream.read_exact(&mut first).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Read::End),
        Err(error) => return Err(error),
    }
    let Some(frame) = Head::read(&first).filter(|frame| frame.key == key) else {
        return Ok(Read::No(Answer::Elsewhere));
    };
    if frame.options > MAX_OPTIONS || frame.raw > MAX_BYTES {
        return Ok(Read::No(Answer::Refused("too large".to_owned())));
    }
    if !held.try_more(frame.options + frame.raw) {
        return Ok(Read::No(Answer::Refused("too many alerts wait".to_owned())));
    }
    Ok(Read::Alert(Arrival {
        options: exactly(stream, frame.options).await?,
        raw: exactly(stream, frame.raw).await?,
        received_at: frame.received_at,
        source: Source::of_code(frame.source),
    }))
}

async fn exactly(stream: &mut UnixStream, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes.into())
}

fn to_answer(taken: Taken) -> Answer {
    match taken {
        Taken::Stored { .. } | Taken::Spooled => Answer::Kept,
        Taken::Filtered(why) => Answer::Filtered(why),
        Taken::NotAnAlert(line) => Answer::NotAnAlert(line),
        Taken::Rejected(id) => Answer::Refused(format!("dead letter {id}")),
        Taken::Busy => Answer::Refused("too many alerts wait".to_owned()),
        Taken::Failed(why) => Answer::Refused(why),
    }
}
