//! Brings the inventory of a site from the Wazuh server API into MongoDB. One thread asks the
//! server, one request after the other; another compares and writes, so that neither waits.
//!
//! Order: the agents; then for each agent and kind the cheapest question that shows a change; then
//! the lists that changed, complete or not at all. Nothing is marked as removed before the end of
//! the run, when it is known how many agents lost something (see `loss`).

mod agents;
mod fetch;
mod fleet;
mod history;
mod holder;
mod loss;
mod plan;
mod probe;
mod record;
mod report;
mod roster;
mod run;
mod settings;
mod tour;

pub use holder::lock_file;
pub use report::{Outcome, Report};
pub use run::{Depth, Mode, Order, Place, run};
pub use settings::{GapCheck, Settings};

use crate::{store, wazuh_api};

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Wazuh server API.
    #[error(transparent)]
    Api(#[from] wazuh_api::Error),
    /// MongoDB.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The state folder.
    #[error(transparent)]
    State(#[from] std::io::Error),
    /// Somebody else took the lease while the run was under way.
    #[error("another process took the lease of this site; nothing more is written")]
    LeaseLost,
    /// The agents that were asked for are not there.
    #[error("no such agent: {0}; see the collection agents")]
    NoAgent(String),
}

/// What happens, for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// So many agents are looked at.
    Planned(usize),
    /// This agent is being read.
    Agent {
        /// Its id.
        id: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// So many agents are done.
    Done(usize),
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
