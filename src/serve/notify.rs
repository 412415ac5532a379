//! What systemd is told (`sd_notify(3)`): ready, stopping, and that we are still alive. Without a
//! `NOTIFY_SOCKET` nobody is told anything.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the supervisor.
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment says.
    pub(super) fn of_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let socket = socket.and_then(|path| {
            let opened = open(&path);
            let why = |error: &io::Error| log::warn!("cannot tell systemd anything: {error}");
            opened.inspect_err(why).ok()
        });
        Self {
            socket,
            watchdog: watchdog(),
        }
    }

    /// Tells one state, as `READY=1`.
    pub(super) fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            log::warn!("cannot tell systemd {state}: {error}");
        }
    }

    /// Says that we are alive, twice as often as is wanted, as long as it is polled: from the
    /// thread that serves, so that silence means that it does not.
    pub(super) async fn keep_alive(&self) {
        let Some(period) = self.watchdog else {
            return std::future::pending().await;
        };
        loop {
            self.tell("WATCHDOG=1");
            tokio::time::sleep(period / 2).await;
        }
    }
}

fn open(path: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold up alerts.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// `sd_watchdog_enabled(3)`: the period in microseconds, if it is meant for this process.
fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let period = number("WATCHDOG_USEC").filter(|period| *period > 0)?;
    let meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    meant.then(|| Duration::from_micros(period))
}
