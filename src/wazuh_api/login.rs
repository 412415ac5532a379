//! Who we are there: one attempt with a password that is wrong, and never a logout, which would void
//! the tokens of everybody who shares the user.

use std::time::Instant;

use super::Api;
use super::answer;
use super::error::{Error, Fault};
use super::exchange::Question;
use super::token::{self, Token};
use crate::setting::Secret;

/// Everything about who we are there.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
    pub(super) token: Option<Token>,
    /// Why there will be no further attempt.
    pub(super) refused: Option<String>,
}

impl Login {
    pub(super) fn new(user: String, password: Secret) -> Self {
        Self {
            user,
            password,
            token: None,
            refused: None,
        }
    }
}

impl Api {
    /// One attempt; a refusal holds for the whole run.
    pub(super) fn log_in(&mut self) -> Result<(), Fault> {
        const PATH: &str = "/security/user/authenticate";
        let basic = token::basic(&self.login.user, &self.login.password);
        self.tally.logins += 1;
        let reply = self.send(&Question::post(PATH, &[("raw", "true")]), &basic);
        let reply = reply.map_err(|fault| match fault {
            // No page that could be made smaller.
            Fault::TooLarge(why) => Error::Unavailable(why).into(),
            fault => fault,
        })?;
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
        Err(Error::BadLogin(why).into())
    }
}
