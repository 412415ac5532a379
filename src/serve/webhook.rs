//! `POST /wazuh-alert`: one alert, a list of them, or one a line. 200 is stored, 202 is durably on
//! disk; nothing else is a yes. A single alert is answered as the Python service answered.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::app::Shared;
use super::auth::{Caller, of_site};
use super::error::Error;
use super::ingest::{Arrival, Taken};
use super::posted;
use crate::alert::enrich::Source;
use crate::alert::posted::{Posted, Undivided, divide};
use crate::delivery::now;

/// The most alerts in one request.
const MOST: usize = 10_000;
const EMPTY: &str = "Empty payload";

/// Takes the alerts of a request in.
pub(super) async fn receive(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    of_site(&app, caller)?;
    let announced = posted::announced(&headers)?;
    let mut held = app.ingest.hold();
    let body = posted::whole(&headers, body, &app.settings, &mut held).await?;
    let received_at = now();
    let arrival = |raw: &[u8]| Arrival {
        raw: body.slice_ref(raw),
        options: Bytes::new(),
        received_at,
        source: Source::Webhook,
    };
    match divide(&body, announced, MOST).map_err(undivided)? {
        Posted::One(raw) if is_empty(raw) => Err(Error::bad_request(EMPTY)),
        Posted::One(raw) => single(app.ingest.take(arrival(raw)).await),
        Posted::Many(raws) => {
            let said = raws.iter().filter(|raw| !is_empty(raw));
            let taken = app.ingest.take_all(said.map(|raw| arrival(raw))).await;
            Ok(many(with_empty(&raws, taken)))
        }
    }
}

fn undivided(why: Undivided) -> Error {
    match why {
        Undivided::Empty => Error::bad_request(EMPTY),
        Undivided::TooMany(_) => Error::new(StatusCode::PAYLOAD_TOO_LARGE, why.to_string()),
        Undivided::Syntax(why) => Error::bad_request(why.to_string()),
    }
}

/// `{}`, which the Python service refused as well.
fn is_empty(raw: &[u8]) -> bool {
    let inside = raw
        .strip_prefix(b"{")
        .and_then(|raw| raw.strip_suffix(b"}"));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// What became of all of them; those that are empty were not given to anybody.
fn with_empty(raws: &[&[u8]], taken: Vec<Taken>) -> Vec<Taken> {
    let mut taken = taken.into_iter();
    let one = |raw: &&[u8]| {
        if is_empty(raw) {
            Some(Taken::NotAnAlert(EMPTY.to_owned()))
        } else {
            taken.next()
        }
    };
    raws.iter().filter_map(one).collect()
}

fn single(taken: Taken) -> Result<Response, Error> {
    let failure = match taken {
        Taken::Stored { .. } => return Ok(answer(StatusCode::OK, &json!({"status": "success"}))),
        Taken::Spooled => {
            let body = json!({"status": "success", "message": ON_DISK});
            return Ok(answer(StatusCode::ACCEPTED, &body));
        }
        Taken::Filtered(why) => {
            let message = format!("not stored, {why}");
            let body = json!({"status": "success", "message": message});
            return Ok(answer(StatusCode::OK, &body));
        }
        Taken::NotAnAlert(why) => Error::bad_request(why),
        Taken::Rejected(id) => Error::new(StatusCode::UNPROCESSABLE_ENTITY, rejected(&id)),
        Taken::Busy => posted::busy(),
        Taken::Failed(cause) => Error::unavailable(NOT_KEPT).cause(cause),
    };
    Err(failure)
}

const ON_DISK: &str = "on disk until MongoDB is back";
const NOT_KEPT: &str = "The alert could not be kept; send it again";

fn rejected(id: &str) -> String {
    format!("MongoDB refuses this alert for good; it is kept as dead letter {id}")
}

/// One answer for each alert in their order, and a status that is true for all of them: what may
/// succeed later makes the request one to repeat (an alert that comes twice is one document), and
/// 207 says that some will never be stored.
fn many(taken: Vec<Taken>) -> Response {
    let count = |which: fn(&Taken) -> bool| taken.iter().filter(|taken| which(taken)).count();
    let again = count(|taken| matches!(taken, Taken::Busy | Taken::Failed(_)));
    let never = count(|taken| matches!(taken, Taken::NotAnAlert(_) | Taken::Rejected(_)));
    let spooled = count(|taken| *taken == Taken::Spooled);
    let (status, word) = match () {
        () if again > 0 => (StatusCode::SERVICE_UNAVAILABLE, "error"),
        () if never == taken.len() => (StatusCode::BAD_REQUEST, "error"),
        () if never > 0 => (StatusCode::MULTI_STATUS, "partial"),
        () if spooled > 0 => (StatusCode::ACCEPTED, "success"),
        () => (StatusCode::OK, "success"),
    };
    let message = match () {
        () if again > 0 => Some(format!("{again} alerts could not be kept; send them again")),
        () if never > 0 => Some(format!("{never} alerts will never be stored")),
        () => None,
    };
    let items: Vec<Value> = taken.into_iter().map(item).collect();
    let body = match message {
        Some(message) => json!({"status": word, "message": message, "items": items}),
        None => json!({"status": word, "items": items}),
    };
    let mut response = answer(status, &body);
    if again > 0 {
        let wait = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

fn item(taken: Taken) -> Value {
    match taken {
        Taken::Stored {
            already_there: false,
        } => json!({"status": "stored"}),
        Taken::Stored {
            already_there: true,
        } => json!({"status": "already there"}),
        Taken::Spooled => json!({"status": "spooled"}),
        Taken::Filtered(why) => json!({"status": "filtered", "message": why}),
        Taken::NotAnAlert(why) => json!({"status": "error", "message": why}),
        Taken::Rejected(id) => json!({"status": "error", "message": rejected(&id)}),
        Taken::Busy => json!({"status": "error", "message": "Too many alerts wait", "retry": true}),
        Taken::Failed(cause) => {
            log::error!("an alert could not be kept: {cause}");
            json!({"status": "error", "message": NOT_KEPT, "retry": true})
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response()
}
