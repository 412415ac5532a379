//! Files that follow each other.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use super::{Log, Start, Tail, read, read_all, reopened};

#[test]
fn late_bytes_of_the_old_file_come_before_the_new_one() {
    let (mut log, mut tail) = Log::followed(2);
    assert_eq!(read_all(&mut tail), log.lines);
    log.append(1);
    let mut old = log.writer.try_clone().unwrap();
    log.rotate();
    let late = log.next_line(5);
    old.write_all(format!("{late}\n").as_bytes()).unwrap();
    old.set_modified(log.clock).unwrap();
    log.append(2);
    let rest = read_all(&mut tail);
    assert_eq!(rest, log.lines[2..]);
}

/// Also when it was renamed under a writer that knows nothing of it.
#[test]
fn the_old_file_is_read_on_while_the_new_one_is_empty() {
    let (mut log, mut tail) = Log::followed(1);
    read_all(&mut tail);
    let mut old = log.writer.try_clone().unwrap();
    log.rotate();
    for number in 0..3 {
        write!(old, "{{\"cut").unwrap();
        assert!(read_all(&mut tail).is_empty());
        writeln!(old, "\":{number}}}").unwrap();
        assert_eq!(read_all(&mut tail), [format!("{{\"cut\":{number}}}")]);
    }
    write!(old, "{{\"cut\":9").unwrap();
    assert!(read_all(&mut tail).is_empty());
    log.append(1);
    assert_eq!(read_all(&mut tail), ["{\"cut\":9", &log.lines[1]]);
}

/// Several rotations while nobody reads: by day and within it, some compressed, the reader's too.
#[test]
fn after_an_outage_all_files_come_in_order() {
    for compressed in 0..16 {
        let mut log = Log::new();
        log.append(3);
        let mut tail = log.tail(Start::Beginning);
        assert_eq!(read(&mut tail, 2), log.lines[..2]);
        let place = tail.checkpoint();
        drop(tail);
        let mut old = vec![log.rotate()];
        log.append(2);
        old.push(log.rotate_within_the_day());
        log.append(2);
        old.push(log.rotate_within_the_day());
        log.append(1);
        old.push(log.rotate());
        log.append(2);
        for (index, path) in old.iter().enumerate() {
            if compressed & (1 << index) != 0 {
                log.gzip(path);
            }
        }
        let mut tail = reopened(&log, &place);
        assert_eq!(
            read_all(&mut tail),
            log.lines[2..],
            "compressed: {compressed:b}"
        );
        assert!(tail.lost().is_none());
        log.append(1);
        assert_eq!(read_all(&mut tail).len(), 1);
    }
}

#[test]
fn a_rotation_in_the_middle_of_an_older_file_leaves_none_out() {
    let mut log = Log::new();
    log.append(1);
    let place = {
        let mut tail = log.tail(Start::Beginning);
        read_all(&mut tail);
        tail.checkpoint()
    };
    log.rotate();
    log.append(4);
    log.rotate();
    log.append(2);
    let mut tail = reopened(&log, &place);
    let mut lines = read(&mut tail, 2);
    log.rotate();
    log.append(2);
    let between = log.rotate();
    log.gzip(&between);
    log.append(2);
    lines.extend(read_all(&mut tail));
    assert_eq!(lines, log.lines[1..]);
}

#[test]
fn files_that_logrotate_renames_come_in_order() {
    let (mut log, mut tail) = Log::followed(2);
    read(&mut tail, 1);
    let place = tail.checkpoint();
    for turn in 0..3 {
        log.shift();
        // Without a dated name: another writer's log.
        fs::remove_file(log.dated()).unwrap();
        fs::rename(log.live(), log.path("alerts.json.1")).unwrap();
        if turn == 1 {
            log.gzip(&log.path("alerts.json.2"));
        }
        log.sequence += 1;
        log.open_writer();
        log.append(2);
    }
    fs::remove_file(log.dated()).unwrap();
    assert_eq!(read_all(&mut tail), log.lines[1..]);
    let mut tail = reopened(&log, &place);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
}

#[test]
fn a_last_line_without_its_end_is_given_out_when_its_file_is_over() {
    let mut log = Log::new();
    log.append(1);
    log.write(b"{\"cut\":1");
    let mut tail = log.tail(Start::Beginning);
    assert_eq!(read_all(&mut tail), log.lines);
    log.rotate();
    log.append(1);
    let expected = ["{\"cut\":1".to_owned(), log.lines[1].clone()];
    assert_eq!(read_all(&mut tail), expected);
}

#[test]
fn a_copy_that_replaces_the_file_is_read_on_from_the_same_place() {
    let (mut log, mut tail) = Log::followed(3);
    read_all(&mut tail);
    log.append(1);
    for turn in 0..2 {
        log.replace_by_a_copy();
        log.append(2);
        let seen = log.lines.len() - 3 + turn;
        assert_eq!(read_all(&mut tail), log.lines[seen..]);
        let place = tail.checkpoint();
        tail = reopened(&log, &place);
    }
}

#[test]
fn a_copy_left_beside_the_log_is_not_read_again() {
    let (mut log, mut tail) = Log::followed(3);
    read_all(&mut tail);
    log.copy("alerts.json.bak");
    log.append(1);
    log.rotate();
    log.append(1);
    log.copy("alerts.json.save");
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[3..]);
    // Younger than what it was copied from.
    log.copy("alerts.json.old");
    log.rotate();
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[6..]);
}

#[test]
fn a_replacement_that_was_compressed_is_read_on_from_the_same_place() {
    let (mut log, mut tail) = Log::followed(3);
    assert_eq!(read_all(&mut tail), log.lines);
    log.replace_by_a_copy();
    log.append(2);
    let old = log.rotate();
    log.gzip(&old);
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[3..]);
}

#[test]
fn a_file_that_is_being_compressed_is_read_from_its_original() {
    let (mut log, mut tail) = Log::followed(1);
    read_all(&mut tail);
    log.rotate();
    log.append(2);
    let old = log.rotate();
    log.append(1);
    fs::write(format!("{}.gz", old.display()), [0x1f, 0x8b, 8]).unwrap();
    assert_eq!(read_all(&mut tail), log.lines[1..]);
}

/// A file that was compressed late is younger than the files behind it.
#[test]
fn dated_names_come_before_times() {
    let (mut log, mut tail) = Log::followed(1);
    read_all(&mut tail);
    log.rotate();
    log.append(1);
    let first = log.rotate_within_the_day();
    log.append(1);
    log.rotate_within_the_day();
    log.append(1);
    log.copy_and_truncate();
    log.append(1);
    log.rotate_within_the_day();
    log.gzip(&first);
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
}

#[test]
fn an_empty_file_that_wazuh_removes_is_no_loss() {
    let mut log = Log::new();
    log.append(1);
    log.rotate();
    let mut tail = log.tail(Start::End);
    let place = tail.checkpoint();
    let empty = log.dated();
    log.rotate();
    fs::remove_file(empty).unwrap();
    log.append(2);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
    let mut tail = reopened(&log, &place);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
    assert!(tail.lost().is_none());
}

#[test]
fn a_symlink_is_followed_to_its_target_and_its_dated_folders() {
    let mut log = Log::new();
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("alerts.json");
    symlink(log.live(), &link).unwrap();
    log.append(2);
    let mut tail = Tail::open(&link, Start::Beginning).unwrap();
    read(&mut tail, 1);
    log.rotate();
    log.append(1);
    log.rotate();
    log.append(1);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
}

/// Else its inode could come back as the live file's, which would be taken for it.
#[test]
fn a_compressed_file_stays_open_as_long_as_it_is_the_last() {
    let (mut log, mut tail) = Log::followed(2);
    read(&mut tail, 1);
    let place = tail.checkpoint();
    drop(tail);
    let old = log.rotate();
    let packed = log.gzip(&old);
    let mut tail = reopened(&log, &place);
    assert_eq!(read_all(&mut tail), log.lines[1..]);
    fs::remove_file(&packed).unwrap();
    assert!(read_all(&mut tail).is_empty());
    let writer = "ossec-alerts-30.json";
    assert_eq!(
        open_files(&log),
        ["ossec-alerts-29.json.gz (deleted)", writer]
    );
}

/// The names of the log's files that this process has open, the writer's too.
fn open_files(log: &Log) -> Vec<String> {
    let names = fs::read_dir("/proc/self/fd").unwrap();
    let targets = names.filter_map(|name| fs::read_link(name.ok()?.path()).ok());
    let ours = targets.filter(|target| target.starts_with(log.folder.path()));
    let name = |path: std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = ours.map(name).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn files_that_are_over_are_closed() {
    let mut log = Log::new();
    let mut tail = log.tail(Start::Beginning);
    for _ in 0..5 {
        log.append(1);
        assert_eq!(read_all(&mut tail).len(), 1);
        log.rotate();
    }
    assert!(read_all(&mut tail).is_empty());
    // Only the one that would be read on if the writer had not turned to the empty one.
    assert_eq!(open_files(&log).len(), 2, "{:?}", open_files(&log));
}
