//! One collector at a time: a lock on a file for this host, a lease in MongoDB for the site.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::inventory::Item;
use crate::store::{Claim, Lease, Store};

/// How long the lease holds without being renewed: what a dead host keeps others waiting.
pub(super) const LASTS: Duration = Duration::from_secs(120);
const LOCK: &str = "collect.lock";
const PLACE: &str = "collect.place";

/// What a run holds; both end with it, however it ends.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) lease: Option<Lease>,
    /// When the lease was taken.
    pub(super) since: Instant,
    _file: File,
}

/// Takes the lock of this host and gives this state folder's name. `Err` of the inner result says
/// who has it.
pub(super) fn lock(state: &Path) -> io::Result<Result<(File, String), String>> {
    let path = state.join(LOCK);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options.mode(0o600).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            (&file).take(4096).read_to_string(&mut holder).ok();
            let holder = holder.lines().next().unwrap_or("another process");
            return Ok(Err(format!("{holder} holds {}", path.display())));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let place = place(state)?;
    file.set_len(0)?;
    writeln!(file, "{}", name())?;
    Ok(Ok((file, place)))
}

/// A name that no other state folder has; written once, whole or not at all, since by it a lease of
/// a run that died here is known.
fn place(state: &Path) -> io::Result<String> {
    let path = state.join(PLACE);
    match std::fs::read_to_string(&path) {
        Ok(place) if !place.trim().is_empty() => return Ok(place.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let place = Item::name(&random);
    let fresh = state.join(format!("{PLACE}.new"));
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true);
    let mut file = options.mode(0o600).open(&fresh)?;
    file.write_all(place.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    Ok(place)
}

impl Holder {
    /// Takes the lease of the site, unless nothing is to be written.
    pub(super) fn lease(
        file: File,
        place: &str,
        site: &str,
        store: &Store,
        within: Duration,
    ) -> Result<Result<Self, String>, crate::store::Error> {
        let claim = Claim {
            name: format!("collect/{site}"),
            holder: name(),
            // A copied state folder on another host is another place.
            place: format!("{place}@{}", host()),
            lasts: LASTS,
        };
        let since = Instant::now();
        let lease = store.lease(&claim, within)?;
        Ok(lease.map(|lease| Self {
            lease: Some(lease),
            since,
            _file: file,
        }))
    }

    /// Only the lock of this host.
    pub(super) fn local(file: File) -> Self {
        Self {
            lease: None,
            since: Instant::now(),
            _file: file,
        }
    }
}

/// Host and process, for people.
fn name() -> String {
    format!("{} (process {})", host(), std::process::id())
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "a host" } else { name }.to_owned()
}
