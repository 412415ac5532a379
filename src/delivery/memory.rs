//! What is remembered of a MongoDB that answered, so that later calls need not ask: whether its
//! indexes were looked at, and how long a connection usually takes (a distant cluster needs longer
//! probes). The file `server` in the destination's folder; it may be deleted at any time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::note;
use crate::spool::Spool;
use crate::store::{self, Indexes, Store};

/// Raised when the indexes change, so that an empty collection gets the new ones.
const INDEXES: &str = "1";

#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    indexes: bool,
    connect_ms: Option<u64>,
    /// The indexes have been looked at just now, so this call says nothing about the usual time.
    unusual: bool,
}

impl Memory {
    pub(super) fn of(folder: &Path) -> Self {
        let path = folder.join("server");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let value = |name: &str| {
            let words = text.split_whitespace();
            words
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
        };
        Self {
            indexes: value("indexes").is_some_and(|(_, version)| version == INDEXES),
            connect_ms: value("connect_ms").and_then(|(_, millis)| millis.parse().ok()),
            unusual: false,
            path,
        }
    }

    /// Looks at the indexes before the first write to a server, whoever does it.
    pub(super) fn ready(
        spool: &Spool,
        store: &Store,
        within: Duration,
    ) -> Result<Self, store::Error> {
        let mut memory = Self::of(spool.folder());
        if !memory.indexes {
            match store.create_indexes_if_empty(within)? {
                Indexes::Created => log::info!("created the indexes of the empty collection"),
                Indexes::LeftAlone => log::info!("the collection is not empty: no index created"),
                Indexes::NotAllowed => log::warn!("the login may not create indexes"),
            }
            memory.indexes = true;
            memory.unusual = true;
            memory.keep(spool);
        }
        Ok(memory)
    }

    /// Notes how long a whole write took; a change by less than half is not worth a write.
    pub(super) fn connected_in(&mut self, took: Duration, spool: &Spool) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let near = |known: u64| {
            millis <= known.saturating_mul(2).max(50) && millis.saturating_mul(2) + 50 >= known
        };
        if !self.unusual && !self.connect_ms.is_some_and(near) {
            self.connect_ms = Some(millis);
            self.keep(spool);
        }
    }

    pub(super) fn usual_connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms.unwrap_or(0))
    }

    /// Without it later calls ask again, which costs time and loses nothing.
    fn keep(&self, spool: &Spool) {
        let connect_ms = self.connect_ms.unwrap_or(0);
        let text = format!("indexes={INDEXES} connect_ms={connect_ms}\n");
        note::write(spool, &self.path, &text);
    }
}
