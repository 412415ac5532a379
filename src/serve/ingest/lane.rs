//! The way to the disk. An alert that finds nobody writing is written by whoever brings it; what
//! comes meanwhile waits for a thread that puts all of it into the spool with one sync.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Arrival, Setup, Taken, Waiting};
use crate::alert::NotAnAlert;
use crate::delivery::{self, Error, Kept};
use crate::serve::forwarder::Bell;
use crate::spool::{self, PutAll, Spool};
use crate::store;

/// The most that goes together; what one sync takes is the spool's matter.
const AT_ONCE: usize = 1000;

/// What is done with an alert on disk.
#[derive(Debug)]
pub(super) enum Task {
    /// Into the spool.
    Keep,
    /// To the dead letters: the text is no alert.
    Bury(NotAnAlert),
    /// To the dead letters: MongoDB refused it for good.
    Reject(String),
}

type Job = (Waiting, Task);

/// Whoever has it writes.
#[derive(Debug)]
struct Disk {
    spool: Spool,
    store: store::Settings,
    bell: Arc<Bell>,
}

/// Hands alerts to the thread.
#[derive(Debug)]
pub(super) struct Lane {
    disk: Arc<Mutex<Disk>>,
    jobs: Mutex<Option<Sender<Job>>>,
    ended: Mutex<Receiver<()>>,
}

impl Lane {
    pub(super) fn start(setup: &Setup, bell: Arc<Bell>) -> std::io::Result<Self> {
        let (jobs, todo) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let disk = Disk {
            spool: setup.spool.clone(),
            store: setup.store.clone(),
            bell,
        };
        let (disk, spool) = (Arc::new(Mutex::new(disk)), setup.spool.clone());
        let writing = Arc::clone(&disk);
        let work = move || {
            run(&todo, &spool, &writing);
            drop(end);
        };
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(work)?;
        Ok(Self {
            disk,
            jobs: Mutex::new(Some(jobs)),
            ended: Mutex::new(ended),
        })
    }

    /// Writes an alert on this thread, and wakes nobody for it; none while others write.
    pub(super) fn keep_now(&self, arrival: &Arrival) -> Option<Taken> {
        let disk = self.disk.try_lock().ok()?;
        disk.name();
        let kept = disk.spool.put(&entry(arrival));
        Some(kept.map_or_else(|why| Taken::Failed(why.to_string()), |_| Taken::Spooled))
    }

    pub(super) fn put(&self, jobs: impl IntoIterator<Item = Job>) {
        let sender = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        for job in jobs {
            let refused = match sender.as_ref() {
                Some(sender) => sender.send(job).err().map(|back| back.0),
                None => Some(job),
            };
            if let Some((waiting, _)) = refused {
                waiting.tell(Taken::Failed("the spool's thread has ended".to_owned()));
            }
        }
    }

    pub(super) fn stop(&self, within: Duration) {
        let sender = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(sender);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout) {
            log::warn!("the disk of the spool does not answer");
        }
    }
}

impl Disk {
    /// Says to people which destination this is.
    fn name(&self) {
        delivery::write_destination_name(&self.spool, &self.store);
    }
}

fn run(todo: &Receiver<Job>, spool: &Spool, disk: &Mutex<Disk>) {
    while let Ok(first) = todo.recv() {
        let mut keep = Vec::new();
        let more = std::iter::from_fn(|| todo.try_recv().ok());
        for (waiting, task) in std::iter::once(first).chain(more).take(AT_ONCE) {
            match task {
                Task::Keep => keep.push(waiting),
                Task::Bury(why) => bury(spool, waiting, why),
                Task::Reject(why) => reject(spool, waiting, &why),
            }
        }
        if !keep.is_empty() {
            let disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
            disk.name();
            put(spool, keep);
            disk.bell.ring();
        }
    }
}

fn put(spool: &Spool, waiting: Vec<Waiting>) {
    let mut rest = waiting.into_iter();
    while rest.len() > 0 {
        let entries: Vec<_> = rest
            .as_slice()
            .iter()
            .map(|waiting| entry(&waiting.arrival))
            .collect();
        let PutAll { kept, refused } = spool.put_all(&entries);
        rest.by_ref()
            .take(kept.len())
            .for_each(|waiting| waiting.tell(Taken::Spooled));
        let Some(why) = refused else {
            continue;
        };
        // One that is too long says nothing of those behind it; anything else is the disk's.
        let only = matches!(why, spool::Error::TooLarge { .. });
        let failed = rest.by_ref().take(if only { 1 } else { usize::MAX });
        failed.for_each(|waiting| waiting.tell(Taken::Failed(why.to_string())));
    }
}

fn entry(arrival: &Arrival) -> spool::EntryRef<'_> {
    spool::EntryRef {
        received_at_ms: arrival.received_at,
        source: arrival.source.code(),
        options: &arrival.options,
        raw: &arrival.raw,
    }
}

fn bury(spool: &Spool, waiting: Waiting, why: NotAnAlert) {
    let arrival = &waiting.arrival;
    let dead = delivery::bury(spool, &arrival.raw, &arrival.receipt(), &why.to_string());
    waiting.tell(Taken::NotAnAlert(
        Error::NotAnAlert { why, dead }.to_string(),
    ));
}

fn reject(spool: &Spool, waiting: Waiting, why: &str) {
    let arrival = &waiting.arrival;
    let taken = match delivery::bury(spool, &arrival.raw, &arrival.receipt(), why) {
        Kept::As(id) => {
            log::warn!("MongoDB refused an alert: {why}; kept as dead letter {id}");
            Taken::Rejected(id)
        }
        Kept::Nothing => Taken::Failed(why.to_owned()),
        Kept::Failed(error) => Taken::Failed(format!("{why}; it could not be kept: {error}")),
    };
    waiting.tell(taken);
}
