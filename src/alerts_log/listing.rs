//! Which files of the log there are, in the order in which they were written.

use std::cmp::Reverse;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::dated::{self, Day, Key};
use super::error::{Result, cannot, is_missing};

/// How often a listing is begun anew before it is left for the next look.
const ATTEMPTS: usize = 16;
/// A folder's time has the kernel's tick (up to 10 ms) as its grain: within one, a change hides.
const TICK: Duration = Duration::from_millis(12);

/// A file of the log as it was listed.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// The dated name, also of the live file if it has one.
    pub(super) dated: Option<PathBuf>,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) changed: SystemTime,
    pub(super) gzip: bool,
}

/// The files of a log.
#[derive(Debug)]
pub(super) struct Listing {
    /// All but the live one, oldest first.
    pub(super) older: Vec<Entry>,
    pub(super) live: Option<Entry>,
}

impl Entry {
    pub(super) fn new(path: PathBuf, meta: &Metadata) -> Self {
        let gzip = path.extension().is_some_and(|kind| kind == "gz");
        Self {
            dated: dated::key(&path).map(|_| path.clone()),
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            changed: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            gzip,
            path,
        }
    }

    pub(super) fn key(&self) -> Option<Key> {
        dated::key(self.dated.as_ref()?)
    }

    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// The live file as it is now; `None` while there is none.
pub(super) fn live(path: &Path) -> Result<Option<Entry>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(Entry::new(path.to_owned(), &meta))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(cannot("look at", path)(error)),
    }
}

/// Lists the files of a log, the dated ones from `since` on. `None` when files come and go too fast
/// to be listed.
pub(super) fn list(live_path: &Path, since: Day) -> Result<Option<Listing>> {
    for _ in 0..ATTEMPTS {
        let before = live(live_path)?;
        let Some(older) = attempt(live_path, since)? else {
            thread::sleep(TICK);
            continue;
        };
        let after = live(live_path)?;
        let same = match (&before, &after) {
            (Some(before), Some(after)) => before.is_same_file(after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if same {
            return Ok(Some(arrange(older, after)));
        }
    }
    Ok(None)
}

/// One pass over the folders; `None` if something changed under it.
fn attempt(live_path: &Path, since: Day) -> Result<Option<Vec<Entry>>> {
    let mut pass = Pass::default();
    for root in roots(live_path) {
        pass.root(&root, live_path, since)?;
    }
    if pass.missed || !pass.still_the_same() {
        return Ok(None);
    }
    Ok(Some(pass.entries))
}

/// Beside the live file, and beside what it links to.
pub(super) fn roots(live_path: &Path) -> Vec<PathBuf> {
    let parent = live_path.parent().unwrap_or(Path::new("/"));
    let beside = if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    };
    let target = fs::canonicalize(live_path).ok();
    let target = target.and_then(|target| target.parent().map(Path::to_owned));
    let other = target.filter(|target| fs::canonicalize(&beside).ok().as_ref() != Some(target));
    std::iter::once(beside).chain(other).collect()
}

#[derive(Default)]
struct Pass {
    entries: Vec<Entry>,
    /// The folders and when they had changed before they were read.
    folders: Vec<(PathBuf, SystemTime)>,
    /// A file went away between its listing and the look at it.
    missed: bool,
}

impl Pass {
    fn root(&mut self, root: &Path, live_path: &Path, since: Day) -> Result<()> {
        let name = live_path.file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        for (path, found) in self.names(root)? {
            if dated::year(&found).is_some() {
                self.year(&path, since)?;
            } else if is_undated(&found, &name) {
                self.file(path)?;
            }
        }
        Ok(())
    }

    fn year(&mut self, folder: &Path, since: Day) -> Result<()> {
        // The last day that the folder can hold decides.
        let reaches = |path: &Path| {
            let last = [31, 30, 29, 28].iter().find_map(|day| {
                let file = path.join(format!("ossec-alerts-{day}.json"));
                dated::key(&file)
            });
            last.is_some_and(|last| last.day >= since)
        };
        if !reaches(&folder.join("Dec")) {
            return Ok(());
        }
        for (path, _) in self.names(folder)? {
            if !reaches(&path) {
                continue;
            }
            for (file, _) in self.names(&path)? {
                if dated::key(&file).is_some_and(|key| key.day >= since) {
                    self.file(file)?;
                }
            }
        }
        Ok(())
    }

    fn names(&mut self, folder: &Path) -> Result<Vec<(PathBuf, String)>> {
        let changed = match fs::metadata(folder).and_then(|meta| meta.modified()) {
            Ok(changed) => changed,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(cannot("look at the folder", folder)(error)),
        };
        self.folders.push((folder.to_owned(), changed));
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
            Err(error) => return Err(cannot("read the folder", folder)(error)),
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.map_err(cannot("read the folder", folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((entry.path(), name))
        };
        entries.map(name).collect()
    }

    fn file(&mut self, path: PathBuf) -> Result<()> {
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => self.entries.push(Entry::new(path, &meta)),
            Ok(_) => {}
            // A link to nowhere stays a link to nowhere; anything else was there a moment ago.
            Err(error) if is_missing(&error) => self.missed |= !path.is_symlink(),
            Err(error) => return Err(cannot("look at", &path)(error)),
        }
        Ok(())
    }

    fn still_the_same(&self) -> bool {
        let now = SystemTime::now();
        self.folders.iter().all(|(folder, changed)| {
            let again = fs::metadata(folder).and_then(|meta| meta.modified());
            let settled = now.duration_since(*changed).is_ok_and(|age| age >= TICK);
            // A time in the future is as settled as it will get.
            again.is_ok_and(|again| again == *changed) && (settled || *changed > now)
        })
    }
}

/// The live file under another name, as logrotate or people name it.
fn is_undated(name: &str, live: &str) -> bool {
    let behind = name.strip_prefix(live).and_then(|rest| rest.chars().next());
    let sum = Path::new(name)
        .extension()
        .is_some_and(|kind| kind == "sum");
    matches!(behind, Some('.' | '-' | '_' | '~')) && !sum
}

/// Takes out what is listed twice and brings the rest in order.
fn arrange(entries: Vec<Entry>, mut live: Option<Entry>) -> Listing {
    let (dated, mut undated): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.dated.is_some());
    if let Some(live) = &mut live {
        let same = dated.iter().find(|entry| entry.is_same_file(live));
        live.dated = same.and_then(|entry| entry.dated.clone());
    }
    let is_live = |entry: &Entry| live.as_ref().is_some_and(|live| live.is_same_file(entry));
    let mut dated = prefer_plain(dated);
    dated.retain(|entry| !is_live(entry));
    undated.retain(|entry| !is_live(entry) && !dated.iter().any(|dated| dated.is_same_file(entry)));
    let undated = prefer_plain(undated);
    let (mut numbered, mut others): (Vec<Entry>, Vec<Entry>) = undated
        .into_iter()
        .partition(|entry| rotations(&entry.path).is_some());
    numbered.sort_by_key(|entry| Reverse(rotations(&entry.path)));
    others.sort_by_key(|entry| entry.changed);
    let undated = merge(bounded(numbered), others);
    let older = merge(bounded(dated), undated);
    Listing { older, live }
}

/// Without the compressed ones that lie beside their plain original: they may be half written.
fn prefer_plain(mut entries: Vec<Entry>) -> Vec<Entry> {
    let plain: Vec<PathBuf> = entries
        .iter()
        .filter(|entry| !entry.gzip)
        .map(|entry| entry.path.clone())
        .collect();
    entries.retain(|entry| !(entry.gzip && plain.contains(&entry.path.with_extension(""))));
    entries.sort_by_key(|entry| (entry.key(), entry.path.clone()));
    entries.dedup_by(|one, other| one.is_same_file(other));
    entries
}

/// logrotate counts up: `alerts.json.2` is older than `alerts.json.1`.
fn rotations(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.rsplit('.').next()?.parse().ok()
}

/// Gives files whose order is known times that rise with it. A file may be younger than its text,
/// as one that was compressed is: what follows bounds it.
fn bounded(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut bound = None;
    for entry in entries.iter_mut().rev() {
        entry.changed = bound.map_or(entry.changed, |bound| entry.changed.min(bound));
        bound = Some(entry.changed);
    }
    entries
}

/// Puts two lists into one by time; both keep their order.
fn merge(one: Vec<Entry>, other: Vec<Entry>) -> Vec<Entry> {
    let mut other = other.into_iter().peekable();
    let mut merged = Vec::new();
    for entry in one {
        while let Some(earlier) = other.next_if(|other| other.changed < entry.changed) {
            merged.push(earlier);
        }
        merged.push(entry);
    }
    merged.extend(other);
    merged
}
