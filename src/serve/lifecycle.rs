//! From the start to the end: what is opened in which order, and what a stop waits for.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::app::App;
use super::listen::Door;
use super::routes::routes;
use super::{Fault, Parts, health};
use crate::store::{Indexes, Reader};

/// How often MongoDB is asked for a sign of life.
const LOOK: Duration = Duration::from_secs(5);
/// Threads for what blocks; each is started when it is needed.
const THREADS: usize = 4;

/// Serves until a signal asks to stop.
pub(super) fn run(parts: Parts) -> Result<(), Fault> {
    let start = |error: io::Error| Fault::Start(error.to_string());
    let signals = Signals::watch().map_err(start)?;
    let app = Arc::new(App::new(parts)?);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .map_err(start)?;
    let served = runtime.block_on(serve(&app, signals));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(app: &Arc<App>, signals: Signals) -> Result<(), Fault> {
    let mut asked = signals.into_stream()?;
    let addresses = app.settings.addresses().map_err(Fault::Settings)?;
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(bind(address).await?);
    }
    let first = Connected::look(app, None).await;
    let door = Door::new(Arc::clone(app), routes(app));
    for listener in listeners {
        announce(&listener);
        let door = Arc::clone(&door);
        tokio::spawn(async move { door.accept(&listener).await });
    }
    let sweeping = Arc::clone(&door);
    tokio::spawn(async move { sweeping.sweep().await });
    let watched = Arc::clone(app);
    tokio::spawn(async move { Connected::watch(&watched, first).await });

    let signal = asked.next().await;
    log::info!("Received signal {signal}, initiating graceful shutdown...");
    app.stop();
    stop(app, &door).await;
    Ok(())
}

async fn stop(app: &App, door: &Door) {
    let limit = app.settings.shutdown_timeout.0;
    if tokio::time::timeout(limit, door.close()).await.is_err() {
        let left = door.count();
        log::warn!("{left} connections were not finished within {limit:?} and are cut");
    }
    log::info!("Performing cleanup tasks...");
    log::info!("Web server stopped");
    app.reader.close().await;
    log::info!("MongoDB connection closed");
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

/// Tells when MongoDB comes and when it goes.
struct Connected;

impl Connected {
    async fn watch(app: &App, first: bool) {
        let mut was = first;
        loop {
            tokio::time::sleep(LOOK).await;
            was = Self::look(app, Some(was)).await;
        }
    }

    async fn look(app: &App, was: Option<bool>) -> bool {
        let found = health::look(app).await;
        let is = found.mongodb.is_ok();
        match &found.mongodb {
            _ if was == Some(is) => {}
            Ok(()) => {
                log::info!("Successfully connected to MongoDB");
                tokio::spawn(create_indexes(app.reader.clone()));
            }
            Err(why) => log::warn!("MongoDB cannot be used; alerts go into the spool: {why}"),
        }
        is
    }
}

/// Beside everything else: on a large collection it takes its time.
async fn create_indexes(reader: Reader) {
    match reader.create_indexes().await {
        Ok(Indexes::NotAllowed) => {
            log::warn!("the login may not create indexes; see integrations/mongodb-role.js");
        }
        Ok(_) => {}
        Err(fault) => log::warn!("the indexes of the alerts cannot be created: {fault}"),
    }
}

/// SIGTERM and SIGINT. The first one asks; the second one ends the process at once.
struct Signals(Vec<(i32, UnixStream)>);

impl Signals {
    fn watch() -> io::Result<Self> {
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

    fn into_stream(self) -> Result<Asked, Fault> {
        let watched = self.0.into_iter().map(|(signal, reader)| {
            let reader = tokio::net::UnixStream::from_std(reader)?;
            Ok((signal, reader))
        });
        let watched: io::Result<Vec<_>> = watched.collect();
        let fault = |error: io::Error| Fault::Start(format!("cannot watch for signals: {error}"));
        watched.map(Asked).map_err(fault)
    }
}

/// Waits for a signal.
struct Asked(Vec<(i32, tokio::net::UnixStream)>);

impl Asked {
    async fn next(&mut self) -> i32 {
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
