//! Versions of the inventory that were kept long enough. They are marked with `_expire_at`, and
//! MongoDB itself removes them within a minute (TTL index): a login that may not remove anything is
//! enough, and what is current, without `_removed_at`, no question here can reach.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{Error, Indexes, Store, command, indexes, refusal, states, writes};

/// Agents in one question; MongoDB takes the list apart into that many places of the index.
const AGENTS: usize = 200;

/// What is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Versions that ended before this time, in milliseconds since 1970.
    Before(i64),
    /// Everything: the agents themselves are gone.
    Everything,
}

impl Store {
    /// Lets MongoDB remove what has `_expire_at`. False if the login may not create the index; then
    /// nothing should be marked.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn may_expire(&self, collection: &str, within: Duration) -> Result<bool, Error> {
        let work = indexes::create_expiry(self.database(), collection);
        Ok(self.limit(within, work)? != Indexes::NotAllowed)
    }

    /// Marks the past of these agents; gives how many documents were marked.
    ///
    /// # Errors
    ///
    /// `Unavailable`; the same can be done again.
    pub fn expire(
        &self,
        collection: &str,
        (site, agents): (&str, &[String]),
        past: Past,
        within: Duration,
    ) -> Result<u64, Error> {
        let mut marked = 0;
        for agents in agents.chunks(AGENTS) {
            let mut which = doc! { "_site": site, "agent_id": { "$in": agents } };
            let mut date = doc! { "_expire_at": true };
            match past {
                Past::Before(end) => {
                    which.insert("_removed_at", doc! { "$lt": DateTime::from_millis(end) });
                }
                // Not current from now on: an agent that comes back has to be written anew.
                Past::Everything => drop(date.insert("_removed_at", true)),
            }
            which.insert("_expire_at", Bson::Null);
            let mark = doc! { "$currentDate": date };
            marked += self.limit(within, update(self.database(), collection, which, mark))?;
        }
        Ok(marked)
    }

    /// Forgets what is known of agents that are gone: should one come back, it is read anew.
    ///
    /// # Errors
    ///
    /// `Unavailable`; the same can be done again.
    pub fn forget(&self, site: &str, agents: &[String], within: Duration) -> Result<(), Error> {
        for agents in agents.chunks(AGENTS) {
            let which = doc! { "_site": site, "agent_id": { "$in": agents } };
            let mark = doc! {
                "$set": { "complete": false, "count": 0_i64 },
                "$unset": { "held": 1, "checked_at": 1, "newest": 1 },
                "$currentDate": { "_expire_at": true },
            };
            self.limit(within, update(self.database(), states::NAME, which, mark))?;
        }
        Ok(())
    }
}

async fn update(
    database: Database,
    collection: &str,
    which: Document,
    mark: Document,
) -> Result<u64, Error> {
    let update = doc! { "q": which, "u": mark, "multi": true };
    let concern = command::write_concern(&database).map_err(|error| refusal::sort(&error))?;
    let update = doc! { "update": collection, "updates": [update], "writeConcern": concern };
    let answer = command::run(&database, update).await;
    let answer = answer.map_err(|error| refusal::sort(&error))?;
    if let Some(Bson::Document(error)) = answer
        .get_array("writeErrors")
        .ok()
        .and_then(|all| all.first())
    {
        let why = refusal::one_line(error.get_str("errmsg").unwrap_or_default());
        return Err(Error::Unavailable(format!("{collection}: {why}")));
    }
    writes::confirmed(&answer)?;
    Ok(command::number(&answer, "nModified"))
}
