//! How many alerts of which kind lie in a window of time: counted in one pass over an index.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::filter::AlertFilter;
use super::{Fault, PAGE_TIME, Reader, Record, and, answer, millis, plan};
use crate::store::{alerts, command};

/// The most frequent ones of what has many values.
const TOP: i32 = 100;

/// By what alerts are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `_risk_score`.
    Risk,
    /// `rule.id`.
    Rule,
    /// `agent_id`.
    Agent,
    /// The time of the alert, in buckets.
    Time,
}

/// How time is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `minute`, `hour`, `day`, `week` or `month`.
    pub unit: &'static str,
    /// How many of them.
    pub size: u32,
    /// An IANA name or an offset; days begin at its midnight, also when clocks change.
    pub zone: String,
}

/// The counts.
#[derive(Debug, Clone)]
pub struct Stats {
    /// All alerts of the window.
    pub total: i64,
    /// What was asked for: one document with a list for each, `[{value, count}]`.
    pub counts: Record,
}

impl By {
    /// Its name in questions and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Rule => "rule",
            Self::Agent => "agent",
            Self::Time => "time",
        }
    }

    fn stages(self, bucket: &Bucket) -> Vec<Document> {
        let field = match self {
            Self::Risk => Bson::from("$_risk_score"),
            Self::Rule => Bson::from("$rule.id"),
            Self::Agent => Bson::from("$agent_id"),
            Self::Time => doc! { "$dateTrunc": {
                "date": "$_timestamp", "unit": bucket.unit, "binSize": i64::from(bucket.size),
                "timezone": &bucket.zone, "startOfWeek": "monday",
            } }
            .into(),
        };
        let shown = doc! { "$project": { "_id": 0, "value": "$_id", "count": 1 } };
        let count = doc! { "$group": { "_id": field, "count": { "$sum": 1 } } };
        if self == Self::Time {
            return vec![count, doc! { "$sort": { "_id": 1 } }, shown];
        }
        let sort = doc! { "$sort": { "count": -1, "_id": 1 } };
        vec![count, sort, doc! { "$limit": TOP }, shown]
    }
}

impl Reader {
    /// Counts the alerts of the filter's window, which must have both its ends.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `TooSlow`, `UnknownZone`, `TooManySites`.
    pub async fn stats(
        &self,
        filter: &AlertFilter,
        by: &[By],
        bucket: &Bucket,
    ) -> Result<Stats, Fault> {
        let (sites, there) = self
            .surroundings(alerts::NAME, filter.site.as_deref())
            .await?;
        let plan = plan::of(filter, &sites, &there);
        let mut matched = plan.all();
        let date = |millis: Option<i64>, or: i64| DateTime::from_millis(millis.unwrap_or(or));
        let window =
            doc! { "$gte": date(filter.since, i64::MIN), "$lt": date(filter.until, i64::MAX) };
        and(&mut matched, doc! { "_timestamp": window });
        // Constant, so that an unknown zone is refused also where there is nothing to count.
        let zone = doc! { "$hour": { "date": DateTime::from_millis(0), "timezone": &bucket.zone } };
        let mut facets = doc! {
            "total": [{ "$count": "count" }],
            "zone": [{ "$limit": 1 }, { "$project": { "_id": 0, "hour": zone } }],
        };
        for by in by {
            facets.insert(by.name(), by.stages(bucket));
        }
        let pipeline = [doc! { "$match": matched }, doc! { "$facet": facets }];
        let mut aggregate = doc! {
            "aggregate": alerts::NAME, "pipeline": pipeline.to_vec(), "cursor": {},
            "maxTimeMS": millis(PAGE_TIME),
        };
        if let Some(index) = plan.index {
            aggregate.insert("hint", index);
        }
        let found = async {
            let mut cursor = command::query(self.database().await?, aggregate).await?;
            Ok(cursor.next().await?)
        };
        let Some(found) = answer(found).await? else {
            return Err(Fault::Unavailable("MongoDB counted nothing".to_owned()));
        };
        let document = Document::try_from(found.as_ref());
        let mut document = document.map_err(|error| Fault::Unavailable(error.to_string()))?;
        let total = document.remove("total");
        document.remove("zone");
        let raw = mongodb::bson::serialize_to_raw_document_buf(&document);
        let raw = raw.map_err(|error| Fault::Unavailable(error.to_string()))?;
        Ok(Stats {
            total: total.as_ref().map_or(0, number),
            counts: Record(raw),
        })
    }
}

/// The number in `[{count: …}]`.
fn number(total: &Bson) -> i64 {
    let first = total.as_array().and_then(|all| all.first());
    let count = first
        .and_then(Bson::as_document)
        .and_then(|first| first.get("count"));
    match count {
        Some(Bson::Int32(count)) => i64::from(*count),
        Some(Bson::Int64(count)) => *count,
        _ => 0,
    }
}
