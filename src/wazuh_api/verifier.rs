//! Judges the certificate that the server shows. That the server holds the certificate's key is
//! checked in each case but `insecure`: a copied certificate opens nothing.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use super::Error;
use super::trust::{Fingerprint, Trust};

/// A certificate that was not taken.
#[derive(Debug)]
pub(super) struct Distrusted {
    pub(super) seen: Fingerprint,
    pub(super) why: String,
}

impl fmt::Display for Distrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.seen, self.why)
    }
}

impl std::error::Error for Distrusted {}

impl Distrusted {
    /// The judgement, if this is what the handshake failed for.
    pub(super) fn find(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
                cause.downcast_ref()
            }
            _ => None,
        }
    }

    fn because(seen: Fingerprint, why: String) -> rustls::Error {
        let cause = OtherError(Arc::new(Self { seen, why }));
        rustls::Error::InvalidCertificate(CertificateError::Other(cause))
    }
}

/// How TLS is spoken to an address that is held to `trust`.
pub(super) fn config(trust: &Trust) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = Verifier {
        rule: rule(trust, &provider)?,
        provider: Arc::clone(&provider),
    };
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Settings(format!("TLS: {error}")))?;
    let builder = builder.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(builder.with_no_client_auth()))
}

fn rule(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Rule, Error> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Pins { pins, .. } => return Ok(Rule::Pins(pins.clone())),
        Trust::Nothing => return Ok(Rule::Nothing),
        Trust::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Trust::Authorities(_, all) => {
            roots.add_parsable_certificates(all.iter().cloned());
        }
    }
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let chain = chain.build().map_err(|error| {
        Error::Settings(format!(
            "wazuh_api.ca_file: it holds no usable authority: {error}"
        ))
    })?;
    Ok(Rule::Chain(chain))
}

#[derive(Debug)]
enum Rule {
    Pins(Vec<Fingerprint>),
    Chain(Arc<WebPkiServerVerifier>),
    Nothing,
}

#[derive(Debug)]
struct Verifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::of(leaf);
        match &self.rule {
            Rule::Pins(pins) if pins.contains(&seen) => Ok(ServerCertVerified::assertion()),
            Rule::Pins(_) => Err(Distrusted::because(
                seen,
                "another one is pinned".to_owned(),
            )),
            Rule::Chain(chain) => chain
                .verify_server_cert(leaf, others, name, ocsp, now)
                .map_err(|error| Distrusted::because(seen, error.to_string())),
            Rule::Nothing => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if let Rule::Nothing = self.rule {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let known = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, leaf, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if let Rule::Nothing = self.rule {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let known = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, leaf, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
