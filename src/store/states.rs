//! The collection `collect_state`: one document for each agent and kind, with how fresh it is. Every
//! answer about inventory carries it, and `collect` plans by it.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::operations::Operations;
use super::{Error, Store, command, keep_alives, refusal};
use crate::inventory::{Digest, Owner};

pub(super) const NAME: &str = "collect_state";

/// What is known of an agent's kind. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// When it was last asked, with whatever success.
    pub tried_at: i64,
    /// When it was last known to be current: read completely, or found unchanged.
    pub checked_at: Option<i64>,
    /// When the last complete read began.
    pub read_at: Option<i64>,
    /// Whether everything that the last read saw is stored, and nothing else.
    pub complete: bool,
    /// Rows at the last read.
    pub count: u64,
    /// The sum of their hashes.
    pub digest: Digest,
    /// The newest time among them, as the server wrote it.
    pub newest: Option<String>,
    /// When that time was first seen.
    pub newest_since: i64,
    /// The agent's `lastKeepAlive` at the last read.
    pub keep_alive: Option<String>,
    /// The agent's status was `active` at the last read.
    pub was_active: bool,
    /// The agent's operating system, as the list of agents says it, at the last read.
    pub os: Option<String>,
    /// Rows that vanished all at once and are not believed yet.
    pub held: Option<Held>,
    /// Why the last try failed.
    pub failure: Option<String>,
}

/// A loss that is not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// When it was first seen.
    pub since: i64,
    /// How many rows there were before.
    pub had: u64,
    /// The newest time among them.
    pub newest: Option<String>,
    /// The manager's version when it was first seen.
    pub version: String,
}

impl Store {
    /// Everything that is known of a site: agent, node (of the manager), kind, state.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn states(
        &self,
        site: &str,
        within: Duration,
    ) -> Result<Vec<(Owner, String, State)>, Error> {
        self.limit(within, read(self.database(), site))
    }

    /// Writes what is known now.
    ///
    /// # Errors
    ///
    /// `Unavailable`, and `Rejected` if MongoDB refuses one.
    pub fn save_states(
        &self,
        states: &[(Owner, &'static str, State)],
        within: Duration,
    ) -> Result<(), Error> {
        self.limit(within, save(self.database(), states))
    }
}

async fn read(database: Database, site: &str) -> Result<Vec<(Owner, String, State)>, Error> {
    let sorted = |error: mongodb::error::Error| refusal::sort(&error);
    let states = doc! { "_site": site, "kind": { "$ne": keep_alives::KIND } };
    let find = doc! { "find": NAME, "filter": states, "batchSize": 5000 };
    let mut cursor = command::query(&database, find).await.map_err(sorted)?;
    let mut found = Vec::new();
    while let Some(document) = cursor.next().await.map_err(sorted)? {
        let document = Document::try_from(document.as_ref());
        let document = document.map_err(|error| sorted(error.into()))?;
        let text = |name: &str| document.get_str(name).ok().map(str::to_owned);
        if let (Some(agent), Some(kind)) = (text("agent_id"), text("kind")) {
            let site = site.to_owned();
            let node = text("_node");
            found.push((Owner { site, agent, node }, kind, parse(&document)));
        }
    }
    Ok(found)
}

fn parse(document: &Document) -> State {
    let date = |name: &str| millis(document, name);
    let text = |name: &str| document.get_str(name).ok().map(str::to_owned);
    let count = document
        .get_i64("count")
        .ok()
        .and_then(|count| u64::try_from(count).ok());
    let digest = document.get_str("digest").ok();
    State {
        tried_at: date("tried_at").unwrap_or_default(),
        checked_at: date("checked_at"),
        read_at: date("read_at"),
        complete: document.get_bool("complete").unwrap_or_default(),
        count: count.unwrap_or_default(),
        digest: digest
            .and_then(|digest| Digest::from_str_radix(digest, 16).ok())
            .unwrap_or_default(),
        newest: text("newest"),
        newest_since: date("newest_since").unwrap_or_default(),
        keep_alive: text("keep_alive"),
        was_active: document.get_bool("was_active").unwrap_or_default(),
        os: text("os"),
        held: document.get_document("held").ok().and_then(parse_held),
        failure: text("failure"),
    }
}

fn parse_held(document: &Document) -> Option<Held> {
    Some(Held {
        since: millis(document, "since")?,
        had: u64::try_from(document.get_i64("had").ok()?).ok()?,
        newest: document.get_str("newest").ok().map(str::to_owned),
        version: document.get_str("version").ok()?.to_owned(),
    })
}

fn millis(document: &Document, name: &str) -> Option<i64> {
    document
        .get_datetime(name)
        .ok()
        .map(|date| date.timestamp_millis())
}

async fn save(database: Database, states: &[(Owner, &'static str, State)]) -> Result<(), Error> {
    let mut operations = Operations::updates();
    for (owner, kind, state) in states {
        let document = document(owner, kind, state);
        let bytes = document
            .to_vec()
            .map_err(|error| Error::Rejected(error.to_string()))?;
        operations.replace(&owner.name_of(kind), &bytes);
    }
    let refused = operations.run(&database, NAME).await?;
    match refused.into_iter().next() {
        None => Ok(()),
        Some((_, why)) => Err(Error::Rejected(format!("{NAME}: {why}"))),
    }
}

fn document(owner: &Owner, kind: &str, state: &State) -> Document {
    let mut document = doc! {
        "_id": owner.name_of(kind), "_site": &owner.site, "agent_id": &owner.agent, "kind": kind,
        "tried_at": date(state.tried_at), "complete": state.complete, "count": whole(state.count),
        "digest": format!("{:032x}", state.digest), "newest_since": date(state.newest_since),
        "was_active": state.was_active,
    };
    let held = state.held.as_ref().map(|held| {
        doc! {
            "since": date(held.since), "had": whole(held.had),
            "newest": held.newest.clone(), "version": &held.version,
        }
    });
    let optional: [(&str, Option<Bson>); 8] = [
        ("_node", owner.node.clone().map(Bson::from)),
        ("checked_at", state.checked_at.map(|at| date(at).into())),
        ("read_at", state.read_at.map(|at| date(at).into())),
        ("newest", state.newest.clone().map(Bson::from)),
        ("keep_alive", state.keep_alive.clone().map(Bson::from)),
        ("os", state.os.clone().map(Bson::from)),
        ("held", held.map(Bson::from)),
        ("failure", state.failure.clone().map(Bson::from)),
    ];
    document.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    document
}

fn date(millis: i64) -> DateTime {
    DateTime::from_millis(millis)
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
