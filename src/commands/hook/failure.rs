//! What a failed call leaves: a status, one line, and the alert where a person will find it.

use super::super::status;
use super::call::Call;
use super::input::read_alert;
use crate::alert;
use crate::alert::enrich::{Receipt, Source};
use crate::delivery::{self, Error, UNASSIGNED};
use crate::home::Home;
use crate::spool::Spool;

/// A failure: the status and the line.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u8,
    pub(super) line: String,
}

/// The settings are wrong: the raw bytes go into the spool, so that a typo loses nothing.
pub(super) fn keep_unassigned(
    home: &Home,
    raw: &[u8],
    receipt: &Receipt<'_>,
    why: &str,
) -> Failure {
    let spool = Spool::new(home.state(), UNASSIGNED, &crate::spool::Settings::default());
    if let Err(fault) = alert::validate(raw) {
        let dead = delivery::bury(&spool, raw, receipt, &fault.to_string());
        let line = Error::NotAnAlert { why: fault, dead }.to_string();
        return Failure {
            status: status::NO_ALERT,
            line,
        };
    }
    let line = match spool.put(&delivery::entry(raw, receipt)) {
        Ok(_) => {
            format!("{why}; the alert is in the spool, run custom-mongo spool drain afterwards")
        }
        Err(error) => return failed(format!("{why}; and the alert was refused: {error}")),
    };
    Failure {
        status: status::CONFIG,
        line,
    }
}

/// A fault of ours: the alert is kept where a person will look at it.
pub(super) fn keep_after_panic(call: &Call, home: &Home, received_at: i64) -> Failure {
    let raw = read_alert(&call.file).unwrap_or_default();
    let receipt = Receipt {
        received_at,
        source: Source::Hook,
        options: &[],
    };
    let spool = Spool::new(home.state(), UNASSIGNED, &crate::spool::Settings::default());
    let reason = "internal error in custom-mongo; please report it";
    if alert::validate(&raw).is_ok() && spool.put(&delivery::entry(&raw, &receipt)).is_ok() {
        return failed(format!("{reason}; the alert is in the spool"));
    }
    let kept = delivery::bury(&spool, &raw, &receipt, reason);
    failed(format!(
        "{reason}{}",
        match kept {
            delivery::Kept::As(id) => format!("; the alert is dead letter {id}"),
            _ => String::new(),
        }
    ))
}

pub(super) fn failed(line: String) -> Failure {
    Failure {
        status: status::FAILED,
        line,
    }
}
