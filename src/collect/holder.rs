//! One collector at a time: a lock on a file for this host, a lease in MongoDB for the site.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::store::{Claim, Lease, Store};

/// How long the lease holds without being renewed: what a dead host keeps others waiting.
pub(super) const LASTS: Duration = Duration::from_secs(120);
const FILE: &str = "collect.lock";

/// What a run holds; both end with it, however it ends.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) lease: Option<Lease>,
    _file: File,
}

/// Takes the lock of this host. `Err` of the inner result says who has it.
pub(super) fn lock(state: &Path) -> io::Result<Result<(File, String), String>> {
    let path = state.join(FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)?;
    let mut content = String::new();
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            (&file).take(4096).read_to_string(&mut content).ok();
            let holder = content
                .lines()
                .next()
                .unwrap_or("another process")
                .to_owned();
            return Ok(Err(format!("{holder} holds {}", path.display())));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    }
    (&file).take(4096).read_to_string(&mut content).ok();
    let place = content.lines().nth(1).filter(|place| place.len() == 32);
    let place = place.map_or_else(new_place, str::to_owned);
    file.rewind()?;
    file.set_len(0)?;
    writeln!(file, "{}\n{place}", name())?;
    Ok(Ok((file, place)))
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
        let lease = store.lease(&claim, within)?;
        Ok(lease.map(|lease| Self {
            lease: Some(lease),
            _file: file,
        }))
    }

    /// Only the lock of this host.
    pub(super) fn local(file: File) -> Self {
        Self {
            lease: None,
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

/// A name that no other state folder has.
fn new_place() -> String {
    let mut random = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    if read.is_err() {
        let unique = format!("{:?} {}", std::time::SystemTime::now(), std::process::id());
        return format!("{unique:0>32}").chars().rev().take(32).collect();
    }
    crate::inventory::Item::name(&random)
}
