//! From a filter to an index. What the index does not decide is looked for in bounded steps.

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::filter::AlertFilter;
use super::site::{self, MERGED, There};
use super::{COUNTED, Count, Fault, PAGE_TIME, and, answer, millis, whole};
use crate::store::{alerts, command, indexes};

/// How a query is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// Conditions that are the beginning of the index: every key there is a document.
    pub(super) prefix: Document,
    /// Conditions on the rest of the index's keys: they cost keys, no documents.
    pub(super) keys: Document,
    /// Conditions that need the document.
    pub(super) rest: Document,
    /// None if it is not there.
    pub(super) index: Option<&'static str>,
    pub(super) pace: Pace,
}

/// How far one page may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Everything that is read is returned.
    Exact,
    /// Keys are passed over: for so long, then the page ends with what it has.
    Keys,
    /// Documents are passed over: twice as many as returned and a hundred, then the page ends.
    Documents,
    /// A text is looked for: for so long, then the page ends.
    Text,
}

/// The index that decides most, by the first field after the site.
fn choose(filter: &AlertFilter, sites: usize) -> (&'static str, Option<&'static str>) {
    let grave = filter
        .level_min
        .is_some_and(|least| least >= indexes::GRAVE_LEVEL && sites * levels(least) <= MERGED);
    match filter {
        AlertFilter { mitre: Some(_), .. } => (indexes::MITRE, Some("rule.mitre.id")),
        AlertFilter { group: Some(_), .. } => (indexes::GROUP, Some("rule.groups")),
        AlertFilter {
            rule_id: Some(_), ..
        } => (indexes::RULE, Some("rule.id")),
        AlertFilter {
            agent_id: Some(_), ..
        } => (indexes::AGENT, Some("agent_id")),
        AlertFilter {
            risk_score: Some(_),
            ..
        } => (indexes::RISK, Some("_risk_score")),
        _ if grave => (indexes::LEVEL, Some("rule.level")),
        _ => (indexes::TIME, None),
    }
}

/// How many levels there are from this one on; 16 is the last.
fn levels(least: i64) -> usize {
    usize::try_from(17 - least).unwrap_or(0)
}

/// Plans a question about these sites with the indexes that are there.
pub(super) fn of(filter: &AlertFilter, sites: &[Bson], there: &There) -> Plan {
    let (index, first) = choose(filter, sites.len());
    let mut plan = Plan {
        prefix: site::is_one_of(sites),
        keys: Document::new(),
        rest: filter.text(),
        index: there.contains(index).then_some(index),
        pace: Pace::Exact,
    };
    for part in filter.parts() {
        let into = match part.field {
            field if Some(field) == first => &mut plan.prefix,
            // Two lists cannot be in one index.
            "rule.groups" if index == indexes::MITRE => &mut plan.rest,
            _ => &mut plan.keys,
        };
        into.insert(part.field, part.condition);
    }
    if index == indexes::LEVEL
        && let Some(least) = filter.level_min
    {
        // Each level by itself is in the order of time.
        let each: Vec<i64> = (least..=16).collect();
        plan.prefix.insert("rule.level", doc! { "$in": each });
    }
    plan.pace = match () {
        // Without an index there are no keys to pass over.
        () if plan.index.is_none() => Pace::Exact,
        () if filter.q.is_some() => Pace::Text,
        () if !plan.rest.is_empty() => Pace::Documents,
        () if !plan.keys.is_empty() => Pace::Keys,
        () => Pace::Exact,
    };
    plan
}

impl Plan {
    /// All conditions but the time.
    pub(super) fn all(&self) -> Document {
        let mut all = self.prefix.clone();
        and(&mut all, self.keys.clone());
        and(&mut all, self.rest.clone());
        all
    }
}

/// Counts up to the cap. Documents without a time count as well if no time is asked for.
pub(super) async fn count(
    database: &Database,
    plan: &Plan,
    filter: &AlertFilter,
) -> Result<Count, Fault> {
    let mut query = plan.all();
    let mut time = Document::new();
    if let Some(since) = filter.since {
        time.insert("$gte", DateTime::from_millis(since));
    }
    if let Some(until) = filter.until {
        time.insert("$lt", DateTime::from_millis(until));
    }
    if !time.is_empty() {
        query.insert("_timestamp", time);
    }
    let mut count = doc! {
        "count": alerts::NAME, "query": query, "limit": whole(COUNTED + 1),
        "maxTimeMS": millis(PAGE_TIME),
    };
    if let Some(index) = plan.index {
        count.insert("hint", index);
    }
    let reply = answer(async { Ok(command::ask(database, count).await?) }).await?;
    let number = command::number(&reply, "n");
    Ok(Count {
        value: number.min(COUNTED),
        is_capped: number > COUNTED,
    })
}
