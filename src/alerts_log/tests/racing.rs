//! A writer that does not wait for the reader, by the machine's own clock.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use super::{Day, Log, Start, Tail, TempDir, shown};

const LINES: usize = 12_000;
const TURNS: usize = 24;

/// Writes whole buffers, so that lines are cut as stdio cuts them, and turns the log over.
fn write_and_rotate(mut log: Log) -> TempDir {
    // Time that passes between changes is what tells their order.
    let pause = || thread::sleep(Duration::from_millis(15));
    for turn in 0..TURNS {
        let mut buffered = BufWriter::with_capacity(1000, log.writer.try_clone().unwrap());
        for number in 0..LINES / TURNS {
            let n = turn * (LINES / TURNS) + number;
            writeln!(buffered, "{{\"timestamp\":\"{n:064}\"}}").unwrap();
        }
        buffered.flush().unwrap();
        pause();
        match turn % 5 {
            0 | 3 => drop(turn_over(&mut log)),
            1 => {
                let old = turn_over(&mut log);
                pack(&old);
            }
            2 => {
                log.shift();
                fs::copy(log.live(), log.path("alerts.json.1")).unwrap();
                log.writer.set_len(0).unwrap();
            }
            _ => {}
        }
        pause();
    }
    log.folder
}

fn turn_over(log: &mut Log) -> PathBuf {
    let old = log.dated();
    log.sequence += 1;
    log.make_files();
    old
}

fn pack(path: &PathBuf) {
    let text = fs::read(path).unwrap();
    super::write_gzip(&PathBuf::from(format!("{}.gz", path.display())), &[&text]);
    fs::remove_file(path).unwrap();
}

#[test]
fn nothing_is_missed_or_doubled_while_the_log_is_turned_over_under_the_reader() {
    let mut log = Log::new();
    log.day = Day::of(SystemTime::now());
    log.make_files();
    let live = log.live();
    let done = AtomicBool::new(false);
    let mut came: Vec<String> = Vec::new();
    let mut tail = Tail::open(&live, Start::Beginning).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let folder = write_and_rotate(log);
            done.store(true, Ordering::SeqCst);
            folder
        });
        loop {
            let over = done.load(Ordering::SeqCst);
            let before = came.len();
            while let Some((piece, _)) = tail.next().unwrap() {
                came.push(shown(piece));
                if came.len() > before && came.len().is_multiple_of(997) {
                    break;
                }
            }
            if came.len() > before && came.len().is_multiple_of(997) {
                tail = Tail::open(&live, Start::At(tail.checkpoint())).unwrap();
            } else if over && came.len() == before {
                break;
            } else {
                tail.wait(Duration::from_millis(30));
            }
        }
        assert!(tail.lost().is_none(), "{:?}", tail.lost());
        drop(writer.join().unwrap());
    });
    let all = (0..LINES).map(|n| format!("{{\"timestamp\":\"{n:064}\"}}"));
    for (expected, line) in all.zip(&came) {
        assert_eq!(line, &expected);
    }
    assert_eq!(came.len(), LINES);
}
