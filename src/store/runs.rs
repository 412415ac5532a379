//! The collection `collect_runs`: a document for every run, kept for 90 days.

use std::time::Duration;

use mongodb::bson::{Bson, DateTime, Document, oid::ObjectId};
use serde_json::Value;

use super::{Error, Retries, Store, alerts};

pub(super) const NAME: &str = "collect_runs";
/// How long a run is remembered: 90 days.
pub(super) const KEPT_SECONDS: i32 = 90 * 86_400;

impl Store {
    /// Records a run. `started_at` and `finished_at` are milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Rejected`.
    pub fn record_run(
        &self,
        report: &Value,
        started_at: i64,
        finished_at: i64,
        within: Duration,
    ) -> Result<(), Error> {
        let fault = |error: &dyn std::fmt::Display| Error::Rejected(format!("{NAME}: {error}"));
        let mut document = Document::new();
        document.insert("_id", ObjectId::new());
        if let Bson::Document(report) = Bson::try_from(report.clone()).map_err(|e| fault(&e))? {
            document.extend(wide(report));
        }
        document.insert("started_at", DateTime::from_millis(started_at));
        document.insert("finished_at", DateTime::from_millis(finished_at));
        let bytes = document.to_vec().map_err(|error| fault(&error))?;
        let database = self.database();
        let documents = [bytes.as_slice()];
        let work = alerts::insert(&database, NAME, &documents, Retries::Here);
        let written = self.limit(within, work)?;
        match written.into_iter().next() {
            Some(super::Written::Rejected(why)) => Err(fault(&why)),
            _ => Ok(()),
        }
    }
}

/// The driver makes small numbers of JSON narrow ones; ours are all alike.
fn wide(document: Document) -> Document {
    let value = |value| match value {
        Bson::Int32(number) => Bson::Int64(number.into()),
        Bson::Document(inner) => Bson::Document(wide(inner)),
        other => other,
    };
    document
        .into_iter()
        .map(|(name, inner)| (name, value(inner)))
        .collect()
}
