//! Whose the state is: nobody else reads it, and root leaves no file that locks the hook out.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::json::Json;
use crate::mongod;
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered};

/// `nobody` on Debian: anyone but root.
const WAZUH: u32 = 65534;

#[test]
fn state_is_for_its_owner_only() {
    let wazuh = spooling("modes");
    wazuh.call(numbered(0).to_string()).assert_yes();
    wazuh.call("[]").assert_no(7, &wazuh);
    for (path, metadata) in state_of(&wazuh) {
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{mode:o} of {}", path.display());
    }
}

/// As root: all that is written belongs to the owner of the state folder, and he can go on with it.
/// As anyone else: it is our own, since nobody can give files away.
#[test]
fn root_becomes_the_owner_of_the_state() {
    let wazuh = spooling("owner");
    let owner = if nix::unistd::geteuid().is_root() {
        give_to(WAZUH, &wazuh);
        WAZUH
    } else {
        nix::unistd::geteuid().as_raw()
    };
    wazuh.call(numbered(0).to_string()).assert_yes();
    wazuh.call("[]").assert_no(7, &wazuh);
    let status = wazuh.json("spool status");
    assert_eq!(status["destinations"][0]["pending"], 1, "{status}");
    assert_eq!(wazuh.run(&["spool", "drain"]).status.code(), Some(1));
    let large = numbered(1).with("full_log", Json::Text("x".repeat(2 << 20)));
    wazuh.call(large.to_string()).assert_yes();
    assert!(wazuh.run(&["spool", "dead", "list"]).status.success());

    let files = state_of(&wazuh);
    assert!(files.len() > 3, "{files:?}");
    for (path, metadata) in files {
        assert_eq!(metadata.uid(), owner, "{}", path.display());
    }
    let log = fs::metadata(wazuh.home.join("logs/integrations.log")).unwrap();
    assert_eq!(log.uid(), owner, "integrations.log");
}

/// The state folder does not exist yet: the one above it says whose it will be.
#[test]
fn the_folder_that_is_made_belongs_to_the_owner_of_the_one_above() {
    let wazuh = spooling("made");
    let owner = if nix::unistd::geteuid().is_root() {
        give_to(WAZUH, &wazuh);
        fs::remove_dir(wazuh.state()).unwrap();
        WAZUH
    } else {
        nix::unistd::geteuid().as_raw()
    };
    wazuh.call(numbered(0).to_string()).assert_yes();
    assert_eq!(fs::metadata(wazuh.state()).unwrap().uid(), owner);
}

/// The alert is read by whom Wazuh runs as, also where `serve` would take it: what he may not read,
/// root does not read for him.
#[test]
fn root_becomes_the_owner_before_it_reads_anything() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let wazuh = spooling("reads");
    give_to(WAZUH, &wazuh);
    let sockets = wazuh.home.join("queue/sockets");
    chown(sockets, Some(WAZUH), Some(WAZUH)).unwrap();
    let _service = Service::start(&wazuh);
    let arguments = |file: &str| [file, "", "", "debug", "", "10", "3"].map(String::from);
    let file = wazuh.alert_file(numbered(0).to_string().as_bytes());
    wazuh.invoke(&arguments(&file)).assert_yes();
    assert!(wazuh.log().contains("handed over"), "{}", wazuh.log());
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let outcome = wazuh.invoke(&arguments(&file));
    let line = outcome.assert_no(1, &wazuh);
    assert!(line.contains("cannot read"), "{line}");
}

/// A home without a server.
fn spooling(database: &str) -> Wazuh {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    Wazuh::with_uri(&dead, database)
}

/// Gives a user what belongs to `wazuh` in a real home, and the state folder.
fn give_to(user: u32, wazuh: &Wazuh) {
    fs::create_dir_all(wazuh.state()).unwrap();
    let theirs = [
        "etc",
        "etc/custom-mongo.toml",
        "logs",
        "logs/integrations.log",
        "var/db",
        "tmp",
    ];
    for path in theirs
        .map(|path| wazuh.home.join(path))
        .iter()
        .chain([&wazuh.state()])
    {
        chown(path, Some(user), Some(user)).unwrap();
    }
}

/// Everything in the state folder, itself included.
fn state_of(wazuh: &Wazuh) -> Vec<(PathBuf, fs::Metadata)> {
    let mut found = Vec::new();
    walk(&wazuh.state(), &mut found);
    found
}

fn walk(path: &Path, found: &mut Vec<(PathBuf, fs::Metadata)>) {
    let metadata = fs::metadata(path).expect("a file of the state");
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("a folder of the state") {
            walk(&entry.expect("an entry").path(), found);
        }
    }
    found.push((path.into(), metadata));
}
