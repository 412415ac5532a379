//! The door to Wazuh's server API: one login, one kept connection, one budget. No other room names
//! `ureq`.
//!
//! Wazuh has one worker and one request limit for all its clients, so this client is polite by
//! construction: what it asks goes through `budget`, one request at a time; a page that was too large
//! is never asked for again in this size; a request that was sent is waited for, since Wazuh finishes
//! it in any case. Facts of the API are those of versions 4.4.0 and 4.14.7 as they answered.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

mod address;
mod answer;
mod budget;
mod certificate;
mod connect;
mod error;
mod exchange;
mod listing;
mod login;
mod patience;
mod rights;
mod settings;
mod token;
mod trust;
mod verifier;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Failed};
pub use certificate::{Offer, offers};
pub use error::Error;
pub use listing::{Listing, Page};
pub use rights::{Reach, Rights};
pub use settings::Settings;
pub use trust::trust;

use crate::setting::Secret;
use budget::Budget;
use connect::Line;
use error::Fault;
use exchange::Question;
use login::Login;
use patience::Patience;
use token::Token;
use trust::Trust;

/// The API of one manager, for the time of one run.
#[derive(Debug)]
pub struct Api {
    /// The ways to the manager, at least one.
    lines: Vec<Line>,
    /// Which of them is used.
    current: usize,
    login: Login,
    budget: Budget,
    until: Instant,
    /// When Wazuh's window began, as far as our own requests tell.
    window: Option<Instant>,
    /// A minute, and a second to be sure; shorter in tests.
    minute: Duration,
    /// The page size that this server manages, by kind of path.
    sizes: BTreeMap<String, u64>,
    tally: Tally,
}

/// What a run has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent, logins and retries included.
    pub requests: u64,
    /// Those that had to be sent again.
    pub retries: u64,
    /// Answers that said 429.
    pub limited: u64,
    /// Tokens asked for.
    pub logins: u64,
    /// Bytes in the bodies of answers.
    pub bytes: u64,
}

impl Api {
    /// Prepares everything and connects to nothing. `trusted_pin` is a fingerprint to trust instead of
    /// what `check --trust` has stored; `state` is the state folder, where the budget is counted for
    /// all processes; after `until` nothing is sent any more.
    ///
    /// # Errors
    ///
    /// `Settings`, with the fix.
    pub fn new(
        settings: &Settings,
        trusted_pin: Option<&str>,
        state: &Path,
        until: Instant,
    ) -> Result<Self, Error> {
        Self::with_minute(settings, trusted_pin, state, until, budget::MINUTE)
    }

    fn with_minute(
        settings: &Settings,
        trusted_pin: Option<&str>,
        state: &Path,
        until: Instant,
        minute: Duration,
    ) -> Result<Self, Error> {
        let addresses = settings.addresses()?;
        let (user, password) = settings.login()?;
        let line = |address: address::Address| {
            let stored = trust::stored(state, &address.name())?;
            let trust = Trust::decide(settings, trusted_pin, stored)?;
            Line::new(address, trust, settings)
        };
        let name = addresses
            .first()
            .map(address::Address::name)
            .unwrap_or_default();
        let lines = addresses
            .into_iter()
            .map(line)
            .collect::<Result<Vec<_>, _>>()?;
        lines.iter().for_each(Line::warn_if_insecure);
        Ok(Self {
            lines,
            current: 0,
            login: Login::new(user, password),
            budget: Budget::of(state, &name, settings.budget()?, minute)?,
            until,
            window: None,
            minute,
            sizes: BTreeMap::new(),
            tally: Tally::default(),
        })
    }

    /// One request, with all its retries.
    ///
    /// # Errors
    ///
    /// Each of `Error`. A success may still have `failed` entries, also nothing else.
    pub fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Error> {
        self.fetch(path, query).map_err(|fault| match fault {
            Fault::TooLarge(why) => Error::Unavailable(why),
            fault => last_word(fault),
        })
    }

    /// What this user may read.
    ///
    /// # Errors
    ///
    /// As `get`.
    pub fn rights(&mut self) -> Result<Rights, Error> {
        let answer = self.get("/security/users/me/policies", &[])?;
        Ok(Rights::read(&answer.data))
    }

    /// What it has cost so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The address in use, `host:port`, and why its certificate is taken.
    pub fn describe(&self) -> (String, String) {
        let line = self.lines.get(self.current);
        line.map_or_else(Default::default, |line| {
            let trust = if line.address.is_tls() {
                line.trust.describe()
            } else {
                "plain HTTP".to_owned()
            };
            (line.address.name(), trust)
        })
    }

    fn fetch(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Fault> {
        let mut patience = Patience::default();
        loop {
            match self.attempt(path, query) {
                Ok(answer) => return Ok(answer),
                Err(fault) => self.bear(fault, &mut patience)?,
            }
            self.tally.retries += 1;
        }
    }

    fn attempt(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Fault> {
        if let Some(why) = &self.login.refused {
            return Err(Error::BadLogin(why.clone()).into());
        }
        let fresh = self
            .login
            .token
            .as_ref()
            .filter(|token| token.is_fresh(Instant::now()));
        if fresh.is_none() {
            self.log_in()?;
        }
        let token = self
            .login
            .token
            .as_ref()
            .map(Token::expose)
            .unwrap_or_default();
        let bearer = Secret::new(format!("Bearer {token}"));
        let reply = self.send(&Question::get(path, query), &bearer)?;
        answer::read(path, &reply)
    }
}

/// What is left of a fault when there is no further attempt.
fn last_word(fault: Fault) -> Error {
    match fault {
        Fault::Final(error) => error,
        Fault::Limited => Error::Unavailable("Wazuh's request limit is used up".to_owned()),
        Fault::TooLarge(why)
        | Fault::Unauthorized(why)
        | Fault::Transient(why)
        | Fault::Broken { why, .. } => Error::Unavailable(why),
    }
}
