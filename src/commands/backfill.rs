//! `backfill`: alerts.json and its archives after the fact, all of it or what MongoDB lacks.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::feeding::{self, Way};
use super::stop::Stop;
use super::{Format, now, output};
use crate::alert::When;
use crate::alert::enrich::Source;
use crate::alerts_log::{self, Archive, Found, Prefetch, Reader, Span, archives};
use crate::config::Settings;
use crate::delivery::feed::{Feed, Purpose, Window};
use crate::home::Home;
use crate::store::Task;

mod bar;
mod block;
mod pace;
mod progress;
mod recent;
mod report;

use bar::Bar;
use pace::Pace;
use progress::{Position, Progress};
pub(super) use recent::{Gaps, gaps};
use report::{End, Report};

/// So long MongoDB may be away before a run gives up; it can be resumed.
const PATIENCE: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(100);
/// A stopped run waits so long for what is under way.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What is done with the alerts that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// They are stored.
    Store,
    /// They are counted, and nothing is asked or written.
    Count,
    /// MongoDB is asked which it lacks.
    Check,
    /// MongoDB is asked which it lacks, and gets those.
    Repair,
}

/// The command's arguments.
#[derive(Debug)]
pub struct Backfill {
    /// Files, folders or a Wazuh home; this host's Wazuh if there is none.
    pub paths: Vec<PathBuf>,
    /// Alerts of this time and later.
    pub since: Option<When>,
    /// Alerts before this time.
    pub until: Option<When>,
    /// What is done with them.
    pub what: What,
    /// Also those that the integration's block in ossec.conf keeps out.
    pub all: bool,
    /// Alerts a second, at most.
    pub rate: Option<u32>,
    /// Not from where a stopped run stands.
    pub restart: bool,
    /// How much of the files is read.
    pub reach: Reach,
    /// How the result is printed.
    pub format: Format,
}

/// How much of the files is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of those that may hold alerts of the time.
    All,
    /// Only their ends, where their names and times say that the rest is older.
    Recent,
}

impl Backfill {
    /// Reads, and says in the end what became of it.
    ///
    /// # Errors
    ///
    /// Settings, no file at all, or a MongoDB that stayed away; what was done stays done.
    pub fn run(&self, settings: &Settings, home: &Home) -> Result<u8> {
        let report = self.read(settings, home)?;
        match self.format {
            Format::Json => report.print_json(),
            Format::Text => report.print_text(),
            Format::Quiet => {}
        }
        if report.end == End::Stopped {
            output::error_line("custom-mongo: stopped; run the same command again to go on");
        }
        Ok(report.status())
    }

    fn read(&self, settings: &Settings, home: &Home) -> Result<Report> {
        if self.what != What::Count {
            home.enter()?;
        }
        let paths = self.paths(home)?;
        let window = self.window()?;
        let mut found = archives(&paths, &span(window))?;
        if self.reach == Reach::Recent {
            recent::leave_old(&mut found.archives, window.since);
        }
        for error in &found.unreadable {
            output::error_line(&format!("custom-mongo: {error}"));
        }
        if found.archives.is_empty() && found.unreadable.is_empty() {
            let names: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            bail!(
                "there is no alerts.json and no archive of that time in {}",
                names.join(", ")
            );
        }
        let mut way = Way::open(settings, home)?;
        let mut filters = Vec::new();
        if !self.all && matches!(self.what, What::Check | What::Repair) {
            let (blocks, names) = block::filters(&paths, home)?.into_iter().unzip();
            way.only(blocks);
            filters = names;
        }
        let begins = match self.reach {
            Reach::All => Vec::new(),
            Reach::Recent => recent::begins(&found.archives, window.since),
        };
        let run = Run {
            begins,
            stop: Stop::on_signals().context("cannot watch for signals")?,
            progress: Progress::resume(self.progress_file(&way, &paths)?, &found.archives)?,
            pace: Pace::new(self.rate),
            bar: Bar::new(&found.archives, self.format),
            feed: way.feed(self.purpose(&way)?, window, Source::Backfill)?,
            archives: &found.archives,
        };
        self.finish(run, &found, filters)
    }

    fn finish(&self, mut run: Run<'_>, found: &Found, filters: Vec<String>) -> Result<Report> {
        if run.progress.is_resumed() {
            log::warn!(
                "going on where an earlier run of these arguments stopped (--restart begins anew)"
            );
        }
        let outcome = run.all_files();
        run.progress.keep();
        let mut end =
            outcome.context("what was done so far is kept: run the same command again to go on")?;
        if end != End::Stopped {
            run.progress.complete();
        }
        if end == End::Complete && !found.unreadable.is_empty() {
            end = End::Partial;
        }
        drop(run.bar);
        Ok(Report {
            what: self.what,
            end,
            files: found.archives.len(),
            counts: run.feed.counts(),
            hours: run.feed.into_hours(),
            filters,
        })
    }

    fn paths(&self, home: &Home) -> Result<Vec<PathBuf>> {
        if !self.paths.is_empty() {
            return Ok(self.paths.clone());
        }
        match home.wazuh() {
            Some(wazuh) => Ok(vec![wazuh.to_owned()]),
            None => bail!(
                "no Wazuh home here: name files or folders, as in custom-mongo backfill /var/ossec/logs/alerts"
            ),
        }
    }

    fn window(&self) -> Result<Window> {
        let now = now();
        let at = |when: Option<When>| when.map(|when| when.from(now));
        let window = Window {
            since: at(self.since).unwrap_or(Window::ALL.since),
            until: at(self.until).unwrap_or(Window::ALL.until),
        };
        if window.since >= window.until {
            bail!("--until has to be later than --since");
        }
        Ok(window)
    }

    fn purpose(&self, way: &Way<'_>) -> Result<Purpose> {
        let bulk = |task| way.bulk(task, PATIENCE);
        Ok(match self.what {
            What::Store => Purpose::Store(bulk(Task::Insert)?),
            What::Repair => Purpose::Store(bulk(Task::Repair)?),
            What::Check => Purpose::Report(bulk(Task::Look)?),
            What::Count => Purpose::Count,
        })
    }

    /// Only a run that stores is worth going on with: what a report has counted is gone.
    fn progress_file(&self, way: &Way<'_>, paths: &[PathBuf]) -> Result<Option<PathBuf>> {
        if self.what != What::Store {
            return Ok(None);
        }
        // The words as typed: an age means another time in each run, and the same intent.
        let arguments = format!("{paths:?} {:?} {:?}", self.since, self.until);
        let name = feeding::short_hash(arguments.as_bytes());
        let path = way.folder("backfill")?.join(format!("{name}.json"));
        if self.restart && path.exists() {
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(Some(path))
    }
}

/// The days that may hold alerts of the window.
fn span(window: Window) -> Span {
    let time = |millis: i64| -> Option<SystemTime> {
        let millis = u64::try_from(millis).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    };
    Span {
        since: time(window.since),
        until: time(window.until),
    }
}

struct Run<'a> {
    /// Where each file begins to be of interest; 0 where nothing is said.
    begins: Vec<u64>,
    stop: Stop,
    progress: Progress,
    pace: Pace,
    bar: Bar,
    feed: Feed<'a, Position>,
    archives: &'a [Archive],
}

impl Run<'_> {
    fn all_files(&mut self) -> Result<End> {
        let mut end = End::Complete;
        let todo: Vec<(usize, u64)> = (0..self.archives.len())
            .filter_map(|file| {
                let known = self.begins.get(file).copied().unwrap_or(0);
                Some((file, self.progress.begin(file)?.max(known)))
            })
            .collect();
        for ((file, begin), reader) in todo.iter().zip(readers(self.archives, &todo)) {
            let Some(archive) = self.archives.get(*file) else {
                continue;
            };
            self.bar.file(archive);
            self.bar.show(*begin, self.feed.counts().read);
            match reader.map(|reader| self.one_file(*file, reader)) {
                Ok(Ok(End::Complete)) => {}
                Ok(Ok(End::Stopped)) => return self.settle(End::Stopped),
                Ok(Ok(End::Partial)) => {
                    self.progress.leave(*file);
                    end = End::Partial;
                }
                Ok(Err(error)) => return Err(error),
                Err(error) => {
                    output::error_line(&format!("custom-mongo: {error}"));
                    self.progress.leave(*file);
                    end = End::Partial;
                }
            }
        }
        self.settle(end)
    }

    fn one_file(&mut self, file: usize, mut reader: Reader) -> Result<End> {
        loop {
            if self.stop.is_asked() {
                return Ok(End::Stopped);
            }
            match reader.next() {
                Ok(Some((piece, place))) => feeding::take(&mut self.feed, piece, place),
                Ok(None) => break,
                Err(error) => {
                    output::error_line(&format!("custom-mongo: {error}"));
                    return Ok(End::Partial);
                }
            }
            if self.feed.is_full() || self.feed.len() >= self.pace.batch() {
                let offset = reader.offset();
                if !self.send(Position { file, offset })? {
                    return Ok(End::Stopped);
                }
                self.bar.show(offset, self.feed.counts().read);
            }
        }
        if reader.part_left() > 0 {
            log::info!(
                "{}: the last line is still being written",
                reader.path().display()
            );
        }
        // The next file's first lines may share this batch: its mark is the next file's beginning.
        Ok(End::Complete)
    }

    /// Says no if a signal came before there was a slot.
    fn send(&mut self, mark: Position) -> Result<bool> {
        let mut wait = self.pace.next(self.feed.len());
        while !wait.is_zero() && !self.stop.is_asked() {
            let nap = wait.min(GLANCE);
            std::thread::sleep(nap);
            wait -= nap;
        }
        while !self.feed.has_slot() {
            if self.stop.is_asked() {
                return Ok(false);
            }
            let settled = self.feed.settle(GLANCE)?;
            self.progress.note(settled);
        }
        self.feed.send(mark)?;
        let settled = self.feed.settle(Duration::ZERO)?;
        self.progress.note(settled);
        Ok(true)
    }

    /// Sends what is left and waits for all answers.
    fn settle(&mut self, end: End) -> Result<End> {
        if end != End::Stopped && !self.feed.is_empty() {
            let file = self.archives.len();
            self.send(Position { file, offset: 0 })?;
        }
        while !self.feed.is_idle() && !self.stop.is_asked() {
            let settled = self.feed.settle(GLANCE)?;
            self.progress.note(settled);
        }
        if !self.feed.is_idle() {
            self.last_answers();
        }
        let is_whole = self.feed.is_idle() && self.feed.is_empty();
        Ok(if is_whole { end } else { End::Stopped })
    }

    /// What MongoDB has decided on need not be read again.
    fn last_answers(&mut self) {
        self.feed.stop();
        let give_up = Instant::now() + LAST_ANSWERS;
        while !self.feed.is_idle() && Instant::now() < give_up {
            match self.feed.settle(GLANCE) {
                Ok(settled) => self.progress.note(settled),
                Err(error) => return log::debug!("{error}"),
            }
        }
    }
}

/// The files' readers, the next ones already being decompressed.
fn readers<'a>(
    archives: &'a [Archive],
    todo: &'a [(usize, u64)],
) -> impl Iterator<Item = alerts_log::Result<Reader>> + 'a {
    let ahead = std::thread::available_parallelism().map_or(1, usize::from);
    // From the first file on that is read from its beginning, as are all behind it.
    let whole = todo
        .iter()
        .rposition(|(_, begin)| *begin > 0)
        .map_or(0, |last| last + 1);
    let (parts, rest) = todo.split_at_checked(whole).unwrap_or((todo, &[]));
    let parts = parts.iter();
    let parts =
        parts.filter_map(|(file, begin)| Some(Reader::open_at(archives.get(*file)?, *begin)));
    let rest = rest
        .iter()
        .filter_map(|(file, _)| archives.get(*file).cloned());
    parts.chain(Prefetch::new(rest.collect(), ahead))
}
