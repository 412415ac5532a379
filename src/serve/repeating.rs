//! Work that is done again and again on a thread of its own, from start to start in one distance.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Instant;

use super::Periodic;

/// The work while the service runs.
pub(super) struct Repeating {
    waker: Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

/// The work is under way.
pub(super) struct UnderWay;

impl Repeating {
    /// Begins at once.
    pub(super) fn start(mut periodic: Periodic) -> Self {
        let (waker, woken) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            loop {
                let began = Instant::now();
                (periodic.work)();
                let pause = periodic.every.saturating_sub(began.elapsed());
                if woken.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self { waker, thread }
    }

    /// No further round begins. A round takes minutes and survives a kill at any step: nobody waits
    /// for it.
    pub(super) fn stop(self) -> Result<(), UnderWay> {
        drop(self.waker);
        // Between two rounds the thread ends at once.
        for _ in 0..10 {
            if self.thread.is_finished() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Err(UnderWay)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn repeating(every: Duration, takes: Duration) -> (Repeating, Arc<AtomicUsize>) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let work = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(takes);
        };
        let work = Box::new(work);
        (Repeating::start(Periodic { every, work }), runs)
    }

    #[test]
    fn the_work_begins_at_once_and_is_repeated_until_the_end() {
        let (repeating, runs) = repeating(Duration::from_millis(5), Duration::ZERO);
        while runs.load(Ordering::SeqCst) < 5 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(repeating.stop().is_ok());
        let then = runs.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(runs.load(Ordering::SeqCst), then);
    }

    #[test]
    fn the_end_waits_for_no_round_and_not_for_the_next_one() {
        let (long, runs) = repeating(Duration::ZERO, Duration::from_secs(60));
        while runs.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(long.stop().is_err());
        let (idle, runs) = repeating(Duration::from_secs(60), Duration::ZERO);
        while runs.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(idle.stop().is_ok());
    }
}
