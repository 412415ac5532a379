//! Many documents as the insert command wants them: one buffer, already in the shape of the array
//! `documents`, so that a batch is copied once and never parsed again. The driver's `insert_many`
//! writes each document twice more.

use std::ops::Range;

use mongodb::bson::RawDocumentBuf;

use super::alerts::NAME;

/// What a command's documents may take together, in bytes: the server takes 16 MiB and 16 KiB
/// (`BSONObjMaxInternalSize`), and one document may need all of it.
const PER_COMMAND: usize = 15 * 1024 * 1024;
/// A buffer that one large alert has made larger than this is given back.
const KEPT: usize = 16 * 1024 * 1024;

/// Documents that are written together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Elements of a BSON array: type, index, NUL, document.
    elements: Vec<u8>,
    documents: Vec<Range<usize>>,
    brittle: Vec<usize>,
}

impl Batch {
    /// Adds a document (BSON with its `_id`, at most `MAX_DOCUMENT` bytes). A brittle one completes
    /// a poorer copy that may be there.
    pub fn push(&mut self, document: &[u8], brittle: bool) {
        let place = self.documents.len();
        if brittle {
            self.brittle.push(place);
        }
        let from = element(&mut self.elements, place, document);
        self.documents.push(from..self.elements.len());
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
        self.elements.len()
    }

    /// Forgets the documents and keeps the buffer.
    pub fn clear(&mut self) {
        self.elements.clear();
        self.elements.shrink_to(KEPT);
        self.documents.clear();
        self.brittle.clear();
    }

    pub(super) fn document(&self, place: usize) -> &[u8] {
        let range = self.documents.get(place).cloned().unwrap_or_default();
        self.elements.get(range).unwrap_or_default()
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

    /// The places in parts that one command takes.
    pub(super) fn parts(&self, places: &[usize]) -> Vec<Vec<usize>> {
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut room = 0;
        for &place in places {
            let needed = self.document(place).len() + 16;
            match parts.last_mut() {
                Some(part) if needed <= room => part.push(place),
                _ => {
                    parts.push(vec![place]);
                    room = PER_COMMAND;
                }
            }
            room = room.saturating_sub(needed);
        }
        parts
    }

    /// The command that inserts these documents, unordered; `concern` is BSON.
    pub(super) fn command(&self, places: &[usize], concern: &[u8]) -> Option<RawDocumentBuf> {
        let mut out = Vec::with_capacity(self.elements.len() + 512);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(b"\x02insert\0");
        out.extend_from_slice(&length(NAME.len() + 1));
        out.extend_from_slice(NAME.as_bytes());
        out.extend_from_slice(b"\0\x08ordered\0\0\x03writeConcern\0");
        out.extend_from_slice(concern);
        out.extend_from_slice(b"\x04documents\0");
        let array = out.len();
        out.extend_from_slice(&[0; 4]);
        if places.len() == self.len() {
            out.extend_from_slice(&self.elements);
        } else {
            for (index, place) in places.iter().enumerate() {
                element(&mut out, index, self.document(*place));
            }
        }
        close(&mut out, array);
        close(&mut out, 0);
        RawDocumentBuf::from_bytes(out).ok()
    }
}

/// Writes a document as an array's element; says where it begins.
fn element(out: &mut Vec<u8>, index: usize, document: &[u8]) -> usize {
    out.push(0x03);
    out.extend_from_slice(index.to_string().as_bytes());
    out.push(0);
    let from = out.len();
    out.extend_from_slice(document);
    from
}

fn close(out: &mut Vec<u8>, from: usize) {
    out.push(0);
    let length = length(out.len() - from);
    if let Some(place) = out.get_mut(from..from + 4) {
        place.copy_from_slice(&length);
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}
