//! What only the service, or only the reader of Wazuh's API, finds wrong with its section.

use std::fs;

use super::super::mode;
use super::Home;
use crate::certificate::certificate;
use crate::scratch;

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_service_that_cannot_listen_is_told() {
    Home::new().mend_each("serve", &[
        ("[serve]\nhost = \"no.such.invalid\"\n", "serve.host: `no.such.invalid`: failed to lookup", "[serve]\nhost = \"localhost\"\n"),
        ("[serve]\nhost = []\n", "serve.host: no address to listen on", "[serve]\nhost = [\"127.0.0.1\"]\n"),
        ("[serve]\nport = 70000\n", "serve.port: 70000 is not between 0 and 65535", "[serve]\nport = 5000\n"),
        (
            "[serve]\nhost = \"0.0.0.0\"\n",
            "0.0.0.0:5000 is open to other machines, and there is no TLS (serve.certificate_file) and token (custom-mongo token new); serve.insecure_listen = true",
            "[serve]\nhost = \"0.0.0.0\"\ninsecure_listen = true\n",
        ),
    ]);
}

#[test]
fn a_token_that_opens_nothing_is_told() {
    let token = |hash: &str, scope: &str| {
        format!("[serve.tokens.soc]\nhash = {hash:?}\nscope = {scope:?}\n")
    };
    let right = token(HASH, "read");
    let plain = "[serve]\nauth_token = \"hush\"\n";
    Home::new().mend_each("serve", &[
        (&token("hush", "read"), "serve.tokens.soc: hash: 64 hex digits are wanted, as printf %s TOKEN | sha256sum gives", &right),
        (&token(HASH, "reed"), "serve.tokens.soc: scope: `reed` is not ingest, read or admin", &right),
        ("[serve]\nauth_token = \"\"\n", "serve.auth_token: it is empty", plain),
        (&format!("{plain}auth_token_file = \"/x\"\n"), "serve.auth_token and serve.auth_token_file are set; keep one of them", plain),
    ]);
}

/// A certificate with its key, a file that holds none, one that holds nonsense, one that is cut off, and
/// one that is not there.
pub(super) fn pem_files() -> [String; 5] {
    let folder = scratch::fresh("check_pem");
    certificate(&folder, "one", &[]);
    let [begin, end] = ["BEGIN", "END"].map(|word| format!("-----{word} CERTIFICATE-----\n"));
    for (name, text) in [
        ("none", "PEM?\n"),
        ("nonsense", &format!("{begin}AAAA\n{end}")),
        ("cut", &format!("{begin}AAAA\n")),
    ] {
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, text).unwrap();
        mode(&file, 0o600);
    }
    let path = |name: &str| folder.join(format!("{name}.pem")).display().to_string();
    ["one", "none", "nonsense", "cut", "absent"].map(path)
}

#[test]
fn a_certificate_that_the_service_cannot_use_is_told() {
    let [one, none, nonsense, _, absent] = pem_files();
    let [two, ..] = pem_files();
    let tls = |certificate: &str, key: &str| {
        format!("[serve]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n")
    };
    let clients = |file: &str| format!("{}client_ca_file = {file:?}\n", tls(&one, &one));
    let right = tls(&one, &one);
    let both = "serve.certificate_file and serve.key_file: TLS needs both";
    Home::new().mend_each(
        "serve",
        &[
            (&format!("[serve]\nkey_file = {one:?}\n"), both, &right),
            (
                &format!("[serve]\ncertificate_file = {one:?}\n"),
                both,
                &right,
            ),
            (
                &format!("[serve]\nclient_ca_file = {one:?}\n"),
                both,
                &clients(&one),
            ),
            (&tls(&absent, &one), "serve.certificate_file: /", &right),
            (
                &tls(&none, &one),
                "none.pem: there is no certificate in it",
                &right,
            ),
            (&tls(&nonsense, &one), "serve.certificate_file: /", &right),
            (
                &clients(&nonsense),
                "serve.client_ca_file: /",
                &clients(&one),
            ),
            (&tls(&one, &absent), "serve.key_file: /", &right),
            (&tls(&one, &none), "serve.key_file: /", &right),
            (&tls(&one, &two), "serve.certificate_file: /", &right),
            (&clients(&absent), "serve.client_ca_file: /", &clients(&one)),
            (
                &clients(&none),
                "none.pem: there is no certificate in it",
                &clients(&one),
            ),
        ],
    );
}

/// `[wazuh_api]` with these lines, behind those that are right unless they say otherwise.
fn api(lines: &str) -> String {
    let usual = [
        ("url", "\"https://h:55000\""),
        ("user", "\"u\""),
        ("password", "\"p\""),
    ];
    let usual = usual
        .iter()
        .filter(|(key, _)| !lines.contains(&format!("{key} =")));
    let line = |(key, value): &(&str, &str)| format!("{key} = {value}\n");
    let usual: Vec<String> = usual.map(line).collect();
    let usual = usual.concat();
    format!("[wazuh_api]\n{usual}{lines}")
}

#[test]
fn an_address_of_the_api_that_is_none_is_told() {
    let right = api("");
    let example = "wazuh_api.url: write for example https://wazuh.example:55000";
    let of = |url: &str| api(&format!("url = {url:?}\n"));
    Home::new().mend_each(
        "wazuh_api",
        &[
            (&of("wazuh.example"), example, &right),
            (&of("ftp://wazuh.example"), example, &right),
            (&of("https://wazuh.example/?a=b"), example, &right),
            (
                &of("http://wazuh.example"),
                "http:// would send the password in the clear to wazuh.example; use https://",
                &right,
            ),
            (
                &of("https://u:p@wazuh.example"),
                "the login does not belong into the address; set user and password",
                &right,
            ),
        ],
    );
}

#[test]
fn a_login_of_the_api_that_is_none_is_told() {
    let right = api("");
    let empty = |key: &str| api(&format!("{key} = \"\"\n"));
    Home::new().mend_each(
        "wazuh_api",
        &[
            (
                &empty("user"),
                "no user; set wazuh_api.user or WAZUH_USER",
                &right,
            ),
            (
                &empty("password"),
                "no password; set wazuh_api.password or WAZUH_PASS",
                &right,
            ),
            (
                &api("user = \"a:b\"\n"),
                "wazuh_api.user: a colon cannot be part of it",
                &right,
            ),
            (
                &api("password_file = \"/x\"\npassword = \"p\"\n"),
                "wazuh_api.password and wazuh_api.password_file are set; keep one of them",
                &right,
            ),
            (
                &api("requests_per_minute = 0\n"),
                "wazuh_api.requests_per_minute: 1 to 100000 is possible, 200 is usual",
                &api("requests_per_minute = 200\n"),
            ),
        ],
    );
}

#[test]
fn a_certificate_of_the_api_that_is_none_is_told() {
    let [one, none, nonsense, cut, absent] = pem_files();
    let ca = |file: &str| api(&format!("ca_file = {file:?}\n"));
    let pin = api(&format!(
        "pin = {:?}\n",
        crate::certificate::fingerprint(&one)
    ));
    Home::new().mend_each("wazuh_api", &[
        (&api("pin = \"AA:BB\"\n"), "wazuh_api.pin: `AA:BB` is no SHA-256 fingerprint; openssl x509 -fingerprint -sha256 prints one", &pin),
        (&ca(&absent), "absent.pem: cannot be read: No such file", &ca(&one)),
        (&ca(&none), "none.pem: there is no certificate in it", &ca(&one)),
        (&ca(&cut), "cut.pem: it is not PEM", &ca(&one)),
        (&ca(&nonsense), "wazuh_api.ca_file: it holds no usable authority", &ca(&one)),
    ]);
}
