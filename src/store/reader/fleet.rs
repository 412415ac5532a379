//! Agents at a glance: how old their inventory is, and how many alerts they have.

use std::time::Duration;

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::filter::AlertFilter;
use super::{Fault, PAGE_TIME, Reader, and, plan, site};
use crate::store::{alerts, states};

/// How long the server may count the alerts of a busy hour.
const COUNT_TIME: Duration = Duration::from_secs(2);
/// The site of documents that name none.
const UNNAMED: &str = "default";

/// What is known of an agent's inventory, over all its kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryAge {
    /// `_site`.
    pub site: String,
    /// `agent_id`.
    pub agent_id: String,
    /// For the manager itself: which node.
    pub node: Option<String>,
    /// When the kind that is oldest was last known to be current, in milliseconds since 1970.
    pub oldest: Option<i64>,
    /// Kinds that could not be read the last time.
    pub failed: i64,
}

/// How many alerts an agent has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// `_site`.
    pub site: String,
    /// `agent_id`.
    pub agent_id: String,
    /// Alerts.
    pub alerts: i64,
}

impl Reader {
    /// The age of every agent's inventory.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`, `TooSlow`.
    pub async fn inventory_ages(&self, site: Option<&str>) -> Result<Vec<InventoryAge>, Fault> {
        // The list of agents itself has a state too.
        let mut filter = site::condition(site);
        filter.insert("agent_id", doc! { "$ne": "*" });
        let is_there = |field: &str| doc! { "$gt": [field, Bson::Null] };
        let group = doc! {
            "_id": { "site": "$_site", "agent": "$agent_id", "node": "$_node" },
            "oldest": { "$min": "$checked_at" },
            "failed": { "$sum": { "$cond": [is_there("$failure"), 1, 0] } },
        };
        let pipeline = vec![doc! { "$match": filter }, doc! { "$group": group }];
        let found = self.aggregated(states::NAME, pipeline, None, PAGE_TIME);
        Ok(found.await?.iter().filter_map(age).collect())
    }

    /// How many alerts each agent has since then (milliseconds since 1970).
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`, `TooSlow`, `TooManySites`.
    pub async fn alerts_by_agent(
        &self,
        site: Option<&str>,
        since: i64,
    ) -> Result<Vec<Recent>, Fault> {
        let (sites, there) = self.surroundings(alerts::NAME, site).await?;
        let plan = plan::of(&AlertFilter::default(), &sites, &there);
        let mut matched = plan.all();
        let since = DateTime::from_millis(since);
        and(&mut matched, doc! { "_timestamp": { "$gte": since } });
        let group = doc! {
            "_id": { "site": "$_site", "agent": "$agent_id" }, "count": { "$sum": 1 },
        };
        let pipeline = vec![doc! { "$match": matched }, doc! { "$group": group }];
        let found = self.aggregated(alerts::NAME, pipeline, plan.index, COUNT_TIME);
        Ok(found.await?.iter().filter_map(recent).collect())
    }
}

fn age(found: &Document) -> Option<InventoryAge> {
    let (site, agent_id) = owner(found)?;
    let node = found.get_document("_id").ok()?.get_str("node").ok();
    Some(InventoryAge {
        site,
        agent_id,
        node: node.map(str::to_owned),
        oldest: found
            .get_datetime("oldest")
            .ok()
            .map(|date| date.timestamp_millis()),
        failed: whole(found.get("failed")),
    })
}

fn recent(found: &Document) -> Option<Recent> {
    let (site, agent_id) = owner(found)?;
    Some(Recent {
        site,
        agent_id,
        alerts: whole(found.get("count")),
    })
}

fn owner(found: &Document) -> Option<(String, String)> {
    let id = found.get_document("_id").ok()?;
    let site = id.get_str("site").unwrap_or(UNNAMED).to_owned();
    Some((site, id.get_str("agent").ok()?.to_owned()))
}

/// A number as the server counts.
pub(super) fn whole(found: Option<&Bson>) -> i64 {
    match found {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        #[expect(clippy::cast_possible_truncation, reason = "a size in whole bytes")]
        Some(Bson::Double(number)) => *number as i64,
        _ => 0,
    }
}
