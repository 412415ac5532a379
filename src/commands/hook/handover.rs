//! The fast lane: hand the alert over to a `serve` on this host and go. Touches no driver, no
//! journal and no enricher. A `serve` that once did not answer in time is left alone for a while,
//! so that the calls behind do not wait for it as well.

use std::time::{Duration, Instant};

use crate::alert::enrich::Receipt;
use crate::config::Settings;
use crate::delivery::{Breaker, Mode};
use crate::home::Home;
use crate::relay::{self, Answer, Frame, NoAnswer};
use crate::spool::Spool;

/// The share of the deadline that `serve` gets at most; the rest is for the call's own way.
const SHARE: f32 = 0.4;

/// What `serve` says of the alert; none if the call goes its own way.
pub(super) fn hand_over(
    settings: &Settings,
    home: &Home,
    destination: &str,
    raw: &[u8],
    receipt: &Receipt<'_>,
    deadline: Duration,
    started: Instant,
) -> Option<Answer> {
    if settings.delivery.mode != Mode::Auto {
        return None;
    }
    let socket = settings.serve.relay_socket(home)?;
    let spool = Spool::new(home.state(), destination, &settings.spool);
    let breaker = Breaker::of_relay(spool.folder());
    let was_open = breaker.is_open();
    if was_open && !breaker.claim_probe(settings.delivery.probe_every.0) {
        return None;
    }
    let frame = Frame {
        key: settings.relay_key(destination),
        received_at: receipt.received_at,
        source: receipt.source.code(),
        options: receipt.options,
        raw,
    };
    let within = settings
        .delivery
        .relay_timeout
        .0
        .min(deadline.mul_f32(SHARE));
    let answer = relay::hand_over(&socket, &frame, within.saturating_sub(started.elapsed()));
    match answer {
        Err(NoAnswer::Late) => breaker.open("serve does not answer at its socket", &spool),
        _ if was_open => breaker.close(),
        _ => {}
    }
    match answer {
        Ok(Answer::Elsewhere) | Err(NoAnswer::Absent) => None,
        Ok(Answer::Refused(why)) => {
            log::debug!("serve did not take the alert: {why}");
            None
        }
        Ok(clear) => Some(clear),
        Err(error) => {
            log::debug!("{error}");
            None
        }
    }
}
