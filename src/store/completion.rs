//! The line from alerts.json completes the hook's copy, once, and only if nobody else has changed
//! the document between our look and our write.

use std::sync::Once;

use mongodb::Database;
use mongodb::bson::{RawDocument, RawDocumentBuf, doc, rawdoc};

use super::{Batch, Error, Written, alerts, command, refusal, writes};
use crate::alert::completion;
use crate::alert::enrich::Source;

/// Completes what is poorer among the documents that were there already; says how many.
pub(super) async fn complete(
    database: &Database,
    batch: &Batch,
    written: &[Written],
) -> Result<u64, Error> {
    let there = |place: &&usize| written.get(**place) == Some(&Written::AlreadyThere);
    let places: Vec<usize> = batch.brittle().iter().filter(there).copied().collect();
    let mut completed = 0;
    for stored in by_hook(database, batch, &places).await? {
        let id = stored.get_str("_id").unwrap_or_default();
        let Some(place) = places.iter().find(|place| batch.id(**place) == id) else {
            continue;
        };
        let line = batch.document(*place);
        let now = mongodb::bson::DateTime::now().timestamp_millis();
        let source = source(line);
        if let Some(richer) = completion::complete(stored.as_bytes(), line, source, now) {
            completed += u64::from(replace(database, &stored, &richer).await?);
        }
    }
    Ok(completed)
}

/// The line's own `_source`.
fn source(line: &[u8]) -> Source {
    let name = RawDocument::from_bytes(line).ok();
    let name = name.and_then(|line| line.get_str("_source").ok());
    if name == Some(Source::Backfill.name()) {
        Source::Backfill
    } else {
        Source::Follow
    }
}

async fn by_hook(
    database: &Database,
    batch: &Batch,
    places: &[usize],
) -> Result<Vec<RawDocumentBuf>, Error> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = places.iter().map(|place| batch.id(*place)).collect();
    let wanted = doc! {
        "_id": { "$in": ids },
        "_source": Source::Hook.name(),
        "_completed_at": { "$exists": false },
    };
    let find = doc! { "find": alerts::NAME, "filter": wanted };
    let found = command::all(database, find).await;
    found.map_err(|error| refusal::sort(&error))
}

/// Whether the document was still the one that was seen.
pub(super) async fn replace(
    database: &Database,
    stored: &RawDocument,
    richer: &[u8],
) -> Result<bool, Error> {
    let Ok(richer) = RawDocumentBuf::from_bytes(richer.to_vec()) else {
        return Ok(false);
    };
    let sorted = |error: mongodb::error::Error| refusal::sort(&error);
    let concern = command::write_concern(database).map_err(sorted)?;
    let concern = RawDocumentBuf::try_from(&concern).map_err(|error| sorted(error.into()))?;
    let query = rawdoc! {
        "_id": stored.get_str("_id").unwrap_or_default(),
        "$expr": { "$eq": ["$$ROOT", { "$literal": stored.to_owned() }] },
    };
    let command = rawdoc! {
        "update": alerts::NAME,
        "updates": [{ "q": query, "u": richer }],
        "writeConcern": concern,
    };
    // Once: at a second try it would be another document than the one that was seen.
    let reply = match database.run_raw_command(command).await {
        Ok(reply) => reply,
        Err(error) => return refused(&error),
    };
    writes::confirmed(&reply)?;
    // A document that MongoDB takes in an insert but not in a replacement stays as it is.
    Ok(reply.get_i32("nModified").is_ok_and(|count| count == 1))
}

/// A login that may only insert still delivers; it completes nothing.
fn refused(error: &mongodb::error::Error) -> Result<bool, Error> {
    static TOLD: Once = Once::new();
    if refusal::is_unauthorized(error) {
        TOLD.call_once(|| {
            log::warn!("the login may not update alerts: copies of the hook that are poorer than the line in alerts.json stay as they are");
        });
        return Ok(false);
    }
    match refusal::sort(error) {
        Error::Rejected(why) => {
            log::debug!("a poorer copy stays: {why}");
            Ok(false)
        }
        error => Err(error),
    }
}
