//! The servers that people have: standalone or replica set, of an older version, with a login, with
//! a role that may do little, with TLS.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::sync::Client;

use crate::analysisd;
use crate::certificate::{certificate, signed};
use crate::mongod::{Mongod, Setup};
use crate::python_service;
use crate::scratch;
use crate::wazuh::{ALERTS, UNHURRIED, Wazuh, numbered, stored_on};

#[test]
fn a_standalone_server() {
    let server = Mongod::standalone();
    stores_all(
        &server,
        &Wazuh::with_uri(&server.uri(), "standalone"),
        "standalone",
    );
}

#[test]
fn the_features_of_version_5_0() {
    let server = Mongod::replica_set();
    server.admin(doc! { "setFeatureCompatibilityVersion": "5.0" });
    stores_all(&server, &Wazuh::with_uri(&server.uri(), "old"), "old");
}

#[test]
fn a_login_with_scram() {
    let folder = scratch::fresh("login");
    let (server, root) = with_logins();
    let roles = doc! { "role": "readWrite", "db": "login" };
    run(
        &root,
        "admin",
        doc! { "createUser": "wazuh", "pwd": "p@ss/w:rd", "roles": [roles] },
    );
    let password = folder.join("password");
    fs::write(&password, "p@ss/w:rd\n").unwrap();
    fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    let login = |rest: &str| {
        let uri = server.uri();
        format!("uri = {uri:?}\ndatabase = \"login\"\nusername = \"wazuh\"\n{rest}")
    };

    let wrong = Wazuh::with_store(&login("password = \"guessed\"\n"));
    wrong.call(numbered(0).to_string()).assert_yes();
    assert_eq!(wrong.pending(), 1, "not let in is not there: it waits");
    assert_eq!(wrong.json("check")["ok"], false);
    wrong.raw_settings(&format!("[store]\n{}", login("password = \"p@ss/w:rd\"\n")));
    assert_eq!(
        wrong.drain()["stored"],
        1,
        "credentials are no part of the destination"
    );

    let right = Wazuh::with_store(&login(&format!("password_file = {password:?}\n")));
    right.call(numbered(0).to_string()).assert_yes();
    right.call(numbered(1).to_string()).assert_yes();
    assert_eq!(right.pending(), 0);
    let uri = format!(
        "mongodb://wazuh:p%40ss%2Fw%3Ard@127.0.0.1:{}/?authSource=admin",
        server.port
    );
    let in_uri = Wazuh::with_uri(&uri, "login");
    in_uri.call(numbered(2).to_string()).assert_yes();
    assert_eq!(in_uri.pending(), 0);
    let check = in_uri.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
}

#[test]
fn tls_with_a_client_certificate() {
    let folder = scratch::fresh("tls");
    certificate(
        &folder,
        "ca",
        &["-addext", "basicConstraints=critical,CA:TRUE"],
    );
    let (ca, server_pem, client_pem) = (
        signed(&folder, "ca"),
        signed(&folder, "server"),
        signed(&folder, "client"),
    );
    let arguments =
        format!("--tlsMode requireTLS --tlsCertificateKeyFile {server_pem} --tlsCAFile {ca}");
    let options = format!("tls=true&tlsCAFile={ca}&tlsCertificateKeyFile={client_pem}&");
    let arguments = words(&arguments);
    let server = Mongod::start_with(Setup {
        arguments,
        options,
        ..Setup::default()
    });
    let store = |rest: &str| {
        let uri = format!("{}?tls=true", server.uri());
        Wazuh::with_store(&format!("uri = {uri:?}\ndatabase = \"tls\"\n{rest}"))
    };
    let good = store(&format!(
        "ca_file = {ca:?}\nclient_certificate_file = {client_pem:?}\n"
    ));
    stores_all(&server, &good, "tls");
    let check = good.json("check");
    assert_eq!(check["ok"], true, "{check:#}");

    // Neither a server that nobody vouches for nor one that wants to know us gets an alert.
    for rest in ["", &format!("ca_file = {ca:?}\n")] {
        let wary = store(rest);
        wary.call(numbered(7).to_string()).assert_yes();
        assert_eq!(wary.pending(), 1, "with {rest:?}");
        assert_eq!(wary.json("check")["ok"], false, "with {rest:?}");
    }
    assert_eq!(stored_on(&server, "tls").len(), ALERTS.lines().count());
}

#[test]
fn the_role_that_is_shipped_is_enough_and_not_too_much() {
    let (server, root) = with_logins();
    let privileges = shipped_privileges("narrow");
    run(
        &root,
        "narrow",
        doc! { "createRole": "hook", "privileges": privileges, "roles": [] },
    );
    run(
        &root,
        "narrow",
        doc! { "createUser": "wazuh", "pwd": "pw", "roles": ["hook"] },
    );
    let uri = format!(
        "mongodb://wazuh:pw@127.0.0.1:{}/?authSource=narrow",
        server.port
    );
    let wazuh = Wazuh::with_uri(&uri, "narrow");
    let check = wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    wazuh.call(numbered(0).to_string()).assert_yes();
    wazuh.call(numbered(0).to_string()).assert_yes();
    let said = wazuh.run_with_input(&["--test", "-"], numbered(1).to_string().as_bytes());
    assert!(said.status.success(), "{said:?}");
    let stored = root.database("narrow").collection::<Document>("alerts");
    assert_eq!(
        (
            stored.count_documents(doc! {}).run().unwrap(),
            wazuh.pending()
        ),
        (2, 0)
    );
    assert!(stored.list_index_names().run().unwrap().len() > 1);
    let hook = Client::with_uri_str(uri).unwrap();
    let own = hook.database("narrow").collection::<Document>("alerts");
    assert!(own.delete_many(doc! {}).run().is_err() && own.drop().run().is_err());
}

/// On a replica set alerts are seen as they are stored by a privilege of its own.
#[test]
fn the_role_that_is_shipped_lets_watch_see_what_a_replica_set_stores() {
    let key = scratch::fresh("key").join("key");
    fs::write(&key, "c2hhcmVkIGJ5IGFsbCBtZW1iZXJz").unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let (server, root) = administered(Setup {
        replica_set: true,
        arguments: vec!["--keyFile".into(), key.display().to_string()],
        ..Setup::default()
    });
    let privileges = shipped_privileges("seen");
    let role = doc! { "createRole": "hook", "privileges": privileges, "roles": [] };
    run(&root, "seen", role);
    let user = doc! { "createUser": "wazuh", "pwd": "pw", "roles": ["hook"] };
    run(&root, "seen", user);
    let options = "replicaSet=rs0&authSource=seen";
    let uri = format!("mongodb://wazuh:pw@127.0.0.1:{}/?{options}", server.port);
    let wazuh = Wazuh::with_uri(&uri, "seen");
    let is_noted = || wazuh.json("check").to_string().contains("mongodb stream");
    let stream =
        doc! { "resource": { "db": "seen", "collection": "alerts" }, "actions": ["changeStream"] };
    let revoke = doc! { "revokePrivilegesFromRole": "hook", "privileges": [stream] };
    run(&root, "seen", revoke);
    assert!(is_noted(), "the role of an older version");
    let shipped = doc! { "updateRole": "hook", "privileges": shipped_privileges("seen") };
    run(&root, "seen", shipped);
    assert!(!is_noted());
    let mut watch = wazuh.command(&["watch", "alerts"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let (to, shown) = channel();
    let reader = thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| to.send(line))
    });
    for number in 0..2 {
        wazuh.call(numbered(number).to_string()).assert_yes();
        let line = shown.recv_timeout(Duration::from_secs(30));
        if line.is_err() {
            watch.kill().unwrap();
        }
        assert!(line.is_ok(), "alert {number} is not shown");
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    drop(shown);
    reader.join().unwrap().ok();
}

#[test]
fn the_role_for_collect_keeps_an_inventory_and_touches_no_alert() {
    let (server, root) = with_logins();
    let (names, actions) = (shipped_list("inventory"), shipped_list("collecting"));
    let grant = |name: &&str| doc! { "resource": { "db": "kept", "collection": name }, "actions": actions.clone() };
    let privileges: Vec<Document> = names.iter().map(grant).collect();
    let role = doc! { "createRole": "collect", "privileges": privileges, "roles": [] };
    run(&root, "kept", role);
    run(
        &root,
        "kept",
        doc! { "createUser": "wazuh", "pwd": "pw", "roles": ["collect"] },
    );
    let uri = format!(
        "mongodb://wazuh:pw@127.0.0.1:{}/?authSource=kept",
        server.port
    );
    let collect = Client::with_uri_str(uri).unwrap();
    let place = |name: &str| collect.database("kept").collection::<Document>(name);
    for name in [
        "agents",
        "software_inventory",
        "os_info",
        "collect_state",
        "collect_runs",
        "leases",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for name in &names {
        let own = place(name);
        let index = mongodb::IndexModel::builder()
            .keys(doc! { "agent_id": 1 })
            .build();
        own.create_index(index).run().unwrap();
        own.insert_one(doc! { "_id": 1 }).run().unwrap();
        own.update_one(doc! { "_id": 1 }, doc! { "$set": { "_removed_at": 2 } })
            .run()
            .unwrap();
        assert!(
            own.find_one(doc! { "_removed_at": 2 })
                .run()
                .unwrap()
                .is_some()
        );
        assert!(own.delete_one(doc! { "_id": 1 }).run().is_err(), "{name}");
        assert!(own.drop().run().is_err(), "{name}");
    }
    let alerts = place("alerts");
    assert!(alerts.insert_one(doc! { "_id": 1 }).run().is_err());
    assert!(
        alerts
            .update_one(doc! {}, doc! { "$set": { "x": 1 } })
            .run()
            .is_err()
    );
}

#[test]
fn the_role_for_the_administrator_is_enough_to_migrate_and_to_erase() {
    let (server, root) = with_logins();
    let mut names = vec!["alerts"];
    names.extend(shipped_list("inventory"));
    names.extend(shipped_list("beside"));
    let actions = shipped_list("administering");
    let grant = |name: &&str| doc! { "resource": { "db": "old", "collection": name }, "actions": actions.clone() };
    let privileges: Vec<Document> = names.iter().map(grant).collect();
    let role = doc! { "createRole": "admin", "privileges": privileges, "roles": [] };
    run(&root, "old", role);
    let user = doc! { "createUser": "ana", "pwd": "pw", "roles": ["admin"] };
    run(&root, "old", user);
    let database = root.database("old");
    let alert = python_service::alert(&analysisd::line(1));
    python_service::put(&database, "alerts", &[alert]);
    let agent = python_service::agent("002", "a");
    python_service::put(&database, "agents", &[agent]);

    let uri = format!("mongodb://ana:pw@127.0.0.1:{}/?authSource=old", server.port);
    let wazuh = Wazuh::with_uri(&uri, "old");
    for arguments in [vec!["migrate"], vec!["erase", "--agent", "002"]] {
        let output = wazuh.run(&arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let stone = python_service::all(&database, "alerts").remove(0);
    assert!(stone.contains_key("_erased_at"), "{stone}");
    assert!(python_service::all(&database, "agents_python_service").is_empty());
}

/// The texts in quotes of a list in `integrations/mongodb-role.js`.
fn shipped_list(name: &str) -> Vec<&'static str> {
    let script = include_str!("../integrations/mongodb-role.js");
    let (_, list) = script
        .split_once(&format!("const {name} = ["))
        .expect("the list");
    let (list, _) = list.split_once("];").expect("the end of the list");
    list.split('"').skip(1).step_by(2).collect()
}

/// The privileges in `integrations/mongodb-role.js`: a collection, and actions in quotes.
fn shipped_privileges(database: &str) -> Vec<Document> {
    let script = include_str!("../integrations/mongodb-role.js");
    let quoted = |text: &'static str| text.split('"').nth(1).expect("a text in quotes");
    let privilege = |block: &'static str| {
        let (_, list) = block.split_once("actions: [").expect("a list of actions");
        let (list, _) = list.split_once(']').expect("the end of the list");
        let actions: Vec<_> = list.split('"').skip(1).step_by(2).collect();
        assert!(actions.len() >= 3, "{actions:?}");
        doc! { "resource": { "db": database, "collection": quoted(block) }, "actions": actions }
    };
    let blocks: Vec<_> = script
        .split("collection: ")
        .skip(1)
        .map(privilege)
        .collect();
    assert_eq!(blocks.len(), 2);
    blocks
}

/// A standalone server that lets nobody in without a login, and its administrator.
fn with_logins() -> (Mongod, Client) {
    administered(Setup {
        arguments: words("--auth"),
        ..Setup::default()
    })
}

/// A server that wants logins, and its administrator.
fn administered(setup: Setup) -> (Mongod, Client) {
    let server = Mongod::start_with(setup);
    let roles = doc! { "role": "root", "db": "admin" };
    server.admin(doc! { "createUser": "root", "pwd": "root", "roles": [roles] });
    let root = format!(
        "mongodb://root:root@127.0.0.1:{}/?directConnection=true",
        server.port
    );
    (
        server,
        Client::with_uri_str(root).expect("the administrator"),
    )
}

fn run(client: &Client, database: &str, command: Document) {
    client
        .database(database)
        .run_command(command)
        .run()
        .expect("a command of the administrator");
}

/// All fixtures, twice: each is there once, and nothing waits.
fn stores_all(server: &Mongod, wazuh: &Wazuh, database: &str) {
    wazuh.settings(UNHURRIED);
    for alert in ALERTS.lines().chain(ALERTS.lines().take(3)) {
        wazuh.call(alert).assert_yes();
    }
    assert_eq!(wazuh.pending(), 0);
    assert_eq!(stored_on(server, database).len(), ALERTS.lines().count());
}

fn words(arguments: &str) -> Vec<String> {
    arguments.split(' ').map(Into::into).collect()
}
