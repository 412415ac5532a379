//! One record: how an entry lies in a segment, byte by byte. Pure; knows no file.
//!
//! Little-endian: magic 4, crc32 4, payload length 4, source 1, zero 3, seq 8, `received_at` 8; then
//! the payload (length of the options 4, options, raw bytes), then zeros up to 32 bytes. The crc is
//! over generation, header from the payload length on, and payload. The magic holds bytes that no
//! text from Wazuh can hold (NUL, SOH), so that an alert cannot forge a record.

use super::{Error, Result};

/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 32;
/// The longest alert that is kept.
pub const MAX_RAW: usize = 32 << 20;
/// The longest options that are kept.
pub const MAX_OPTIONS: usize = 1 << 20;

const MAGIC: [u8; 4] = [0x00, 0xA7, 0x01, 0xC5];
const HEAD: usize = 32;
const MAX_PAYLOAD: usize = 4 + MAX_OPTIONS + MAX_RAW;

/// What is put: an alert as it came, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// When it was received, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// Which way it came; the caller's code, not looked at here.
    pub source: u8,
    /// The caller's options, not looked at here.
    pub options: &'a [u8],
    /// The alert's bytes.
    pub raw: &'a [u8],
}

/// What is taken out again: the same, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was received, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// Which way it came; the caller's code, not looked at here.
    pub source: u8,
    /// The caller's options, not looked at here.
    pub options: Vec<u8>,
    /// The alert's bytes.
    pub raw: Vec<u8>,
}

impl EntryRef<'_> {
    /// A copy that owns its bytes.
    #[must_use]
    pub(super) fn to_entry(self) -> Entry {
        let Self {
            received_at_ms,
            source,
            options,
            raw,
        } = self;
        Entry {
            received_at_ms,
            source,
            options: options.to_vec(),
            raw: raw.to_vec(),
        }
    }
}

/// A record found on disk, whole and with the right checksum.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) seq: u64,
    pub(super) size: usize,
    pub(super) entry: EntryRef<'a>,
}

/// What a record's header says before its checksum is known to be right.
pub(super) struct Claim {
    pub(super) seq: u64,
    pub(super) length: usize,
}

/// Bytes that the entry takes in a segment; refuses what is too long.
pub(super) fn size(entry: &EntryRef) -> Result<usize> {
    for (length, limit) in [
        (entry.raw.len(), MAX_RAW),
        (entry.options.len(), MAX_OPTIONS),
    ] {
        if length > limit {
            return Err(Error::TooLarge { length, limit });
        }
    }
    Ok((HEAD + 4 + entry.options.len() + entry.raw.len()).next_multiple_of(ALIGN))
}

/// Adds the record as it is written. Behind the last one has to come a zero block, which marks a
/// clean tail.
pub(super) fn encode(generation: u64, seq: u64, entry: &EntryRef, out: &mut Vec<u8>) -> Result<()> {
    let size = size(entry)?;
    let from = out.len();
    out.reserve(size + ALIGN);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&narrow(4 + entry.options.len() + entry.raw.len()).to_le_bytes());
    out.extend_from_slice(&[entry.source, 0, 0, 0]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&entry.received_at_ms.to_le_bytes());
    out.extend_from_slice(&narrow(entry.options.len()).to_le_bytes());
    out.extend_from_slice(entry.options);
    out.extend_from_slice(entry.raw);
    let crc = checksum(generation, out.get(from + 8..).unwrap_or_default());
    let head = MAGIC.into_iter().chain(crc.to_le_bytes());
    let record = out.iter_mut().skip(from);
    record.zip(head).for_each(|(to, from)| *to = from);
    out.resize(from + size, 0);
    Ok(())
}

/// The header at the start of `bytes`, if it could be one and its payload lies within them.
pub(super) fn claim(bytes: &[u8]) -> Option<Claim> {
    if !bytes.starts_with(&MAGIC) {
        return None;
    }
    let length = usize::try_from(u32_at(bytes, 8)?).ok()?;
    let fits = (4..=MAX_PAYLOAD).contains(&length) && HEAD + length <= bytes.len();
    fits.then_some(Claim {
        seq: u64_at(bytes, 16)?,
        length,
    })
}

/// The record at the start of `bytes`, if there is one of this generation.
pub(super) fn read(generation: u64, bytes: &[u8]) -> Option<Found<'_>> {
    let Claim { seq, length } = claim(bytes)?;
    let covered = bytes.get(8..HEAD + length)?;
    if u32_at(bytes, 4)? != checksum(generation, covered) {
        return None;
    }
    let payload = bytes.get(HEAD + 4..HEAD + length)?;
    let (options, raw) = payload.split_at_checked(usize::try_from(u32_at(bytes, HEAD)?).ok()?)?;
    let received_at_ms = u64_at(bytes, 24)?.cast_signed();
    let entry = EntryRef {
        received_at_ms,
        source: *bytes.get(12)?,
        options,
        raw,
    };
    Some(Found {
        seq,
        size: (HEAD + length).next_multiple_of(ALIGN),
        entry,
    })
}

/// A little-endian number in untrusted bytes.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A little-endian number in untrusted bytes.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn checksum(generation: u64, covered: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&generation.to_le_bytes());
    crc.update(covered);
    crc.finalize()
}

/// Lengths were checked against limits far below 4 GiB.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
