//! What bodies hold while they come in: bounded over all senders together, counted as it arrives, so
//! that an announced length holds nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bound.
#[derive(Debug)]
pub(in crate::serve) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

/// One sender's part of it; given back at the end.
#[derive(Debug)]
pub(in crate::serve) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    fn try_add(&self, bytes: usize) -> bool {
        let add = |used: usize| {
            let sum = used.checked_add(bytes)?;
            (sum <= self.limit).then_some(sum)
        };
        let order = Ordering::Relaxed;
        self.used.fetch_update(order, order, add).is_ok()
    }
}

impl Held {
    /// Takes so many bytes more; false if all senders together hold too much.
    #[must_use]
    pub(in crate::serve) fn try_more(&mut self, bytes: usize) -> bool {
        let added = self.budget.try_add(bytes);
        if added {
            self.bytes += bytes;
        }
        added
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_hold_no_more_than_the_limit_and_give_it_back() {
        let budget = Arc::new(Budget::new(100));
        let (mut one, mut two) = (budget.hold(), budget.hold());
        assert!(one.try_more(60) && two.try_more(40));
        assert!(!two.try_more(1) && !one.try_more(usize::MAX));
        drop(one);
        assert!(two.try_more(60) && !two.try_more(1));
        drop(two);
        assert!(budget.hold().try_more(100));
    }
}
