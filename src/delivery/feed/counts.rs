//! What became of the lines of a file, in numbers.

use std::fmt;

/// What became of the lines so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Lines that were read, empty ones left out.
    pub read: u64,
    /// Bytes of these lines.
    pub bytes: u64,
    /// Empty lines.
    pub empty: u64,
    /// Alerts of another time than was asked for.
    pub outside: u64,
    /// Taken out by a filter.
    pub filtered: u64,
    /// Older than the retention: MongoDB would delete them at once.
    pub expired: u64,
    /// Inserted now.
    pub stored: u64,
    /// They had been in MongoDB before.
    pub already_there: u64,
    /// Poorer copies of the hook that were completed; they count as already there too.
    pub completed: u64,
    /// Not in MongoDB; only when nothing is inserted.
    pub missing: u64,
    /// They would be sent; only when nothing is asked.
    pub wanted: u64,
    /// Kept as dead letters: no alerts, or refused by MongoDB.
    pub rejected: u64,
    /// No alerts, and not even kept, since the dead letters have no more room.
    pub unkept: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} read, {} empty, {} filtered, {} expired, {} stored, {} already there, {} completed, {} rejected, {} not kept",
            self.read,
            self.empty,
            self.filtered,
            self.expired,
            self.stored,
            self.already_there,
            self.completed,
            self.rejected,
            self.unkept
        )
    }
}
