//! The hook's fast lane: an alert handed over to `serve` is durable, ends with the status that the
//! hook would have found alone, and whatever is wrong with `serve` loses and delays nothing.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mongodb::bson::DateTime;
use nix::sys::signal::Signal;

use crate::call::Outcome;
use crate::json::Json;
use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::{UNHURRIED, Wazuh, numbered, only, stored, stored_on, text};
use crate::webhook::until;

mod killed;
mod peers;
mod settings;
mod silent;

fn socket(wazuh: &Wazuh) -> PathBuf {
    wazuh.home.join("queue/sockets/custom-mongo")
}

/// A call with debug on, so that the log says which way the alert went.
fn call(wazuh: &Wazuh, alert: impl AsRef<[u8]>) -> Outcome {
    let file = wazuh.alert_file(alert.as_ref());
    wazuh.invoke(&[file.as_str(), "", "", "debug", "", "10", "3"])
}

fn handed_over(wazuh: &Wazuh) -> usize {
    wazuh.log().matches("handed over to serve").count()
}

#[test]
fn with_serve_an_alert_is_handed_over_and_stored_like_any_other() {
    let wazuh = Wazuh::new("relay_up");
    let before = DateTime::now();
    let service = Service::start(&wazuh);
    let mode = fs::symlink_metadata(socket(&wazuh)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    for number in 0..10 {
        call(&wazuh, numbered(number).to_string()).assert_yes();
    }
    assert_eq!(handed_over(&wazuh), 10, "{}", wazuh.log());
    until("all are in MongoDB", || stored("relay_up").len() == 10);
    let document = stored("relay_up").remove(0);
    assert_eq!(text(&document, "_source"), "hook");
    assert!(document.get_datetime("_processed_at").unwrap() >= &before);
    // The same alert alone is the same document.
    service.stop();
    assert!(!socket(&wazuh).exists());
    call(&wazuh, numbered(3).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 10);
    assert_eq!(stored("relay_up").len(), 10);
}

#[test]
fn options_and_large_alerts_go_the_same_way() {
    let wazuh = Wazuh::new("relay_large");
    let _service = Service::start(&wazuh);
    let large = numbered(0).with("full_log", Json::Text("y".repeat(3 << 20)));
    let file = wazuh.alert_file(large.to_string().as_bytes());
    let options = wazuh.home.join("tmp/a.options");
    fs::write(&options, r#"{"owner":"soc"}"#).unwrap();
    let options = options.display().to_string();
    wazuh
        .invoke(&[file.as_str(), "", "", "debug", &options, "10", "3"])
        .assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
    until("it is in MongoDB", || stored("relay_large").len() == 1);
    let document = only("relay_large");
    assert_eq!(text(&document, "full_log").len(), 3 << 20);
    let options = document.get_document("_options").unwrap();
    assert_eq!(text(options, "owner"), "soc");
}

#[test]
fn while_mongodb_is_away_the_handover_is_as_quick_and_nothing_is_lost() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "relay_away");
    // By itself a call would wait for MongoDB for most of its ten seconds.
    wazuh.settings("[delivery]\ndeadline = \"30 s\"\nrelay_timeout = \"3 s\"\n");
    let _service = Service::start(&wazuh);
    server.stop();
    for number in 0..10 {
        let outcome = call(&wazuh, numbered(number).to_string());
        outcome.assert_yes();
        assert!(outcome.took < Duration::from_secs(3), "{outcome:?}");
    }
    assert_eq!(handed_over(&wazuh), 10);
    let status = wazuh.json("spool status");
    let name = status["destinations"][0]["name"].as_str().unwrap();
    assert!(name.contains("database relay_away"), "{name}");
    server.start();
    until("all are in MongoDB", || {
        stored_on(&server, "relay_away").len() == 10
    });
}

#[test]
fn the_status_is_the_one_that_the_hook_would_find_alone() {
    let wazuh = Wazuh::new("relay_status");
    wazuh.settings("[filter]\nexclude_rule_id = \"1\"\n");
    let service = Service::start(&wazuh);
    let cut = call(&wazuh, "{\"id\":");
    let with_serve = cut.assert_no(7, &wazuh).to_owned();
    let dead = wazuh.json("spool dead list");
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    call(&wazuh, "").assert_no(7, &wazuh);
    let dead = wazuh.json("spool dead list");
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    let unwanted = r#"{"id":"1.2","rule":{"id":"1"}}"#;
    call(&wazuh, unwanted).assert_yes();
    assert!(wazuh.log().contains("not stored, "), "{}", wazuh.log());
    service.stop();
    let alone = call(&wazuh, "{\"id\":").assert_no(7, &wazuh).to_owned();
    let words = |line: &str| line.split("dead letter").next().unwrap().to_owned();
    assert_eq!(words(&with_serve), words(&alone));
    call(&wazuh, unwanted).assert_yes();
    assert!(stored("relay_status").is_empty());
}

#[test]
fn a_socket_that_a_killed_serve_has_left_is_in_nobodys_way() {
    let wazuh = Wazuh::new("relay_stale");
    drop(Service::start(&wazuh));
    assert!(
        fs::symlink_metadata(socket(&wazuh))
            .unwrap()
            .file_type()
            .is_socket()
    );
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!((handed_over(&wazuh), stored("relay_stale").len()), (0, 1));
    let _service = Service::start(&wazuh);
    call(&wazuh, numbered(1).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1);
}

#[test]
fn a_second_serve_is_refused_and_the_first_goes_on() {
    let wazuh = Wazuh::new("relay_second");
    let _service = Service::start(&wazuh);
    let address = format!("127.0.0.1:{}", mongod::free_port());
    let second = wazuh.run(&["serve", "--listen", &address]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another custom-mongo serve"), "{said}");
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let wazuh = Wazuh::new("relay_file");
    fs::write(socket(&wazuh), "a file of somebody").unwrap();
    call(&wazuh, numbered(0).to_string()).assert_yes();
    let address = format!("127.0.0.1:{}", mongod::free_port());
    let refused = wazuh.run(&["serve", "--listen", &address]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(fs::read(socket(&wazuh)).unwrap(), b"a file of somebody");
}

#[test]
fn a_frozen_serve_costs_one_call_its_limit_and_the_next_ones_nothing() {
    let wazuh = Wazuh::new("relay_frozen");
    wazuh.settings("[delivery]\nrelay_timeout = \"500 ms\"\n");
    let service = Service::start(&wazuh);
    call(&wazuh, numbered(0).to_string()).assert_yes();
    service.signal(Signal::SIGSTOP);
    let begun = Instant::now();
    call(&wazuh, numbered(1).to_string()).assert_yes();
    let first = begun.elapsed();
    assert!(first >= Duration::from_millis(500), "{first:?}");
    assert!(first < Duration::from_secs(6), "{first:?}");
    for number in 2..5 {
        let outcome = call(&wazuh, numbered(number).to_string());
        outcome.assert_yes();
        assert!(outcome.took < first, "{:?} and {first:?}", outcome.took);
    }
    assert_eq!(handed_over(&wazuh), 1);
    service.signal(Signal::SIGCONT);
    until("all are in MongoDB", || stored("relay_frozen").len() == 5);
    until("serve has taken the frame that was left", || {
        wazuh.pending() == 0
    });
    assert_eq!(stored("relay_frozen").len(), 5);
}

#[test]
fn a_hook_with_other_settings_goes_its_own_way() {
    let mut wazuh = Wazuh::new("relay_ours");
    let _service = Service::start(&wazuh);
    wazuh.environment.push(("MONGO_DB", "relay_theirs".into()));
    call(&wazuh, numbered(0).to_string()).assert_yes();
    wazuh.environment.clear();
    wazuh
        .environment
        .push(("CUSTOM_MONGO_SITE", "elsewhere".into()));
    call(&wazuh, numbered(1).to_string()).assert_yes();
    wazuh.environment.clear();
    wazuh
        .environment
        .push(("CUSTOM_MONGO_REDACT__KEYS", "location".into()));
    call(&wazuh, numbered(2).to_string()).assert_yes();
    wazuh.environment.clear();
    assert_eq!(handed_over(&wazuh), 0, "{}", wazuh.log());
    assert_eq!(stored("relay_theirs").len(), 1);
    assert_eq!(stored("relay_ours").len(), 2);
    call(&wazuh, numbered(3).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1);
}

#[test]
fn mode_direct_and_mode_spool_leave_nobody_at_the_socket() {
    for mode in ["direct", "spool"] {
        let wazuh = Wazuh::new(&format!("relay_mode_{mode}"));
        wazuh.settings(&format!("[delivery]\nmode = \"{mode}\"\n"));
        let _service = Service::start(&wazuh);
        assert!(!socket(&wazuh).exists(), "{mode}");
        call(&wazuh, numbered(0).to_string()).assert_yes();
        assert_eq!(handed_over(&wazuh), 0, "{mode}");
    }
}

/// A hook does not read the settings for that: it shows which files it would read, and as they are.
#[test]
fn settings_that_were_changed_since_the_start_send_the_hook_its_own_way() {
    let wazuh = Wazuh::new("relay_changed");
    let service = Service::start(&wazuh);
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
    wazuh.settings("[enrich.retention]\nlow = \"7 d\"\n");
    call(&wazuh, numbered(1).to_string()).assert_yes();
    // What takes the place of a file, and a `.env` that appears, say the same.
    let file = wazuh.home.join("etc/custom-mongo.toml");
    fs::copy(&file, file.with_extension("new")).unwrap();
    fs::rename(file.with_extension("new"), &file).unwrap();
    let env = file.with_file_name(".env");
    fs::write(&env, "CUSTOM_MONGO_SITE=elsewhere\n").unwrap();
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).unwrap();
    call(&wazuh, numbered(2).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
    drop(service);
    let _service = Service::start(&wazuh);
    call(&wazuh, numbered(3).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 2, "{}", wazuh.log());
}

/// Of two services that could take it, the settings decide: the call finds the one that they name.
#[test]
fn a_socket_in_another_place_is_found_by_the_settings() {
    let wazuh = Wazuh::new("relay_elsewhere");
    let place = wazuh.home.join("var/run/custom-mongo.socket");
    wazuh.settings(&format!(
        "[serve]\nrelay_socket = \"{}\"\n",
        place.display()
    ));
    let _service = Service::start(&wazuh);
    assert!(place.exists() && !socket(&wazuh).exists());
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
    // Of another kind, as Wazuh's own are: nobody can speak there.
    let _other = UnixDatagram::bind(socket(&wazuh)).unwrap();
    call(&wazuh, numbered(1).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 2, "{}", wazuh.log());
}

/// The address comes from a file that only the settings name: nobody may go by the settings' file.
#[test]
fn an_address_from_a_file_is_read_by_the_hook_too() {
    let wazuh = Wazuh::new("relay_uri_file");
    let file = wazuh.home.join("etc/uri");
    let write = |database: &str| {
        let uri = mongod::shared().uri();
        fs::write(&file, &uri).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let store = format!(
            "[store]\nuri_file = \"{}\"\ndatabase = \"{database}\"\n",
            file.display()
        );
        fs::write(wazuh.home.join("etc/custom-mongo.toml"), store).unwrap();
    };
    write("relay_uri_file");
    let _service = Service::start(&wazuh);
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
    fs::write(&file, "mongodb://127.0.0.1:9/").unwrap();
    call(&wazuh, numbered(1).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
}

/// As with a file: what a command says may be another address the next time.
#[test]
fn an_address_from_a_command_is_asked_for_by_the_hook_too() {
    let uri = mongod::shared().uri();
    let wazuh =
        Wazuh::with_store("uri_command = \"cat etc/uri\"\ndatabase = \"relay_uri_command\"\n");
    wazuh.settings(UNHURRIED);
    let file = wazuh.home.join("etc/uri");
    fs::write(&file, "mongodb://127.0.0.1:9/").unwrap();
    let _service = Service::start(&wazuh);
    fs::write(&file, uri).unwrap();
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 0, "{}", wazuh.log());
    assert_eq!(stored("relay_uri_command").len(), 1);
}

/// Neither a peer that closes, nor one that answers nonsense, nor one that says nothing.
#[test]
fn a_peer_that_gives_no_clear_answer_is_no_answer() {
    let wazuh = Wazuh::new("relay_unclear");
    let listener = UnixListener::bind(socket(&wazuh)).unwrap();
    let peer = std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        let (mut nonsense, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut nonsense, &[9; 9000]).unwrap();
        let silent = listener.accept().unwrap();
        (silent, listener)
    });
    for number in 0..3 {
        call(&wazuh, numbered(number).to_string()).assert_yes();
    }
    drop(peer.join().unwrap());
    assert_eq!((handed_over(&wazuh), stored("relay_unclear").len()), (0, 3));
}

#[test]
fn a_full_spool_sends_the_hook_its_own_way() {
    let wazuh = Wazuh::new("relay_full");
    wazuh.settings("[spool]\nmax_size = \"1 KiB\"\n");
    let _service = Service::start(&wazuh);
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!((handed_over(&wazuh), stored("relay_full").len()), (0, 1));
}

/// Sends what is no frame, and reads what comes.
const STRANGER: &str = "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
try:
    s.sendall(b'x' * 108)
    print(len(s.recv(100)))
except (BrokenPipeError, ConnectionResetError):
    print(0)";

fn stranger(socket: &Path, user: Option<(u32, u32)>) -> String {
    let mut command = Command::new("python3");
    command.args(["-c", STRANGER]).arg(socket);
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The mode keeps strangers out, and if somebody has changed it, the peer's credentials do.
#[test]
fn another_users_process_is_not_heard() {
    let wazuh = Wazuh::new("relay_peer");
    let mut service = Service::start(&wazuh);
    let path = socket(&wazuh);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(
        stranger(&path, None),
        "4",
        "ours is told that it speaks another language"
    );
    if nix::unistd::geteuid().is_root() {
        assert_eq!(stranger(&path, Some((65_533, 65_533))), "0");
        service.line_with("user 65533 may not");
        assert_eq!(stranger(&path, Some((65_533, 0))), "4", "one of our group");
    }
}

#[test]
fn a_peer_that_stops_in_the_middle_is_cut() {
    let wazuh = Wazuh::new("relay_slow");
    let _service = Service::start(&wazuh);
    let mut slow = UnixStream::connect(socket(&wazuh)).unwrap();
    std::io::Write::write_all(&mut slow, b"cmrel").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1);
}
