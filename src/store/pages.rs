//! A collection from end to end, page by page: for commands that have time, with bounded memory and
//! a limit around each exchange.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::cursor::Cursor;
use super::reader::of_site;
use super::{Error, Store, command, refusal};

/// Documents, and bytes, that are worked on together.
const DOCUMENTS: usize = 500;
const BYTES: usize = 8 << 20;

/// Which documents of a collection.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Those that no version of this program wrote: the Python service's, or somebody else's.
    Foreign,
    /// One agent's.
    Agent {
        /// `_site`.
        site: &'a str,
        /// `agent_id`.
        agent: &'a str,
    },
    /// A site's.
    Site(&'a str),
}

impl Which<'_> {
    fn filter(self) -> Document {
        match self {
            Self::Foreign => doc! { "_schema": { "$exists": false } },
            Self::Agent { site, agent } => {
                let mut filter = of_site(site);
                filter.insert("agent_id", agent);
                filter
            }
            Self::Site(site) => of_site(site),
        }
    }
}

/// What is left to be read.
pub struct Pages<'a> {
    store: &'a Store,
    cursor: Option<Cursor>,
}

impl Store {
    /// Begins to read a collection.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn pages(
        &self,
        collection: &str,
        which: Which<'_>,
        within: Duration,
    ) -> Result<Pages<'_>, Error> {
        let size = i32::try_from(DOCUMENTS).unwrap_or(i32::MAX);
        let find = doc! { "find": collection, "filter": which.filter(), "batchSize": size };
        let database = self.database();
        let cursor = self.limit(within, async {
            let cursor = command::query(&database, find).await;
            cursor.map_err(|error| refusal::sort(&error))
        })?;
        Ok(Pages {
            store: self,
            cursor: Some(cursor),
        })
    }
}

impl Pages<'_> {
    /// The next documents (BSON), in no order; none at the end.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn next(&mut self, within: Duration) -> Result<Vec<Vec<u8>>, Error> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(Vec::new());
        };
        self.store.limit(within, page(cursor))
    }
}

async fn page(cursor: &mut Cursor) -> Result<Vec<Vec<u8>>, Error> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < DOCUMENTS && bytes < BYTES {
        let next = cursor.next().await;
        let Some(document) = next.map_err(|error| refusal::sort(&error))? else {
            break;
        };
        let document = document.into_bytes();
        bytes += document.len();
        page.push(document);
    }
    Ok(page)
}

impl Drop for Pages<'_> {
    /// The driver tells the server from within a runtime that nobody reads on.
    fn drop(&mut self) {
        let runtime = self.store.runtime.as_ref();
        let _entered = runtime.map(tokio::runtime::Runtime::enter);
        drop(self.cursor.take());
    }
}
