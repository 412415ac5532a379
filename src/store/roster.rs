//! The agents of a site in memory, for whoever adds them to alerts: no query and no API call then.

use std::collections::HashMap;
use std::time::Duration;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{Collection, Database};

use super::{Error, Store, refusal};
use crate::inventory::AGENTS;

/// More agents than this are left out: a manager's cluster carries tens of thousands at most.
const MOST: i64 = 100_000;
/// The fields of an agent that an alert gets.
const FIELDS: [&str; 6] = ["name", "ip", "os", "status", "version", "labels"];

/// A site's agents as they were when it was loaded.
#[derive(Debug, Default)]
pub struct Roster {
    agents: HashMap<String, Seen>,
    /// When it was loaded, in milliseconds since 1970.
    pub refreshed_at: i64,
}

/// What an alert can get of its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `{name, ip, os, status, version, labels, groups}`, as far as known: BSON.
    pub document: Vec<u8>,
    /// Its groups.
    pub groups: Vec<String>,
}

impl Roster {
    /// The agent with this id.
    pub fn agent(&self, id: &str) -> Option<&Seen> {
        self.agents.get(id)
    }

    /// Every agent's id and what is known of it.
    pub fn agents(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.agents.iter().map(|(id, seen)| (id.as_str(), seen))
    }
}

impl Store {
    /// Loads the agents of a site that have not vanished. The manager itself (agent 000) is left
    /// out: each node has one, and an alert names its node.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn roster(&self, site: &str, now: i64, within: Duration) -> Result<Roster, Error> {
        self.limit(within, load(self.database(), site, now))
    }
}

async fn load(database: Database, site: &str, now: i64) -> Result<Roster, Error> {
    let collection: Collection<RawDocumentBuf> = database.collection(AGENTS.collection);
    let sorted = |error: mongodb::error::Error| refusal::sort(&error);
    let mut fields = doc! { "_id": 0, "agent_id": 1, "group": 1 };
    fields.extend(FIELDS.map(|name| (name.to_owned(), Bson::Int32(1))));
    let filter = doc! { "_site": site, "_removed_at": Bson::Null, "_node": Bson::Null };
    let find = collection.find(filter).projection(fields).limit(MOST);
    let mut cursor = find.batch_size(5000).await.map_err(sorted)?;
    let mut agents = HashMap::new();
    while cursor.advance().await.map_err(sorted)? {
        let document = Document::try_from(cursor.current()).ok();
        agents.extend(document.and_then(seen));
    }
    Ok(Roster {
        agents,
        refreshed_at: now,
    })
}

fn seen(mut document: Document) -> Option<(String, Seen)> {
    let id = document.get_str("agent_id").ok()?.to_owned();
    let groups: Vec<String> = document.get_array("group").map_or_else(
        |_| Vec::new(),
        |groups| {
            groups
                .iter()
                .filter_map(|group| group.as_str().map(str::to_owned))
                .collect()
        },
    );
    document.remove("agent_id");
    document.remove("group");
    document.insert("groups", &groups);
    let document = document.to_vec().ok()?;
    Some((id, Seen { document, groups }))
}
