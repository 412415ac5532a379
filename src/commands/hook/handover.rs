//! The fast lane: hand the alert over to a `serve` on this host and go. Touches no driver, no
//! journal and no enricher, and at first not even the settings: `serve` has read the same files. A
//! `serve` that once did not answer in time is left alone for a while, so that the calls behind do
//! not wait for it as well.

use std::time::{Duration, Instant};

use crate::alert::enrich::Receipt;
use crate::config::{Files, Settings};
use crate::delivery::{Breaker, Mode};
use crate::home::Home;
use crate::relay::{Answer, Conversation, Frame, Key, NoAnswer};

/// The share of the deadline that `serve` gets at most; the rest is for the call's own way.
const SHARE: f32 = 0.4;
/// What `serve` gets whatever the settings are: they allow no deadline of less than 100 ms.
const SURE: Duration = Duration::from_millis(20);

/// An alert that goes this way.
pub(super) struct Handover<'a> {
    pub(super) home: &'a Home,
    pub(super) raw: &'a [u8],
    pub(super) receipt: &'a Receipt<'a>,
    pub(super) started: Instant,
}

/// What `serve` has decided, and only that: everything else it says sends the call its own way.
pub(super) enum Decided {
    /// The alert is durable there.
    Kept,
    /// A filter took it, in these words.
    Filtered(String),
    /// The text is no alert; the line says why and where it was kept.
    NotAnAlert(String),
}

/// How it went with the settings unread.
pub(super) enum Unread {
    /// `serve` has decided.
    Decided(Decided),
    /// `serve` has the alert, and has not answered yet.
    Waits(Conversation),
    /// Nobody there took it, or has other settings: ours have to be read.
    Untried,
    /// The call goes its own way.
    Refused,
}

impl Handover<'_> {
    /// To a `serve` at the usual place that has read the same files.
    pub(super) fn unread(&self) -> Unread {
        let key = || Files::usual(self.home)?.key();
        let (Some(socket), Some(key)) = (self.home.relay_socket(), key()) else {
            return Unread::Untried;
        };
        if self.breaker().is_open() {
            return Unread::Untried;
        }
        let end = self.started + SURE;
        // Whatever is wrong with the usual place, the settings may name another one.
        let Ok(conversation) = Conversation::begin(&socket, &self.frame(key), end) else {
            return Unread::Untried;
        };
        match conversation.answer(end) {
            Ok(Answer::Elsewhere) => Unread::Untried,
            Err(NoAnswer::Late) => Unread::Waits(conversation),
            answer => decided(answer).map_or(Unread::Refused, Unread::Decided),
        }
    }

    /// To a `serve` that has the same settings, wherever they come from; or waits on for the one that
    /// has the alert. None if the call goes its own way.
    pub(super) fn with(
        &self,
        settings: &Settings,
        destination: &str,
        deadline: Duration,
        waits: Option<Conversation>,
    ) -> Option<Decided> {
        let delivery = &settings.delivery;
        let breaker = self.breaker();
        let was_open = breaker.is_open();
        if was_open && !breaker.claim_probe(delivery.probe_every.0) {
            return None;
        }
        let asked = waits.as_ref().map_or_else(Instant::now, |_| self.started);
        let limit = delivery.relay_timeout.0.min(deadline);
        let end = (asked + limit).min(self.started + deadline.mul_f32(SHARE));
        // That the settings took long (a command for the address, say) is not the fault of `serve`.
        let end = end.max(Instant::now() + SURE);
        let answer = match waits {
            Some(conversation) => conversation.answer(end),
            None if delivery.mode == Mode::Auto => {
                let socket = settings.serve.relay_socket(self.home)?;
                let frame = self.frame(settings.relay_key(destination));
                Conversation::begin(&socket, &frame, end).and_then(|begun| begun.answer(end))
            }
            None => return None,
        };
        match answer {
            Err(NoAnswer::Late) => breaker.open_here("serve does not answer at its socket"),
            _ if was_open => breaker.close(),
            _ => {}
        }
        decided(answer)
    }

    fn breaker(&self) -> Breaker {
        Breaker::of_relay(self.home.state())
    }

    fn frame(&self, key: Key) -> Frame<'_> {
        Frame {
            key,
            received_at: self.receipt.received_at,
            source: self.receipt.source.code(),
            options: self.receipt.options,
            raw: self.raw,
        }
    }
}

/// None if the call goes its own way.
fn decided(answer: Result<Answer, NoAnswer>) -> Option<Decided> {
    match answer {
        Ok(Answer::Kept) => Some(Decided::Kept),
        Ok(Answer::Filtered(why)) => Some(Decided::Filtered(why)),
        Ok(Answer::NotAnAlert(line)) => Some(Decided::NotAnAlert(line)),
        Ok(Answer::Elsewhere) | Err(NoAnswer::Absent) => None,
        Ok(Answer::Refused(why)) => {
            log::debug!("serve did not take the alert: {why}");
            None
        }
        Err(error) => {
            log::debug!("{error}");
            None
        }
    }
}
