//! Alerts in: group commit without a timer. What has come while a write was under way is written
//! together as soon as a slot is free, at most two at a time; nobody waits for a clock.
//!
//! An alert is read and filtered when it comes, and waits as BSON in the batch that is written next,
//! beside its own text. If MongoDB does not decide on a batch in time its alerts go into the spool,
//! and the breaker opens: those that come after it go there at once, until the forwarder has found
//! MongoDB again. What is held is bounded: an alert holds a share of `queue_size` from its arrival
//! to its answer, and beyond that its sender waits a little and is then told to come again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

mod commit;
mod held;
mod intake;
mod lane;
mod tally;

use super::forwarder::Forwarder;
use crate::alert::NotAnAlert;
use crate::alert::enrich::{Agents, Enricher, Receipt, Source};
use crate::filter::Filter;
use crate::spool::Spool;
use crate::{delivery, store};
use held::Budget;
pub(super) use held::Held;
use intake::{Intake, Verdict};
use lane::{Lane, Task};
pub(super) use tally::{Counts, Tally};

/// How long an alert waits for room before its sender is told to come again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a thread looks for room meanwhile.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a stop waits for a batch from the spool, which stays there if need be.
const FAREWELL: Duration = Duration::from_secs(2);
/// An alert holds its text, its document and, on its way into the spool, its record.
const COPIES: usize = 3;
/// Room is counted in pieces of this size, in bytes; the least that an alert holds.
const PIECE: usize = 1024;

/// What ingest is made of.
pub(super) struct Setup {
    /// Where the alerts go.
    pub(super) store: store::Settings,
    /// Where they wait while MongoDB is away.
    pub(super) spool: Spool,
    /// How long MongoDB has.
    pub(super) delivery: delivery::Settings,
    /// What turns them into documents.
    pub(super) enricher: Enricher,
    /// Which are stored.
    pub(super) filter: Filter,
    /// The most that waiting alerts hold, in bytes.
    pub(super) queue_size: u64,
}

/// An alert that has arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// Its bytes.
    pub(super) raw: Bytes,
    /// The bytes of the `<options>` file.
    pub(super) options: Bytes,
    /// When, in milliseconds since 1970.
    pub(super) received_at: i64,
    /// By which way.
    pub(super) source: Source,
}

impl Arrival {
    fn receipt(&self) -> Receipt<'_> {
        Receipt {
            received_at: self.received_at,
            source: self.source,
            options: &self.options,
        }
    }

    fn pieces(&self) -> usize {
        (self.raw.len() + self.options.len()) * COPIES / PIECE + 1
    }
}

/// What became of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is in MongoDB.
    Stored {
        /// It had been there before.
        already_there: bool,
    },
    /// It is durably on disk.
    Spooled,
    /// A filter took it, in these words: it is not stored, as the settings want it.
    Filtered(String),
    /// The text is no alert, and why.
    NotAnAlert(String),
    /// MongoDB will never take it; the id of the dead letter.
    Rejected(String),
    /// Too much waits: the sender has to come again.
    Busy,
    /// Neither MongoDB nor the disk took it, and why: for the log.
    Failed(String),
}

/// Takes alerts in; clones are the same one.
#[derive(Clone)]
pub(super) struct Ingest {
    shared: Arc<Shared>,
}

struct Shared {
    setup: Setup,
    intake: Intake,
    bodies: Arc<Budget>,
    lane: Lane,
    forwarder: Forwarder,
    /// In pieces.
    room: Arc<Semaphore>,
    pieces: usize,
    tally: Arc<Tally>,
}

/// An alert that waits, its share of the room, and the way to tell its sender.
#[derive(Debug)]
struct Waiting {
    arrival: Arrival,
    answer: oneshot::Sender<Taken>,
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    fn new(arrival: Arrival, room: OwnedSemaphorePermit) -> (Self, oneshot::Receiver<Taken>) {
        let (answer, told) = oneshot::channel();
        let waiting = Self {
            arrival,
            answer,
            _room: room,
        };
        (waiting, told)
    }

    fn tell(self, taken: Taken) {
        if self.answer.send(taken).is_err() {
            log::debug!("the sender of an alert has gone before its answer");
        }
    }
}

impl Ingest {
    /// Starts the threads; alerts wait until `commit` runs.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub(super) fn start(setup: Setup) -> std::io::Result<Self> {
        let tally = Arc::new(Tally::default());
        let forwarder = Forwarder::start(&setup, Arc::clone(&tally))?;
        let lane = Lane::start(&setup, forwarder.bell())?;
        let most = usize::try_from(setup.queue_size).unwrap_or(usize::MAX);
        let pieces = (most / PIECE).clamp(64, 1 << 30);
        let shared = Shared {
            intake: Intake::new(&setup.enricher, &setup.filter),
            bodies: Arc::new(Budget::new(most)),
            lane,
            forwarder,
            room: Arc::new(Semaphore::new(pieces)),
            pieces,
            tally,
            setup,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Writes what waits, for as long as the runtime lives.
    pub(super) async fn commit(self) {
        commit::run(self.shared).await;
    }

    /// From now on alerts of these agents carry what is known of them.
    pub(super) fn know(&self, agents: &Arc<Agents>) {
        self.shared.intake.know(Arc::clone(agents));
        self.shared.forwarder.know(Arc::clone(agents));
    }

    /// For a body that begins to arrive.
    pub(super) fn hold(&self) -> Held {
        self.shared.bodies.hold()
    }

    /// Takes alerts for MongoDB; says of each, in their order, what became of it, and only when that
    /// is certain.
    pub(super) async fn take_all(&self, arrivals: impl Iterator<Item = Arrival>) -> Vec<Taken> {
        let mut begun = Vec::new();
        let mut busy = false;
        for arrival in arrivals {
            // Whoever has waited in vain once does not wait again for each of the others.
            let step = if busy {
                Step::Done(Taken::Busy)
            } else {
                self.begin(arrival).await
            };
            busy |= matches!(step, Step::Done(Taken::Busy));
            begun.push(step);
        }
        let mut all = Vec::with_capacity(begun.len());
        for step in begun {
            all.push(self.counted(step.end().await));
        }
        all
    }

    /// Takes one alert for MongoDB.
    pub(super) async fn take(&self, arrival: Arrival) -> Taken {
        let step = self.begin(arrival).await;
        self.counted(step.end().await)
    }

    /// Takes an alert for the disk, which is sooner done; `forward` brings it to MongoDB, as soon as
    /// whoever waits for the answer has it. What is no alert is kept as a dead letter, as the hook
    /// does. Blocks.
    pub(super) fn take_to_disk(&self, arrival: Arrival) -> Taken {
        self.counted(self.to_disk(arrival))
    }

    /// Something lies on the disk.
    pub(super) fn forward(&self) {
        self.shared.forwarder.bell().ring();
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> Counts {
        let waiting = self.shared.intake.waiting() as u64;
        let free = self.shared.room.available_permits();
        let held = (self.shared.pieces.saturating_sub(free) * PIECE) as u64;
        self.shared.tally.counts(waiting, held)
    }

    /// Ends the threads when they have finished what they have; at most so long. Whoever stops takes
    /// no more alerts before. Blocks.
    pub(super) fn stop(&self, within: Duration) {
        self.shared.lane.stop(within);
        self.shared.forwarder.stop(within.min(FAREWELL));
    }

    async fn begin(&self, arrival: Arrival) -> Step {
        let Some((waiting, told)) = self.admit(arrival).await else {
            return Step::Done(Taken::Busy);
        };
        match self.shared.intake.put(waiting) {
            Verdict::Waits => Step::Waits(told),
            Verdict::Filtered(why) => Step::Done(Taken::Filtered(why)),
            Verdict::NotAnAlert(NotAnAlert::Syntax(why)) => {
                Step::Done(Taken::NotAnAlert(why.to_string()))
            }
            Verdict::NotAnAlert(why) => Step::Done(Taken::NotAnAlert(why.to_string())),
            Verdict::TooLarge(waiting, why) => {
                self.shared.lane.put([(*waiting, Task::Reject(why))]);
                Step::Waits(told)
            }
        }
    }

    fn to_disk(&self, arrival: Arrival) -> Taken {
        let Some(room) = self.room_soon(arrival.pieces()) else {
            return Taken::Busy;
        };
        let task = match self.shared.intake.judge(&arrival) {
            Ok(None) => Task::Keep,
            Ok(Some(why)) => return Taken::Filtered(why),
            Err(NotAnAlert::Empty) => return Taken::NotAnAlert(NotAnAlert::Empty.to_string()),
            Err(why) => Task::Bury(why),
        };
        if matches!(task, Task::Keep)
            && let Some(taken) = self.shared.lane.keep_now(&arrival)
        {
            return taken;
        }
        let (waiting, told) = Waiting::new(arrival, room);
        self.shared.lane.put([(waiting, task)]);
        told.blocking_recv().unwrap_or_else(|_| lost())
    }

    async fn admit(&self, arrival: Arrival) -> Option<(Waiting, oneshot::Receiver<Taken>)> {
        let room = Arc::clone(&self.shared.room);
        let room = room.acquire_many_owned(self.share(arrival.pieces())?);
        let room = tokio::time::timeout(PATIENCE, room).await.ok()?.ok()?;
        Some(Waiting::new(arrival, room))
    }

    /// As `admit`, on a thread that may wait.
    fn room_soon(&self, pieces: usize) -> Option<OwnedSemaphorePermit> {
        let share = self.share(pieces)?;
        let end = Instant::now() + PATIENCE;
        loop {
            let room = Arc::clone(&self.shared.room).try_acquire_many_owned(share);
            if room.is_ok() || Instant::now() >= end {
                return room.ok();
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What an alert of this size holds; the largest have all of the room.
    fn share(&self, pieces: usize) -> Option<u32> {
        u32::try_from(pieces.min(self.shared.pieces)).ok()
    }

    fn counted(&self, taken: Taken) -> Taken {
        self.shared.tally.note(&taken);
        taken
    }
}

/// An alert that has been looked at.
enum Step {
    Done(Taken),
    Waits(oneshot::Receiver<Taken>),
}

impl Step {
    async fn end(self) -> Taken {
        match self {
            Self::Done(taken) => taken,
            Self::Waits(told) => told.await.unwrap_or_else(|_| lost()),
        }
    }
}

/// A task or a thread has ended in a panic: nobody knows what became of the alert.
fn lost() -> Taken {
    Taken::Failed("an internal task has ended before its answer".to_owned())
}
