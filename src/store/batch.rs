//! Many documents in one buffer that is kept from one batch to the next.

use std::ops::Range;

/// A buffer that one large alert has made larger than this is given back.
const KEPT: usize = 16 * 1024 * 1024;

/// Documents that are written together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    documents: Vec<Range<usize>>,
    brittle: Vec<usize>,
}

impl Batch {
    /// Adds a document (BSON with its `_id`, at most `MAX_DOCUMENT` bytes). A brittle one completes
    /// a poorer copy that may be there.
    pub fn push(&mut self, document: &[u8], brittle: bool) {
        if brittle {
            self.brittle.push(self.documents.len());
        }
        let from = self.bytes.len();
        self.bytes.extend_from_slice(document);
        self.documents.push(from..self.bytes.len());
    }

    /// How many documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the documents and keeps the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.documents.clear();
        self.brittle.clear();
    }

    pub(super) fn document(&self, place: usize) -> &[u8] {
        let range = self.documents.get(place).cloned().unwrap_or_default();
        self.bytes.get(range).unwrap_or_default()
    }

    /// `_id`, which is the first field: length, type, `_id`, NUL, the text's length, the text, NUL.
    pub(super) fn id(&self, place: usize) -> &str {
        let text = self.document(place).get(13..).unwrap_or_default();
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(0);
        std::str::from_utf8(text.get(..end).unwrap_or_default()).unwrap_or_default()
    }

    pub(super) fn brittle(&self) -> &[usize] {
        &self.brittle
    }
}
