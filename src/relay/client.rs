//! The hook's end: connect without waiting, hand over, wait for the answer until the limit.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::socket::{getsockopt, sockopt};

use super::{ANSWER_HEAD, Answer, Duration, Frame, Key, Path, is_trusted};

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

/// Hands an alert over and waits for the answer, at most for so long in total.
///
/// # Errors
///
/// There is no clear answer; whether the alert was kept is not known.
pub fn hand_over(path: &Path, frame: &Frame<'_>, within: Duration) -> Result<Answer, NoAnswer> {
    let bytes = frame.encode().ok_or_else(|| broken("too large"))?;
    converse(path, &bytes, Instant::now() + within)
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
    match converse(path, &key.question(), Instant::now() + within)? {
        Answer::Elsewhere => Ok(Terms::Others),
        _ => Ok(Terms::Same),
    }
}

fn converse(path: &Path, bytes: &[u8], end: Instant) -> Result<Answer, NoAnswer> {
    let mut stream = connect_at_once(path)?;
    let peer = getsockopt(&stream, sockopt::PeerCredentials).map_err(io::Error::from)?;
    if !is_trusted(peer.uid(), peer.gid()) {
        return Err(broken("it belongs to another user"));
    }
    write(&mut stream, bytes, end)?;
    let mut head = [0; ANSWER_HEAD];
    read(&mut stream, &mut head, end)?;
    let [code, _, low, high] = head;
    let mut text = vec![0; usize::from(u16::from_le_bytes([low, high]))];
    read(&mut stream, &mut text, end)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Answer::read(code, text).ok_or_else(|| broken("an answer that is not known"))
}

fn broken(why: &str) -> NoAnswer {
    NoAnswer::Broken(io::Error::other(why))
}

/// A connect may wait while the other end's queue is full, and std gives no limit for that.
fn connect_at_once(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn write(stream: &mut UnixStream, mut bytes: &[u8], end: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(end)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read(stream: &mut UnixStream, mut bytes: &mut [u8], end: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_read_timeout(Some(left(end)?))?;
        match stream.read(bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => bytes = bytes.get_mut(read..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(left)
}
