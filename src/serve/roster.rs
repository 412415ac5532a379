//! What `collect` knows of the agents, for the alerts that come: asked of MongoDB now and then, on a
//! thread of its own, and kept in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ingest::Ingest;
use super::{Parts, Periodic};
use crate::store::{self, Store};

/// How often it is looked up anew.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// How soon again after MongoDB did not answer.
const AGAIN: Duration = Duration::from_secs(10);
/// How long MongoDB may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whose agents are looked up, and where.
pub(super) struct Roster {
    store: store::Settings,
    site: String,
}

impl Roster {
    /// None unless alerts shall carry it.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        parts.enricher.wants_agents().then(|| Self {
            store: parts.store.clone(),
            site: parts.site.clone(),
        })
    }

    /// Tells the ingest what is known, as long as it is repeated.
    pub(super) fn into_periodic(self, ingest: Ingest) -> Periodic {
        let mut looked: Option<Instant> = None;
        let work = move || {
            if looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                return;
            }
            let store = Store::open(&self.store, PATIENCE);
            match store.and_then(|store| store.roster(&self.site, PATIENCE)) {
                Ok(agents) => {
                    ingest.know(&Arc::new(agents));
                    looked = Some(Instant::now());
                }
                // The alerts matter more than what is added to them.
                Err(error) => log::debug!("the agents cannot be loaded: {error}"),
            }
        };
        Periodic {
            every: AGAIN,
            work: Box::new(work),
        }
    }
}
