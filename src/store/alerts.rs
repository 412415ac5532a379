//! The collection `alerts`: insert only. A document that is there already is never touched.

use std::collections::HashSet;

use mongodb::Database;
use mongodb::bson::{RawDocument, doc};
use serde_json::Value;

use super::writes::{self, Refusal, Verb};
use super::{Batch, Error, MAX_DOCUMENT, Retries, Written, command, refusal};

pub(super) const NAME: &str = "alerts";
/// The code of a duplicate key (<https://www.mongodb.com/docs/manual/reference/error-codes/>).
const DUPLICATE_KEY: i32 = 11000;

/// Inserts documents as they lie in their buffers, in as many commands as the server wants.
pub(super) async fn insert(
    database: &Database,
    collection: &str,
    documents: &[&[u8]],
    retries: Retries,
) -> Result<Vec<Written>, Error> {
    let mut written = vec![Written::New; documents.len()];
    let mut batch = Vec::with_capacity(documents.len());
    let mut places = Vec::with_capacity(documents.len());
    for (place, (document, answer)) in documents.iter().zip(&mut written).enumerate() {
        match check(document) {
            Ok(()) => {
                batch.push(*document);
                places.push(place);
            }
            Err(why) => *answer = Written::Rejected(why),
        }
    }
    let collection = Collection {
        database,
        name: collection,
        retries,
    };
    let mut answers = Vec::with_capacity(batch.len());
    while let Some(rest) = batch.get(answers.len()..).filter(|rest| !rest.is_empty()) {
        answers.extend(collection.insert_all(writes::first(rest)).await?);
    }
    for (place, answer) in places.into_iter().zip(answers) {
        *written.get_mut(place).ok_or_else(nonsense)? = answer;
    }
    Ok(written)
}

fn check(document: &[u8]) -> Result<(), String> {
    if document.len() > MAX_DOCUMENT {
        return Err(format!(
            "the document has {} bytes, MongoDB takes {MAX_DOCUMENT}",
            document.len()
        ));
    }
    let raw = RawDocument::from_bytes(document);
    raw.map(drop).map_err(|error| error.to_string())
}

/// Where documents go to.
struct Collection<'a> {
    database: &'a Database,
    name: &'a str,
    retries: Retries,
}

impl Collection<'_> {
    async fn insert_all(&self, batch: &[&[u8]]) -> Result<Vec<Written>, Error> {
        match self.insert(batch).await {
            // A command that fails as a whole does not say which document is at fault.
            Err(Error::Rejected(_)) if batch.len() > 1 => self.one_by_one(batch).await,
            Err(Error::Rejected(why)) => Ok(vec![Written::Rejected(why)]),
            other => other,
        }
    }

    async fn one_by_one(&self, batch: &[&[u8]]) -> Result<Vec<Written>, Error> {
        let mut written = Vec::with_capacity(batch.len());
        for document in batch {
            match self.insert(std::slice::from_ref(document)).await {
                Ok(answer) => written.extend(answer),
                Err(Error::Rejected(why)) => written.push(Written::Rejected(why)),
                Err(other) => return Err(other),
            }
        }
        Ok(written)
    }

    /// A document that a lost answer has left there is there already at the second try.
    async fn insert(&self, batch: &[&[u8]]) -> Result<Vec<Written>, Error> {
        let command = writes::command(Verb::Insert, self.database, self.name, batch)?;
        let reply = match self.retries {
            Retries::Here => command::run_raw(self.database, command).await,
            Retries::Sender => self.database.run_raw_command(command).await,
        };
        let reply = reply.map_err(|error| refusal::sort(&error))?;
        let mut written = vec![Written::New; batch.len()];
        for refusal in writes::refusals(&reply)? {
            *written.get_mut(refusal.place).ok_or_else(nonsense)? = answer(&refusal);
        }
        Ok(written)
    }
}

/// What a write error says of its document.
fn answer(refusal: &Refusal) -> Written {
    if refusal.code == DUPLICATE_KEY && is_id(&refusal.message) {
        Written::AlreadyThere
    } else {
        Written::Rejected(refusal.reason())
    }
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
    retries: Retries,
) -> Result<(), Error> {
    let documents: Vec<&[u8]> = places.iter().map(|place| batch.document(*place)).collect();
    let answers = insert(database, NAME, &documents, retries).await?;
    for (place, answer) in places.iter().zip(answers) {
        *written.get_mut(*place).ok_or_else(nonsense)? = answer;
    }
    Ok(())
}

/// Which are there, by the index of `_id` alone: no document is read.
pub(super) async fn look(database: &Database, batch: &Batch) -> Result<Vec<Written>, Error> {
    let ids: Vec<&str> = (0..batch.len()).map(|place| batch.id(place)).collect();
    let wanted = doc! { "_id": { "$in": &ids } };
    let find = doc! { "find": NAME, "filter": wanted, "projection": { "_id": 1 } };
    let found = command::all(database, find).await;
    let found = found.map_err(|error| refusal::sort(&error))?;
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

/// Whether a duplicate is one of `_id` and not of a unique index that somebody has added.
fn is_id(message: &str) -> bool {
    message.contains(" index: _id_")
}

pub(super) async fn find(database: Database, id: &str) -> Result<Option<Value>, Error> {
    let find = doc! { "find": NAME, "filter": { "_id": id } };
    let found = command::one(&database, find).await;
    let found = found.map_err(|error| refusal::sort(&error))?;
    found.map(|raw| super::to_json(raw.as_bytes())).transpose()
}
