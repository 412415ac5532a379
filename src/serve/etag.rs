//! Answers that a client may have already (RFC 9110, section 13.1.2). Tags are weak: the same answer
//! may go out compressed or not.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::tokens::to_hex;

/// The name of one state of what a path shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag(HeaderValue);

impl Tag {
    /// The same parts in the same order give the same tag.
    pub(super) fn of(parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part.len().to_le_bytes());
            digest.update(part.as_bytes());
        }
        let digest: [u8; 32] = digest.finalize().into();
        let hex = to_hex(digest.get(..16).unwrap_or_default());
        let text = format!("W/\"{hex}\"");
        Self(HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("W/\"\"")))
    }

    /// 304, if these request headers say that the client has this state already.
    pub(super) fn not_modified(&self, request: &HeaderMap) -> Option<Response> {
        let known = request.get_all(header::IF_NONE_MATCH).iter().any(|list| {
            let mut tags = list
                .as_bytes()
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii);
            tags.any(|tag| tag == b"*" || opaque(tag) == opaque(self.0.as_bytes()))
        });
        known.then(|| self.mark(StatusCode::NOT_MODIFIED.into_response()))
    }

    /// The answer with this tag; a client asks each time whether it is still the same.
    pub(super) fn mark(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.0.clone());
        let keep = HeaderValue::from_static("private, no-cache");
        headers.insert(header::CACHE_CONTROL, keep);
        response
    }
}

/// Weak comparison looks behind the `W/`.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())])
    }

    #[test]
    fn a_client_that_has_it_gets_304() {
        let tag = Tag::of(&["a", "b"]);
        let text = tag.0.to_str().unwrap();
        let strong = text.trim_start_matches("W/");
        for known in [text.to_owned(), format!("\"x\", {strong}"), "*".to_owned()] {
            let answer = tag.not_modified(&asks(&known)).unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(answer.headers()[header::ETAG], text);
        }
        assert!(tag.not_modified(&asks("\"x\"")).is_none());
        assert!(tag.not_modified(&HeaderMap::new()).is_none());
        assert_ne!(tag, Tag::of(&["ab", ""]));
    }
}
