//! The replica set: its name, the members that it speaks of, and whether it has a primary.

use std::time::Duration;

use mongodb::bson::doc;

use super::database::store;
use super::{assert_good, faults, note, only_of};
use crate::mongod::{self, Mongod, Setup};
use crate::proxy::Proxy;
use crate::wazuh::Wazuh;
use crate::webhook::until;

#[test]
fn one_member_that_is_away_is_a_note_and_the_set_works() {
    let server = mongod::shared();
    let away = mongod::free_port();
    let uri = format!(
        "mongodb://127.0.0.1:{},127.0.0.1:{away}/?replicaSet=rs0",
        server.port
    );
    let check = store(&uri, "").json("check");
    assert_eq!(faults(&check), [], "{check:#}");
    let said = note(&check, "mongodb tcp");
    assert!(said.detail.contains(&away.to_string()), "{said:?}");
    assert!(said.fix.contains("start mongod"), "{said:?}");
    let _started = Proxy::at(away, server.port);
    let check = store(&uri, "").json("check");
    assert!(!check.to_string().contains("start mongod"), "{check:#}");
}

#[test]
fn the_name_of_the_set_is_corrected() {
    let server = mongod::shared();
    let uri = server.uri();
    let wrong = uri.replace("rs0", "rs1");
    let fault = only_of(&store(&wrong, ""), "mongodb set");
    assert_eq!(fault.fix, "write replicaSet=rs0 into store.uri");
    assert_good(&store(&uri, ""));
    let alone = Mongod::standalone();
    let uri = alone.uri();
    let fault = only_of(&store(&format!("{uri}?replicaSet=rs0"), ""), "mongodb set");
    assert!(fault.fix.starts_with("remove replicaSet=rs0"), "{fault:?}");
    let wazuh = store(&uri, "");
    assert_good(&wazuh);
    assert!(
        note(&wazuh.json("check"), "mongodb set")
            .detail
            .contains("alone")
    );
}

/// Clients go where the set says that its members are: the most usual fault of all.
#[test]
fn a_member_that_this_host_cannot_reach_is_named() {
    let server = Mongod::start_with(Setup {
        arguments: ["--replSet", "named"].map(Into::into).into(),
        ..Setup::default()
    });
    let uri = format!("mongodb://127.0.0.1:{}/?replicaSet=named", server.port);
    let fault = only_of(&store(&uri, ""), "mongodb set");
    assert!(
        fault.detail.contains("initiated") && fault.fix.contains("rs.initiate"),
        "{fault:?}"
    );
    // A name that mongod knows to be itself, and that is not in the connection string.
    let own = format!("localhost:{}", server.port);
    let members = doc! { "_id": "named", "members": [{ "_id": 0, "host": &own }] };
    server.admin(doc! { "replSetInitiate": members });
    until("there is a primary", || is_primary(&server));
    assert_good(&store(&uri, ""));
    let mut config = server.admin(doc! { "replSetGetConfig": 1 });
    let mut config = config
        .remove("config")
        .unwrap()
        .as_document()
        .unwrap()
        .clone();
    let version = config.get_i32("version").unwrap();
    config.insert("version", version + 1);
    let port = mongod::free_port();
    let away = format!("localhost:{port}");
    let member = doc! { "_id": 1, "host": &away, "votes": 0, "priority": 0 };
    config.get_array_mut("members").unwrap().push(member.into());
    server.admin(doc! { "replSetReconfig": config, "force": true });
    let check = store(&uri, "").json("check");
    let said = note(&check, "mongodb member");
    assert!(said.detail.contains(&away), "{said:?}");
    let _reached = Proxy::at(port, server.port);
    let check = store(&uri, "").json("check");
    assert!(!check.to_string().contains("mongodb member"), "{check:#}");
}

/// A firewall, or a name that only the members know: the connection string leads to the server, which
/// sends every client elsewhere.
#[test]
fn a_primary_that_cannot_be_reached_under_its_own_name_is_a_fault() {
    let server = member();
    let door = Proxy::to(server.port);
    let name = format!("127.0.0.1:{}", door.port);
    let members = doc! { "_id": "named", "members": [{ "_id": 0, "host": &name }] };
    server.admin(doc! { "replSetInitiate": members });
    until("there is a primary", || is_primary(&server));
    let uri = format!("mongodb://127.0.0.1:{}/?replicaSet=named", server.port);
    let wazuh = store(&uri, "");
    assert_good(&wazuh);
    let port = door.port;
    door.close();
    let fault = only_of(&wazuh, "mongodb member");
    assert!(fault.detail.contains(&name), "{fault:?}");
    assert!(fault.fix.contains("firewall"), "{fault:?}");
    let _open = Proxy::at(port, server.port);
    assert_good(&wazuh);
}

/// The others still take it for the primary, and it takes connections: only a question shows it.
#[test]
fn a_primary_that_does_not_answer_is_a_fault_until_it_does() {
    let (server, other) = (member(), member());
    initiate_two(&server, &other, Duration::from_secs(60));
    let wazuh = store_of(&other, &server);
    server.freeze();
    let fault = only_of(&wazuh, "mongodb");
    server.thaw();
    assert!(fault.fix.contains("is there a primary"), "{fault:?}");
    until("it is the primary", || is_primary(&server));
    assert_good(&wazuh);
}

/// Two that vote need both: the one that is left can be read, and takes nothing.
#[test]
fn a_set_without_a_primary_is_mended_by_the_member_that_its_status_names() {
    let (server, other) = (member(), member());
    initiate_two(&server, &other, Duration::from_secs(1));
    let wazuh = store_of(&server, &other);
    assert_good(&wazuh);
    other.stop();
    until("the primary has stepped down", || !is_primary(&server));
    let fault = only_of(&wazuh, "mongodb set");
    assert!(fault.detail.contains("no primary"), "{fault:?}");
    assert!(
        fault.fix.contains("rs.status()") && fault.fix.contains("start them"),
        "{fault:?}"
    );
    // What `rs.status()` is made of.
    let status = server.admin(doc! { "replSetGetStatus": 1 });
    let members = status.get_array("members").unwrap().iter();
    let members = members.map(|one| one.as_document().unwrap());
    let down: Vec<&str> = members
        .filter(|one| matches!(one.get_f64("health"), Ok(0.0)))
        .map(|one| one.get_str("name").unwrap())
        .collect();
    assert_eq!(down, [format!("127.0.0.1:{}", other.port)]);
    other.start();
    until("there is a primary again", || is_primary(&server));
    assert_good(&wazuh);
}

/// A server for the set `named`, which somebody has yet to initiate.
fn member() -> Mongod {
    Mongod::start_with(Setup {
        arguments: ["--replSet", "named", "--oplogSize", "64"]
            .map(Into::into)
            .into(),
        ..Setup::default()
    })
}

/// The first becomes the primary; whoever is not heard of for `patience` is given up.
fn initiate_two(first: &Mongod, second: &Mongod, patience: Duration) {
    let name = |server: &Mongod| format!("127.0.0.1:{}", server.port);
    let members = [
        doc! { "_id": 0, "host": name(first) },
        doc! { "_id": 1, "host": name(second), "priority": 0 },
    ];
    let patience = i64::try_from(patience.as_millis()).unwrap();
    let settings = doc! { "electionTimeoutMillis": patience, "heartbeatIntervalMillis": 500 };
    let config = doc! { "_id": "named", "members": members.to_vec(), "settings": settings };
    first.admin(doc! { "replSetInitiate": config });
    until("there is a primary", || {
        // Sooner than by that patience; refused until it has read its configuration.
        let step_up = doc! { "replSetStepUp": 1 };
        first.database("admin").run_command(step_up).run().ok();
        is_primary(first)
    });
    until("the other one follows", || {
        let hello = second.admin(doc! { "hello": 1 });
        matches!(hello.get_bool("secondary"), Ok(true))
    });
}

/// A home whose settings name both members.
fn store_of(first: &Mongod, second: &Mongod) -> Wazuh {
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port, second.port);
    store(&format!("mongodb://{hosts}/?replicaSet=named"), "")
}

fn is_primary(server: &Mongod) -> bool {
    let hello = server.admin(doc! { "hello": 1 });
    matches!(hello.get_bool("isWritablePrimary"), Ok(true))
}
