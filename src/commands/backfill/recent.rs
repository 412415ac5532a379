//! The gap report over the last hours, for whoever asks often: old files are left out, and of a large
//! one only the end is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;

use super::{Backfill, Reach, What};
use crate::alert::When;
use crate::alert::time;
use crate::alerts_log::Archive;
use crate::commands::{Format, feeding};
use crate::config::Settings;
use crate::home::Home;
use crate::setting::Span;

/// Alerts of the last minutes may still be on their way.
const ON_THE_WAY: Span = Span(Duration::from_secs(120));
/// Wazuh's times are not strictly in order.
const SLACK_MS: i64 = 10 * 60 * 1000;
/// A part of a file that is not worth a search.
const SMALL: u64 = 8 << 20;
/// Some lines, however long they are.
const LOOK: usize = 256 << 10;

/// What the last hours lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps {
    /// Alerts on disk that belong into MongoDB.
    pub on_disk: u64,
    /// Of these, those that were not there.
    pub missing: u64,
}

/// Compares the alerts of the last `window` on this host with those in MongoDB; none on a host without
/// alerts.json.
///
/// # Errors
///
/// As `Backfill::run`.
pub fn gaps(window: Span, what: What, settings: &Settings, home: &Home) -> Result<Option<Gaps>> {
    if !feeding::alerts_json(home).is_some_and(|file| file.is_file()) {
        return Ok(None);
    }
    let backfill = Backfill {
        paths: Vec::new(),
        since: Some(When::Ago(window)),
        until: Some(When::Ago(ON_THE_WAY)),
        what,
        all: false,
        rate: None,
        restart: false,
        reach: Reach::Recent,
        format: Format::Quiet,
    };
    let report = backfill.read(settings, home)?;
    let mut gaps = Gaps {
        on_disk: 0,
        missing: 0,
    };
    for (_, hour) in report.hours.iter() {
        gaps.on_disk += hour.on_disk;
        gaps.missing += hour.missing;
    }
    Ok(Some(gaps))
}

/// What was last written to before the time holds nothing of it.
pub(super) fn leave_old(archives: &mut Vec<Archive>, since: i64) {
    let since = u64::try_from(since.saturating_sub(SLACK_MS)).unwrap_or(0);
    let since = UNIX_EPOCH + Duration::from_millis(since);
    archives.retain(|archive| archive.growing || archive.changed >= since);
}

/// Where in each file the time begins, or somewhat before it.
pub(super) fn begins(archives: &[Archive], since: i64) -> Vec<u64> {
    let begin = |archive: &Archive| {
        if archive.compressed {
            return 0;
        }
        // What cannot be searched is read from its beginning.
        search(archive, since.saturating_sub(SLACK_MS)).unwrap_or(0)
    };
    archives.iter().map(begin).collect()
}

fn search(archive: &Archive, since: i64) -> io::Result<u64> {
    let file = File::open(&archive.path)?;
    let (mut low, mut high) = (0, file.metadata()?.len());
    let mut look = vec![0; LOOK];
    while high - low > SMALL {
        let middle = low + (high - low) / 2;
        let count = file.read_at(&mut look, middle)?;
        match first_time(look.get(..count).unwrap_or_default()) {
            Some((behind, time)) if time < since => low = middle + behind,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Where the first whole line in these bytes begins that has a time, and the time.
fn first_time(bytes: &[u8]) -> Option<(u64, i64)> {
    const FIELD: &[u8] = b"\"timestamp\":\"";
    let mut begin = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    for line in bytes.get(begin..)?.split(|byte| *byte == b'\n') {
        let field = line.windows(FIELD.len()).position(|part| part == FIELD);
        let text = field.and_then(|field| line.get(field + FIELD.len()..));
        let text = text.and_then(|text| text.split(|byte| *byte == b'"').next());
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        if let Some(time) = text.and_then(time::parse) {
            return Some((u64::try_from(begin).ok()?, time));
        }
        begin += line.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_that_of_a_whole_line() {
        let text = b"8.000+0000\"}\n{\"x\":1}\n{\"timestamp\":\"1970-01-01T00:00:01.000+0000\"}\n";
        assert_eq!(first_time(text), Some((21, 1000)));
        assert_eq!(first_time(b"no line"), None);
    }
}
