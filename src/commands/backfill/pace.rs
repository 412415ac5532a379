//! Not more alerts a second than a production MongoDB should be asked to take beside its work.

use std::time::{Duration, Instant};

/// Counts what was taken against the clock.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: Option<u32>,
    begun: Instant,
    taken: u64,
}

impl Pace {
    pub(super) fn new(per_second: Option<u32>) -> Self {
        Self {
            per_second,
            begun: Instant::now(),
            taken: 0,
        }
    }

    /// How long the next `count` have to wait. What was not used while MongoDB was slow is not
    /// caught up.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an even rate needs no more than 52 bits"
    )]
    pub(super) fn next(&mut self, count: usize) -> Duration {
        let Some(per_second) = self.per_second else {
            return Duration::ZERO;
        };
        let due = Duration::from_secs_f64(self.taken as f64 / f64::from(per_second));
        let passed = self.begun.elapsed();
        self.taken += count as u64;
        if passed > due + Duration::from_secs(1) {
            self.begun = Instant::now();
            self.taken = 0;
        }
        due.saturating_sub(passed)
    }

    /// How many lines may be sent together so that the rate looks even.
    pub(super) fn batch(&self) -> usize {
        self.per_second
            .map_or(usize::MAX, |rate| (rate / 10).max(1) as usize)
    }
}
