//! A backup as `docs/backup-and-restore.md` describes it: the files of a locked member, copied; put
//! back, it lacks what came since, and the gap report brings exactly that back from Wazuh's files.

use std::path::Path;
use std::process::Command;

use mongodb::bson::doc;
use serde_json::Value;

use crate::analysisd::{archive, line};
use crate::mongod::Mongod;
use crate::scratch;
use crate::wazuh::{Wazuh, stored_on};

#[track_caller]
fn sh(script: &str, from: &Path, to: &Path) {
    let status = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(from)
        .arg(to)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{script}");
}

#[test]
fn what_a_restored_backup_lacks_comes_back_from_wazuhs_own_files() {
    let mongod = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&mongod.uri(), "restored");
    let root = scratch::fresh("archive");
    let day = |numbers: std::ops::Range<usize>| -> String {
        numbers.map(|number| line(number) + "\n").collect()
    };
    archive(&root, "2025/Jun/ossec-alerts-02.json", day(0..40));
    let path = root.display().to_string();
    let run = |arguments: &[&str]| -> (i32, Value) {
        let all = [arguments, &[&path, "--format", "json"]].concat();
        let output = wazuh.run(&all);
        let status = output.status.code().unwrap();
        (status, serde_json::from_slice(&output.stdout).unwrap())
    };
    assert_eq!(run(&["backfill"]).1["stored"], 40);

    let copy = scratch::fresh("backup");
    mongod.admin(doc! { "fsync": 1, "lock": true });
    sh("cp -r \"$0\"/. \"$1\"", mongod.folder(), &copy);
    mongod.admin(doc! { "fsyncUnlock": 1 });

    archive(&root, "2025/Jun/ossec-alerts-02.json", day(0..90));
    assert_eq!(run(&["backfill", "--restart"]).1["stored"], 50);
    mongod.stop();
    let put_back =
        "find \"$1\" -mindepth 1 -delete && cp -r \"$0\"/. \"$1\" && rm -f \"$1\"/mongod.lock";
    sh(put_back, &copy, mongod.folder());
    mongod.start();
    assert_eq!(stored_on(&mongod, "restored").len(), 40);

    let (status, report) = run(&["backfill", "--check"]);
    assert_eq!((status, &report["missing"]), (3, &50.into()), "{report:#}");
    let (status, report) = run(&["backfill", "--repair"]);
    assert_eq!((status, &report["repaired"]), (0, &50.into()), "{report:#}");
    assert_eq!(stored_on(&mongod, "restored").len(), 90);
}
