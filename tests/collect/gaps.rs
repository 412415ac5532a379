//! After the inventory a run looks at the last hours of alerts.json: what live delivery lost is told,
//! or brought in.

use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Site;
use crate::mongod;
use crate::wazuh::alerts;

/// A day of alerts, one in each minute up to an hour ago, so long that the file is searched and not
/// read; then one in each second from 25 to 5 minutes ago.
fn write_log(site: &Site) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let day = (now - 86_400..now - 3600).step_by(60).map(|at| (at, 8000));
    let recent = (now - 1500..now - 300).map(|at| (at, 10));
    let mut text = String::new();
    for (at, long) in day.chain(recent) {
        let (time, log) = (rfc3339(at), "x".repeat(long));
        writeln!(
            text,
            r#"{{"timestamp":"{time}","rule":{{"level":5,"id":"5710"}},"agent":{{"id":"001"}},"manager":{{"name":"m"}},"id":"{at}.1","full_log":"{log}"}}"#
        )
        .unwrap();
    }
    let folder = site.wazuh.home.join("logs/alerts");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("alerts.json"), text).unwrap();
}

fn rfc3339(seconds: u64) -> String {
    let millis = i64::try_from(seconds * 1000).unwrap();
    let date = mongodb::bson::DateTime::from_millis(millis);
    date.try_to_rfc3339_string().unwrap().replace('Z', "+0000")
}

fn stored(site: &Site) -> u64 {
    let alerts = alerts(mongod::shared(), site.name);
    alerts
        .count_documents(mongodb::bson::doc! {})
        .run()
        .unwrap()
}

#[test]
fn what_the_last_hours_lack_is_told_and_on_request_brought_in() {
    let site = Site::usual("collect_gaps", "gap_window = \"30 min\"\n");
    write_log(&site);
    let expected = 1200;

    let output = site.run("");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(&format!(
            "MongoDB lacks {expected} of the {expected} alerts"
        )),
        "{said}"
    );
    assert_eq!(stored(&site), 0);

    site.settings("gap_window = \"30 min\"\ngap_check = \"repair\"\n");
    let report = site.collect(0, "");
    assert_eq!(
        report["gaps"]["missing"].as_u64(),
        Some(expected),
        "{report}"
    );
    assert_eq!(stored(&site), expected);
    let report = site.collect(0, "");
    assert_eq!(report["gaps"]["missing"].as_u64(), Some(0), "{report}");
}

#[test]
fn nobody_looks_where_it_is_off_or_where_there_is_no_log() {
    let site = Site::usual("collect_no_gaps", "");
    assert!(site.collect(0, "").get("gaps").is_none());
    site.settings("gap_check = \"off\"\n");
    write_log(&site);
    assert!(site.collect(0, "").get("gaps").is_none());
}
