//! alerts.json and its archives as Wazuh writes them: wazuh-analysisd flushes in the middle of a
//! line, links the live file to a dated one and rotates to a new inode; wazuh-monitord compresses.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use mongodb::bson::DateTime;

use crate::wazuh::Wazuh;

const DAY_MS: i64 = 86_400_000;

/// An open log.
pub(crate) struct Log {
    folder: PathBuf,
    /// Any instant of the day that the file is named after.
    day: i64,
    sequence: u32,
    file: File,
}

impl Log {
    /// A log of today with nothing in it.
    pub(crate) fn new(wazuh: &Wazuh) -> Self {
        Self::begun_days_ago(wazuh, 0)
    }

    pub(crate) fn begun_days_ago(wazuh: &Wazuh, days: i64) -> Self {
        let folder = wazuh.home.join("logs/alerts");
        let day = DateTime::now().timestamp_millis() - days * DAY_MS;
        let file = open(&folder, day, 0);
        Self {
            folder,
            day,
            sequence: 0,
            file,
        }
    }

    /// The live file.
    pub(crate) fn live(&self) -> PathBuf {
        self.folder.join("alerts.json")
    }

    /// The live file under its other name.
    pub(crate) fn dated(&self) -> PathBuf {
        dated(&self.folder, self.day, self.sequence)
    }

    /// Bytes as they are, in one write.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.file.write_all(bytes.as_ref()).expect("room on disk");
    }

    /// A whole line.
    pub(crate) fn line(&mut self, line: impl AsRef<[u8]>) {
        self.write([line.as_ref(), b"\n"].concat());
    }

    /// The alerts of these numbers, a line each, cut into writes of a buffer's size wherever that
    /// is.
    pub(crate) fn alerts(&mut self, numbers: std::ops::Range<usize>) {
        let text: String = numbers.map(|number| line(number) + "\n").collect();
        for piece in text.as_bytes().chunks(4096) {
            self.write(piece);
        }
    }

    /// `<rotate_interval>` or `<max_output_size>`: the next file of the same day.
    pub(crate) fn rotate(&mut self) {
        self.sequence += 1;
        self.file = open(&self.folder, self.day, self.sequence);
    }

    /// The next day's first file.
    pub(crate) fn midnight(&mut self) {
        self.day += DAY_MS;
        self.sequence = 0;
        self.file = open(&self.folder, self.day, self.sequence);
    }
}

/// What wazuh-monitord does after midnight: the plain file goes when the compressed one is whole.
pub(crate) fn compress(plain: &Path) -> PathBuf {
    let packed = PathBuf::from(format!("{}.gz", plain.display()));
    fs::write(&packed, gzip(&fs::read(plain).expect("a plain file"))).expect("room on disk");
    fs::remove_file(plain).expect("a plain file");
    packed
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text).expect("memory");
    packer.finish().expect("memory")
}

/// Writes an archive with its folders, last changed in the evening of the day of its name.
pub(crate) fn archive(root: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, text).expect("room on disk");
    let old = SystemTime::now() - Duration::from_secs(3600);
    let file = OpenOptions::new().append(true).open(&path);
    file.and_then(|file| file.set_modified(old))
        .expect("its time of change");
    path
}

/// An alert as Wazuh writes it, without spaces and without the newline.
pub(crate) fn line(number: usize) -> String {
    at(number, "2025-06-02T21:47:23.199+0800")
}

/// An alert of that time.
pub(crate) fn at(number: usize, timestamp: &str) -> String {
    let level = number % 13 + 3;
    let agent = number % 40 + 1;
    format!(
        r#"{{"timestamp":"{timestamp}","rule":{{"level":{level},"description":"sshd: Attempt to login using a non-existent user","id":"5710","mitre":{{"id":["T1110.001"],"tactic":["Credential Access"],"technique":["Password Guessing"]}},"firedtimes":{number},"mail":false,"groups":["syslog","sshd","invalid_login"],"gdpr":["IV_35.7.d"]}},"agent":{{"id":"{agent:03}","name":"host-{agent}.example.org","ip":"10.0.0.{agent}"}},"manager":{{"name":"wazuh-manager"}},"cluster":{{"name":"wazuh","node":"master-node"}},"id":"1748872000.{number}","full_log":"Jun  2 13:47:22 host-{agent} sshd[15724]: Invalid user ec2-user from 203.0.113.7 port 41240","predecoder":{{"program_name":"sshd","timestamp":"Jun  2 13:47:22"}},"decoder":{{"parent":"sshd","name":"sshd"}},"data":{{"srcip":"203.0.113.7","srcport":"41240","srcuser":"ec2-user"}},"location":"/var/log/auth.log"}}"#
    )
}

fn open(folder: &Path, day: i64, sequence: u32) -> File {
    let path = dated(folder, day, sequence);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of the log");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.expect("a dated file");
    let live = folder.join("alerts.json");
    // In these two steps: for a moment there is no live file.
    fs::remove_file(&live).ok();
    fs::hard_link(&path, &live).expect("a hard link");
    file
}

fn dated(folder: &Path, day: i64, sequence: u32) -> PathBuf {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let date = DateTime::from_millis(day).try_to_rfc3339_string();
    let date = date.expect("a year of four digits");
    let month: usize = date[5..7].parse().expect("a month");
    let number = if sequence > 0 {
        format!("-{sequence:03}")
    } else {
        String::new()
    };
    let name = format!("ossec-alerts-{}{number}.json", &date[8..10]);
    folder.join(&date[..4]).join(MONTHS[month - 1]).join(name)
}
