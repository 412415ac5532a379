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
        .layer(net())
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

/// A panic in a handler is the answer 500, and nobody else's trouble.
fn net() -> CatchPanicLayer<fn(Box<dyn std::any::Any + Send>) -> Response> {
    CatchPanicLayer::custom(panicked)
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use axum::body::{Body, HttpBody};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn broken() -> &'static str {
        panic!("mongodb://user:secret@host")
    }

    #[test]
    fn a_panic_is_an_answer_that_says_nothing_and_the_next_request_is_served() {
        let routes = Router::new()
            .route("/broken", get(broken))
            .route("/whole", get(|| async { "whole" }))
            .layer(net());
        let routes = TowerToHyperService::new(routes);
        let ask = async |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let mut answer = routes.call(request).await.unwrap();
            let body = answer.body_mut();
            let body = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
            let body = body.unwrap().unwrap().into_data().unwrap();
            (
                answer.status().as_u16(),
                String::from_utf8(body.to_vec()).unwrap(),
            )
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (status, body) = runtime.block_on(ask("/broken"));
        assert_eq!(status, 500);
        assert_eq!(body, r#"{"status":"error","message":"Internal error"}"#);
        assert_eq!(runtime.block_on(ask("/whole")), (200, "whole".to_owned()));
    }
}
