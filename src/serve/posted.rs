//! The body of posted alerts: whole, unpacked, within its limits of size, time and of what all
//! bodies together may hold.

use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use flate2::write::MultiGzDecoder;

use super::error::Error;
use super::ingest::Held;
use super::settings::Settings;
use crate::alert::posted::Announced;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    No,
    Gzip,
}

/// Types of content that are surely no alerts; everything else is looked at, since senders say all
/// sorts of things (curl says `application/x-www-form-urlencoded` unless told otherwise).
const WRONG: [&str; 8] = [
    "multipart/",
    "image/",
    "audio/",
    "video/",
    "text/html",
    "text/xml",
    "application/xml",
    "application/pdf",
];
const LINES: [&str; 4] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
];

/// How the alerts lie in the body; 415 if that says it cannot be alerts.
pub(super) fn announced(headers: &HeaderMap) -> Result<Announced, Error> {
    let kind = text(headers, &header::CONTENT_TYPE)?;
    if WRONG.iter().any(|wrong| kind.starts_with(wrong)) {
        let why = "Alerts are JSON; send application/json or application/x-ndjson";
        return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let essence = kind.split(';').next().unwrap_or_default().trim();
    Ok(if LINES.contains(&essence) {
        Announced::Lines
    } else {
        Announced::Anything
    })
}

/// Reads the body to its end.
///
/// 413 beyond `max_body`, packed or not; 408 if it takes too long; 415 if it is packed in a way that
/// is not known; 503 if all senders together hold too much; 400 if it breaks off.
pub(super) async fn whole(
    headers: &HeaderMap,
    body: Body,
    settings: &Settings,
    held: &mut Held,
) -> Result<Bytes, Error> {
    let packed = packed(headers)?;
    let limit = usize::try_from(settings.max_body.0).unwrap_or(usize::MAX);
    if body.size_hint().lower() > settings.max_body.0 {
        return Err(too_large(limit));
    }
    let read = async {
        match packed {
            Packed::No => plain(body, limit, held).await,
            Packed::Gzip => unpacked(body, limit, held).await,
        }
    };
    let read = tokio::time::timeout(settings.body_timeout.0, read).await;
    read.unwrap_or_else(|_| {
        let why = "The body did not arrive in time";
        Err(Error::new(StatusCode::REQUEST_TIMEOUT, why))
    })
}

fn packed(headers: &HeaderMap) -> Result<Packed, Error> {
    match text(headers, &header::CONTENT_ENCODING)?.trim() {
        "" | "identity" => Ok(Packed::No),
        "gzip" | "x-gzip" => Ok(Packed::Gzip),
        _ => {
            let why = "Content-Encoding: gzip is known, and none";
            Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
        }
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Result<String, Error> {
    let value = headers.get(name).map(|value| value.to_str());
    match value.transpose() {
        Ok(text) => Ok(text.unwrap_or_default().to_ascii_lowercase()),
        Err(_) => Err(Error::bad_request(format!("{name} is no text"))),
    }
}

async fn piece(body: &mut Body) -> Result<Option<Bytes>, Error> {
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Error::bad_request("The body broke off"))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

async fn plain(mut body: Body, limit: usize, held: &mut Held) -> Result<Bytes, Error> {
    let mut sink = Sink::new(limit, held);
    let refused = |why: Refusal| why.into_error(limit);
    let Some(first) = piece(&mut body).await? else {
        return Ok(Bytes::new());
    };
    // Most bodies come in one piece, which needs no copy.
    if body.is_end_stream() {
        sink.admit(first.len()).map_err(refused)?;
        return Ok(first);
    }
    sink.take(&first).map_err(refused)?;
    while let Some(data) = piece(&mut body).await? {
        sink.take(&data).map_err(refused)?;
    }
    Ok(sink.all.into())
}

async fn unpacked(mut body: Body, limit: usize, held: &mut Held) -> Result<Bytes, Error> {
    let mut gzip = MultiGzDecoder::new(Sink::new(limit, held));
    while let Some(data) = piece(&mut body).await? {
        if let Err(error) = gzip.write_all(&data) {
            return Err(refused(gzip.get_ref(), &error, limit));
        }
    }
    if let Err(error) = gzip.try_finish() {
        return Err(refused(gzip.get_ref(), &error, limit));
    }
    Ok(std::mem::take(&mut gzip.get_mut().all).into())
}

fn refused(sink: &Sink<'_>, error: &io::Error, limit: usize) -> Error {
    match sink.refusal {
        Some(refusal) => refusal.into_error(limit),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::bad_request("The gzip data broke off")
        }
        None => Error::bad_request("The body is not gzip, as Content-Encoding says"),
    }
}

/// Takes what comes, within the limits.
struct Sink<'h> {
    all: Vec<u8>,
    taken: usize,
    limit: usize,
    held: &'h mut Held,
    refusal: Option<Refusal>,
}

#[derive(Debug, Clone, Copy)]
enum Refusal {
    TooLarge,
    Busy,
}

impl Refusal {
    fn into_error(self, limit: usize) -> Error {
        match self {
            Self::TooLarge => too_large(limit),
            Self::Busy => busy(),
        }
    }
}

/// 413, which names the limit.
fn too_large(limit: usize) -> Error {
    let why = format!("The body is longer than {limit} bytes");
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// 503: too much is held by all senders together.
pub(super) fn busy() -> Error {
    Error::unavailable("Too many alerts wait; send it again")
        .retry_after(std::time::Duration::from_secs(1))
}

impl<'h> Sink<'h> {
    fn new(limit: usize, held: &'h mut Held) -> Self {
        Self {
            all: Vec::new(),
            taken: 0,
            limit,
            held,
            refusal: None,
        }
    }

    fn admit(&mut self, bytes: usize) -> Result<(), Refusal> {
        let refusal = if self.taken.saturating_add(bytes) > self.limit {
            Refusal::TooLarge
        } else if self.held.try_more(bytes) {
            self.taken += bytes;
            return Ok(());
        } else {
            Refusal::Busy
        };
        self.refusal = Some(refusal);
        Err(refusal)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.admit(bytes.len())?;
        self.all.extend_from_slice(bytes);
        Ok(())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
