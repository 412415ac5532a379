//! Listens, one thread a connection; answers what the API answers, or fails as ordered.

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::fleet::Fleet;
use super::http::{self, Answer, Request};
use super::state::{Fault, Options, State, too_many};
use super::{answers, control, recorded};

/// A running server; it ends with this value.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Server {
    /// On the loopback address, plain HTTP.
    ///
    /// # Errors
    ///
    /// If the port is taken, or a recorded answer cannot be read.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let fleet = match &options.recorded {
            Some(folder) => recorded::read(folder)?,
            None => Fleet::synthetic(options.agents, options.shape),
        };
        let listener = TcpListener::bind(("127.0.0.1", options.port))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options, fleet)),
            stopped: AtomicBool::new(false),
            connections: Mutex::new(Vec::new()),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || served.listen(&listener));
        Ok(Self { port, shared })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything the server knows, to look at and to change. Requests wait meanwhile.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Closes the port and all connections: nobody is there any more.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listener learns of it with the next connection.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        self.hang_up();
    }

    /// Closes all connections, as the server does with idle ones.
    pub fn hang_up(&self) {
        for stream in lock(&self.shared.connections).drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A panic in one connection must not hide what the test wants to see.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for (number, stream) in (0..).zip(listener.incoming()) {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            if let Ok(copy) = stream.try_clone() {
                lock(&self.connections).push(copy);
            }
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.serve(&stream, number).ok();
                stream.shutdown(Shutdown::Both).ok();
            });
        }
    }

    fn serve(&self, stream: &TcpStream, connection: u64) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let idle = lock(&self.state).options.idle;
        stream.set_read_timeout(Some(idle))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = http::read(&mut reader)? {
            if request.path().starts_with("/fake/") {
                let answer = control::answer(&mut lock(&self.state), &request);
                answer.write(stream)?;
            } else if !self.reply(stream, &request, connection)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the connection lives on.
    fn reply(
        &self,
        mut stream: &TcpStream,
        request: &Request,
        connection: u64,
    ) -> std::io::Result<bool> {
        let at = Instant::now();
        let (answer, fault, takes) = {
            let mut state = lock(&self.state);
            let fault = state.fault(&request.target);
            let answer = decide(&mut state, request, fault.as_ref());
            state.saw(request, answer.status, connection, at);
            (answer, fault, state.options.takes)
        };
        thread::sleep(match &fault {
            Some(Fault::Delay(late)) => *late,
            _ => takes,
        });
        match fault {
            Some(Fault::Close) => Ok(false),
            Some(Fault::CutBody) => {
                let bytes = answer.bytes();
                let half = bytes.len() - answer.body.len() / 2 - 1;
                stream.write_all(bytes.get(..half).unwrap_or_default())?;
                Ok(false)
            }
            _ => answer.write(stream).map(|()| true),
        }
    }
}

fn decide(state: &mut State, request: &Request, fault: Option<&Fault>) -> Answer {
    if state.is_over_limit() {
        return too_many();
    }
    if let Some(Fault::Answer(answer)) = fault {
        return answer.clone();
    }
    let mut answer = answers::answer(state, request);
    match fault {
        Some(Fault::Revoke) => state.logins.revoke(),
        Some(Fault::MoreInTotal(more)) => answer.body = with_more(&answer.body, *more),
        _ => {}
    }
    answer
}

fn with_more(body: &str, more: i64) -> String {
    const NAME: &str = "\"total_affected_items\":";
    let Some((before, after)) = body.split_once(NAME) else {
        return body.to_owned();
    };
    let (number, rest) = after.split_once(',').unwrap_or((after, ""));
    let total = number.parse::<i64>().unwrap_or(0) + more;
    format!("{before}{NAME}{total},{rest}")
}
