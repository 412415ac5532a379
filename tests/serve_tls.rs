//! TLS: rustls on both ends, client certificates, and a certificate that is changed under way.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificate::{certificate, signed};
use crate::http::{Answer, Connection};
use crate::scratch;
use crate::service::Service;
use crate::wazuh::Wazuh;

type Encrypted = Connection<StreamOwned<ClientConnection, TcpStream>>;

/// Connects; with our own certificate if one is given. The handshake comes with the first request.
fn connect(address: SocketAddr, ca: &Path, own: Option<&str>) -> Encrypted {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let chain = vec![CertificateDer::from_pem_file(path).unwrap()];
            let key = PrivateKeyDer::from_pem_file(path).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Connection::over(StreamOwned::new(tls, tcp))
}

/// Asks for /healthz; the answer and the certificate that was shown.
fn ask(address: SocketAddr, ca: &Path, own: Option<&str>) -> Result<(Answer, Vec<u8>), String> {
    let mut connection = connect(address, ca, own);
    let answer = connection.ask("GET", "/healthz", &[], b"");
    let answer = answer.map_err(|error| error.to_string())?;
    let shown = connection.stream.conn.peer_certificates().unwrap();
    Ok((answer, shown[0].to_vec()))
}

/// A home whose service has the certificate `server.pem` of `folder`.
fn home(folder: &Path, more: &str) -> Wazuh {
    certificate(folder, "ca", &[]);
    let server = signed(folder, "server");
    let wazuh = Wazuh::new("serve_tls");
    wazuh.settings(&format!(
        "[serve]\ncertificate_file = {server:?}\nkey_file = {server:?}\n{more}"
    ));
    wazuh
}

#[test]
fn a_certificate_turns_tls_on_and_a_new_one_counts_without_a_restart() {
    let folder = scratch::fresh("serve-tls");
    let wazuh = home(&folder, "");
    let mut service = Service::start(&wazuh);
    let ca = folder.join("ca.pem");
    let (answer, first) = ask(service.address, &ca, None).unwrap();
    assert_eq!(answer.status, 200);
    let mut plain = crate::http::connect(service.address);
    assert!(plain.ask("GET", "/healthz", &[], b"").is_err(), "TLS only");

    // A file that is none leaves the old one in place, and says so.
    let path = folder.join("server.pem");
    fs::write(&path, "nonsense").unwrap();
    service.line_with("the certificate stays as it was");
    assert_eq!(ask(service.address, &ca, None).unwrap().1, first);

    signed(&folder, "server");
    let begun = Instant::now();
    while ask(service.address, &ca, None).unwrap().1 == first {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{}",
            service.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn with_client_authorities_only_their_certificates_come_in() {
    let folder = scratch::fresh("serve-tls-client");
    let ca = folder.join("ca.pem");
    let wazuh = home(&folder, &format!("client_ca_file = {ca:?}\n"));
    let client = signed(&folder, "client");
    let stranger = scratch::fresh("serve-tls-stranger");
    certificate(&stranger, "ca", &[]);
    let foreign = signed(&stranger, "client");
    let service = Service::start(&wazuh);
    assert_eq!(
        ask(service.address, &ca, Some(&client)).unwrap().0.status,
        200
    );
    assert!(ask(service.address, &ca, None).is_err());
    assert!(ask(service.address, &ca, Some(&foreign)).is_err());
    assert!(service.log().contains("TLS: "), "{}", service.log());
}

#[test]
fn a_key_that_everyone_may_read_is_refused() {
    let folder = scratch::fresh("serve-tls-mode");
    let wazuh = home(&folder, "");
    let path = folder.join("server.pem");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let output = wazuh.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("chmod 640"), "{said}");
}

#[test]
fn with_tls_and_a_token_it_listens_beyond_this_machine() {
    let folder = scratch::fresh("serve-tls-beyond");
    let wazuh = home(&folder, "");
    let made = wazuh.run(&["token", "new", "--name", "one", "--scope", "read"]);
    assert!(made.status.success(), "{made:?}");
    let service = Service::start_on(&wazuh, "0.0.0.0:0");
    let address = ([127, 0, 0, 1], service.address.port()).into();
    let (answer, _) = ask(address, &folder.join("ca.pem"), None).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn a_handshake_that_never_comes_is_cut() {
    let folder = scratch::fresh("serve-tls-slow");
    let wazuh = home(&folder, "header_timeout = \"1 s\"\n");
    let service = Service::start(&wazuh);
    let mut silent = crate::http::connect(service.address);
    let begun = Instant::now();
    assert!(silent.is_closed());
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(
        ask(service.address, &folder.join("ca.pem"), None)
            .unwrap()
            .0
            .status,
        200
    );
}

#[test]
fn a_flood_of_handshakes_leaves_the_others_alone() {
    let folder = scratch::fresh("serve-tls-flood");
    let wazuh = home(&folder, "max_connections = 100\n");
    let service = Service::start(&wazuh);
    let ca = folder.join("ca.pem");
    let mut regular = connect(service.address, &ca, None);
    assert_eq!(
        regular.ask("GET", "/healthz", &[], b"").unwrap().status,
        200
    );
    let before = service.memory();
    let end = Instant::now() + Duration::from_secs(5);
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut kept = Vec::new();
                while Instant::now() < end {
                    // Some go on, some stay in the middle, and beyond the limit some are cut.
                    let mut one = connect(service.address, &ca, None);
                    one.ask("GET", "/healthz", &[], b"").ok();
                    kept.push(TcpStream::connect(service.address).unwrap());
                }
            });
        }
        while Instant::now() < end {
            let asked = Instant::now();
            let answer = regular.ask("GET", "/healthz", &[], b"");
            assert_eq!(answer.expect("whoever is not idle stays").status, 200);
            longest = longest.max(asked.elapsed());
        }
    });
    assert!(longest < Duration::from_secs(4), "{longest:?}");
    let more = service.memory().saturating_sub(before);
    assert!(more < 24 << 20, "{more} bytes more");
}

#[test]
fn an_address_has_no_more_handshakes_than_requests() {
    let folder = scratch::fresh("serve-tls-often");
    let wazuh = home(&folder, "address_rate = 5\n");
    let service = Service::start(&wazuh);
    let ca = folder.join("ca.pem");
    let begun = Instant::now();
    let mut came_in = 0.0;
    for _ in 0..40 {
        if ask(service.address, &ca, None).is_ok() {
            came_in += 1.0;
        }
    }
    let allowed = 5.0 + begun.elapsed().as_secs_f64() * 5.0;
    assert!((5.0..=allowed).contains(&came_in), "{came_in} of {allowed}");
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        ask(service.address, &ca, None).is_ok(),
        "it is let in again"
    );
}

#[test]
fn what_is_no_request_is_told_so_behind_tls_too() {
    let folder = scratch::fresh("serve-tls-nonsense");
    let wazuh = home(&folder, "");
    let service = Service::start(&wazuh);
    let mut connection = connect(service.address, &folder.join("ca.pem"), None);
    connection.send(b"NONSENSE\r\n\r\n").unwrap();
    let answer = connection.answer("GET").unwrap();
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (400, &"error".into())
    );
}
