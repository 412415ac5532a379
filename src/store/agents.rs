//! The collection `agents`: one document for each agent, updated in place. Fields that somebody
//! else put there (labels, an owner) stay.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{DateTime, RawDocument, doc};

use super::inventory::{parse_id, set_removed};
use super::operations::Operations;
use super::{Error, Store, command, refusal};
use crate::alert::bson::{Writer, elements, tag};
use crate::inventory::{AGENTS, Hash, Id, Item};

/// The fields that the server may send; one that it sends no longer is taken away.
const FIELDS: [&str; 17] = [
    "configSum",
    "dateAdd",
    "disconnection_time",
    "group",
    "group_config_status",
    "ip",
    "lastKeepAlive",
    "manager",
    "mergedSum",
    "name",
    "node_name",
    "os",
    "registerIP",
    "status",
    "status_code",
    "version",
    "_node",
];

/// What is stored of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgent {
    /// Its identity.
    pub id: Id,
    /// As Wazuh writes it.
    pub agent: String,
    /// For the manager itself: the node.
    pub node: Option<String>,
    /// Its content.
    pub hash: Hash,
    /// Its status.
    pub status: String,
    /// When it vanished, in milliseconds since 1970.
    pub removed_at: Option<i64>,
}

/// What has to be written of an agent.
#[derive(Debug)]
pub enum AgentChange {
    /// It changed.
    Seen(Item),
    /// It is new, came back, or its status is another than before.
    SeenAnew(Item),
    /// It is no longer known to the server.
    Vanished(Id),
}

impl Store {
    /// What is stored of a site's agents.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn known_agents(&self, site: &str, within: Duration) -> Result<Vec<KnownAgent>, Error> {
        self.limit(within, known(self.database(), site))
    }

    /// Writes the changes; `at` in milliseconds since 1970. Gives the reasons why documents were
    /// refused.
    ///
    /// # Errors
    ///
    /// `Unavailable`; the same changes can be made again.
    pub fn change_agents(
        &self,
        changes: &[AgentChange],
        at: i64,
        within: Duration,
    ) -> Result<Vec<String>, Error> {
        self.limit(within, change(self.database(), changes, at))
    }
}

async fn known(database: Database, site: &str) -> Result<Vec<KnownAgent>, Error> {
    let sorted = |error: mongodb::error::Error| refusal::sort(&error);
    let fields = doc! { "agent_id": 1, "_node": 1, "_hash": 1, "status": 1, "_removed_at": 1 };
    let find = doc! {
        "find": AGENTS.collection, "filter": { "_site": site }, "projection": fields,
        "batchSize": 5000,
    };
    let mut cursor = command::query(&database, find).await.map_err(sorted)?;
    let mut found = Vec::new();
    while let Some(document) = cursor.next().await.map_err(sorted)? {
        found.extend(parse(&document));
    }
    Ok(found)
}

fn parse(document: &RawDocument) -> Option<KnownAgent> {
    let removed_at = document.get_datetime("_removed_at");
    Some(KnownAgent {
        id: parse_id(document.get_str("_id").ok()?)?,
        agent: document.get_str("agent_id").ok()?.to_owned(),
        node: document.get_str("_node").ok().map(str::to_owned),
        hash: document.get_binary("_hash").ok()?.bytes.try_into().ok()?,
        status: document.get_str("status").unwrap_or_default().to_owned(),
        removed_at: removed_at.ok().map(DateTime::timestamp_millis),
    })
}

async fn change(
    database: Database,
    changes: &[AgentChange],
    at: i64,
) -> Result<Vec<String>, Error> {
    let mut operations = Operations::updates();
    for change in changes {
        match change {
            AgentChange::Seen(item) => {
                operations.upsert(&Item::name(&item.id), &operators(item, None, at));
            }
            AgentChange::SeenAnew(item) => {
                operations.upsert(&Item::name(&item.id), &operators(item, Some(at), at));
            }
            AgentChange::Vanished(id) => operations.change(&Item::name(id), &set_removed(at)),
        }
    }
    let refused = operations.run(&database, AGENTS.collection).await?;
    Ok(refused.into_iter().map(|(_, why)| why).collect())
}

/// `$set` what is there, `$unset` what is not there any longer, `$setOnInsert` the first sight.
fn operators(item: &Item, status_changed_at: Option<i64>, at: i64) -> Vec<u8> {
    let mut out = Writer::default();
    let operators = out.open();
    out.key(tag::DOCUMENT, b"$set");
    let set = out.open();
    for field in elements(&item.bson).filter(|field| field.name != b"_id") {
        out.key(field.tag, field.name);
        out.raw(field.value);
    }
    if let Some(at) = status_changed_at {
        out.date("_status_changed_at", at);
    }
    out.close(set);
    out.key(tag::DOCUMENT, b"$unset");
    let unset = out.open();
    out.int("_removed_at", 1);
    out.int("_expire_at", 1);
    let is_there = |name: &str| elements(&item.bson).any(|field| field.name == name.as_bytes());
    for name in FIELDS.iter().filter(|name| !is_there(name)) {
        out.int(name, 1);
    }
    out.close(unset);
    out.key(tag::DOCUMENT, b"$setOnInsert");
    let first = out.open();
    out.date("_first_seen", at);
    out.close(first);
    out.close(operators);
    out.bytes().to_vec()
}
