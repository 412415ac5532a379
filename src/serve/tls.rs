//! TLS of the listener: rustls with ring, TLS 1.2 and 1.3. Certificate, key and client authorities
//! are read again when one of the files changes; what cannot be used leaves the old ones in place.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, server::danger::ClientCertVerifier};

use super::settings::Settings;

/// What connections are accepted with.
pub(super) struct Tls {
    files: Files,
    current: Mutex<Current>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

struct Current {
    marks: Marks,
    acceptor: TlsAcceptor,
}

/// Changes when a file does.
type Marks = Vec<Option<(u64, u64, i64, i64)>>;

impl Tls {
    /// None if the settings name no certificate.
    ///
    /// # Errors
    ///
    /// Names the setting and the file.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, String> {
        let files = match (&settings.certificate_file, &settings.key_file) {
            (None, None) if settings.client_ca_file.is_none() => return Ok(None),
            (Some(certificate), Some(key)) => Files {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: settings.client_ca_file.clone(),
            },
            _ => {
                let why = "serve.certificate_file and serve.key_file: TLS needs both";
                return Err(why.to_owned());
            }
        };
        let marks = files.marks();
        let current = Mutex::new(Current {
            marks,
            acceptor: files.acceptor()?,
        });
        Ok(Some(Self { files, current }))
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.lock().acceptor.clone()
    }

    /// Reads the files again if one of them changed.
    pub(super) fn look(&self) {
        let marks = self.files.marks();
        if marks == self.lock().marks {
            return;
        }
        match self.files.acceptor() {
            Ok(acceptor) => {
                log::info!("TLS: {} is read again", self.files.certificate.display());
                *self.lock() = Current { marks, acceptor };
            }
            Err(why) => {
                log::error!("{why}; the certificate stays as it was");
                self.lock().marks = marks;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn marks(&self) -> Marks {
        let mark = |path: &PathBuf| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
        };
        let all = [&self.certificate, &self.key].into_iter();
        all.chain(&self.client_ca).map(mark).collect()
    }

    fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let fault = |what: &str, path: &Path, why: &dyn std::fmt::Display| {
            format!("serve.{what}: {}: {why}", path.display())
        };
        let certificate =
            |why: &dyn std::fmt::Display| fault("certificate_file", &self.certificate, why);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| certificate(&error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier = verifier(path, provider);
                let verifier = verifier.map_err(|why| fault("client_ca_file", path, &why))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates(&self.certificate).map_err(|why| certificate(&why))?;
        let key = key(&self.key).map_err(|why| fault("key_file", &self.key, &why))?;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| certificate(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let all: Result<Vec<_>, _> = all.collect();
    let all = all.map_err(|error| error.to_string())?;
    if all.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(all)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.permissions().mode() & 0o007 != 0 {
        let path = path.display();
        return Err(format!("everyone may use it; run chmod 640 {path}"));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| error.to_string())
}

fn verifier(
    path: &Path,
    provider: Arc<tokio_rustls::rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| error.to_string())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| error.to_string())
}
