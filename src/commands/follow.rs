//! `follow`: alerts.json live. Wazuh's own file is the queue: while MongoDB is away nothing is read
//! ahead, and what has been stored is behind the checkpoint.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::feeding::{self, Way};
use super::stop::Stop;
use super::{now, status};
use crate::alert::When;
use crate::alert::enrich::Source;
use crate::alerts_log::{self, Checkpoint, Start, Tail};
use crate::config::Settings;
use crate::delivery::feed::{Feed, Purpose, Window};
use crate::home::Home;
use crate::store::Task;

/// How often the checkpoint is kept while alerts stream; what lies between is read again after a
/// kill, and is one document all the same.
const KEEP_EVERY: Duration = Duration::from_millis(500);
/// How soon new lines are looked for while MongoDB works on the ones before.
const GLANCE: Duration = Duration::from_millis(10);
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After so long an outage the connection is made anew: names, certificates and passwords may have
/// changed meanwhile.
const RENEW: Duration = Duration::from_secs(60);
/// A clean stop waits so long for what is under way.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where a first start begins; later ones begin at the checkpoint.
#[derive(Debug, Clone, Copy)]
pub enum First {
    /// Behind what is there.
    End,
    /// At the live file's beginning.
    Beginning,
    /// With the alerts of that time, also from the archives.
    Since(When),
}

/// Follows until it is asked to stop.
///
/// # Errors
///
/// Settings, a checkpoint that cannot be read, or another process that follows the same file.
pub fn run(file: Option<&Path>, first: First, settings: &Settings, home: &Home) -> Result<u8> {
    home.enter()?;
    let way = Way::open(settings, home)?;
    let file = live_file(file, settings, home)?;
    let folder = way.folder("follow")?;
    let name = feeding::short_hash(file.as_os_str().as_encoded_bytes());
    let _lock = feeding::lock(&folder.join(format!("{name}.lock")), || {
        format!("another process follows {}", file.display())
    })?;
    let follow = Follow {
        stop: Stop::on_signals().context("cannot watch for signals")?,
        kept: folder.join(format!("{name}.json")),
        way: &way,
        file,
        first,
    };
    follow.until_stopped()
}

fn live_file(file: Option<&Path>, settings: &Settings, home: &Home) -> Result<PathBuf> {
    let named = file.or(settings.follow.file.as_deref()).map(Path::to_owned);
    let Some(file) = named.or_else(|| feeding::alerts_json(home)) else {
        bail!(
            "no Wazuh home here: name the file, as in custom-mongo follow /var/ossec/logs/alerts/alerts.json"
        );
    };
    if file.is_dir() {
        bail!(
            "{} is a folder: name the live file in it, as in custom-mongo follow {}",
            file.display(),
            file.join("alerts.json").display()
        );
    }
    // A link to the folder is the same file; a link in place of the file may come to mean another.
    let file = std::path::absolute(&file)?;
    let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
    Ok(match (folder, file.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => file,
    })
}

struct Follow<'a> {
    way: &'a Way<'a>,
    file: PathBuf,
    kept: PathBuf,
    first: First,
    stop: Stop,
}

impl Follow<'_> {
    /// A session ends by a signal, or by a fault that waiting may mend: then the next one begins
    /// at the checkpoint.
    fn until_stopped(&self) -> Result<u8> {
        let mut pause = FIRST_PAUSE;
        while !self.stop.is_asked() {
            let began = Instant::now();
            match self.session() {
                Ok(()) => break,
                Err(error) if feeding::is_lasting(&error) => return Err(error),
                Err(error) => log::error!("{error:#}; going on from the checkpoint"),
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            self.stop.sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        log::info!("stopped");
        Ok(status::DONE)
    }

    fn session(&self) -> Result<()> {
        let mut tail = self.tail()?;
        let bulk = self.way.bulk(Task::Insert, RENEW)?;
        let purpose = Purpose::Store(bulk);
        let mut feed = self.way.feed(purpose, Window::ALL, Source::Follow)?;
        let mut keeper = Keeper::new(&self.kept);
        let streamed = self.stream(&mut tail, &mut feed, &mut keeper);
        // Whatever ended it: what MongoDB has decided on need not be read again.
        feed.stop();
        let end = Instant::now() + LAST_ANSWERS;
        while !feed.is_idle() && Instant::now() < end {
            match feed.settle(GLANCE) {
                Ok(mark) => keeper.note(mark),
                Err(_) => break,
            }
        }
        keeper.keep();
        log::info!("{}", feed.counts());
        streamed
    }

    fn tail(&self) -> Result<Tail> {
        let start = match (Checkpoint::load(&self.kept)?, self.first) {
            (Some(checkpoint), _) => Start::At(checkpoint),
            (None, First::End) => Start::End,
            (None, First::Beginning) => Start::Beginning,
            // The whole file of that day: an alert too many is better than one lost.
            (None, First::Since(when)) => Start::Since(time(when.from(now()))),
        };
        let tail = Tail::open(&self.file, start)?;
        // A first start at the end must not begin at a later end the next time.
        tail.checkpoint()
            .save(&self.kept)
            .with_context(|| format!("cannot write {}", self.kept.display()))?;
        let behind = tail.lag().map_or(0, |lag| lag.bytes);
        log::info!("following {}, {behind} bytes behind", self.file.display());
        Ok(tail)
    }

    fn stream(
        &self,
        tail: &mut Tail,
        feed: &mut Feed<'_, Checkpoint>,
        keeper: &mut Keeper<'_>,
    ) -> Result<()> {
        let mut moved = false;
        while !self.stop.is_asked() {
            if !feed.is_full() && take(tail, feed)? {
                moved = true;
            } else if moved && feed.has_slot() {
                feed.send(tail.checkpoint())?;
                moved = false;
                if let Some(agents) = self.way.agents() {
                    feed.know(agents);
                }
            } else if !feed.is_idle() {
                keeper.note(feed.settle(GLANCE)?);
            } else {
                keeper.keep();
                tail.wait(LOOK_AGAIN);
            }
        }
        Ok(())
    }
}

fn time(millis: i64) -> SystemTime {
    let millis = u64::try_from(millis).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

/// Takes the next piece; false if there is none yet.
fn take(tail: &mut Tail, feed: &mut Feed<'_, Checkpoint>) -> Result<bool> {
    match tail.next() {
        Ok(Some((piece, place))) => feeding::take(feed, piece, place),
        Ok(None) => return Ok(false),
        // Its whole lines were given out; trying again goes on with the next file.
        Err(error @ alerts_log::Error::Damaged { .. }) => log::error!("{error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

/// Keeps the newest settled checkpoint, not more often than is worth a write.
struct Keeper<'a> {
    path: &'a Path,
    newest: Option<Checkpoint>,
    kept_at: Instant,
}

impl<'a> Keeper<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            newest: None,
            kept_at: Instant::now(),
        }
    }

    fn note(&mut self, settled: Option<Checkpoint>) {
        if settled.is_some() {
            self.newest = settled;
        }
        if self.kept_at.elapsed() >= KEEP_EVERY {
            self.keep();
        }
    }

    /// A checkpoint that cannot be written costs reading again, and holds up no alert.
    fn keep(&mut self) {
        let Some(checkpoint) = self.newest.take() else {
            return;
        };
        if let Err(error) = checkpoint.save(self.path) {
            let path = self.path.display();
            log::error!("cannot write {path}: {error}; after a restart alerts are read again");
            self.newest = Some(checkpoint);
        }
        self.kept_at = Instant::now();
    }
}
