//! From the spool into MongoDB, on a thread of its own: at once when something is put there, and
//! once a second for what hooks have put there by themselves. While MongoDB is away it tries less
//! and less often, and holds nothing.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::ingest::{Setup, Tally};
use crate::alert::enrich::{Agents, Enricher};
use crate::delivery::{self, Breaker, DrainError, Limits, UNASSIGNED};
use crate::filter::Filter;
use crate::spool::Spool;
use crate::store::{self, Store};

/// How often it looks for what others have put into the spool.
const LOOK: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection that has had nothing to do for so long is given up.
const IDLE: Duration = Duration::from_secs(10);

/// Drains as long as it lives.
#[derive(Debug)]
pub(super) struct Forwarder {
    bell: Arc<Bell>,
    known: Arc<Mutex<Option<Arc<Agents>>>>,
    ended: Mutex<Receiver<()>>,
}

/// Wakes the forwarder.
#[derive(Debug, Default)]
pub(super) struct Bell {
    wish: Mutex<Wish>,
    rung: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Wish {
    drain: bool,
    stop: bool,
}

impl Bell {
    /// Something lies in the spool.
    pub(super) fn ring(&self) {
        self.change(|wish| wish.drain = true);
    }

    fn stop(&self) {
        self.change(|wish| wish.stop = true);
    }

    fn change(&self, change: impl Fn(&mut Wish)) {
        change(&mut self.wish.lock().unwrap_or_else(PoisonError::into_inner));
        self.rung.notify_all();
    }

    /// Waits until `enough` is wished for, at most so long. Says whether to go on.
    fn wait(&self, within: Duration, enough: impl Fn(Wish) -> bool) -> bool {
        let wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .rung
            .wait_timeout_while(wish, within, |wish| !enough(*wish));
        let (mut wish, _) = waited.unwrap_or_else(PoisonError::into_inner);
        wish.drain = false;
        !wish.stop
    }

    fn until_rung(&self, within: Duration) -> bool {
        self.wait(within, |wish| wish.drain || wish.stop)
    }

    fn until_stopped(&self, within: Duration) -> bool {
        self.wait(within, |wish| wish.stop)
    }
}

impl Forwarder {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub(super) fn start(setup: &Setup, tally: Arc<Tally>) -> std::io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let known = Arc::default();
        let (end, ended) = mpsc::channel();
        let mut work = Work {
            bell: Arc::clone(&bell),
            known: Arc::clone(&known),
            spool: setup.spool.clone(),
            settings: setup.store.clone(),
            probe_every: setup.delivery.probe_every.0,
            enricher: setup.enricher.clone(),
            filter: setup.filter.clone(),
            tally,
            store: None,
        };
        let work = move || {
            work.run();
            drop(end);
        };
        thread::Builder::new()
            .name("forwarder".to_owned())
            .spawn(work)?;
        Ok(Self {
            bell,
            known,
            ended: Mutex::new(ended),
        })
    }

    /// From the next round on alerts of these agents carry what is known of them.
    pub(super) fn know(&self, agents: Arc<Agents>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(agents);
    }

    /// What wakes it.
    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Asks it to end, and waits for that at most so long: what it has not settled stays in the
    /// spool.
    pub(super) fn stop(&self, within: Duration) {
        self.bell.stop();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
            log::info!("a batch from the spool is still under way; it stays in the spool");
        }
    }
}

struct Work {
    bell: Arc<Bell>,
    /// What the enricher does not know yet.
    known: Arc<Mutex<Option<Arc<Agents>>>>,
    spool: Spool,
    settings: store::Settings,
    probe_every: Duration,
    enricher: Enricher,
    filter: Filter,
    tally: Arc<Tally>,
    /// The connection and when it last had something to do.
    store: Option<(Store, Instant)>,
}

impl Work {
    fn run(&mut self) {
        let mut pause = FIRST_PAUSE;
        let mut go_on = true;
        while go_on {
            go_on = match self.round() {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.bell.until_rung(LOOK)
                }
                // A hook or a person drains: that is as good.
                Err(DrainError::Busy(_)) => self.bell.until_rung(LOOK),
                Err(error) => {
                    self.failed(&error, pause);
                    let waited = self.bell.until_stopped(jittered(pause));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    waited
                }
            };
        }
    }

    fn round(&mut self) -> Result<(), DrainError> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(agents) = known {
            self.enricher.know(agents);
        }
        let unassigned = self.spool.sibling(UNASSIGNED);
        let spools = [self.spool.clone(), unassigned];
        let waiting: Vec<&Spool> = spools.iter().filter(|spool| spool.has_pending()).collect();
        if waiting.is_empty() {
            self.rest();
            return Ok(());
        }
        let (store, _) = match self.store.take() {
            Some(open) => open,
            None => (Store::open(&self.settings, CONNECT)?, Instant::now()),
        };
        for spool in waiting {
            let (enricher, filter) = (&mut self.enricher, &self.filter);
            let limits = Limits::steady();
            let drained = delivery::drain_all(spool, &store, enricher, filter, &limits)?;
            self.tally.note_drained(&drained);
        }
        self.store = Some((store, Instant::now()));
        Ok(())
    }

    /// Nothing waits: whoever opened the breaker has been delivered, or has lost nothing.
    fn rest(&mut self) {
        self.store = self.store.take().filter(|(_, used)| used.elapsed() < IDLE);
        let breaker = Breaker::of(self.spool.folder());
        if breaker.claim_probe(self.probe_every) {
            breaker.close();
        }
    }

    fn failed(&self, error: &DrainError, pause: Duration) {
        if pause == FIRST_PAUSE {
            log::warn!("{error}; what is in the spool waits");
        } else {
            log::debug!("{error}; what is in the spool waits");
        }
        if let DrainError::Store(store::Error::Unavailable(why)) = error {
            Breaker::of(self.spool.folder()).open(why, &self.spool);
        }
    }
}

/// Between half of it and all of it, so that many nodes do not come back at one moment.
fn jittered(pause: Duration) -> Duration {
    let clock = SystemTime::UNIX_EPOCH.elapsed();
    let share = clock.map_or(0, |now| now.subsec_nanos() % 1000);
    pause / 2 + pause.mul_f64(f64::from(share) / 2000.0)
}
