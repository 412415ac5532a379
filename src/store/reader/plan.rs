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
    /// The same question along its other indexes, of which one may be much shorter.
    pub(super) others: Vec<Plan>,
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

/// The indexes that begin with a field of the filter: the one that decides most comes first.
fn candidates(filter: &AlertFilter, sites: usize) -> Vec<(&'static str, &'static str)> {
    let is_grave = filter
        .level_min
        .is_some_and(|least| least >= indexes::GRAVE_LEVEL);
    let levels = filter.levels().filter(|_| is_grave);
    let grave = levels.is_some_and(|levels| sites * levels.len() <= MERGED);
    let asked = [
        (filter.mitre.is_some(), indexes::MITRE, "rule.mitre.id"),
        (filter.group.is_some(), indexes::GROUP, "rule.groups"),
        (filter.rule_id.is_some(), indexes::RULE, "rule.id"),
        (filter.agent_id.is_some(), indexes::AGENT, "agent_id"),
        (filter.risk_score.is_some(), indexes::RISK, "_risk_score"),
        (grave, indexes::LEVEL, "rule.level"),
    ];
    let asked = asked.into_iter().filter(|(is_asked, ..)| *is_asked);
    asked.map(|(_, index, field)| (index, field)).collect()
}

/// Plans a question about these sites with the indexes that are there.
pub(super) fn of(filter: &AlertFilter, sites: &[Bson], there: &There) -> Plan {
    let candidates = candidates(filter, sites.len());
    let mut others = candidates.iter();
    let mut plan = match others.next() {
        Some((index, first)) => along(filter, sites, there, index, Some(first)),
        None => along(filter, sites, there, indexes::TIME, None),
    };
    if matches!(plan.pace, Pace::Keys | Pace::Documents) {
        plan.others = others
            .map(|(index, first)| along(filter, sites, there, index, Some(first)))
            .filter(|other| other.index.is_some())
            .collect();
    }
    plan
}

fn along(
    filter: &AlertFilter,
    sites: &[Bson],
    there: &There,
    index: &'static str,
    first: Option<&str>,
) -> Plan {
    let mut plan = Plan {
        prefix: site::is_one_of(sites),
        keys: Document::new(),
        rest: filter.text(),
        index: there.contains(index).then_some(index),
        pace: Pace::Exact,
        others: Vec::new(),
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
    let number = keys(database, query, plan.index, COUNTED + 1).await?;
    Ok(Count {
        value: number.min(COUNTED),
        is_capped: number > COUNTED,
    })
}

/// How many documents there are, up to the limit; of what an index knows only its keys are read.
pub(super) async fn keys(
    database: &Database,
    query: Document,
    index: Option<&str>,
    limit: u64,
) -> Result<u64, Fault> {
    let mut count = doc! {
        "count": alerts::NAME, "query": query, "limit": whole(limit),
        "maxTimeMS": millis(PAGE_TIME),
    };
    if let Some(index) = index {
        count.insert("hint", index);
    }
    let reply = answer(async { Ok(command::ask(database, count).await?) }).await?;
    Ok(command::number(&reply, "n"))
}
