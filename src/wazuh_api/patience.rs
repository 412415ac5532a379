//! What is done about a fault: ask again at once, later, elsewhere, after a new login, or not at all.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::Api;
use super::error::{Error, Fault};

/// What one request has been through.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Waits for a server that cannot just now.
    waits: u32,
    /// Tokens that were void at once.
    void: u32,
    /// Whether a kept connection was found closed.
    found_closed: bool,
    /// Whether Wazuh's minute was waited for.
    limited: bool,
    /// Other addresses tried since the last wait.
    elsewhere: usize,
}

/// The fourth failure is the last: half a second, one, two between them, each a bit less by chance.
const MOST_WAITS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// A token that was issued within the second in which all were revoked is dead too.
const AFTER_REVOCATION: Duration = Duration::from_millis(1_500);

impl Api {
    /// Waits as the fault asks for; an error if the request shall not be sent again.
    pub(super) fn bear(&mut self, fault: Fault, patience: &mut Patience) -> Result<(), Fault> {
        match fault {
            Fault::Final(Error::BadLogin(why)) => {
                self.login.refused = Some(why.clone());
                Err(Error::BadLogin(why).into())
            }
            Fault::Final(_) | Fault::TooLarge(_) => Err(fault),
            Fault::Limited => self.await_window(patience),
            Fault::Unauthorized(why) => self.renew_login(&why, patience),
            Fault::Broken { reused: true, .. } if !patience.found_closed => {
                patience.found_closed = true;
                Ok(())
            }
            Fault::Broken { why, .. } => {
                if self.turn_elsewhere(&why, patience) {
                    return Ok(());
                }
                self.wait(why, patience)
            }
            Fault::Transient(why) => self.wait(why, patience),
        }
    }

    /// Sleeps, if the run has time for it.
    pub(super) fn sleep(&self, time: Duration) -> Result<(), Fault> {
        if Instant::now() + time >= self.until {
            return Err(Error::Deadline.into());
        }
        std::thread::sleep(time);
        Ok(())
    }

    /// Wazuh's window ends a minute after its first request; ours may have come later than that of
    /// somebody else. What is refused does not prolong it, so then it is asked for more often.
    fn await_window(&mut self, patience: &mut Patience) -> Result<(), Fault> {
        self.tally.limited += 1;
        let passed = self.window.map_or(Duration::ZERO, |begun| begun.elapsed());
        let rest = self.minute.saturating_sub(passed);
        let often = self.minute / 12;
        let wait = if patience.limited {
            often
        } else {
            rest.max(often)
        };
        patience.limited = true;
        log::warn!(
            "Wazuh's request limit is used up, by whomever; waiting for {} s",
            wait.as_secs()
        );
        self.sleep(wait)
    }

    fn renew_login(&mut self, why: &str, patience: &mut Patience) -> Result<(), Fault> {
        self.login.token = None;
        patience.void += 1;
        match patience.void {
            1 => Ok(()),
            2 => self.sleep(AFTER_REVOCATION),
            _ => Err(Error::Unavailable(format!("{why}; even new tokens are refused")).into()),
        }
    }

    /// Whether another address is left to be tried. Its tokens are its own.
    fn turn_elsewhere(&mut self, why: &str, patience: &mut Patience) -> bool {
        if patience.elsewhere + 1 >= self.lines.len() {
            return false;
        }
        patience.elsewhere += 1;
        self.current = (self.current + 1) % self.lines.len();
        self.login.token = None;
        log::warn!("{why}; {} is asked instead", self.describe().0);
        true
    }

    fn wait(&mut self, why: String, patience: &mut Patience) -> Result<(), Fault> {
        if patience.waits >= MOST_WAITS {
            return Err(Error::Unavailable(why).into());
        }
        let most = FIRST_WAIT * 2_u32.pow(patience.waits);
        patience.waits += 1;
        patience.elsewhere = 0;
        log::info!("{why}; trying again");
        self.sleep(jitter(most))
    }
}

/// Between half of it and all of it, so that those who failed together do not return together.
fn jitter(most: Duration) -> Duration {
    let chance = RandomState::new().hash_one(Instant::now()) % 500;
    let share = u32::try_from(500 + chance).unwrap_or(1_000);
    most * share / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_takes_away_up_to_half() {
        let all = Duration::from_secs(1);
        let waits: Vec<_> = (0..100).map(|_| jitter(all)).collect();
        assert!(waits.iter().all(|wait| (all / 2..=all).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
