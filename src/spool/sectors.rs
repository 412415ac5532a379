//! The four sectors at the head of a segment: header, hint, cursor, seal. Pure; knows no file.
//!
//! Each is 512 bytes, written alone, and so whole or not at all: tag 8, three numbers of 8, crc32 4.

use super::record::{u32_at, u64_at};

/// Where the records of a segment begin.
pub(super) const DATA: u64 = 4096;
/// The four sectors together, read in one call.
pub(super) const HEADS: usize = 4 * SECTOR;
/// The format that this program writes.
pub(super) const VERSION: u64 = 1;

const SECTOR: usize = 512;

/// Which of the four sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Generation, size of the segment, version of the format.
    Header,
    /// Generation, offset of the tail, last seq: where the last writer stopped.
    Hint,
    /// Generation, offset, last seq: up to where everything is delivered.
    Cursor,
    /// Nobody appends here again.
    Seal,
}

/// A sector's three numbers; what they mean depends on its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) generation: u64,
    pub(super) offset: u64,
    pub(super) seq: u64,
}

/// A sector as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sector {
    /// Never written.
    Blank,
    /// Written, but not readable.
    Bad,
    /// Written and whole.
    Good(Mark),
}

/// All four as found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sectors {
    pub(super) header: Sector,
    pub(super) hint: Sector,
    pub(super) cursor: Sector,
    pub(super) seal: Sector,
}

impl Kind {
    /// Where the sector lies in the file.
    pub(super) const fn offset(self) -> u64 {
        match self {
            Self::Header => 0,
            Self::Hint => 512,
            Self::Cursor => 1024,
            Self::Seal => 1536,
        }
    }

    const fn tag(self) -> [u8; 8] {
        match self {
            Self::Header => *b"CMSPOOL\n",
            Self::Hint => *b"CMHINT\0\n",
            Self::Cursor => *b"CMCURS\0\n",
            Self::Seal => *b"CMSEAL\0\n",
        }
    }
}

impl Sector {
    /// The numbers, if they are readable.
    pub(super) const fn mark(self) -> Option<Mark> {
        match self {
            Self::Good(mark) => Some(mark),
            Self::Blank | Self::Bad => None,
        }
    }
}

impl Sectors {
    /// Reads the four sectors from the head of a segment, however short it is.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let one = |kind: Kind| {
            let at = usize::try_from(kind.offset()).unwrap_or(usize::MAX);
            read(
                kind,
                bytes
                    .get(at..)
                    .map_or(&[], |rest| rest.get(..SECTOR).unwrap_or(rest)),
            )
        };
        Self {
            header: one(Kind::Header),
            hint: one(Kind::Hint),
            cursor: one(Kind::Cursor),
            seal: one(Kind::Seal),
        }
    }

    /// True when one of them is unreadable: rotten, or read while it was written.
    pub(super) fn any_bad(&self) -> bool {
        [self.header, self.hint, self.cursor, self.seal].contains(&Sector::Bad)
    }
}

/// The sector as it is written.
pub(super) fn encode(kind: Kind, mark: &Mark) -> Vec<u8> {
    let mut bytes = kind.tag().to_vec();
    for number in [mark.generation, mark.offset, mark.seq] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes.resize(SECTOR, 0);
    bytes
}

/// The head of a new segment: its header, three blank sectors, and a clean tail where records begin.
pub(super) fn fresh(generation: u64, size: u64) -> Vec<u8> {
    let mut bytes = encode(
        Kind::Header,
        &Mark {
            generation,
            offset: size,
            seq: VERSION,
        },
    );
    bytes.resize(usize::try_from(DATA).unwrap_or(0) + super::record::ALIGN, 0);
    bytes
}

fn read(kind: Kind, bytes: &[u8]) -> Sector {
    if bytes.iter().all(|&byte| byte == 0) {
        return Sector::Blank;
    }
    parse(kind, bytes).map_or(Sector::Bad, Sector::Good)
}

fn parse(kind: Kind, bytes: &[u8]) -> Option<Mark> {
    let covered = bytes.get(..32)?;
    let whole = covered.starts_with(&kind.tag()) && u32_at(bytes, 32)? == crc32fast::hash(covered);
    whole.then_some(Mark {
        generation: u64_at(bytes, 8)?,
        offset: u64_at(bytes, 16)?,
        seq: u64_at(bytes, 24)?,
    })
}
