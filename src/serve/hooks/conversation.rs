//! What is said over one connection of a hook. An alert is looked at before it is acknowledged, so
//! that the hook ends with the status that it would have found alone, and the acknowledgement means
//! that it is durable.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use nix::sys::socket::{getsockopt, sockopt};

use crate::alert::MAX_BYTES;
use crate::alert::enrich::Source;
use crate::relay::{Answer, HEAD, Head, MAX_OPTIONS, is_trusted, receive, send_all};
use crate::serve::app::App;
use crate::serve::ingest::{Arrival, Held, Taken};

/// How long a peer may take over a frame, and over an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most alerts are shorter than this, in bytes.
const USUAL: usize = 8 << 10;

/// What a peer sent.
enum Read {
    End,
    Alert(Arrival),
    No(Answer),
}

/// Answers every frame of a connection.
///
/// # Errors
///
/// As the connection does, or `TimedOut`; there is nobody left to tell.
pub(super) fn answer_all(stream: &UnixStream, app: &App) -> io::Result<()> {
    let peer = getsockopt(stream, sockopt::PeerCredentials)?;
    if !is_trusted(peer.uid(), peer.gid()) {
        log::warn!("user {} may not hand over alerts", peer.uid());
        return Ok(());
    }
    loop {
        let mut held = app.ingest.hold();
        let answer = match read(stream, app, &mut held)? {
            Read::End => return Ok(()),
            Read::No(answer) => answer,
            Read::Alert(arrival) => to_answer(app.ingest.take_to_disk(arrival)),
        };
        let sent = send_all(stream, &answer.encode(), Instant::now() + PATIENCE);
        if answer == Answer::Kept {
            app.ingest.forward();
        }
        sent?;
        if !matches!(answer, Answer::Kept | Answer::Filtered(_)) {
            // What it may still send is not read.
            return Ok(());
        }
    }
}

/// Reads a frame: usually its head and all that is behind it come at once.
fn read(stream: &UnixStream, app: &App, held: &mut Held) -> io::Result<Read> {
    let end = Instant::now() + PATIENCE;
    let mut bytes = vec![0; USUAL];
    let mut length = 0;
    while length < HEAD {
        let room = bytes.get_mut(length..).unwrap_or_default();
        match receive(stream, room, end)? {
            0 if length == 0 => return Ok(Read::End),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
    }
    let frame = bytes.first_chunk().and_then(Head::read);
    let Some(frame) = frame.filter(|frame| app.relay_keys.contains(&frame.key)) else {
        return Ok(Read::No(Answer::Elsewhere));
    };
    if frame.options > MAX_OPTIONS || frame.raw > MAX_BYTES {
        return Ok(Read::No(Answer::Refused("too large".to_owned())));
    }
    if !held.try_more(frame.options + frame.raw) {
        return Ok(Read::No(Answer::Refused("too many alerts wait".to_owned())));
    }
    let whole = HEAD + frame.options + frame.raw;
    if length > whole {
        return Err(io::Error::other("there is more than its head announces"));
    }
    bytes.resize(whole, 0);
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match receive(stream, room, end)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
    }
    let bytes = Bytes::from(bytes);
    Ok(Read::Alert(Arrival {
        options: bytes.slice(HEAD..HEAD + frame.options),
        raw: bytes.slice(HEAD + frame.options..),
        received_at: frame.received_at,
        source: Source::of_code(frame.source),
    }))
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
