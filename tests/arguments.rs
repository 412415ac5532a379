//! Every shape of call that wazuh-integratord makes, and what it hears back.

use crate::call::{self, normal};
use crate::mongod;
use crate::wazuh::{ALERTS, Wazuh, only, stored, text};

/// What integratord writes when `<alert_format>` is not JSON.
const KEY_VALUE: &str = "alertdate='2025 Jun 02 21:01:07'\n\
    alertlocation='(host-2) any->/var/log/auth.log'\nruleid='5710'\nalertlevel='5'\n\
    ruledescription='sshd: Attempt to login using a non-existent user'\n\
    alertlog='Jun  2 13:01:07 web-1 sshd[2133]: Invalid user oracle from 203.0.113.24'\n\
    srcip='203.0.113.24'";

#[test]
fn wazuh_4_14_normally() {
    stores_one("normal", |file| normal(file, "", "").map(Into::into).into());
}

#[test]
fn wazuh_4_14_in_debug_mode() {
    stores_one("debug", |file| {
        split(&[file, "", "", "debug", "", "10", "3"])
    });
}

#[test]
fn wazuh_4_4() {
    stores_one("old", |file| split(&[file, "", "", " > /dev/null 2>&1"]));
    stores_one("old_debug", |file| split(&[file, "", "", "debug"]));
}

#[test]
fn a_space_in_the_api_key_shifts_what_follows() {
    stores_one("shifted", |file| {
        split(&[file, "my", "key", "", "", "", "10", "3 > /dev/null"])
    });
}

#[test]
fn the_redirection_in_three_arguments() {
    stores_one("cut", |file| {
        split(&[file, "key", "", "", "", "10", "3", ">", "/dev/null", "2>&1"])
    });
}

#[test]
fn arguments_that_nobody_knows_yet() {
    stores_one("unknown", |file| {
        split(&[
            file,
            "",
            "",
            "",
            "",
            "10",
            "3",
            "--new-in-wazuh-6",
            "-x",
            "--test",
            "spool",
        ])
    });
    stores_one("lone", |file| split(&[file]));
    stores_one("odd", |file| {
        split(&[file, "-h", "--help", "", "", "ten", "-3"])
    });
}

#[test]
fn hook_url_is_the_uri_when_it_is_one() {
    let wazuh = Wazuh::new("unused");
    wazuh.raw_settings("[store]\ndatabase = \"hook_url\"\n[spool]\ndisk_reserve = 0\n");
    let file = wazuh.alert_file(first().as_bytes());
    wazuh
        .invoke(&normal(&file, "", &mongod::shared().uri()))
        .assert_yes();
    assert_eq!(text(&only("hook_url"), "_source"), "hook");
}

#[test]
fn a_hook_url_that_is_none_is_ignored() {
    let url = "https://hooks.example.org/services/T0/B0";
    stores_one("other_url", |file| {
        normal(file, "", url).map(Into::into).into()
    });
}

#[test]
fn a_missing_file_is_6() {
    let wazuh = Wazuh::new("missing");
    for file in ["", "/nonexistent/custom-mongo-1-1.alert", "tmp/gone.alert"] {
        let line = wazuh
            .invoke(&normal(file, "key", ""))
            .assert_no(6, &wazuh)
            .to_owned();
        assert!(file.is_empty() || line.contains(file), "{line}");
    }
    assert_eq!(stored("missing").len(), 0);
}

#[test]
fn an_empty_file_is_7() {
    let wazuh = Wazuh::new("empty");
    for nothing in ["", "\n", " \n\n"] {
        wazuh.call(nothing).assert_no(7, &wazuh);
    }
    assert_eq!(stored("empty").len(), 0);
}

#[test]
fn a_wrong_alert_format_is_7_and_says_what_to_set() {
    let wazuh = Wazuh::new("alert_format");
    let line = wazuh.call(KEY_VALUE).assert_no(7, &wazuh).to_owned();
    assert!(line.contains("<alert_format>json</alert_format>"), "{line}");
    assert_eq!(stored("alert_format").len(), 0);
}

#[test]
fn a_failure_is_one_line_in_the_log_as_well() {
    let wazuh = Wazuh::new("log");
    std::fs::write(
        wazuh.home.join("logs/integrations.log"),
        "of another integration\n",
    )
    .unwrap();
    wazuh.call("").assert_no(7, &wazuh);
    wazuh.invoke(&normal("", "", "")).assert_no(6, &wazuh);
    let log = wazuh.log();
    assert!(
        log.starts_with("of another integration\n") && log.ends_with('\n'),
        "{log}"
    );
    assert_eq!(log.lines().count(), 3, "{log}");

    std::fs::remove_dir_all(wazuh.home.join("logs")).unwrap();
    let outcome = wazuh.call("");
    assert_eq!(
        (outcome.status, outcome.output.lines().count()),
        (7, 1),
        "{outcome:?}"
    );
}

#[test]
fn a_pipe_without_reader_changes_no_status() {
    let wazuh = Wazuh::new("no_reader");
    let good = wazuh.alert_file(first().as_bytes());
    for (file, expected) in [(good.as_str(), 0), ("", 6)] {
        let mut command = call::integration(&wazuh.home, &normal(file, "", ""));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(call::number(command.status().unwrap()), expected);
    }
    assert_eq!(stored("no_reader").len(), 1);
}

#[test]
fn secrets_on_the_command_line_are_never_repeated() {
    let wazuh = Wazuh::new("argv_secrets");
    let dead = mongod::free_port();
    let url = format!("mongodb://u:hush-url@127.0.0.1:{dead}/?serverSelectionTimeoutMS=100");
    let good = wazuh.alert_file(first().as_bytes());
    let bad = wazuh.alert_file(b"no alert");
    for file in ["", &bad, &good] {
        for debug in ["", "debug"] {
            let arguments = [file, "hush-key", &url, debug, "", "10", "3"];
            let outcome = wazuh.invoke(&arguments);
            assert!(!outcome.output.contains("hush"), "{outcome:?}");
        }
    }
    // A URI that cannot even be read.
    for url in [
        "mongodb://u:hush-url@:x/?a",
        "mongodb://u:hush-url@h/?socketTimeoutMS=1",
    ] {
        let outcome = wazuh.invoke(&normal(&good, "hush-key", url));
        assert!(
            outcome.status > 0 && !outcome.output.contains("hush"),
            "{outcome:?}"
        );
    }
    assert!(!wazuh.log().contains("hush"), "{}", wazuh.log());
}

#[test]
fn the_inherited_descriptor_is_left_alone() {
    let wazuh = Wazuh::new("descriptor");
    wazuh.call(first()).assert_yes();
    wazuh.call("").assert_no(7, &wazuh);
    assert_eq!(call::inherited_position(), 12);
    assert_eq!(call::inherited_content(), b"{\"alert\":1}\n{\"alert\":2}\n");
}

#[test]
fn no_arguments_at_all_is_wrong_usage() {
    let wazuh = Wazuh::new("usage");
    let outcome = wazuh.run(&[]);
    assert_eq!(outcome.status.code(), Some(2), "{outcome:?}");
    let outcome = wazuh.run(&["spool", "drian"]);
    assert_eq!(outcome.status.code(), Some(2), "{outcome:?}");
    assert!(
        String::from_utf8_lossy(&outcome.stderr).contains("drain"),
        "{outcome:?}"
    );
}

fn first() -> &'static str {
    ALERTS.lines().next().expect("a line")
}

/// One call with these arguments stores one document and says nothing.
#[track_caller]
fn stores_one(database: &str, arguments: impl Fn(&str) -> Vec<String>) {
    let wazuh = Wazuh::new(database);
    let file = wazuh.alert_file(format!("{}\n", first()).as_bytes());
    wazuh.invoke(&arguments(&file)).assert_yes();
    assert_eq!(text(&only(database), "id"), "1748872001.1337");
}

fn split(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}
