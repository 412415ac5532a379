//! SIGTERM and SIGINT ask a long command to come to a clean end; a second one ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What a shell reports of a process that SIGTERM ended.
const ENDED: i32 = 128 + SIGTERM;

/// Set once the process has been asked to stop.
#[derive(Debug, Clone)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on signals are noted here.
    pub(super) fn on_signals() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag unset.
            flag::register_conditional_shutdown(signal, ENDED, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps so long, or until asked.
    pub(super) fn sleep(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while !self.is_asked() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50).min(pause));
        }
    }
}
