//! What a query finds, fetched batch by batch.

use std::collections::VecDeque;

use futures_util::StreamExt;
use mongodb::bson::{RawBsonRef, RawDocumentBuf};
use mongodb::error::{Error as DriverError, Result};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

/// Documents that are fetched as they are wanted; the server's cursor is closed with it.
pub(super) struct Cursor {
    batches: RawBatchCursor,
    ready: VecDeque<RawDocumentBuf>,
    token: Option<String>,
}

impl Cursor {
    pub(super) fn new(batches: RawBatchCursor) -> Self {
        Self {
            batches,
            ready: VecDeque::new(),
            token: None,
        }
    }

    /// The next document; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        loop {
            if let Some(document) = self.pop() {
                return Ok(Some(document));
            }
            if !self.fetch().await? {
                return Ok(None);
            }
        }
    }

    /// The next document among those that have been fetched.
    pub(super) fn pop(&mut self) -> Option<RawDocumentBuf> {
        self.ready.pop_front()
    }

    /// Whether nothing that has been fetched is left.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Fetches a batch, which may be empty. False at the end.
    pub(super) async fn fetch(&mut self) -> Result<bool> {
        let Some(batch) = self.batches.next().await else {
            return Ok(false);
        };
        let batch = batch?;
        for document in batch.doc_slices()? {
            let RawBsonRef::Document(document) = document? else {
                return Err(DriverError::custom("a batch with something else in it"));
            };
            self.ready.push_back(document.to_owned());
        }
        self.token = token(&batch);
        Ok(true)
    }

    /// Of a change stream: the position behind the last batch.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

fn token(batch: &RawBatch) -> Option<String> {
    let cursor = batch.as_raw_document().get_document("cursor").ok()?;
    let token = cursor.get_document("postBatchResumeToken").ok()?;
    token.get_str("_data").ok().map(str::to_owned)
}
