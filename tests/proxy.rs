//! A TCP proxy that breaks on demand: what a network, a firewall or a dying server does to a client.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::mongod;

#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Pass,
    /// Takes a connection and closes it at once; closes what is open when it is next used.
    Refuse,
    /// Takes the connection and never says a word.
    Freeze,
    /// Closes after so many bytes of the server's replies.
    CutReply(usize),
    /// Holds every piece back for a while.
    Delay(Duration),
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    upstream: u16,
    mode: Mutex<Mode>,
    closed: AtomicBool,
    accepted: AtomicUsize,
}

impl Proxy {
    pub(crate) fn to(upstream: u16) -> Self {
        Self::at(mongod::free_port(), upstream)
    }

    /// On this port.
    pub(crate) fn at(port: u16, upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port for the proxy");
        let mode = Mutex::new(Mode::Pass);
        let state = Arc::new(State {
            upstream,
            mode,
            closed: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
        });
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if served.closed.load(Ordering::SeqCst) {
                    return;
                }
                served.accepted.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&served);
                thread::spawn(move || state.serve(&client));
            }
        });
        Self { port, state }
    }

    pub(crate) fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
    }

    /// Gives the port back: whoever knocks from now on is refused.
    pub(crate) fn close(self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// How often anybody has connected.
    pub(crate) fn connections(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

impl State {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn serve(&self, client: &TcpStream) {
        if let Mode::Refuse = self.mode() {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream)) else {
            return;
        };
        thread::scope(|scope| {
            scope.spawn(|| self.forward(client, &server, usize::MAX));
            let replies = match self.mode() {
                Mode::CutReply(bytes) => bytes,
                _ => usize::MAX,
            };
            self.forward(&server, client, replies);
        });
    }

    fn forward(&self, mut from: &TcpStream, mut to: &TcpStream, limit: usize) {
        let (mut left, mut buffer) = (limit, [0; 16 * 1024]);
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            match self.mode() {
                Mode::Delay(time) => thread::sleep(time),
                Mode::Freeze => self.hold(),
                Mode::Refuse => break,
                Mode::Pass | Mode::CutReply(_) => {}
            }
            let pass = read.min(left);
            if to.write_all(&buffer[..pass]).is_err() || pass == left {
                break;
            }
            left -= pass;
        }
        // Either side may be closed already.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }

    fn hold(&self) {
        while let Mode::Freeze = self.mode() {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
