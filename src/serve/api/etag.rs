//! Versions of answers: whoever has the same one already is told so in a few bytes. They are weak:
//! the bytes may differ by an age, the documents do not.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::answer;
use crate::store::reader::Freshness;

/// The version of an answer to this question.
pub(super) fn of(question: &str, content: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(question.len().to_le_bytes());
    hash.update(question);
    hash.update(content);
    let digest = hash.finalize();
    let first: [u8; 16] = digest.first_chunk().copied().unwrap_or_default();
    format!("W/\"{:032x}\"", u128::from_be_bytes(first))
}

/// What an inventory is made of, from what is known of its reads. None if nothing is known.
pub(super) fn content(all: &[Freshness]) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    Some(format!("{all:?}"))
}

/// 304 if the client has this version (RFC 9110, section 13.1.2).
pub(super) fn unchanged(headers: &HeaderMap, etag: &str) -> Option<Response> {
    let known = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
    let opaque = etag.trim_start_matches("W/");
    let mut each = known
        .split(',')
        .map(|one| one.trim().trim_start_matches("W/"));
    if !each.any(|one| one == opaque || one == "*") {
        return None;
    }
    let mut response = answer::json(StatusCode::NOT_MODIFIED, Body::empty());
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Ok(etag) = etag.parse() {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Some(response)
}
