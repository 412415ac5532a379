//! What power failures and rotting disks do to a segment.

use std::os::unix::fs::FileExt;

use super::{Model, Waiting};
use crate::spool::folder;
use crate::spool::record;
use crate::spool::scan::Item;
use crate::spool::sectors::{Kind, Mark, encode};
use crate::spool::segment::{self, Segment};
use crate::spool::tests::entry;

impl Model {
    fn newest(&self) -> Option<Segment> {
        let listing = folder::list(self.spool().folder()).unwrap()?;
        Segment::open_to_drain(self.spool().folder(), *listing.numbers.last()?).unwrap()
    }

    /// Where the records of a segment end, and where they begin.
    fn bounds(segment: &Segment) -> Vec<(u64, u64)> {
        let loaded = segment.load(segment::Place::START).unwrap();
        let items = loaded.scan.items.iter().filter_map(|item| match *item {
            Item::Record { at, seq, .. } => Some((loaded.base + at as u64, seq)),
            Item::Gap { .. } => None,
        });
        items.collect()
    }

    /// A write that the power cut short: anything at all behind the tail.
    pub(super) fn torn_tail(&mut self) {
        let Some(segment) = self.newest() else { return };
        let room = segment.room(1).unwrap();
        let Some(tail) = room.map(|tail| tail.place) else {
            return;
        };
        let garbage = if self.random.below(2) == 0 {
            // Random, so that what an earlier torn write has left cannot complete it.
            let raw = self.random.bytes(2000);
            let mut whole = Vec::new();
            // Of a group the first records may be whole: then they are there, though nobody was
            // told. This one tears in its first.
            for seq in tail.seq + 1..=tail.seq + 1 + self.random.below(3) as u64 {
                record::encode(segment.number, seq, &entry(&raw), &mut whole).unwrap();
            }
            let length = 1 + self.random.below(raw.len() - 100);
            whole[..length].to_vec()
        } else {
            let length = 1 + self.random.below(5000);
            self.random.bytes(length)
        };
        let length = garbage
            .len()
            .min(usize::try_from(segment.length - tail.offset).unwrap());
        segment
            .file
            .write_all_at(&garbage[..length], tail.offset)
            .unwrap();
    }

    pub(super) fn spoil_hint(&mut self) {
        let Some(segment) = self.newest() else { return };
        if self.rotten_in(segment.number) {
            return;
        }
        let bytes = if self.random.below(2) == 0 {
            vec![0; 512]
        } else {
            self.random.bytes(512)
        };
        segment
            .file
            .write_all_at(&bytes, Kind::Hint.offset())
            .unwrap();
        self.blind.insert(segment.number);
    }

    /// The hint as it was some records ago, as after a power failure.
    pub(super) fn late_hint(&mut self) {
        let Some(segment) = self.newest() else { return };
        if self.rotten_in(segment.number) {
            return;
        }
        let bounds = Self::bounds(&segment);
        if bounds.is_empty() {
            return;
        }
        let (offset, seq) = bounds[self.random.below(bounds.len())];
        Self::write_hint(&segment, offset, seq - 1);
        self.blind.insert(segment.number);
    }

    fn write_hint(segment: &Segment, offset: u64, seq: u64) {
        let mark = Mark {
            generation: segment.number,
            offset,
            seq,
        };
        segment
            .file
            .write_all_at(&encode(Kind::Hint, &mark), Kind::Hint.offset())
            .unwrap();
    }

    /// Rot that nobody has drained yet lies in this segment.
    fn rotten_in(&self, number: u64) -> bool {
        self.blind.contains(&(number | 1 << 63))
    }

    /// One byte of a record changes; its bytes must come out as a dead letter.
    pub(super) fn rot(&mut self) {
        let last = self.waiting.len();
        if last > 0 {
            let index = self.random.below(last);
            if !self.blind.contains(&self.waiting[index].id.segment) {
                self.rot_one(index);
            }
        }
    }

    fn rot_one(&mut self, index: usize) -> (Segment, u64, u64) {
        let Waiting { id, raw } = self.waiting.remove(index);
        let segment = Segment::open_to_drain(self.spool().folder(), id.segment)
            .unwrap()
            .unwrap();
        let at = Self::bounds(&segment)
            .into_iter()
            .find(|&(_, seq)| seq == id.seq)
            .unwrap()
            .0;
        // The tag in front of the raw bytes stays as it is: it is what the letter is known by.
        let head = 32 + 4 + 7;
        let tag = 1 + raw.iter().position(|&byte| byte == b'>').unwrap();
        let places = [0, 4, 8, 17, 33, head + tag];
        let place = places[self.random.below(if raw.len() > tag { 6 } else { 5 })];
        let mut byte = [0];
        segment
            .file
            .read_exact_at(&mut byte, at + place as u64)
            .unwrap();
        segment
            .file
            .write_all_at(&[byte[0] ^ 0x40], at + place as u64)
            .unwrap();
        self.rotten.push(raw[..tag].to_vec());
        self.blind.insert(id.segment | 1 << 63);
        (segment, at, id.seq)
    }

    /// The worst case for a writer: the hint names a record that is rotten, and good ones follow.
    pub(super) fn rot_behind_a_late_hint(&mut self) {
        let Some(number) = self.newest().map(|segment| segment.number) else {
            return;
        };
        let here: Vec<usize> = (0..self.waiting.len())
            .filter(|&at| self.waiting[at].id.segment == number)
            .collect();
        if here.len() < 2 || self.rotten_in(number) || self.blind.contains(&number) {
            return;
        }
        let chosen = here[self.random.below(here.len() - 1)];
        let (segment, at, seq) = self.rot_one(chosen);
        Self::write_hint(&segment, at, seq - 1);
        self.blind.insert(number);
        // The next put walks, and writes a good hint.
        self.put(100);
    }
}
