//! Batches into MongoDB, two at a time, or to the disk while MongoDB is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::intake::Load;
use super::lane::Task;
use super::{Shared, Taken};
use crate::delivery::{Breaker, Mode};
use crate::store::{Error, IN_FLIGHT, Indexes, Writer, Written};

/// The share of the deadline that MongoDB gets; the rest is kept for the spool.
const STORE_SHARE: f32 = 0.8;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Writes what waits as soon as a slot is free. Ends with the runtime.
pub(super) async fn run(shared: Arc<Shared>) {
    let setup = &shared.setup;
    let deadline = setup.delivery.deadline.0.mul_f32(STORE_SHARE);
    let writer = Arc::new(Writer::new(&setup.store, deadline));
    tokio::spawn(create_indexes(Writer::new(&setup.store, INDEX_LIMIT)));
    let breaker = Breaker::of(setup.spool.folder());
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let load = shared.intake.next().await;
        if setup.delivery.mode == Mode::Spool || breaker.is_open() {
            shared.keep(load);
            continue;
        }
        let (shared, writer) = (Arc::clone(&shared), Arc::clone(&writer));
        tokio::spawn(async move {
            shared.write(load, &writer).await;
            drop(slot);
        });
    }
}

/// What a build on a large collection may take before it is asked for again; it goes on meanwhile.
const INDEX_LIMIT: Duration = Duration::from_secs(600);

/// Creates missing indexes as soon as MongoDB is there; alerts do not wait for it.
async fn create_indexes(writer: Writer) {
    let mut pause = FIRST_PAUSE;
    loop {
        match writer.create_indexes().await {
            Ok(Indexes::NotAllowed) => return log::warn!("the login may not create indexes"),
            Ok(_) => return,
            Err(error) => log::debug!("indexes: {error}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Shared {
    async fn write(&self, load: Load, writer: &Writer) {
        let spool = &self.setup.spool;
        let began = Instant::now();
        match writer.write(&load.batch).await {
            Ok(answers) => {
                self.tally.note_write(began.elapsed());
                self.answer(load, answers);
            }
            Err(Error::Rejected(why) | Error::Unavailable(why) | Error::Settings(why)) => {
                let breaker = Breaker::of(spool.folder());
                if !breaker.is_open() {
                    log::warn!("{why}; alerts go into the spool until MongoDB is back");
                }
                breaker.open(&why, spool);
                self.keep(load);
            }
        }
    }

    fn answer(&self, mut load: Load, answers: Vec<Written>) {
        let mut rejected = Vec::new();
        for (waiting, written) in load.waiting.drain(..).zip(answers) {
            match written {
                Written::Rejected(why) => rejected.push((waiting, Task::Reject(why))),
                written => waiting.tell(Taken::Stored {
                    already_there: written == Written::AlreadyThere,
                }),
            }
        }
        self.lane.put(rejected);
        self.intake.reuse(load);
    }

    /// Puts all of it into the spool.
    fn keep(&self, mut load: Load) {
        let waiting = load.waiting.drain(..);
        self.lane.put(waiting.map(|waiting| (waiting, Task::Keep)));
        self.intake.reuse(load);
    }
}
