//! What has happened since the start, and how things stand, in Prometheus's text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::{App, Shared};
use super::health;
use super::ingest::Counts;
use crate::delivery::now;
use crate::spool::Status;

mod process;

/// Upper bounds of the latencies, in seconds.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicU64);

/// What has happened since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Open connections.
    pub(super) connections: Gauge,
    routes: Mutex<BTreeMap<String, Route>>,
}

/// The requests of one route.
#[derive(Debug, Default)]
struct Route {
    answers: BTreeMap<(&'static str, u16), u64>,
    /// Requests that took at most as long as the bound of the same place; the last has no bound.
    took: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Gauge {
    /// From now on this.
    pub(super) fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts an answer of a route (as it is written in the table of routes).
    pub(super) fn answered(
        &self,
        route: &str,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if !routes.contains_key(route) {
            routes.insert(route.to_owned(), Route::default());
        }
        if let Some(all) = routes.get_mut(route) {
            all.count(method_name(method), status.as_u16(), took.as_secs_f64());
        }
    }
}

impl Route {
    fn count(&mut self, method: &'static str, status: u16, seconds: f64) {
        *self.answers.entry((method, status)).or_default() += 1;
        let place = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = self.took.get_mut(place.unwrap_or(BOUNDS.len())) {
            *bucket += 1;
        }
        self.seconds += seconds;
    }
}

/// A client may send any word: those beyond the usual ones are one.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// `GET /metrics`.
pub(super) async fn page(State(app): Shared) -> Response {
    let found = health::look(&app).await;
    let mut page = Page::default();
    page.gauge(
        "mongodb_up",
        "Whether MongoDB answers",
        f64::from(u8::from(found.mongodb.is_ok())),
    );
    page.alerts(&app.ingest.counts());
    let connections = app.metrics.connections.0.load(Ordering::Relaxed);
    page.gauge("connections", "Open connections", float(connections));
    if let Ok(status) = &found.spool {
        page.spool(status);
    }
    page.requests(&app.metrics);
    page.process(&app);
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, page.0).into_response()
}

/// Name, help and value of what has become of the alerts.
fn counters(counts: &Counts) -> [(&'static str, &'static str, u64); 11] {
    let Counts {
        stored,
        already_there,
        spooled,
        forwarded,
        filtered,
        not_alerts,
        ..
    } = *counts;
    let dead = counts.rejected + counts.forwarded_dead;
    let refused = counts.busy + counts.failed;
    let (received, writes, micros) = (counts.received(), counts.writes, counts.write_micros);
    let written = "Alerts that were written to MongoDB when they came";
    let brought = "Alerts that were brought from the disk to MongoDB";
    let again = "Alerts whose sender was told to come again";
    [
        ("alerts_received", "Alerts that arrived", received),
        ("alerts_stored", written, stored),
        (
            "alerts_duplicates",
            "Alerts that MongoDB had",
            already_there,
        ),
        ("alerts_spooled", "Alerts that went to disk", spooled),
        ("alerts_forwarded", brought, forwarded),
        ("alerts_filtered", "Alerts that were not wanted", filtered),
        ("alerts_dead", "Alerts that became dead letters", dead),
        ("alerts_invalid", "Texts that were no alerts", not_alerts),
        ("alerts_refused", again, refused),
        ("writes", "Batches that MongoDB has decided on", writes),
        ("write_microseconds", "How long they took together", micros),
    ]
}

/// The page while it is written.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a text does not fail.
        writeln!(self.0, "{line}").ok();
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let name = format!("custom_mongo_{name}");
        self.head(&name, "gauge", help);
        self.line(format_args!("{name} {value}"));
    }

    fn alerts(&mut self, counts: &Counts) {
        for (name, help, value) in counters(counts) {
            let name = format!("custom_mongo_{name}_total");
            self.head(&name, "counter", help);
            self.line(format_args!("{name} {value}"));
        }
        let waiting = "Alerts in memory that wait for a write";
        self.gauge("queue_alerts", waiting, float(counts.waiting));
        let held = "What alerts without an answer hold in memory";
        self.gauge("queue_bytes", held, float(counts.held));
    }

    fn spool(&mut self, status: &Status) {
        let age = status
            .oldest_ms
            .map_or(0, |oldest| now().saturating_sub(oldest));
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        let gauges = [
            (
                "pending",
                "Alerts on disk that wait for MongoDB",
                float(status.pending),
            ),
            (
                "pending_bytes",
                "Bytes of the alerts that wait",
                float(status.pending_bytes),
            ),
            (
                "oldest_age_seconds",
                "Age of the oldest alert that waits",
                age.as_secs_f64(),
            ),
            (
                "bytes",
                "Bytes that the spool takes on disk",
                float(status.bytes_on_disk),
            ),
            (
                "max_bytes",
                "Bytes that the spool may take",
                float(status.max_size),
            ),
            (
                "room_bytes",
                "Bytes that it may still take",
                float(status.room),
            ),
            (
                "disk_free_bytes",
                "Bytes that are free on its disk",
                float(status.disk_free),
            ),
            ("dead_letters", "Dead letters on disk", float(status.dead)),
            (
                "damaged",
                "Damaged stretches that were found",
                float(status.damaged),
            ),
        ];
        for (name, help, value) in gauges {
            self.gauge(&format!("spool_{name}"), help, value);
        }
    }

    fn requests(&mut self, metrics: &Metrics) {
        let routes = metrics
            .routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let name = "custom_mongo_http_requests_total";
        self.head(name, "counter", "Requests by route and answer");
        for (route, all) in routes.iter() {
            for ((method, status), count) in &all.answers {
                self.line(format_args!(
                    "{name}{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}"
                ));
            }
        }
        let name = "custom_mongo_http_request_duration_seconds";
        self.head(
            name,
            "histogram",
            "From the head of a request to the head of its answer",
        );
        for (route, all) in routes.iter() {
            self.durations(name, route, all);
        }
    }

    fn durations(&mut self, name: &str, route: &str, all: &Route) {
        let mut sum = 0;
        for (place, count) in all.took.iter().enumerate() {
            sum += count;
            let bound = BOUNDS.get(place).map_or("+Inf".to_owned(), f64::to_string);
            self.line(format_args!(
                "{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {sum}"
            ));
        }
        self.line(format_args!(
            "{name}_sum{{route=\"{route}\"}} {}",
            all.seconds
        ));
        self.line(format_args!("{name}_count{{route=\"{route}\"}} {sum}"));
    }

    fn process(&mut self, app: &App) {
        self.gauge(
            "uptime_seconds",
            "Time since the start",
            app.started.elapsed().as_secs_f64(),
        );
        for (name, kind, help, value) in process::numbers() {
            self.head(name, kind, help);
            self.line(format_args!("{name} {value}"));
        }
    }
}

/// Beyond 2^53 a byte more or less does not matter.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge of Prometheus is a double"
)]
fn float(value: u64) -> f64 {
    value as f64
}
