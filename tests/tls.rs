//! TLS in front of a plain server, with any certificate, also with one whose key somebody else has.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) struct Tls {
    pub(crate) port: u16,
    shown: Arc<Shown>,
}

struct Shown {
    certified: Mutex<Arc<CertifiedKey>>,
    handshakes: AtomicUsize,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.certified.lock().unwrap()))
    }
}

impl Tls {
    /// Shows the certificate in `pem`, which holds its key too, and passes on to this port.
    pub(crate) fn to(upstream: u16, pem: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a bound port").port();
        let shown = Arc::new(Shown {
            certified: Mutex::new(certified(pem, pem)),
            handshakes: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth();
        let config = Arc::new(config.with_cert_resolver(Arc::clone(&shown) as Arc<_>));
        let known = Arc::clone(&shown);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if known.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (config, known) = (Arc::clone(&config), Arc::clone(&known));
                thread::spawn(move || serve(client, upstream, config, &known));
            }
        });
        Self { port, shown }
    }

    /// From now on another certificate is shown.
    pub(crate) fn show(&self, pem: &str) {
        self.show_with_key_of(pem, pem);
    }

    /// The certificate of one with the key of another.
    pub(crate) fn show_with_key_of(&self, certificate: &str, key: &str) {
        *self.shown.certified.lock().unwrap() = certified(certificate, key);
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// How often anybody got through the handshake.
    pub(crate) fn handshakes(&self) -> usize {
        self.shown.handshakes.load(Ordering::SeqCst)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.shown.stopped.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn certified(certificate: &str, key: &str) -> Arc<CertifiedKey> {
    let read = |path: &str| fs::read(path).expect("a PEM file");
    let certificate = read(certificate);
    let chain = CertificateDer::pem_slice_iter(&certificate);
    let chain = chain.collect::<Result<_, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_slice(&read(key)).expect("a key");
    let key = ring::sign::any_supported_type(&key).expect("a key that ring knows");
    Arc::new(CertifiedKey::new(chain, key))
}

fn serve(client: TcpStream, upstream: u16, config: Arc<ServerConfig>, known: &Shown) {
    let connection = ServerConnection::new(config).expect("a configuration");
    let mut stream = StreamOwned::new(connection, client);
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return;
        }
    }
    known.handshakes.fetch_add(1, Ordering::SeqCst);
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else {
        return;
    };
    pass(&mut stream, &server);
    stream.conn.send_close_notify();
    stream.conn.complete_io(&mut stream.sock).ok();
    stream.sock.shutdown(Shutdown::Both).ok();
    server.shutdown(Shutdown::Both).ok();
}

/// Looks at each side in turn: a TLS stream cannot be had by two threads.
fn pass(client: &mut StreamOwned<ServerConnection, TcpStream>, mut server: &TcpStream) {
    let pause = Some(Duration::from_millis(2));
    client.sock.set_read_timeout(pause).expect("a socket");
    server.set_read_timeout(pause).expect("a socket");
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match read(client, &mut buffer) {
            Some(count) if server.write_all(&buffer[..count]).is_ok() => {}
            _ => return,
        }
        match read(&mut server, &mut buffer) {
            Some(count) if client.write_all(&buffer[..count]).is_ok() => {}
            _ => return,
        }
    }
}

/// Nothing yet is 0; none is the end.
fn read(from: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    match from.read(buffer) {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Some(0)
        }
        Err(_) => None,
    }
}
