//! What keeping alerts costs is told before it is chosen.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::manager_root::ManagerRoot;

/// The dated file of yesterday's alerts, by the clock of this host in UTC.
fn yesterday(host: &ManagerRoot) -> std::path::PathBuf {
    let output = Command::new("date")
        .args(["-u", "-d", "yesterday", "+%Y/%b/ossec-alerts-%d.json"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let name = String::from_utf8(output.stdout).unwrap();
    let path = host.path("logs/alerts").join(name.trim());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

#[test]
fn the_cost_of_each_choice_is_told_by_what_wazuh_wrote_here() {
    let host = ManagerRoot::new();
    let path = yesterday(&host);
    fs::write(&path, vec![b'x'; 10_000_000]).unwrap();
    // Of other days, and of other kinds.
    for other in [
        "ossec-alerts-00.json",
        "ossec-alerts-40.json",
        "ossec-alerts-00.log",
    ] {
        fs::write(path.with_file_name(other), "x").unwrap();
    }
    fs::write(path.with_extension("json.sum"), "x").unwrap();
    let said = host.ok(&["install", "--dry-run"]);
    assert!(said.contains("about 10.0 MB of alerts a day"), "{said}");
    assert!(
        said.contains("90d") && said.contains("alerts are kept for ever"),
        "{said}"
    );
    let nothing = ManagerRoot::new().ok(&["install", "--dry-run"]);
    assert!(nothing.contains("is not known yet"), "{nothing}");
}

#[test]
fn a_compressed_day_counts_as_what_it_holds() {
    let host = ManagerRoot::new();
    let path = yesterday(&host);
    let mut gzip = Command::new("gzip")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(path.with_extension("json.gz")).unwrap())
        .spawn()
        .expect("gzip");
    gzip.stdin
        .take()
        .unwrap()
        .write_all(&vec![b'x'; 5_000_000])
        .unwrap();
    assert!(gzip.wait().unwrap().success());
    let said = host.ok(&["install", "--dry-run"]);
    assert!(said.contains("about 5.0 MB of alerts a day"), "{said}");
}

#[test]
fn what_is_chosen_stands_in_the_settings() {
    let host = ManagerRoot::new();
    let said = host.ok(&["install", "--retention", "90d"]);
    assert!(!said.contains("kept for ever"), "{said}");
    let settings = fs::read_to_string(host.path("etc/custom-mongo.toml")).unwrap();
    for risk in ["low", "medium", "high", "critical"] {
        assert!(
            settings.contains(&format!("\n{risk} = \"90d\"\n")),
            "{settings}"
        );
    }
    let said = host.fails(2, &["install", "--retention", "2h"]);
    assert!(said.contains("less than a day"), "{said}");
}
