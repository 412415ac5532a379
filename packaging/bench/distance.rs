//! A line to a distant server: `distance LISTEN_PORT SERVER_PORT MILLISECONDS`, loopback only.
//!
//! What comes in goes out MILLISECONDS later, in both directions, however much it is: the line has a
//! length and no width. Each direction of a connection is a reader that stamps and a writer that waits.
//! The two ends are TCP connections of their own, so that slow start and loss are not part of it.

use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const CHUNK: usize = 64 * 1024;
/// Chunks under way; behind 64 MiB that nobody takes, the sender waits, as on any line.
const UNDER_WAY: usize = 1024;

type Chunk = (Instant, Vec<u8>);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u16> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let [listen, server, delay] = numbers[..] else {
        eprintln!("distance: LISTEN_PORT SERVER_PORT MILLISECONDS");
        std::process::exit(2);
    };
    let delay = Duration::from_millis(delay.into());
    for near in TcpListener::bind(("127.0.0.1", listen))?.incoming() {
        let near = near?;
        // A server that is not there yet: the caller's connection ends, and it asks again.
        if let Ok(far) = TcpStream::connect(("127.0.0.1", server)) {
            carry(near.try_clone()?, far.try_clone()?, delay)?;
            carry(far, near, delay)?;
        }
    }
    Ok(())
}

/// Starts one direction.
fn carry(from: TcpStream, to: TcpStream, delay: Duration) -> Result<()> {
    to.set_nodelay(true)?;
    let (sender, receiver) = sync_channel(UNDER_WAY);
    thread::spawn(move || take_in(from, &sender, delay));
    thread::spawn(move || give_out(to, &receiver));
    Ok(())
}

fn take_in(mut from: TcpStream, chunks: &SyncSender<Chunk>, delay: Duration) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let count = from.read(&mut chunk).unwrap_or(0);
        chunk.truncate(count);
        // An empty chunk is the end: it travels as long as the rest.
        let sent = chunks.send((Instant::now() + delay, chunk));
        if count == 0 || sent.is_err() {
            return;
        }
    }
}

fn give_out(mut to: TcpStream, chunks: &Receiver<Chunk>) {
    for (due, chunk) in chunks {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if chunk.is_empty() || to.write_all(&chunk).is_err() {
            break;
        }
    }
    // One that cannot be told that it is over has gone already.
    drop(to.shutdown(Shutdown::Write));
}
