//! Work that is done again and again on a thread of its own, from start to start in one distance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Periodic;

/// How often a stop looks whether the work has ended.
const GLANCE: Duration = Duration::from_millis(20);

/// The work while the service runs.
pub(super) struct Repeating {
    asked: Arc<AtomicBool>,
    waker: Sender<()>,
    thread: JoinHandle<()>,
}

impl Repeating {
    /// Begins at once.
    pub(super) fn start(mut periodic: Periodic) -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        let (waker, woken) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            loop {
                let began = Instant::now();
                (periodic.work)(&flag);
                let pause = periodic.every.saturating_sub(began.elapsed());
                if woken.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self {
            asked,
            waker,
            thread,
        }
    }

    /// Asks the work to stop, and waits until it has.
    pub(super) async fn stop(self) {
        self.asked.store(true, Ordering::Relaxed);
        drop(self.waker);
        while !self.thread.is_finished() {
            tokio::time::sleep(GLANCE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn the_work_begins_at_once_is_repeated_and_stops_when_asked() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let repeating = Repeating::start(Periodic {
            every: Duration::from_millis(5),
            work: Box::new(move |asked| {
                // The third one is long, and looks whether it is to stop.
                while counted.fetch_add(1, Ordering::SeqCst) > 3 && !asked.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }),
        });
        while runs.load(Ordering::SeqCst) < 10 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let stopped =
            async { tokio::time::timeout(Duration::from_secs(5), repeating.stop()).await };
        runtime.block_on(stopped).unwrap();
        let then = runs.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(runs.load(Ordering::SeqCst), then);
    }
}
