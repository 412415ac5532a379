//! The resident service: alerts in by HTTP, everything that is stored out by HTTP. One thread runs
//! all connections; what blocks has threads of its own. No other room names axum, hyper or rustls.
//!
//! An alert is acknowledged when it is stored or durably spooled, never before; a request that was
//! taken is finished before the service ends.

use std::time::Duration;

mod access;
mod api;
mod app;
mod auth;
mod connection;
mod error;
mod etag;
mod forwarder;
mod health;
mod hooks;
mod ingest;
mod lifecycle;
mod limits;
mod listen;
mod metrics;
mod notify;
mod posted;
mod relay_socket;
mod repeating;
mod roster;
mod routes;
mod settings;
mod signals;
mod tls;
mod tokens;
mod webhook;

pub use settings::Settings;
pub use tokens::{Entry as Token, Scope, TokenFile};

use crate::alert::enrich::Enricher;
use crate::filter::Filter;
use crate::home::Home;
use crate::{delivery, relay, spool, store};

/// What the service is made of, as the settings say it.
pub struct Parts {
    /// Section `serve`.
    pub serve: Settings,
    /// The site whose alerts arrive here.
    pub site: String,
    /// Which MongoDB.
    pub store: store::Settings,
    /// How much the spool may hold.
    pub spool: spool::Settings,
    /// How long a write may take.
    pub delivery: delivery::Settings,
    /// What turns alerts into documents.
    pub enricher: Enricher,
    /// Which alerts are stored.
    pub filter: Filter,
    /// Where things lie.
    pub home: Home,
    /// Each stands for these settings: hooks with others are told to go their own way.
    pub relay_keys: Vec<relay::Key>,
    /// Work that is done inside the service, again and again.
    pub periodic: Option<Periodic>,
}

/// The collection of data on a thread of its own: at once, and then in this distance from start to
/// start. One that is under way at the end is left where it is, as by a kill.
pub struct Periodic {
    /// From one start to the next.
    pub every: Duration,
    /// The work, which says for itself what went wrong.
    pub work: Box<dyn FnMut() + Send>,
}

/// Why the service could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The settings are wrong, or not safe.
    #[error("{0}")]
    Settings(String),
    /// Something outside refuses: a port that is taken, a file that cannot be read.
    #[error("{0}")]
    Start(String),
}

/// Serves until a signal asks to stop; then finishes what was taken.
///
/// # Errors
///
/// What keeps it from starting; MongoDB being away does not.
pub fn run(parts: Parts) -> Result<(), Fault> {
    lifecycle::run(parts)
}

/// Looks at the settings without listening; says where the service would be, and what it wants.
///
/// # Errors
///
/// What would keep it from starting.
pub fn validate(settings: &Settings, home: &Home) -> Result<String, String> {
    let tokens = tokens::Tokens::new(settings, TokenFile::of(home.state()))?;
    let (addresses, tls) = lifecycle::prepare(settings, &tokens)?;
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let tls = if tls.is_some() { "TLS" } else { "no TLS" };
    let wanted = if tokens.are_wanted() {
        "with tokens"
    } else {
        "without tokens"
    };
    Ok(format!("{}, {tls}, {wanted}", addresses.join(" ")))
}
