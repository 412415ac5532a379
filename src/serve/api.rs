//! The HTTP API's answers: what a question may say, whom it is for, and how a list leaves.

use axum::http::StatusCode;

pub(super) mod agents;
pub(super) mod alerts;
pub(super) mod openapi;
pub(super) mod stats;
pub(super) mod stream;

mod answer;
mod kinds;
mod named;
mod parameters;

use super::auth::Caller;
use super::error::Error;
use crate::store::reader::Fault;

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(why) | Fault::Settings(why) => {
                Self::unavailable("MongoDB does not answer").cause(why)
            }
            Fault::IndexPending => Self::unavailable(fault.to_string()),
            // The same question would fail again: it is the question that has to change.
            Fault::TooSlow | Fault::TooManySites | Fault::UnknownZone | Fault::HistoryLost => {
                Self::bad_request(fault.to_string())
            }
        }
    }
}

/// The site that an answer is about: the one that is asked for, if the caller may see it.
fn site(caller: &Caller, asked: Option<&str>) -> Result<Option<String>, Error> {
    match (caller.site.as_deref(), asked) {
        (Some(own), Some(asked)) if own != asked => {
            let why = "The token is bound to another site";
            Err(Error::new(StatusCode::FORBIDDEN, why))
        }
        (own, asked) => Ok(own.or(asked).map(str::to_owned)),
    }
}
