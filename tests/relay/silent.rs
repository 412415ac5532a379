//! A socket where nobody answers: the first hook finds it out, the next ones do not wait for it, one in
//! a while tries again, and the first answer ends it.

use std::fs;
use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{call, handed_over, socket};
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered, stored};
use crate::webhook::until;

const SETTINGS: &str =
    "[delivery]\nrelay_timeout = \"2 s\"\ndeadline = \"15 s\"\nprobe_every = \"4 s\"\n";

/// How many have connected meanwhile.
fn connections(listener: &UnixListener) -> usize {
    std::iter::from_fn(|| listener.accept().ok()).count()
}

#[test]
fn hooks_leave_a_silent_socket_alone_and_one_in_a_while_tries_it() {
    let wazuh = Wazuh::new("silent");
    wazuh.settings(SETTINGS);
    let listener = UnixListener::bind(socket(&wazuh)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let call_and_count = |number| {
        call(&wazuh, numbered(number).to_string()).assert_yes();
        connections(&listener)
    };
    // Also the hook that has not read its settings yet.
    assert_eq!(call_and_count(0), 1);
    assert_eq!((call_and_count(1), call_and_count(2)), (0, 0));
    std::thread::sleep(Duration::from_millis(4100));
    assert_eq!((call_and_count(3), call_and_count(4)), (1, 0));

    fs::remove_file(socket(&wazuh)).unwrap();
    let _service = Service::start(&wazuh);
    std::thread::sleep(Duration::from_millis(4100));
    for number in 5..8 {
        call(&wazuh, numbered(number).to_string()).assert_yes();
    }
    assert_eq!(handed_over(&wazuh), 3, "{}", wazuh.log());
    assert!(!wazuh.state().join("relay").exists());
    until("all are in MongoDB", || stored("silent").len() == 8);
}

/// Listens with room for one that waits.
const BUSY: &str = "
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(0)
print(flush=True)
time.sleep(60)";

struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Whoever would have to wait for a place in the queue does not, and tells the others.
#[test]
fn a_full_queue_is_silence() {
    let wazuh = Wazuh::new("silent_queue");
    wazuh.settings(SETTINGS);
    let mut command = Command::new("python3");
    let command = command.args(["-c", BUSY]).arg(socket(&wazuh));
    let mut busy = Busy(command.stdout(Stdio::piped()).spawn().unwrap());
    let said = busy.0.stdout.as_mut().unwrap();
    said.read_exact(&mut [0]).unwrap();
    let _first = UnixStream::connect(socket(&wazuh)).unwrap();
    let outcome = call(&wazuh, numbered(0).to_string());
    outcome.assert_yes();
    assert!(wazuh.state().join("relay").exists(), "{outcome:?}");
    assert_eq!(stored("silent_queue").len(), 1);
}
