//! The body of a request, whole, within its limits of size and time.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;

use super::error::Error;
use super::settings::Settings;

/// Reads the body to its end.
///
/// 413 beyond `max_body`, at once if its length is announced; 408 if it takes longer than
/// `body_timeout`; 400 if it breaks off.
pub(super) async fn whole(body: Body, settings: &Settings) -> Result<Bytes, Error> {
    let limit = usize::try_from(settings.max_body.0).unwrap_or(usize::MAX);
    if body.size_hint().lower() > settings.max_body.0 {
        return Err(too_large(limit));
    }
    let read = tokio::time::timeout(settings.body_timeout.0, collect(body, limit));
    read.await.unwrap_or_else(|_| {
        let why = "The body did not arrive in time";
        Err(Error::new(StatusCode::REQUEST_TIMEOUT, why))
    })
}

/// 413, which names the limit.
pub(super) fn too_large(limit: usize) -> Error {
    let why = format!("The body is longer than {limit} bytes");
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let mut all = Bytes::new();
    let mut joined = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Error::bad_request("The body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if all.len().max(joined.len()) + data.len() > limit {
            return Err(too_large(limit));
        }
        // Most bodies come in one piece, which needs no copy.
        if joined.is_empty() && all.is_empty() {
            all = data;
            continue;
        }
        if joined.is_empty() {
            joined = std::mem::take(&mut all).into();
        }
        joined.extend_from_slice(&data);
    }
    Ok(if joined.is_empty() {
        all
    } else {
        joined.into()
    })
}
