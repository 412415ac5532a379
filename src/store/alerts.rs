//! The collection `alerts`: insert only. A document that is there already is never touched.

use std::collections::HashSet;

use mongodb::action::Find;
use mongodb::bson::{RawDocument, RawDocumentBuf, doc};
use mongodb::error::{Error as DriverError, ErrorKind, InsertManyError};
use mongodb::{Collection, Database};
use serde::Serialize;
use serde_json::Value;

use super::{Batch, Error, MAX_DOCUMENT, Written, refusal};

pub(super) const NAME: &str = "alerts";
/// The code of a duplicate key (<https://www.mongodb.com/docs/manual/reference/error-codes/>).
const DUPLICATE_KEY: i32 = 11000;

/// A document as it lies in a buffer.
#[derive(Serialize)]
#[serde(transparent)]
struct Raw<'a>(&'a RawDocument);

/// Inserts documents as they lie in their buffers; the driver sends them as a document sequence
/// (`OP_MSG`, kind 1), as many messages as the server wants.
pub(super) async fn insert(
    database: &Database,
    collection: &str,
    documents: &[&[u8]],
) -> Result<Vec<Written>, Error> {
    let collection: Collection<Raw<'_>> = database.collection(collection);
    let mut written = vec![Written::New; documents.len()];
    let mut batch = Vec::with_capacity(documents.len());
    let mut places = Vec::with_capacity(documents.len());
    for (place, (document, answer)) in documents.iter().zip(&mut written).enumerate() {
        match prepare(document) {
            Ok(raw) => {
                batch.push(raw);
                places.push(place);
            }
            Err(why) => *answer = Written::Rejected(why),
        }
    }
    if batch.is_empty() {
        return Ok(written);
    }
    let answers = insert_all(&collection, &batch).await?;
    for (place, answer) in places.into_iter().zip(answers) {
        *written.get_mut(place).ok_or_else(nonsense)? = answer;
    }
    Ok(written)
}

fn prepare(document: &[u8]) -> Result<Raw<'_>, String> {
    if document.len() > MAX_DOCUMENT {
        return Err(format!(
            "the document has {} bytes, MongoDB takes {MAX_DOCUMENT}",
            document.len()
        ));
    }
    let raw = RawDocument::from_bytes(document);
    raw.map(Raw).map_err(|error| error.to_string())
}

async fn insert_all(
    collection: &Collection<Raw<'_>>,
    batch: &[Raw<'_>],
) -> Result<Vec<Written>, Error> {
    match insert_many(collection, batch).await {
        // A command that fails as a whole does not say which document is at fault.
        Err(Error::Rejected(_)) if batch.len() > 1 => one_by_one(collection, batch).await,
        Err(Error::Rejected(why)) => Ok(vec![Written::Rejected(why)]),
        other => other,
    }
}

async fn one_by_one(
    collection: &Collection<Raw<'_>>,
    batch: &[Raw<'_>],
) -> Result<Vec<Written>, Error> {
    let mut written = Vec::with_capacity(batch.len());
    for document in batch {
        match insert_many(collection, std::slice::from_ref(document)).await {
            Ok(answer) => written.extend(answer),
            Err(Error::Rejected(why)) => written.push(Written::Rejected(why)),
            Err(other) => return Err(other),
        }
    }
    Ok(written)
}

/// `insert_many` also for one: the driver's `insert_one` hides a write concern error that stands
/// beside a duplicate key.
async fn insert_many(
    collection: &Collection<Raw<'_>>,
    batch: &[Raw<'_>],
) -> Result<Vec<Written>, Error> {
    match collection.insert_many(batch).ordered(false).await {
        Ok(_) => Ok(vec![Written::New; batch.len()]),
        Err(error) => answers(&error, batch.len()),
    }
}

fn answers(error: &DriverError, count: usize) -> Result<Vec<Written>, Error> {
    let ErrorKind::InsertMany(InsertManyError {
        write_errors,
        write_concern_error,
        ..
    }) = error.kind.as_ref()
    else {
        return Err(refusal::sort(error));
    };
    if let Some(error) = write_concern_error {
        return Err(unconfirmed(&error.message));
    }
    let mut written = vec![Written::New; count];
    for error in write_errors.iter().flatten() {
        let answer = answer(error.code, &error.message)?;
        *written.get_mut(error.index).ok_or_else(nonsense)? = answer;
    }
    Ok(written)
}

/// What a write error says of its document.
fn answer(code: i32, message: &str) -> Result<Written, Error> {
    // Behind ` dup key:` the server repeats the alert's own text.
    let message = message.split(" dup key:").next().unwrap_or_default();
    let said = format!("{} ({code})", refusal::one_line(message));
    match code {
        DUPLICATE_KEY if is_id(message) => Ok(Written::AlreadyThere),
        code if !refusal::is_documents_fault(code) => {
            Err(Error::Unavailable(format!("MongoDB: {said}")))
        }
        _ => Ok(Written::Rejected(said)),
    }
}

fn unconfirmed(message: &str) -> Error {
    let message = refusal::one_line(message);
    Error::Unavailable(format!(
        "written, but not confirmed by a majority: {message}"
    ))
}

fn nonsense() -> Error {
    Error::Unavailable("MongoDB answered nonsense".to_owned())
}

/// Inserts the documents at these places, unordered; their answers go to the same places.
pub(super) async fn insert_batch(
    database: &Database,
    batch: &Batch,
    places: &[usize],
    written: &mut [Written],
) -> Result<(), Error> {
    let documents: Vec<&[u8]> = places.iter().map(|place| batch.document(*place)).collect();
    let answers = insert(database, NAME, &documents).await?;
    for (place, answer) in places.iter().zip(answers) {
        *written.get_mut(*place).ok_or_else(nonsense)? = answer;
    }
    Ok(())
}

/// The write concern of the settings as a command wants it.
pub(super) fn concern(database: &Database) -> Result<RawDocumentBuf, Error> {
    let concern = database.write_concern().cloned().unwrap_or_default();
    mongodb::bson::serialize_to_raw_document_buf(&concern)
        .map_err(|error| Error::Settings(format!("store.uri: write concern: {error}")))
}

/// Which are there, by the index of `_id` alone: no document is read.
pub(super) async fn look(database: &Database, batch: &Batch) -> Result<Vec<Written>, Error> {
    let ids: Vec<&str> = (0..batch.len()).map(|place| batch.id(place)).collect();
    let collection: Collection<RawDocumentBuf> = database.collection(NAME);
    let wanted = doc! { "_id": { "$in": &ids } };
    let found = all(collection.find(wanted).projection(doc! { "_id": 1 })).await?;
    let there: HashSet<&str> = found
        .iter()
        .filter_map(|found| found.get_str("_id").ok())
        .collect();
    let state = |id: &str| {
        if there.contains(id) {
            Written::AlreadyThere
        } else {
            Written::New
        }
    };
    Ok(ids.into_iter().map(state).collect())
}

/// Everything that a query finds.
pub(super) async fn all(find: Find<'_, RawDocumentBuf>) -> Result<Vec<RawDocumentBuf>, Error> {
    let sorted = |error: DriverError| refusal::sort(&error);
    let mut cursor = find.await.map_err(sorted)?;
    let mut found = Vec::new();
    while cursor.advance().await.map_err(sorted)? {
        found.push(cursor.current().to_owned());
    }
    Ok(found)
}

/// Whether a duplicate is one of `_id` and not of a unique index that somebody has added.
fn is_id(message: &str) -> bool {
    message.contains(" index: _id_")
}

pub(super) async fn find(database: Database, id: &str) -> Result<Option<Value>, Error> {
    let collection: Collection<RawDocumentBuf> = database.collection(NAME);
    let found = collection.find_one(doc! { "_id": id }).await;
    let found = found.map_err(|error| refusal::sort(&error))?;
    found.map(|raw| super::to_json(raw.as_bytes())).transpose()
}
