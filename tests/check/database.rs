//! MongoDB, step by step: the first that fails is the only one that is told.

use std::iter;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::sync::Client;
use nix::sys::socket::{Backlog, listen};

use super::{assert_good, faults, good, note, only_of};
use crate::mongod::{self, Mongod, Setup};
use crate::proxy::{Mode, Proxy};
use crate::wazuh::{Wazuh, numbered};

pub(super) fn store(uri: &str, more: &str) -> Wazuh {
    Wazuh::with_store(&format!("uri = {uri:?}\ndatabase = \"checked\"\n{more}"))
}

#[test]
fn a_name_that_nobody_knows_is_the_only_fault() {
    let fault = only_of(&store("mongodb://nobody.invalid/", ""), "mongodb name");
    assert!(fault.detail.contains("nobody.invalid"), "{fault:?}");
    let fault = only_of(&store("mongodb+srv://nobody.invalid/", ""), "mongodb name");
    assert!(fault.detail.contains("DNS"), "{fault:?}");
    assert_good(&store(&mongod::shared().uri(), ""));
}

#[test]
fn a_server_that_is_not_started_is_named_by_its_port_and_start_mends_it() {
    let server = Mongod::replica_set();
    let wazuh = store(&server.uri(), "");
    server.stop();
    let fault = only_of(&wazuh, "mongodb tcp");
    assert!(fault.detail.contains(&server.port.to_string()), "{fault:?}");
    assert!(fault.fix.contains("start mongod"), "{fault:?}");
    wazuh.call(numbered(0).to_string()).assert_yes();
    let check = wazuh.json("check");
    super::only(&check, "mongodb tcp");
    assert!(
        note(&check, "spool").detail.contains("1 alerts wait"),
        "a consequence, no fault"
    );
    server.start();
    let fault = only_of(&wazuh, "spool");
    assert!(
        note(&wazuh.json("check"), "breaker")
            .detail
            .contains("open")
    );
    fault.run();
    assert_good(&wazuh);
}

/// What a firewall does: the connection is neither taken nor refused.
#[test]
fn a_port_that_says_nothing_is_told_from_one_that_refuses() {
    let port = mongod::free_port();
    let (closed, waiting) = closed_door(port);
    let wazuh = store(&format!("mongodb://127.0.0.1:{port}/"), "");
    let fault = only_of(&wazuh, "mongodb tcp");
    let named = format!("let this host reach port {port} of 127.0.0.1 (firewall, route)");
    assert!(fault.fix.starts_with(&named), "{fault:?}");
    drop((closed, waiting));
    let _open = Proxy::at(port, mongod::shared().port);
    let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
    assert_good(&store(&uri, ""));
}

/// Nobody accepts there, and those who wait leave no room for another.
fn closed_door(port: u16) -> (TcpListener, Vec<TcpStream>) {
    let door = TcpListener::bind(("127.0.0.1", port)).unwrap();
    // Again, for a shorter queue.
    listen(&door, Backlog::new(1).unwrap()).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let soon = Duration::from_millis(200);
    let knock = || TcpStream::connect_timeout(&address, soon);
    (door, iter::from_fn(|| knock().ok()).collect())
}

#[test]
fn a_server_that_is_frozen_or_hangs_up_is_told_within_seconds() {
    let proxy = Proxy::to(mongod::shared().port);
    let wazuh = store(&proxy.uri(), "");
    for mode in [Mode::Freeze, Mode::Refuse] {
        proxy.set(mode);
        let begun = std::time::Instant::now();
        let fault = only_of(&wazuh, "mongodb");
        assert!(fault.fix.contains("restart"), "{fault:?}");
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
    proxy.set(Mode::Pass);
    assert_good(&wazuh);
}

/// A standalone server that lets nobody in without a login, and its administrator.
fn with_logins() -> (Mongod, Client) {
    let server = Mongod::start_with(Setup {
        arguments: vec!["--auth".to_owned()],
        ..Setup::default()
    });
    let roles = doc! { "role": "root", "db": "admin" };
    server.admin(doc! { "createUser": "root", "pwd": "root", "roles": [roles] });
    let root = format!("mongodb://root:root@127.0.0.1:{}/", server.port);
    (server, Client::with_uri_str(root).unwrap())
}

fn run(client: &Client, command: Document) {
    client
        .database("checked")
        .run_command(command)
        .run()
        .unwrap();
}

#[test]
fn a_login_that_is_missing_or_wrong_and_a_role_that_is_too_small_are_told_apart() {
    let (server, root) = with_logins();
    let nothing = doc! { "createUser": "reader", "pwd": "hush", "roles": ["read"] };
    run(&root, nothing);
    let uri = |login: &str| {
        format!(
            "mongodb://{login}127.0.0.1:{}/?authSource=checked",
            server.port
        )
    };
    let fault = only_of(&store(&uri(""), ""), "mongodb login");
    assert!(
        fault.detail.contains("requires authentication"),
        "{fault:?}"
    );
    let wrong = store(&uri("reader:guessed@"), "");
    let fault = only_of(&wrong, "mongodb login");
    assert!(
        fault.fix.contains("authSource") && !format!("{fault:?}").contains("guessed"),
        "{fault:?}"
    );
    run(
        &root,
        doc! { "createUser": "nobody", "pwd": "hush", "roles": [] },
    );
    let nobody = store(&uri("nobody:hush@"), "");
    assert!(
        only_of(&nobody, "mongodb role")
            .fix
            .contains("mongodb-role.js")
    );
    let role = doc! { "grantRolesToUser": "nobody", "roles": ["readWrite"] };
    run(&root, role);
    assert_good(&nobody);
    let reader = store(&uri("reader:hush@"), "");
    let fault = only_of(&reader, "mongodb role");
    assert!(fault.fix.contains("mongodb-role.js"), "{fault:?}");
    // What that script grants; `tests/stores.rs` runs the script's own lists.
    run(
        &root,
        doc! { "grantRolesToUser": "reader", "roles": ["readWrite"] },
    );
    assert_good(&reader);
    assert!(good(&reader.json("check"), "mongodb role").contains("sufficient"));
}

/// Whoever may do all but what is needed for the alerts, or for the inventory.
#[test]
fn each_lacking_privilege_is_named() {
    let (server, root) = with_logins();
    let grant = |collection: &str, actions: &[&str]| doc! { "resource": { "db": "checked", "collection": collection }, "actions": actions };
    let own = ["insert", "find", "remove", "dropCollection"];
    let seen = grant("alerts", &["find", "listIndexes"]);
    let checked = grant("custom_mongo_check", &own);
    run(
        &root,
        doc! { "createRole": "narrow", "privileges": [seen, checked], "roles": [] },
    );
    run(
        &root,
        doc! { "createUser": "narrow", "pwd": "x", "roles": ["narrow"] },
    );
    let uri = format!(
        "mongodb://narrow:x@127.0.0.1:{}/?authSource=checked",
        server.port
    );
    let wazuh = store(&uri, "");
    assert!(
        only_of(&wazuh, "mongodb role")
            .detail
            .contains("insert into alerts")
    );
    let privileges = grant("alerts", &["insert"]);
    run(
        &root,
        doc! { "grantPrivilegesToRole": "narrow", "privileges": [privileges] },
    );
    assert_good(&wazuh);
    let api = "[wazuh_api]\nurl = \"http://127.0.0.1:1\"\nuser = \"x\"\npassword = \"x\"\n";
    wazuh.settings(api);
    let told = faults(&wazuh.json("check"));
    let role = told
        .iter()
        .find(|fault| fault.name == "mongodb role")
        .unwrap();
    assert!(
        role.detail.contains("insert agents, update agents"),
        "{role:?}"
    );
    let all = ["find", "insert", "update"];
    let kept = ["agents", "collect_state", "collect_runs", "leases"].map(|name| grant(name, &all));
    run(
        &root,
        doc! { "grantPrivilegesToRole": "narrow", "privileges": kept.to_vec() },
    );
    let told = faults(&wazuh.json("check"));
    assert!(
        told.iter().all(|fault| fault.name == "wazuh_api"),
        "{told:?}"
    );
}

/// A concern of the operator's own that the set does not know can never be satisfied.
#[test]
fn a_write_concern_that_cannot_be_satisfied_is_a_fault() {
    let uri = mongod::shared().uri();
    let fault = only_of(&store(&format!("{uri}&w=twoSites"), ""), "mongodb write");
    assert!(fault.detail.contains("twoSites"), "{fault:?}");
    assert_good(&store(&uri, ""));
}

#[test]
fn indexes_that_a_full_collection_lacks_are_named_and_migrate_builds_them() {
    let wazuh = Wazuh::new("check_indexes");
    let alerts = mongod::shared()
        .database("check_indexes")
        .collection("alerts");
    let stored = doc! { "_id": 1, "_schema": 1_i64 };
    alerts.insert_one(stored).run().unwrap();
    let fault = only_of(&wazuh, "mongodb indexes");
    assert!(fault.detail.contains("risk_time"), "{fault:?}");
    fault.run();
    assert_good(&wazuh);
    alerts.drop().run().unwrap();
    wazuh.call(numbered(0).to_string()).assert_yes();
    assert!(good(&wazuh.json("check"), "mongodb indexes").contains("all there"));
}
