//! A cursor with a limit around each exchange, and one document of look-ahead.

use mongodb::Database;
use mongodb::bson::{Document, RawDocumentBuf, doc};

use super::{Fault, PAGE_TIME, STREAM_TIME, answer, millis, whole};
use crate::store::command;
use crate::store::cursor::Cursor;

/// Documents that travel together: more make the answer larger, not faster.
const BATCH: i32 = 128;

/// A collection and where it lies.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    pub(super) database: Database,
    pub(super) name: &'static str,
}

/// What is asked of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub(super) filter: Document,
    pub(super) sort: Document,
    pub(super) projection: Option<Document>,
    pub(super) index: Option<&'static str>,
    /// How many will be wanted; none is all there are.
    pub(super) wanted: Option<u64>,
    pub(super) skip: u64,
    /// Whether the server may stop after as many as are wanted.
    pub(super) is_limited: bool,
}

impl Ask {
    fn command(self, collection: &str) -> Document {
        let time = if self.wanted.is_some() {
            PAGE_TIME
        } else {
            STREAM_TIME
        };
        // Two more: the next one says where the last ones' time ends.
        let wanted = self.wanted.and_then(|wanted| i32::try_from(wanted).ok());
        let batch = wanted.map_or(BATCH, |wanted| wanted.saturating_add(2).min(BATCH));
        let mut find = doc! {
            "find": collection, "filter": self.filter, "batchSize": batch,
            "skip": whole(self.skip), "maxTimeMS": millis(time), "allowDiskUse": true,
        };
        if !self.sort.is_empty() {
            find.insert("sort", self.sort);
        }
        if let Some(projection) = self.projection {
            find.insert("projection", projection);
        }
        if let Some(index) = self.index {
            find.insert("hint", index);
        }
        if let Some(wanted) = self.wanted.filter(|_| self.is_limited) {
            find.insert("limit", whole(wanted));
        }
        find
    }
}

pub(super) struct Source {
    cursor: Cursor,
    peeked: Option<RawDocumentBuf>,
}

impl Source {
    pub(super) async fn open(collection: &Collection, ask: Ask) -> Result<Self, Fault> {
        let find = ask.command(collection.name);
        let query = command::query(&collection.database, find);
        let cursor = answer(async { Ok(query.await?) }).await?;
        let peeked = None;
        Ok(Self { cursor, peeked })
    }

    pub(super) async fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        if let Some(peeked) = self.peeked.take() {
            return Ok(Some(peeked));
        }
        answer(async { Ok(self.cursor.next().await?) }).await
    }

    /// Gives a document back; it is the next one again.
    pub(super) fn put_back(&mut self, document: RawDocumentBuf) {
        self.peeked = Some(document);
    }
}
