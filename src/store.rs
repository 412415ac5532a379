//! The door to MongoDB. No other room names the driver.
//!
//! An error says the one thing its reader decides on: is it worth another try (`Unavailable`, the
//! alert belongs into the spool), or the document's own fault (`Rejected`, a dead letter)?

use std::future::Future;
use std::time::Duration;

mod agents;
mod alerts;
mod batch;
mod bulk;
mod command;
mod completion;
mod connect;
mod credentials;
mod cursor;
mod erasure;
mod expiry;
mod greeting;
mod indexes;
mod inspect;
mod inventory;
mod keep_alives;
mod lease;
mod migration;
mod operations;
mod pages;
mod privileges;
pub mod reader;
mod refusal;
mod roster;
mod runs;
mod settings;
mod states;
mod viewer;
mod writer;
mod writes;

pub use agents::{AgentChange, KnownAgent};
pub use batch::Batch;
pub use bulk::{Answer, Bulk, IN_FLIGHT, Task};
pub use connect::validate;
pub use erasure::{Grave, everything};
pub use expiry::Past;
pub use greeting::{Encryption, Greeting, Seeds, greet, seeds};
pub use inspect::{Report, inspect};
pub use inventory::Change;
pub use lease::{Claim, Lease};
pub use migration::{Adopted, Adoption, ITS_INVENTORY, IndexChange, IndexPlan, aside, shown_id};
pub use pages::{Pages, Which};
pub use privileges::Need;
pub use reader::Reader;
pub use settings::Settings;
pub use states::{Held, State};
pub use viewer::Viewer;
pub use writer::Writer;

use mongodb::bson::{self, RawDocument};
use serde_json::Value;
use tokio::runtime::Runtime;

/// The largest document that MongoDB takes, in bytes
/// (<https://www.mongodb.com/docs/manual/reference/limits/>).
pub const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// Why something did not get into MongoDB.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not now: the network, a login, an election. The same document may be taken later.
    #[error("{0}")]
    Unavailable(String),
    /// This document never: a validator, its size, its shape.
    #[error("{0}")]
    Rejected(String),
    /// The settings are wrong, and no waiting will mend them.
    #[error("{0}")]
    Settings(String),
}

/// What became of one document of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Inserted now.
    New,
    /// A document with this `_id` is there, which is success.
    AlreadyThere,
    /// Refused for the reason given.
    Rejected(String),
}

/// What was found about the indexes of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexes {
    /// The collection was empty, and they were created.
    Created,
    /// It was not empty: an index build on a large collection is an operator's decision.
    LeftAlone,
    /// The login may not create indexes.
    NotAllowed,
}

/// Who tries a write again that an election has cut off: `_id` makes twice the same as once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retries {
    /// This room, once.
    Here,
    /// Whoever sends, for as long as it takes.
    Sender,
}

/// A connection that knows its time: every call has a limit that holds whatever the server does.
pub struct Store {
    /// Always there until the drop.
    runtime: Option<Runtime>,
    client: mongodb::Client,
    database: String,
}

impl Store {
    /// Reads the settings into a client. Only `mongodb+srv` asks the network here (DNS).
    ///
    /// # Errors
    ///
    /// `Settings` for what the driver refuses, `Unavailable` for DNS.
    pub fn open(settings: &Settings, within: Duration) -> Result<Self, Error> {
        let runtime = connect::runtime()?;
        let work = async {
            let options = connect::options(settings, within).await?;
            // One connection writes and one watches; a pool has nothing to do in a short process.
            mongodb::Client::with_options(options)
                .map_err(|error| connect::refused(&error, settings))
        };
        match connect::within(&runtime, within, settings, work) {
            Ok(client) => Ok(Self {
                runtime: Some(runtime),
                client,
                database: settings.database.clone(),
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Inserts documents (BSON, each with its `_id`), unordered, with write concern majority and
    /// journal. One answer for each, in their order.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it is not known that all were decided; then any of them may be there.
    pub fn insert(&self, documents: &[&[u8]], within: Duration) -> Result<Vec<Written>, Error> {
        let database = self.database();
        let work = alerts::insert(&database, alerts::NAME, documents, Retries::Here);
        self.limit(within, work)
    }

    /// Creates the alerts' indexes if the collection is empty.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn create_indexes_if_empty(&self, within: Duration) -> Result<Indexes, Error> {
        let work = indexes::create_if_empty(self.database());
        self.limit(within, work)
    }

    /// Creates the indexes of these collections of the inventory, where they are not there.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn create_inventory_indexes(
        &self,
        collections: &[&str],
        within: Duration,
    ) -> Result<Indexes, Error> {
        let work = indexes::create_for_inventory(self.database(), collections);
        self.limit(within, work)
    }

    /// The document with this `_id` as relaxed Extended JSON.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn find(&self, id: &str, within: Duration) -> Result<Option<Value>, Error> {
        let work = alerts::find(self.database(), id);
        self.limit(within, work)
    }

    fn database(&self) -> mongodb::Database {
        self.client.database(&self.database)
    }

    fn limit<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match &self.runtime {
            Some(runtime) => connect::limit(runtime, within, work),
            None => Err(Error::Unavailable("the connection is closed".to_owned())),
        }
    }
}

impl Drop for Store {
    /// Does not wait for a name server that may still be asked on a thread of its own.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// BSON as relaxed Extended JSON
/// (<https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md>).
///
/// # Errors
///
/// `Rejected` if the bytes are no document.
pub fn to_json(document: &[u8]) -> Result<Value, Error> {
    let fault = |error: &dyn std::fmt::Display| Error::Rejected(format!("not a document: {error}"));
    let raw = RawDocument::from_bytes(document).map_err(|error| fault(&error))?;
    let document = bson::Document::try_from(raw).map_err(|error| fault(&error))?;
    Ok(bson::Bson::Document(document).into_relaxed_extjson())
}
