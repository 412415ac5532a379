//! Answers in the shapes of a real server, replayed: nested and dotted names, numbers beyond 32 bits,
//! one package name many times, the registry, times that are none.

use std::path::Path;

use mongodb::bson::{Bson, Document, doc};

use super::oracle::Oracle;
use super::{ALL_KINDS, Site, quick};
use crate::fake::Options;

fn replay(name: &'static str) -> Site {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wazuh-api");
    let options = Options {
        recorded: Some(folder),
        ..quick()
    };
    Site::new(name, options, ALL_KINDS)
}

#[test]
fn recorded_answers_are_stored_as_a_simple_reading_gives_them() {
    let site = replay("collect_recorded");
    let report = site.collect(0, "");
    assert_eq!(report["outcome"], "complete", "{report}");
    let mut oracle = Oracle::default();
    oracle.look(&site.state());
    oracle.check(&site);
    let before = site.inventory();
    site.collect(0, "--full");
    assert_eq!(site.inventory(), before);
}

#[test]
fn names_are_nested_values_are_typed_and_what_cannot_be_parsed_stays() {
    let site = replay("collect_typed");
    site.collect(0, "");
    let one = |collection: &str, filter: Document| {
        let mut found = site.documents(collection, filter);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let service = one("services", doc! { "service.id": "a.service" });
    let at = |document: &Document, outer: &str, inner: &str| {
        document.get_document(outer).unwrap().get(inner).cloned()
    };
    assert_eq!(at(&service, "process", "pid"), Some(Bson::Int64(0)));
    assert_eq!(
        at(&service, "file", "path"),
        Some("/usr/lib/systemd/system/a.service".into())
    );
    let user = one("users", doc! { "user.name": "alone" });
    assert!(!user.contains_key("user.name"), "{user}");
    let file = one("syscheck", doc! { "path": "/etc/ünïcode ☃.txt" });
    assert_eq!(file.get("mtime"), Some(&Bson::Null));
    assert_eq!(file.get_i64("inode").unwrap(), 8_589_934_592);
    assert!(file.get_datetime("date").is_ok());
    let packages = site.current("software_inventory", "004");
    assert_eq!(
        packages.len(),
        5,
        "the same name twice is two packages: {packages:?}"
    );
    let odd = one("software_inventory", doc! { "install_time": "20231105" });
    assert_eq!(odd.get_i64("size").unwrap(), 9_007_199_254_740_991);
    let registry = site.documents("syscheck", doc! { "type": "registry_value" });
    assert_eq!(registry.len(), 2, "{registry:?}");
    assert!(
        registry
            .iter()
            .all(|value| at(value, "value", "name") == Some("Version".into()))
    );
    let manager = one("agents", doc! { "agent_id": "000" });
    assert_eq!(
        manager
            .get_datetime("lastKeepAlive")
            .unwrap()
            .timestamp_millis(),
        253_402_300_799_000
    );
}
