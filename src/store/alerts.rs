//! The collection `alerts`: insert only. A document that is there already is never touched.

use mongodb::bson::{RawDocumentBuf, doc};
use mongodb::error::{Error as DriverError, ErrorKind, InsertManyError};
use mongodb::{Collection, Database};
use serde_json::Value;

use super::{Error, MAX_DOCUMENT, Written, refusal};

pub(super) const NAME: &str = "alerts";
/// The code of a duplicate key (<https://www.mongodb.com/docs/manual/reference/error-codes/>).
const DUPLICATE_KEY: i32 = 11000;

pub(super) async fn insert(
    database: &Database,
    collection: &str,
    documents: &[&[u8]],
) -> Result<Vec<Written>, Error> {
    let collection: Collection<RawDocumentBuf> = database.collection(collection);
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
    let answers = insert_batch(&collection, &batch).await?;
    for (place, answer) in places.into_iter().zip(answers) {
        if let Some(slot) = written.get_mut(place) {
            *slot = answer;
        }
    }
    Ok(written)
}

fn prepare(document: &[u8]) -> Result<RawDocumentBuf, String> {
    if document.len() > MAX_DOCUMENT {
        return Err(format!(
            "the document has {} bytes, MongoDB takes {MAX_DOCUMENT}",
            document.len()
        ));
    }
    RawDocumentBuf::from_bytes(document.to_vec()).map_err(|error| error.to_string())
}

async fn insert_batch(
    collection: &Collection<RawDocumentBuf>,
    batch: &[RawDocumentBuf],
) -> Result<Vec<Written>, Error> {
    match insert_many(collection, batch).await {
        // A command that fails as a whole does not say which document is at fault.
        Err(Error::Rejected(_)) if batch.len() > 1 => one_by_one(collection, batch).await,
        Err(Error::Rejected(why)) => Ok(vec![Written::Rejected(why)]),
        other => other,
    }
}

async fn one_by_one(
    collection: &Collection<RawDocumentBuf>,
    batch: &[RawDocumentBuf],
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
    collection: &Collection<RawDocumentBuf>,
    batch: &[RawDocumentBuf],
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
        return Err(Error::Unavailable(format!(
            "written, but not confirmed by a majority: {}",
            refusal::one_line(&error.message)
        )));
    }
    let mut written = vec![Written::New; count];
    for error in write_errors.iter().flatten() {
        // Behind ` dup key:` the server repeats the alert's own text.
        let message = error.message.split(" dup key:").next().unwrap_or_default();
        let said = format!("{} ({})", refusal::one_line(message), error.code);
        let answer = match error.code {
            DUPLICATE_KEY if is_id(message) => Written::AlreadyThere,
            code if !refusal::is_documents_fault(code) => {
                return Err(Error::Unavailable(format!("MongoDB: {said}")));
            }
            _ => Written::Rejected(said),
        };
        match written.get_mut(error.index) {
            Some(slot) => *slot = answer,
            None => return Err(Error::Unavailable("MongoDB answered nonsense".to_owned())),
        }
    }
    Ok(written)
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
