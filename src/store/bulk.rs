//! Batches on their way to MongoDB: several at once on a thread of its own, each tried again until
//! MongoDB has decided on every document in it. The sender waits meanwhile, so memory stays as it
//! is however long MongoDB is away: what has not been sent lies in the file it comes from.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mongodb::Database;
use tokio::sync::{mpsc as queue, watch};
use tokio::task::LocalSet;

use super::{Batch, Error, Indexes, Retries, Store, Written, alerts, completion, indexes};

/// How many batches are under way at once: one is written while the other travels (measured: a
/// third gains nothing on a loopback, and little on a line of 30 ms).
pub const IN_FLIGHT: usize = 2;

/// A try may take this, and a second for each 64 KiB on a slow line.
const A_TRY: Duration = Duration::from_secs(15);
const SLOWEST: u64 = 64 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const INDEX_HEAD_START: Duration = Duration::from_secs(2);

/// What is done with batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Insert them, and complete poorer copies.
    Insert,
    /// Only look which are there.
    Look,
    /// Look, then insert those that are not.
    Repair,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Answer {
    /// The one given with the batch.
    pub ticket: u64,
    /// The batch again, for its buffers.
    pub batch: Batch,
    /// One for each document in its order. `New` says of `Look` that it is not there.
    pub written: Result<Vec<Written>, Error>,
    /// Poorer copies that were completed.
    pub completed: u64,
}

/// Sends batches; at most `IN_FLIGHT` are taken before an answer is.
#[derive(Debug)]
pub struct Bulk {
    jobs: Option<queue::Sender<(u64, Batch)>>,
    answers: mpsc::Receiver<Answer>,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Bulk {
    /// Starts the thread that owns the connection. A batch that MongoDB has not decided on within
    /// `patience` is answered with the error.
    ///
    /// # Errors
    ///
    /// `Unavailable` if no thread can be started.
    pub fn start(store: Store, task: Task, patience: Duration) -> Result<Self, Error> {
        let (jobs, todo) = queue::channel(IN_FLIGHT);
        let (answer, answers) = mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        let work = move || run(&store, task, patience, todo, answer, stopped);
        let thread = thread::Builder::new().name("store".to_owned()).spawn(work);
        let thread = thread
            .map_err(|error| Error::Unavailable(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            jobs: Some(jobs),
            answers,
            stop,
            thread: Some(thread),
        })
    }

    /// Sends a batch.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the thread has ended.
    pub fn send(&self, ticket: u64, batch: Batch) -> Result<(), Error> {
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.blocking_send((ticket, batch)).map_err(|_| gone())
    }

    /// The next answer; none after `within`.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the thread has ended.
    pub fn answer(&self, within: Duration) -> Result<Option<Answer>, Error> {
        match self.answers.recv_timeout(within) {
            Ok(answer) => Ok(Some(answer)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    /// Asks for no further try: what MongoDB does not decide on now is answered with an error.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        self.stop();
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that writes to MongoDB has panicked");
        }
    }
}

fn gone() -> Error {
    Error::Unavailable("the thread that writes to MongoDB has ended".to_owned())
}

fn run(
    store: &Store,
    task: Task,
    patience: Duration,
    mut todo: queue::Receiver<(u64, Batch)>,
    answers: mpsc::Sender<Answer>,
    stopped: watch::Receiver<bool>,
) {
    let Some(runtime) = &store.runtime else {
        return;
    };
    let worker = Rc::new(Worker {
        database: store.database(),
        task,
        patience,
        answers,
        stopped,
        away: Cell::new(false),
    });
    let local = LocalSet::new();
    let jobs = async {
        if task != Task::Look {
            let begun = tokio::task::spawn_local(indexes(store.database()));
            // On an empty collection they are there before the first alert; a build on a large one
            // is the server's work, and alerts do not wait for it.
            drop(tokio::time::timeout(INDEX_HEAD_START, begun).await);
        }
        while let Some((ticket, batch)) = todo.recv().await {
            let worker = Rc::clone(&worker);
            tokio::task::spawn_local(async move { worker.decide(ticket, batch).await });
        }
    };
    local.block_on(runtime, jobs);
    // What is still under way when the sender has gone is not waited for: nobody asks any more.
}

/// Creates missing indexes; an outage is a matter for the batches.
async fn indexes(database: Database) {
    let mut pause = FIRST_PAUSE;
    loop {
        match indexes::create(database.clone()).await {
            Ok(Indexes::NotAllowed) => return log::warn!("the login may not create indexes"),
            Ok(_) => return,
            Err(Error::Unavailable(why)) => log::debug!("indexes: {why}"),
            Err(error) => return log::warn!("indexes: {error}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Worker {
    database: Database,
    task: Task,
    patience: Duration,
    answers: mpsc::Sender<Answer>,
    stopped: watch::Receiver<bool>,
    /// An outage is told once, and its end.
    away: Cell<bool>,
}

impl Worker {
    async fn decide(&self, ticket: u64, batch: Batch) {
        let (written, completed) = match self.until_decided(&batch).await {
            Ok((written, completed)) => (Ok(written), completed),
            Err(error) => (Err(error), 0),
        };
        let answer = Answer {
            ticket,
            batch,
            written,
            completed,
        };
        if self.answers.send(answer).is_err() {
            log::debug!("nobody waits for a batch's answer");
        }
    }

    async fn until_decided(&self, batch: &Batch) -> Result<(Vec<Written>, u64), Error> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.within_limit(batch).await {
                Err(Error::Unavailable(why)) if self.may_wait(began) => {
                    self.note_outage(&why);
                    self.rest(jittered(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                decided => {
                    if decided.is_ok() && self.away.replace(false) {
                        log::warn!("MongoDB is back");
                    }
                    return decided;
                }
            }
        }
    }

    async fn within_limit(&self, batch: &Batch) -> Result<(Vec<Written>, u64), Error> {
        let slow = Duration::from_secs(batch.bytes() as u64 / SLOWEST);
        let limit = A_TRY + slow;
        let tried = tokio::time::timeout(limit, self.attempt(batch)).await;
        tried.unwrap_or_else(|_| {
            let seconds = limit.as_secs();
            Err(Error::Unavailable(format!(
                "MongoDB gave no answer within {seconds} s"
            )))
        })
    }

    async fn attempt(&self, batch: &Batch) -> Result<(Vec<Written>, u64), Error> {
        let all: Vec<usize> = (0..batch.len()).collect();
        match self.task {
            Task::Look => Ok((alerts::look(&self.database, batch).await?, 0)),
            Task::Insert => {
                let mut written = vec![Written::AlreadyThere; batch.len()];
                self.insert(batch, &all, &mut written).await?;
                let completed = completion::complete(&self.database, batch, &written).await?;
                Ok((written, completed))
            }
            Task::Repair => {
                let mut written = alerts::look(&self.database, batch).await?;
                let missing: Vec<usize> = all
                    .into_iter()
                    .filter(|place| written.get(*place) == Some(&Written::New))
                    .collect();
                self.insert(batch, &missing, &mut written).await?;
                Ok((written, 0))
            }
        }
    }

    async fn insert(
        &self,
        batch: &Batch,
        places: &[usize],
        written: &mut [Written],
    ) -> Result<(), Error> {
        alerts::insert_batch(&self.database, batch, places, written, Retries::Sender).await
    }

    fn may_wait(&self, began: Instant) -> bool {
        began.elapsed() < self.patience && !*self.stopped.borrow()
    }

    fn note_outage(&self, why: &str) {
        if self.away.replace(true) {
            log::debug!("MongoDB is still away: {why}");
        } else {
            log::warn!("{why}; waiting for MongoDB, nothing is lost");
        }
    }

    async fn rest(&self, pause: Duration) {
        let mut stopped = self.stopped.clone();
        let stop = stopped.wait_for(|stopped| *stopped);
        if tokio::time::timeout(pause, stop).await.is_ok() {
            log::debug!("stopped while waiting for MongoDB");
        }
    }
}

/// Between half of it and all of it, so that many nodes do not come back at one moment.
fn jittered(pause: Duration) -> Duration {
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let share = clock.map_or(0, |now| now.subsec_nanos() % 1000);
    pause / 2 + pause.mul_f64(f64::from(share) / 2000.0)
}
