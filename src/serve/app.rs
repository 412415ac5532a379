//! What every request may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use tokio::sync::{Semaphore, watch};

use super::api;
use super::auth::Rates;
use super::health::Health;
use super::ingest::{Ingest, Setup};
use super::metrics::Metrics;
use super::tokens::{TokenFile, Tokens};
use super::{Fault, Parts, Settings};
use crate::alert::enrich::Bands;
use crate::spool::Spool;
use crate::store::Reader;
use crate::{delivery, relay};

/// The state of the routes: `State(app): Shared`.
pub(super) type Shared = State<Arc<App>>;

/// What every request may use.
pub(super) struct App {
    /// Section `serve`.
    pub(super) settings: Settings,
    /// The site of this installation.
    pub(super) site: String,
    /// What Wazuh 5's words for levels stand for.
    pub(super) bands: Bands,
    /// Where the API's answers come from.
    pub(super) reader: Reader,
    /// Where hooks hand their alerts over, if they do.
    pub(super) relay_path: Option<PathBuf>,
    /// Each stands for the settings that a hook has to share.
    pub(super) relay_keys: Vec<relay::Key>,
    /// Takes alerts in.
    pub(super) ingest: Ingest,
    /// What waits on disk for this destination.
    pub(super) spool: Arc<Spool>,
    /// Who may come in.
    pub(super) tokens: Tokens,
    /// How often.
    pub(super) rates: Rates,
    /// What /readyz found out lately.
    pub(super) health: Health,
    /// What has happened since the start.
    pub(super) metrics: Metrics,
    /// Room for streams of alerts.
    pub(super) streams: Arc<Semaphore>,
    /// When the service began.
    pub(super) started: Instant,
    stop: watch::Sender<bool>,
}

impl App {
    /// Connects to nothing.
    pub(super) fn new(parts: Parts) -> Result<Self, Fault> {
        let destination = parts.store.destination();
        let destination = destination.map_err(|error| Fault::Settings(error.to_string()))?;
        let spool = Spool::new(parts.home.state(), &destination, &parts.spool);
        let bands = parts.enricher.bands().clone();
        // In every other mode hooks go their own way, and whoever listens would listen in vain.
        let is_auto = parts.delivery.mode == delivery::Mode::Auto;
        let relay_path = parts.serve.relay_socket(&parts.home).filter(|_| is_auto);
        let ingest = Ingest::start(Setup {
            store: parts.store.clone(),
            spool: spool.clone(),
            delivery: parts.delivery,
            enricher: parts.enricher,
            filter: parts.filter,
            queue_size: parts.serve.queue_size.0,
        });
        let no_thread = |error| Fault::Start(format!("cannot start a thread: {error}"));
        let tokens = TokenFile::of(parts.home.state());
        let tokens = Tokens::new(&parts.serve, tokens).map_err(Fault::Settings)?;
        Ok(Self {
            relay_path,
            relay_keys: parts.relay_keys,
            ingest: ingest.map_err(no_thread)?,
            tokens,
            rates: Rates::new(&parts.serve),
            site: parts.site,
            bands,
            streams: api::stream::places(parts.serve.max_streams.0),
            settings: parts.serve,
            reader: Reader::new(&parts.store),
            spool: Arc::new(spool),
            health: Health::default(),
            metrics: Metrics::default(),
            started: Instant::now(),
            stop: watch::Sender::new(false),
        })
    }

    /// Whether the service has been asked to stop.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Becomes ready when the service is asked to stop; for streams without an end.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.subscribe();
        // The sender cannot be gone before this: it lives in the state of the routes.
        async move { drop(stop.wait_for(|asked| *asked).await) }
    }

    /// From now on new requests are refused.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }
}
