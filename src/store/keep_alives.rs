//! When each agent of a site was last heard of. That moves all the time and says nothing new about an
//! agent, so it is no part of its document: one document in `collect_state` has it for all agents of
//! a site, written once a run, and whoever shows an agent takes it from there.

use std::collections::BTreeMap;
use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{RawBsonRef, RawDocument, doc};

use super::operations::Operations;
use super::{Error, Store, command, refusal, states};
use crate::alert::bson::{Writer, tag};
use crate::inventory::Owner;

/// Its `kind` in `collect_state`; its `agent_id` is `*`.
pub(super) const KIND: &str = "keep_alives";
/// The field with a date for each agent's id.
pub(super) const AGENTS: &str = "agents";

/// Milliseconds since 1970, by the agent's id.
pub type KeepAlives = BTreeMap<String, i64>;

impl Store {
    /// What was last known; empty before the first run.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn keep_alives(&self, site: &str, within: Duration) -> Result<KeepAlives, Error> {
        let id = Owner::everybody(site).name_of(KIND);
        self.limit(within, read(self.database(), id))
    }

    /// Writes what is known now.
    ///
    /// # Errors
    ///
    /// `Unavailable`, and `Rejected` if MongoDB refuses it.
    pub fn save_keep_alives(
        &self,
        site: &str,
        known: &KeepAlives,
        within: Duration,
    ) -> Result<(), Error> {
        let owner = Owner::everybody(site);
        let work = save(
            self.database(),
            owner.name_of(KIND),
            document(&owner, known),
        );
        self.limit(within, work)
    }
}

async fn read(database: Database, id: String) -> Result<KeepAlives, Error> {
    let find = doc! { "find": states::NAME, "filter": { "_id": id } };
    let found = command::one(&database, find).await;
    let found = found.map_err(|error| refusal::sort(&error))?;
    Ok(found.map(|document| parse(&document)).unwrap_or_default())
}

/// The times in such a document.
pub(super) fn parse(document: &RawDocument) -> KeepAlives {
    let Ok(agents) = document.get_document(AGENTS) else {
        return KeepAlives::new();
    };
    let one = |(agent, at): (&mongodb::bson::raw::CStr, RawBsonRef<'_>)| match at {
        RawBsonRef::DateTime(at) => Some((agent.as_str().to_owned(), at.timestamp_millis())),
        _ => None,
    };
    agents
        .iter()
        .filter_map(Result::ok)
        .filter_map(one)
        .collect()
}

async fn save(database: Database, id: String, document: Vec<u8>) -> Result<(), Error> {
    let mut operations = Operations::updates();
    operations.replace(&id, &document);
    let refused = operations.run(&database, states::NAME).await?;
    match refused.into_iter().next() {
        None => Ok(()),
        Some((_, why)) => Err(Error::Rejected(format!("{}: {why}", states::NAME))),
    }
}

fn document(owner: &Owner, known: &KeepAlives) -> Vec<u8> {
    let mut out = Writer::default();
    let document = out.open();
    out.string("_id", &owner.name_of(KIND));
    out.string("_site", &owner.site);
    out.string("agent_id", &owner.agent);
    out.string("kind", KIND);
    out.key(tag::DOCUMENT, AGENTS.as_bytes());
    let agents = out.open();
    for (agent, at) in known {
        out.date(agent, *at);
    }
    out.close(agents);
    out.close(document);
    out.bytes().to_vec()
}
