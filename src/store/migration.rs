//! What an older version, or the Python service, left in the database, and how it becomes what this
//! version writes. Nothing is removed before what takes its place is confirmed by a majority, and
//! only if it still is what was read; so a run may be killed anywhere and be done again.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::raw::RawBsonRef;
use mongodb::bson::{Bson, Document, RawDocument, doc};

use super::{Batch, Error, Store, Written, alerts, command, refusal};
use crate::alert::enrich::SCHEMA;

mod adoption;
mod index_plan;

pub use index_plan::{IndexChange, IndexPlan};

/// Where documents of the Python service go that no longer say what is.
const ASIDE: &str = "_python_service";
/// The collections that the Python service filled beside the alerts.
pub const ITS_INVENTORY: [&str; 4] = ["agents", "syscheck", "software_inventory", "os_info"];
/// An alert of the Python service, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// As it was read (BSON).
    pub old: Vec<u8>,
    /// As this version writes it (BSON).
    pub new: Vec<u8>,
}

/// What became of a page of alerts.
#[derive(Debug, Default, Clone)]
pub struct Adopted {
    /// Written in their new form.
    pub converted: u64,
    /// Were there in it already, by another way.
    pub already_there: u64,
    /// Of those, how many got something that only the old copy had.
    pub merged: u64,
    /// Stay as they are: `_id` and reason.
    pub kept: Vec<(String, String)>,
}

/// The name of the collection that keeps what the Python service wrote into another.
pub fn aside(collection: &str) -> String {
    format!("{collection}{ASIDE}")
}

/// `_id` for people.
pub fn shown_id(document: &[u8]) -> String {
    match id(document) {
        Some(RawBsonRef::String(text)) => text.to_owned(),
        Some(RawBsonRef::ObjectId(id)) => id.to_hex(),
        Some(other) => Bson::try_from(other).map_or_else(|_| "?".to_owned(), |id| id.to_string()),
        None => "?".to_owned(),
    }
}

impl Store {
    /// What is missing and what is obsolete among the indexes.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn index_plan(&self, within: Duration) -> Result<IndexPlan, Error> {
        self.limit(within, index_plan::plan(self.database()))
    }

    /// Builds and drops indexes, for as long as that takes.
    ///
    /// # Errors
    ///
    /// `Unavailable`; what is done is done.
    pub fn carry_out(&self, plan: &IndexPlan, within: Duration) -> Result<(), Error> {
        self.limit(within, index_plan::carry_out(self.database(), plan))
    }

    /// How many documents of a collection a later version wrote.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn of_later_versions(&self, collection: &str, within: Duration) -> Result<u64, Error> {
        let database = self.database();
        let later = doc! { "_schema": { "$gt": SCHEMA } };
        self.limit(within, count(&database, collection, later))
    }

    /// Puts alerts into the place of those of the Python service.
    ///
    /// # Errors
    ///
    /// `Unavailable`; the same can be done again.
    pub fn adopt(&self, batch: &[Adoption], within: Duration) -> Result<Adopted, Error> {
        self.limit(within, adoption::adopt(self.database(), batch))
    }

    /// How many of these alerts (BSON) are there already.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn count_there(&self, documents: &[&[u8]], within: Duration) -> Result<u64, Error> {
        let mut batch = Batch::default();
        for document in documents {
            batch.push(document, false);
        }
        let database = self.database();
        let found = self.limit(within, alerts::look(&database, &batch))?;
        let there = found
            .iter()
            .filter(|found| **found == Written::AlreadyThere);
        Ok(there.count() as u64)
    }

    /// Moves documents (BSON) as they are into the collection beside. Gives how many were moved;
    /// one that was changed meanwhile stays for the next run.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Rejected`; the same can be done again.
    pub fn set_aside(
        &self,
        collection: &str,
        documents: &[Vec<u8>],
        within: Duration,
    ) -> Result<u64, Error> {
        let moved = adoption::set_aside(self.database(), collection, documents);
        self.limit(within, moved)
    }
}

fn id(document: &[u8]) -> Option<RawBsonRef<'_>> {
    RawDocument::from_bytes(document).ok()?.get("_id").ok()?
}

async fn count(database: &Database, collection: &str, query: Document) -> Result<u64, Error> {
    let ask = doc! { "count": collection, "query": query };
    let answer = command::ask(database, ask).await;
    let answer = answer.map_err(|error| refusal::sort(&error))?;
    Ok(command::number(&answer, "n"))
}
