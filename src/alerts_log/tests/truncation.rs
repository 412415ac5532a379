//! Files that become shorter, and copies of what they held.

use std::fs;
use std::os::unix::fs::FileExt;

use super::{Log, Start, read, read_all, reopened};

#[test]
fn a_copy_is_read_to_its_end_before_the_truncated_file() {
    let (mut log, mut tail) = Log::followed(5);
    assert_eq!(read(&mut tail, 2), log.lines[..2]);
    let place = tail.checkpoint();
    log.copy_and_truncate();
    log.append(2);
    let mut restarted = reopened(&log, &place);
    assert_eq!(read_all(&mut tail), log.lines[2..]);
    assert_eq!(read_all(&mut restarted), log.lines[2..]);
    assert!(tail.lost().is_none());
}

#[test]
fn truncated_and_regrown_between_two_looks_is_seen_by_the_beginning() {
    let (mut log, mut tail) = Log::followed(3);
    assert_eq!(read_all(&mut tail), log.lines);
    let place = tail.checkpoint();
    log.append(1);
    log.copy_and_truncate();
    log.append(9);
    assert!(log.writer.metadata().unwrap().len() > place.offset);
    assert_eq!(read_all(&mut tail), log.lines[3..]);
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines[3..]);
}

#[test]
fn several_copies_in_an_outage_come_in_order() {
    let (mut log, mut tail) = Log::followed(2);
    read(&mut tail, 1);
    let place = tail.checkpoint();
    for turn in 0..3 {
        log.copy_and_truncate();
        log.append(2);
        if turn == 1 {
            log.gzip(&log.path("alerts.json.2"));
        }
    }
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines[1..]);
}

#[test]
fn without_a_copy_reading_begins_again_and_says_so() {
    let (mut log, mut tail) = Log::followed(3);
    read(&mut tail, 2);
    log.truncate();
    log.append(1);
    // What was read ahead of the truncation is given out all the same.
    assert_eq!(read_all(&mut tail), log.lines[2..]);
    let lost = tail.lost().expect("a warning");
    assert_eq!(lost.continued_in, log.live());
    assert_eq!(lost.place.inode, tail.checkpoint().inode);
}

#[test]
fn a_file_that_stays_empty_is_waited_for() {
    let (mut log, mut tail) = Log::followed(3);
    read_all(&mut tail);
    log.truncate();
    for _ in 0..3 {
        assert!(read_all(&mut tail).is_empty());
    }
    let place = tail.checkpoint();
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[3..]);
    assert_eq!(read_all(&mut reopened(&log, &place)), log.lines[3..]);
}

/// A writer that does not append leaves a hole as long as what was cut off, each time.
#[test]
fn each_copytruncate_under_a_writer_that_does_not_append_is_seen() {
    let mut log = Log::new();
    let writer = fs::File::options().write(true).open(log.live()).unwrap();
    let mut end = 0;
    let mut write = |log: &mut Log| {
        for _ in 0..3 {
            let line = log.next_line(4000) + "\n";
            writer.write_all_at(line.as_bytes(), end).unwrap();
            end += line.len() as u64;
        }
        log.tick();
    };
    write(&mut log);
    let mut tail = log.tail(Start::Beginning);
    assert_eq!(read_all(&mut tail), log.lines);
    for turn in 1..4 {
        let before = log.lines.len();
        write(&mut log);
        log.copy_and_truncate();
        write(&mut log);
        let mut lines = read_all(&mut tail);
        assert!(
            lines.iter().any(|line| line.ends_with("nuls)")),
            "turn {turn}"
        );
        lines.retain(|line| line.starts_with('{'));
        assert_eq!(lines, log.lines[before..], "turn {turn}");
        assert!(tail.lost().is_none());
    }
}

#[test]
fn a_replacement_that_was_copied_and_truncated_is_found_as_the_copy() {
    let mut log = Log::new();
    log.append(3);
    log.write(b"{\"begun\"");
    let mut tail = log.tail(Start::Beginning);
    assert_eq!(read_all(&mut tail), log.lines);
    log.replace_by_a_copy();
    log.write(b":1}\n");
    log.copy_and_truncate();
    log.append(1);
    log.rotate();
    assert_eq!(read_all(&mut tail), ["{\"begun\":1}", &log.lines[3]]);
}

/// The dated name of the file that was read to its end belongs to other lines by now.
#[test]
fn a_replacement_that_was_truncated_is_not_taken_for_the_file_itself() {
    let (mut log, mut tail) = Log::followed(3);
    assert_eq!(read_all(&mut tail), log.lines);
    log.replace_by_a_copy();
    log.copy_and_truncate();
    log.append(1);
    log.rotate();
    assert_eq!(read_all(&mut tail), log.lines[3..]);
}

/// Nothing tells of it but the copy: the file was empty, and is a file with lines now.
#[test]
fn lines_that_were_copied_away_before_the_first_look_are_found() {
    let mut log = Log::new();
    let mut tail = log.tail(Start::Beginning);
    assert!(read_all(&mut tail).is_empty());
    log.append(2);
    log.copy_and_truncate();
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines);
}

#[test]
fn a_file_cut_back_behind_its_beginning_is_read_again() {
    let mut log = Log::new();
    for _ in 0..3 {
        let line = log.next_line(5000) + "\n";
        log.write(line.as_bytes());
    }
    let mut tail = log.tail(Start::Beginning);
    assert_eq!(read_all(&mut tail), log.lines);
    let first = log.lines[0].len() as u64 + 1;
    log.writer.set_len(first).unwrap();
    assert_eq!(read_all(&mut tail), log.lines[..1]);
    assert!(tail.lost().is_some());
}
