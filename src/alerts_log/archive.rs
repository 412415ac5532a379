//! Which files of the log cover a span of time, in the order in which they were written. Nothing
//! that cannot be read is left out in silence.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::dated::{self, Day};
use super::error::{Error, Result, cannot};
use super::listing::Entry;

/// A file this young may still be written to.
const FRESH: Duration = Duration::from_secs(60);

/// From when until when; open where it says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// The first instant that is wanted.
    pub since: Option<SystemTime>,
    /// The last instant that is wanted.
    pub until: Option<SystemTime>,
}

/// A file of the log that may cover a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The file.
    pub path: PathBuf,
    /// The day in its name, in the server's local time.
    pub day: Option<Day>,
    /// Its number within the day, from 0.
    pub sequence: u32,
    /// It is gzip, by its name.
    pub compressed: bool,
    /// Its bytes on disk.
    pub size: u64,
    /// It may still be written to: it is alerts.json or changed within the last minute.
    pub growing: bool,
    /// Its last change.
    pub changed: SystemTime,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The files, oldest first.
    pub archives: Vec<Archive>,
    /// Folders and files that could not be looked into: what they hold is missing.
    pub unreadable: Vec<Error>,
}

/// Finds the log's files: in each path that is a folder or a Wazuh home (then in `logs/alerts` below
/// it), recursively; a path that is a file is taken as it is. Taken are `*.json`, `*.json.gz` and
/// what logrotate makes of `alerts.json`; not Wazuh's archives of all events (`ossec-archive-*`).
///
/// # Errors
///
/// Names a path that is not there.
pub fn archives(paths: &[PathBuf], span: &Span) -> Result<Found> {
    let mut search = Search::default();
    for path in paths {
        let meta = fs::metadata(path).map_err(cannot("look at", path))?;
        let log = path.join("logs/alerts");
        if meta.is_file() {
            search.take(Entry::new(path.clone(), &meta));
        } else if log.is_dir() {
            search.folder(&log);
        } else {
            search.folder(path);
        }
    }
    Ok(search.finish(span))
}

#[derive(Default)]
struct Search {
    entries: Vec<Entry>,
    visited: HashSet<(u64, u64)>,
    unreadable: Vec<Error>,
}

impl Search {
    fn folder(&mut self, root: &Path) {
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            if let Err(error) = self.one_folder(&folder, &mut folders) {
                let error = cannot("read the folder", &folder)(error);
                self.unreadable.push(error);
            }
        }
    }

    fn one_folder(&mut self, folder: &Path, folders: &mut Vec<PathBuf>) -> io::Result<()> {
        let meta = fs::metadata(folder)?;
        // Links may lead in a circle.
        if !self.visited.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                self.file(path);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !is_log(&name) {
            return;
        }
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => self.take(Entry::new(path, &meta)),
            Ok(_) => {}
            Err(error) => self.unreadable.push(cannot("look at", &path)(error)),
        }
    }

    fn take(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    fn finish(mut self, span: &Span) -> Found {
        let mut named = HashSet::new();
        self.entries
            .retain(|entry| named.insert(entry.path.clone()));
        let live: HashSet<(u64, u64)> = self
            .entries
            .iter()
            .filter(|entry| is_live_name(&entry.path))
            .map(|entry| (entry.device, entry.inode))
            .collect();
        self.prefer_plain();
        self.entries.sort_by(order);
        self.entries.dedup_by(|one, other| one.path == other.path);
        let mut seen = HashSet::new();
        // Dated ones first: they stand before others of the same inode or not at all.
        let mut dated_first: Vec<&Entry> = self.entries.iter().collect();
        dated_first.sort_by_key(|entry| entry.dated.is_none());
        let once: HashSet<&Path> = dated_first
            .into_iter()
            .filter(|entry| seen.insert((entry.device, entry.inode)))
            .map(|entry| entry.path.as_path())
            .collect();
        let archives = self
            .entries
            .iter()
            .filter(|entry| once.contains(entry.path.as_path()) && overlaps(entry, span))
            .map(|entry| archive(entry, live.contains(&(entry.device, entry.inode))))
            .collect();
        Found {
            archives,
            unreadable: self.unreadable,
        }
    }

    /// While both exist, the compressed one may be half written.
    fn prefer_plain(&mut self) {
        let plain: HashSet<PathBuf> = self
            .entries
            .iter()
            .filter(|entry| !entry.gzip)
            .map(|entry| entry.path.clone())
            .collect();
        self.entries
            .retain(|entry| !(entry.gzip && plain.contains(&entry.path.with_extension(""))));
    }
}

fn is_live_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "alerts.json")
}

fn is_log(name: &str) -> bool {
    if ["ossec-archive", "archives.json", "ossec-firewall"]
        .iter()
        .any(|other| name.starts_with(other))
    {
        return false;
    }
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let rotated = plain.strip_prefix("alerts.json");
    let rotated = rotated.is_some_and(|rest| rest.starts_with(['.', '-']) && rest != ".sum");
    plain
        .strip_suffix(".json")
        .is_some_and(|stem| !stem.is_empty())
        || rotated
}

fn archive(entry: &Entry, live: bool) -> Archive {
    let age = SystemTime::now().duration_since(entry.changed);
    let fresh = age.map_or(true, |age| age < FRESH);
    Archive {
        path: entry.path.clone(),
        day: entry.key().map(|key| key.day),
        sequence: entry.key().map_or(0, |key| key.sequence),
        compressed: entry.gzip,
        size: entry.size,
        growing: !entry.gzip && (live || fresh),
        changed: entry.changed,
    }
}

/// By day and number; an undated file stands at the end of the day of its last change.
fn order(one: &Entry, other: &Entry) -> Ordering {
    let age = |entry: &Entry| match dated::key(&entry.path) {
        Some(key) => (key.day, false, u64::from(key.sequence), None),
        None => (Day::of(entry.changed), true, 0, Some(entry.changed)),
    };
    let live_last = is_live_name(&one.path).cmp(&is_live_name(&other.path));
    live_last
        .then_with(|| age(one).cmp(&age(other)))
        .then_with(|| one.path.cmp(&other.path))
}

/// Days are compared with a margin of one, for the server's zone. When an undated file begins is
/// not known: only its end counts.
fn overlaps(entry: &Entry, span: &Span) -> bool {
    match entry.key() {
        Some(key) => {
            let after = |since: SystemTime| key.day >= Day::of(since).plus(-1);
            let before = |until: SystemTime| key.day <= Day::of(until).plus(1);
            span.since.is_none_or(after) && span.until.is_none_or(before)
        }
        None => span.since.is_none_or(|since| entry.changed >= since),
    }
}
