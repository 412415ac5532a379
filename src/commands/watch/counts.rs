//! How many alerts have come, by risk: in the last minute, and in all.

/// The risks, and what has none.
pub(super) const RISKS: [&str; 5] = ["critical", "high", "medium", "low", "other"];
const SECONDS: usize = 60;

/// How many of each risk.
pub(super) type Tally = [u64; RISKS.len()];

/// The counts. Time is given in whole seconds of any clock that never goes back.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) total: Tally,
    /// What came in which second; the oldest first, none older than a minute.
    seconds: std::collections::VecDeque<(u64, Tally)>,
}

impl Counts {
    pub(super) fn add(&mut self, risk: &str, at: u64) {
        let place = RISKS.iter().position(|name| *name == risk);
        let place = place.unwrap_or(RISKS.len() - 1);
        if self.seconds.back().is_none_or(|(second, _)| *second != at) {
            self.seconds.push_back((at, Tally::default()));
        }
        if self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
        let latest = self.seconds.back_mut().map(|(_, tally)| tally);
        for tally in latest.into_iter().chain([&mut self.total]) {
            if let Some(count) = tally.get_mut(place) {
                *count += 1;
            }
        }
    }

    /// What came in the minute before now.
    pub(super) fn last_minute(&self, now: u64) -> Tally {
        let mut sum = Tally::default();
        let young = |second: u64| now.saturating_sub(second) < SECONDS as u64;
        for (_, tally) in self.seconds.iter().filter(|(second, _)| young(*second)) {
            for (all, one) in sum.iter_mut().zip(tally) {
                *all += one;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_later_only_the_total_remembers() {
        let mut counts = Counts::default();
        for second in 0..100 {
            counts.add("high", second);
            counts.add("strange", second);
        }
        assert_eq!(counts.last_minute(99), [0, 60, 0, 0, 60]);
        assert_eq!(counts.last_minute(129), [0, 30, 0, 0, 30]);
        assert_eq!(counts.last_minute(200), [0; 5]);
        assert_eq!(counts.total, [0, 100, 0, 0, 100]);
    }
}
