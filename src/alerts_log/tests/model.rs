//! Random actions of a writer, of whoever rotates and of a reader that restarts; afterwards every
//! line came exactly once and in order. A failure names its seed:
//! `ALERTS_LOG_TEST_SEED=n cargo test alerts_log::tests::model`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Checkpoint, Log, Start, Tail, read, read_all, reopened};

const SEEDS: u64 = 40;
const ACTIONS: usize = 60;

/// Xorshift: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

struct Model {
    log: Log,
    random: Random,
    tail: Tail,
    came: Vec<String>,
    /// What is left to write of a line that was begun.
    begun: Option<String>,
    /// A place from before, and how many lines had come.
    old: Option<(Checkpoint, usize)>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let log = Log::new();
        let tail = log.tail(Start::Beginning);
        Self {
            log,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            tail,
            came: Vec::new(),
            begun: None,
            old: None,
        }
    }

    fn act(&mut self) {
        match self.random.below(21) {
            0..5 => self.append(),
            5..8 => self.begin_a_line(),
            8 => drop(self.rotate(Log::rotate)),
            9 => drop(self.rotate(Log::rotate_within_the_day)),
            10 => {
                let old = self.rotate(Log::rotate);
                self.log.gzip(&old);
            }
            11 => {
                self.finish();
                self.log.copy_and_truncate();
            }
            12..15 => self.read_some(),
            15..17 => self.read_everything(),
            17 => self.tail = reopened(&self.log, &self.tail.checkpoint()),
            18 => {
                self.finish();
                self.log.replace_by_a_copy();
            }
            19 => self.old = Some((self.tail.checkpoint(), self.came.len())),
            _ => self.read_again_from_the_old_place(),
        }
    }

    fn append(&mut self) {
        self.finish();
        for _ in 0..=self.random.below(6) {
            let padding = [0, 30, 700, 5000][self.random.below(4)];
            let line = self.log.next_line(padding) + "\n";
            self.log.write(line.as_bytes());
        }
    }

    fn begin_a_line(&mut self) {
        self.finish();
        let padding = self.random.below(6000);
        let line = self.log.next_line(padding) + "\n";
        let at = self.random.below(line.len());
        self.log.write(&line.as_bytes()[..at]);
        self.begun = Some(line[at..].to_owned());
    }

    /// Wazuh closes a file with whole lines.
    fn finish(&mut self) {
        if let Some(rest) = self.begun.take() {
            self.log.write(rest.as_bytes());
        }
    }

    fn rotate(&mut self, how: fn(&mut Log) -> std::path::PathBuf) -> std::path::PathBuf {
        self.finish();
        how(&mut self.log)
    }

    fn read_some(&mut self) {
        let count = 1 + self.random.below(4);
        self.came.extend(read(&mut self.tail, count));
    }

    fn read_everything(&mut self) {
        self.came.extend(read_all(&mut self.tail));
        let whole = self.log.lines.len() - usize::from(self.begun.is_some());
        assert_eq!(self.came.len(), whole, "all that is whole comes");
    }

    /// At least once: everything behind a place comes again.
    fn read_again_from_the_old_place(&mut self) {
        let Some((place, count)) = &self.old else {
            return;
        };
        let lines = read_all(&mut reopened(&self.log, place));
        let whole = self.log.lines.len() - usize::from(self.begun.is_some());
        assert_eq!(lines, self.log.lines[*count..whole], "from {place:?}");
    }
}

fn run(seed: u64) {
    let mut model = Model::new(seed);
    for _ in 0..ACTIONS {
        model.act();
        let came = model.came.len();
        assert!(model.came == model.log.lines[..came], "once and in order");
    }
    model.finish();
    model.read_everything();
    assert_eq!(model.came, model.log.lines);
    assert!(model.tail.lost().is_none(), "{:?}", model.tail.lost());
}

#[test]
fn every_line_comes_once_whatever_happens_to_the_files() {
    let one = std::env::var("ALERTS_LOG_TEST_SEED").ok();
    let one = one.and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(1..SEEDS + 1, |seed| seed..seed + 1);
    for seed in seeds {
        let ran = catch_unwind(AssertUnwindSafe(|| run(seed)));
        if let Err(panic) = ran {
            eprintln!("ALERTS_LOG_TEST_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
