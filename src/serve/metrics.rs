//! What has happened since the start, in Prometheus's text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::app::Shared;

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(super) fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Alerts that arrived, whatever became of them.
    pub(super) received: Counter,
    /// Alerts that are in MongoDB.
    pub(super) stored: Counter,
    /// Alerts that went to disk instead.
    pub(super) spooled: Counter,
    /// Alerts that were there already.
    pub(super) duplicates: Counter,
    /// Alerts that `[filter]` took out.
    pub(super) filtered: Counter,
    /// Alerts that MongoDB will never take, and what was none.
    pub(super) dead: Counter,
}

/// `GET /metrics`.
pub(super) async fn page(State(app): Shared) -> Response {
    let metrics = &app.metrics;
    let text = format!(
        "custom_mongo_alerts_received_total {}\n",
        metrics.received.value()
    );
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, text).into_response()
}
