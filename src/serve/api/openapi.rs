//! `GET /openapi.json`: the API's own description (`OpenAPI` 3.1). A test holds it against the running
//! service, in both directions.

use axum::body::Body;
use axum::response::Response;

use super::answer;

const DOCUMENT: &str = include_str!("openapi.json");

/// The document.
pub(in crate::serve) async fn page() -> Response {
    answer::json(Body::from(DOCUMENT))
}
