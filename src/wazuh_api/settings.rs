//! Section `wazuh_api`: which manager, how to log in, what makes its certificate good.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::address::Address;
use super::trust::Trust;
use super::{Error, verifier};
use crate::secret::{self, Source};
use crate::setting::{Count, List, Secret, Span, Switch};

/// A command that prints the password may ask a vault over the network.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// The API of one manager. Off while there is no `url`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address of the API, `https://…:55000`; several are ways to the same manager, tried in order.
    pub url: List,
    /// The API user; integrations/wazuh-api-role.sh makes one that may only read.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// A file that holds the password; not readable for everyone.
    pub password_file: Option<PathBuf>,
    /// A command (`/bin/sh -c`) that prints the password.
    pub password_command: Option<String>,
    /// SHA-256 fingerprints of the certificates that are trusted, whatever name or date they bear.
    pub pin: List,
    /// PEM file with the authorities that may have signed the certificate.
    pub ca_file: Option<PathBuf>,
    /// Takes any certificate: whoever is between can read the password. Warns each time.
    pub insecure: Switch,
    /// The most requests in any minute, logins included; the server's own limit for all is 300.
    pub requests_per_minute: Count,
    /// How long a connection may take, TLS included.
    pub connect_timeout: Span,
    /// How long the server may take to answer; what it is asked, it finishes in any case.
    pub read_timeout: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: List::default(),
            user: None,
            password: None,
            password_file: None,
            password_command: None,
            pin: List::default(),
            ca_file: None,
            insecure: Switch(false),
            requests_per_minute: Count(200),
            connect_timeout: Span(Duration::from_secs(5)),
            read_timeout: Span(Duration::from_secs(60)),
        }
    }
}

impl Settings {
    /// Whether there is a manager to ask.
    pub fn is_configured(&self) -> bool {
        !self.url.0.is_empty()
    }

    /// The addresses as `host:port`, after a look at all that can be judged without asking anybody.
    ///
    /// # Errors
    ///
    /// `Settings`, with the fix.
    pub fn validate(&self) -> Result<Vec<String>, Error> {
        let addresses = self.addresses()?;
        self.budget()?;
        verifier::config(&Trust::decide(self, None, None)?)?;
        if self.password_command.is_none() {
            self.login()?;
        }
        Ok(addresses.iter().map(Address::name).collect())
    }

    /// The addresses, each checked.
    pub(super) fn addresses(&self) -> Result<Vec<Address>, Error> {
        if !self.is_configured() {
            let why = "no Wazuh API is configured; set wazuh_api.url or WAZUH_API_URL, for example \
                       https://wazuh.example:55000";
            return Err(Error::Settings(why.to_owned()));
        }
        let read = |url: &String| Address::read(url, self.insecure.0);
        self.url.0.iter().map(read).collect()
    }

    /// User and password, read anew.
    pub(super) fn login(&self) -> Result<(String, Secret), Error> {
        let missing = |what: &str, variable: &str| {
            Error::Settings(format!("no {what}; set wazuh_api.{what} or {variable}"))
        };
        let user = self.user.clone().filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| missing("user", "WAZUH_USER"))?;
        // RFC 7617: what stands behind the first colon is the password.
        if user.contains(':') {
            let why = "wazuh_api.user: a colon cannot be part of it";
            return Err(Error::Settings(why.to_owned()));
        }
        let source = Source {
            name: "wazuh_api.password",
            text: self.password.as_ref(),
            file: self.password_file.as_deref(),
            command: self.password_command.as_deref(),
        };
        let password = secret::read(&source, COMMAND_LIMIT).map_err(Error::Settings)?;
        let password = password.filter(|password| !password.expose().is_empty());
        let password = password.ok_or_else(|| missing("password", "WAZUH_PASS"))?;
        Ok((user, password))
    }

    /// The budget as a number of requests.
    pub(super) fn budget(&self) -> Result<u32, Error> {
        let budget = u32::try_from(self.requests_per_minute.0).ok();
        budget
            .filter(|budget| (1..=MOST_REQUESTS).contains(budget))
            .ok_or_else(|| {
                let why = "wazuh_api.requests_per_minute: 1 to 100000 is possible, 200 is usual";
                Error::Settings(why.to_owned())
            })
    }
}

/// The count of requests is a file with a place for each.
const MOST_REQUESTS: u32 = 100_000;
