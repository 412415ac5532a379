//! Which indexes this version wants, and which of older versions nobody uses any longer.

use std::collections::HashMap;

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::super::{Error, Indexes, alerts, command, indexes, refusal, runs, states};
use super::count;
use crate::inventory::{AGENTS, KINDS};

/// What an index takes for a document, about, in bytes (measured on Wazuh's samples: all of the
/// alerts' 175).
const BYTES_A_KEY: u64 = 25;

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

/// Indexes of older versions: the collection, the name, the first field and the number of fields. A
/// user's own index of that name has other keys.
const OBSOLETE: [(&str, &str, &str, usize); 6] = [
    (alerts::NAME, "site_level_time", "_site", 3),
    (alerts::NAME, "time", "_timestamp", 2),
    (alerts::NAME, "agent_time", "agent_id", 3),
    (alerts::NAME, "risk_time", "_risk_score", 3),
    (alerts::NAME, "rule_time", "rule.id", 3),
    ("software_inventory", "package", "_site", 4),
];

/// Compares what is there with what this version wants.
pub(super) async fn plan(database: Database) -> Result<IndexPlan, Error> {
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
            // Beside one of ours that goes it may stand: that one is partial.
            None if !existing
                .iter()
                .any(|(name, keys)| same_keys(keys) && !is_obsolete(collection, name, keys)) =>
            {
                // While retention is off, nothing is in that one.
                let of_each = u64::from(name != "expire") * BYTES_A_KEY;
                plan.missing.push(change(&name, documents * of_each));
            }
            _ => plan.barred.push((collection.to_owned(), name)),
        }
    }
    let mut obsolete: Vec<&String> = existing
        .iter()
        .filter(|(name, keys)| is_obsolete(collection, name, keys))
        .map(|(name, _)| name)
        .collect();
    obsolete.sort_unstable();
    let gone = obsolete.into_iter().map(|name| change(name, 0));
    plan.obsolete.extend(gone);
}

fn is_obsolete(collection: &str, name: &str, keys: &Document) -> bool {
    let begins = |first: &str| keys.keys().next().is_some_and(|key| key == first);
    OBSOLETE.iter().any(|(of, old, first, fields)| {
        *of == collection && *old == name && keys.len() == *fields && begins(first)
    })
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

/// Builds what is missing, then drops what is obsolete.
pub(super) async fn carry_out(database: Database, plan: &IndexPlan) -> Result<(), Error> {
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
