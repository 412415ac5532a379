//! A list, read piece by piece: in the order of an index, with documents of one value ordered by
//! `_id` here, so that a position is exact and no index needs `_id`. What has no such value (alerts
//! of the Python service, which know no date) comes behind, sorted by MongoDB.
//!
//! A list that passes over keys or documents reads in steps. The end of a step is found on the keys
//! alone; a page may end there with less than its limit, and its position says how far it got.

mod behind;
mod order;
mod shorter;
mod steps;
mod ties;

use std::collections::VecDeque;
use std::time::Instant;

use mongodb::bson::{Bson, DateTime, Document, RawDocument, RawDocumentBuf};

use super::filter::AlertFilter;
use super::heard::Heard;
use super::plan::{Pace, Plan};
use super::position::Part;
use super::source::{Collection, Source};
use super::{Fault, Page, Position, Record};
use behind::text_time;
use order::{id, projection, value};

/// More documents of one value are sorted by MongoDB instead of here.
const TIES: usize = 1000;
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
    collection: Collection,
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
    /// For agents: when they were last heard of.
    heard: Option<Heard>,
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
        collection: Collection,
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

    pub(super) fn new(collection: Collection, plan: Plan, key: Option<Key>, page: Page) -> Self {
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
            heard: None,
            position: None,
        }
    }

    /// Agents with the times at which they were last heard of.
    pub(super) fn with_times(self, heard: Heard) -> Self {
        Self {
            heard: Some(heard),
            ..self
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
            self.position = Some(self.position_of(document));
        }
        let heard = |document| match &self.heard {
            Some(heard) => heard.put_into(document),
            None => document,
        };
        Ok(next.map(heard).map(Record))
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

    fn position_of(&self, document: &RawDocument) -> Position {
        let behind = self.key.as_ref().map_or("_id", |key| key.behind);
        let (part, field) = match (&self.stage, &self.key) {
            (Stage::Tail(_) | Stage::Done, _) | (_, None) => (Part::Tail, behind),
            (_, Some(key)) => (Part::Main, key.field),
        };
        Position {
            part,
            key: value(document, field).unwrap_or(Bson::Null),
            id: id(document),
        }
    }
}
