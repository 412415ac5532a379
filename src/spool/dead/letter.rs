//! One dead letter's file: its name, its first line, its bytes.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{DeadEntry, DeadLetter, DeadSummary};
use crate::spool::error::{Error, Result, io_error};
use crate::spool::record::{MAX_OPTIONS, MAX_RAW};
use crate::spool::step::step;

/// What a letter takes is counted in these, as a disk does.
pub(super) const BLOCK: u64 = 4096;
const MAX_HEAD: u64 = 8 * MAX_OPTIONS as u64;
/// Larger than any: a damaged segment.
const MAX_LETTER: u64 = 2 * MAX_RAW as u64;

#[derive(Serialize, Deserialize)]
struct Head {
    id: String,
    reason: String,
    received_at_ms: i64,
    source: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<String>,
    /// In place of `options` where those are no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options_bytes: Option<Vec<u8>>,
}

/// The id tells when, what (a hash) and how many blocks: `1764000000000-0123456789abcdef-1`.
pub(super) fn identify(letter: &DeadLetter<'_>) -> (String, u64) {
    let DeadLetter {
        reason,
        received_at_ms,
        source,
        options,
        raw,
        offset,
    } = letter;
    let mut hash = DefaultHasher::new();
    match offset {
        None => (reason, received_at_ms, source, options, raw).hash(&mut hash),
        Some(offset) => (offset, raw).hash(&mut hash),
    }
    let head = serde_json::to_vec(&head("", letter)).map_or(0, |head| head.len());
    let blocks = ((head + 64 + raw.len()) as u64).div_ceil(BLOCK);
    (
        format!(
            "{:013}-{:016x}-{blocks}",
            (*received_at_ms).max(0),
            hash.finish()
        ),
        blocks,
    )
}

/// The blocks that an id tells; `None` when it is not an id of ours.
pub(super) fn blocks(id: &str) -> Option<u64> {
    let (when, rest) = id.split_once('-')?;
    let (hash, blocks) = rest.split_once('-')?;
    let digits = |text: &str| {
        !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let hex = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits(when) && hex && digits(blocks)).then(|| blocks.parse().ok())?
}

/// Writes a letter and waits until it is durable.
pub(super) fn write(path: &Path, id: &str, letter: &DeadLetter<'_>) -> Result<()> {
    let mut head = serde_json::to_vec(&head(id, letter))
        .map_err(|error| io_error("write", path)(error.into()))?;
    head.push(b'\n');
    step();
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = made.map_err(io_error("create", path))?;
    step();
    file.write_all(&head)
        .and_then(|()| file.write_all(letter.raw))
        .map_err(io_error("write", path))?;
    step();
    file.sync_all().map_err(io_error("sync", path))
}

fn head(id: &str, letter: &DeadLetter<'_>) -> Head {
    let (options, options_bytes) = match std::str::from_utf8(letter.options) {
        Ok("") => (None, None),
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(letter.options.to_vec())),
    };
    Head {
        id: id.to_owned(),
        reason: letter.reason.to_owned(),
        received_at_ms: letter.received_at_ms,
        source: letter.source,
        options,
        options_bytes,
    }
}

/// Reads a letter with its bytes.
pub(super) fn read(path: &Path) -> Result<DeadEntry> {
    let (head, mut body) = open(path)?;
    let mut raw = Vec::new();
    body.rest
        .read_to_end(&mut raw)
        .map_err(io_error("read", path))?;
    let Head {
        received_at_ms,
        source,
        options,
        options_bytes,
        ..
    } = head;
    let options = options
        .map(String::into_bytes)
        .or(options_bytes)
        .unwrap_or_default();
    Ok(DeadEntry {
        received_at_ms,
        source,
        options,
        raw,
    })
}

/// Reads a letter's first line.
pub(super) fn summary(path: &Path, id: &str) -> Result<DeadSummary> {
    let (head, body) = open(path)?;
    let Head {
        reason,
        received_at_ms,
        source,
        ..
    } = head;
    let bytes = body.length.saturating_sub(body.head);
    Ok(DeadSummary {
        id: id.to_owned(),
        reason,
        received_at_ms,
        source,
        bytes,
    })
}

/// What is listed of a letter that cannot be read.
pub(super) fn unreadable(id: String, error: &Error) -> DeadSummary {
    DeadSummary {
        id,
        reason: error.to_string(),
        received_at_ms: 0,
        source: 0,
        bytes: 0,
    }
}

/// A letter's file behind its first line.
struct Body {
    /// Length of the file.
    length: u64,
    /// Length of the first line.
    head: u64,
    rest: io::Take<BufReader<File>>,
}

fn open(path: &Path) -> Result<(Head, Body)> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let length = file.metadata().map_err(io_error("read", path))?.len();
    let mut file = BufReader::new(file).take(MAX_LETTER);
    let mut line = Vec::new();
    file.by_ref()
        .take(MAX_HEAD)
        .read_until(b'\n', &mut line)
        .map_err(io_error("read", path))?;
    let head = serde_json::from_slice(&line)
        .map_err(|error| io_error("read the first line of", path)(error.into()))?;
    Ok((
        head,
        Body {
            length,
            head: line.len() as u64,
            rest: file,
        },
    ))
}
