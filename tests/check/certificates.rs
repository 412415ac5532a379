//! TLS to MongoDB: whose certificate, until when, and why it is not taken.

use std::fs;
use std::path::{Path, PathBuf};

use super::{assert_good, good, note, only_of};
use crate::certificate::{certificate, of_wazuh, signed};
use crate::clock;
use crate::mongod::{self, Mongod, Setup};
use crate::scratch;
use crate::tls::Tls;
use crate::wazuh::Wazuh;

/// TLS in front of the tests' server, an authority, and a home that knows it.
struct Site {
    tls: Tls,
    folder: PathBuf,
    ca: String,
}

const NAMES: &str = "subjectAltName=IP:127.0.0.1,DNS:localhost";

fn site() -> Site {
    let folder = scratch::fresh("certificates");
    let is_ca = ["-addext", "basicConstraints=critical,CA:TRUE"];
    certificate(&folder, "ca", &is_ca);
    let ca = signed(&folder, "ca");
    lasting(&folder, "server", NAMES);
    let pem = path(&folder, "server");
    let tls = Tls::to(mongod::shared().port, &pem);
    Site { tls, folder, ca }
}

/// Signed by the authority, for 90 days.
fn lasting(folder: &Path, name: &str, names: &str) {
    let (ca, key) = (
        path(folder, "ca"),
        folder.join("ca.key").display().to_string(),
    );
    let more = [
        "-CA",
        &ca,
        "-CAkey",
        &key,
        "-days",
        "90",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    let extensions = names.lines().flat_map(|one| ["-addext", one]);
    let more: Vec<&str> = more.into_iter().chain(extensions).collect();
    certificate(folder, name, &more);
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(format!("{name}.pem")).display().to_string()
}

impl Site {
    fn wazuh(&self, host: &str, options: &str, more: &str) -> Wazuh {
        let port = self.tls.port;
        let uri = format!("mongodb://{host}:{port}/?directConnection=true{options}");
        let store = format!("uri = {uri:?}\ndatabase = \"check_tls\"\n{more}");
        Wazuh::with_store(&store)
    }

    fn known(&self) -> String {
        format!("ca_file = {:?}\n", self.ca)
    }
}

#[test]
fn a_good_certificate_is_shown_with_its_names_and_its_last_day() {
    let site = site();
    let wazuh = site.wazuh("127.0.0.1", "&tls=true", &site.known());
    assert_good(&wazuh);
    let said = good(&wazuh.json("check"), "mongodb tls");
    assert!(
        said.contains("shows server, signed by ca, until 20"),
        "{said}"
    );
    assert!(
        said.contains("(89 days)") || said.contains("(90 days)"),
        "{said}"
    );
    // Two days are soon.
    site.tls.show(&signed(&site.folder, "short"));
    let check = wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    assert!(
        note(&check, "mongodb tls").fix.contains("renew"),
        "{check:#}"
    );
    site.tls.show(&path(&site.folder, "server"));
    good(&wazuh.json("check"), "mongodb tls");
}

#[test]
fn an_authority_that_is_not_known_is_named_and_ca_file_mends_it() {
    let site = site();
    let wary = site.wazuh("127.0.0.1", "&tls=true", "");
    let fault = only_of(&wary, "mongodb tls");
    assert!(
        fault.fix.contains("store.ca_file") && fault.fix.contains(" ca"),
        "{fault:?}"
    );
    assert_good(&site.wazuh("127.0.0.1", "&tls=true", &site.known()));
    // Another authority of the same kind is none.
    let other = scratch::fresh("other-ca");
    certificate(
        &other,
        "ca",
        &["-addext", "basicConstraints=critical,CA:TRUE"],
    );
    let ca_file = format!("ca_file = {:?}\n", path(&other, "ca"));
    let fault = only_of(
        &site.wazuh("127.0.0.1", "&tls=true", &ca_file),
        "mongodb tls",
    );
    assert!(fault.detail.contains("nobody who is trusted"), "{fault:?}");
    let absent = "ca_file = \"/nonexistent.pem\"\n";
    let fault = only_of(&site.wazuh("127.0.0.1", "&tls=true", absent), "store.uri");
    assert!(fault.detail.contains("/nonexistent.pem"), "{fault:?}");
}

#[test]
fn a_certificate_for_another_name_says_for_which() {
    let site = site();
    lasting(&site.folder, "named", "subjectAltName=DNS:localhost");
    site.tls.show(&path(&site.folder, "named"));
    let fault = only_of(
        &site.wazuh("127.0.0.1", "&tls=true", &site.known()),
        "mongodb tls",
    );
    assert!(fault.detail.contains("not for 127.0.0.1"), "{fault:?}");
    let named = "use a name that is in it in store.uri (localhost), or put 127.0.0.1 into it";
    assert_eq!(fault.fix, named);
    assert_good(&site.wazuh("localhost", "&tls=true", &site.known()));
}

#[test]
fn a_certificate_whose_time_is_over_is_replaced() {
    let site = site();
    let old = of_wazuh(&site.folder, "old");
    site.tls.show(&old);
    let wazuh = site.wazuh("localhost", "&tls=true", &site.known());
    let fault = only_of(&wazuh, "mongodb tls");
    assert!(fault.detail.contains("until 2025-01-01"), "{fault:?}");
    assert!(fault.detail.contains("time is over"), "{fault:?}");
    site.tls.show(&path(&site.folder, "server"));
    assert_good(&wazuh);
}

/// Made a moment ago, by the clock of who made it.
#[test]
fn a_certificate_whose_time_has_not_come_is_a_clock_that_is_behind() {
    let site = site();
    let mut wazuh = site.wazuh("127.0.0.1", "&tls=true", &site.known());
    let behind = clock::off_by(-86_400).display().to_string();
    wazuh.environment.push(("LD_PRELOAD", behind));
    let fault = only_of(&wazuh, "mongodb tls");
    assert!(fault.detail.contains("has not come"), "{fault:?}");
    assert!(fault.fix.contains("this host's clock"), "{fault:?}");
    wazuh.environment.clear();
    assert_good(&wazuh);
}

/// Signed by the right authority, for the right name, for something else.
#[test]
fn a_certificate_that_is_not_for_servers_is_replaced() {
    let site = site();
    let names = format!("{NAMES}\nextendedKeyUsage=clientAuth");
    lasting(&site.folder, "user", &names);
    site.tls.show(&path(&site.folder, "user"));
    let wazuh = site.wazuh("127.0.0.1", "&tls=true", &site.known());
    let fault = only_of(&wazuh, "mongodb tls");
    assert_eq!(fault.fix, "put another certificate on the server");
    site.tls.show(&path(&site.folder, "server"));
    assert_good(&wazuh);
}

#[test]
fn a_file_that_holds_no_authority_is_named() {
    let site = site();
    let empty = site.folder.join("empty.pem").display().to_string();
    fs::write(&empty, "").unwrap();
    let known = format!("ca_file = {empty:?}\n");
    let wazuh = site.wazuh("127.0.0.1", "&tls=true", &known);
    let fault = only_of(&wazuh, "store.uri");
    assert!(fault.detail.contains(&empty), "{fault:?}");
    assert!(fault.detail.ends_with("see store.ca_file"), "{fault:?}");
    fs::copy(&site.ca, &empty).unwrap();
    assert_good(&wazuh);
}

/// 0.0.0.0 stands for an address of a network: it is this host's own, and is not loopback's.
#[test]
fn a_server_beyond_this_host_should_have_tls() {
    let site = site();
    lasting(&site.folder, "away", "subjectAltName=IP:0.0.0.0");
    site.tls.show(&path(&site.folder, "away"));
    let plain = format!(
        "mongodb://0.0.0.0:{}/?directConnection=true",
        mongod::shared().port
    );
    let wazuh = Wazuh::with_store(&format!("uri = {plain:?}\ndatabase = \"check_tls\"\n"));
    let check = wazuh.json("check");
    let said = note(&check, "mongodb tls");
    assert_eq!(super::faults(&check), [], "{check:#}");
    assert_eq!(said.fix, "set tls=true in store.uri, and store.ca_file");
    let wazuh = site.wazuh("0.0.0.0", "&tls=true", &site.known());
    assert_good(&wazuh);
    good(&wazuh.json("check"), "mongodb tls");
}

#[test]
fn a_certificate_that_nobody_looks_at_is_a_fault() {
    let site = site();
    let fault = only_of(
        &site.wazuh("127.0.0.1", "&tls=true&tlsInsecure=true", ""),
        "mongodb tls",
    );
    assert!(fault.detail.contains("NOT verified"), "{fault:?}");
    assert_good(&site.wazuh("127.0.0.1", "&tls=true", &site.known()));
}

#[test]
fn tls_on_one_side_only_is_told_from_either_side() {
    let site = site();
    let wazuh = site.wazuh("127.0.0.1", "", "");
    let fault = only_of(&wazuh, "mongodb tls");
    assert!(
        fault.detail.contains("wants TLS") && fault.detail.contains("signed by ca"),
        "{fault:?}"
    );
    assert!(fault.fix.contains("store.ca_file"), "{fault:?}");
    assert_good(&site.wazuh("127.0.0.1", "", &site.known()));

    let plain = mongod::shared().uri();
    let store = |uri: &str| format!("uri = {uri:?}\ndatabase = \"check_tls\"\n");
    let fault = only_of(
        &Wazuh::with_store(&store(&format!("{plain}&tls=true"))),
        "mongodb tls",
    );
    assert!(fault.detail.contains("not with TLS"), "{fault:?}");
    assert!(fault.fix.contains("tls=true"), "{fault:?}");
    assert_good(&Wazuh::with_store(&store(&plain)));
}

/// The server asks who we are before it says anything else.
#[test]
fn a_server_that_wants_a_certificate_of_ours_shows_its_own_all_the_same() {
    let site = site();
    let server = path(&site.folder, "server");
    let arguments = format!(
        "--tlsMode requireTLS --tlsCertificateKeyFile {server} --tlsCAFile {}",
        site.ca
    );
    let client = signed(&site.folder, "client");
    let options = format!(
        "tls=true&tlsCAFile={}&tlsCertificateKeyFile={client}&",
        site.ca
    );
    let setup = Setup {
        arguments: arguments.split(' ').map(Into::into).collect(),
        options,
        ..Setup::default()
    };
    let server = Mongod::start_with(setup);
    let store = |more: &str| {
        let uri = format!("{}?tls=true", server.uri());
        Wazuh::with_store(&format!(
            "uri = {uri:?}\ndatabase = \"x\"\n{}{more}",
            site.known()
        ))
    };
    let wary = store("");
    let check = wary.json("check");
    assert!(
        good(&check, "mongodb tls").contains("shows server"),
        "{check:#}"
    );
    let fault = super::only(&check, "mongodb");
    assert!(fault.fix.contains("client_certificate_file"), "{fault:?}");
    let known = store(&format!("client_certificate_file = {client:?}\n"));
    assert_good(&known);
    fs::remove_file(&client).unwrap();
    assert!(only_of(&known, "store.uri").detail.contains("client.pem"));
}
