//! `status`: what needs a look is said, by words and by the exit status, also without MongoDB.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, Document, doc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::api_data::{fill, now};
use crate::background::Background;
use crate::call;
use crate::collect::{Site, quick};
use crate::fake::Options;
use crate::mongod::{self, Mongod};
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered};

/// What a script sees: the exit status and the JSON.
#[track_caller]
fn status(wazuh: &Wazuh) -> (Option<i32>, Value) {
    let begun = Instant::now();
    let output = wazuh.run(&["status", "--format", "json"]);
    let took = begun.elapsed();
    // Two seconds are its own limit; the machine may be busy.
    assert!(took < Duration::from_secs(8), "{took:?}");
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), value)
}

/// The only thing that needs a look.
#[track_caller]
fn the_one(status: &(Option<i32>, Value)) -> &str {
    let (code, value) = status;
    let all = value["attention"].as_array().unwrap();
    assert_eq!((*code, all.len()), (Some(1), 1), "{value:#}");
    assert_eq!(value["ok"], false);
    all[0].as_str().unwrap()
}

#[test]
fn where_all_is_well_it_says_so_and_counts() {
    let name = "status_good";
    let wazuh = Wazuh::new(name);
    let database = mongod::shared().database(name);
    let day = 86_400_000;
    let noon = now().div_euclid(day) * day - day / 2;
    fill(&database, 40, noon);
    wazuh.call(numbered(0).to_string()).assert_yes();
    let (code, value) = status(&wazuh);
    assert_eq!((code, &value["ok"]), (Some(0), &json!(true)), "{value:#}");
    assert_eq!(value["attention"], json!([]));
    let mongodb = &value["mongodb"];
    assert_eq!(mongodb["reachable"], true);
    assert_eq!(mongodb["replica_set"], "rs0");
    assert!(
        mongodb["storage_bytes"].as_i64().unwrap() > 0,
        "{mongodb:#}"
    );
    assert!(mongodb["index_bytes"].as_i64().unwrap() > 0, "{mongodb:#}");
    let days = mongodb["alerts_per_day"].as_array().unwrap();
    let counts: Vec<_> = days.iter().map(|day| day["alerts"].as_i64()).collect();
    // The hook's alert is one of 2025.
    assert_eq!(counts, [0, 40, 0, 0, 0, 0, 0].map(Some), "{mongodb:#}");
    let text = String::from_utf8(wazuh.run(&["status"]).stdout).unwrap();
    assert!(text.starts_with("status      all is well\n"), "{text}");
    assert!(text.contains("████"), "{text}");
    let quiet = wazuh.run(&["status", "-q"]);
    assert!(
        quiet.stdout.is_empty() && quiet.stderr.is_empty(),
        "{quiet:?}"
    );
}

#[test]
fn it_looks_and_makes_nothing() {
    let wazuh = Wazuh::new("status_fresh");
    assert_eq!(status(&wazuh).0, Some(0));
    assert!(!wazuh.state().exists());
}

#[test]
fn without_mongodb_the_local_part_is_there_and_1_says_it() {
    let server = Mongod::replica_set();
    let wazuh = Wazuh::with_uri(&server.uri(), "status_dead");
    wazuh.call(numbered(0).to_string()).assert_yes();
    server.freeze();
    let frozen = status(&wazuh);
    server.thaw();
    assert!(the_one(&frozen).contains("MongoDB"), "{frozen:?}");
    server.stop();
    wazuh.call(numbered(1).to_string()).assert_yes();
    let (code, value) = status(&wazuh);
    assert_eq!(code, Some(1), "{value:#}");
    assert_eq!(value["mongodb"]["reachable"], false);
    let spool = &value["spool"]["destinations"][0];
    assert_eq!(
        (&spool["pending"], &spool["breaker"]),
        (&json!(1), &json!("open"))
    );
    let all = value["attention"].as_array().unwrap();
    // What has just been spooled is on its way and no matter of its own.
    assert_eq!(all.len(), 2, "{value:#}");
    let text = String::from_utf8(wazuh.run(&["status"]).stdout).unwrap();
    assert!(text.contains(": 1 wait"), "{text}");
    let quiet = wazuh.run(&["status", "-q"]);
    let said = String::from_utf8(quiet.stderr).unwrap();
    assert_eq!(
        (quiet.status.code(), said.lines().count()),
        (Some(1), 2),
        "{said}"
    );
}

#[test]
fn dead_letters_need_a_look() {
    let wazuh = Wazuh::new("status_letters");
    wazuh.call("{\"broken").assert_no(7, &wazuh);
    assert!(the_one(&status(&wazuh)).contains("1 dead letters"));
}

#[test]
fn the_last_collect_is_told_and_a_failed_one_needs_a_look() {
    let name = "status_collect";
    let wazuh = Wazuh::new(name);
    let runs = mongod::shared()
        .database(name)
        .collection::<Document>("collect_runs");
    let run = |minutes: i64, failed: i64| {
        let at = DateTime::from_millis(now() - minutes * 60_000);
        doc! {
            "_site": "default", "started_at": at, "finished_at": at, "outcome": "complete", "agents": 3_i64,
            "failed": failed, "not_reached": 0_i64, "warnings": [], "kinds": { "software": { "seen": 12_i64, "new": 2_i64 } },
        }
    };
    let mut other = run(1, 7);
    other.insert("_site", "paris");
    runs.insert_many([run(30, 0), run(90, 5), other])
        .run()
        .unwrap();
    let (code, value) = status(&wazuh);
    assert_eq!(code, Some(0), "{value:#}");
    assert_eq!(
        value["collect"]["last_run"]["kinds"]["software"]["seen"],
        12
    );
    let text = String::from_utf8(wazuh.run(&["status"]).stdout).unwrap();
    assert!(text.contains("complete 30 min ago, 3 agents"), "{text}");
    assert!(text.contains("software: 12 rows, 2 new"), "{text}");
    runs.insert_one(run(5, 2)).run().unwrap();
    assert!(the_one(&status(&wazuh)).contains("left 2 parts out"));
}

#[test]
fn follow_is_seen_running_and_seen_behind() {
    let name = "status_follow";
    let wazuh = Wazuh::new(name);
    let file = wazuh.home.join("logs/alerts/alerts.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let first = format!("{}\n", numbered(0));
    fs::write(&file, &first).unwrap();
    let mut follow = Follow::start(&wazuh);
    let value = wait(&wazuh, |value| value["follow"][0]["behind_bytes"] == 0);
    let row = &value["follow"][0];
    assert_eq!(
        (&row["running"], &row["behind_seconds"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        row["file"],
        file.canonicalize().unwrap().display().to_string()
    );
    assert_eq!(value["ok"], true, "{value:#}");
    follow.stop();
    fs::write(&file, first.repeat(3)).unwrap();
    let behind = status(&wazuh);
    let said = the_one(&behind);
    let bytes = first.len() * 2;
    assert!(said.starts_with("nobody follows"), "{said}");
    assert!(said.contains(&format!("{bytes} bytes")), "{said}");
    let seconds = behind.1["follow"][0]["behind_seconds"].as_i64().unwrap();
    // The sample is of June 2025.
    assert!(seconds > 10_000_000, "{seconds}");
    // Looking has taken nothing: the next one begins where the first one ended.
    let mut follow = Follow::start(&wazuh);
    wait(&wazuh, |value| value["follow"][0]["behind_bytes"] == 0);
    follow.stop();
}

struct Follow(std::process::Child);

impl Follow {
    fn start(wazuh: &Wazuh) -> Self {
        let mut command: Command = wazuh.command(&["follow", "--from-start"]);
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    fn stop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert_eq!(call::number(self.0.wait().unwrap()), 0);
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[track_caller]
fn wait(wazuh: &Wazuh, is_there: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (_, value) = status(wazuh);
        if is_there(&value) {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{value:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_collect_is_seen_while_it_runs() {
    let options = Options {
        takes: Duration::from_millis(20),
        ..quick()
    };
    let site = Site::new("status_collecting", options, "");
    assert_eq!(status(&site.wazuh).1["collect"]["running"], false);
    let run = Background::start(&site.wazuh, &["collect"]);
    wait(&site.wazuh, |value| value["collect"]["running"] == true);
    assert_eq!(run.end().status, 0);
    assert_eq!(status(&site.wazuh).1["collect"]["running"], false);
}

#[test]
fn serve_is_seen_while_it_runs() {
    let wazuh = Wazuh::new("status_serve");
    assert_eq!(status(&wazuh).1["serve"]["running"], false);
    let service = Service::start(&wazuh);
    let value = wait(&wazuh, |value| value["serve"]["running"] == true);
    assert!(
        value["serve"]["socket"]
            .as_str()
            .unwrap()
            .ends_with("/custom-mongo")
    );
    assert_eq!(service.stop().0, 0);
    assert_eq!(status(&wazuh).1["serve"]["running"], false);
}

#[test]
fn no_password_is_in_it() {
    let uri = "mongodb://soc:hunter2@127.0.0.1:1/?authSource=admin&serverSelectionTimeoutMS=100";
    let wazuh = Wazuh::with_uri(uri, "status_secret");
    for arguments in [
        &["status"][..],
        &["status", "--format", "json"],
        &["watch", "agents"],
    ] {
        let output = wazuh.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let all = format!("{output:?}");
        assert!(!all.contains("hunter2"), "{all}");
    }
}
