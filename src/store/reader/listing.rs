//! A list, read piece by piece: in the order of an index, with documents of one value ordered by
//! `_id` here, so that a position is exact and no index needs `_id`. What has no such value (alerts
//! of the Python service, which know no date) comes behind, sorted by MongoDB.
//!
//! A list that passes over keys or documents reads in steps. The end of a step is found on the keys
//! alone; a page may end there with less than its limit, and its position says how far it got.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mongodb::Collection;
use mongodb::bson::{Bson, DateTime, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use super::filter::AlertFilter;
use super::plan::{Pace, Plan};
use super::position::Part;
use super::source::{Ask, Source};
use super::{Fault, Page, Position, Record, and};

/// More documents of one value are sorted by MongoDB instead of here.
const TIES: usize = 1000;
/// How long one page may pass over keys, or look for a text.
const SEARCH: Duration = Duration::from_millis(1500);

/// What a list is ordered by.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The field in the index.
    pub(super) field: &'static str,
    /// The least value of its type; documents with other types come behind.
    pub(super) least: Bson,
    pub(super) is_descending: bool,
    /// By which those are sorted.
    pub(super) behind: &'static str,
}

/// A list that is being read.
pub struct Listing {
    collection: Collection<RawDocumentBuf>,
    plan: Plan,
    key: Option<Key>,
    /// Of what has no key: the same bounds in other words.
    tail: Document,
    /// The far end in the order of reading.
    far: Option<Bson>,
    front: Front,
    after: Option<Position>,
    projection: Option<Document>,
    limit: Option<u64>,
    given: u64,
    passed: u64,
    steps: u32,
    started: Instant,
    stage: Stage,
    ready: VecDeque<RawDocumentBuf>,
    position: Option<Position>,
}

/// How far the reading has come.
#[derive(Debug, Clone)]
enum Front {
    Start,
    At(Bson),
    Past(Bson),
}

enum Stage {
    Between,
    /// The step ends at this value; none is the far end.
    Reading(Source, Option<Bson>),
    /// Many documents of one value, sorted by MongoDB.
    Ties(Source, Bson, Option<Bson>),
    BeforeTail,
    Tail(Source),
    Paused,
    Done,
}

impl Listing {
    pub(super) fn of_alerts(
        collection: Collection<RawDocumentBuf>,
        plan: Plan,
        filter: &AlertFilter,
        page: Page,
    ) -> Self {
        let date = |millis: i64| Bson::from(DateTime::from_millis(millis));
        let key = Key {
            field: "_timestamp",
            least: date(i64::MIN),
            is_descending: true,
            behind: "timestamp",
        };
        let mut listing = Self::new(collection, plan, Some(key), page);
        listing.far = filter.since.map(date);
        listing.tail = text_time(filter);
        if let (Front::Start, Some(until)) = (&listing.front, filter.until) {
            listing.front = Front::Past(date(until));
        }
        listing
    }

    pub(super) fn new(
        collection: Collection<RawDocumentBuf>,
        plan: Plan,
        key: Option<Key>,
        page: Page,
    ) -> Self {
        let behind = key.as_ref().map_or("_id", |key| key.behind);
        let needed = ["_id", key.as_ref().map_or("_id", |key| key.field), behind];
        let tail = matches!(&page.after, Some(after) if after.part == Part::Tail);
        let front = match &page.after {
            Some(after) if !tail => match after.id {
                Some(_) => Front::At(after.key.clone()),
                None => Front::Past(after.key.clone()),
            },
            _ => Front::Start,
        };
        Self {
            collection,
            plan,
            tail: Document::new(),
            far: None,
            front,
            projection: projection(&page.fields, &needed),
            limit: page.limit,
            given: 0,
            passed: 0,
            steps: 0,
            started: Instant::now(),
            stage: if tail || key.is_none() {
                Stage::BeforeTail
            } else {
                Stage::Between
            },
            key,
            after: page.after,
            ready: VecDeque::new(),
            position: None,
        }
    }

    /// The next document.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `TooSlow`.
    pub async fn next(&mut self) -> Result<Option<Record>, Fault> {
        if self.left() == Some(0) {
            return Ok(None);
        }
        while self.ready.is_empty() {
            if matches!(self.stage, Stage::Done | Stage::Paused) {
                return Ok(None);
            }
            self.advance().await?;
        }
        let next = self.ready.pop_front();
        if let Some(document) = &next {
            self.given += 1;
            self.position = self.position_of(document);
        }
        Ok(next.map(Record))
    }

    /// Where the next page begins, once `next` has given all it has. None at the end of the list.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `TooSlow`.
    pub async fn position(&mut self) -> Result<Option<Position>, Fault> {
        while self.ready.is_empty() {
            match self.stage {
                Stage::Done => return Ok(None),
                Stage::Paused => break,
                // A look ahead is cheap only where nothing is passed over.
                _ if self.plan.pace != Pace::Exact && self.given > 0 => break,
                _ => self.advance().await?,
            }
        }
        Ok(self.position.clone())
    }

    fn left(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.given))
    }

    async fn advance(&mut self) -> Result<(), Fault> {
        match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::Between => self.step().await,
            Stage::Reading(source, end) => self.read(source, end).await,
            Stage::Ties(source, value, end) => self.read_ties(source, value, end).await,
            Stage::BeforeTail => self.open_tail().await,
            Stage::Tail(source) => self.read_tail(source).await,
            ended @ (Stage::Paused | Stage::Done) => {
                self.stage = ended;
                Ok(())
            }
        }
    }

    /// Opens the next step, or ends the page if it has read enough.
    async fn step(&mut self) -> Result<(), Fault> {
        let Some(size) = self.size_of_step() else {
            self.stage = Stage::Paused;
            return Ok(());
        };
        self.steps += 1;
        let end = match size {
            Some(size) => self.end_of_step(size).await?,
            None => None,
        };
        let mut filter = self.plan.all();
        and(&mut filter, self.bounds(end.as_ref()));
        let ask = Ask {
            filter,
            sort: self.order(),
            projection: self.projection.clone(),
            index: self.plan.index,
            wanted: self.left(),
            ..Ask::default()
        };
        let source = Source::open(&self.collection, ask).await?;
        self.stage = Stage::Reading(source, end);
        Ok(())
    }

    /// How many keys the next step covers; `Some(None)` is all of them, `None` no further step.
    fn size_of_step(&mut self) -> Option<Option<u64>> {
        // A list without a limit is read to its end in one go.
        if self.limit.is_none() {
            return Some(None);
        }
        let late = self.steps > 0 && self.started.elapsed() > SEARCH;
        let growing = |first: u64, most: u64| (first << (2 * self.steps).min(16)).min(most);
        match self.plan.pace {
            Pace::Exact => Some(None),
            Pace::Keys | Pace::Text if late => None,
            Pace::Keys => Some(Some(growing(1000, 50_000))),
            Pace::Text => Some(Some(growing(500, 4000))),
            Pace::Documents => {
                let left = (2 * self.given + 90).saturating_sub(self.passed);
                let size = left.min(90);
                self.passed += size;
                (size >= 10).then_some(Some(size))
            }
        }
    }

    /// The value so many keys from the front: read from the index alone.
    async fn end_of_step(&mut self, size: u64) -> Result<Option<Bson>, Fault> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let mut filter = self.plan.prefix.clone();
        and(&mut filter, self.bounds(None));
        let ask = Ask {
            filter,
            sort: self.order(),
            projection: Some(doc! { "_id": 0, key.field: 1 }),
            index: self.plan.index,
            wanted: Some(1),
            skip: size - 1,
            is_limited: true,
        };
        let found = Source::open(&self.collection, ask).await?.next().await?;
        Ok(found.and_then(|found| value(&found, key.field)))
    }

    /// Takes the documents of one value.
    async fn read(&mut self, mut source: Source, end: Option<Bson>) -> Result<(), Fault> {
        let Some(first) = source.next().await? else {
            self.ended(end);
            return Ok(());
        };
        let of = self.value_of(&first);
        let mut ties = vec![first];
        while let Some(next) = source.next().await? {
            if self.value_of(&next) != of {
                source.put_back(next);
                break;
            }
            ties.push(next);
            if ties.len() > TIES {
                drop(source);
                return self.open_ties(of, end).await;
            }
        }
        self.take(ties, &of);
        self.stage = Stage::Reading(source, end);
        Ok(())
    }

    fn take(&mut self, mut ties: Vec<RawDocumentBuf>, of: &Bson) {
        ties.sort_by(|a, b| self.in_order(id(a), id(b)));
        let after = self.after_in(Part::Main, of);
        let is_new = |document: &RawDocumentBuf| match (&after, id(document)) {
            (Some(after), Some(id)) => self.in_order(Some(id), Some(after.clone())).is_gt(),
            _ => true,
        };
        let new: Vec<_> = ties.into_iter().filter(is_new).collect();
        self.ready.extend(new);
    }

    /// The document that the page before ended with, if it has this value.
    fn after_in(&self, part: Part, of: &Bson) -> Option<Bson> {
        let after = self.after.as_ref();
        let after = after.filter(|after| after.part == part && after.key == *of)?;
        after.id.clone()
    }

    async fn open_ties(&mut self, of: Bson, end: Option<Bson>) -> Result<(), Fault> {
        let Some(key) = &self.key else { return Ok(()) };
        let mut filter = self.plan.all();
        filter.insert(key.field, of.clone());
        if let Some(id) = self.after_in(Part::Main, &of) {
            filter.insert(
                "$expr",
                doc! { self.beyond(): ["$_id", { "$literal": id }] },
            );
        }
        let ask = Ask {
            filter,
            sort: doc! { "_id": self.direction() },
            projection: self.projection.clone(),
            index: self.plan.index,
            wanted: self.left().map(|left| left.saturating_add(1)),
            is_limited: true,
            ..Ask::default()
        };
        let source = Source::open(&self.collection, ask).await?;
        self.stage = Stage::Ties(source, of, end);
        Ok(())
    }

    async fn read_ties(
        &mut self,
        mut source: Source,
        of: Bson,
        end: Option<Bson>,
    ) -> Result<(), Fault> {
        if let Some(next) = source.next().await? {
            self.ready.push_back(next);
            self.stage = Stage::Ties(source, of, end);
        } else if end.as_ref() == Some(&of) {
            self.ended(end);
        } else {
            self.front = Front::Past(of);
            self.stage = Stage::Between;
        }
        Ok(())
    }

    /// A step is over: the next one, or the documents without the key.
    fn ended(&mut self, end: Option<Bson>) {
        self.stage = match end {
            Some(end) => {
                self.position = Some(Position {
                    part: Part::Main,
                    key: end.clone(),
                    id: None,
                });
                self.front = Front::Past(end);
                Stage::Between
            }
            None => Stage::BeforeTail,
        };
    }

    async fn open_tail(&mut self) -> Result<(), Fault> {
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
    fn behind(&self, after: &Position, field: &str) -> Document {
        let beyond = self.beyond();
        let field = doc! { "$ifNull": [format!("${field}"), Bson::Null] };
        let key = doc! { "$literal": after.key.clone() };
        let id = doc! { "$literal": after.id.clone() };
        doc! { "$or": [
            { beyond: [field.clone(), key.clone()] },
            { "$and": [{ "$eq": [field, key] }, { beyond: ["$_id", id] }] },
        ] }
    }

    async fn read_tail(&mut self, mut source: Source) -> Result<(), Fault> {
        self.stage = match source.next().await? {
            Some(next) => {
                self.ready.push_back(next);
                Stage::Tail(source)
            }
            None => Stage::Done,
        };
        Ok(())
    }

    fn position_of(&self, document: &RawDocument) -> Option<Position> {
        let behind = self.key.as_ref().map_or("_id", |key| key.behind);
        let (part, field) = match (&self.stage, &self.key) {
            (Stage::Tail(_) | Stage::Done, _) | (_, None) => (Part::Tail, behind),
            (_, Some(key)) => (Part::Main, key.field),
        };
        Some(Position {
            part,
            key: value(document, field).unwrap_or(Bson::Null),
            id: id(document),
        })
    }

    fn bounds(&self, end: Option<&Bson>) -> Document {
        let Some(key) = &self.key else {
            return Document::new();
        };
        // In the order of reading: from the front to the far end.
        let (at, past, to) = if key.is_descending {
            ("$lte", "$lt", "$gte")
        } else {
            ("$gte", "$gt", "$lte")
        };
        let mut bounds = Document::new();
        match &self.front {
            Front::Start => {}
            Front::At(value) => drop(bounds.insert(at, value.clone())),
            Front::Past(value) => drop(bounds.insert(past, value.clone())),
        }
        if let Some(far) = end.or(self.far.as_ref()) {
            bounds.insert(to, far.clone());
        }
        // Of its type alone.
        if !bounds.contains_key("$gte") && !bounds.contains_key("$gt") {
            bounds.insert("$gte", key.least.clone());
        }
        doc! { key.field: bounds }
    }

    fn order(&self) -> Document {
        let key = self.key.as_ref();
        key.map_or_else(Document::new, |key| doc! { key.field: self.direction() })
    }

    fn direction(&self) -> i32 {
        if self.is_descending() { -1 } else { 1 }
    }

    fn beyond(&self) -> &'static str {
        if self.is_descending() { "$lt" } else { "$gt" }
    }

    fn is_descending(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.is_descending)
    }

    fn value_of(&self, document: &RawDocument) -> Bson {
        let key = self.key.as_ref();
        key.and_then(|key| value(document, key.field))
            .unwrap_or(Bson::Null)
    }

    fn in_order(&self, a: Option<Bson>, b: Option<Bson>) -> Ordering {
        let order = rank(a.as_ref()).cmp(&rank(b.as_ref()));
        if self.is_descending() {
            order.reverse()
        } else {
            order
        }
    }
}

/// Strings before MongoDB's own ids, each by its bytes, as MongoDB sorts them.
fn rank(id: Option<&Bson>) -> (u8, Vec<u8>) {
    match id {
        Some(Bson::String(text)) => (1, text.as_bytes().to_vec()),
        Some(Bson::ObjectId(id)) => (2, id.bytes().to_vec()),
        Some(other) => (3, other.to_string().into_bytes()),
        None => (0, Vec::new()),
    }
}

fn id(document: &RawDocument) -> Option<Bson> {
    value(document, "_id")
}

fn value(document: &RawDocument, field: &str) -> Option<Bson> {
    let value: RawBsonRef<'_> = document.get(field).ok()??;
    value.try_into().ok()
}

/// The fields that are asked for and those that the list itself needs.
fn projection(fields: &[String], needed: &[&str]) -> Option<Document> {
    if fields.is_empty() {
        return None;
    }
    let mut all: Vec<&str> = fields
        .iter()
        .map(String::as_str)
        .chain(needed.iter().copied())
        .collect();
    all.sort_unstable();
    let mut projection = Document::new();
    for field in &all {
        // MongoDB refuses a field beside one that it lies in.
        let inside = |outer: &&&str| {
            field
                .strip_prefix(**outer)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if all.iter().find(inside).is_none() {
            projection.insert(*field, 1);
        }
    }
    Some(projection)
}

/// The times of alerts whose time is only a text, as expressions.
fn text_time(filter: &AlertFilter) -> Document {
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
