//! Whether somebody holds a lock, without taking it: whoever starts meanwhile must not find it taken.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What `/proc/locks` says of the file (proc(5)). False where nobody can tell.
pub(super) fn is_held(file: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(file) else {
        return false;
    };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|line| names(line, meta.ino()))
}

/// `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`. The device is not compared: what is written
/// there is not what `stat` says on overlayfs and btrfs.
fn names(line: &str, inode: u64) -> bool {
    let mut words = line.split_whitespace();
    let is_flock = words.nth(1) == Some("FLOCK");
    let place = words.nth(3).and_then(|place| place.rsplit(':').next());
    is_flock && place.and_then(|inode| inode.parse().ok()) == Some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_lock_is_seen_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(!is_held(&path));
        file.lock().unwrap();
        assert!(is_held(&path));
        file.unlock().unwrap();
        assert!(!is_held(&path));
        assert!(!is_held(&folder.path().join("none")));
    }

    #[test]
    fn a_process_that_waits_is_no_holder() {
        assert!(names("1: FLOCK  ADVISORY  WRITE 12 08:01:56 0 EOF", 56));
        assert!(!names("1: POSIX  ADVISORY  WRITE 12 08:01:56 0 EOF", 56));
        assert!(!names("1: -> FLOCK  ADVISORY  WRITE 12 08:01:56 0 EOF", 56));
        assert!(!names("", 56));
    }
}
