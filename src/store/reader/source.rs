//! A cursor with a limit around each exchange, and one document of look-ahead.

use mongodb::bson::{Document, RawDocumentBuf};
use mongodb::{Collection, Cursor};

use super::{Fault, PAGE_TIME, STREAM_TIME, answer};

/// Documents that travel together: more make the answer larger, not faster.
const BATCH: u64 = 128;

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

pub(super) struct Source {
    cursor: Cursor<RawDocumentBuf>,
    peeked: Option<RawDocumentBuf>,
}

impl Source {
    pub(super) async fn open(
        collection: &Collection<RawDocumentBuf>,
        ask: Ask,
    ) -> Result<Self, Fault> {
        let time = if ask.wanted.is_some() {
            PAGE_TIME
        } else {
            STREAM_TIME
        };
        // Two more: the next one says where the last ones' time ends.
        let batch = ask
            .wanted
            .map_or(BATCH, |wanted| wanted.saturating_add(2).min(BATCH));
        let mut find = collection
            .find(ask.filter)
            .batch_size(u32::try_from(batch).unwrap_or(u32::MAX))
            .skip(ask.skip)
            .max_time(time)
            .allow_disk_use(true);
        if !ask.sort.is_empty() {
            find = find.sort(ask.sort);
        }
        if let Some(projection) = ask.projection {
            find = find.projection(projection);
        }
        if let Some(index) = ask.index {
            find = find.hint(mongodb::options::Hint::Name(index.to_owned()));
        }
        if let Some(wanted) = ask.wanted.filter(|_| ask.is_limited) {
            find = find.limit(i64::try_from(wanted).unwrap_or(i64::MAX));
        }
        let cursor = answer(async { Ok(find.await?) }).await?;
        let peeked = None;
        Ok(Self { cursor, peeked })
    }

    pub(super) async fn next(&mut self) -> Result<Option<RawDocumentBuf>, Fault> {
        if let Some(peeked) = self.peeked.take() {
            return Ok(Some(peeked));
        }
        let advance = async { Ok(self.cursor.advance().await?) };
        let found = answer(advance).await?;
        Ok(found.then(|| self.cursor.current().to_owned()))
    }

    /// Gives a document back; it is the next one again.
    pub(super) fn put_back(&mut self, document: RawDocumentBuf) {
        self.peeked = Some(document);
    }
}
