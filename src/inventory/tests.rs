//! Identity, content, nesting and types of rows, without a server and without a database.

use serde_json::{Value, json};

use super::*;
use crate::alert::bson::{elements, find as field, tag};

fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        other => panic!("no row: {other}"),
    }
}

fn owner(site: &str, agent: &str) -> Owner {
    Owner {
        site: site.to_owned(),
        agent: agent.to_owned(),
        node: None,
    }
}

fn made(kind: &str, value: Value) -> Item {
    let (kind, owner, row) = (
        find(kind).expect("a kind"),
        owner("default", "004"),
        row(value),
    );
    let id = identity(kind, &owner, &row);
    item(kind, &owner, id, row, 1_000)
}

#[test]
fn every_name_and_every_collection_is_there_once() {
    let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let mut collections: Vec<_> = KINDS.iter().map(|kind| kind.collection).collect();
    for all in [&mut names, &mut collections] {
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), KINDS.len());
    }
    for kind in &KINDS {
        if let Probe::With(other) = kind.probe {
            assert!(matches!(find(other).expect(other).probe, Probe::Newest(_)));
        }
    }
}

#[test]
fn wazuhs_own_words_are_understood_and_unknown_ones_are_not() {
    let named =
        |word| parse(word).map(|kinds| kinds.iter().map(|kind| kind.name).collect::<Vec<_>>());
    assert_eq!(named("packages"), Ok(vec!["software"]));
    assert_eq!(named(" OS "), Ok(vec!["osinfo"]));
    assert_eq!(named("software_inventory"), Ok(vec!["software"]));
    assert_eq!(named("sca"), Ok(vec!["sca_policies", "sca_checks"]));
    assert_eq!(named("agents"), Ok(vec![]));
    assert!(named("hotfix").unwrap_err().contains("`hotfixes`"));
}

#[test]
fn a_row_is_the_same_by_its_key_within_its_site_kind_and_agent_only() {
    let (software, file) = (find("software").unwrap(), find("syscheck").unwrap());
    let package = row(
        json!({"name": "a", "version": "1", "architecture": "x", "format": "deb", "location": " "}),
    );
    let of =
        |kind: &Kind, site: &str, agent: &str, row: &Row| identity(kind, &owner(site, agent), row);
    let id = of(software, "default", "004", &package);
    let mut richer = package.clone();
    richer.insert("size".into(), 5.into());
    assert_eq!(of(software, "default", "004", &richer), id);
    for (name, value) in [("version", "2"), ("architecture", "y"), ("location", "")] {
        let mut other = package.clone();
        other.insert(name.into(), value.into());
        assert_ne!(of(software, "default", "004", &other), id, "{name}");
    }
    assert_ne!(of(software, "paris", "004", &package), id);
    assert_ne!(of(software, "default", "005", &package), id);
    assert_ne!(of(file, "default", "004", &package), id);
    let on = |node: &str| Owner {
        node: Some(node.to_owned()),
        ..owner("default", "000")
    };
    assert_ne!(
        identity(software, &on("one"), &package),
        identity(software, &on("two"), &package)
    );
}

#[test]
fn flat_and_nested_names_are_the_same_row() {
    let flat = made(
        "syscheck",
        json!({"file": "HKLM", "type": "registry_value", "value.name": "V", "value.type": "REG_SZ"}),
    );
    let nested = made(
        "syscheck",
        json!({"type": "registry_value", "value": {"type": "REG_SZ", "name": "V"}, "file": "HKLM"}),
    );
    assert_eq!(flat, nested);
}

#[test]
fn a_scalar_in_the_way_of_a_branch_loses_nothing() {
    let odd = made(
        "services",
        json!({"process": "svchost", "process.args": "-k"}),
    );
    assert_eq!(
        field(&odd.bson, &["process"]).unwrap().as_str(),
        Some("svchost")
    );
    assert_eq!(
        field(&odd.bson, &["process_args"]).unwrap().as_str(),
        Some("-k")
    );
}

#[test]
fn what_always_moves_is_stored_and_makes_no_version() {
    let at = |time: &str, free: i64, serial: &str| {
        made(
            "hardware",
            json!({"scan": {"time": time, "id": 0}, "ram": {"free": free, "total": 9}, "board_serial": serial}),
        )
    };
    let one = at("2026-01-01T00:00:00+00:00", 1, "s");
    assert_eq!(one.hash, at("2026-01-02T00:00:00+00:00", 2, "s").hash);
    assert_ne!(one.hash, at("2026-01-01T00:00:00+00:00", 1, "t").hash);
    assert_eq!(
        field(&one.bson, &["ram", "free"]).unwrap().as_i64(),
        Some(1)
    );
}

#[test]
fn nesting_is_part_of_the_content() {
    let one = made("services", json!({"a": {"b": 1}, "c": 2}));
    let other = made("services", json!({"a": {"b": 1, "c": 2}}));
    assert_ne!(one.hash, other.hash);
    assert_ne!(
        made("services", json!({"a": [1, 2]})).hash,
        made("services", json!({"a": [2, 1]})).hash
    );
}

#[test]
fn values_are_typed_and_what_cannot_be_parsed_stays() {
    let file = made(
        "syscheck",
        json!({"file": "/a", "mtime": "2026-09-15T00:00:00+00:00", "date": "soon", "size": "12", "inode": null}),
    );
    let of = |name: &str| field(&file.bson, &[name]).unwrap();
    assert_eq!(of("mtime").tag, tag::DATE);
    assert_eq!(of("date").as_str(), Some("soon"));
    assert_eq!(of("size").as_i64(), Some(12));
    assert_eq!(of("inode").tag, tag::NULL);
    assert_eq!(of("path").as_str(), Some("/a"));
    let big = made("services", json!({"a": u64::MAX, "b": 1.5, "c": -1}));
    assert_eq!(
        field(&big.bson, &["a"]).unwrap().as_str(),
        Some("18446744073709551615")
    );
    assert_eq!(field(&big.bson, &["b"]).unwrap().as_f64(), Some(1.5));
    assert_eq!(field(&big.bson, &["c"]).unwrap().as_i64(), Some(-1));
}

#[test]
fn fields_that_bear_our_names_are_kept_apart() {
    let odd = made(
        "services",
        json!({"_removed_at": "never", "log_type": "x", "agent_id": "9", "n\u{0}l": 1}),
    );
    assert_eq!(
        field(&odd.bson, &["_original", "_removed_at"])
            .unwrap()
            .as_str(),
        Some("never")
    );
    assert_eq!(
        field(&odd.bson, &["agent_id"]).unwrap().as_str(),
        Some("004")
    );
    assert_eq!(
        elements(&odd.bson)
            .filter(|one| one.name == b"log_type")
            .count(),
        1
    );
    assert!(field(&odd.bson, &["n\u{fffd}l"]).is_some());
}

#[test]
fn the_sum_of_a_list_does_not_depend_on_its_order() {
    let all: Vec<Item> = (0..5)
        .map(|pid| made("processes", json!({"pid": pid})))
        .collect();
    let forward = digest(all.iter().map(|item| &item.hash));
    assert_eq!(forward, digest(all.iter().rev().map(|item| &item.hash)));
    assert_ne!(forward, digest(all.iter().skip(1).map(|item| &item.hash)));
}

#[test]
fn an_agent_with_an_id_that_is_none_is_no_agent() {
    let agent = |id: &str| Agent::of(&row(json!({"id": id, "status": "active"})));
    assert_eq!(agent("007").unwrap().status, Status::Active);
    for id in ["", "../../x", "1?x=1", "0000000000000000000000"] {
        assert_eq!(agent(id), None, "{id}");
    }
}
