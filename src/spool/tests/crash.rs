//! Death at every step: a child does everything that changes the disk and is killed, by a real
//! SIGKILL, before the n-th change or in the middle of it; then the spool is opened again.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{DeadLetter, Spool, drain_all, drainer, entry, quick_folder, spool};
use crate::spool::folder;

const KILL_AT: &str = "SPOOL_TEST_KILL_AT";
const STATE: &str = "SPOOL_TEST_STATE";
const MAX_SIZE: u64 = 1 << 20;
/// Behind the last of those that are put together; some of them share a sync, some a segment.
const GROUP_END: usize = 26;

static STEPS: AtomicUsize = AtomicUsize::new(0);

/// One change of the disk is about to be made.
pub(crate) fn step() {
    let steps = STEPS.fetch_add(1, Ordering::SeqCst);
    if kill_at().is_some_and(|at| at == steps) {
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    }
}

/// True in a child that is to be killed.
pub(crate) fn armed() -> bool {
    kill_at().is_some()
}

thread_local! {
    /// The next so many writes of this thread fail.
    pub(super) static FAILURES: Cell<usize> = const { Cell::new(0) };
}

/// Fails when a test wants the disk to.
pub(crate) fn fail() -> io::Result<()> {
    let left = FAILURES.get();
    FAILURES.set(left.saturating_sub(1));
    if left == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(5))
    }
}

fn kill_at() -> Option<usize> {
    static AT: OnceLock<Option<usize>> = OnceLock::new();
    *AT.get_or_init(|| std::env::var(KILL_AT).ok()?.parse().ok())
}

/// The test program itself, running one of its tests as another process.
pub(super) fn child(test: &str, state: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--quiet", "--test-threads=1", test]);
    // Without a name for a capture, libtest would write a panic to the stdout that nobody reads.
    command
        .arg("--nocapture")
        .env(STATE, state)
        .stdout(Stdio::null());
    command
}

/// The folder that the parent gave; `None` when nobody did.
pub(super) fn state() -> Option<std::path::PathBuf> {
    std::env::var_os(STATE).map(Into::into)
}

fn raw(number: usize) -> Vec<u8> {
    let mut raw = format!("<{number}>").into_bytes();
    raw.resize(if number % 7 == 3 { 200_000 } else { 45_000 }, b'.');
    raw
}

fn number(raw: &[u8]) -> usize {
    let text = String::from_utf8_lossy(&raw[1..]);
    text.split_once('>').unwrap().0.parse().unwrap()
}

fn note(state: &Path, what: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(state.join("notes"))
        .unwrap();
    file.write_all(format!("{what}\n").as_bytes()).unwrap();
}

fn put(state: &Path, spool: &Spool, number: usize) {
    spool.put(&entry(&raw(number))).unwrap();
    note(state, &format!("acked {number}"));
}

fn put_all(state: &Path, spool: &Spool, numbers: std::ops::Range<usize>) {
    let raws: Vec<Vec<u8>> = numbers.clone().map(raw).collect();
    let entries: Vec<_> = raws.iter().map(|raw| entry(raw)).collect();
    note(state, &format!("group {}", numbers.start));
    assert!(spool.put_all(&entries).refused.is_none());
    numbers.for_each(|number| note(state, &format!("acked {number}")));
}

fn drain(state: &Path, spool: &Spool, batches: usize) {
    let mut drain = drainer(spool);
    for _ in 0..batches {
        let batch = drain.next_batch(2, 1 << 20).unwrap();
        for (_, entry) in &batch {
            note(state, &format!("stored {}", number(&entry.raw)));
        }
        drain.settle().unwrap();
        for (_, entry) in &batch {
            note(state, &format!("settled {}", number(&entry.raw)));
        }
    }
}

#[test]
#[ignore = "a part of the test below, run by it in a process of its own"]
fn victim() {
    let Some(state) = state() else { return };
    let spool = spool(&state, MAX_SIZE);
    (0..5).for_each(|number| put(&state, &spool, number));
    drain(&state, &spool, 2);
    (5..8).for_each(|number| put(&state, &spool, number));
    drain(&state, &spool, 5);
    (8..11).for_each(|number| put(&state, &spool, number));
    drain(&state, &spool, 3);
    (11..17).for_each(|number| put(&state, &spool, number));
    drain(&state, &spool, 9);
    (17..20).for_each(|number| put(&state, &spool, number));
    drain(&state, &spool, 2);
    put_all(&state, &spool, 20..GROUP_END);
    let letter = DeadLetter {
        reason: "r",
        received_at_ms: 1,
        source: 1,
        options: b"",
        raw: b"dead",
        offset: None,
    };
    spool.bury(&letter).unwrap();
    note(&state, "acked 999");
    note(&state, &format!("steps {}", STEPS.load(Ordering::SeqCst)));
}

fn noted(state: &Path, what: &str) -> BTreeSet<usize> {
    let notes = fs::read_to_string(state.join("notes")).unwrap_or_default();
    let numbers = notes
        .lines()
        .filter_map(|line| line.split_once(' ').filter(|(word, _)| *word == what));
    numbers.map(|(_, number)| number.parse().unwrap()).collect()
}

fn check(state: &Path, at: usize) {
    let spool = spool(state, MAX_SIZE);
    let (acked, stored, settled) = (
        noted(state, "acked"),
        noted(state, "stored"),
        noted(state, "settled"),
    );
    let pending = spool.has_pending();
    let found: Vec<usize> = drain_all(&spool).iter().map(|raw| number(raw)).collect();
    let once: BTreeSet<usize> = found.iter().copied().collect();
    assert_eq!(pending, !found.is_empty(), "step {at}");
    assert_eq!(once.len(), found.len(), "step {at}: twice in {found:?}");
    assert!(
        once.is_disjoint(&settled),
        "step {at}: settled {settled:?}, found {found:?}"
    );
    let alerts: BTreeSet<usize> = acked
        .iter()
        .copied()
        .filter(|&number| number != 999)
        .collect();
    let kept: BTreeSet<usize> = once.union(&stored).copied().collect();
    assert!(
        alerts.is_subset(&kept),
        "step {at}: acked {acked:?}, kept {kept:?}"
    );
    // Nobody was told yes of one that was under way, or of those in one group.
    let group = noted(state, "group")
        .first()
        .map_or(0..0, |first| *first..GROUP_END);
    let untold: Vec<&usize> = kept.difference(&alerts).collect();
    assert!(
        untold.len() <= 1 || untold.iter().all(|number| group.contains(number)),
        "step {at}: acked {acked:?}, kept {kept:?}"
    );
    let dead = spool.dead().unwrap();
    assert!(
        dead.iter().all(|letter| letter.reason == "r"),
        "step {at}: {dead:?}"
    );
    assert!(!acked.contains(&999) || dead.len() == 1, "step {at}");
    check_use(&spool, at);
    assert!(
        spool.status().unwrap().bytes_on_disk <= MAX_SIZE,
        "step {at}"
    );
}

/// Goes on for some segments.
fn check_use(spool: &Spool, at: usize) {
    for round in 100..102 {
        let numbers = [0, 1, 2, 4, 5].map(|number| round * 7 + number);
        for number in numbers {
            spool.put(&entry(&raw(number))).unwrap();
        }
        let mut found: Vec<usize> = drain_all(spool).iter().map(|raw| number(raw)).collect();
        found.sort_unstable();
        assert_eq!(found, numbers, "step {at}");
    }
}

/// The spare segment is at the same time one that is in use.
fn two_names(state: &Path) -> bool {
    let spare = spool(state, MAX_SIZE).folder().join(folder::SPARE);
    fs::metadata(spare).is_ok_and(|meta| meta.nlink() > 1)
}

#[test]
fn death_at_every_step_loses_nothing() {
    let whole = quick_folder();
    let run = |state: &Path, at: Option<usize>| {
        let mut victim = child("spool::tests::crash::victim", state);
        victim.env(KILL_AT, at.unwrap_or(usize::MAX).to_string());
        victim.status().unwrap()
    };
    assert!(run(whole.path(), None).success());
    let steps = *noted(whole.path(), "steps").first().unwrap();
    assert!(steps > 100, "{steps}");
    check(whole.path(), steps);
    let mut doubles = 0;
    for at in 0..steps {
        let state = quick_folder();
        assert!(
            !run(state.path(), Some(at)).success(),
            "step {at} did not kill"
        );
        doubles += usize::from(two_names(state.path()));
        check(state.path(), at);
    }
    assert!(doubles > 1, "death between two names was not met");
}
