//! How many requests may go out: never more than the budget in any minute, whichever process of ours
//! sends them, since Wazuh counts all clients together and locks all of them out.
//!
//! A file holds the time of each of the last N requests as a ring: request number n may go when
//! request n - N is a minute old. That alone would let N go at once, and make whoever looks at the
//! dashboard wait behind them in Wazuh's one worker; so after the first tenth they are paced evenly.
//! A run that has been idle may spend a tenth again at once.
//!
//! Format: N, the number of the next request, the paced time, then N times; each 8 bytes, little
//! endian, times in microseconds since 1970. A file of other size or N is made anew from its times.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Error, trust};

/// A minute, and a second for the way to the server: requests may arrive closer than they were sent.
pub(super) const MINUTE: Duration = Duration::from_secs(61);

/// A process that was stopped while it counted must not stop the others.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
const HEADER: usize = 24;
/// A login and a few questions go at once under any budget that has them.
const LEAST_BURST: u64 = 5;

/// The count that all processes share.
#[derive(Debug)]
pub(super) struct Budget {
    file: File,
    most: u64,
    minute: u64,
}

impl Budget {
    /// The count for the manager at this `host:port`, in the state folder.
    pub(super) fn of(state: &Path, name: &str, most: u32, minute: Duration) -> Result<Self, Error> {
        let file: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let budget = trust::folder(state)
            .and_then(|folder| Self::open(&folder.join(format!("{file}.requests")), most, minute));
        budget.map_err(|error| uncounted(&error))
    }

    /// Opens the count in the file `path`: at most `most` requests in each `minute`.
    pub(super) fn open(path: &Path, most: u32, minute: Duration) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path)?;
        Ok(Self {
            file,
            most: u64::from(most.max(1)),
            minute: micros(minute),
        })
    }

    /// Takes one request out of the budget, or says how long to wait until there is one.
    pub(super) fn take(&self) -> io::Result<Result<(), Duration>> {
        let locked = self.lock();
        let taken = self.take_at(micros(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        ));
        if locked {
            self.file.unlock()?;
        }
        taken
    }

    fn lock(&self) -> bool {
        let begun = Instant::now();
        while self.file.try_lock().is_err() {
            if begun.elapsed() > LOCK_LIMIT {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    fn take_at(&self, now: u64) -> io::Result<Result<(), Duration>> {
        // Times to come are those of a clock that was set back since.
        if self.read(0)? != self.most
            || self.read_at(self.slot(self.read(1)? + self.most - 1))? > now
        {
            self.renew(now)?;
        }
        let next = self.read(1)?;
        let slot = self.slot(next);
        let old = self.read_at(slot)?;
        let free = if old == 0 { 0 } else { old + self.minute };
        let interval = self.minute / self.most;
        let burst = interval * (self.most / 10).max(LEAST_BURST);
        let paced = self.read(2)?.clamp(now, now + self.minute);
        let even = (paced + interval).saturating_sub(burst);
        let wait = free.max(even).saturating_sub(now);
        if wait > 0 {
            return Ok(Err(Duration::from_micros(wait)));
        }
        self.write_at(slot, now)?;
        self.write_at(8, next + 1)?;
        self.write_at(16, paced + interval)?;
        Ok(Ok(()))
    }

    /// Makes a file of this size from the times in one of another, or from nothing.
    fn renew(&self, now: u64) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(self.file.metadata()?.len()).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, 0)?;
        let (old, _) = bytes.get(HEADER..).unwrap_or_default().as_chunks();
        let mut times: Vec<u64> = old.iter().map(|time| u64::from_le_bytes(*time)).collect();
        for time in &mut times {
            *time = (*time).min(now);
        }
        times.retain(|time| *time > 0 && *time + self.minute > now);
        times.sort_unstable();
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        let kept = times.split_off(times.len().saturating_sub(most));
        self.file.set_len(0)?;
        self.file.set_len(24 + 8 * self.most)?;
        for (index, time) in kept.iter().enumerate() {
            self.write_at(HEADER + 8 * index, *time)?;
        }
        self.write_at(8, kept.len() as u64)?;
        self.write_at(16, now)?;
        self.write_at(0, self.most)
    }

    /// Where the time of this request stands.
    fn slot(&self, number: u64) -> usize {
        HEADER + 8 * usize::try_from(number % self.most).unwrap_or_default()
    }

    fn read(&self, field: usize) -> io::Result<u64> {
        self.read_at(8 * field)
    }

    /// Zero behind the end: a new file is empty.
    fn read_at(&self, place: usize) -> io::Result<u64> {
        let mut bytes = [0; 8];
        match self.file.read_exact_at(&mut bytes, place as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            outcome => outcome.map(|()| u64::from_le_bytes(bytes)),
        }
    }

    fn write_at(&self, place: usize, value: u64) -> io::Result<()> {
        self.file.write_all_at(&value.to_le_bytes(), place as u64)
    }
}

/// Without a count no budget holds.
pub(super) fn uncounted(error: &io::Error) -> Error {
    Error::Settings(format!(
        "cannot count requests in the state folder: {error}; see custom-mongo check"
    ))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    /// Some day of 2026.
    const BEGIN: u64 = 1_795_000_000 * SECOND;

    fn budget(folder: &tempfile::TempDir, most: u32) -> Budget {
        Budget::open(&folder.path().join("count"), most, MINUTE).unwrap()
    }

    /// Takes as fast as it is let until `end`; when each went.
    fn greedy(budget: &Budget, from: u64, end: u64) -> Vec<u64> {
        let (mut now, mut times) = (from, Vec::new());
        while now < end {
            match budget.take_at(now).unwrap() {
                Ok(()) => times.push(now),
                Err(wait) => now += micros(wait),
            }
        }
        times
    }

    fn most_in_a_minute(times: &[u64]) -> usize {
        let within = |from: &u64| {
            times
                .iter()
                .filter(|time| (*from..from + 60 * SECOND).contains(time))
                .count()
        };
        times.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn no_minute_ever_holds_more_than_the_budget_and_none_is_wasted() {
        let folder = tempfile::tempdir().unwrap();
        for most in [1, 7, 200] {
            let budget = budget(&folder, most);
            let times = greedy(
                &budget,
                BEGIN + u64::from(most) * 1_000 * SECOND,
                BEGIN + (u64::from(most) * 1_000 + 610) * SECOND,
            );
            assert!(most_in_a_minute(&times) <= most as usize, "{most}");
            assert!(times.len() >= 10 * most as usize, "{most}: {}", times.len());
        }
    }

    #[test]
    fn two_runs_within_a_minute_share_one_budget() {
        let folder = tempfile::tempdir().unwrap();
        let mut times = greedy(&budget(&folder, 200), BEGIN, BEGIN + 30 * SECOND);
        let first = times.len();
        times.extend(greedy(
            &budget(&folder, 200),
            BEGIN + 31 * SECOND,
            BEGIN + 90 * SECOND,
        ));
        assert!(first > 100 && times.len() > first);
        assert!(most_in_a_minute(&times) <= 200);
    }

    #[test]
    fn a_new_number_keeps_what_was_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut times = greedy(&budget(&folder, 200), BEGIN, BEGIN + 20 * SECOND);
        times.extend(greedy(
            &budget(&folder, 90),
            BEGIN + 20 * SECOND,
            BEGIN + 59 * SECOND,
        ));
        assert_eq!(
            most_in_a_minute(&times),
            times.len(),
            "90 are used up already"
        );
        times.extend(greedy(
            &budget(&folder, 300),
            BEGIN + 59 * SECOND,
            BEGIN + 200 * SECOND,
        ));
        assert!(most_in_a_minute(&times) <= 300);
    }

    #[test]
    fn a_tenth_goes_at_once_and_the_rest_evenly() {
        let folder = tempfile::tempdir().unwrap();
        let times = greedy(&budget(&folder, 200), BEGIN, BEGIN + 10 * SECOND);
        assert_eq!(times.iter().filter(|time| **time == BEGIN).count(), 20);
        let gaps = times.windows(2).skip(20).map(|two| two[1] - two[0]);
        assert!(gaps.into_iter().all(|gap| gap == 305_000), "{times:?}");
    }

    #[test]
    fn a_clock_that_is_set_back_costs_a_minute_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let budget = budget(&folder, 10);
        greedy(&budget, BEGIN, BEGIN + SECOND);
        let back = BEGIN - 3_600 * SECOND;
        let times = greedy(&budget, back, back + 61 * SECOND + 1);
        assert!(!times.is_empty());
    }

    #[test]
    fn a_damaged_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("count"), "what is this?").unwrap();
        let times = greedy(&budget(&folder, 10), BEGIN, BEGIN + 30 * SECOND);
        assert!((5..=10).contains(&times.len()), "{}", times.len());
    }
}
