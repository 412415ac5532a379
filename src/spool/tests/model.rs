//! Random actions, friendly and not, on a real spool and on a list in memory; afterwards both must
//! hold the same. A failure names its seed: `SPOOL_TEST_SEED=n cargo test spool::tests::model`.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{
    Error, Place, PutAll, RecordId, Spool, drainer, entry, eventually, quick_folder, spool,
};
use crate::spool::{file, folder};

mod harm;

const MAX_SIZE: u64 = 1 << 20;
const SEEDS: u64 = 60;
const ACTIONS: usize = 150;

/// Xorshift: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

struct Waiting {
    id: RecordId,
    raw: Vec<u8>,
}

struct Model {
    place: Place,
    random: Random,
    /// What must come out, in this order.
    waiting: Vec<Waiting>,
    /// What must be found within dead letters.
    rotten: Vec<Vec<u8>>,
    /// Segments whose hint was spoilt: rot at their tail could not be told from a torn write.
    blind: BTreeSet<u64>,
    counter: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let state = quick_folder();
        let spool = spool(state.path(), MAX_SIZE);
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self {
            place: Place { state, spool },
            random,
            waiting: Vec::new(),
            rotten: Vec::new(),
            blind: BTreeSet::new(),
            counter: 0,
        }
    }

    fn spool(&self) -> &Spool {
        &self.place.spool
    }

    fn act(&mut self) {
        match self.random.below(100) {
            0..30 => self.put(3000),
            30..38 => self.put_many(3000),
            38..40 => self.put_many(60_000),
            40..46 => self.put(40_000),
            46..48 => self.put(300_000),
            48..58 => self.drain(true),
            58..62 => self.drain(false),
            62..65 => self.drain_everything(),
            65..68 => self.place.spool = spool(self.place.state.path(), MAX_SIZE),
            68..75 => self.torn_tail(),
            75..80 => self.spoil_hint(),
            80..85 => self.late_hint(),
            85..91 => self.rot(),
            91..94 => self.rot_behind_a_late_hint(),
            94..96 => self.leftovers(),
            _ => self.look(),
        }
    }

    fn put(&mut self, limit: usize) {
        let length = self.random.below(limit);
        let mut raw = format!("<{:08}>", self.counter).into_bytes();
        raw.extend(self.random.bytes(length));
        self.counter += 1;
        match self.spool().put(&entry(&raw)) {
            Ok(id) => self.kept(id, raw),
            Err(error) => assert_full(&error),
        }
    }

    fn put_many(&mut self, limit: usize) {
        let mut raws: Vec<Vec<u8>> = Vec::new();
        for _ in 0..=self.random.below(30) {
            let length = self.random.below(limit);
            let mut raw = format!("<{:08}>", self.counter).into_bytes();
            raw.extend(self.random.bytes(length));
            self.counter += 1;
            raws.push(raw);
        }
        let entries: Vec<_> = raws.iter().map(|raw| entry(raw)).collect();
        let PutAll { kept, refused } = self.spool().put_all(&entries);
        assert_eq!(refused.is_none(), kept.len() == raws.len());
        for (id, raw) in kept.into_iter().zip(raws) {
            self.kept(id, raw);
        }
        if let Some(error) = refused {
            assert_full(&error);
        }
    }

    fn kept(&mut self, id: RecordId, raw: Vec<u8>) {
        self.blind.remove(&id.segment);
        // By id, not by time: while a test beside this one starts a process, that holds copies of
        // our locks, and the record goes to another segment.
        let at = self.waiting.partition_point(|waiting| waiting.id < id);
        self.waiting.insert(at, Waiting { id, raw });
    }

    fn drain(&mut self, settle: bool) {
        let mut drain = drainer(self.spool());
        let (records, bytes) = (1 + self.random.below(20), 1 + self.random.below(100_000));
        let batch = drain.next_batch(records, bytes).unwrap();
        for ((id, found), expected) in batch.iter().zip(&self.waiting) {
            assert_eq!(*id, expected.id);
            assert!(
                found.raw == expected.raw,
                "another record than expected as {id}"
            );
        }
        assert!(batch.len() <= self.waiting.len());
        assert_eq!(batch.is_empty(), self.waiting.is_empty());
        if settle {
            drain.settle().unwrap();
            self.waiting.drain(..batch.len());
        }
    }

    fn drain_everything(&mut self) {
        while !self.waiting.is_empty() {
            self.drain(true);
        }
        self.drain(true);
        self.blind.clear();
        assert!(!self.spool().has_pending());
        self.check_letters();
    }

    fn leftovers(&mut self) {
        self.spool().prepare().unwrap();
        let spare = self.spool().folder().join(folder::SPARE);
        if self.random.below(2) == 0 && spare.exists() {
            file::remove(&spare).unwrap();
        } else {
            let name = format!("{}leftover-{}", folder::UNFINISHED, self.counter);
            let left = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(self.spool().folder().join(name));
            left.unwrap().set_len(self.random.next() % 100_000).unwrap();
        }
    }

    fn look(&mut self) {
        let status = self.spool().status().unwrap();
        let waiting = self.waiting.len() as u64;
        let rotten = self.rotten.len() as u64;
        assert!((waiting..=waiting + rotten).contains(&status.pending));
        assert!(status.bytes_on_disk <= MAX_SIZE + status.dead_bytes);
        let limit = self.random.below(50);
        let listed = self.spool().list(limit).unwrap();
        assert_eq!(listed.len(), self.waiting.len().min(limit));
        for (found, expected) in listed.iter().zip(&self.waiting) {
            assert_eq!(
                (found.id, found.bytes),
                (expected.id, expected.raw.len() as u64)
            );
        }
        assert!(self.waiting.is_empty() || self.spool().has_pending());
    }

    fn check_letters(&mut self) {
        let dead = self.spool().dead().unwrap();
        let raws: Vec<Vec<u8>> = dead
            .iter()
            .map(|dead| self.spool().dead_show(&dead.id).unwrap().raw)
            .collect();
        for tag in &self.rotten {
            let found = raws
                .iter()
                .filter(|raw| raw.windows(tag.len()).any(|window| window == tag))
                .count();
            assert_eq!(
                found,
                1,
                "{} is in so many dead letters",
                String::from_utf8_lossy(tag)
            );
        }
        assert!(dead.len() <= self.rotten.len());
        for letter in &dead {
            self.spool().dead_drop(&letter.id).unwrap();
        }
        self.rotten.clear();
    }
}

fn assert_full(error: &Error) {
    match error {
        Error::Full {
            used,
            needed,
            limit,
            ..
        } => assert!(used + needed > *limit),
        error => panic!("{error}"),
    }
}

fn run(seed: u64) {
    let mut model = Model::new(seed);
    (0..ACTIONS).for_each(|_| model.act());
    model.drain_everything();
    model.put(10);
    model.drain_everything();
    eventually(model.spool(), || {
        fs::read_dir(model.spool().folder()).unwrap().count() <= 4
    });
}

#[test]
fn a_model_in_memory_agrees() {
    let one = std::env::var("SPOOL_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    for seed in one.map_or(0..SEEDS, |seed| seed..seed + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("the seed is {seed}");
            resume_unwind(panic);
        }
    }
}
