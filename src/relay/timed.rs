//! Bytes over a socket until a moment, whether or not the socket itself waits.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

/// Waits for bytes and takes what is there; 0 is the end.
///
/// # Errors
///
/// `TimedOut`, or what the connection says.
pub fn receive(stream: &UnixStream, bytes: &mut [u8], end: Instant) -> io::Result<usize> {
    loop {
        wait(stream, PollFlags::POLLIN, end)?;
        match recv(stream.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT).map_err(io::Error::from) {
            Err(error) if is_passing(&error) => {}
            done => return done,
        }
    }
}

/// Sends all of it.
///
/// # Errors
///
/// As `receive`.
pub fn send_all(stream: &UnixStream, mut bytes: &[u8], end: Instant) -> io::Result<()> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    while !bytes.is_empty() {
        match send(stream.as_raw_fd(), bytes, flags).map_err(io::Error::from) {
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(error) if is_passing(&error) => wait(stream, PollFlags::POLLOUT, end)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn wait(stream: &UnixStream, what: PollFlags, end: Instant) -> io::Result<()> {
    let left = end.saturating_duration_since(Instant::now());
    let limit = if left.is_zero() {
        // Who was held up himself takes what has come meanwhile, and waits for nothing more.
        Ok(PollTimeout::ZERO)
    } else {
        // Rounded up: a wait of less than a millisecond would not be one.
        PollTimeout::try_from(left + Duration::from_millis(1))
    };
    let mut fds = [PollFd::new(stream.as_fd(), what)];
    match poll(&mut fds, limit.unwrap_or(PollTimeout::MAX)) {
        Ok(0) => Err(ErrorKind::TimedOut.into()),
        Err(error) if error != nix::errno::Errno::EINTR => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn who_comes_too_late_takes_what_is_there_and_waits_for_nothing() {
        let (mut peer, stream) = UnixStream::pair().unwrap();
        let past = Instant::now();
        let late = |error: io::Error| error.kind() == ErrorKind::TimedOut;
        let mut bytes = [0; 8];
        assert!(receive(&stream, &mut bytes, past).is_err_and(late));
        peer.write_all(b"abc").unwrap();
        assert_eq!(receive(&stream, &mut bytes, past).unwrap(), 3);
        send_all(&stream, b"abc", past).unwrap();
        // More than the kernel keeps for a peer that does not read.
        let much = vec![0; 8 << 20];
        assert!(send_all(&stream, &much, past).is_err_and(late));
        assert!(past.elapsed() < Duration::from_secs(5));
    }
}
