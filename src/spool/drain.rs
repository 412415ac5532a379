//! Takes records out in order, one process at a time; moves the cursors, buries damage, recycles.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use self::recycle::{Damage, load_for_certain};
use super::error::{Result, io_error};
use super::file::try_lock;
use super::record::{self, Entry};
use super::scan::Item;
use super::sectors::Kind;
use super::segment::{Loaded, Place, Segment};
use super::{RecordId, Spool, dead, folder};

mod forget;
mod recycle;

const LOCK: &str = "drain.lock";

/// The right to take records out; it ends with this value.
#[derive(Debug)]
pub struct Drain {
    spool: Spool,
    _lock: File,
    /// Segments still to be read, in order.
    todo: VecDeque<u64>,
    reading: Option<Reading>,
    /// What was taken out of which segment and is not settled.
    handed: BTreeMap<u64, Handed>,
    unsettled: usize,
}

#[derive(Debug)]
struct Reading {
    number: u64,
    loaded: Loaded,
    next: usize,
}

#[derive(Debug)]
struct Handed {
    segment: Segment,
    place: Place,
    damage: Vec<Damage>,
    ended: bool,
}

impl Spool {
    /// Takes the right to drain; `None` when another process has it (`drainer` says which).
    pub fn drain(&self) -> Result<Option<Drain>> {
        self.prepare()?;
        let path = self.folder().join(LOCK);
        let mut options = OpenOptions::new();
        let options = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let lock = options.open(&path).map_err(io_error("open", &path))?;
        if !try_lock(&lock, &path)? {
            return Ok(None);
        }
        let pid = format!("{:<10}\n", std::process::id());
        lock.write_all_at(pid.as_bytes(), 0)
            .map_err(io_error("write", &path))?;
        folder::sweep(&folder::list(self.folder())?.unwrap_or_default().unfinished);
        dead::sweep(self)?;
        Ok(Some(Drain {
            spool: self.clone(),
            _lock: lock,
            todo: VecDeque::new(),
            reading: None,
            handed: BTreeMap::new(),
            unsettled: 0,
        }))
    }

    /// The process that drains now, or drained last.
    #[must_use]
    pub fn drainer(&self) -> Option<u32> {
        fs::read_to_string(self.folder().join(LOCK))
            .ok()?
            .trim()
            .parse()
            .ok()
    }
}

impl Drain {
    /// The next records in order, across segments: at most `max_records`, and at most `max_bytes`
    /// of them unless the first alone is larger. Empty when nothing is left for now.
    pub fn next_batch(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<(RecordId, Entry)>> {
        if self.reading.is_none() && self.todo.is_empty() {
            self.todo = folder::list(self.spool.folder())?
                .unwrap_or_default()
                .numbers
                .into();
        }
        let mut batch = Vec::new();
        let mut left = max_bytes;
        while batch.len() < max_records {
            let Some((number, item)) = self.peek() else {
                break;
            };
            match item {
                Item::Record { size, .. } if size > left && !batch.is_empty() => break,
                Item::Record { size, .. } => left = left.saturating_sub(size),
                Item::Gap { .. } => {}
            }
            batch.extend(self.take(number, item));
        }
        self.unsettled += batch.len();
        if self.unsettled == 0 {
            self.settle()?;
        }
        Ok(batch)
    }

    /// Everything that `next_batch` gave so far is stored elsewhere or buried: moves the cursors
    /// behind it, buries damage that lay between, recycles segments that are finished.
    pub fn settle(&mut self) -> Result<()> {
        let numbers: Vec<u64> = self.handed.keys().copied().collect();
        for number in numbers {
            if let Some(handed) = self.handed.get(&number) {
                self.settle_one(handed)?;
            }
            if let Some(handed) = self
                .handed
                .remove(&number)
                .filter(|_| self.is_reading(number))
            {
                self.handed.insert(
                    number,
                    Handed {
                        damage: Vec::new(),
                        ..handed
                    },
                );
            }
        }
        self.unsettled = 0;
        Ok(())
    }

    fn is_reading(&self, number: u64) -> bool {
        self.reading
            .as_ref()
            .is_some_and(|reading| reading.number == number)
    }

    fn settle_one(&self, handed: &Handed) -> Result<()> {
        handed
            .damage
            .iter()
            .try_for_each(|damage| damage.bury(&self.spool))?;
        if handed.place != handed.segment.cursor() {
            handed.segment.write(Kind::Cursor, handed.place)?;
        }
        if handed.ended {
            self.finish(handed)
                .unwrap_or_else(|error| log::warn!("{error}; the segment stays"));
        }
        Ok(())
    }

    /// The next item and the segment that it is of.
    fn peek(&mut self) -> Option<(u64, Item)> {
        loop {
            if let Some(reading) = &self.reading {
                if let Some(&item) = reading.loaded.scan.items.get(reading.next) {
                    return Some((reading.number, item));
                }
                if let Some(handed) = self.handed.get_mut(&reading.number) {
                    handed.ended = true;
                }
                self.reading = None;
            }
            let number = self.todo.pop_front()?;
            if let Err(error) = self.open(number) {
                log::error!("{error}; its records stay for a later drain");
            }
        }
    }

    fn open(&mut self, number: u64) -> Result<()> {
        let Some(mut handed) = self.handed_or_new(number)? else {
            return Ok(());
        };
        handed.ended = handed.segment.ends_at(handed.place)?;
        if !handed.ended {
            let loaded = load_for_certain(&mut handed.segment, handed.place)?;
            self.reading = Some(Reading {
                number,
                loaded,
                next: 0,
            });
        }
        self.handed.insert(number, handed);
        Ok(())
    }

    fn handed_or_new(&mut self, number: u64) -> Result<Option<Handed>> {
        if let Some(mut handed) = self.handed.remove(&number) {
            handed.segment.refresh()?;
            return Ok(Some(handed));
        }
        let Some(segment) = Segment::open_to_drain(self.spool.folder(), number)? else {
            return Ok(None);
        };
        if segment.foreign() {
            log::warn!(
                "{} was written by a later version; it is left for that one",
                segment.path.display()
            );
            return Ok(None);
        }
        let place = segment.cursor();
        Ok(Some(Handed {
            segment,
            place,
            damage: Vec::new(),
            ended: false,
        }))
    }

    fn take(&mut self, number: u64, item: Item) -> Option<(RecordId, Entry)> {
        let reading = self.reading.as_mut()?;
        let handed = self.handed.get_mut(&number)?;
        reading.next += 1;
        let Loaded { base, bytes, .. } = &reading.loaded;
        match item {
            Item::Record { at, size, seq } => {
                handed.place = Place {
                    offset: base + (at + size) as u64,
                    seq,
                };
                let found = record::read(handed.segment.generation(), bytes.get(at..)?)?;
                Some((
                    RecordId {
                        segment: number,
                        seq,
                    },
                    found.entry.to_entry(),
                ))
            }
            Item::Gap { at, end } => {
                handed.place.offset = base + end as u64;
                handed.damage.push(Damage::new(
                    &handed.segment,
                    base + at as u64,
                    bytes.get(at..end)?,
                ));
                None
            }
        }
    }
}
