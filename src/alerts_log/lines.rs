//! Bytes into pieces with offsets: one buffer, used again and again, that grows to a line's need and
//! shrinks back. It gives out only what is whole; what is not yet stays in the buffer.

use std::io;

use memchr::memchr;

use super::{Piece, Text};

/// The longest line that is given out whole, in bytes: 32 MiB.
pub const MAX_LINE: usize = 32 << 20;
/// How much of a longer line is given out, in bytes: 64 KiB.
pub const HEAD: usize = 64 << 10;

/// Bytes for one read; also the buffer's usual size.
const CHUNK: usize = 256 << 10;
/// A read of less than that is not worth its system call: first make room.
const SMALLEST_READ: usize = 64 << 10;

/// A text as pieces.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    /// The buffer's bytes that are not given out: `start..end`; no newline in `start..scanned`.
    start: usize,
    scanned: usize,
    end: usize,
    /// Where the next piece begins in the text.
    offset: u64,
    /// NULs before `start` that belong to the next piece.
    nuls: u64,
    /// Bytes of an overlong line that were dropped behind its head; `None` in any other line.
    dropped: Option<u64>,
}

/// A piece that was found: where its bytes lie in the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) offset: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Line { from: usize, to: usize },
    Nuls(u64),
    TooLong { length: u64, from: usize },
}

impl<R: Text> Lines<R> {
    /// Reads `source`, which stands at `offset` of its text.
    pub fn new(source: R, offset: u64) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            end: 0,
            offset,
            nuls: 0,
            dropped: None,
        }
    }

    /// The next whole piece and its offset, or `None` at the end of what is there now.
    #[cfg(test)]
    pub fn next(&mut self) -> io::Result<Option<(Piece<'_>, u64)>> {
        loop {
            if let Some(cut) = self.cut() {
                return Ok(Some((self.piece(cut), cut.offset)));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// The place behind the piece given out last, in the text.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that were read and are not given out, since their line is not whole.
    pub fn part(&self) -> u64 {
        self.nuls + self.dropped.unwrap_or_default() + (self.end - self.start) as u64
    }

    /// The buffer's size.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// How far the source was read.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.part()
    }

    pub(super) fn source(&self) -> &R {
        &self.source
    }

    /// Reads once more from the source; 0 at its end.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        if self.nuls > 0 && self.start == self.end {
            let hole = self.source.skip_hole()?;
            self.nuls += hole;
            if hole > 0 {
                return Ok(usize::try_from(hole).unwrap_or(usize::MAX));
            }
        }
        self.make_room();
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        loop {
            match self.source.read(room) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next whole piece among the bytes that were read.
    pub(super) fn cut(&mut self) -> Option<Cut> {
        if self.dropped.is_some() {
            return self.cut_overlong();
        }
        if self.scanned == self.start {
            self.skip_nuls();
            if self.start == self.end {
                return None;
            }
            if self.nuls > 0 {
                return Some(self.give_nuls());
            }
        }
        let behind = self.buffer.get(self.scanned..self.end).unwrap_or_default();
        let Some(found) = memchr(b'\n', behind) else {
            self.scanned = self.end;
            if self.end - self.start > MAX_LINE {
                self.begin_dropping();
            }
            return None;
        };
        let newline = self.scanned + found;
        Some(self.give_line(newline, newline + 1))
    }

    /// What stands behind the last newline, if nothing will ever follow: NULs, then a line.
    pub(super) fn rest(&mut self) -> Option<Cut> {
        if self.nuls > 0 {
            return Some(self.give_nuls());
        }
        match self.dropped {
            Some(dropped) => Some(self.give_overlong(dropped, self.end, self.end)),
            None if self.start < self.end => Some(self.give_line(self.end, self.end)),
            None => None,
        }
    }

    /// The piece that was found last.
    pub(super) fn piece(&self, cut: Cut) -> Piece<'_> {
        let bytes = |from: usize, to: usize| self.buffer.get(from..to).unwrap_or_default();
        match cut.kind {
            Kind::Nuls(count) => Piece::Nuls(count),
            Kind::TooLong { length, from } => Piece::TooLong {
                length,
                head: bytes(from, from + HEAD),
            },
            Kind::Line { from, to } => match bytes(from, to) {
                // Alerts begin with a brace: one look is enough for them.
                [first, ..] if !first.is_ascii_whitespace() => Piece::Line(bytes(from, to)),
                line if line.iter().all(u8::is_ascii_whitespace) => Piece::Empty,
                line => Piece::Line(line),
            },
        }
    }

    fn skip_nuls(&mut self) {
        let ahead = self.buffer.get(self.start..self.end).unwrap_or_default();
        if ahead.first() != Some(&0) {
            return;
        }
        let nul = |byte: &u8| *byte == 0;
        // In blocks first: holes are large, and `all` over a block is a comparison of words.
        let blocks = ahead
            .chunks_exact(4096)
            .take_while(|block| block.iter().fold(0, |any, byte| any | byte) == 0);
        let sure = blocks.count() * 4096;
        let rest = ahead.get(sure..).unwrap_or_default();
        let count = sure + rest.iter().take_while(|byte| nul(byte)).count();
        self.nuls += count as u64;
        self.start += count;
        self.scanned = self.start;
    }

    fn give_nuls(&mut self) -> Cut {
        let cut = Cut {
            offset: self.offset,
            kind: Kind::Nuls(self.nuls),
        };
        self.offset += self.nuls;
        self.nuls = 0;
        cut
    }

    fn give_line(&mut self, to: usize, next: usize) -> Cut {
        let (from, offset) = (self.start, self.offset);
        let length = to - from;
        self.offset += (next - from) as u64;
        self.start = next;
        self.scanned = next;
        let kind = if length > MAX_LINE {
            Kind::TooLong {
                length: length as u64,
                from,
            }
        } else {
            Kind::Line { from, to }
        };
        Cut { offset, kind }
    }

    fn begin_dropping(&mut self) {
        let head_end = self.start + HEAD;
        self.dropped = Some((self.end - head_end) as u64);
        self.end = head_end;
        self.scanned = head_end;
    }

    fn cut_overlong(&mut self) -> Option<Cut> {
        let dropped = self.dropped?;
        let head_end = self.start + HEAD;
        let behind = self.buffer.get(head_end..self.end).unwrap_or_default();
        if let Some(found) = memchr(b'\n', behind) {
            let newline = head_end + found;
            return Some(self.give_overlong(dropped, newline, newline + 1));
        }
        self.dropped = Some(dropped + behind.len() as u64);
        self.end = head_end;
        None
    }

    fn give_overlong(&mut self, dropped: u64, to: usize, next: usize) -> Cut {
        let (from, offset) = (self.start, self.offset);
        let length = dropped + (to - from) as u64;
        self.offset += dropped + (next - from) as u64;
        self.start = next;
        self.scanned = next;
        self.dropped = None;
        let kind = Kind::TooLong { length, from };
        Cut { offset, kind }
    }

    fn make_room(&mut self) {
        let held = self.end - self.start;
        if self.buffer.len() - self.end >= SMALLEST_READ && self.buffer.len() <= 4 * CHUNK {
            return;
        }
        if self.buffer.len() > 4 * CHUNK && held + SMALLEST_READ < CHUNK {
            // A large line is over: its memory goes back.
            let kept = self.buffer.get(self.start..self.end).unwrap_or_default();
            let mut small = Vec::with_capacity(CHUNK);
            small.extend_from_slice(kept);
            small.resize(CHUNK, 0);
            self.buffer = small;
        } else {
            self.buffer.copy_within(self.start..self.end, 0);
            if self.buffer.len() - held < SMALLEST_READ {
                let size = (2 * self.buffer.len()).clamp(CHUNK, MAX_LINE + CHUNK);
                // Not twice what is needed, as a vector would take by itself.
                self.buffer
                    .reserve_exact(size.saturating_sub(self.buffer.len()));
                self.buffer.resize(size, 0);
            }
        }
        self.scanned -= self.start;
        self.end = held;
        self.start = 0;
    }
}
