//! Whom the password of Wazuh's API is sent to: never to anybody but the manager.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::certificate::{certificate, fingerprint, of_wazuh, signed};
use crate::fake::{Options, Server};
use crate::scratch;
use crate::tls::Tls;
use crate::wazuh::Wazuh;
use crate::wazuh_api::{fault, finding, section};

/// A manager with Wazuh's own kind of certificate, a second such certificate, and a home that knows
/// only the address.
struct Manager {
    server: Server,
    tls: Tls,
    first: String,
    second: String,
    wazuh: Wazuh,
}

fn manager(name: &str) -> Manager {
    let folder = scratch::fresh("certificates");
    let (first, second) = (of_wazuh(&folder, "first"), of_wazuh(&folder, "second"));
    let server = Server::start(Options::default()).unwrap();
    let tls = Tls::to(server.port(), &first);
    let wazuh = Wazuh::new(name);
    wazuh.settings(&section(&tls.url(), ""));
    Manager {
        server,
        tls,
        first,
        second,
        wazuh,
    }
}

impl Manager {
    fn set(&self, more: &str) {
        self.wazuh.settings(&section(&self.tls.url(), more));
    }

    /// The command that `check` names, as it stands there.
    fn run_the_fix(&self) {
        let check = self.wazuh.json("check");
        let mut all = check["checks"].as_array().unwrap().iter();
        let fault = all.find(|one| one["name"] == "wazuh_api").unwrap();
        let command = fault["fix"].as_str().unwrap();
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }

    /// How many requests reached the API since the last look.
    fn asked(&self) -> usize {
        self.server.state().seen.drain(..).count()
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_gets_no_password() {
    let manager = manager("untrusted");
    let fault = fault(&manager.wazuh.json("check"), "wazuh_api");
    assert!(fault.contains(&fingerprint(&manager.first)), "{fault}");
    assert!(fault.contains("custom-mongo check --trust"), "{fault}");
    assert_eq!(manager.asked(), 0);
    manager.run_the_fix();
    assert_eq!(manager.wazuh.json("check")["ok"], true);
}

#[test]
fn a_certificate_is_trusted_once_it_was_shown_and_not_after_it_changed() {
    let manager = manager("trusted");
    let (first, second) = (fingerprint(&manager.first), fingerprint(&manager.second));
    let said = manager.wazuh.json("check --trust");
    assert_eq!(said["ok"], true, "{said:#}");
    let shown = finding(&said, "certificate");
    assert!(
        shown.contains(&first) && shown.contains("wazuh.com"),
        "{shown}"
    );
    let check = manager.wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    assert!(finding(&check, "wazuh_api").contains("trusted by check --trust"));
    assert!(manager.asked() > 0);

    let kept = manager.wazuh.state().join("wazuh_api/trusted");
    let mode = fs::metadata(kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    manager.tls.show(&manager.second);
    let fault = fault(&manager.wazuh.json("check"), "wazuh_api");
    assert!(fault.contains(&first) && fault.contains(&second), "{fault}");
    assert!(fault.contains("run custom-mongo check --trust"), "{fault}");
    assert_eq!(manager.asked(), 0, "the password goes nowhere");

    let again = manager.wazuh.json("check --trust");
    let shown = finding(&again, "certificate");
    assert!(
        shown.contains(&second) && shown.contains(&format!("in place of {first}")),
        "{shown}"
    );
    assert_eq!(manager.wazuh.json("check")["ok"], true);
}

#[test]
fn a_pin_counts_before_what_was_trusted_whatever_name_and_date_say() {
    let manager = manager("pinned");
    assert_eq!(manager.wazuh.json("check --trust")["ok"], true);
    let (first, second) = (fingerprint(&manager.first), fingerprint(&manager.second));
    manager.set(&format!(
        "pin = {:?}\n",
        second.replace(':', "").to_lowercase()
    ));
    let refused = fault(&manager.wazuh.json("check"), "wazuh_api");
    assert!(
        refused.contains(&first) && refused.contains("change wazuh_api.pin"),
        "{refused}"
    );
    manager.tls.show(&manager.second);
    assert_eq!(manager.wazuh.json("check")["ok"], true);
    let said = manager.wazuh.json("check --trust");
    assert!(
        finding(&said, "certificate").contains("nothing is stored"),
        "{said:#}"
    );
    manager.set(&format!("pin = [{first:?}, {second:?}]\n"));
    assert_eq!(
        manager.wazuh.json("check")["ok"],
        true,
        "old and new while it is renewed"
    );
    manager.set("pin = \"AA:BB\"\n");
    assert!(fault(&manager.wazuh.json("check"), "wazuh_api").contains("wazuh_api.pin"));
}

#[test]
fn a_pin_that_is_not_what_is_shown_is_a_fault_of_trust_until_it_goes() {
    let manager = manager("pin_trust");
    manager.set(&format!("pin = {:?}\n", fingerprint(&manager.second)));
    let said = fault(&manager.wazuh.json("check --trust"), "certificate");
    assert!(
        said.contains("correct wazuh_api.pin or ca_file, or remove it"),
        "{said}"
    );
    manager.set("");
    assert_eq!(manager.wazuh.json("check --trust")["ok"], true);
    assert_eq!(manager.wazuh.json("check")["ok"], true);
}

/// What is named is what it says in words: look at it, and remove it.
#[test]
fn nothing_is_trusted_where_it_cannot_be_kept() {
    let manager = manager("unkept");
    let state = manager.wazuh.state();
    fs::write(&state, "").unwrap();
    let said = fault(&manager.wazuh.json("check --trust"), "state folder");
    let (_, command) = said.split_once("and run ").unwrap();
    let (command, _) = command.split_once(" run the commands").unwrap();
    assert_eq!(command, format!("rm {}", state.display()));
    fs::remove_file(&state).unwrap();
    fs::create_dir_all(state.join("wazuh_api/trusted")).unwrap();
    let said = fault(&manager.wazuh.json("check --trust"), "certificate");
    assert!(
        said.contains("cannot keep it in") && said.contains("write there"),
        "{said}"
    );
    fs::remove_dir(state.join("wazuh_api/trusted")).unwrap();
    assert_eq!(manager.wazuh.json("check --trust")["ok"], true);
    assert_eq!(manager.wazuh.json("check")["ok"], true);
}

#[test]
fn a_copied_certificate_without_its_key_opens_nothing() {
    let manager = manager("copied");
    manager.set(&format!("pin = {:?}\n", fingerprint(&manager.first)));
    assert_eq!(manager.wazuh.json("check")["ok"], true);
    let (asked, through) = (manager.asked(), manager.tls.handshakes());
    assert_eq!(
        (asked, through),
        (3, 1),
        "one connection for login and questions"
    );
    manager
        .tls
        .show_with_key_of(&manager.first, &manager.second);
    let fault = fault(&manager.wazuh.json("check"), "wazuh_api");
    assert!(fault.contains("TLS failed"), "{fault}");
    assert_eq!((manager.asked(), manager.tls.handshakes()), (0, through));
    manager.tls.show(&manager.first);
    assert_eq!(manager.wazuh.json("check")["ok"], true);
}

#[test]
fn an_authority_of_ones_own_is_enough_for_the_right_name() {
    let folder = scratch::fresh("authority");
    certificate(
        &folder,
        "ca",
        &["-addext", "basicConstraints=critical,CA:TRUE"],
    );
    let (ca, leaf) = (signed(&folder, "ca"), signed(&folder, "leaf"));
    let manager = manager("authority");
    manager.tls.show(&leaf);
    manager.set(&format!("ca_file = {ca:?}\n"));
    let check = manager.wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    assert!(finding(&check, "wazuh_api").contains("ca.pem"));
    manager.tls.show(&manager.first);
    manager.asked();
    assert!(fault(&manager.wazuh.json("check"), "wazuh_api").contains("not trusted"));
    // An authority is no reason to take its certificate for another host.
    certificate(
        &folder,
        "elsewhere",
        &[
            "-addext",
            "subjectAltName=DNS:elsewhere.example",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            folder.join("ca.pem").to_str().unwrap(),
            "-CAkey",
            folder.join("ca.key").to_str().unwrap(),
        ],
    );
    manager
        .tls
        .show(folder.join("elsewhere.pem").to_str().unwrap());
    assert!(fault(&manager.wazuh.json("check"), "wazuh_api").contains("not trusted"));
    assert_eq!(manager.asked(), 0);
}

#[test]
fn insecure_takes_anything_and_says_so_each_time() {
    let manager = manager("insecure");
    manager.set("insecure = true\n");
    for _ in 0..2 {
        let output = manager.wazuh.run(&["check", "--format", "json"]);
        let warned = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(warned.contains("wazuh_api.insecure"), "{warned}");
        let check = serde_json::from_slice(&output.stdout).unwrap();
        assert!(fault(&check, "certificate").contains("NOT verified"));
        assert!(finding(&check, "wazuh_api").contains("NOT verified"));
    }
    assert!(manager.asked() > 0);
    manager.set(&format!(
        "insecure = true\npin = {:?}\n",
        fingerprint(&manager.second)
    ));
    fault(&manager.wazuh.json("check"), "wazuh_api");
    assert_eq!(manager.asked(), 0, "a pin holds all the same");
    manager.set("");
    assert_eq!(manager.wazuh.json("check --trust")["ok"], true);
    assert_eq!(manager.wazuh.json("check")["ok"], true);
}

/// What a hand or a disk left there that is no fingerprint: nothing is trusted, until it is shown anew.
#[test]
fn a_list_of_what_is_trusted_that_cannot_be_read_is_made_anew() {
    let manager = manager("garbled");
    assert_eq!(manager.wazuh.json("check --trust")["ok"], true);
    let list = manager.wazuh.state().join("wazuh_api/trusted");
    let kept = fs::read_to_string(&list).unwrap();
    let (address, _) = kept.split_once(' ').unwrap();
    fs::write(&list, format!("{address} what?\n")).unwrap();
    manager.asked();
    let said = fault(&manager.wazuh.json("check"), "wazuh_api");
    assert!(said.contains("is no SHA-256 fingerprint"), "{said}");
    assert_eq!(manager.asked(), 0);
    manager.run_the_fix();
    assert_eq!(manager.wazuh.json("check")["ok"], true);
}
