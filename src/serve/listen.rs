//! Who gets a connection, and who loses it: a cap on all of them, the longest idle goes first, and
//! whoever takes too long for a head, for an answer or for the next request is cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::app::App;
use super::connection::{self, Activity, Peer, Phase, Stream};
use super::settings::Settings;
use super::tls::Tls;

/// How often connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// When the process has no descriptor left, a connection is tried again this much later.
const BREATH: Duration = Duration::from_millis(100);

/// What every connection is given.
pub(super) struct Door {
    app: Arc<App>,
    routes: Router,
    tls: Option<Tls>,
    /// Connections at a time.
    most: usize,
    open: Mutex<Open>,
}

/// The connections there are, by a number of their own.
#[derive(Default)]
struct Open {
    next: u64,
    all: BTreeMap<u64, Arc<Activity>>,
}

impl Open {
    /// The one of these that has been at it longest.
    fn longest(&self, of: impl Fn(&Activity) -> bool) -> Option<u64> {
        let these = self.all.iter().filter(|(_, one)| of(one));
        let longest = these.max_by_key(|(_, one)| one.lasted());
        longest.map(|(number, _)| *number)
    }
}

impl Door {
    /// For at most so many connections at a time.
    pub(super) fn new(app: Arc<App>, routes: Router, tls: Option<Tls>, most: usize) -> Arc<Self> {
        Arc::new(Self {
            app,
            routes,
            tls,
            most: most.max(1),
            open: Mutex::default(),
        })
    }

    /// Takes connections as long as it is polled.
    pub(super) async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => self.take(stream, address),
                Err(error) => {
                    log::warn!("cannot take a connection: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// Cuts those that take too long, and reads a new certificate, as long as it is polled.
    pub(super) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.tls.iter().for_each(Tls::look);
            for activity in self.open().all.values() {
                if takes_too_long(activity, &self.app.settings) {
                    activity.cut();
                }
            }
        }
    }

    /// Ends what is idle, and waits until the requests that are under way have their answers.
    pub(super) async fn close(&self) {
        loop {
            let open: Vec<_> = self.open().all.values().cloned().collect();
            let (busy, idle): (Vec<_>, Vec<_>) = open.into_iter().partition(is_wanted);
            for activity in idle {
                activity.cut();
            }
            if busy.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> usize {
        self.open().all.len()
    }

    fn take(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let Some((number, activity)) = self.admit() else {
            self.refuse(&stream);
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!("{address}: {error}");
        }
        let door = Arc::clone(self);
        tokio::spawn(async move {
            door.talk(stream, address, &activity).await;
            door.open().all.remove(&number);
            door.app.metrics.connections.set(door.count());
        });
    }

    async fn talk(&self, stream: TcpStream, address: SocketAddr, activity: &Arc<Activity>) {
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            // There is no language yet in which to tell it.
            Some(_) if !self.app.rates.may_shake(address.ip()) => {
                return log::debug!("{address}: too many handshakes");
            }
            Some(tls) => match shaken(tls, stream, activity).await {
                Some(Ok(stream)) => Stream::Tls(Box::new(stream)),
                // A client without a certificate, a scanner: no more than that.
                Some(Err(error)) => return log::info!("{address}: TLS: {error}"),
                None => return,
            },
        };
        let (routes, stopping) = (self.routes.clone(), self.app.stopping());
        let activity = Arc::clone(activity);
        connection::serve(stream, Peer { address }, routes, activity, stopping).await;
    }

    /// A place for one more connection. Where there is none, the one that is idle longest makes room;
    /// where none is idle, the one that sends its body longest, of which nothing is promised yet.
    fn admit(&self) -> Option<(u64, Arc<Activity>)> {
        let mut open = self.open();
        if open.all.len() >= self.most {
            let number = open.longest(is_idle).or_else(|| open.longest(is_slow))?;
            open.all.remove(&number)?.cut();
        }
        let activity = Arc::new(Activity::new());
        let number = open.next;
        open.next += 1;
        open.all.insert(number, Arc::clone(&activity));
        self.app.metrics.connections.set(open.all.len());
        Some((number, activity))
    }

    /// Everybody is busy: says so as far as that takes no waiting.
    fn refuse(&self, stream: &TcpStream) {
        let answer = connection::refusal(StatusCode::SERVICE_UNAVAILABLE, "Too many connections");
        if self.tls.is_none()
            && let Err(error) = stream.try_write(&answer)
        {
            log::debug!("a connection beyond the limit: {error}");
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handshake; none if it took too long.
async fn shaken(
    tls: &Tls,
    stream: TcpStream,
    activity: &Activity,
) -> Option<std::io::Result<TlsStream<TcpStream>>> {
    tokio::select! {
        shaken = tls.acceptor().accept(stream) => Some(shaken),
        () = activity.is_cut() => None,
    }
}

fn is_idle(activity: &Activity) -> bool {
    matches!(activity.phase(), Phase::Fresh | Phase::Head | Phase::Idle)
        && activity.stuck().is_none()
}

/// Whether its body takes longer than that of a decent client.
fn is_slow(activity: &Activity) -> bool {
    activity.phase() == Phase::Body && activity.lasted() > SWEEP
}

/// Whether a stop waits for it: a head that has just begun is answered too.
fn is_wanted(activity: &Arc<Activity>) -> bool {
    let comes = activity.phase() == Phase::Head && activity.lasted() < SWEEP;
    !is_idle(activity) || comes
}

fn takes_too_long(activity: &Activity, settings: &Settings) -> bool {
    let limit = match activity.phase() {
        Phase::Fresh | Phase::Head => Some(settings.header_timeout.0),
        Phase::Idle => Some(settings.idle_timeout.0),
        Phase::Body | Phase::Busy => None,
    };
    let stuck = activity.stuck();
    limit.is_some_and(|limit| activity.lasted() > limit)
        || stuck.is_some_and(|stuck| stuck > settings.body_timeout.0)
}
