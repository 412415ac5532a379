//! Files that the settings name: those with a secret are closed to everybody else, and all of them are
//! open to the user that Wazuh runs as. The command that is named does both.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::geteuid;

use super::super::{Installed, mode};
use super::{STORE, faults, only, read};
use crate::certificate::certificate;
use crate::scratch;

/// A setting that names a file, and what else its section needs.
struct Named {
    finding: &'static str,
    section: &'static str,
    key: &'static str,
    beside: &'static str,
}

const fn named(
    finding: &'static str,
    section: &'static str,
    key: &'static str,
    beside: &'static str,
) -> Named {
    Named {
        finding,
        section,
        key,
        beside,
    }
}

const LOGIN: &str = "uri = \"mongodb://h\"\nusername = \"u\"\n";
const STORES: &str = "uri = \"mongodb://h\"\n";
const API: &str = "url = \"https://h:55000\"\nuser = \"u\"\n";
const API_LOGIN: &str = "url = \"https://h:55000\"\nuser = \"u\"\npassword = \"p\"\n";

const SECRETS: [Named; 4] = [
    named("store.uri", "store", "uri_file", ""),
    named("store.uri", "store", "password_file", LOGIN),
    named("serve", "serve", "auth_token_file", ""),
    named("wazuh_api", "wazuh_api", "password_file", API),
];

const CERTIFICATES: [Named; 3] = [
    named("store.uri", "store", "ca_file", STORES),
    named("store.uri", "store", "client_certificate_file", STORES),
    named("wazuh_api", "wazuh_api", "ca_file", API_LOGIN),
];

impl Named {
    fn settings(&self, file: &Path) -> String {
        let own = format!(
            "[{}]\n{}{} = {:?}\n",
            self.section,
            self.beside,
            self.key,
            file.display().to_string()
        );
        match self.section {
            "store" => own,
            _ => format!("{STORE}{own}"),
        }
    }
}

fn config_only(installed: &Installed) -> serde_json::Value {
    read(&installed.run(&["check", "--config-only", "--format", "json"]))
}

/// With this mode, root's own and of root's group.
fn close(file: &Path, bits: u32) {
    mode(file, bits);
    if geteuid().is_root() {
        chown(file, Some(0), Some(0)).unwrap();
    }
}

#[track_caller]
fn assert_mended(installed: &Installed, named: &Named, told: &str) {
    let fault = only(&config_only(installed), named.finding);
    assert!(
        fault.detail.contains(told) && fault.detail.contains(named.key),
        "{fault:?}"
    );
    if geteuid().is_root() {
        fault.run();
        let check = config_only(installed);
        assert_eq!(faults(&check), [], "{}: {check:#}", named.key);
    }
}

#[test]
fn a_secret_that_everyone_can_read_is_closed_and_stays_open_to_wazuh() {
    let installed = Installed::new("check_secrets");
    let file = installed.host.path("etc/a secret");
    for named in SECRETS {
        installed.settings(&named.settings(&file));
        let fault = only(&config_only(&installed), named.finding);
        assert!(fault.detail.contains("No such file"), "{fault:?}");
        fs::write(&file, "mongodb://h\n").unwrap();
        close(&file, 0o644);
        assert_mended(&installed, &named, "everyone may read");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_file_that_wazuh_cannot_read_is_opened_to_it() {
    if !geteuid().is_root() {
        return;
    }
    let installed = Installed::new("check_closed");
    let folder = scratch::fresh("check_closed");
    certificate(&folder, "one", &[]);
    let pem = fs::read(folder.join("one.pem")).unwrap();
    let file = installed.host.path("etc/a file");
    let secrets = SECRETS
        .into_iter()
        .map(|named| (named, b"mongodb://h\n".to_vec()));
    let certificates = CERTIFICATES.into_iter().map(|named| (named, pem.clone()));
    for (named, content) in secrets.chain(certificates) {
        installed.settings(&named.settings(&file));
        fs::write(&file, content).unwrap();
        close(&file, 0o600);
        assert_mended(&installed, &named, "Permission denied");
    }
}

/// Its own key everyone may use; then Wazuh's user may not, nor read the certificates.
#[test]
fn a_key_of_the_service_gets_its_mode_and_owner() {
    let installed = Installed::new("check_service_key");
    let folder = installed.host.path("etc");
    certificate(&folder, "one", &[]);
    for name in ["key", "clients"] {
        fs::copy(folder.join("one.pem"), folder.join(name)).unwrap();
    }
    let [chain, key, clients] = ["one.pem", "key", "clients"].map(|name| folder.join(name));
    installed.settings(&format!(
        "{STORE}[serve]\ncertificate_file = {chain:?}\nkey_file = {key:?}\nclient_ca_file = {clients:?}\n"
    ));
    for file in [&chain, &key, &clients] {
        installed.host.give_to_group(file, 0o640);
    }
    assert_eq!(faults(&config_only(&installed)), []);
    close(&key, 0o644);
    let of = |key| named("serve", "serve", key, "");
    assert_mended(&installed, &of("key_file"), "everyone may use it");
    if !geteuid().is_root() {
        return;
    }
    for (file, setting) in [
        (&chain, "certificate_file"),
        (&key, "key_file"),
        (&clients, "client_ca_file"),
    ] {
        close(file, 0o600);
        assert_mended(&installed, &of(setting), "Permission denied");
    }
}
