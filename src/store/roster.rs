//! The agents of a site in memory, for whoever adds them to alerts: no query and no API call then.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::{Error, Store, command, refusal};
use crate::alert::enrich::Agents;
use crate::inventory::AGENTS;

/// More agents than this are left out: a manager's cluster carries tens of thousands at most.
const MOST: i64 = 100_000;
/// The fields of an agent that an alert gets, beside its groups.
const FIELDS: [&str; 9] = [
    "name",
    "ip",
    "os.name",
    "os.platform",
    "os.version",
    "os.arch",
    "status",
    "version",
    "labels",
];

impl Store {
    /// What an alert gets of each agent of a site that has not vanished: `{name, ip, os, status,
    /// version, labels, groups}`, as far as known, by its id. The manager itself (agent 000) is left
    /// out: each node has one, and an alert names its node.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn roster(&self, site: &str, within: Duration) -> Result<Agents, Error> {
        self.limit(within, load(self.database(), site))
    }
}

async fn load(database: Database, site: &str) -> Result<Agents, Error> {
    let sorted = |error: mongodb::error::Error| refusal::sort(&error);
    let mut fields = doc! { "_id": 0, "agent_id": 1, "group": 1 };
    fields.extend(FIELDS.map(|name| (name.to_owned(), Bson::Int32(1))));
    let filter = doc! { "_site": site, "_removed_at": Bson::Null, "_node": Bson::Null };
    let find = doc! {
        "find": AGENTS.collection, "filter": filter, "projection": fields, "limit": MOST,
        "batchSize": 5000,
    };
    let mut cursor = command::query(&database, find).await.map_err(sorted)?;
    let mut agents = Agents::new();
    while let Some(document) = cursor.next().await.map_err(sorted)? {
        let document = Document::try_from(document.as_ref()).ok();
        agents.extend(document.and_then(seen));
    }
    Ok(agents)
}

fn seen(mut document: Document) -> Option<(String, Vec<u8>)> {
    let id = document.get_str("agent_id").ok()?.to_owned();
    let groups = document.remove("group");
    document.remove("agent_id");
    if let Some(groups) = groups {
        document.insert("groups", groups);
    }
    Some((id, document.to_vec().ok()?))
}
