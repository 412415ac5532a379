//! Around every request: its id, its line in the log, and the headers that every answer has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::auth::TokenName;
use super::connection::Peer;
use super::error::{Cause, Error};
use super::settings::AccessLog;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the client's own if it is harmless, else a new one.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) HeaderValue);

/// Around every route.
pub(super) async fn around(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = id_of(request.headers());
    let line = Line::of(&request, &id);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = if app.is_stopping() && !request.uri().path().ends_with('z') {
        Error::unavailable("Server is shutting down, request rejected").into_response()
    } else {
        next.run(request).await
    };
    response.headers_mut().insert(REQUEST_ID, id);
    protect(response.headers_mut());
    line.log(&app, &response, began);
    response
}

/// <https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers>
fn protect(headers: &mut HeaderMap) {
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

/// What the log says of a request: never its query, its body or its headers.
struct Line {
    peer: Option<Peer>,
    method: String,
    path: String,
    id: HeaderValue,
}

impl Line {
    fn of(request: &Request, id: &HeaderValue) -> Self {
        Self {
            peer: request.extensions().get().cloned(),
            method: request.method().to_string(),
            path: request.uri().path().chars().take(200).collect(),
            id: id.clone(),
        }
    }

    fn log(&self, app: &App, response: &Response, began: Instant) {
        let status = response.status();
        let wanted = match app.settings.access_log {
            AccessLog::All => true,
            AccessLog::Errors => !status.is_success() && status != StatusCode::NOT_MODIFIED,
            AccessLog::Off => false,
        };
        let cause = response.extensions().get::<Cause>();
        if let Some(Cause(cause)) = cause {
            log::error!("{}: {cause}", self.text(response, began));
        } else if wanted {
            log::info!("{}", self.text(response, began));
        }
    }

    fn text(&self, response: &Response, began: Instant) -> String {
        let peer = self.peer.as_ref().map(|peer| peer.address.to_string());
        let token = response.extensions().get::<TokenName>();
        format!(
            "{} {} {} {} {:.1}ms token={} id={}",
            peer.as_deref().unwrap_or("-"),
            self.method,
            self.path,
            response.status().as_u16(),
            began.elapsed().as_secs_f64() * 1000.0,
            token.map_or("-", |TokenName(name)| name),
            self.id.to_str().unwrap_or("-"),
        )
    }
}
