//! A full spool, a disk without room, a disk that fails, a place where nothing can be: a clear error,
//! and nothing lost that was kept before.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use super::crash::FAILURES;
use super::{
    Error, Percent, Place, Settings, Spool, drain_all, entry, eventually, files, place, spool,
};
use crate::spool::error::io_error;

#[test]
fn a_full_spool_refuses_evicts_nothing_and_takes_again_after_a_drain() {
    let Place { spool, .. } = &place(512 << 10);
    let mut kept = 0;
    let error = loop {
        match spool.put(&entry(&[b'f'; 10_000])) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("raise spool.max_size") && !text.ends_with('.'),
        "{text}"
    );
    let status = spool.status().unwrap();
    assert!(status.bytes_on_disk <= 512 << 10);
    assert_eq!(status.pending, kept);
    assert_eq!(drain_all(spool).len() as u64, kept);
    eventually(spool, || spool.put(&entry(b"again")).is_ok());
}

#[test]
fn the_reserve_of_the_disk_is_kept() {
    let state = tempfile::tempdir().unwrap();
    let settings = Settings {
        disk_reserve: Percent(100),
        ..Settings::default()
    };
    let error = Spool::new(state.path(), "unassigned", &settings)
        .put(&entry(b"x"))
        .unwrap_err();
    assert!(matches!(error, Error::DiskLow { .. }), "{error}");
    assert!(error.to_string().contains("spool.disk_reserve"), "{error}");
}

#[test]
fn what_stands_in_the_way_is_named_with_its_fix() {
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join("spool"), "a file").unwrap();
    let error = spool(state.path(), 1 << 20)
        .put(&entry(b"x"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("a file is in the way"), "{error}");
    let error = spool(Path::new("/proc/nowhere"), 1 << 20)
        .put(&entry(b"x"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot create the folder /proc/nowhere"),
        "{error}"
    );
    assert!(!spool(Path::new("/nowhere"), 1 << 20).has_pending());
    assert_eq!(
        spool(Path::new("/nowhere"), 1 << 20)
            .status()
            .unwrap()
            .pending,
        0
    );
}

#[test]
fn a_segment_where_a_write_failed_is_sealed_and_the_record_goes_to_a_new_one() {
    let Place { spool, .. } = &place(4 << 20);
    spool.put(&entry(b"one")).unwrap();
    FAILURES.set(1);
    assert_eq!(spool.put(&entry(b"two")).unwrap().segment, 2);
    assert_eq!(spool.put(&entry(b"three")).unwrap().segment, 2);
    assert_eq!(drain_all(spool), [&b"one"[..], b"two", b"three"]);
    eventually(spool, || {
        !files(spool.folder()).contains(&"00000000000000000001.journal".to_owned())
    });
}

#[test]
fn a_disk_that_takes_no_write_is_an_error_and_later_ones_are_taken_again() {
    let Place { spool, .. } = &place(4 << 20);
    spool.put(&entry(b"one")).unwrap();
    FAILURES.set(usize::MAX);
    let error = spool.put(&entry(b"two")).unwrap_err().to_string();
    FAILURES.set(0);
    assert!(error.starts_with("cannot write /"), "{error}");
    assert!(error.ends_with("; check the disk (dmesg)"), "{error}");
    spool.put(&entry(b"three")).unwrap();
    assert_eq!(drain_all(spool), [&b"one"[..], b"three"]);
}

#[test]
fn errors_of_the_disk_name_path_cause_and_fix() {
    let causes = [
        Errno::ENOSPC,
        Errno::EDQUOT,
        Errno::EROFS,
        Errno::EACCES,
        Errno::EPERM,
        Errno::EIO,
        Errno::ELOOP,
    ];
    for errno in causes {
        let text = io_error("write", Path::new("/x/y"))(io::Error::from(errno)).to_string();
        assert!(text.starts_with("cannot write /x/y: "), "{text}");
        assert!(text.contains("; ") && !text.ends_with('.'), "{text}");
    }
}
