//! How many alerts there are, and how many of them MongoDB lacked, hour by hour in UTC.

use std::collections::BTreeMap;

use crate::store::Written;

const HOUR_MS: i64 = 3_600_000;
/// Broken clocks can give alerts of any year; the first so many hours are told one by one.
const MOST: usize = 100_000;

/// One hour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// Alerts on disk that belong into MongoDB.
    pub on_disk: u64,
    /// Of these, those that were not in MongoDB.
    pub missing: u64,
}

/// The hours that were met, by their beginning.
#[derive(Debug, Default)]
pub struct Hours {
    hours: BTreeMap<i64, Hour>,
}

impl Hours {
    /// Counts an alert of that time (milliseconds since 1970).
    pub fn note(&mut self, time: i64, written: &Written) {
        let begin = time - time.rem_euclid(HOUR_MS);
        if self.hours.len() >= MOST && !self.hours.contains_key(&begin) {
            return;
        }
        let hour = self.hours.entry(begin).or_default();
        hour.on_disk += 1;
        hour.missing += u64::from(*written == Written::New);
    }

    /// Beginning (milliseconds since 1970) and counts, in order of time.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Hour)> {
        self.hours.iter().map(|(begin, hour)| (*begin, *hour))
    }
}
