//! What an older version, or the Python service, left in the database, and how it becomes what this
//! version writes. Nothing is removed before what takes its place is confirmed by a majority, and
//! only if it still is what was read; so a run may be killed anywhere and be done again.

use std::collections::HashMap;
use std::time::Duration;

use mongodb::Database;
use mongodb::bson::raw::RawBsonRef;
use mongodb::bson::{Bson, Document, RawDocument, doc};

use super::inventory::find;
use super::operations::Operations;
use super::{
    Batch, Error, Indexes, Retries, Store, Written, alerts, command, completion, indexes, refusal,
};
use super::{runs, states};
use crate::alert::enrich::{SCHEMA, merged};
use crate::inventory::{AGENTS, KINDS};

/// Where documents of the Python service go that no longer say what is.
const ASIDE: &str = "_python_service";
/// The collections that the Python service filled beside the alerts.
pub const ITS_INVENTORY: [&str; 4] = ["agents", "syscheck", "software_inventory", "os_info"];
/// What an index takes for a document, about, in bytes (measured on Wazuh's samples: all of the
/// alerts' 175).
const BYTES_A_KEY: u64 = 25;

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

/// An index that is missing, or that no version uses any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexChange {
    /// The collection.
    pub collection: String,
    /// The index's name.
    pub name: String,
    /// What it will take, about, in bytes; 0 of one that goes.
    pub bytes: u64,
    /// Documents that have to be read for it.
    pub documents: u64,
}

/// What has to be done to the indexes.
#[derive(Debug, Default, Clone)]
pub struct IndexPlan {
    /// To be built.
    pub missing: Vec<IndexChange>,
    /// Of older versions, to be dropped.
    pub obsolete: Vec<IndexChange>,
    /// Those that another index of the same name or the same keys keeps out: collection and name.
    pub barred: Vec<(String, String)>,
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
        self.limit(within, plan(self.database()))
    }

    /// Builds and drops indexes, for as long as that takes.
    ///
    /// # Errors
    ///
    /// `Unavailable`; what is done is done.
    pub fn carry_out(&self, plan: &IndexPlan, within: Duration) -> Result<(), Error> {
        self.limit(within, carry_out(self.database(), plan))
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
        self.limit(within, adopt(self.database(), batch))
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
        self.limit(within, set_aside(self.database(), collection, documents))
    }
}

async fn adopt(database: Database, batch: &[Adoption]) -> Result<Adopted, Error> {
    let mut done = Adopted::default();
    let documents: Vec<&[u8]> = batch.iter().map(|one| one.new.as_slice()).collect();
    let answers = alerts::insert(&database, alerts::NAME, &documents, Retries::Here).await?;
    let mut replaced: Vec<&[u8]> = Vec::new();
    let mut twice = Vec::new();
    for (one, answer) in batch.iter().zip(answers) {
        match answer {
            Written::New => {
                done.converted += 1;
                replaced.push(&one.old);
            }
            Written::AlreadyThere => twice.push(one),
            Written::Rejected(why) => done.kept.push((shown_id(&one.old), why)),
        }
    }
    for one in twice {
        if merge(&database, &one.new, &mut done).await? {
            done.already_there += 1;
            replaced.push(&one.old);
        } else {
            let why = "its other copy was changed at this moment; run migrate again";
            done.kept.push((shown_id(&one.old), why.to_owned()));
        }
    }
    for (old, why) in remove(&database, alerts::NAME, &replaced).await? {
        done.kept.push((shown_id(old), why));
    }
    Ok(done)
}

/// Gives the copy that is there what it lacks. False if it changed under our hands.
async fn merge(database: &Database, new: &[u8], done: &mut Adopted) -> Result<bool, Error> {
    let id = shown_id(new);
    let mut there = find(database, alerts::NAME, std::slice::from_ref(&id)).await?;
    let Some(stored) = there.remove(&id) else {
        return Ok(false);
    };
    // What was erased stays erased: nothing of it comes back.
    let is_erased = stored.get("_erased_at").ok().flatten().is_some();
    let Some(both) = merged(stored.as_bytes(), new).filter(|_| !is_erased) else {
        return Ok(true);
    };
    let is_merged = completion::replace(database, &stored, &both).await?;
    done.merged += u64::from(is_merged);
    Ok(is_merged)
}

async fn set_aside(
    database: Database,
    collection: &str,
    documents: &[Vec<u8>],
) -> Result<u64, Error> {
    let mut copies = Operations::updates();
    for document in documents {
        copies.put(document);
    }
    let refused = copies.run(&database, &aside(collection)).await?;
    if let Some((_, why)) = refused.into_iter().next() {
        return Err(Error::Rejected(format!("{}: {why}", aside(collection))));
    }
    let all: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let left = remove(&database, collection, &all).await?;
    Ok((all.len() - left.len()) as u64)
}

/// Removes documents that still are what was read. Gives those that stay, with the reason.
async fn remove<'a>(
    database: &Database,
    collection: &str,
    documents: &[&'a [u8]],
) -> Result<Vec<(&'a [u8], String)>, Error> {
    let mut left = Vec::new();
    if documents.is_empty() {
        return Ok(left);
    }
    match remove_all(database, collection, documents).await {
        Ok(count) if count == documents.len() => return Ok(left),
        // Which of them? Each by itself says so; those that are gone count as removed.
        Ok(_) | Err(Error::Rejected(_)) => {}
        Err(error) => return Err(error),
    }
    for document in documents {
        match remove_all(database, collection, std::slice::from_ref(document)).await {
            Ok(1) => {}
            Ok(_) if !is_there(database, collection, document).await? => {}
            Ok(_) => {
                let why = "it was changed at this moment; run migrate again";
                left.push((*document, why.to_owned()));
            }
            Err(Error::Rejected(why)) => {
                left.push((
                    *document,
                    format!("it is written anew, but stays beside: {why}"),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

async fn remove_all(
    database: &Database,
    collection: &str,
    documents: &[&[u8]],
) -> Result<usize, Error> {
    let mut deletes = Operations::deletes();
    for document in documents {
        deletes.delete_unchanged(document);
    }
    let (refused, count) = deletes.run_counted(database, collection).await?;
    match refused.into_iter().next() {
        None => Ok(count),
        Some((_, why)) => Err(Error::Rejected(why)),
    }
}

async fn is_there(database: &Database, collection: &str, document: &[u8]) -> Result<bool, Error> {
    let id = id(document).and_then(|id| Bson::try_from(id).ok());
    Ok(count(database, collection, doc! { "_id": id }).await? > 0)
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

/// Indexes of older versions: the collection, the name, the first field and the number of fields. A
/// user's own index of that name has other keys.
const OBSOLETE: [(&str, &str, &str, usize); 5] = [
    (alerts::NAME, "time", "_timestamp", 2),
    (alerts::NAME, "agent_time", "agent_id", 3),
    (alerts::NAME, "risk_time", "_risk_score", 3),
    (alerts::NAME, "rule_time", "rule.id", 3),
    ("software_inventory", "package", "_site", 4),
];

async fn plan(database: Database) -> Result<IndexPlan, Error> {
    let mut plan = IndexPlan::default();
    let list = doc! {
        "listCollections": 1, "nameOnly": true, "authorizedCollections": true,
        "cursor": { "batchSize": 1000 },
    };
    let there = command::list(&database, list).await;
    let there = there.map_err(|error| refusal::sort(&error))?;
    let there: Vec<&str> = there
        .iter()
        .filter_map(|collection| collection.get_str("name").ok())
        .collect();
    let kinds = KINDS.iter().chain([&AGENTS]).map(|kind| kind.collection);
    let filled = kinds
        .chain([states::NAME, runs::NAME])
        .filter(|name| there.contains(name));
    for collection in [alerts::NAME].into_iter().chain(filled) {
        let (existing, documents) = if there.contains(&collection) {
            let documents = count(&database, collection, Document::new()).await?;
            (existing(&database, collection).await?, documents)
        } else {
            (HashMap::new(), 0)
        };
        compare(collection, &existing, documents, &mut plan);
    }
    Ok(plan)
}

/// Name and keys of each index of a collection.
async fn existing(
    database: &Database,
    collection: &str,
) -> Result<HashMap<String, Document>, Error> {
    let list = doc! { "listIndexes": collection, "cursor": { "batchSize": 1000 } };
    let all = command::list(database, list).await;
    let all = all.map_err(|error| refusal::sort(&error))?;
    Ok(all
        .iter()
        .filter_map(|index| {
            let keys = index.get_document("key").ok()?.clone();
            Some((index.get_str("name").ok()?.to_owned(), keys))
        })
        .collect())
}

fn compare(
    collection: &str,
    existing: &HashMap<String, Document>,
    documents: u64,
    plan: &mut IndexPlan,
) {
    let change = |name: &str, bytes: u64| IndexChange {
        collection: collection.to_owned(),
        name: name.to_owned(),
        bytes,
        documents,
    };
    for model in indexes::wanted(collection) {
        let name = model.get_str("name").unwrap_or_default().to_owned();
        let wanted = model.get_document("key").cloned().unwrap_or_default();
        let same_keys = |keys: &Document| alike(keys, &wanted);
        match existing.get(&name) {
            Some(keys) if same_keys(keys) => {}
            None if !existing.values().any(same_keys) => {
                // While retention is off, nothing is in that one.
                let of_each = u64::from(name != "expire") * BYTES_A_KEY;
                plan.missing.push(change(&name, documents * of_each));
            }
            _ => plan.barred.push((collection.to_owned(), name)),
        }
    }
    for (of, name, first, fields) in OBSOLETE {
        let is_ours = |keys: &Document| {
            keys.len() == fields && keys.keys().next().is_some_and(|key| key == first)
        };
        if of == collection && existing.get(name).is_some_and(is_ours) {
            plan.obsolete.push(change(name, 0));
        }
    }
}

/// The same fields in the same directions, whatever type of number says so.
fn alike(a: &Document, b: &Document) -> bool {
    let direction = |value: &Bson| match value {
        Bson::Int32(number) => i64::from(*number),
        Bson::Int64(number) => *number,
        Bson::Double(number) if *number < 0.0 => -1,
        Bson::Double(_) => 1,
        _ => 0,
    };
    let same = |((a, x), (b, y)): ((&String, &Bson), (&String, &Bson))| {
        a == b && direction(x) == direction(y)
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

async fn carry_out(database: Database, plan: &IndexPlan) -> Result<(), Error> {
    let mut collections: Vec<&str> = Vec::new();
    for change in &plan.missing {
        if !collections.contains(&change.collection.as_str()) {
            collections.push(&change.collection);
        }
    }
    for collection in collections {
        let names: Vec<&str> = plan
            .missing
            .iter()
            .filter(|change| change.collection == collection)
            .map(|change| change.name.as_str())
            .collect();
        if indexes::create_named(&database, collection, &names).await? == Indexes::NotAllowed {
            return Err(Error::Unavailable(
                "the login may not create indexes; integrations/mongodb-role.js has the role that is needed".to_owned(),
            ));
        }
    }
    // Only now: until the new ones are there, questions are answered from the old ones.
    for change in &plan.obsolete {
        let drop = doc! { "dropIndexes": &change.collection, "index": &change.name };
        let dropped = command::run(&database, drop).await;
        dropped.map_err(|error| refusal::sort(&error))?;
    }
    Ok(())
}
