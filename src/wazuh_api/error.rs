//! What a caller decides on, and what the retries decide on before.

/// Why the API gave no answer. No message holds a password or a token.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The agent has no database (it never connected), or is gone: skip it, that is no failure.
    #[error("{0}")]
    NoDatabase(String),
    /// The user may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// This server has no such path: another version, or experimental features are off.
    #[error("{0}")]
    Absent(String),
    /// The password is wrong, or Wazuh has blocked this address. Not tried again in this run: fifty
    /// failures block the address for everyone on it.
    #[error("{0}")]
    BadLogin(String),
    /// Settings or trust are wrong, and no waiting will mend them.
    #[error("{0}")]
    Settings(String),
    /// The time of the run is over; what was read so far is good.
    #[error("the time for this run is over")]
    Deadline,
    /// The server says that the request itself is wrong.
    #[error("{0}")]
    Refused(String),
    /// Not now: the network, a restarting manager.
    #[error("{0}")]
    Unavailable(String),
}

/// What went wrong with one attempt.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another attempt would not help.
    Final(Error),
    /// The answer is too large, or takes the server too long: ask for less.
    TooLarge(String),
    /// 429: Wazuh's minute is used up, by whomever.
    Limited,
    /// 401: the token is void.
    Unauthorized(String),
    /// The server cannot just now.
    Transient(String),
    /// The connection broke or could not be made.
    Broken {
        why: String,
        /// Whether it had been used before: then the server may just have closed it for idleness.
        reused: bool,
    },
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}
