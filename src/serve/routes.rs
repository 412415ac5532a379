//! Every route on one page, with what a caller needs for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::app::App;
use super::auth::{Need, Scope, guard};
use super::error::Error;
use super::{access, api, health, metrics, webhook};

/// All routes, with what stands around each of them.
pub(super) fn routes(app: &Arc<App>) -> Router {
    let behind = |need| from_fn_with_state((Arc::clone(app), need), guard);

    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/openapi.json", get(api::openapi::page))
        .route("/readyz", get(health::ready));
    let operation = Router::new()
        .route("/metrics", get(metrics::page))
        .route_layer(behind(Need::LocalOr(Scope::Read)));
    let read = Router::new()
        .route("/api/agents", get(api::agents::list))
        .route("/api/agents/{id}", get(api::agents::one))
        .route("/api/agents/{id}/alerts", get(api::alerts::of_agent))
        .route("/api/agents/{id}/{kind}", get(api::agents::kind))
        .route("/api/alerts", get(api::alerts::list))
        .route("/api/alerts/stats", get(api::stats::page))
        .route("/api/alerts/stream", get(api::stream::page))
        .route("/api/alerts/{id}", get(api::alerts::one))
        .route("/api/collect/runs", get(api::agents::runs))
        .route("/api/software", get(api::agents::software))
        .route_layer(behind(Need::Scope(Scope::Read)));

    let ingest = Router::new()
        .route("/wazuh-alert", post(webhook::receive))
        .route_layer(behind(Need::Scope(Scope::Ingest)));

    open.merge(operation)
        .merge(ingest)
        .merge(read)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(compression())
        .layer(cors(&app.settings.cors_origins.0))
        .layer(from_fn_with_state(Arc::clone(app), access::around))
        .with_state(Arc::clone(app))
}

async fn unknown() -> Error {
    Error::not_found("There is no such path; /openapi.json names all of them")
}

async fn wrong_method(request: Request) -> Error {
    let why = format!("{} is not for this path", request.method());
    Error::new(StatusCode::METHOD_NOT_ALLOWED, why)
}

/// The panic itself is on stderr already.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Error::internal("a panic while it was handled").into_response()
}

/// Small answers would not get smaller, and events have to leave at once.
fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(WORTH_IT).and(NotForContentType::SSE);
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(worth_it)
}

/// From this many bytes on an answer is compressed.
const WORTH_IT: u64 = 1024;

/// Without origins no header is added, and no page of another origin can read an answer.
fn cors(origins: &[String]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let values = origins.iter().map(|origin| HeaderValue::from_str(origin));
        AllowOrigin::list(values.filter_map(Result::ok))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::IF_NONE_MATCH,
            HeaderName::from_static("x-auth-token"),
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(Duration::from_secs(600))
}
