//! Around every request: its id, its line in the log, and the headers that every answer has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::auth::TokenName;
use super::connection::Peer;
use super::error::{Cause, Error};
use super::settings::AccessLog;

/// What a supervisor asks is answered at any time.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the log shows of a path.
const LONGEST_PATH: usize = 200;

/// Around every route.
pub(super) async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = id_of(request.headers());
    let line = Line::of(&request, &id);
    let mut response = match refusal(&app, &request) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    response.headers_mut().insert(REQUEST_ID, id);
    protect(response.headers_mut());
    line.log(&app, &response, began);
    response
}

/// What no route has to say for itself.
fn refusal(app: &App, request: &Request) -> Option<Error> {
    let route = request.extensions().get::<MatchedPath>();
    if route.is_some_and(|route| HEALTH.contains(&route.as_str())) {
        return None;
    }
    if app.is_stopping() {
        let why = "Server is shutting down, request rejected";
        return Some(Error::unavailable(why));
    }
    let peer = request.extensions().get::<Peer>()?;
    app.rates.address(peer).err()
}

/// <https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers>
pub(super) fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// The client's own id if it is harmless, else a new one.
fn id_of(headers: &HeaderMap) -> HeaderValue {
    let harmless = |id: &&HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !id.is_empty() && id.len() <= 64 && id.as_bytes().iter().all(plain)
    };
    let given = headers.get(REQUEST_ID).filter(harmless).cloned();
    given.unwrap_or_else(new_id)
}

/// Unique on this host: the process, when it began, and a number.
fn new_id() -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:x}-{number:x}", std::process::id());
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"))
}

/// A path as a client should have sent it. Beyond ASCII there are characters that command a terminal.
fn shown(path: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    path.chars().take(LONGEST_PATH).map(plain).collect()
}

/// What the log says of a request: never its query, its body or its headers.
struct Line {
    peer: Option<Peer>,
    method: Method,
    route: Option<MatchedPath>,
    path: String,
    id: HeaderValue,
}

impl Line {
    fn of(request: &Request, id: &HeaderValue) -> Self {
        Self {
            peer: request.extensions().get().cloned(),
            method: request.method().clone(),
            route: request.extensions().get().cloned(),
            path: shown(request.uri().path()),
            id: id.clone(),
        }
    }

    fn log(&self, app: &App, response: &Response, began: Instant) {
        let status = response.status();
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let took = began.elapsed();
        app.metrics.answered(route, &self.method, status, took);
        let wanted = match app.settings.access_log {
            AccessLog::All => true,
            AccessLog::Errors => !status.is_success() && status != StatusCode::NOT_MODIFIED,
            AccessLog::Off => false,
        };
        let cause = response.extensions().get::<Cause>();
        if let Some(Cause(cause)) = cause {
            log::error!("{}: {cause}", self.text(response, took));
        } else if wanted {
            log::info!("{}", self.text(response, took));
        }
    }

    fn text(&self, response: &Response, took: Duration) -> String {
        let peer = self.peer.as_ref().map(|peer| peer.address.to_string());
        let token = response.extensions().get::<TokenName>();
        format!(
            "{} {} {} {} {:.1}ms token={} id={}",
            peer.as_deref().unwrap_or("-"),
            self.method,
            self.path,
            response.status().as_u16(),
            took.as_secs_f64() * 1000.0,
            token.map_or("-", |TokenName(name)| name),
            self.id.to_str().unwrap_or("-"),
        )
    }
}
