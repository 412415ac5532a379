//! The certificate that a server offers, looked at without any trust in it and without a login.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};

use super::address::Address;
use super::trust::{self, Fingerprint, Source, Trust};
use super::{Error, Settings, verifier};

/// One address and what it offers.
#[derive(Debug, Clone)]
pub struct Offer {
    /// `host:port`, the name to trust it under.
    pub address: String,
    /// The certificate, or why there is none.
    pub offered: Result<Offered, Error>,
    /// What the settings say about certificates; then nothing stored counts.
    pub ruled_by: Option<String>,
    /// What is trusted for this address so far.
    pub trusted: Option<Fingerprint>,
}

/// A certificate that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Its subject's common name, if it has one.
    pub name: Option<String>,
    /// Whether the settings take it.
    pub is_taken: bool,
}

/// Asks each address with TLS for its certificate. `state` is the state folder.
///
/// # Errors
///
/// `Settings`, for addresses and pins that cannot be read.
pub fn offers(settings: &Settings, state: &std::path::Path) -> Result<Vec<Offer>, Error> {
    let addresses = settings.addresses()?.into_iter().filter(Address::is_tls);
    let offer = |address: Address| {
        let name = address.name();
        let decided = Trust::decide(settings, None, None)?;
        let ruled_by = match &decided {
            Trust::Public => None,
            trust => Some(trust.describe()),
        };
        Ok(Offer {
            offered: look(&address, &decided, settings.connect_timeout.0),
            ruled_by,
            trusted: trust::stored(state, &name).unwrap_or_default(),
            address: name,
        })
    };
    addresses.map(offer).collect()
}

fn look(address: &Address, decided: &Trust, within: Duration) -> Result<Offered, Error> {
    let leaf = handshake(address, &Trust::Nothing, within)?;
    let fingerprint = Fingerprint::of(&leaf);
    let is_taken = match decided {
        Trust::Pins {
            of: Source::Settings,
            pins,
        } => pins.contains(&fingerprint),
        other => handshake(address, other, within).is_ok(),
    };
    Ok(Offered {
        fingerprint,
        name: common_name(&leaf),
        is_taken,
    })
}

fn handshake(
    address: &Address,
    trust: &Trust,
    within: Duration,
) -> Result<CertificateDer<'static>, Error> {
    let fault = |why: String| Error::Unavailable(format!("{}: {why}", address.name()));
    let name = ServerName::try_from(address.host().to_owned());
    let name = name.map_err(|_| fault("no name that a certificate could bear".to_owned()))?;
    let config = verifier::config(trust)?;
    let mut connection = ClientConnection::new(Arc::clone(&config), name)
        .map_err(|error| fault(error.to_string()))?;
    let mut stream = connect(address, within).map_err(|error| fault(error.to_string()))?;
    // Until the server's certificate is there and judged.
    while connection.is_handshaking() {
        connection
            .complete_io(&mut stream)
            .map_err(|error| fault(error.to_string()))?;
    }
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    shown
        .map(|leaf| leaf.clone().into_owned())
        .ok_or_else(|| fault("it shows no certificate".to_owned()))
}

fn connect(address: &Address, within: Duration) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for place in (address.host(), address.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, within) {
            Ok(stream) => {
                stream.set_read_timeout(Some(within))?;
                stream.set_write_timeout(Some(within))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The last CN (OID 2.5.4.3) in the certificate: the issuer's stands before the subject's. For the eye
/// only, so nothing of X.509 is parsed for it.
fn common_name(certificate: &[u8]) -> Option<String> {
    const OID: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
    let at = certificate
        .windows(OID.len())
        .rposition(|bytes| bytes == OID)?;
    let value = certificate.get(at + OID.len()..)?;
    // Tag and a length of one byte: a common name has at most 64 letters.
    let (head, text) = value.split_at_checked(2)?;
    let length = usize::from(*head.get(1)?);
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let is_plain = !text.is_empty() && !text.contains(char::is_control);
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_the_last_common_name() {
        let name = |text: &str| {
            let mut bytes = vec![0x30, 0x0F, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0C];
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
            bytes
        };
        let both = [name("Some CA"), name("wazuh.com"), vec![1, 2, 3]].concat();
        assert_eq!(common_name(&both).as_deref(), Some("wazuh.com"));
        assert_eq!(common_name(&[0x06, 0x03, 0x55, 0x04, 0x03]), None);
        assert_eq!(common_name(&name("two\nlines")), None);
        assert_eq!(common_name(&[]), None);
    }
}
