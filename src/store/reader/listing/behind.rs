//! What has no value that the list is ordered by: sorted by MongoDB, behind everything else.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{Listing, Stage};
use crate::store::reader::filter::AlertFilter;
use crate::store::reader::position::Part;
use crate::store::reader::source::{Ask, Source};
use crate::store::reader::{Fault, Position};

impl Listing {
    pub(super) async fn open_tail(&mut self) -> Result<(), Fault> {
        let mut filter = self.plan.all();
        let mut expressions: Vec<Bson> = self.tail.get_array("$and").cloned().unwrap_or_default();
        let behind = self.key.as_ref().map_or("_id", |key| key.behind);
        if let Some(key) = &self.key {
            filter.insert(key.field, doc! { "$not": { "$gte": key.least.clone() } });
        }
        if let Some(after) = self.after.as_ref().filter(|after| after.part == Part::Tail) {
            expressions.push(self.behind(after, behind).into());
        }
        if !expressions.is_empty() {
            filter.insert("$expr", doc! { "$and": expressions });
        }
        let mut sort = doc! { behind: self.direction() };
        sort.insert("_id", self.direction());
        let all_of_it = self.key.is_none() && self.limit.is_none();
        let ask = Ask {
            filter,
            sort: if all_of_it { Document::new() } else { sort },
            projection: self.projection.clone(),
            index: self.plan.index,
            wanted: self.left().map(|left| left.saturating_add(1)),
            is_limited: true,
            ..Ask::default()
        };
        self.stage = Stage::Tail(Source::open(&self.collection, ask).await?);
        Ok(())
    }

    /// Beyond the position, by the order of all types as MongoDB sorts them.
    pub(super) fn behind(&self, after: &Position, field: &str) -> Document {
        let beyond = self.beyond();
        let field = doc! { "$ifNull": [format!("${field}"), Bson::Null] };
        let key = doc! { "$literal": after.key.clone() };
        let id = doc! { "$literal": after.id.clone() };
        doc! { "$or": [
            { beyond: [field.clone(), key.clone()] },
            { "$and": [{ "$eq": [field, key] }, { beyond: ["$_id", id] }] },
        ] }
    }

    pub(super) async fn read_tail(&mut self, mut source: Source) -> Result<(), Fault> {
        self.stage = match source.next().await? {
            Some(next) => {
                self.ready.push_back(next);
                Stage::Tail(source)
            }
            None => Stage::Done,
        };
        Ok(())
    }
}

/// The times of alerts whose time is only a text, as expressions.
pub(super) fn text_time(filter: &AlertFilter) -> Document {
    let time = doc! { "$dateFromString": {
        "dateString": "$timestamp", "onError": Bson::Null, "onNull": Bson::Null,
    } };
    let bound = |operator: &str, millis: Option<i64>| {
        let at = DateTime::from_millis(millis?);
        Some(Bson::from(doc! { operator: [time.clone(), at] }))
    };
    // A time that cannot be read is null, which is less than any.
    let since = bound("$gte", filter.since);
    let until = bound("$lt", filter.until);
    let known = until
        .as_ref()
        .map(|_| Bson::from(doc! { "$ne": [time.clone(), Bson::Null] }));
    let all: Vec<Bson> = [since, until, known].into_iter().flatten().collect();
    if all.is_empty() {
        Document::new()
    } else {
        doc! { "$and": all }
    }
}
