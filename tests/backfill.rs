//! `backfill`: every alert on disk is in MongoDB after the fact, and the gap report proves it.

use std::path::{Path, PathBuf};

use mongodb::bson::doc;
use serde_json::Value;

use crate::analysisd::{archive, at, gzip, line};
use crate::mongod;
use crate::scratch;
use crate::wazuh::{Wazuh, alerts};

mod gaps;
mod resumed;
mod sources;

/// The lines of these alerts.
fn text(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

/// The alerts of that hour, one a minute: `hour` is written as in `2025-06-02T21`, `zone` as in
/// `+0200`.
fn hour(numbers: std::ops::Range<usize>, hour: &str, zone: &str) -> String {
    numbers
        .enumerate()
        .map(|(minute, number)| {
            let minute = minute % 60;
            at(number, &format!("{hour}:{minute:02}:07.123{zone}")) + "\n"
        })
        .collect()
}

/// A folder as `logs/alerts` is, with three days of ten alerts each, the first of them compressed.
fn three_days() -> PathBuf {
    let root = scratch::fresh("archive");
    let packed = gzip(hour(0..10, "2025-06-01T10", "+0000").as_bytes());
    archive(&root, "2025/Jun/ossec-alerts-01.json.gz", packed);
    let second = hour(10..20, "2025-06-02T10", "+0000");
    archive(&root, "2025/Jun/ossec-alerts-02.json", second);
    let third = hour(20..30, "2025-06-03T10", "+0000");
    archive(&root, "2025/Jun/ossec-alerts-03.json", third);
    root
}

/// What a run says, as JSON, and its exit status.
#[track_caller]
fn run(wazuh: &Wazuh, arguments: &[&str], paths: &[&Path]) -> (i32, Value) {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut all = vec!["backfill", "--format", "json"];
    all.extend(arguments);
    all.extend(paths.iter().map(String::as_str));
    let output = wazuh.run(&all);
    let status = output.status.code().expect("an exit");
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|why| panic!("no JSON ({why}): {output:?}"));
    (status, report)
}

/// The status, and the counts of these names.
#[track_caller]
fn assert_counts(run: &(i32, Value), status: i32, counts: &[(&str, u64)]) {
    assert_eq!(run.0, status, "{:#}", run.1);
    for (name, count) in counts {
        assert_eq!(run.1[name], *count, "{name} in {:#}", run.1);
    }
}

/// How many documents a database on the shared server has.
fn count(database: &str) -> u64 {
    let alerts = alerts(mongod::shared(), database);
    alerts.count_documents(doc! {}).run().expect("a count")
}
