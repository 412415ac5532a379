//! Bytes into pieces.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::{Log, Start, read_all, shown};
use crate::alerts_log::{HEAD, Lines, MAX_LINE, Piece, Text};

/// Gives at most so many bytes a read.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(room.len()).min(self.0.len());
        self.0.read(&mut room[..count])
    }
}

impl Text for Slow<'_> {}

fn pieces(text: &[u8], at_a_time: usize) -> Vec<(String, u64)> {
    let mut lines = Lines::new(Slow(text, at_a_time), 0);
    let mut found = Vec::new();
    while let Some((piece, offset)) = lines.next().unwrap() {
        found.push((shown(piece), offset));
    }
    found
}

#[test]
fn pieces_and_offsets_do_not_depend_on_how_the_bytes_come() {
    let text = b"{\"a\":1}\n\n \t\r\n\0\0\0{\"b\":2}\n\0\0\n{\"c\":\"\0\"}\r\n part";
    let whole = [
        ("{\"a\":1}", 0),
        ("(empty)", 8),
        ("(empty)", 9),
        ("(3 nuls)", 13),
        ("{\"b\":2}", 16),
        ("(2 nuls)", 24),
        ("(empty)", 26),
        ("{\"c\":\"\0\"}\r", 27),
    ];
    let whole = whole.map(|(text, offset)| (text.to_owned(), offset));
    for at_a_time in [1, 2, 3, 5, 1000] {
        assert_eq!(pieces(text, at_a_time), whole, "{at_a_time}");
    }
}

#[test]
fn a_line_cut_at_every_byte_comes_once_when_it_is_complete() {
    let sample = "{\"one\":\"ä\"}\n{\"two\":[1,2]}\n\n{\"three\":\"\\u0000\"}\n";
    for cut in 0..=sample.len() {
        let mut log = Log::new();
        let mut tail = log.tail(Start::Beginning);
        log.write(&sample.as_bytes()[..cut]);
        let whole = sample.as_bytes()[..cut]
            .iter()
            .filter(|byte| **byte == b'\n');
        let mut lines = read_all(&mut tail);
        assert_eq!(lines.len(), whole.count(), "cut at {cut}");
        log.write(&sample.as_bytes()[cut..]);
        lines.extend(read_all(&mut tail));
        let all = [
            "{\"one\":\"ä\"}",
            "{\"two\":[1,2]}",
            "(empty)",
            "{\"three\":\"\\u0000\"}",
        ];
        assert_eq!(lines, all, "cut at {cut}");
    }
}

#[test]
fn a_line_too_long_has_a_head_and_its_length_and_bounded_memory() {
    let longest = vec![b'x'; MAX_LINE];
    let mut text = longest.clone();
    text.extend_from_slice(b"\n");
    text.extend_from_slice(&longest);
    text.extend_from_slice(b"y\n{}\n");
    text.extend_from_slice(&longest);
    text.extend_from_slice(&longest);
    text.extend_from_slice(b"\n{\"last\":1}\n");
    let mut lines = Lines::new(text.as_slice(), 0);
    let longest = MAX_LINE as u64;
    let mut found = Vec::new();
    while let Some((piece, offset)) = lines.next().unwrap() {
        found.push(match piece {
            Piece::Line(line) => (line.len() as u64, offset),
            Piece::TooLong { length, head } => {
                assert_eq!(head, vec![b'x'; HEAD]);
                (length, offset)
            }
            other => panic!("{other:?}"),
        });
        assert!(lines.memory() <= MAX_LINE + (1 << 20));
    }
    let second = longest + 1;
    let third = second + longest + 2;
    let fourth = third + 3;
    let fifth = fourth + 2 * longest + 1;
    assert_eq!(
        found,
        [
            (longest, 0),
            (longest + 1, second),
            (2, third),
            (2 * longest, fourth),
            (10, fifth)
        ]
    );
}

#[test]
fn a_large_line_gives_its_memory_back() {
    let mut text = vec![b'x'; 5 << 20];
    for _ in 0..40_000 {
        text.extend_from_slice(b"\n{\"and\":\"small ones behind it\"}");
    }
    let mut lines = Lines::new(text.as_slice(), 0);
    while lines.next().unwrap().is_some() {}
    assert!(lines.memory() <= 1 << 20, "{}", lines.memory());
}

#[test]
fn a_sparse_hole_of_10_gib_is_skipped() {
    let mut log = Log::new();
    let mut tail = log.tail(Start::Beginning);
    let started = std::time::Instant::now();
    log.writer.set_len(10 << 30).unwrap();
    assert!(read_all(&mut tail).is_empty());
    log.write(b"{\"behind\":1}\n");
    assert_eq!(
        read_all(&mut tail),
        ["(10737418240 nuls)", "{\"behind\":1}"]
    );
    assert_eq!(tail.checkpoint().offset, (10 << 30) + 13);
    // Reading it would take longer in a build without optimisation.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn what_follows_a_hole_stands_where_it_stands() {
    let log = Log::new();
    let file = std::fs::File::options()
        .write(true)
        .open(log.live())
        .unwrap();
    file.write_all_at(b"{\"a\":1}\n", 1 << 20).unwrap();
    let mut tail = log.tail(Start::Beginning);
    let (piece, place) = tail.next().unwrap().unwrap();
    assert_eq!((piece, place.offset), (Piece::Nuls(1 << 20), 0));
    let place = tail.checkpoint();
    let (piece, place_of_line) = tail.next().unwrap().unwrap();
    assert_eq!(
        (shown(piece), place_of_line.offset),
        ("{\"a\":1}".to_owned(), 1 << 20)
    );
    // A restart between the two.
    let mut again = super::reopened(&log, &place);
    assert_eq!(read_all(&mut again), ["{\"a\":1}"]);
}
