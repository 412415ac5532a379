//! What is read: files, folders, a Wazuh home, plain and compressed, of a span of time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mongodb::bson::DateTime;

use super::{assert_counts, count, hour, run, text, three_days};
use crate::analysisd::{Log, archive, at, gzip, line};
use crate::mongod;
use crate::outages::{Kept, assert_once};
use crate::scratch;
use crate::wazuh::{Wazuh, stored, text as text_of};

#[test]
fn a_second_run_changes_nothing() {
    let wazuh = Wazuh::new("backfill_twice");
    let root = three_days();
    let first = run(&wazuh, &[], &[&root]);
    let counts = [
        ("read", 30),
        ("stored", 30),
        ("already_there", 0),
        ("rejected", 0),
        ("files", 3),
    ];
    assert_counts(&first, 0, &counts);
    assert_eq!(first.1["end"], "complete");
    let before = stored("backfill_twice");
    let second = run(&wazuh, &[], &[&root]);
    assert_counts(
        &second,
        0,
        &[
            ("read", 30),
            ("stored", 0),
            ("already_there", 30),
            ("completed", 0),
        ],
    );
    assert_eq!(stored("backfill_twice"), before);
    assert!(
        before
            .iter()
            .all(|document| text_of(document, "_source") == "backfill")
    );
    assert_once(&Kept::of(before), 30);
}

#[test]
fn the_counts_are_told_to_people_and_to_scripts_alike() {
    let wazuh = Wazuh::new("backfill_counts");
    wazuh.settings("[filter]\nexclude_agent_id = \"1-5\"\n");
    let folder = scratch::fresh("counts");
    let poor = format!("{}no alert\n\n\n{}", text(0..20), text(0..2));
    let file = archive(&folder, "some.json", poor);
    let json = run(&wazuh, &[], &[&file]);
    // Agents 1 to 40 in turn; the last two come twice, and are filtered twice.
    let counts = [
        ("read", 23),
        ("empty", 2),
        ("filtered", 7),
        ("stored", 15),
        ("already_there", 0),
        ("rejected", 1),
    ];
    assert_counts(&json, 3, &counts);
    let output = wazuh.run(&["backfill", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stdout).unwrap();
    let wanted = "1 files: 23 read, 2 empty, 7 filtered, 0 stored, 15 already there, 1 rejected\n";
    assert_eq!(said, wanted);
    let dead = wazuh.json("spool dead list");
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead:#}");
    let reason = dead[0]["reason"].as_str().unwrap();
    let offset = format!("{}, offset {}:", file.display(), text(0..20).len());
    assert!(reason.contains(&offset), "{reason}");
    let quiet = wazuh.run(&["backfill", "-q", &file.display().to_string()]);
    assert_eq!(
        (quiet.status.code(), quiet.stdout.as_slice()),
        (Some(3), &b""[..])
    );
}

#[test]
fn files_folders_and_a_wazuh_home_are_read_once_each() {
    let wazuh = Wazuh::new("backfill_paths");
    let mut log = Log::begun_days_ago(&wazuh, 1);
    log.alerts(0..10);
    log.midnight();
    log.alerts(10..20);
    // The home without a word; the live file is also a dated one.
    assert_counts(&run(&wazuh, &[], &[]), 0, &[("read", 20), ("files", 2)]);
    assert_counts(&run(&wazuh, &[], &[&wazuh.home]), 0, &[("read", 20)]);
    let folder = wazuh.home.join("logs/alerts");
    assert_counts(&run(&wazuh, &[], &[&folder]), 0, &[("read", 20)]);
    let twice: [&Path; 3] = [&wazuh.home, &folder, &log.live()];
    assert_counts(&run(&wazuh, &[], &twice), 0, &[("read", 20), ("files", 2)]);
    assert_counts(
        &run(&wazuh, &[], &[&log.live()]),
        0,
        &[("read", 10), ("files", 1)],
    );
    assert_once(&Kept::of(stored("backfill_paths")), 20);
}

#[test]
fn any_name_is_taken_where_it_is_named_and_its_bytes_tell_gzip() {
    let wazuh = Wazuh::new("backfill_names");
    let folder = scratch::fresh("names");
    let odd = archive(&folder, "öld alerts.bak", text(0..5));
    let disguised = archive(&folder, "alerts.bin", gzip(text(5..10).as_bytes()));
    // Two members, as `cat one.gz two.gz` makes it, and no newline at the end.
    let text = text(10..20);
    let (one, two) = text.trim_end().split_at(700);
    let members = [gzip(one.as_bytes()), gzip(two.as_bytes())].concat();
    let members = archive(&folder, "two.json.gz", members);
    let report = run(&wazuh, &[], &[&odd, &disguised, &members]);
    assert_counts(&report, 0, &[("read", 20), ("stored", 20)]);
    assert_once(&Kept::of(stored("backfill_names")), 20);
}

#[test]
fn the_plain_file_is_preferred_while_the_compressed_one_is_being_written() {
    let wazuh = Wazuh::new("backfill_plain");
    let root = three_days();
    let half = gzip(hour(10..20, "2025-06-02T10", "+0000").as_bytes());
    archive(
        &root,
        "2025/Jun/ossec-alerts-02.json.gz",
        &half[..half.len() / 2],
    );
    assert_counts(
        &run(&wazuh, &[], &[&root]),
        0,
        &[("read", 30), ("files", 3)],
    );
}

#[test]
fn since_and_until_take_the_alerts_of_that_time() {
    let wazuh = Wazuh::new("backfill_span");
    let root = three_days();
    let span = ["--since", "2025-06-02", "--until", "2025-06-03T10:05:00Z"];
    let report = run(&wazuh, &span, &[&root]);
    assert_counts(&report, 0, &[("stored", 15)]);
    let kept = Kept::of(stored("backfill_span"));
    assert!((10..25).all(|number| kept.has(number)), "{kept:?}");
    // The same instants in another zone, and the first one is in, the last one out.
    let wazuh = Wazuh::new("backfill_zone");
    let span = [
        "--since",
        "2025-06-01T12:03:07.123+0200",
        "--until",
        "2025-06-01T15:37:07.123+05:30",
    ];
    let report = run(&wazuh, &span, &[&root]);
    assert_counts(&report, 0, &[("stored", 4)]);
    let kept = Kept::of(stored("backfill_zone"));
    assert!((3..7).all(|number| kept.has(number)), "{kept:?}");
    let none = wazuh.run(&[
        "backfill",
        "--since",
        "2025-06-03",
        "--until",
        "2025-06-02",
        &root.display().to_string(),
    ]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&none.stderr).contains("--until has to be later"),
        "{none:?}"
    );
    let typo = wazuh.run(&["backfill", "--since", "yesterday"]);
    assert_eq!(typo.status.code(), Some(2));
}

/// Berlin's summer ends on 2025-10-26 at 01:00 UTC: the local hour from 02:00 to 03:00 comes twice.
#[test]
fn the_hour_that_comes_twice_is_two_hours() {
    let wazuh = Wazuh::new("backfill_dst");
    let root = scratch::fresh("dst");
    let day = [
        hour(0..60, "2025-10-26T01", "+0200"),
        hour(60..120, "2025-10-26T02", "+0200"),
        hour(120..180, "2025-10-26T02", "+0100"),
        hour(180..240, "2025-10-26T03", "+0100"),
    ];
    archive(&root, "2025/Oct/ossec-alerts-26.json", day.concat());
    let before = hour(300..310, "2025-10-25T23", "+0200");
    archive(
        &root,
        "2025/Oct/ossec-alerts-25.json.gz",
        gzip(before.as_bytes()),
    );
    let hours = |report: &serde_json::Value| -> Vec<(String, u64)> {
        let hours = report["hours"].as_array().unwrap().iter();
        let one = |hour: &serde_json::Value| {
            (
                hour["hour"].as_str().unwrap().to_owned(),
                hour["missing"].as_u64().unwrap(),
            )
        };
        hours.map(one).collect()
    };
    let report = run(&wazuh, &["--check"], &[&root]);
    assert_counts(&report, 3, &[("missing", 250)]);
    let hour = |name: &str, count| (format!("{name}:00Z"), count);
    let wanted = [
        hour("2025-10-25T21", 10),
        hour("2025-10-25T23", 60),
        hour("2025-10-26T00", 60),
        hour("2025-10-26T01", 60),
        hour("2025-10-26T02", 60),
    ];
    assert_eq!(hours(&report.1), wanted);
    // The second of the two alone.
    let span = [
        "--since",
        "2025-10-26T01:00:00Z",
        "--until",
        "2025-10-26T03:00:00+01:00",
    ];
    assert_counts(&run(&wazuh, &span, &[&root]), 0, &[("stored", 60)]);
    let kept = Kept::of(stored("backfill_dst"));
    assert!((120..180).all(|number| kept.has(number)), "{kept:?}");
    assert_counts(
        &run(&wazuh, &[], &[&root]),
        0,
        &[("stored", 190), ("already_there", 60)],
    );
    let times = stored("backfill_dst");
    let of = |number: usize| {
        let id = format!("1748872000.{number}");
        let document = times.iter().find(|document| text_of(document, "id") == id);
        *document.unwrap().get_datetime("_timestamp").unwrap()
    };
    let instant = |text: &str| DateTime::parse_rfc3339_str(text).unwrap();
    assert_eq!(of(60), instant("2025-10-26T00:00:07.123Z"));
    assert_eq!(of(120), instant("2025-10-26T01:00:07.123Z"));
}

#[test]
fn a_damaged_archive_is_named_its_whole_lines_are_stored_and_the_next_file_too() {
    let wazuh = Wazuh::new("backfill_torn");
    let root = scratch::fresh("torn");
    let whole = gzip(text(0..3000).as_bytes());
    let torn = archive(
        &root,
        "2025/Jun/ossec-alerts-01.json.gz",
        &whole[..whole.len() / 2],
    );
    let junk = archive(&root, "2025/Jun/ossec-alerts-02.json.gz", "no gzip at all");
    archive(&root, "2025/Jun/ossec-alerts-03.json", text(5000..5010));
    let output = wazuh.run(&["backfill", "--format", "json", &root.display().to_string()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&format!("{} is damaged or cut", torn.display())),
        "{said}"
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["end"], "partial");
    let kept = Kept::of(stored("backfill_torn"));
    assert!(kept.is_once() && (0..800).all(|number| kept.has(number)));
    assert!((5000..5010).all(|number| kept.has(number)));
    let dead = wazuh.json("spool dead list");
    let letters = dead.as_array().unwrap().iter();
    let reasons: Vec<_> = letters.map(|letter| letter["reason"].to_string()).collect();
    assert!(
        reasons
            .iter()
            .all(|reason| reason.contains(&junk.display().to_string())),
        "{reasons:?}"
    );
}

#[test]
fn what_cannot_be_found_is_said_with_its_name() {
    let wazuh = Wazuh::new("backfill_nothing");
    let output = wazuh.run(&["backfill", "/no/such/folder"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("/no/such/folder"),
        "{output:?}"
    );
    let empty = scratch::fresh("empty");
    let output = wazuh.run(&["backfill", &empty.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("there is no alerts.json") && said.contains(&empty.display().to_string()),
        "{said}"
    );
}

#[test]
fn a_dry_run_asks_and_touches_nothing() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "backfill_dry");
    let root = three_days();
    archive(&root, "2025/Jun/ossec-alerts-04.json", "no alert\n");
    let begun = Instant::now();
    let report = run(&wazuh, &["--dry-run"], &[&root]);
    assert_counts(&report, 3, &[("read", 31), ("wanted", 30), ("rejected", 1)]);
    assert!(begun.elapsed() < Duration::from_secs(9));
    assert!(!wazuh.state().exists(), "a state folder was made");
}

#[test]
fn the_rate_is_kept() {
    let wazuh = Wazuh::new("backfill_rate");
    let root = scratch::fresh("rate");
    let file = archive(&root, "alerts.json", text(0..300));
    let begun = Instant::now();
    assert_counts(
        &run(&wazuh, &["--rate", "150"], &[&file]),
        0,
        &[("stored", 300)],
    );
    let took = begun.elapsed();
    let (least, most) = (Duration::from_millis(1500), Duration::from_secs(20));
    assert!((least..most).contains(&took), "{took:?}");
    let output = wazuh.run(&["backfill", "--rate", "0", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(count("backfill_rate"), 300);
}

#[test]
fn the_live_files_last_line_is_left_to_its_writer() {
    let wazuh = Wazuh::new("backfill_growing");
    let mut log = Log::new(&wazuh);
    log.alerts(0..5);
    log.write(&line(5)[..200]);
    assert_counts(
        &run(&wazuh, &[], &[]),
        0,
        &[("read", 5), ("stored", 5), ("rejected", 0)],
    );
    log.line(&line(5)[200..]);
    assert_counts(&run(&wazuh, &[], &[]), 0, &[("read", 6), ("stored", 1)]);
}

#[test]
fn what_has_expired_is_not_stored() {
    let wazuh = Wazuh::new("backfill_expired");
    wazuh.settings("[enrich.retention]\nlow = \"1 d\"\n");
    let root = scratch::fresh("expired");
    // Level 3 is low, level 15 is critical, which is kept for ever.
    let old = "2025-06-02T21:47:23.199+0800";
    let file = archive(
        &root,
        "alerts.json",
        format!("{}\n{}\n", at(0, old), at(12, old)),
    );
    let report = run(&wazuh, &[], &[&file]);
    assert_counts(&report, 0, &[("read", 2), ("expired", 1), ("stored", 1)]);
    let check = run(&wazuh, &["--check"], &[&file]);
    assert_counts(
        &check,
        0,
        &[("expired", 1), ("already_there", 1), ("missing", 0)],
    );
    fs::remove_dir_all(root).unwrap();
}
