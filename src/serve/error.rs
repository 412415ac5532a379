//! What a client is told when it does not get what it asked for, in one shape:
//! `{"status":"error","message":…}`.
//!
//! The policy: a client's own mistake is named. A fault of ours or of MongoDB has a fixed text; its
//! cause goes to the log, beside the request's id, since it may hold an address, a query or worse.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::store;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    message: Cow<'static, str>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    cause: Option<String>,
}

/// The cause of an answer, for the log alone.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub(super) String);

impl Error {
    /// An answer with this status; the message is for the client.
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            header: None,
            cause: None,
        }
    }

    /// 400: the message names what is wrong.
    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404.
    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 503: the same request may succeed a little later.
    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(Duration::from_secs(5))
    }

    /// 500; why is for the log.
    pub(super) fn internal(cause: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error").cause(cause)
    }

    /// When to come again, in whole seconds.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        self.header(
            header::RETRY_AFTER,
            HeaderValue::from(Duration::from_secs_f64(seconds).as_secs()),
        )
    }

    /// With this header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// Why, for the log.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over the error that they have, and are done with it"
    )]
    pub(super) fn cause(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(why) | store::Error::Settings(why) => {
                Self::unavailable("MongoDB does not answer").cause(why)
            }
            store::Error::Rejected(why) => Self::internal(why),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "status": "error", "message": self.message });
        let json = HeaderValue::from_static("application/json");
        let mut response = (self.status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}
