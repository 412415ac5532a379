//! What `follow` and `backfill` share: the way from a line in a file to MongoDB.

use std::cell::Cell;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg, OFlag};
use sha2::{Digest, Sha256};

use crate::alert::enrich::{Agents, Source};
use crate::alerts_log::{self, Piece, Place};
use crate::config::{Fault, Settings};
use crate::delivery::feed::{self, Feed, Purpose, Window};
use crate::filter::{Filter, Screen};
use crate::home::Home;
use crate::spool::Spool;
use crate::store::{self, Bulk, Store, Task};

/// How long the driver may look for a server; a batch waits longer.
const CONNECT: Duration = Duration::from_secs(10);
/// How often the agents that alerts shall carry are loaded anew, and how long that may take.
const LOOK_EVERY: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_secs(3);

/// From a line to the configured MongoDB.
pub(super) struct Way<'a> {
    settings: &'a Settings,
    home: &'a Home,
    screen: Screen,
    spool: Spool,
    destination: String,
    /// When the agents were looked at.
    looked: Cell<Option<Instant>>,
}

impl<'a> Way<'a> {
    pub(super) fn open(settings: &'a Settings, home: &'a Home) -> Result<Self> {
        let destination = settings.store.destination();
        let destination = destination.map_err(|error| Fault(error.to_string()))?;
        Ok(Self {
            settings,
            home,
            screen: Screen::new(settings.filter()),
            spool: Spool::new(home.state(), &destination, &settings.spool),
            destination,
            looked: Cell::new(None),
        })
    }

    /// Takes only what one of these wants too; none wants all.
    pub(super) fn only(&mut self, blocks: Vec<Filter>) {
        self.screen.blocks = blocks;
    }

    /// The folder of this destination for the files of one command.
    pub(super) fn folder(&self, command: &str) -> Result<PathBuf> {
        let folder = folder(self.home, command, &self.destination);
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    pub(super) fn bulk(&self, task: Task, patience: Duration) -> Result<Bulk, store::Error> {
        Bulk::start(Store::open(&self.settings.store, CONNECT)?, task, patience)
    }

    /// What `collect` knows of the agents, if alerts shall carry it and it is time to look again.
    pub(super) fn agents(&self) -> Option<Arc<Agents>> {
        let is_fresh = self
            .looked
            .get()
            .is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if !self.settings.enrich.agents.0 || is_fresh {
            return None;
        }
        self.looked.set(Some(Instant::now()));
        let store = Store::open(&self.settings.store, LOOK);
        match store.and_then(|store| store.roster(self.settings.site(), LOOK)) {
            Ok(agents) => Some(Arc::new(agents)),
            Err(error) => {
                // The alerts matter more than what is added to them.
                log::info!("the agents cannot be loaded: {error}");
                None
            }
        }
    }

    pub(super) fn feed<M>(
        &self,
        purpose: Purpose,
        window: Window,
        source: Source,
    ) -> Result<Feed<'_, M>> {
        let mut enricher = self.settings.enricher()?;
        self.looked.set(None);
        if let Some(agents) = self.agents() {
            enricher.know(agents);
        }
        let (screen, spool) = (&self.screen, &self.spool);
        Ok(Feed::new(purpose, window, source, enricher, screen, spool))
    }
}

/// Where a command keeps its files for a destination.
pub(super) fn folder(home: &Home, command: &str, destination: &str) -> PathBuf {
    home.state().join(command).join(destination)
}

/// Gives a piece of a file to the feed.
pub(super) fn take<M>(feed: &mut Feed<'_, M>, piece: Piece<'_>, place: Place<'_>) {
    match piece {
        Piece::Line(line) => feed.line(line, place.file, place.offset),
        Piece::Empty => feed.empty_line(),
        Piece::Nuls(count) => {
            let why = format!("{count} NUL bytes, a hole that a truncation left");
            // The hole may be larger than any disk: its length says all that is in it.
            let some = usize::try_from(count).unwrap_or(usize::MAX).min(SHOWN_NULS);
            feed.bury(&vec![0; some], place.file, place.offset, &why);
        }
        Piece::TooLong { length, head } => {
            let why = format!("a line of {length} bytes, longer than any alert; its beginning");
            feed.bury(head, place.file, place.offset, &why);
        }
    }
}

const SHOWN_NULS: usize = 1024;

/// Whether waiting mends nothing: the settings, or a file that only a person can put right.
pub(super) fn is_lasting(error: &anyhow::Error) -> bool {
    let settings = matches!(error.downcast_ref(), Some(store::Error::Settings(_)))
        || matches!(
            error.downcast_ref(),
            Some(feed::Error::Store(store::Error::Settings(_)))
        );
    settings
        || error.is::<Fault>()
        || matches!(
            error.downcast_ref(),
            Some(alerts_log::Error::Checkpoint { .. })
        )
}

/// Wazuh's live file.
pub(super) fn alerts_json(home: &Home) -> Option<PathBuf> {
    Some(home.wazuh()?.join("logs/alerts/alerts.json"))
}

/// Holds a file's lock as long as it lives.
pub(super) fn lock(path: &Path, taken: impl Fn() -> String) -> Result<Flock<File>> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(taken()),
        Err((_, error)) => bail!("cannot lock {}: {error}", path.display()),
    }
}

/// A name for a file that is about another one, or about a set of arguments.
pub(super) fn short_hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let first = digest.first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}
