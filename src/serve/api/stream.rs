//! `GET /api/alerts/stream`: alerts as they are stored, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>). Each event's id is the
//! position behind it; whoever connects again with it misses nothing and sees nothing twice.
//!
//! Nothing is kept for a client: a slow one slows its own reading, and is cut by its connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::alerts::{FILTERS, filter};
use super::parameters::{Parameters, wrong};
use crate::serve::app::{App, Shared};
use crate::serve::auth::{Caller, Scope};
use crate::serve::error::Error;
use crate::serve::tokens::Identity;
use crate::store::reader::{Event, Fault, Shape, Tail};

/// What is said at least so often, so that a dead connection is seen as one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When a client connects again, in milliseconds.
const RETRY: &str = "retry: 3000\n";

/// One stream.
struct Streaming {
    app: Arc<App>,
    /// Who asked, and with which token.
    caller: Caller,
    headers: HeaderMap,
    tail: Tail,
    shape: Shape,
    first: Option<String>,
    spoken: Instant,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// Streams until the client or the service ends it.
pub(in crate::serve) async fn page(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let timeless = |name: &&str| !matches!(*name, "since" | "until");
    let known: Vec<&str> = FILTERS
        .into_iter()
        .filter(timeless)
        .chain(["fields", "last_event_id"])
        .collect();
    let given = Parameters::parse("/api/alerts/stream", query.as_deref(), &known)?;
    let mut filter = filter(&app, &given, &caller)?;
    // A text is looked for in what is new, however old it says it is.
    filter.since = None;
    let page = given.page(None)?;
    let last = headers
        .get("last-event-id")
        .and_then(|last| last.to_str().ok());
    let last = last
        .filter(|last| !last.is_empty())
        .or(given.text("last_event_id"));
    let tail = app.reader.tail(&filter, last);
    let mut tail =
        tail.map_err(|_| wrong("last_event_id", "it is no id of this stream's events"))?;
    let place = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let why = "There are as many streams as the service allows";
        Error::new(StatusCode::SERVICE_UNAVAILABLE, why).retry_after(Duration::from_secs(30))
    })?;
    let first = match tail.open().await {
        Ok(position) => heartbeat(&position),
        // `next` tells of it.
        Err(Fault::HistoryLost) => String::new(),
        Err(fault) => return Err(fault.into()),
    };
    let mut shape = Shape::of(&page.fields);
    shape.with_id |= page.fields.is_empty();
    let streaming = Streaming {
        app,
        caller,
        headers,
        tail,
        shape,
        first: Some(format!("{RETRY}{first}")),
        spoken: Instant::now(),
        is_over: false,
        _place: place,
    };
    let kind = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let body = Body::from_stream(stream::unfold(streaming, Streaming::event));
    Ok((StatusCode::OK, kind, body).into_response())
}

/// As many streams as there may be.
pub(in crate::serve) fn places(count: i64) -> Arc<Semaphore> {
    let count = usize::try_from(count).unwrap_or(0);
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}

impl Streaming {
    async fn event(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.is_over {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some((Ok(Bytes::from(first)), self));
        }
        let stopping = self.app.stopping();
        let text = tokio::select! {
            () = stopping => return None,
            text = self.wait() => text,
        };
        self.spoken = Instant::now();
        Some((Ok(Bytes::from(text)), self))
    }

    /// Whether the token still is what it was: one may be taken away while its stream runs.
    fn is_allowed(&self) -> bool {
        match self.app.tokens.identify(&self.headers) {
            Identity::Known(now) => now.may(Scope::Read) && now.site == self.caller.site,
            Identity::Missing | Identity::Unknown => false,
        }
    }

    async fn wait(&mut self) -> Vec<u8> {
        loop {
            let next = self.tail.next().await;
            if !self.is_allowed() {
                self.is_over = true;
                return Vec::from(": the token is not known any longer\n\n");
            }
            match next {
                Ok(Event::Alert(position, record)) => {
                    let mut out = format!("id: {position}\ndata: ").into_bytes();
                    record.write_json(&self.shape, &mut out);
                    out.extend_from_slice(b"\n\n");
                    return out;
                }
                Ok(Event::Nothing(position)) if self.spoken.elapsed() >= HEARTBEAT => {
                    return heartbeat(&position).into_bytes();
                }
                Ok(Event::Nothing(_)) => {}
                Ok(Event::Lost) => return lost(),
                Err(fault) => {
                    log::error!("stream: {fault}");
                    self.is_over = true;
                    return Vec::from(": the service cannot go on\n\n");
                }
            }
        }
    }
}

/// An event without data sets the position and is not given to the page's own code.
fn heartbeat(position: &str) -> String {
    if position.is_empty() {
        return ": waiting for MongoDB\n\n".to_owned();
    }
    format!("id: {position}\n: heartbeat\n\n")
}

fn lost() -> Vec<u8> {
    let why = "the position is too old; read what came since from /api/alerts";
    format!("event: lost\ndata: {{\"message\":\"{why}\"}}\n\n").into_bytes()
}
