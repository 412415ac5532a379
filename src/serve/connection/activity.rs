//! What a connection does, and since when: written down by the connection, read by whoever ends those
//! that take too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What a connection does, and since when.
pub(in crate::serve) struct Activity {
    origin: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    /// Since when it does not take what we write, in milliseconds after `origin`; 0 if it does.
    stuck: AtomicU64,
    cut: Notify,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Phase {
    /// Nothing has come yet, or a TLS handshake.
    Fresh,
    /// The head of a request is coming.
    Head,
    /// The body of a request is coming.
    Body,
    /// A request is under way.
    Busy,
    /// An answer is out, and the next request has not begun.
    Idle,
}

impl Activity {
    pub(in crate::serve) fn new() -> Self {
        Self {
            origin: Instant::now(),
            phase: AtomicU8::new(Phase::Fresh as u8),
            since: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
            cut: Notify::new(),
        }
    }

    pub(in crate::serve) fn phase(&self) -> Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        let all = [
            Phase::Fresh,
            Phase::Head,
            Phase::Body,
            Phase::Busy,
            Phase::Idle,
        ];
        all.into_iter()
            .find(|one| *one as u8 == phase)
            .unwrap_or(Phase::Fresh)
    }

    /// For how long it has been doing that.
    pub(in crate::serve) fn lasted(&self) -> Duration {
        self.since_then(&self.since)
    }

    /// For how long it has not taken what we write.
    pub(in crate::serve) fn stuck(&self) -> Option<Duration> {
        let is_stuck = self.stuck.load(Ordering::Relaxed) != 0;
        is_stuck.then(|| self.since_then(&self.stuck))
    }

    /// Ends the connection at once.
    pub(in crate::serve) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Becomes ready when the connection is to end at once.
    pub(in crate::serve) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    fn since_then(&self, then: &AtomicU64) -> Duration {
        let then = Duration::from_millis(then.load(Ordering::Relaxed));
        self.origin.elapsed().saturating_sub(then)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn heard(&self) {
        if matches!(self.phase(), Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    pub(super) fn wrote<T>(&self, written: &Poll<T>) {
        let stuck = match written {
            Poll::Ready(_) => 0,
            Poll::Pending if self.stuck.load(Ordering::Relaxed) != 0 => return,
            Poll::Pending => self.now().max(1),
        };
        self.stuck.store(stuck, Ordering::Relaxed);
    }
}

/// A request is under way as long as this lives.
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.enter(Phase::Busy);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}
