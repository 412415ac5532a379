//! A log that is written as Wazuh and logrotate write it, in a folder of its own, by a clock of its
//! own: times decide the order of undated files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::dated::Day;
use super::{Checkpoint, Error, Piece, Start, Tail};

mod archives;
mod checkpoints;
mod model;
mod pieces;
mod racing;
mod rotation;
mod truncation;
mod waiting;

const FIRST_DAY: Day = Day(20_237); // 2025-05-29

struct Log {
    folder: TempDir,
    day: Day,
    sequence: u32,
    clock: SystemTime,
    writer: File,
    count: u64,
    /// Every line that was written, in order.
    lines: Vec<String>,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = tempfile::tempfile().unwrap();
        let mut log = Self {
            folder,
            day: FIRST_DAY,
            sequence: 0,
            clock: start_of(FIRST_DAY),
            writer,
            count: 0,
            lines: Vec::new(),
        };
        log.open_writer();
        log
    }

    /// A log of so many lines, and a reader who stands at its beginning.
    fn followed(lines: usize) -> (Self, Tail) {
        let mut log = Self::new();
        log.append(lines);
        let tail = log.tail(Start::Beginning);
        (log, tail)
    }

    fn live(&self) -> PathBuf {
        self.folder.path().join("alerts.json")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn dated(&self) -> PathBuf {
        self.dated_of(self.day, self.sequence)
    }

    fn dated_of(&self, day: Day, sequence: u32) -> PathBuf {
        let date = day.to_string();
        let number = match sequence {
            0 => String::new(),
            number => format!("-{number:03}"),
        };
        let name = format!("ossec-alerts-{}{number}.json", &date[8..]);
        self.folder.path().join(day.folder()).join(name)
    }

    fn tail(&self, start: Start) -> Tail {
        Tail::open(&self.live(), start).unwrap()
    }

    /// The dated file and its hard link, as `getloglocation.c` makes them.
    fn make_files(&mut self) {
        let dated = self.dated();
        fs::create_dir_all(dated.parent().unwrap()).unwrap();
        let mut options = OpenOptions::new();
        self.writer = options.append(true).create(true).open(&dated).unwrap();
        drop(fs::remove_file(self.live()));
        fs::hard_link(&dated, self.live()).unwrap();
    }

    fn open_writer(&mut self) {
        self.make_files();
        self.tick();
    }

    fn tick(&mut self) {
        self.clock += Duration::from_secs(1);
        self.writer.set_modified(self.clock).unwrap();
    }

    fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).unwrap();
        self.tick();
    }

    fn next_line(&mut self, padding: usize) -> String {
        self.count += 1;
        let line = format!(r#"{{"n":{},"pad":"{}"}}"#, self.count, "x".repeat(padding));
        self.lines.push(line.clone());
        line
    }

    fn append(&mut self, count: usize) {
        for _ in 0..count {
            let line = self.next_line(20);
            self.write(format!("{line}\n").as_bytes());
        }
    }

    /// Midnight.
    fn rotate(&mut self) -> PathBuf {
        let old = self.dated();
        self.day = self.day.plus(1);
        self.sequence = 0;
        self.clock = self.clock.max(start_of(self.day));
        self.open_writer();
        old
    }

    /// By size or interval.
    fn rotate_within_the_day(&mut self) -> PathBuf {
        let old = self.dated();
        self.sequence += 1;
        self.open_writer();
        old
    }

    fn gzip(&self, path: &Path) -> PathBuf {
        let packed = PathBuf::from(format!("{}.gz", path.display()));
        write_gzip(&packed, &[&fs::read(path).unwrap()]);
        let file = File::options().write(true).open(&packed).unwrap();
        file.set_modified(self.clock).unwrap();
        fs::remove_file(path).unwrap();
        packed
    }

    /// What logrotate does with `copytruncate` and `rotate 9`.
    fn copy_and_truncate(&mut self) {
        self.shift();
        self.copy("alerts.json.1");
        self.truncate();
    }

    fn shift(&self) {
        for number in (1..9).rev() {
            for kind in ["", ".gz"] {
                let name = |number: u32| self.path(&format!("alerts.json.{number}{kind}"));
                drop(fs::rename(name(number), name(number + 1)));
            }
        }
    }

    fn copy(&mut self, name: &str) {
        self.tick();
        fs::copy(self.live(), self.path(name)).unwrap();
        let copy = File::options().write(true).open(self.path(name)).unwrap();
        copy.set_modified(self.clock).unwrap();
    }

    /// What editors and `sed -i` do; the dated name goes along, so that Wazuh finds it again.
    fn replace_by_a_copy(&mut self) {
        self.copy("copy");
        fs::rename(self.path("copy"), self.live()).unwrap();
        fs::remove_file(self.dated()).unwrap();
        fs::hard_link(self.live(), self.dated()).unwrap();
        self.writer = File::options().append(true).open(self.live()).unwrap();
    }

    fn truncate(&mut self) {
        self.writer.set_len(0).unwrap();
        self.tick();
    }
}

fn start_of(day: Day) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(day.0).unwrap() * 86_400)
}

/// One member for each part.
fn write_gzip(path: &Path, parts: &[&[u8]]) {
    let mut file = File::create(path).unwrap();
    for part in parts {
        let mut encoder = GzEncoder::new(&mut file, Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
}

fn shown(piece: Piece<'_>) -> String {
    match piece {
        Piece::Line(line) => String::from_utf8_lossy(line).into_owned(),
        Piece::Empty => "(empty)".to_owned(),
        Piece::Nuls(count) => format!("({count} nuls)"),
        Piece::TooLong { length, head } => format!("({length} bytes, head {})", head.len()),
    }
}

fn read(tail: &mut Tail, limit: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < limit {
        match tail.next().unwrap() {
            Some((piece, _)) => lines.push(shown(piece)),
            None => break,
        }
    }
    lines
}

fn read_all(tail: &mut Tail) -> Vec<String> {
    read(tail, usize::MAX)
}

/// As a restart finds it: through the file on disk.
fn reopened(log: &Log, place: &Checkpoint) -> Tail {
    let file = log.path("checkpoint");
    place.save(&file).unwrap();
    let place = Checkpoint::load(&file).unwrap().unwrap();
    log.tail(Start::At(place))
}
