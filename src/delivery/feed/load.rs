//! A batch and what is known of its lines: their text, for dead letters, their place, their time.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::alert::enrich::Document;
use crate::delivery::now;
use crate::store::Batch;

/// A buffer that one large alert has made larger than this is given back.
const KEPT: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) batch: Batch,
    text: Vec<u8>,
    lines: Vec<Line>,
    begun_at: Option<i64>,
}

#[derive(Debug)]
struct Line {
    text: Range<usize>,
    file: Arc<Path>,
    offset: u64,
    time: i64,
}

impl Load {
    pub(super) fn push(
        &mut self,
        document: &Document<'_>,
        raw: &[u8],
        file: &Arc<Path>,
        offset: u64,
    ) {
        self.batch.push(document.bson, document.brittle);
        let from = self.text.len();
        self.text.extend_from_slice(raw);
        self.lines.push(Line {
            text: from..self.text.len(),
            file: Arc::clone(file),
            offset,
            time: document.time,
        });
    }

    /// When its first line was taken, in milliseconds since 1970: the clock is asked once a batch.
    pub(super) fn begun_at(&mut self) -> i64 {
        *self.begun_at.get_or_insert_with(now)
    }

    pub(super) fn time(&self, place: usize) -> i64 {
        self.lines.get(place).map_or(0, |line| line.time)
    }

    pub(super) fn line(&self, place: usize) -> (&[u8], Arc<Path>, u64) {
        match self.lines.get(place) {
            Some(line) => (
                self.text.get(line.text.clone()).unwrap_or_default(),
                Arc::clone(&line.file),
                line.offset,
            ),
            None => (&[], Arc::from(Path::new("")), 0),
        }
    }

    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.text.clear();
        self.text.shrink_to(KEPT);
        self.lines.clear();
        self.begun_at = None;
    }
}
