//! Posts alerts over connections that are kept: `poster PORT CONNECTIONS SECONDS FIRST ALERT_FILE`.
//!
//! Each connection sends the next alert when the last is answered, each with an id of its own from
//! FIRST on (`@ID@` in the file is where it goes). Prints one JSON object: how many were answered with
//! 2xx, how many otherwise, the seconds it took, the median and the 99th percentile in milliseconds.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

struct Sent {
    yes: u64,
    no: u64,
    millis: Vec<f64>,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, connections, seconds, first, file] = &words[..] else {
        eprintln!("poster: PORT CONNECTIONS SECONDS FIRST ALERT_FILE");
        std::process::exit(2);
    };
    let number = |word: &String| word.parse::<u64>().expect("a number");
    let (port, connections) = (number(port) as u16, number(connections));
    let alert = std::fs::read_to_string(file)?;
    let (before, behind) = alert
        .trim_end()
        .split_once("@ID@")
        .expect("@ID@ in the alert");
    let next = AtomicU64::new(number(first));
    let begun = Instant::now();
    let end = begun + Duration::from_secs(number(seconds));
    let all: Vec<Sent> = thread::scope(|scope| {
        let work = || send(port, &next, before, behind, end).expect("the service answers");
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread"))
            .collect()
    });
    let took = begun.elapsed().as_secs_f64();
    let (yes, no) = all
        .iter()
        .fold((0, 0), |(yes, no), sent| (yes + sent.yes, no + sent.no));
    let mut millis: Vec<f64> = all.into_iter().flat_map(|sent| sent.millis).collect();
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| {
        millis
            .get((millis.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    println!(
        r#"{{"yes": {yes}, "no": {no}, "seconds": {took:.3}, "median": {:.3}, "p99": {:.3}}}"#,
        at(0.5),
        at(0.99)
    );
    Ok(())
}

fn send(port: u16, next: &AtomicU64, before: &str, behind: &str, end: Instant) -> Result<Sent> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut sent = Sent {
        yes: 0,
        no: 0,
        millis: Vec::new(),
    };
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < end {
        let id = next.fetch_add(1, Ordering::Relaxed).to_string();
        let length = before.len() + id.len() + behind.len();
        let request = format!(
            "POST /wazuh-alert HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{before}{id}{behind}"
        );
        let begun = Instant::now();
        stream.write_all(request.as_bytes())?;
        let (status, close) = answer(&mut stream, &mut buffer)?;
        sent.millis.push(begun.elapsed().as_secs_f64() * 1000.0);
        if (200..300).contains(&status) {
            sent.yes += 1;
        } else {
            sent.no += 1;
        }
        if close {
            stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
        }
    }
    Ok(sent)
}

/// The status, and whether the service closes the connection.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(u16, bool)> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        assert!(read > 0, "the service closed the connection");
        filled += read;
        let text = String::from_utf8_lossy(&buffer[..filled]).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length:").and_then(|text| text.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
            let close = field("connection:").is_some_and(|text| text.contains("close"));
            return Ok((status.unwrap_or(0), close));
        }
    }
}
