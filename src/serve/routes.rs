//! Every route on one page, with what a caller needs for it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use super::app::App;
use super::auth::{Need, Scope, guard};
use super::error::Error;
use super::{access, api, health, metrics};

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

    open.merge(operation)
        .merge(read)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
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
