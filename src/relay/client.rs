//! The hook's end: connect without waiting, hand over, wait for the answer until the limit.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::socket::{getsockopt, sockopt};

use super::{ANSWER_HEAD, Answer, Frame, Key, is_trusted, receive, send_all};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody listens.
    #[error("nobody listens at the socket")]
    Absent,
    /// Somebody listens and does not answer in time.
    #[error("serve does not answer at its socket")]
    Late,
    /// The connection, or what was said over it.
    #[error("serve's socket: {0}")]
    Broken(io::Error),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Self::Absent,
            // A queue of connections that is full says the same as silence.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Late,
            _ => Self::Broken(error),
        }
    }
}

/// An alert that was handed over, and the way on which its answer comes.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
}

impl Conversation {
    /// Hands an alert over.
    ///
    /// # Errors
    ///
    /// There is nobody to hand it to; whether the alert was kept all the same is not known.
    pub fn begin(path: &Path, frame: &Frame<'_>, end: Instant) -> Result<Self, NoAnswer> {
        let bytes = frame.encode().ok_or_else(|| broken("too large"))?;
        Self::send(path, &bytes, end)
    }

    fn send(path: &Path, bytes: &[u8], end: Instant) -> Result<Self, NoAnswer> {
        let stream = connect_at_once(path)?;
        let peer = getsockopt(&stream, sockopt::PeerCredentials).map_err(io::Error::from)?;
        if !is_trusted(peer.uid(), peer.gid()) {
            return Err(broken("it belongs to another user"));
        }
        match send_all(&stream, bytes, end) {
            // Whoever needs no more of it than the head has answered before the end.
            Err(error) if is_cut(&error) => {}
            sent => sent?,
        }
        Ok(Self { stream })
    }

    /// Waits for the answer. After `Late` one may wait again.
    ///
    /// # Errors
    ///
    /// There is no clear answer; whether the alert was kept is not known.
    pub fn answer(&self, end: Instant) -> Result<Answer, NoAnswer> {
        let mut head = [0; ANSWER_HEAD];
        let begun = receive(&self.stream, &mut head, end)?;
        self.rest(head.get_mut(begun..).unwrap_or_default(), begun, end)?;
        let [code, _, low, high] = head;
        let mut text = vec![0; usize::from(u16::from_le_bytes([low, high]))];
        self.rest(&mut text, begun, end)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Answer::read(code, text).ok_or_else(|| broken("an answer that is not known"))
    }

    /// Half an answer is not waited for a second time.
    fn rest(&self, mut bytes: &mut [u8], mut read: usize, end: Instant) -> Result<(), NoAnswer> {
        while !bytes.is_empty() {
            if read == 0 {
                return Err(broken("the connection has ended without an answer"));
            }
            read = receive(&self.stream, bytes, end).map_err(NoAnswer::Broken)?;
            bytes = bytes.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Whose settings the service at the socket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Ours.
    Same,
    /// Others: hooks go their own way.
    Others,
}

/// Asks without an alert. Nothing is counted or logged for it there.
///
/// # Errors
///
/// As `hand_over`.
pub fn ask(path: &Path, key: Key, within: Duration) -> Result<Terms, NoAnswer> {
    let end = Instant::now() + within;
    match Conversation::send(path, &key.question(), end)?.answer(end)? {
        Answer::Elsewhere => Ok(Terms::Others),
        _ => Ok(Terms::Same),
    }
}

fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

fn broken(why: &str) -> NoAnswer {
    NoAnswer::Broken(io::Error::other(why))
}

/// A connect may wait while the other end's queue is full, and std gives no limit for that.
fn connect_at_once(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(socket))
}
