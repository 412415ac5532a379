//! Which archives there are, and their lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{FIRST_DAY, Log, read, shown, start_of, write_gzip};
use crate::alerts_log::{
    Archive, Day, Error, Found, Prefetch, Reader, Result, Span, Start, archives,
};

fn found(path: &Path, span: &Span) -> Vec<Archive> {
    let Found {
        archives,
        unreadable,
    } = archives(&[path.to_owned()], span).unwrap();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    archives
}

fn names(root: &Path, archives: &[Archive]) -> Vec<String> {
    let name = |archive: &Archive| {
        let inside = archive.path.strip_prefix(root).unwrap();
        inside.display().to_string()
    };
    archives.iter().map(name).collect()
}

/// The lines before the end or the first error.
fn all_lines(reader: &mut Reader) -> (Vec<String>, Option<Error>) {
    let mut lines = Vec::new();
    loop {
        match reader.next() {
            Ok(Some((piece, _))) => lines.push(shown(piece)),
            Ok(None) => return (lines, None),
            Err(error) => return (lines, Some(error)),
        }
    }
}

fn lines_of(reader: &mut Reader) -> Result<Vec<String>> {
    let (lines, error) = all_lines(reader);
    error.map_or(Ok(lines), Err)
}

fn archive(path: &Path) -> Archive {
    found(path, &Span::default()).remove(0)
}

#[test]
fn the_logs_files_come_in_order_and_each_once() {
    let mut log = Log::new();
    log.append(1);
    let first = log.rotate();
    log.append(1);
    log.rotate_within_the_day();
    log.append(1);
    log.rotate_within_the_day();
    log.append(1);
    let sum = PathBuf::from(format!("{}.gz.sum", first.display()));
    fs::write(sum, "checksum").unwrap();
    fs::write(first.with_extension("log"), "** Alert").unwrap();
    log.gzip(&first);
    log.rotate();
    log.append(1);
    // Compressed, and the plain one is still there.
    let both = log.dated_of(Day(FIRST_DAY.0 + 1), 1);
    write_gzip(&PathBuf::from(format!("{}.gz", both.display())), &[b"half"]);
    fs::write(log.path("ossec-archive-30.json"), "{}\n").unwrap();
    let root = log.folder.path();
    let all = found(root, &Span::default());
    assert_eq!(
        names(root, &all),
        [
            "2025/May/ossec-alerts-29.json.gz",
            "2025/May/ossec-alerts-30.json",
            "2025/May/ossec-alerts-30-001.json",
            "2025/May/ossec-alerts-30-002.json",
            "2025/May/ossec-alerts-31.json",
        ]
    );
    assert!(all[0].compressed && !all[0].growing && all[4].growing);
    assert_eq!(
        (all[2].day.unwrap(), all[2].sequence),
        (FIRST_DAY.plus(1), 1)
    );
    let mut lines = Vec::new();
    for reader in Prefetch::new(all, 2) {
        lines.extend(lines_of(&mut reader.unwrap()).unwrap());
    }
    assert_eq!(lines, log.lines);
}

#[test]
fn a_live_file_of_its_own_inode_and_files_of_logrotate_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "alerts.json",
        "alerts.json.1",
        "alerts.json-20250601.gz",
        "alerts.json.sum",
    ] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let all = names(folder.path(), &found(folder.path(), &Span::default()));
    assert_eq!(all.last().map(String::as_str), Some("alerts.json"));
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn a_wazuh_home_stands_for_its_alerts() {
    let home = tempfile::tempdir().unwrap();
    let logs = home.path().join("logs");
    fs::create_dir_all(logs.join("alerts/2025/Jun")).unwrap();
    fs::create_dir_all(logs.join("archives/2025/Jun")).unwrap();
    fs::write(logs.join("alerts/2025/Jun/ossec-alerts-02.json"), "{}\n").unwrap();
    fs::write(logs.join("archives/2025/Jun/ossec-archive-02.json"), "{}\n").unwrap();
    fs::write(home.path().join("other.json"), "{}\n").unwrap();
    let all = found(home.path(), &Span::default());
    assert_eq!(
        names(home.path(), &all),
        ["logs/alerts/2025/Jun/ossec-alerts-02.json"]
    );
    // The same file by two names on the command line.
    let paths = [home.path().to_owned(), all[0].path.clone()];
    assert_eq!(
        archives(&paths, &Span::default()).unwrap().archives.len(),
        1
    );
}

#[test]
fn a_year_on_another_disk_is_found_and_a_circle_of_links_ends() {
    let mut log = Log::new();
    log.append(1);
    let elsewhere = tempfile::tempdir().unwrap();
    let (year, moved) = (log.path("2025"), elsewhere.path().join("2025"));
    // A copy: the other disk of a test is the same one.
    fs::create_dir_all(moved.join("May")).unwrap();
    fs::copy(log.dated(), moved.join("May/ossec-alerts-29.json")).unwrap();
    fs::remove_dir_all(&year).unwrap();
    fs::remove_file(log.live()).unwrap();
    std::os::unix::fs::symlink(&moved, &year).unwrap();
    std::os::unix::fs::symlink(log.folder.path(), log.path("circle")).unwrap();
    let all = found(log.folder.path(), &Span::default());
    assert_eq!(
        names(log.folder.path(), &all),
        ["2025/May/ossec-alerts-29.json"]
    );
    let mut tail = log.tail(Start::Since(start_of(FIRST_DAY)));
    assert_eq!(read(&mut tail, 9), log.lines);
}

#[test]
fn days_outside_the_span_are_left_out_with_a_margin_of_a_day() {
    let mut log = Log::new();
    for _ in 0..8 {
        log.append(1);
        log.rotate();
    }
    let noon = |day: i64| Some(start_of(FIRST_DAY.plus(day)) + Duration::from_secs(43_200));
    let days = |since, until| {
        let all = found(log.folder.path(), &Span { since, until });
        let day = |archive: &Archive| archive.day.unwrap().0 - FIRST_DAY.0;
        all.iter().map(day).collect::<Vec<_>>()
    };
    assert_eq!(days(noon(3), noon(4)), [2, 3, 4, 5]);
    assert_eq!(days(None, noon(0)), [0, 1]);
    assert_eq!(days(noon(7), None), [6, 7, 8]);
}

#[test]
fn what_is_not_there_is_an_error_and_what_cannot_be_read_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.json");
    assert!(archives(std::slice::from_ref(&missing), &Span::default()).is_err());
    std::os::unix::fs::symlink(&missing, folder.path().join("ossec-alerts-02.json")).unwrap();
    let found = archives(&[folder.path().to_owned()], &Span::default()).unwrap();
    assert_eq!(found.unreadable.len(), 1);
    assert!(
        found.unreadable[0]
            .to_string()
            .contains("ossec-alerts-02.json")
    );
}

#[test]
fn a_compressed_file_of_several_members_is_one_text() {
    let folder = tempfile::tempdir().unwrap();
    // Known by its first bytes, whatever it is called.
    for name in ["a.json.gz", "b.json"] {
        let path = folder.path().join(name);
        write_gzip(&path, &[b"{\"a\":1}\n{\"b\"", b":2}\n", b"{\"c\":3}"]);
        let mut reader = Reader::open(&archive(&path)).unwrap();
        assert_eq!(
            lines_of(&mut reader).unwrap(),
            ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]
        );
        let mut reader = Reader::open_at(&archive(&path), 8).unwrap();
        let (piece, place) = reader.next().unwrap().unwrap();
        assert_eq!((shown(piece), place.offset), ("{\"b\":2}".to_owned(), 8));
        assert_eq!(**place.file, *path);
        assert_eq!((&**reader.path(), reader.offset()), (&*path, 16));
        assert_eq!(lines_of(&mut reader).unwrap(), ["{\"c\":3}"]);
    }
}

#[test]
fn a_compressed_file_cut_anywhere_gives_its_whole_lines_and_then_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json.gz");
    let lines: Vec<String> = (0..300)
        .map(|n| format!("{{\"n\":{}}}", n * 7919 % 10_007))
        .collect();
    write_gzip(&path, &[(lines.join("\n") + "\n").as_bytes()]);
    let whole = fs::read(&path).unwrap();
    let cut_file = folder.path().join("cut.json.gz");
    for cut in (10..whole.len()).step_by(37).chain([whole.len() - 1]) {
        fs::write(&cut_file, &whole[..cut]).unwrap();
        let mut reader = Reader::open(&archive(&cut_file)).unwrap();
        let (read, error) = all_lines(&mut reader);
        let error = error.unwrap();
        assert!(read == lines[..read.len()], "{cut}");
        assert!(error.to_string().contains("cut.json.gz"), "{error}");
        // And only once.
        assert!(lines_of(&mut reader).unwrap().is_empty(), "{cut}");
    }
    let mut flipped = whole.clone();
    let middle = flipped.len() - 6;
    flipped[middle] ^= 1;
    fs::write(&cut_file, &flipped).unwrap();
    assert!(lines_of(&mut Reader::open(&archive(&cut_file)).unwrap()).is_err());
}

#[test]
fn a_compressed_file_larger_than_all_blocks_ahead_comes_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json.gz");
    let lines: Vec<String> = (0..40_000)
        .map(|n| format!("{{\"n\":\"{n:0100}\"}}"))
        .collect();
    write_gzip(&path, &[(lines.join("\n") + "\n").as_bytes()]);
    let mut reader = Reader::open(&archive(&path)).unwrap();
    assert!(lines_of(&mut reader).unwrap() == lines);
    // Left in the middle: the thread ends by itself.
    let mut reader = Reader::open(&archive(&path)).unwrap();
    reader.next().unwrap();
    drop(reader);
}

#[test]
fn the_unfinished_end_of_a_growing_file_is_left_and_of_a_finished_one_is_a_line() {
    let mut log = Log::new();
    log.append(2);
    log.write(b"{\"part");
    let live = Archive {
        growing: true,
        ..archive(&log.live())
    };
    let mut reader = Reader::open(&live).unwrap();
    assert_eq!(lines_of(&mut reader).unwrap(), log.lines);
    assert_eq!(reader.part_left(), 6);
    let over = Archive {
        growing: false,
        ..live
    };
    let mut reader = Reader::open(&over).unwrap();
    assert_eq!(lines_of(&mut reader).unwrap().last().unwrap(), "{\"part");
    assert_eq!(reader.part_left(), 0);
}

#[test]
fn a_file_that_changed_just_now_counts_as_growing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ossec-alerts-02.json");
    fs::write(&path, "{}\n").unwrap();
    assert!(archive(&path).growing);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(120))
        .unwrap();
    assert!(!archive(&path).growing);
}

#[test]
fn one_archive_that_cannot_be_opened_does_not_hold_up_the_others() {
    let mut log = Log::new();
    log.append(1);
    let gone = log.rotate();
    log.append(1);
    let all = found(log.folder.path(), &Span::default());
    fs::remove_file(gone).unwrap();
    let opened: Vec<bool> = Prefetch::new(all, 1).map(|reader| reader.is_ok()).collect();
    assert_eq!(opened, [false, true]);
    let mut tail = log.tail(Start::Beginning);
    assert_eq!(read(&mut tail, 9).len(), 1);
}
