//! From the start to the end: what is opened in which order, and what a stop waits for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::app::App;
use super::hooks::Hooks;
use super::listen::Door;
use super::notify::Supervisor;
use super::repeating::Repeating;
use super::roster::Roster;
use super::routes::routes;
use super::signals::Signals;
use super::tls::Tls;
use super::tokens::Tokens;
use super::{Fault, Parts, Periodic, Settings, health};
use crate::store::{Indexes, Reader};

/// How often MongoDB is asked for a sign of life.
const LOOK: Duration = Duration::from_secs(5);
/// Descriptors that are not connections: to MongoDB, the spool, the log.
const OTHER_DESCRIPTORS: u64 = 128;
/// What every system gives, should it not say.
const SAFE_DESCRIPTORS: u64 = 1024;
/// How long the end waits for what still blocks.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// What the disk gets in any case to finish what it has.
const LEAST: Duration = Duration::from_secs(1);
/// Threads for what blocks; each is started when it is needed.
const THREADS: usize = 4;

/// Serves until a signal asks to stop.
pub(super) fn run(mut parts: Parts) -> Result<(), Fault> {
    let start = |error: io::Error| Fault::Start(error.to_string());
    let signals = Signals::watch().map_err(start)?;
    let periodic = parts.periodic.take();
    let roster = Roster::of(&parts);
    let app = Arc::new(App::new(parts)?);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .map_err(start)?;
    let served = runtime.block_on(serve(&app, signals, periodic, roster));
    runtime.shutdown_timeout(LAST_BREATH);
    served
}

async fn serve(
    app: &Arc<App>,
    signals: Signals,
    periodic: Option<Periodic>,
    roster: Option<Roster>,
) -> Result<(), Fault> {
    let mut asked = signals.into_stream()?;
    let supervisor = Supervisor::of_environment();
    let (listeners, tls) = open(app).await?;
    let hooks = Hooks::listen(app)?;
    tokio::spawn(app.ingest.clone().commit());
    // It ends with this function, and nobody waits for it.
    let _knowing = roster.map(|roster| Repeating::start(roster.into_periodic(app.ingest.clone())));
    let was = health::look(app).await.report(None);
    let most = connections(&app.settings);
    let door = Door::new(Arc::clone(app), routes(app), tls, most);
    tokio::spawn(create_indexes(app.reader.clone()));
    for listener in listeners {
        announce(&listener);
        let door = Arc::clone(&door);
        tokio::spawn(async move { door.accept(&listener).await });
    }
    let repeating = periodic.map(|periodic| {
        log::info!("Starting periodic data collection");
        Repeating::start(periodic)
    });
    supervisor.tell("READY=1");
    let signal = tokio::select! {
        signal = asked.next() => signal,
        () = door.sweep() => 0,
        () = watch(app, was) => 0,
        () = supervisor.keep_alive() => 0,
    };
    log::info!("Received signal {signal}, initiating graceful shutdown...");
    supervisor.tell("STOPPING=1");
    app.stop();
    tokio::select! {
        () = stop(app, &door, hooks, repeating) => {}
        () = supervisor.keep_alive() => {}
    }
    Ok(())
}

/// Everything that can keep the service from starting, before the first connection is taken.
async fn open(app: &App) -> Result<(Vec<TcpListener>, Option<Tls>), Fault> {
    let prepared = prepare(&app.settings, &app.tokens);
    let (addresses, tls) = prepared.map_err(Fault::Settings)?;
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(bind(address).await?);
    }
    Ok((listeners, tls))
}

/// Where to listen and with which certificate, if that is safe.
pub(super) fn prepare(
    settings: &Settings,
    tokens: &Tokens,
) -> Result<(Vec<SocketAddr>, Option<Tls>), String> {
    let addresses = settings.addresses()?;
    let tls = Tls::new(settings)?;
    let missing = [
        (tls.is_none(), "TLS (serve.certificate_file)"),
        (!tokens.are_wanted(), "token (custom-mongo token new)"),
    ];
    let missing: Vec<_> = missing
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
        .collect();
    settings.is_safe(&addresses, &missing)?;
    Ok((addresses, tls))
}

async fn stop(app: &App, door: &Door, hooks: Option<Hooks>, repeating: Option<Repeating>) {
    let limit = app.settings.shutdown_timeout.0;
    let end = tokio::time::Instant::now() + limit;
    if tokio::time::timeout_at(end, close(door, hooks))
        .await
        .is_err()
    {
        let left = door.count();
        log::warn!("{left} connections were not finished within {limit:?} and are cut");
    }
    log::info!("Performing cleanup tasks...");
    if let Some(repeating) = repeating
        && repeating.stop().is_err()
    {
        log::warn!("Data collection is cut off; the next run goes on with it");
    }
    let ingest = app.ingest.clone();
    let left = end.duration_since(tokio::time::Instant::now()).max(LEAST);
    // It keeps the limit itself; what it leaves is on disk.
    drop(tokio::task::spawn_blocking(move || ingest.stop(left)).await);
    log::info!("Web server stopped");
    app.reader.close().await;
    log::info!("MongoDB connection closed");
}

/// Tells when MongoDB comes and when it goes, as long as it is polled.
async fn watch(app: &App, mut was: bool) {
    loop {
        tokio::time::sleep(LOOK).await;
        was = health::look(app).await.report(Some(was));
    }
}

/// The inventory's, for the API; those of the alerts belong to the ingest.
async fn create_indexes(reader: Reader) {
    loop {
        match reader.create_inventory_indexes().await {
            Ok(Indexes::NotAllowed) => return log::warn!("the login may not create indexes"),
            Ok(_) => return,
            Err(fault) => log::debug!("the inventory's indexes: {fault}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How many connections there may be: each takes a descriptor, and others need some too.
fn connections(settings: &Settings) -> usize {
    let wanted = u64::try_from(settings.max_connections.0).unwrap_or(1);
    let limit = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    let limit = limit.unwrap_or(SAFE_DESCRIPTORS);
    let most = wanted.min(limit.saturating_sub(OTHER_DESCRIPTORS).max(1));
    if most < wanted {
        log::warn!("serve.max_connections is {wanted}, but only {limit} files may be open: {most}");
    }
    usize::try_from(most).unwrap_or(1)
}

async fn close(door: &Door, hooks: Option<Hooks>) {
    if let Some(hooks) = hooks {
        hooks.close().await;
    }
    door.close().await;
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Fault::Start(format!("cannot listen on {address}: {error}")))
}

fn announce(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        log::info!("Starting webhook receiver on {address}");
    }
}
