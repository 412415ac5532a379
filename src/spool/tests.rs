//! What the room promises, tried out on a real disk: doors here, dead letters, limits, a model with random actions, death
//! at every step, and processes side by side each in a file of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

pub(super) mod crash;
mod dead;
mod limits;
mod model;
mod processes;

/// A spool in a folder of its own that goes with it.
pub(super) struct Place {
    pub(super) state: TempDir,
    pub(super) spool: Spool,
}

pub(super) fn place(max_size: u64) -> Place {
    let state = tempfile::tempdir().unwrap();
    let spool = spool(state.path(), max_size);
    Place { state, spool }
}

pub(super) fn spool(state: &Path, max_size: u64) -> Spool {
    let settings = Settings {
        max_size: Size(max_size),
        disk_reserve: Percent(0),
    };
    Spool::new(state, "0123456789abcdef", &settings)
}

pub(super) fn entry(raw: &[u8]) -> EntryRef<'_> {
    EntryRef {
        received_at_ms: 1_764_000_000_123,
        source: 3,
        options: b"{\"a\":1}",
        raw,
    }
}

/// Everything that waits, settled.
pub(super) fn drain_all(spool: &Spool) -> Vec<Vec<u8>> {
    let mut drain = drainer(spool);
    let mut all = Vec::new();
    loop {
        let batch = drain.next_batch(7, 100_000).unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.into_iter().map(|(_, entry)| entry.raw));
        drain.settle().unwrap();
    }
}

/// The right to drain. A test beside this one may be starting a process: until that one has become
/// its program it has copies of all open files, and with them of our locks.
pub(super) fn drainer(spool: &Spool) -> drain::Drain {
    let started = Instant::now();
    loop {
        if let Some(drain) = spool.drain().unwrap() {
            return drain;
        }
        assert!(
            started.elapsed().as_secs() < 10,
            "the lock of the drain stays taken"
        );
        sleep(Duration::from_millis(1));
    }
}

/// Waits, for the same reason, until a drain that finds nothing more to deliver has tidied up.
pub(super) fn eventually(spool: &Spool, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed().as_secs() < 10, "the spool stays as it is");
        assert!(drain_all(spool).is_empty());
    }
}

/// A folder for tests in which processes die but the power stays on: memory serves as well as a disk.
pub(super) fn quick_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_put_comes_out_as_it_was() {
    let Place { spool, .. } = &place(8 << 20);
    assert!(!spool.has_pending());
    let id = spool.put(&entry(b"{\"id\":\"1\"}")).unwrap();
    assert_eq!(id.to_string(), "1:1");
    assert!(spool.put(&entry(b"")).unwrap() > id);
    assert!(spool.has_pending());
    let listed = spool.list(1).unwrap();
    assert_eq!((listed.len(), listed[0].id, listed[0].bytes), (1, id, 10));
    let mut drain = drainer(spool);
    let batch = drain.next_batch(10, 1 << 20).unwrap();
    let want = entry(b"{\"id\":\"1\"}").to_entry();
    assert_eq!(batch[0], (id, want));
    assert_eq!(batch[1].1.raw, b"");
    assert!(drain.next_batch(10, 1 << 20).unwrap().is_empty());
    assert!(spool.has_pending());
    drain.settle().unwrap();
    assert!(!spool.has_pending());
}

#[test]
fn many_are_put_together_in_their_order_across_segments() {
    let Place { spool, .. } = &place(8 << 20);
    let raws: Vec<Vec<u8>> = (0..900_u32)
        .map(|number| [number.to_be_bytes().as_slice(), &[b'm'; 3000]].concat())
        .collect();
    let entries: Vec<_> = raws.iter().map(|raw| entry(raw)).collect();
    let all = spool.put_all(&entries);
    assert!(all.refused.is_none() && all.kept.is_sorted());
    assert_eq!(all.kept.len(), 900);
    assert!(all.kept.last().unwrap().segment > 1);
    assert_eq!(drain_all(spool), raws);
    assert!(spool.put_all(&[]).kept.is_empty());
}

#[test]
fn of_many_those_before_the_refused_one_are_kept() {
    let Place { spool, .. } = &place(512 << 10);
    let large = vec![b'L'; record::MAX_RAW + 1];
    let all = spool.put_all(&[entry(b"one"), entry(b"two"), entry(&large), entry(b"four")]);
    assert_eq!(all.kept.len(), 2);
    assert!(matches!(all.refused, Some(Error::TooLarge { .. })));
    assert_eq!(drain_all(spool), [b"one", b"two"]);
    let many = vec![entry(&[b'f'; 10_000]); 100];
    let all = spool.put_all(&many);
    assert!(matches!(all.refused, Some(Error::Full { .. })));
    let kept = all.kept.len();
    assert!((10..100).contains(&kept), "{kept}");
    assert_eq!(drain_all(spool).len(), kept);
}

#[test]
fn what_is_not_settled_comes_again() {
    let Place { spool, .. } = &place(8 << 20);
    spool.put(&entry(b"one")).unwrap();
    let mut drain = drainer(spool);
    assert_eq!(drain.next_batch(1, 1).unwrap().len(), 1);
    drop(drain);
    assert_eq!(drain_all(spool), [b"one"]);
    assert!(drain_all(spool).is_empty());
}

#[test]
fn a_batch_keeps_its_limits_and_gives_at_least_one() {
    let Place { spool, .. } = &place(8 << 20);
    for _ in 0..5 {
        spool.put(&entry(&[b'x'; 1000])).unwrap();
    }
    let mut drain = drainer(spool);
    assert_eq!(drain.next_batch(10, 2500).unwrap().len(), 2);
    assert_eq!(drain.next_batch(10, 1).unwrap().len(), 1);
    assert_eq!(drain.next_batch(1, 9999).unwrap().len(), 1);
    drain.settle().unwrap();
    assert_eq!(drain.next_batch(10, 9999).unwrap().len(), 1);
    drain.settle().unwrap();
    assert!(!spool.has_pending());
}

#[test]
fn one_drainer_at_a_time_and_its_pid_is_known() {
    let Place { spool, .. } = &place(8 << 20);
    let first = spool.drain().unwrap();
    assert!(first.is_some());
    assert!(spool.drain().unwrap().is_none());
    assert_eq!(spool.drainer(), Some(std::process::id()));
    drop(first);
    drop(drainer(spool));
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let Place { spool, .. } = &place(100 << 20);
    let large = vec![b'L'; record::MAX_RAW];
    spool.put(&entry(b"before")).unwrap();
    spool.put(&entry(&large)).unwrap();
    spool.put(&entry(b"behind")).unwrap();
    assert_eq!(spool.status().unwrap().pending, 3);
    let all = drain_all(spool);
    assert!(all.len() == 3 && all[0] == b"before" && all.contains(&large));
    eventually(spool, || spool.status().unwrap().bytes_on_disk < 10 << 20);
    let error = spool
        .put(&entry(&vec![0; record::MAX_RAW + 1]))
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn a_finished_segment_is_used_again_and_its_old_records_stay_dead() {
    let Place { spool, .. } = &place(512 << 10);
    let mut delivered = 0;
    for round in 0_u32..20 {
        for _ in 0..10 {
            spool
                .put(&entry(
                    &[round.to_le_bytes().as_slice(), &vec![b'r'; 20_000]].concat(),
                ))
                .unwrap();
        }
        let all = drain_all(spool);
        assert!(all.iter().all(|raw| raw.starts_with(&round.to_le_bytes())));
        delivered += all.len();
    }
    assert_eq!(delivered, 200);
    eventually(spool, || files(spool.folder()).len() == 3);
    assert!(files(spool.folder()).contains(&"spare".to_owned()));
}

#[test]
fn folders_are_0700_and_files_0600() {
    let Place { state, spool } = &place(1 << 20);
    spool.put(&entry(b"x")).unwrap();
    let id = spool.bury(&dead::letter(b"y")).unwrap();
    drop(drainer(spool));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = spool.folder();
    for path in [
        state.path().join("spool").as_path(),
        folder,
        &folder.join("dead"),
    ] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    for name in [
        segment::file_name(1),
        "drain.lock".into(),
        format!("dead/{id}.dead"),
    ] {
        assert_eq!(mode(&folder.join(&name)), 0o600, "{name}");
    }
    assert_eq!(destinations(state.path()).unwrap(), ["0123456789abcdef"]);
}

#[test]
fn a_writer_who_opened_a_segment_before_it_was_recycled_sees_that() {
    let Place { spool, .. } = &place(512 << 10);
    let open = |number| {
        let path = spool.folder().join(segment::file_name(number));
        let file = fs::OpenOptions::new().read(true).write(true).open(&path);
        (path, file.unwrap())
    };
    let large = vec![b'l'; 40_000];
    (0..3).for_each(|_| assert!(spool.put(&entry(&large)).is_ok()));
    let (first, second) = (open(1), open(2));
    assert_eq!(drain_all(spool).len(), 3);
    eventually(spool, || {
        spool.folder().join("spare").exists() && !first.0.exists() && !second.0.exists()
    });
    for (number, (path, file)) in [(1, first), (2, second)] {
        let segment = segment::Segment::of(number, path, file).unwrap();
        assert!(segment.sealed() && segment.room(1).unwrap().is_none());
    }
}

#[test]
fn a_segment_of_a_later_version_is_left_alone() {
    let Place { spool, .. } = &place(1 << 20);
    spool.put(&entry(b"x")).unwrap();
    let path = spool.folder().join(segment::file_name(1));
    let length = fs::metadata(&path).unwrap().len();
    let mark = sectors::Mark {
        generation: 1,
        offset: length,
        seq: sectors::VERSION + 1,
    };
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    step::write_at(&file, &sectors::encode(sectors::Kind::Header, &mark), 0).unwrap();
    assert!(!spool.has_pending());
    assert!(drain_all(spool).is_empty());
    assert_eq!(spool.put(&entry(b"y")).unwrap().segment, 2);
    assert_eq!(drain_all(spool), [b"y"]);
    assert!(path.exists());
}

#[test]
fn junk_in_the_folder_is_no_trouble() {
    let Place { spool, .. } = &place(1 << 20);
    spool.prepare().unwrap();
    fs::write(spool.folder().join(segment::file_name(3)), "").unwrap();
    fs::write(spool.folder().join(segment::file_name(4)), vec![0xA5; 9000]).unwrap();
    fs::write(spool.folder().join("00000000000000000009.journal~"), "x").unwrap();
    fs::write(spool.folder().join("spare"), "x").unwrap();
    assert_eq!(spool.put(&entry(b"one")).unwrap().segment, 5);
    assert_eq!(drain_all(spool), [b"one"]);
    eventually(spool, || !spool.dead().unwrap().is_empty());
    let dead = spool.dead().unwrap();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(
        dead[0]
            .reason
            .starts_with("damaged record in 00000000000000000004.journal at offset 4096")
    );
    assert!(!spool.has_pending());
}

#[test]
fn a_search_behind_forged_damage_ends_in_time() {
    let magic = [0x00, 0xA7, 0x01, 0xC5];
    let mut bytes = vec![0_u8; 4 << 20];
    for (index, block) in bytes.chunks_exact_mut(32).enumerate() {
        block[..4].copy_from_slice(&magic);
        block[8..12].copy_from_slice(
            &u32::try_from((4 << 20) - index * 32 - 32)
                .unwrap()
                .max(4)
                .to_le_bytes(),
        );
        block[16..24].copy_from_slice(&9_u64.to_le_bytes());
    }
    let started = Instant::now();
    let scan = scan::scan(1, &bytes, 0, 0);
    assert!(scan.gave_up && scan.tail == bytes.len());
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn what_was_delivered_is_gone_from_the_disk_when_it_has_to_be() {
    let Place { spool, .. } = &place(1 << 20);
    let secret = [b"alice@example.org".as_slice(), &[b'.'; 5000]].concat();
    for _ in 0..40 {
        spool.put(&entry(&secret)).unwrap();
    }
    assert_eq!(drain_all(spool).len(), 40);
    let bytes = || -> Vec<u8> {
        let files = fs::read_dir(spool.folder()).unwrap();
        files
            .flat_map(|file| fs::read(file.unwrap().path()).unwrap_or_default())
            .collect()
    };
    let is_there = || bytes().windows(17).any(|part| part == &secret[..17]);
    assert!(is_there(), "the test shows nothing");
    assert!(drainer(spool).forget().unwrap());
    assert!(!is_there());

    spool.put(&entry(b"later")).unwrap();
    assert!(!drainer(spool).forget().unwrap(), "what waits stays");
    assert_eq!(drain_all(spool), [b"later"]);
}
