//! Sites and indexes as they are now. Nobody has to name a site: then the list is merged from the
//! sites that are there, each from its own part of the index.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, doc};

use super::{Fault, PAGE_TIME, Reader, answer, millis};
use crate::store::command;

/// The site of documents that name none: there was no other before there were sites.
const UNNAMED: &str = "default";
/// MongoDB merges 200 parts of an index at most (`internalQueryMaxScansToExplode`).
pub(super) const MERGED: usize = 150;
const INDEXES_AGE: Duration = Duration::from_secs(15);

/// The indexes of a collection by name.
pub(super) type There = HashSet<String>;

impl Reader {
    /// The values of `_site` that a question is about, and the indexes that are there.
    pub(super) async fn surroundings(
        &self,
        collection: &str,
        site: Option<&str>,
    ) -> Result<(Vec<Bson>, Arc<There>), Fault> {
        let there = self.indexes(collection).await?;
        let is_ours = |name: &String| name.starts_with("site_") || name.starts_with("agent");
        let sites = match site {
            Some(name) if name != UNNAMED => vec![Bson::from(name)],
            // Without an index the sites are not worth looking for: everything is read anyway.
            Some(name) if !there.iter().any(is_ours) => vec![Bson::from(name), Bson::Null],
            None if !there.iter().any(is_ours) => Vec::new(),
            Some(name) => {
                let sites = self.sites(collection).await?;
                let own = |site: &&Bson| **site == Bson::Null || **site == Bson::from(name);
                let found: Vec<_> = sites.iter().filter(own).cloned().collect();
                if found.is_empty() {
                    vec![Bson::from(name)]
                } else {
                    found
                }
            }
            None => {
                let sites = self.sites(collection).await?;
                if sites.is_empty() {
                    vec![Bson::from(UNNAMED)]
                } else {
                    sites
                }
            }
        };
        if sites.len() > MERGED {
            return Err(Fault::TooManySites);
        }
        Ok((sites, there))
    }

    async fn sites(&self, name: &str) -> Result<Vec<Bson>, Fault> {
        let database = self.database().await?;
        // One step in the index for each site.
        let named = doc! {
            "distinct": name, "key": "_site", "query": { "_site": { "$gte": "" } },
            "maxTimeMS": millis(PAGE_TIME),
        };
        let named = answer(async { Ok(command::ask(database, named).await?) }).await?;
        let mut sites = named.get_array("values").cloned().unwrap_or_default();
        let unnamed = doc! {
            "find": name, "filter": { "_site": Bson::Null }, "projection": { "_id": 1 },
            "maxTimeMS": millis(PAGE_TIME),
        };
        let unnamed = answer(async { Ok(command::one(database, unnamed).await?) }).await?;
        if unnamed.is_some() {
            sites.push(Bson::Null);
        }
        Ok(sites)
    }

    async fn indexes(&self, name: &str) -> Result<Arc<There>, Fault> {
        let known = {
            let memory = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
            memory.get(name).cloned()
        };
        if let Some((since, known)) = known
            && since.elapsed() < INDEXES_AGE
        {
            return Ok(known);
        }
        let database = self.database().await?;
        let names = async {
            match command::list(database, doc! { "listIndexes": name }).await {
                Ok(indexes) => Ok(indexes),
                // NamespaceNotFound: nothing has been written yet; Unauthorized: no hints, then.
                Err(error) if matches!(command::code(&error), Some(26 | 13)) => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            }
        };
        let names = answer(names).await?;
        let name_of = |index: &Document| index.get_str("name").ok().map(str::to_owned);
        let names: Arc<There> = Arc::new(names.iter().filter_map(name_of).collect());
        let mut memory = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        memory.insert(name.to_owned(), (Instant::now(), Arc::clone(&names)));
        Ok(names)
    }
}

/// What is left of an erased alert is of no site: its `_site` is a document. Only where nobody asks
/// by site it has to be left out by name.
fn not_erased() -> Document {
    doc! { "_erased_at": Bson::Null }
}

/// The condition of one site without a look at which are there.
pub(super) fn condition(site: Option<&str>) -> Document {
    match site {
        None => not_erased(),
        Some(UNNAMED) => doc! { "_site": { "$in": [UNNAMED, Bson::Null] } },
        Some(name) => doc! { "_site": name },
    }
}

/// The condition of these sites.
pub(super) fn is_one_of(sites: &[Bson]) -> Document {
    match sites {
        [] => not_erased(),
        [one] => doc! { "_site": one.clone() },
        many => doc! { "_site": { "$in": many.to_vec() } },
    }
}
