//! One kept connection to one address. ureq has no door for a certificate verifier of one's own, so
//! TLS is laid over its TCP here, through its `unversioned` interface.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Agent;
use ureq::config::Config;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector,
    Transport, TransportAdapter,
};

use super::address::Address;
use super::trust::Trust;
use super::{Error, Settings, verifier};

/// Wazuh 4.9 and newer close a connection that is idle for 5 s.
const MOST_IDLE: Duration = Duration::from_secs(4);

/// The way to one address of a manager.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) address: Address,
    pub(super) trust: Trust,
    pub(super) agent: Agent,
    /// How often a connection was wanted that was not there.
    connections: Arc<AtomicU64>,
}

impl Line {
    /// Prepares it; nothing is connected yet.
    pub(super) fn new(address: Address, trust: Trust, settings: &Settings) -> Result<Self, Error> {
        let connections = Arc::new(AtomicU64::new(0));
        let count = Count(Arc::clone(&connections));
        let tls = Tls(verifier::config(&trust)?);
        let connector = count.chain(TcpConnector::default()).chain(tls);
        let agent = Agent::with_parts(config(settings), connector, DefaultResolver::default());
        Ok(Self {
            address,
            trust,
            agent,
            connections,
        })
    }

    /// Says what is at stake where the settings take anything.
    pub(super) fn warn_if_insecure(&self) {
        let name = self.address.name();
        if self.address.is_tls() && matches!(self.trust, Trust::Nothing) {
            log::warn!(
                "wazuh_api.insecure: nobody checks that {name} is the manager, and whoever is \
                 between can read the password; run custom-mongo check --trust and remove it"
            );
        } else if !self.address.is_tls() && !self.address.is_loopback() {
            log::warn!(
                "wazuh_api.insecure: the password goes to {name} in the clear; use https://"
            );
        }
    }

    /// How many connections were made so far, or failed to be.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

fn config(settings: &Settings) -> Config {
    let read = Some(settings.read_timeout.0);
    Config::builder()
        .user_agent(concat!("custom-mongo/", env!("CARGO_PKG_VERSION")))
        // A proxy from the environment would be handed the login of a manager in the own network.
        .proxy(None)
        .http_status_as_error(false)
        // A login follows nobody to another place.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_age(MOST_IDLE)
        .max_idle_connections(1)
        .timeout_resolve(Some(settings.connect_timeout.0))
        .timeout_connect(Some(settings.connect_timeout.0))
        .timeout_send_request(read)
        .timeout_recv_response(read)
        .timeout_recv_body(read)
        .build()
}

/// Counts: what breaks without a new connection broke on a kept one.
#[derive(Debug)]
struct Count(Arc<AtomicU64>);

impl Connector for Count {
    type Out = ();

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<()>, ureq::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(chained)
    }
}

/// Lays TLS over TCP where the address asks for it.
struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Secured>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let transport = chained.ok_or(ureq::Error::ConnectionFailed)?;
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details
            .uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| ureq::Error::Tls("no name that a certificate could bear"))?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name);
        let mut connection = connection.map_err(other)?;
        let mut socket =
            TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket).map_err(handshake)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        let stream = StreamOwned::new(connection, socket);
        Ok(Some(Either::B(Secured { stream, buffers })))
    }
}

/// rustls hides its own error in one of `std::io`.
fn handshake(error: std::io::Error) -> ureq::Error {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(cause) => other(cause.clone()),
        None => error.into(),
    }
}

fn other(error: rustls::Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// HTTP inside TLS inside TCP.
struct Secured {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secured")
    }
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
