//! Walks the records of a segment in memory: finds them, the damaged gaps between them, and the
//! tail. Pure; knows no file.

use super::record::{self, ALIGN};

/// How many times the length of the bytes may be put through the checksum in the search behind
/// damage: bytes that were made up to look like records must not hold anyone up.
const BUDGET: usize = 8;

/// A stretch of a segment; offsets count from the start of the bytes that were scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// A whole record.
    Record {
        /// Where it begins.
        at: usize,
        /// Bytes that it takes.
        size: usize,
        /// Its number in the segment.
        seq: u64,
    },
    /// Bytes that were records once: something valid lies behind them.
    Gap {
        /// Where they begin.
        at: usize,
        /// Where the next record begins.
        end: usize,
    },
}

/// What a walk found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Records and gaps in order.
    pub(super) items: Vec<Item>,
    /// Where the last of them ends.
    pub(super) tail: usize,
    /// The number of the last record.
    pub(super) last_seq: u64,
    /// The search behind damage was given up: the last gap reaches to the end of the bytes.
    pub(super) gave_up: bool,
}

impl Scan {
    /// True when a gap was found.
    pub(super) fn damaged(&self) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item, Item::Gap { .. }))
    }
}

/// Walks `bytes` from their start; `last_seq` is the number of the record before them. What lies
/// below `proven` was acknowledged once, so that a stretch there is damage and not the tail.
pub(super) fn scan(generation: u64, bytes: &[u8], last_seq: u64, proven: usize) -> Scan {
    let mut walk = Scan {
        items: Vec::new(),
        tail: 0,
        last_seq,
        gave_up: false,
    };
    loop {
        walk.run(generation, bytes);
        let end = match search(generation, bytes, walk.tail, walk.last_seq) {
            Search::Next(at) => at,
            Search::Nothing => proven.min(bytes.len()),
            Search::GaveUp => {
                walk.gave_up = true;
                bytes.len()
            }
        };
        if end <= walk.tail {
            return walk;
        }
        walk.items.push(Item::Gap { at: walk.tail, end });
        walk.tail = end;
    }
}

impl Scan {
    fn run(&mut self, generation: u64, bytes: &[u8]) {
        while let Some(seq) = bytes.get(self.tail..).and_then(|rest| {
            let found = record::read(generation, rest).filter(|found| found.seq > self.last_seq)?;
            self.items.push(Item::Record {
                at: self.tail,
                size: found.size,
                seq: found.seq,
            });
            self.tail += found.size;
            Some(found.seq)
        }) {
            self.last_seq = seq;
        }
        self.tail = self.tail.min(bytes.len());
    }
}

enum Search {
    Next(usize),
    Nothing,
    GaveUp,
}

/// The next record behind damage at `from`.
fn search(generation: u64, bytes: &[u8], from: usize, last_seq: u64) -> Search {
    let mut budget = bytes.len().saturating_mul(BUDGET);
    for at in (from + ALIGN..bytes.len()).step_by(ALIGN) {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(claim) = record::claim(rest).filter(|claim| claim.seq > last_seq) else {
            continue;
        };
        if record::read(generation, rest).is_some() {
            return Search::Next(at);
        }
        let Some(left) = budget.checked_sub(claim.length) else {
            return Search::GaveUp;
        };
        budget = left;
    }
    Search::Nothing
}
