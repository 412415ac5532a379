//! What is taken out for good. An erased alert leaves a stone behind: a document with its `_id` (a
//! hash) and nothing of what it said. Whoever brings the alert again, from whichever file or queue,
//! finds that `_id` taken, which is success: so it never comes back, and no writer has to look.
//! Its `_site` is a document, so that no question about a site meets it.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, oid::ObjectId};
use serde_json::Value;

use super::operations::Operations;
use super::{Error, Store, alerts, migration, states};
use crate::alert::bson::{Writer, tag};
use crate::alert::enrich::SCHEMA;
use crate::inventory::{AGENTS, KINDS};

const RECORDS: &str = "erasures";

/// An alert that has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grave {
    /// Its `_id`.
    pub id: String,
    /// When MongoDB would have deleted it; then its stone may go too, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// Every collection that may hold something of an agent or a person, but the alerts.
pub fn everything() -> Vec<String> {
    let kinds = KINDS.iter().chain([&AGENTS]).map(|kind| kind.collection);
    let own = kinds.chain([states::NAME]).map(str::to_owned);
    let aside = migration::ITS_INVENTORY
        .iter()
        .map(|name| migration::aside(name));
    own.chain(aside).collect()
}

impl Store {
    /// Begins an erasure: a record of it, whose name is given.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Rejected`.
    pub fn begin_erasure(&self, within: Duration) -> Result<String, Error> {
        let id = ObjectId::new().to_hex();
        let begun = [("begun_at", Bson::from(DateTime::now()))];
        self.write_record(&id, &Value::Null, begun, within)?;
        Ok(id)
    }

    /// Completes the record: what was erased, by whom, how much.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Rejected`.
    pub fn finish_erasure(
        &self,
        id: &str,
        record: &Value,
        begun_at: i64,
        within: Duration,
    ) -> Result<(), Error> {
        let dates = [
            ("begun_at", DateTime::from_millis(begun_at).into()),
            ("finished_at", DateTime::now().into()),
        ];
        self.write_record(id, record, dates, within)
    }

    fn write_record<const N: usize>(
        &self,
        id: &str,
        record: &Value,
        dates: [(&str, Bson); N],
        within: Duration,
    ) -> Result<(), Error> {
        let fault = |error: &dyn std::fmt::Display| Error::Rejected(format!("{RECORDS}: {error}"));
        let mut document = Document::new();
        document.insert("_id", id);
        document.extend(dates.map(|(name, date)| (name.to_owned(), date)));
        if let Bson::Document(record) = Bson::try_from(record.clone()).map_err(|e| fault(&e))? {
            document.extend(record);
        }
        document.insert("_schema", SCHEMA);
        let bytes = document.to_vec().map_err(|error| fault(&error))?;
        let mut operations = Operations::updates();
        operations.replace(id, &bytes);
        self.limit(within, run(self.database(), operations, RECORDS))
    }

    /// Puts stones into the place of alerts, or where they would come to lie. `erasure` is the name
    /// of the record.
    ///
    /// # Errors
    ///
    /// `Unavailable`; the same can be done again.
    pub fn bury_alerts(
        &self,
        graves: &[Grave],
        site: &str,
        erasure: &str,
        within: Duration,
    ) -> Result<(), Error> {
        let at = DateTime::now().timestamp_millis();
        let mut operations = Operations::updates();
        for grave in graves {
            operations.replace(&grave.id, &stone(grave, site, erasure, at));
        }
        self.limit(within, run(self.database(), operations, alerts::NAME))
    }

    /// Deletes documents (BSON) by their `_id`.
    ///
    /// # Errors
    ///
    /// `Unavailable`; the same can be done again.
    pub fn delete(
        &self,
        collection: &str,
        documents: &[Vec<u8>],
        within: Duration,
    ) -> Result<(), Error> {
        let mut operations = Operations::deletes();
        for document in documents {
            operations.delete_like(document);
        }
        self.limit(within, run(self.database(), operations, collection))
    }
}

async fn run(database: Database, operations: Operations, collection: &str) -> Result<(), Error> {
    let refused = operations.run(&database, collection).await?;
    match refused.into_iter().next() {
        None => Ok(()),
        Some((_, why)) => Err(Error::Rejected(format!("{collection}: {why}"))),
    }
}

fn stone(grave: &Grave, site: &str, erasure: &str, at: i64) -> Vec<u8> {
    let mut out = Writer::default();
    let document = out.open();
    out.string("_id", &grave.id);
    out.date("_erased_at", at);
    out.string("_erasure", erasure);
    out.key(tag::DOCUMENT, b"_site");
    let of = out.open();
    out.string("erased", site);
    out.close(of);
    out.int("_schema", SCHEMA);
    if let Some(at) = grave.expires_at {
        out.date("_expire_at", at);
    }
    out.close(document);
    out.bytes().to_vec()
}
