//! SIGTERM and SIGINT ask for a graceful stop; a second one ends the process at once. SIGXFSZ ends
//! nothing.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::Fault;

/// SIGTERM and SIGINT. The first one asks; the second one ends the process at once.
pub(super) struct Signals(Vec<(i32, UnixStream)>);

impl Signals {
    /// From now on signals are noted, by this thread and those that it starts.
    pub(super) fn watch() -> io::Result<Self> {
        // A file that reaches its limit is an error of that write, and no end of the service.
        let mut limits = SigSet::empty();
        limits.add(Signal::SIGXFSZ);
        limits.thread_block()?;
        let asked = Arc::new(AtomicBool::new(false));
        let mut all = Vec::new();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
            let (writer, reader) = UnixStream::pair()?;
            low_level::pipe::register(signal, writer)?;
            reader.set_nonblocking(true)?;
            all.push((signal, reader));
        }
        Ok(Self(all))
    }

    /// For the runtime that this is called in.
    pub(super) fn into_stream(self) -> Result<Asked, Fault> {
        let watched = self.0.into_iter().map(|(signal, reader)| {
            let reader = tokio::net::UnixStream::from_std(reader)?;
            Ok((signal, reader))
        });
        let watched: io::Result<Vec<_>> = watched.collect();
        let fault = |error: io::Error| Fault::Start(format!("cannot watch for signals: {error}"));
        watched.map(Asked).map_err(fault)
    }
}

/// Becomes ready with a signal.
pub(super) struct Asked(Vec<(i32, tokio::net::UnixStream)>);

impl Asked {
    /// The signal that asks to stop.
    pub(super) async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (signal, pipe) in &self.0 {
                if pipe.poll_read_ready(context).is_ready() {
                    return std::task::Poll::Ready(*signal);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
