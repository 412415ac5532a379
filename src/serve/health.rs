//! Alive, and ready: what a supervisor, a load balancer and a person ask.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::app::{App, Shared};
use crate::spool::{self, Spool};

/// For so long an answer is given again: whoever asks in a loop asks MongoDB no more often.
const FRESH: Duration = Duration::from_secs(1);

/// How long the disk may take.
const DISK: Duration = Duration::from_secs(2);

/// What was found out lately.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<(Instant, Arc<Found>)>>);

/// What keeps the service from its work, and what waits on disk.
pub(super) struct Found {
    /// Why MongoDB cannot be used; none if it answers.
    pub(super) mongodb: Result<(), String>,
    /// The spool of this destination.
    pub(super) spool: Result<spool::Status, String>,
}

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> Response {
    answer(StatusCode::OK, &json!({ "status": "success" }))
}

/// `GET /readyz`: MongoDB answers, the spool takes alerts; if not, why. Causes are for the log.
pub(super) async fn ready(State(app): Shared) -> Response {
    if app.is_stopping() {
        return not_ready(&["stopping"]);
    }
    let found = look(&app).await;
    let reasons = found.reasons(&app.spool);
    if reasons.is_empty() {
        answer(StatusCode::OK, &json!({ "status": "success" }))
    } else {
        not_ready(&reasons)
    }
}

/// Looks now, unless somebody did a moment ago.
pub(super) async fn look(app: &App) -> Arc<Found> {
    let mut last = app.health.0.lock().await;
    if let Some((when, found)) = &*last
        && when.elapsed() < FRESH
    {
        return Arc::clone(found);
    }
    let found = Arc::new(Found {
        mongodb: app.reader.ping().await.map_err(|error| error.to_string()),
        spool: status(Arc::clone(&app.spool)).await,
    });
    *last = Some((Instant::now(), Arc::clone(&found)));
    found
}

impl Found {
    /// Tells the log if MongoDB has come or gone; whether it is there.
    pub(super) fn report(&self, was: Option<bool>) -> bool {
        let is = self.mongodb.is_ok();
        match &self.mongodb {
            _ if was == Some(is) => {}
            Ok(()) => log::info!("Successfully connected to MongoDB"),
            Err(why) => log::warn!("MongoDB cannot be used; alerts go into the spool: {why}"),
        }
        is
    }

    /// What keeps the service from its work, in words for everybody.
    fn reasons(&self, spool: &Spool) -> Vec<&'static str> {
        let mongodb = self.mongodb.is_err();
        let (full, unreadable) = match &self.spool {
            Ok(status) => (spool.is_full(status), false),
            Err(_) => (false, true),
        };
        [
            (mongodb, "MongoDB does not answer"),
            (full, "the spool has no room left"),
            (unreadable, "the spool cannot be read"),
        ]
        .into_iter()
        .filter_map(|(is, why)| is.then_some(why))
        .collect()
    }
}

async fn status(spool: Arc<Spool>) -> Result<spool::Status, String> {
    let looking = tokio::task::spawn_blocking(move || spool.status());
    match tokio::time::timeout(DISK, looking).await {
        Ok(Ok(status)) => status.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the disk gave no answer within {DISK:?}")),
    }
}

fn not_ready(reasons: &[&str]) -> Response {
    let mut message = String::from("Not ready");
    for (place, reason) in reasons.iter().enumerate() {
        let before = if place == 0 { ": " } else { "; " };
        write!(message, "{before}{reason}").ok();
    }
    let body = json!({ "status": "error", "message": message, "reasons": reasons });
    answer(StatusCode::SERVICE_UNAVAILABLE, &body)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}
