//! Golden pairs: `NAME.json` is an alert, `NAME.enriched.json` the document that it becomes, by the
//! settings in `golden.toml`. `UPDATE_GOLDEN=1 cargo test golden` writes them anew: read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::wazuh::Wazuh;

fn alerts(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_alert = |path: &PathBuf| {
        let stem = Path::new(path.file_stem().unwrap());
        path.extension().is_some_and(|kind| kind == "json") && stem.extension().is_none()
    };
    let mut alerts: Vec<_> = paths.filter(is_alert).collect();
    alerts.sort();
    alerts
}

#[test]
fn an_alert_becomes_its_golden_document() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden");
    let wazuh = Wazuh::with_store("uri = \"mongodb://unused.invalid/\"\n");
    wazuh.raw_settings(&fs::read_to_string(folder.join("golden.toml")).unwrap());
    let alerts = alerts(&folder);
    assert!(alerts.len() >= 8, "{alerts:?}");
    for alert in alerts {
        let output = wazuh.run(&["--test", alert.to_str().unwrap(), "--dry-run"]);
        assert!(output.status.success(), "{output:?}");
        let mut document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let received = document["_processed_at"].take();
        assert!(received["$date"].is_string(), "{received}");
        let golden = alert.with_extension("enriched.json");
        let text = format!("{document:#}\n");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, text).unwrap();
            continue;
        }
        let wanted = fs::read_to_string(&golden).unwrap();
        assert_eq!(text, wanted, "{} differs", golden.display());
    }
}
