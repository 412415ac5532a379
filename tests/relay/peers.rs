//! Whoever speaks at the socket: what a frame is, byte for byte, and what becomes of those that are
//! none, that are slow, and that say nothing.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{call, handed_over, socket};
use crate::json::Json;
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered, stored, text};
use crate::webhook::until;

const KEPT: u8 = 0;
const ELSEWHERE: u8 = 3;
const REFUSED: u8 = 4;
/// Where a frame's numbers lie: the key's, and the lengths.
const KEY: usize = 8;
const OPTIONS: usize = 100;
const RAW: usize = 104;
/// The longest alert, in bytes.
const MAX_BYTES: u32 = 32 * 1024 * 1024;

/// A frame for the settings file as it is, without a `.env`.
fn frame(wazuh: &Wazuh, raw: &[u8]) -> Vec<u8> {
    let file = fs::metadata(wazuh.home.join("etc/custom-mongo.toml")).unwrap();
    let nanos = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
    let numbers = [
        i64::try_from(file.dev()).unwrap(),
        i64::try_from(file.ino()).unwrap(),
        i64::try_from(file.size()).unwrap(),
        nanos(file.mtime(), file.mtime_nsec()),
        nanos(file.ctime(), file.ctime_nsec()),
    ];
    let mut frame = b"cmrelay2".to_vec();
    frame.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    frame.extend([0; 40]);
    frame.extend(1_748_872_027_000_i64.to_le_bytes());
    frame.extend([0; 4]);
    frame.extend(0_u32.to_le_bytes());
    frame.extend(u32::try_from(raw.len()).unwrap().to_le_bytes());
    frame.extend(raw);
    frame
}

fn connect(wazuh: &Wazuh) -> UnixStream {
    let stream = UnixStream::connect(socket(wazuh)).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// The code of the answer to these bytes; none if the connection just ends.
fn answer(wazuh: &Wazuh, bytes: &[u8]) -> Option<u8> {
    let mut stream = connect(wazuh);
    stream.write_all(bytes).unwrap();
    code(&mut stream)
}

fn code(stream: &mut UnixStream) -> Option<u8> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head) {
        Ok(()) => Some(head[0]),
        Err(error) => {
            let ended = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
            assert!(ended.contains(&error.kind()), "{error}");
            None
        }
    }
}

/// Every number of the key counts, and so does each of the other file's.
#[test]
fn a_frame_for_any_other_state_of_the_files_is_sent_on() {
    let wazuh = Wazuh::new("peers_key");
    let _service = Service::start(&wazuh);
    let whole = frame(&wazuh, numbered(0).to_string().as_bytes());
    assert_eq!(answer(&wazuh, &whole), Some(KEPT));
    for number in 0..10 {
        let mut other = whole.clone();
        other[KEY + number * 8] ^= 1;
        assert_eq!(answer(&wazuh, &other), Some(ELSEWHERE), "number {number}");
    }
    // What is behind such a frame is nothing that anybody looks at.
    let mut stream = connect(&wazuh);
    let begun = Instant::now();
    stream.write_all(&[b'x'; 108]).unwrap();
    assert_eq!(
        (code(&mut stream), code(&mut stream)),
        (Some(ELSEWHERE), None)
    );
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "it is read on"
    );
    until("one is in MongoDB", || stored("peers_key").len() == 1);
    assert_eq!(text(&stored("peers_key")[0], "_source"), "hook");
}

#[test]
fn lengths_are_not_believed() {
    let wazuh = Wazuh::new("peers_lengths");
    // So that the room for all is not what refuses them.
    wazuh.settings("[serve]\nqueue_size = \"64 MiB\"\n");
    let service = Service::start(&wazuh);
    let whole = frame(&wazuh, numbered(0).to_string().as_bytes());
    let before = service.memory();
    for (place, most) in [(OPTIONS, 1 << 20), (RAW, MAX_BYTES)] {
        for length in [u32::MAX, 1 << 31, most + 1] {
            let mut huge = whole.clone();
            huge[place..place + 4].copy_from_slice(&length.to_le_bytes());
            assert_eq!(answer(&wazuh, &huge), Some(REFUSED), "{length}");
        }
    }
    assert!(service.memory() < before + (50 << 20));
    // More than announced, and less.
    let more = [&whole[..], b" "].concat();
    assert_eq!(answer(&wazuh, &more), None);
    let mut less = connect(&wazuh);
    less.write_all(&whole[..whole.len() - 1]).unwrap();
    less.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(code(&mut less), None);
    assert!(stored("peers_lengths").is_empty());
    call(&wazuh, numbered(1).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1);
    until("one is in MongoDB", || stored("peers_lengths").len() == 1);
}

/// What all senders together may hold counts for hooks too.
#[test]
fn an_alert_for_which_there_is_no_room_goes_its_own_way() {
    let wazuh = Wazuh::new("peers_room");
    wazuh.settings("[serve]\nqueue_size = \"64 KiB\"\n");
    let _service = Service::start(&wazuh);
    let large = numbered(0).with("full_log", Json::Text("y".repeat(100 << 10)));
    call(&wazuh, large.to_string()).assert_yes();
    assert_eq!((handed_over(&wazuh), stored("peers_room").len()), (0, 1));
}

#[test]
fn several_frames_may_come_over_one_connection() {
    let wazuh = Wazuh::new("peers_several");
    let _service = Service::start(&wazuh);
    let mut stream = connect(&wazuh);
    for number in 0..5 {
        let frame = frame(&wazuh, numbered(number).to_string().as_bytes());
        stream.write_all(&frame).unwrap();
        assert_eq!(code(&mut stream), Some(KEPT));
    }
    until("all are in MongoDB", || stored("peers_several").len() == 5);
}

/// A byte now and then is no sign of life: the limit is for the whole frame.
#[test]
fn a_peer_that_drips_is_cut() {
    let wazuh = Wazuh::new("peers_drip");
    let _service = Service::start(&wazuh);
    let whole = frame(&wazuh, numbered(0).to_string().as_bytes());
    let mut stream = connect(&wazuh);
    let begun = Instant::now();
    let mut bytes = whole.iter();
    for byte in bytes.by_ref() {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        // The head alone would take longer.
        let late = begun.elapsed() > Duration::from_millis(4500);
        assert!(!late, "it is not cut");
    }
    assert!(bytes.len() > 0, "it has sent all of it");
    assert!(stored("peers_drip").is_empty());
}

/// Whoever has begun when the stop comes is answered; the service waits for him.
#[test]
fn a_frame_that_has_begun_before_the_stop_is_answered() {
    let wazuh = Wazuh::new("peers_stop");
    let service = Service::start(&wazuh);
    let whole = frame(&wazuh, numbered(0).to_string().as_bytes());
    let mut stream = connect(&wazuh);
    let (last, begun) = whole.split_last().unwrap();
    stream.write_all(begun).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    service.signal(Signal::SIGTERM);
    until("nobody new gets in", || !socket(&wazuh).exists());
    std::thread::sleep(Duration::from_millis(200));
    stream.write_all(&[*last]).unwrap();
    assert_eq!(code(&mut stream), Some(KEPT));
    drop(stream);
    let (status, log) = service.end();
    assert_eq!(status, 0, "{log}");
    let left = usize::try_from(wazuh.pending()).unwrap();
    assert_eq!(stored("peers_stop").len() + left, 1);
}

/// Another one's socket, in the place of ours, is not ours to remove.
#[test]
fn a_socket_that_has_taken_the_place_is_left_there() {
    let wazuh = Wazuh::new("peers_place");
    let service = Service::start(&wazuh);
    let other = UnixListener::bind(socket(&wazuh).with_extension("other")).unwrap();
    fs::rename(socket(&wazuh).with_extension("other"), socket(&wazuh)).unwrap();
    service.stop();
    assert!(socket(&wazuh).exists());
    drop(other);
}

/// Others do not wait for one that says nothing.
#[test]
fn some_silent_peers_cost_nobody_anything() {
    let wazuh = Wazuh::new("peers_some");
    let limits = "[delivery]\nrelay_timeout = \"1 s\"\ndeadline = \"10 s\"\n";
    wazuh.settings(limits);
    let _service = Service::start(&wazuh);
    let _silent: Vec<_> = (0..7).map(|_| connect(&wazuh)).collect();
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
}

/// As many as there are threads: the next hook waits its limit, those behind it do not wait at all.
#[test]
fn silent_peers_cost_one_hook_its_limit() {
    let wazuh = Wazuh::new("peers_silent");
    let limits = "[delivery]\nrelay_timeout = \"500 ms\"\ndeadline = \"4 s\"\n";
    wazuh.settings(limits);
    let _service = Service::start(&wazuh);
    let silent: Vec<_> = (0..8).map(|_| connect(&wazuh)).collect();
    let ninth = call(&wazuh, numbered(0).to_string());
    ninth.assert_yes();
    assert!(ninth.took < Duration::from_secs(4), "{:?}", ninth.took);
    assert!(ninth.took > Duration::from_millis(400), "{:?}", ninth.took);
    assert!(wazuh.state().join("relay").exists());
    call(&wazuh, numbered(1).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 0, "{}", wazuh.log());
    drop(silent);
    until("both are in MongoDB", || stored("peers_silent").len() == 2);
}

/// Says yes to whatever comes.
const LIAR: &str = "
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
s.listen()
print(flush=True)
while True:
    c = s.accept()[0]
    c.recv(9000)
    c.sendall(bytes(4))
    c.close()";

fn liar(socket: &Path, user: u32) -> std::process::Child {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("python3");
    let command = command.args(["-c", LIAR]).arg(socket).uid(user).gid(user);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    child
}

/// Whoever has taken the place of the socket could make every alert vanish.
#[test]
fn another_users_yes_counts_for_nothing() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let wazuh = Wazuh::new("peers_liar");
    let folder = wazuh.home.join("queue/sockets");
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
    let mut child = liar(&socket(&wazuh), 65_533);
    let outcome = call(&wazuh, numbered(0).to_string());
    child.kill().unwrap();
    child.wait().unwrap();
    outcome.assert_yes();
    assert_eq!((handed_over(&wazuh), stored("peers_liar").len()), (0, 1));
}
