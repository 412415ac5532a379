//! Where a tail begins, and what a restart makes of a place.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Checkpoint, Error, Log, MetadataExt, Start, Tail, read, read_all, reopened, start_of};
use crate::alerts_log::tail::Lost;

#[test]
fn the_end_is_behind_the_last_whole_line() {
    let mut log = Log::new();
    log.append(2);
    log.write(b"{\"begun");
    let mut tail = log.tail(Start::End);
    assert!(read_all(&mut tail).is_empty());
    log.write(b"\":1}\n");
    assert_eq!(read_all(&mut tail), ["{\"begun\":1}"]);
    // A file that is one unfinished line, longer than a block.
    let mut log = Log::new();
    log.write(&vec![b' '; 200_000]);
    let mut tail = log.tail(Start::End);
    log.write(b"{}\n");
    assert_eq!(read_all(&mut tail).len(), 1);
}

#[test]
fn a_checkpoint_at_any_line_goes_on_with_the_next() {
    let mut log = Log::new();
    log.append(6);
    for line in 0..=6 {
        let mut tail = log.tail(Start::Beginning);
        read(&mut tail, line);
        let mut again = reopened(&log, &tail.checkpoint());
        assert_eq!(read_all(&mut again), log.lines[line..]);
    }
}

#[test]
fn a_checkpoint_of_an_empty_file_loses_nothing() {
    let mut log = Log::new();
    let place = log.tail(Start::End).checkpoint();
    assert_eq!((place.offset, place.beginning.length), (0, 0));
    log.append(2);
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines);
    log.rotate();
    log.append(2);
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines);
}

#[test]
fn since_begins_at_the_right_day() {
    let mut log = Log::new();
    let mut starts = Vec::new();
    for day in 0..5 {
        starts.push((log.clock, log.lines.len()));
        log.append(2);
        let old = log.rotate();
        if day % 2 == 0 {
            log.gzip(&old);
        }
    }
    log.append(1);
    for (time, first) in starts {
        let mut tail = log.tail(Start::Since(time + Duration::from_secs(1)));
        let lines = read_all(&mut tail);
        let from = log.lines.len() - lines.len();
        assert_eq!(lines, log.lines[from..]);
        // Not later than wanted, and not more than two days earlier.
        assert!(from <= first && first <= from + 4, "{from} for {first}");
    }
}

#[test]
fn since_finds_archives_before_there_is_a_live_file() {
    let mut log = Log::new();
    log.append(2);
    log.rotate();
    log.append(2);
    fs::remove_file(log.live()).unwrap();
    let mut tail = log.tail(Start::Since(start_of(super::FIRST_DAY)));
    assert_eq!(read_all(&mut tail), log.lines);
    fs::hard_link(log.dated(), log.live()).unwrap();
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[4..]);
}

#[test]
fn a_reused_inode_is_not_the_same_file() {
    let (mut log, mut tail) = Log::followed(3);
    read(&mut tail, 2);
    let mut place = tail.checkpoint();
    let old = log.rotate();
    log.append(2);
    place.inode = fs::metadata(log.live()).unwrap().ino();
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines[2..]);
    log.gzip(&old);
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines[2..]);
}

#[test]
fn a_device_number_that_changed_with_a_reboot_is_no_loss() {
    let (mut log, mut tail) = Log::followed(3);
    read(&mut tail, 1);
    let mut place = tail.checkpoint();
    place.device += 1;
    log.rotate();
    log.append(1);
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines[1..]);
}

#[test]
fn a_place_that_retention_removed_is_reported_and_the_oldest_newer_file_comes_first() {
    let (mut log, mut tail) = Log::followed(3);
    read(&mut tail, 1);
    let place = tail.checkpoint();
    let mut old = vec![log.rotate()];
    log.append(2);
    old.push(log.rotate());
    log.append(2);
    old.push(log.rotate());
    log.append(2);
    fs::remove_file(&old[0]).unwrap();
    let packed = log.gzip(&old[1]);
    let mut again = reopened(&log, &place);
    assert_eq!(read_all(&mut again), log.lines[3..]);
    let lost = again.lost().cloned().expect("a warning");
    let expected = Lost {
        place: place.clone(),
        continued_in: packed,
    };
    assert_eq!(lost, expected);
    // Without its dated name (another writer's log) the time decides.
    let nameless = Checkpoint {
        dated: None,
        ..place
    };
    assert_eq!(read_all(&mut reopened(&log, &nameless)), log.lines[3..]);
}

#[test]
fn a_saved_checkpoint_is_the_same_when_it_is_loaded() {
    let (log, mut tail) = Log::followed(1);
    read_all(&mut tail);
    let (place, file) = (tail.checkpoint(), log.path("follow.checkpoint"));
    assert_eq!(Checkpoint::load(&file).unwrap(), None);
    place.save(&file).unwrap();
    place.save(&file).unwrap();
    assert_eq!(Checkpoint::load(&file).unwrap(), Some(place));
}

#[test]
fn a_checkpoint_that_cannot_be_understood_is_an_error_with_the_fix() {
    let log = Log::new();
    let file = log.path("checkpoint");
    let fault = |text: &str| {
        fs::write(&file, text).unwrap();
        match Checkpoint::load(&file) {
            Err(error @ Error::Checkpoint { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    log.tail(Start::End).checkpoint().save(&file).unwrap();
    let sound = fs::read_to_string(&file).unwrap();
    for damaged in [
        "",
        "{",
        "null",
        "\0\0\0",
        "{\"version\":1}",
        &sound[..sound.len() / 2],
    ] {
        let fault = fault(damaged);
        assert!(
            fault.contains("--since") && fault.contains("checkpoint"),
            "{fault}"
        );
    }
    let newer = fault(&sound.replace("\"version\":1", "\"version\":2,\"new\":0"));
    assert!(newer.contains("version 2"), "{newer}");
}

#[test]
fn a_checkpoint_that_cannot_be_saved_leaves_the_one_before() {
    let log = Log::new();
    let place = log.tail(Start::End).checkpoint();
    let file = log.path("checkpoint");
    place.save(&file).unwrap();
    fs::create_dir(log.path("checkpoint.new")).unwrap();
    let other = Checkpoint {
        offset: 99,
        ..place.clone()
    };
    assert!(other.save(&file).is_err());
    assert_eq!(Checkpoint::load(&file).unwrap(), Some(place));
}

#[test]
fn what_cannot_be_read_is_named_and_reading_goes_on_later() {
    let (mut log, mut tail) = Log::followed(1);
    read_all(&mut tail);
    fs::remove_file(log.live()).unwrap();
    // A loop of links: root too cannot open it.
    std::os::unix::fs::symlink("alerts.json", log.live()).unwrap();
    let error = tail.next().unwrap_err().to_string();
    assert!(error.contains("alerts.json"), "{error}");
    fs::remove_file(log.live()).unwrap();
    log.rotate();
    log.append(2);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
}

#[test]
fn a_damaged_archive_gives_its_lines_then_one_error_then_the_next_file() {
    let (mut log, mut tail) = Log::followed(1);
    read_all(&mut tail);
    let place = tail.checkpoint();
    log.rotate();
    for _ in 0..200 {
        let line = log.next_line(3000);
        log.write(format!("{line}\n").as_bytes());
    }
    let old = log.rotate();
    log.append(1);
    let packed = log.gzip(&old);
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() / 2]).unwrap();
    let mut tail = reopened(&log, &place);
    let mut lines = Vec::new();
    let error = loop {
        match tail.next() {
            Ok(Some((piece, _))) => lines.push(super::shown(piece)),
            Ok(None) => panic!("no error"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, Error::Damaged { path, .. } if *path == packed),
        "{error}"
    );
    assert!(!lines.is_empty() && lines == log.lines[1..=lines.len()]);
    let rest = read_all(&mut tail);
    assert_eq!(rest.last(), log.lines.last());
    assert!(rest.len() <= 2, "{rest:?}");
}

#[test]
fn the_kinds_of_paths_do_not_matter() {
    let mut log = Log::new();
    log.append(1);
    let path = log.folder.path().join("./2025/../alerts.json");
    let mut tail = Tail::open(&path, Start::Beginning).unwrap();
    assert_eq!(read_all(&mut tail), log.lines);
    log.rotate();
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
    assert!(
        Tail::open(Path::new("alerts.json"), Start::End)
            .unwrap()
            .next()
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_checkpoint_stays_behind_the_last_line_until_the_next_file_gives_one() {
    let (mut log, mut tail) = Log::followed(2);
    read_all(&mut tail);
    let first = log.dated();
    log.rotate();
    log.write(b"{\"begun\"");
    assert!(read_all(&mut tail).is_empty());
    let place = tail.checkpoint();
    assert_eq!(place.inode, fs::metadata(&first).unwrap().ino());
    log.write(b":1}\n");
    let (piece, of_piece) = tail.next().unwrap().unwrap();
    assert_eq!(
        (super::shown(piece), of_piece.offset),
        ("{\"begun\":1}".to_owned(), 0)
    );
    assert_eq!(**of_piece.file, *log.live());
    assert_eq!(
        tail.checkpoint().inode,
        fs::metadata(log.live()).unwrap().ino()
    );
    log.gzip(&first);
    assert_eq!(read_all(&mut reopened(&log, &place)), ["{\"begun\":1}"]);
}

/// Another file that begins with a few of the same bytes is not its file.
#[test]
fn a_checkpoint_of_a_line_just_begun_loses_nothing() {
    let mut log = Log::new();
    let line = log.next_line(100) + "\n";
    log.write(&line.as_bytes()[..5]);
    let mut place = log.tail(Start::Beginning).checkpoint();
    assert_eq!((place.offset, place.beginning.length), (0, 5));
    log.write(&line.as_bytes()[5..]);
    log.rotate();
    log.append(2);
    place.inode = fs::metadata(log.live()).unwrap().ino();
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines);
}
