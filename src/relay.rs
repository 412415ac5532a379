//! The hook's fast lane: an alert goes as one frame over a Unix socket to `serve` on the same host,
//! and one answer comes back. Whoever gets no clear answer in time goes his own way; an alert that
//! went both ways is one document.
//!
//! The frame, little-endian: magic with version 8, key 80, `received_at` 8, source 1, zero 3, length
//! of the options 4, length of the alert 4; options, alert. The answer: code 1, zero 1, length of
//! the text 2; text. The key stands for everything that decides what becomes of an alert, so that a
//! hook with other settings than `serve` is told to go on alone: either for the settings themselves,
//! or for the files that they lie in. With the latter a hook need not read them, which would be the
//! larger part of its work.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{getegid, geteuid};
use sha2::{Digest, Sha256};

mod client;
mod timed;

pub use client::{Conversation, NoAnswer, Terms, ask};
pub use timed::{receive, send_all};

const MAGIC: [u8; 8] = *b"cmrelay2";
/// Bytes of a key: two files, each by five numbers.
const KEY: usize = 2 * 5 * 8;
/// Bytes of a frame before the options.
pub const HEAD: usize = 28 + KEY;
/// The longest options that are taken.
pub const MAX_OPTIONS: usize = 1 << 20;
/// Bytes of an answer before its text.
const ANSWER_HEAD: usize = 4;
/// What an answer's text is cut to.
const MAX_TEXT: usize = 4096;

/// Stands for a destination and the settings under which alerts go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; KEY]);

impl Key {
    /// The key of these settings, written out in any way that is the same in hook and `serve`.
    #[must_use]
    pub fn of(settings: &str) -> Self {
        let mut key = [0; KEY];
        fill(&mut key, Sha256::digest(settings.as_bytes()));
        Self(key)
    }

    /// The key of a settings file and of the `.env` beside it, as they are: which file, how long,
    /// last changed when, in its bytes or in its mode. No two states of a file have the same.
    #[must_use]
    pub fn of_files(file: &Metadata, env: Option<&Metadata>) -> Self {
        let mut key = [0; KEY];
        let numbers = [Some(file), env].into_iter().flatten().flat_map(numbers);
        fill(&mut key, numbers.flat_map(i64::to_le_bytes));
        Self(key)
    }
}

fn fill(key: &mut [u8; KEY], bytes: impl IntoIterator<Item = u8>) {
    for (place, byte) in key.iter_mut().zip(bytes) {
        *place = byte;
    }
}

fn numbers(file: &Metadata) -> [i64; 5] {
    let nanos = |seconds: i64, nanos: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
    [
        file.dev().cast_signed(),
        file.ino().cast_signed(),
        file.size().cast_signed(),
        nanos(file.mtime(), file.mtime_nsec()),
        nanos(file.ctime(), file.ctime_nsec()),
    ]
}

/// An alert on its way.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Whose settings it wants.
    pub key: Key,
    /// When it was received, in milliseconds since 1970.
    pub received_at: i64,
    /// Which way it came, as in the spool.
    pub source: u8,
    /// The bytes of the `<options>` file.
    pub options: &'a [u8],
    /// The alert's bytes.
    pub raw: &'a [u8],
}

/// What a frame's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Whose settings it wants.
    pub key: Key,
    /// When it was received, in milliseconds since 1970.
    pub received_at: i64,
    /// Which way it came, as in the spool.
    pub source: u8,
    /// Length of the options, in bytes.
    pub options: usize,
    /// Length of the alert, in bytes.
    pub raw: usize,
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is durable.
    Kept,
    /// A filter took it, in these words.
    Filtered(String),
    /// The text is no alert; the line says why and where it was kept.
    NotAnAlert(String),
    /// Other settings than here: the sender goes his own way.
    Elsewhere,
    /// It could not be kept here: the sender goes his own way.
    Refused(String),
}

impl Frame<'_> {
    /// The bytes that are sent; none if a length does not fit.
    fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(HEAD + self.options.len() + self.raw.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&self.received_at.to_le_bytes());
        out.extend_from_slice(&[self.source, 0, 0, 0]);
        for part in [self.options, self.raw] {
            out.extend_from_slice(&u32::try_from(part.len()).ok()?.to_le_bytes());
        }
        out.extend_from_slice(self.options);
        out.extend_from_slice(self.raw);
        Some(out)
    }
}

impl Key {
    /// A frame's first bytes that announce more than anybody takes: whoever has the same settings
    /// refuses it, whoever has others says so, and no alert is behind it.
    fn question(self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let longest = u32::MAX.to_le_bytes();
        let parts = [&MAGIC[..], &self.0, &[0; 12], &longest, &longest];
        for (place, byte) in head.iter_mut().zip(parts.concat()) {
            *place = byte;
        }
        head
    }
}

impl Head {
    /// Reads a frame's first bytes; none if they are of another protocol or version.
    #[must_use]
    pub fn read(bytes: &[u8; HEAD]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (key, rest) = rest.split_first_chunk()?;
        let (received_at, rest) = rest.split_first_chunk()?;
        let (source, rest) = rest.split_first_chunk::<4>()?;
        let (options, rest) = rest.split_first_chunk()?;
        let (raw, _) = rest.split_first_chunk()?;
        Some(Self {
            key: Key(*key),
            received_at: i64::from_le_bytes(*received_at),
            source: source[0],
            options: usize::try_from(u32::from_le_bytes(*options)).ok()?,
            raw: usize::try_from(u32::from_le_bytes(*raw)).ok()?,
        })
    }
}

impl Answer {
    /// The bytes that are sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (code, text) = match self {
            Self::Kept => (0, ""),
            Self::Filtered(text) => (1, text.as_str()),
            Self::NotAnAlert(text) => (2, text.as_str()),
            Self::Elsewhere => (3, ""),
            Self::Refused(text) => (4, text.as_str()),
        };
        let mut ends = (0..=text.len().min(MAX_TEXT)).rev();
        let text = ends.find_map(|end| text.get(..end)).unwrap_or_default();
        let text = text.as_bytes();
        let length = u16::try_from(text.len()).unwrap_or(0).to_le_bytes();
        let head: [u8; ANSWER_HEAD] = [code, 0, length[0], length[1]];
        [head.as_slice(), text].concat()
    }

    fn read(code: u8, text: String) -> Option<Self> {
        Some(match code {
            0 => Self::Kept,
            1 => Self::Filtered(text),
            2 => Self::NotAnAlert(text),
            3 => Self::Elsewhere,
            4 => Self::Refused(text),
            _ => return None,
        })
    }
}

/// Whether the process at the other end may give or take alerts: the same user, root, or the same
/// group, which is Wazuh's.
#[must_use]
pub fn is_trusted(uid: u32, gid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw() || gid == getegid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let frame = Frame {
            key: Key::of("a"),
            received_at: -5,
            source: 1,
            options: b"{}",
            raw: b"{\"id\":1}",
        };
        let bytes = frame.encode().unwrap();
        let (head, rest) = bytes.split_first_chunk().unwrap();
        let head = Head::read(head).unwrap();
        assert_eq!(head.key, Key::of("a"));
        assert_ne!(head.key, Key::of("b"));
        assert_eq!((head.received_at, head.source), (-5, 1));
        assert_eq!((head.options, head.raw), (2, 8));
        assert_eq!(rest, b"{}{\"id\":1}");
    }

    #[test]
    fn the_key_of_a_file_is_another_after_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "site = 1").unwrap();
        let key = || Key::of_files(&file.metadata().unwrap(), None);
        let first = key();
        assert_eq!(first, key());
        let meta = file.metadata().unwrap();
        assert_ne!(first, Key::of_files(&meta, Some(&meta)));
        // Of the same length, and with the old time put back.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&file, "site = 2").unwrap();
        let opened = std::fs::File::options().append(true).open(&file).unwrap();
        opened.set_modified(meta.modified().unwrap()).unwrap();
        assert_ne!(first, key());
    }

    #[test]
    fn a_question_is_a_frame_that_nobody_takes() {
        let head = Head::read(&Key::of("a").question()).unwrap();
        assert_eq!(head.key, Key::of("a"));
        assert!(head.options > MAX_OPTIONS && head.raw > MAX_OPTIONS);
    }

    #[test]
    fn another_protocol_or_version_is_no_frame() {
        let mut bytes = [0; HEAD];
        assert_eq!(Head::read(&bytes), None);
        bytes[..8].copy_from_slice(b"cmrelay1");
        assert_eq!(Head::read(&bytes), None);
    }

    #[test]
    fn an_answer_is_never_too_long_nor_cut_within_a_character() {
        let long = Answer::NotAnAlert("é".repeat(5000)).encode();
        assert_eq!(long.len(), ANSWER_HEAD + MAX_TEXT);
        let text = String::from_utf8(long[ANSWER_HEAD..].to_vec()).unwrap();
        assert_eq!(
            Answer::read(2, text.clone()),
            Some(Answer::NotAnAlert(text))
        );
        assert_eq!(Answer::read(9, String::new()), None);
    }
}
