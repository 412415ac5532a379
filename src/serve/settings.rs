//! Section `serve`: where the service listens, who may come in, and how much they may ask.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::home::Home;
use crate::setting::{Count, List, Secret, Size, Span, Switch};

/// The resident service.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses to listen on.
    pub host: List,
    /// The port; 0 takes a free one and says which in the log.
    pub port: Count,
    /// Listen beyond this machine also without tokens or without TLS.
    pub insecure_listen: Switch,
    /// PEM file with the certificate and those between it and its authority; turns TLS on.
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the certificate's key; not readable for everyone.
    pub key_file: Option<PathBuf>,
    /// PEM file with the authorities of client certificates; whoever has none is refused.
    pub client_ca_file: Option<PathBuf>,
    /// A token in plain text, for senders of the Python service; may send and read.
    pub auth_token: Option<Secret>,
    /// A file that holds it, in place of the text; not readable for everyone.
    pub auth_token_file: Option<PathBuf>,
    /// Tokens by name, hashed; `custom-mongo token new` keeps its own elsewhere.
    pub tokens: BTreeMap<String, TokenSettings>,
    /// Requests a second that one token may make; 0 is no limit.
    pub token_rate: Count,
    /// Requests a second that one address may make, and as many TLS handshakes; 0 is no limit.
    pub address_rate: Count,
    /// Connections at a time; beyond it the one that is idle longest goes.
    pub max_connections: Count,
    /// Streams of alerts at a time.
    pub max_streams: Count,
    /// The longest body of a request, after decompression as well.
    pub max_body: Size,
    /// How long a client may take for the head of a request, or for the TLS handshake.
    pub header_timeout: Span,
    /// How long a client may take for a body, and for taking a piece of an answer.
    pub body_timeout: Span,
    /// How long a connection may be without a request.
    pub idle_timeout: Span,
    /// The most that alerts hold in memory until they are stored or spooled.
    pub queue_size: Size,
    /// The socket at which hooks on this host hand their alerts over; empty for none. Unless set:
    /// queue/sockets/custom-mongo under the Wazuh home.
    pub relay_socket: Option<PathBuf>,
    /// How long a stop waits for requests that are under way.
    pub shutdown_timeout: Span,
    /// Origins whose pages may ask from a browser; `*` is all of them.
    pub cors_origins: List,
    /// Which requests are logged.
    pub access_log: AccessLog,
}

/// One token of the settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// SHA-256 of the token, in hex.
    pub hash: String,
    /// What it may do: `ingest`, `read`, `admin`.
    pub scope: List,
    /// The only site that it may see and write; all of them without.
    #[serde(default)]
    pub site: Option<String>,
}

/// Which requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// Each of them.
    All,
    /// Those that were refused or failed.
    Errors,
    /// None.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self {
            host: List(vec!["127.0.0.1".to_owned()]),
            port: Count(5000),
            insecure_listen: Switch(false),
            certificate_file: None,
            key_file: None,
            client_ca_file: None,
            auth_token: None,
            auth_token_file: None,
            tokens: BTreeMap::new(),
            token_rate: Count(0),
            address_rate: Count(0),
            max_connections: Count(512),
            max_streams: Count(32),
            max_body: Size(10_000_000),
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            idle_timeout: seconds(60),
            queue_size: Size(32 << 20),
            relay_socket: None,
            shutdown_timeout: seconds(10),
            cors_origins: List::default(),
            access_log: AccessLog::All,
        }
    }
}

impl Settings {
    /// Where hooks hand their alerts over; none if they are not to.
    pub fn relay_socket(&self, home: &Home) -> Option<PathBuf> {
        let own = || home.relay_socket();
        let socket = self.relay_socket.clone().or_else(own)?;
        (!socket.as_os_str().is_empty()).then_some(socket)
    }

    /// Listens there instead: `ADDR:PORT`, `NAME:PORT` or `[ADDR]:PORT`.
    ///
    /// # Errors
    ///
    /// Says what is wanted.
    pub fn listen_on(&mut self, address: &str) -> Result<(), String> {
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| format!("`{address}` is no ADDR:PORT, as in 127.0.0.1:5000"))?;
        self.host = List(vec![host.to_owned()]);
        self.port = port.parse()?;
        self.port()?;
        Ok(())
    }

    /// Where to listen, with names looked up.
    ///
    /// # Errors
    ///
    /// Names the setting.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let port = self.port()?;
        let mut all = Vec::new();
        for host in &self.host.0 {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let found = (bare, port).to_socket_addrs();
            let found = found.map_err(|error| format!("serve.host: `{host}`: {error}"))?;
            all.extend(usable(found.collect()));
        }
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            return Err("serve.host: no address to listen on".to_owned());
        }
        Ok(all)
    }

    /// Whether it is safe to listen there.
    ///
    /// # Errors
    ///
    /// Names what is missing, and the way to do it all the same.
    pub(super) fn is_safe(&self, addresses: &[SocketAddr], missing: &[&str]) -> Result<(), String> {
        let beyond = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        let Some(address) = addresses.iter().find(beyond) else {
            return Ok(());
        };
        if missing.is_empty() || self.insecure_listen.0 {
            return Ok(());
        }
        let missing = missing.join(" and ");
        Err(format!(
            "serve.host: {address} is open to other machines, and there is no {missing}; \
             serve.insecure_listen = true listens there all the same"
        ))
    }

    fn port(&self) -> Result<u16, String> {
        let Count(port) = self.port;
        u16::try_from(port).map_err(|_| format!("serve.port: {port} is not between 0 and 65535"))
    }
}

/// `localhost` is `::1` as well, also on hosts that have no IPv6: there the IPv4 address is enough.
fn usable(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let here = found.iter().all(|address| address.ip().is_loopback());
    let v4: Vec<_> = found.iter().copied().filter(SocketAddr::is_ipv4).collect();
    if here && !v4.is_empty() { v4 } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_get_in_only_with_all_that_is_wanted() {
        let mut settings = Settings::default();
        let here = ["127.0.0.1:5000".parse().unwrap()];
        let there = [here[0], "0.0.0.0:5000".parse().unwrap()];
        assert!(settings.is_safe(&here, &["TLS"]).is_ok());
        assert!(settings.is_safe(&there, &[]).is_ok());
        let why = settings.is_safe(&there, &["TLS"]).unwrap_err();
        assert!(why.contains("0.0.0.0:5000") && why.contains("TLS"), "{why}");
        settings.insecure_listen = Switch(true);
        assert!(settings.is_safe(&there, &["TLS"]).is_ok());
    }

    #[test]
    fn an_address_to_listen_on_has_a_port() {
        let mut settings = Settings::default();
        settings.listen_on("[::1]:0").unwrap();
        assert_eq!(settings.addresses().unwrap(), ["[::1]:0".parse().unwrap()]);
        settings.listen_on("localhost:5000").unwrap();
        let here = ["127.0.0.1:5000".parse().unwrap()];
        assert_eq!(settings.addresses().unwrap(), here);
        assert!(settings.listen_on("127.0.0.1").is_err());
        assert!(settings.listen_on("127.0.0.1:70000").is_err());
    }
}
