//! One collector of a site at a time: a lock on a file for this host, a lease in MongoDB for all.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::inventory::Item;
use crate::store::{Claim, Lease, Store};

/// How long the lease holds without being renewed: what a dead host keeps others waiting.
pub(super) const LASTS: Duration = Duration::from_secs(120);
const PLACE: &str = "collect.place";

/// What a run holds; both end with it, however it ends.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) lease: Option<Lease>,
    /// When the lease was taken.
    pub(super) since: Instant,
    _file: File,
}

/// The file that a run of this site keeps locked on this host.
pub fn lock_file(state: &Path, site: &str) -> PathBuf {
    state.join(format!("collect-{}.lock", file_name(site)))
}

/// Takes the lock of this host and gives this state folder's name. `Err` of the inner result says
/// who has it.
pub(super) fn lock(state: &Path, site: &str) -> io::Result<Result<(File, String), String>> {
    let path = lock_file(state, site);
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

/// A site's name as a part of a file's name: one for each site, whatever characters it has.
pub(super) fn file_name(site: &str) -> String {
    let mut name = String::new();
    for byte in site.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&u8::to_string(&byte));
            name.push('.');
        }
    }
    name
}

/// A name that no other state folder has; written once, whole or not at all, since by it a lease of
/// a run that died here is known. Of two that are first at the same time one gives in.
fn place(state: &Path) -> io::Result<String> {
    let path = state.join(PLACE);
    match read_place(&path) {
        Ok(place) if !place.is_empty() => return Ok(place),
        // Emptied by a disk that was full or a file system that was mended.
        Ok(_) => std::fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let place = Item::name(&random);
    let fresh = state.join(format!("{PLACE}.{place}"));
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true);
    let mut file = options.mode(0o600).open(&fresh)?;
    file.write_all(place.as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&fresh, &path);
    std::fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read_place(&path),
    }
}

fn read_place(path: &Path) -> io::Result<String> {
    let place = std::fs::read_to_string(path)?;
    Ok(place.trim().to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_has_a_file_of_its_own() {
        assert_eq!(file_name("paris-2"), "paris-2");
        let names = ["a b", "a_b", "a/b", "a%32.b", "../a", "å"].map(file_name);
        for (place, name) in names.iter().enumerate() {
            assert!(!name.contains(['/', ' ']) && !names[..place].contains(name));
            assert!(name.len() < 200);
        }
    }

    #[test]
    fn a_state_folder_has_one_name_for_all_who_ask_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let ask = || place(folder.path()).unwrap();
        let names: Vec<String> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(
            names
                .iter()
                .all(|name| *name == names[0] && name.len() == 32)
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::write(folder.path().join(PLACE), "").unwrap();
        assert_eq!(ask().len(), 32);
    }
}
