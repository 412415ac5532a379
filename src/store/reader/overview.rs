//! The database at a glance, in few and cheap questions.

use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, doc};

use super::filter::AlertFilter;
use super::fleet::whole;
use super::{Fault, Reader, and, plan};
use crate::store::alerts;

/// Less is not worth a question.
const LEAST: Duration = Duration::from_millis(20);

/// What the server says of itself and of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// As the server says it, `6.0.5`.
    pub version: String,
    /// The replica set's name; none on a standalone server.
    pub replica_set: Option<String>,
    /// None if the login may not ask.
    pub sizes: Option<Sizes>,
}

/// How large the database is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The documents, before compression.
    pub data: i64,
    /// The documents on disk.
    pub storage: i64,
    /// The indexes on disk.
    pub indexes: i64,
    /// Documents, of all collections.
    pub documents: i64,
}

impl Reader {
    /// Asks the server about itself and the database.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`.
    pub async fn overview(&self) -> Result<Overview, Fault> {
        let hello = self.command(doc! { "hello": 1 }).await?;
        let build = self.command(doc! { "buildInfo": 1 }).await?;
        // A user who may only insert is not told.
        let sizes = self.command(doc! { "dbStats": 1 }).await.ok();
        Ok(Overview {
            version: build.get_str("version").unwrap_or("unknown").to_owned(),
            replica_set: hello.get_str("setName").ok().map(str::to_owned),
            sizes: sizes.map(|stats| Sizes {
                data: whole(stats.get("dataSize")),
                storage: whole(stats.get("storageSize")),
                indexes: whole(stats.get("indexSize")),
                documents: whole(stats.get("objects")),
            }),
        })
    }

    /// How many alerts there are between each two of these times (milliseconds since 1970, newest
    /// first), counted on the keys of an index. None for those that the time does not suffice for.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`, `TooManySites`.
    pub async fn alerts_between(
        &self,
        times: &[i64],
        until: Instant,
    ) -> Result<Vec<Option<i64>>, Fault> {
        let (sites, there) = self.surroundings(alerts::NAME, None).await?;
        let plan = plan::of(&AlertFilter::default(), &sites, &there);
        let mut counts = Vec::new();
        for pair in times.windows(2) {
            let [end, begin] = pair else { continue };
            let left = until.saturating_duration_since(Instant::now());
            if left < LEAST {
                counts.push(None);
                continue;
            }
            let mut query = plan.all();
            let (begin, end) = (DateTime::from_millis(*begin), DateTime::from_millis(*end));
            and(
                &mut query,
                doc! { "_timestamp": { "$gte": begin, "$lt": end } },
            );
            let most = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
            let mut command = doc! { "count": alerts::NAME, "query": query, "maxTimeMS": most };
            if let Some(index) = plan.index {
                command.insert("hint", index);
            }
            counts.push(match self.command(command).await {
                Ok(reply) => Some(whole(reply.get("n"))),
                Err(Fault::TooSlow) => None,
                Err(fault) => return Err(fault),
            });
        }
        Ok(counts)
    }
}
