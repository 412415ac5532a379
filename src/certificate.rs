//! The certificate that a server shows, before anything is said to the server: whose it is, who
//! signed it, until when it holds, and whether these authorities vouch for it. For people; whoever
//! sends a secret judges for himself.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

mod der;

/// What a server shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The subject's common name.
    pub subject: Option<String>,
    /// The issuer's common name, else its organization.
    pub issuer: Option<String>,
    /// Its last moment, in seconds since 1970.
    pub not_after: Option<i64>,
    /// Whether it is good for this server.
    pub judgement: Judgement,
}

/// Whether a certificate is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Signed by one of the authorities, for this name, in time.
    Good,
    /// Its time is over.
    Expired,
    /// Its time has not come: the clock of this host is wrong, or of who made it.
    NotYet,
    /// It is for others; these names are in it.
    OtherName(Vec<String>),
    /// None of the authorities has signed it.
    UnknownIssuer,
    /// Something else, in rustls's words.
    Bad(String),
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with the authorities cannot be used.
    #[error("{0}")]
    Authorities(String),
    /// The server speaks no TLS, or ends the connection before it shows a certificate.
    #[error("{0}")]
    NoTls(String),
    /// The connection.
    #[error("{0}")]
    Connection(#[from] io::Error),
}

/// Looks at what the server at `address` shows to whoever asks for `host`. The authorities are those
/// in `ca_file` (PEM), without it the public ones.
///
/// # Errors
///
/// There is no certificate to look at.
pub fn look(
    host: &str,
    address: SocketAddr,
    ca_file: Option<&Path>,
    within: Duration,
) -> Result<Shown, Error> {
    let provider = Arc::new(ring::default_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(
        Arc::new(authorities(ca_file)?),
        Arc::clone(&provider),
    );
    let chain = chain
        .build()
        .map_err(|error| Error::Authorities(error.to_string()))?;
    let witness = Arc::new(Witness {
        chain,
        provider: Arc::clone(&provider),
        seen: Mutex::new(None),
    });
    let failed = handshake(host, address, &witness, provider, within).err();
    let seen = witness.seen.lock().ok().and_then(|mut seen| seen.take());
    match (seen, failed) {
        (Some(shown), _) => Ok(shown),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::NoTls("it shows no certificate".to_owned())),
    }
}

/// Whether certificates can be judged by what is in this PEM file.
///
/// # Errors
///
/// `Authorities`, with the file.
pub fn hold_authority(file: &Path) -> Result<(), Error> {
    authorities(Some(file)).map(drop)
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    let fault = |why: &str| Error::Authorities(format!("{}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| fault(&error.to_string()))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let (good, _) = roots.add_parsable_certificates(all.map_err(|_| fault("it is not PEM"))?);
    if good == 0 {
        return Err(fault("there is no certificate in it"));
    }
    Ok(roots)
}

fn handshake(
    host: &str,
    address: SocketAddr,
    witness: &Arc<Witness>,
    provider: Arc<CryptoProvider>,
    within: Duration,
) -> Result<(), Error> {
    let no_tls = |error: rustls::Error| Error::NoTls(error.to_string());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(witness) as Arc<_>)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned());
    let name =
        name.map_err(|_| Error::NoTls(format!("no certificate can bear the name {host}")))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(no_tls)?;
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    while connection.is_handshaking() {
        let step = connection.complete_io(&mut stream);
        step.map_err(|error| Error::NoTls(error.to_string()))?;
    }
    Ok(())
}

/// Notes what is shown and lets it pass: nothing is said behind the handshake.
struct Witness {
    chain: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Shown>>,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let answer = self.chain.verify_server_cert(leaf, others, name, ocsp, now);
        let read = der::read(leaf).unwrap_or_default();
        let shown = Shown {
            subject: read.subject,
            issuer: read.issuer,
            not_after: read.not_after,
            judgement: answer.err().map_or(Judgement::Good, judge),
        };
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(shown);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn judge(error: rustls::Error) -> Judgement {
    use CertificateError as Why;
    let rustls::Error::InvalidCertificate(why) = error else {
        return Judgement::Bad(error.to_string());
    };
    match why {
        Why::Expired | Why::ExpiredContext { .. } => Judgement::Expired,
        Why::NotValidYet | Why::NotValidYetContext { .. } => Judgement::NotYet,
        Why::NotValidForName => Judgement::OtherName(Vec::new()),
        Why::NotValidForNameContext { presented, .. } => {
            Judgement::OtherName(presented.iter().map(|name| bare(name)).collect())
        }
        // An authority has the issuer's name, and another key.
        Why::UnknownIssuer | Why::BadSignature => Judgement::UnknownIssuer,
        other => Judgement::Bad(other.to_string()),
    }
}

/// rustls writes `DnsName("localhost")`.
fn bare(name: &str) -> String {
    let inner = name.split_once('(');
    let inner = inner.and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').to_owned()
}
