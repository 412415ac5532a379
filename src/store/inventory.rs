//! The collections of the inventory. A row's current document has a fixed `_id`; a version that is
//! over lies beside it under `<_id>@<its _fetched_at>` with `_removed_at`. First the old version is
//! copied aside, then the new one is put in its place: whoever is killed in between does both again.

use std::collections::HashMap;
use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, RawDocument, RawDocumentBuf, doc};

use super::operations::Operations;
use super::{Error, Retries, Store, Written, alerts, command, refusal};
use crate::alert::bson::{Writer, tag};
use crate::inventory::{Hash, Id, Item, Kind, Owner, Versions};

/// Documents that are read, copied and replaced together.
const BATCH: usize = 500;

/// What has to be written for one agent's kind.
#[derive(Debug, Default)]
pub struct Change {
    /// Rows that have no document yet, or only one that was marked as removed.
    pub new: Vec<Item>,
    /// Rows whose document says something else.
    pub changed: Vec<Item>,
    /// Documents whose rows are gone.
    pub gone: Vec<Id>,
}

impl Change {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.changed.is_empty() && self.gone.is_empty()
    }
}

impl Store {
    /// Identity and hash of each current document of an agent's kind.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn current(
        &self,
        kind: &Kind,
        owner: &Owner,
        within: Duration,
    ) -> Result<Vec<(Id, Hash)>, Error> {
        self.limit(within, current(self.database(), kind, owner))
    }

    /// Writes the change; `at` is the time of the fetch in milliseconds since 1970. Gives the
    /// reasons why documents were refused.
    ///
    /// # Errors
    ///
    /// `Unavailable`; the same change can be made again.
    pub fn write(
        &self,
        kind: &Kind,
        change: &Change,
        at: i64,
        within: Duration,
    ) -> Result<Vec<String>, Error> {
        self.limit(within, write(self.database(), kind, change, at))
    }

    /// Whether the collection has no document at all.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn is_empty(&self, collection: &str, within: Duration) -> Result<bool, Error> {
        let database = self.database();
        let work = async move {
            let find = doc! { "find": collection, "projection": { "_id": 1 } };
            let found = command::one(&database, find).await;
            Ok(found.map_err(|error| refusal::sort(&error))?.is_none())
        };
        self.limit(within, work)
    }
}

/// The current documents of an owner; `null` stands for "is not there" too.
pub(super) fn of(owner: &Owner) -> Document {
    let mut filter = doc! {
        "_site": &owner.site, "agent_id": &owner.agent, "_removed_at": Bson::Null,
    };
    if let Some(node) = &owner.node {
        filter.insert("_node", node);
    }
    filter
}

async fn current(database: Database, kind: &Kind, owner: &Owner) -> Result<Vec<(Id, Hash)>, Error> {
    let sorted = |error: mongodb::error::Error| refusal::sort(&error);
    let find = doc! {
        "find": kind.collection, "filter": of(owner), "projection": { "_hash": 1 },
        "batchSize": 5000,
    };
    let mut cursor = command::query(&database, find).await.map_err(sorted)?;
    let mut found = Vec::new();
    while let Some(document) = cursor.next().await.map_err(sorted)? {
        // What somebody else put there with our `_site` is not ours to compare.
        if let Some(known) = known(&document) {
            found.push(known);
        }
    }
    Ok(found)
}

fn known(document: &RawDocument) -> Option<(Id, Hash)> {
    let id = parse_id(document.get_str("_id").ok()?)?;
    let hash = document.get_binary("_hash").ok()?;
    Some((id, hash.bytes.try_into().ok()?))
}

pub(super) fn parse_id(text: &str) -> Option<Id> {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let mut id = Id::default();
    for (index, place) in id.iter_mut().enumerate() {
        let (high, low) = (digit(2 * index)?, digit(2 * index + 1)?);
        *place = u8::try_from(high * 16 + low).ok()?;
    }
    (bytes.len() == 32).then_some(id)
}

async fn write(
    database: Database,
    kind: &Kind,
    change: &Change,
    at: i64,
) -> Result<Vec<String>, Error> {
    let mut refused = Vec::new();
    let mut changed: Vec<&Item> = change.changed.iter().collect();
    for batch in change.new.chunks(BATCH) {
        let documents: Vec<&[u8]> = batch.iter().map(|item| item.bson.as_slice()).collect();
        let answers = alerts::insert(&database, kind.collection, &documents, Retries::Here).await?;
        for (item, answer) in batch.iter().zip(answers) {
            match answer {
                Written::New => {}
                // It was there before and marked as removed: a new version of it.
                Written::AlreadyThere => changed.push(item),
                Written::Rejected(why) => refused.push(why),
            }
        }
    }
    for batch in changed.chunks(BATCH) {
        refused.extend(replace(&database, kind, batch, at).await?);
    }
    for batch in change.gone.chunks(BATCH) {
        refused.extend(remove(&database, kind, batch, at).await?);
    }
    Ok(refused)
}

async fn replace(
    database: &Database,
    kind: &Kind,
    items: &[&Item],
    at: i64,
) -> Result<Vec<String>, Error> {
    let mut items = items.to_vec();
    if kind.versions == Versions::Kept {
        let names: Vec<String> = items.iter().map(|item| Item::name(&item.id)).collect();
        let old = find(database, kind.collection, &names).await?;
        // What is there already needs no version of its own: the run before was cut off here.
        items.retain(|item| {
            old.get(&Item::name(&item.id))
                .is_none_or(|old| !is_current(old, item))
        });
        let copies = items
            .iter()
            .filter_map(|item| aside(old.get(&Item::name(&item.id))?, at));
        let copies: Vec<Vec<u8>> = copies.collect();
        let copies: Vec<&[u8]> = copies.iter().map(Vec::as_slice).collect();
        let answers = alerts::insert(database, kind.collection, &copies, Retries::Here).await?;
        // Without its copy the old version must not be overwritten.
        let lost = answers.into_iter().find_map(|answer| match answer {
            Written::Rejected(why) => Some(format!("an old version cannot be kept: {why}")),
            _ => None,
        });
        if let Some(why) = lost {
            return Ok(vec![why]);
        }
    }
    let mut operations = Operations::updates();
    for item in &items {
        operations.replace(&Item::name(&item.id), &item.bson);
    }
    let refused = operations.run(database, kind.collection).await?;
    Ok(refused.into_iter().map(|(_, why)| why).collect())
}

pub(super) async fn find(
    database: &Database,
    collection: &str,
    ids: &[String],
) -> Result<HashMap<String, RawDocumentBuf>, Error> {
    let find = doc! { "find": collection, "filter": { "_id": { "$in": ids } } };
    let found = command::all(database, find).await;
    let found = found.map_err(|error| refusal::sort(&error))?;
    let named = found.into_iter().filter_map(|raw| {
        let id = raw.get_str("_id").ok()?.to_owned();
        Some((id, raw))
    });
    Ok(named.collect())
}

fn is_current(old: &RawDocument, item: &Item) -> bool {
    old.get_datetime("_removed_at").is_err()
        && known(old).is_some_and(|(_, hash)| hash == item.hash)
}

/// The copy of a version that is over: the same document under another `_id`.
fn aside(old: &RawDocument, at: i64) -> Option<Vec<u8>> {
    let id = old.get_str("_id").ok()?;
    let fetched = old
        .get_datetime("_fetched_at")
        .map_or(at, DateTime::timestamp_millis);
    let mut out = Writer::default();
    let document = out.open();
    out.string("_id", &format!("{id}@{fetched}"));
    // MongoDB keeps `_id` first: type, name, length, text and its NUL lie before the rest.
    let bytes = old.as_bytes();
    let rest = 4 + 1 + 4 + 4 + id.len() + 1;
    out.raw(bytes.get(rest..bytes.len().checked_sub(1)?)?);
    if old.get_datetime("_removed_at").is_err() {
        out.date("_removed_at", at);
    }
    out.close(document);
    Some(out.bytes().to_vec())
}

async fn remove(
    database: &Database,
    kind: &Kind,
    ids: &[Id],
    at: i64,
) -> Result<Vec<String>, Error> {
    let operations = match kind.versions {
        Versions::Current => {
            let mut operations = Operations::deletes();
            for id in ids {
                operations.delete(&Item::name(id));
            }
            operations
        }
        Versions::Kept => {
            let mut operations = Operations::updates();
            let mark = set_removed(at);
            for id in ids {
                operations.change(&Item::name(id), &mark);
            }
            operations
        }
    };
    let refused = operations.run(database, kind.collection).await?;
    Ok(refused.into_iter().map(|(_, why)| why).collect())
}

/// `{$set: {_removed_at: …}}`.
pub(super) fn set_removed(at: i64) -> Vec<u8> {
    let mut out = Writer::default();
    let operators = out.open();
    out.key(tag::DOCUMENT, b"$set");
    let set = out.open();
    out.date("_removed_at", at);
    out.close(set);
    out.close(operators);
    out.bytes().to_vec()
}
