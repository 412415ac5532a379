//! Several managers within one run: some at once, each with its share of the time, so that a large
//! one does not keep those behind it waiting for ever.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::collect::{Error, Report};
use crate::config::Manager;

/// What became of a manager's turn.
pub(super) type Gathered = Result<Report, Error>;

/// Gives each manager its turn, at most `workers` at once, and all of them time until `until`. One
/// result for each, in their order.
pub(super) fn take(
    managers: &[Manager],
    workers: usize,
    until: Instant,
    gather: impl Fn(&Manager, Instant) -> Gathered + Sync,
) -> Vec<Gathered> {
    let workers = workers.clamp(1, managers.len().max(1));
    let waiting = Mutex::new(managers.iter().enumerate());
    let next = || {
        let mut waiting = waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let left = waiting.len();
        let (place, manager) = waiting.next()?;
        Some((place, manager, Instant::now() + share(until, left, workers)))
    };
    let work = || {
        let mut done = Vec::new();
        while let Some((place, manager, until)) = next() {
            done.push((place, gather(manager, until)));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        done
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, gathered)| gathered).collect()
}

/// The time of one turn, if so many are left: what earlier ones did not need is the others' gain.
fn share(until: Instant, left: usize, workers: usize) -> Duration {
    let rounds = u32::try_from(left.div_ceil(workers)).unwrap_or(u32::MAX);
    until.saturating_duration_since(Instant::now()) / rounds.max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn managers(count: usize) -> Vec<Manager> {
        let one = |number: usize| Manager {
            site: number.to_string(),
            api: crate::wazuh_api::Settings::default(),
        };
        (0..count).map(one).collect()
    }

    fn failed(manager: &Manager) -> Report {
        Report::failed(&manager.site, String::new())
    }

    #[test]
    fn each_has_its_turn_and_no_more_than_allowed_at_once() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let until = Instant::now() + Duration::from_secs(60);
        for (workers, expected) in [(1, 1), (3, 3), (50, 7)] {
            most.store(0, Ordering::SeqCst);
            let gathered = take(&managers(7), workers, until, |manager, _| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(30));
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(failed(manager))
            });
            let sites = gathered
                .iter()
                .map(|one| one.as_ref().unwrap().site.clone());
            assert_eq!(sites.collect::<String>(), "0123456");
            assert_eq!(most.load(Ordering::SeqCst), expected);
        }
    }

    #[test]
    fn time_is_shared_and_what_is_left_over_goes_on() {
        let whole = Duration::from_secs(60);
        let begun = Instant::now();
        let shares = Mutex::new(Vec::new());
        take(&managers(4), 2, begun + whole, |manager, until| {
            shares.lock().unwrap().push(until - begun);
            Ok(failed(manager))
        });
        let shares = shares.into_inner().unwrap();
        let is_about = |share: &Duration, seconds: u64| {
            share.abs_diff(Duration::from_secs(seconds)).as_secs() < 2
        };
        // Nobody needed any time: two halves, then all that is left.
        assert!(
            is_about(&shares[0], 30) && is_about(&shares[3], 60),
            "{shares:?}"
        );
    }
}
