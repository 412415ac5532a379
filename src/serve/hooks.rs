//! The door for hooks on this host: opened when the service starts, closed before it stops.
//!
//! A few threads of its own wait for connections, and the one that takes one does everything for it,
//! the write to the disk too: each further thread on the way would have to be woken, and Wazuh's
//! daemon waits meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

mod conversation;

use super::Fault;
use super::app::App;
use super::relay_socket::RelaySocket;

/// Hooks come one at a time; more than that are other programs of the same user.
const THREADS: usize = 8;
/// How long a thread rests after an `accept` that failed (too many open files, say).
const REST: Duration = Duration::from_millis(100);

/// The door for hooks, open.
pub(super) struct Hooks {
    room: Arc<Room>,
    /// Ends with the last thread.
    ended: mpsc::Receiver<()>,
}

/// What the threads share.
struct Room {
    socket: RelaySocket,
    app: Arc<App>,
    closing: AtomicBool,
    /// Whether no connection can be taken at the moment, which is said once.
    deaf: AtomicBool,
}

impl Hooks {
    /// Without the folder of the default place there is no Wazuh here, and nobody to listen to.
    pub(super) fn listen(app: &Arc<App>) -> Result<Option<Self>, Fault> {
        let Some(path) = &app.relay_path else {
            return Ok(None);
        };
        let is_here = path.parent().is_some_and(Path::is_dir);
        if app.settings.relay_socket.is_none() && !is_here {
            return Ok(None);
        }
        let socket = RelaySocket::bind(path).map_err(|error| Fault::Start(error.to_string()))?;
        let room = Arc::new(Room {
            socket,
            app: Arc::clone(app),
            closing: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
        });
        let (running, ended) = mpsc::channel(1);
        for _ in 0..THREADS {
            let (room, running) = (Arc::clone(&room), running.clone());
            let work = move || {
                room.wait();
                drop(running);
            };
            let started = thread::Builder::new().name("hooks".to_owned()).spawn(work);
            started.map_err(|error| Fault::Start(format!("cannot start a thread: {error}")))?;
        }
        Ok(Some(Self { room, ended }))
    }

    /// New hooks find nobody; those that have begun get their answers.
    pub(super) async fn close(mut self) {
        self.room.closing.store(true, Ordering::SeqCst);
        self.room.socket.close();
        // Nothing is ever sent: it ends when all threads have.
        self.ended.recv().await;
    }
}

impl Room {
    fn wait(&self) {
        loop {
            match self.socket.accept() {
                Ok(stream) => {
                    self.deaf.store(false, Ordering::Relaxed);
                    let talk = || conversation::answer_all(&stream, &self.app);
                    match catch_unwind(AssertUnwindSafe(talk)) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => log::debug!("a hook's connection broke: {error}"),
                        // What it had in hand is not acknowledged, and the hook goes its own way.
                        Err(_) => log::error!("an internal error ended a hook's connection"),
                    }
                }
                Err(_) if self.closing.load(Ordering::SeqCst) => return,
                Err(error) => {
                    if !self.deaf.swap(true, Ordering::Relaxed) {
                        log::warn!("hooks cannot be heard and go their own way: {error}");
                    }
                    thread::sleep(REST);
                }
            }
        }
    }
}
