//! What the processes of a host know together about a MongoDB that is away: the file `breaker` in
//! the destination's folder. It exists while MongoDB is away, holds the reason, and its
//! modification time is the last try. One `stat` tells a call which way to go.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::note;
use crate::spool::Spool;

/// The breaker of one destination.
#[derive(Debug)]
pub struct Breaker {
    path: PathBuf,
}

impl Breaker {
    /// The breaker in this folder.
    pub fn of(folder: &Path) -> Self {
        Self {
            path: folder.join("breaker"),
        }
    }

    /// The breaker of the hook's fast lane, in the state folder: open while `serve` does not answer at
    /// its socket, whatever the destination.
    pub fn of_relay(state: &Path) -> Self {
        Self {
            path: state.join("relay"),
        }
    }

    /// Whether calls are to spool at once.
    pub fn is_open(&self) -> bool {
        self.path.exists()
    }

    /// Why, and since when, for people.
    pub fn reason(&self) -> Option<String> {
        std::fs::read_to_string(&self.path)
            .ok()
            .map(|text| text.trim().to_owned())
    }

    /// Opens it: MongoDB has just failed. A breaker that cannot be written costs the next call
    /// its deadline and loses nothing.
    pub fn open(&self, why: &str, spool: &Spool) {
        note::write(spool, &self.path, &format!("{why}\n"));
    }

    /// Opens it in a folder that is there, as `open`.
    pub fn open_here(&self, why: &str) {
        note::replace(&self.path, &format!("{why}\n"));
    }

    /// Closes it: MongoDB has just answered.
    pub fn close(&self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("cannot remove {}: {error}", self.path.display());
        }
    }

    /// Whether this process is the one that may try MongoDB now.
    pub fn claim_probe(&self, every: Duration) -> bool {
        let Ok(file) = File::open(&self.path) else {
            return false;
        };
        // A stopped holder keeps the lock: then nobody else probes, and nobody waits.
        if !is_due(&file, every) || file.try_lock().is_err() {
            return false;
        }
        is_due(&file, every) && file.set_modified(SystemTime::now()).is_ok()
    }
}

fn is_due(file: &File, every: Duration) -> bool {
    let modified = file.metadata().and_then(|meta| meta.modified());
    // A time in the future is a clock that was set back.
    modified.is_ok_and(|modified| modified.elapsed().map_or(true, |age| age >= every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_may_probe() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), "x", &crate::spool::Settings::default());
        let breaker = Breaker::of(spool.folder());
        assert!(!breaker.is_open());
        breaker.open("connection refused", &spool);
        assert!(breaker.is_open());
        assert_eq!(breaker.reason().as_deref(), Some("connection refused"));
        assert!(
            !breaker.claim_probe(Duration::from_secs(10)),
            "it has just been tried"
        );
        assert!(breaker.claim_probe(Duration::ZERO));
        let old = SystemTime::now() - Duration::from_secs(11);
        File::open(spool.folder().join("breaker"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert!(breaker.claim_probe(Duration::from_secs(10)));
        assert!(
            !breaker.claim_probe(Duration::from_secs(10)),
            "the first one has claimed it"
        );
        breaker.close();
        assert!(!breaker.is_open());
    }
}
