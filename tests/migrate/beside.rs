//! The version before, beside this one. What 0.1.0 left is recorded: a segment of its spool, and the
//! documents that it wrote of the same alerts. `packaging/upgrade-test` runs two binaries together.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use flate2::read::GzDecoder;
use mongodb::bson::{Bson, Document};
use serde_json::Value;

use super::migrate;
use crate::mongod;
use crate::python_service::put;
use crate::wazuh::{ALERTS, Wazuh, stored};

/// Three alerts of the tests' sample (the first lines), as 0.1.0 left them while MongoDB was away.
const SEGMENT: &[u8] = include_bytes!("../fixtures/0.1.0/00000000000000000001.journal.gz");
/// The same three as 0.1.0 stored them, Extended JSON (canonical), one a line.
const DOCUMENTS: &str = include_str!("../fixtures/0.1.0/documents.jsonl");

fn recorded() -> Vec<Document> {
    let document = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let Ok(Bson::Document(document)) = Bson::try_from(value) else {
            panic!("{line}");
        };
        document
    };
    DOCUMENTS.lines().map(document).collect()
}

#[test]
fn a_spool_of_0_1_0_is_drained_to_the_documents_that_it_would_have_written() {
    let wazuh = Wazuh::new("beside_spool");
    let folder = wazuh.state().join("spool/0123456789abcdef");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(wazuh.state(), PermissionsExt::from_mode(0o700)).unwrap();
    let mut segment = Vec::new();
    GzDecoder::new(SEGMENT).read_to_end(&mut segment).unwrap();
    fs::write(folder.join("00000000000000000001.journal"), segment).unwrap();
    let drained = wazuh.run(&["spool", "drain", "--from", "0123456789abcdef"]);
    assert!(drained.status.success(), "{drained:?}");
    let now = stored("beside_spool");
    assert_eq!(now.len(), 3);
    for mut before in recorded() {
        let id = before.get_str("_id").unwrap();
        let now = now.iter().find(|now| now.get_str("_id").ok() == Some(id));
        let mut now = now.expect("the same identity").clone();
        // The time of receipt is that of each recording.
        before.remove("_processed_at");
        now.remove("_processed_at");
        assert_eq!(now, before);
    }
}

#[test]
fn documents_of_0_1_0_need_no_migration_and_their_alerts_come_once() {
    let wazuh = Wazuh::new("beside_documents");
    let database = mongod::shared().database("beside_documents");
    put(&database, "alerts", &recorded());
    for line in ALERTS.lines().take(3) {
        wazuh.call(line).assert_yes();
    }
    assert_eq!(stored("beside_documents"), recorded());
    let (status, report) = migrate(&wazuh, &[]);
    assert_eq!(
        (status, &report["alerts"]["found"]),
        (0, &0.into()),
        "{report:#}"
    );
    assert_eq!(stored("beside_documents"), recorded());
}
