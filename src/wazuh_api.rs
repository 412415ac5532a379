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

use serde_json::{Map, Value};

mod address;
mod answer;
mod budget;
mod certificate;
mod connect;
mod error;
mod exchange;
mod patience;
mod rights;
mod settings;
mod token;
mod trust;
mod verifier;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Failed};
pub use certificate::{Offer, Offered, offers};
pub use error::Error;
pub use rights::{Reach, Rights};
pub use settings::Settings;
pub use trust::{Fingerprint, trust};

use crate::setting::Secret;
use budget::Budget;
use connect::Line;
use error::Fault;
use exchange::Question;
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

/// Everything about who we are there.
#[derive(Debug)]
struct Login {
    user: String,
    password: Secret,
    token: Option<Token>,
    /// Why there will be no further attempt.
    refused: Option<String>,
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

/// A list that is read page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Wazuh's path, `/syscollector/004/packages`.
    pub path: String,
    /// `sort`, `select`, `q`; neither `offset` nor `limit`.
    pub query: Vec<(String, String)>,
    /// Rows in a page, at most; fewer if the server cannot do as many.
    pub limit: u64,
}

/// A page of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The rows. The next page begins behind them, not behind `limit`.
    pub items: Vec<Map<String, Value>>,
    /// How many rows the list has now.
    pub total: u64,
    /// How many rows were asked for.
    pub limit: u64,
}

/// Below that a page is not the reason for being too slow.
const SMALLEST_PAGE: u64 = 10;

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
        warn_of_insecurity(&lines);
        Ok(Self {
            lines,
            current: 0,
            login: Login {
                user,
                password,
                token: None,
                refused: None,
            },
            budget: open_budget(state, &name, settings.budget()?, minute)?,
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

    /// One page from `offset` on. A page that the server cannot do in its time is halved, here and for
    /// all further lists of this kind in this run.
    ///
    /// # Errors
    ///
    /// Each of `Error`; also `Unavailable` where a part of the page failed: a page is whole or none.
    pub fn page(&mut self, list: &Listing, offset: u64) -> Result<Page, Error> {
        let kind = kind_of(&list.path);
        let offset = offset.to_string();
        loop {
            let known = self.sizes.get(&kind).copied().unwrap_or(list.limit);
            let limit = known.min(list.limit).max(1);
            let size = limit.to_string();
            let mut query: Vec<(&str, &str)> = pairs(&list.query).collect();
            query.extend([("offset", offset.as_str()), ("limit", size.as_str())]);
            match self.fetch(&list.path, &query) {
                Ok(answer) => return whole(&list.path, answer, limit),
                Err(Fault::TooLarge(why)) if limit > SMALLEST_PAGE => {
                    log::info!("{why}: pages of {kind} are halved");
                    self.tally.retries += 1;
                    self.sizes
                        .insert(kind.clone(), (limit / 2).max(SMALLEST_PAGE));
                }
                Err(Fault::TooLarge(why)) => return Err(Error::Unavailable(why)),
                Err(fault) => return Err(last_word(fault)),
            }
        }
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
            let trust = match line.address.is_tls() {
                true => line.trust.describe(),
                false => "plain HTTP".to_owned(),
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

    /// One attempt; a refusal holds for the whole run.
    fn log_in(&mut self) -> Result<(), Fault> {
        const PATH: &str = "/security/user/authenticate";
        let basic = token::basic(&self.login.user, &self.login.password);
        self.tally.logins += 1;
        let reply = self.send(&Question::post(PATH, &[("raw", "true")]), &basic)?;
        if reply.status == 200 {
            let text = String::from_utf8_lossy(&reply.body);
            let text = text.trim();
            if text.is_empty()
                || text.len() > 16 * 1024
                || !text.is_ascii()
                || text.contains(char::is_whitespace)
            {
                let why = format!("{PATH}: the answer is no token; is this Wazuh's API?");
                return Err(Fault::Transient(why));
            }
            self.login.token = Some(Token::new(text, Instant::now()));
            return Ok(());
        }
        let why = match answer::refuse(PATH, &reply) {
            Fault::Unauthorized(why) => {
                format!("{why}; check wazuh_api.user and password: a wrong one is tried once a run")
            }
            Fault::Final(Error::BadLogin(why) | Error::Forbidden(why)) => {
                format!("{why}; Wazuh lets this address in again after its block_time (5 minutes)")
            }
            fault => return Err(fault),
        };
        self.login.refused = Some(why.clone());
        Err(Error::BadLogin(why).into())
    }
}

fn warn_of_insecurity(lines: &[Line]) {
    for line in lines {
        let name = line.address.name();
        if line.address.is_tls() && matches!(line.trust, Trust::Nothing) {
            log::warn!(
                "wazuh_api.insecure: nobody checks that {name} is the manager, and whoever is between \
                 can read the password; run custom-mongo check --trust and remove it"
            );
        } else if !line.address.is_tls() && !line.address.is_loopback() {
            log::warn!(
                "wazuh_api.insecure: the password goes to {name} in the clear; use https://"
            );
        }
    }
}

fn open_budget(state: &Path, name: &str, most: u32, minute: Duration) -> Result<Budget, Error> {
    let file: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let budget = trust::folder(state)
        .and_then(|folder| Budget::open(&folder.join(format!("{file}.requests")), most, minute));
    budget.map_err(|error| exchange::uncounted(&error))
}

fn pairs(query: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The path without the agent in it: what is too slow for one is for all.
fn kind_of(path: &str) -> String {
    let part = |part: &str| {
        let is_id = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_id {
            "*".to_owned()
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A page is whole: no part failed, and each row is an object.
fn whole(path: &str, answer: Answer, limit: u64) -> Result<Page, Error> {
    if !answer.failed.is_empty() {
        let why = answer::describe(&answer.failed);
        return Err(Error::Unavailable(format!("{path}: {why}")));
    }
    if !answer.data.is_null() {
        return Err(Error::Unavailable(format!("{path}: the answer is no list")));
    }
    Ok(Page {
        items: answer.items,
        total: answer.total,
        limit,
    })
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
