//! The least that a hand-over can cost: reads an alert, looks at the settings file, sends both to
//! `serve` in its own words and waits for the answer. No check, no way out, no second try.
//! `least ALERT`, in the Wazuh home; ends with the answer's code, 0 for "durable".

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

fn main() {
    let alert = fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let file = fs::metadata("etc/custom-mongo.toml").unwrap();
    let nanos = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
    let key = [
        file.dev() as i64,
        file.ino() as i64,
        file.size() as i64,
        nanos(file.mtime(), file.mtime_nsec()),
        nanos(file.ctime(), file.ctime_nsec()),
        0,
        0,
        0,
        0,
        0,
    ];
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let mut frame = b"cmrelay2".to_vec();
    for number in key.into_iter().chain([now]) {
        frame.extend_from_slice(&number.to_le_bytes());
    }
    frame.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(&(alert.len() as u32).to_le_bytes());
    frame.extend_from_slice(&alert);
    let mut stream = UnixStream::connect("queue/sockets/custom-mongo").unwrap();
    stream.write_all(&frame).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    std::process::exit(answer[0].into());
}
