//! The body of a request that is too long, said in one way.

use axum::http::StatusCode;

use super::error::Error;

/// 413, which names the limit.
pub(super) fn too_large(limit: usize) -> Error {
    let why = format!("The body is longer than {limit} bytes");
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}
