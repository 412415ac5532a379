//! Section `filter`: what is not wanted is nowhere, and a person is told why.

use std::fs;

use serde_json::Value;

use crate::json::Json;
use crate::mongod;
use crate::wazuh::{ALERTS, Wazuh, numbered, only, stored, text};

/// sshd's alert of level 5, rule 5710, groups syslog and sshd, agent 002.
fn sshd(number: usize) -> String {
    numbered(number).to_string()
}

fn with_rule(number: usize, rule: &str) -> String {
    numbered(number).with("rule", Json::read(rule)).to_string()
}

/// stdout of a `--test` that ended well.
#[track_caller]
fn told(wazuh: &Wazuh, alert: &str, more: &[&str]) -> String {
    let arguments: Vec<_> = ["--test", "-"].iter().chain(more).copied().collect();
    let output = wazuh.run_with_input(&arguments, alert.as_bytes());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn assert_nowhere(wazuh: &Wazuh, database: &str) {
    assert_eq!(stored(database).len(), 0);
    assert_eq!(wazuh.pending(), 0);
    assert_eq!(wazuh.json("spool dead list"), Value::Array(Vec::new()));
}

#[test]
fn an_excluded_alert_is_neither_stored_nor_spooled_and_its_neighbour_is_stored() {
    let wazuh = Wazuh::new("filter_file");
    wazuh.settings("[filter]\nexclude_rule_id = \"1-100, 5500-5711\"\n");
    wazuh.call(sshd(0)).assert_yes();
    assert_nowhere(&wazuh, "filter_file");
    wazuh
        .call(with_rule(1, r#"{"level":5,"id":"5712","groups":["sshd"]}"#))
        .assert_yes();
    assert_eq!(text(&only("filter_file"), "id"), "1748872000.1");
    assert_eq!(wazuh.log(), "");
}

#[test]
fn the_environment_sets_filters_and_counts_before_the_file() {
    let mut wazuh = Wazuh::new("filter_environment");
    wazuh.settings("[filter]\nlevel = 16\n");
    let set = |name, value: &str| (name, value.to_owned());
    wazuh.environment = vec![
        set("CUSTOM_MONGO_FILTER__LEVEL", "6"),
        set("CUSTOM_MONGO_FILTER__EXCLUDE_AGENT_ID", "000, 003-999"),
        set("CUSTOM_MONGO_FILTER__GROUP", "web, sshd"),
    ];
    wazuh.call(sshd(0)).assert_yes();
    assert_nowhere(&wazuh, "filter_environment");
    wazuh
        .call(with_rule(
            1,
            r#"{"level":6,"id":"5712","groups":["x","sshd"]}"#,
        ))
        .assert_yes();
    assert_eq!(text(&only("filter_environment"), "id"), "1748872000.1");
}

#[test]
fn each_kind_of_key_reaches_the_alert() {
    let wazuh = Wazuh::new("filter_keys");
    for filter in [
        "level = 6",
        "rule_id = \"5711-5720\"",
        "group = \"web\"",
        "event_location = \"!^/var/log\"",
        "agent_id = \"003-010\"",
        "agent_name = \"^web\"",
        "exclude_level = \"0-5\"",
        "exclude_rule_id = [5710]",
        "exclude_group = [\"sshd\"]",
        "exclude_event_location = \"AUTH.log$\"",
        "exclude_agent_id = 2",
        "exclude_agent_name = \"HOST-2\"",
    ] {
        wazuh.settings(&format!("[filter]\n{filter}\n"));
        wazuh.call(sshd(0)).assert_yes();
        assert_eq!(stored("filter_keys").len(), 0, "{filter} let it pass");
    }
    assert_nowhere(&wazuh, "filter_keys");
    wazuh.settings(
        "[filter]\nlevel = 5\nrule_id = 5710\ngroup = \"sshd\"\nevent_location = \"log$\"\n\
         agent_id = 2\nagent_name = \"^host-2\"\nagent_group = \"any\"\nexclude_level = \"6-16\"\n",
    );
    wazuh.call(sshd(0)).assert_yes();
    assert_eq!(stored("filter_keys").len(), 1);
}

#[test]
fn while_mongodb_is_away_only_what_is_wanted_waits() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "filter_away");
    wazuh.settings("[filter]\nexclude_group = \"sshd\"\n");
    wazuh.call(sshd(0)).assert_yes();
    assert_eq!(wazuh.pending(), 0);
    for number in 1..3 {
        wazuh
            .call(with_rule(
                number,
                r#"{"level":3,"id":"1","groups":["web"]}"#,
            ))
            .assert_yes();
        wazuh.call(sshd(number + 10)).assert_yes();
        assert_eq!(wazuh.pending(), number as u64);
    }
}

#[test]
fn what_is_set_to_be_spooled_is_filtered_first() {
    let wazuh = Wazuh::new("filter_mode");
    wazuh.settings("[delivery]\nmode = \"spool\"\n[filter]\nlevel = 6\n");
    wazuh.call(sshd(0)).assert_yes();
    assert_nowhere(&wazuh, "filter_mode");
    wazuh
        .call(with_rule(1, r#"{"level":6,"id":"1"}"#))
        .assert_yes();
    assert_eq!(wazuh.pending(), 1);
}

#[test]
fn what_was_accepted_is_stored_whatever_is_filtered_later() {
    let wazuh = Wazuh::new("filter_later");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    wazuh.call(sshd(0)).assert_yes();
    wazuh.settings("[filter]\nlevel = 16\n");
    assert_eq!(wazuh.drain()["stored"], 1);
    assert_eq!(stored("filter_later").len(), 1);
}

#[test]
fn what_came_while_the_filter_could_not_be_read_is_filtered_when_it_can() {
    let wazuh = Wazuh::new("filter_mended");
    wazuh.settings("[filter]\nexclude_rule_id = \"sshd\"\n");
    wazuh.call(sshd(0)).assert_no(78, &wazuh);
    wazuh
        .call(with_rule(1, r#"{"level":3,"id":"1"}"#))
        .assert_no(78, &wazuh);
    wazuh.settings("[filter]\nexclude_rule_id = \"5710\"\n");
    assert_eq!(wazuh.drain()["stored"], 1);
    assert_eq!(text(&only("filter_mended"), "id"), "1748872000.1");
}

#[test]
fn a_wrong_value_is_refused_with_its_key_and_an_example() {
    let wazuh = Wazuh::new("filter_wrong");
    for (filter, key, example) in [
        ("level = 17", "level", "0 to 16"),
        ("rule_id = \"sshd\"", "rule_id", "5500-5599"),
        ("exclude_agent_id = \"20-10\"", "exclude_agent_id", "10-20"),
        ("exclude_level = \"15-17\"", "exclude_level", "0-2"),
        (
            "exclude_agent_name = \"web|\"",
            "exclude_agent_name",
            "^web-",
        ),
        ("exclude_rule = 1", "exclude_rule", "exclude_rule_id"),
    ] {
        wazuh.settings(&format!("[filter]\n{filter}\n"));
        let output = wazuh.run(&["check", "--config-only"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_told = said.contains("[filter]") && said.contains(key) && said.contains(example);
        assert!(!output.status.success() && is_told, "{filter}: {said}");
    }
}

#[test]
fn what_is_no_alert_is_a_dead_letter_and_no_matter_for_a_filter() {
    let wazuh = Wazuh::new("filter_no_alert");
    wazuh.settings("[filter]\nlevel = 16\n");
    let outcome = wazuh.call("{\"rule\":");
    assert!(outcome.assert_no(7, &wazuh).contains("dead letter"));
}

#[test]
fn a_test_says_which_filter_took_the_alert() {
    let wazuh = Wazuh::new("filter_test");
    wazuh.settings("[filter]\nexclude_rule_id = \"1-9, 5700-5799\"\n");
    let words = "filter.exclude_rule_id = 5700-5799 took it: rule.id is 5710";
    let said = told(&wazuh, &sshd(0), &[]);
    let line = said.lines().find(|line| line.starts_with("filtered "));
    assert!(line.is_some_and(|line| line.contains(words)), "{said}");
    let story: Value =
        serde_json::from_str(&told(&wazuh, &sshd(0), &["--format", "json"])).unwrap();
    assert!(
        story["filtered"].as_str().unwrap().contains(words),
        "{story}"
    );
    assert!(story.get("stored").is_none(), "{story}");
    assert_nowhere(&wazuh, "filter_test");
}

#[test]
fn a_dry_run_prints_the_document_and_says_that_it_would_not_be_stored() {
    let wazuh = Wazuh::new("filter_dry");
    wazuh.settings("[filter]\nlevel = 6\n");
    let output = wazuh.run_with_input(&["--test", "-", "--dry-run"], sshd(0).as_bytes());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["agent_id"], "002");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("filter.level = 6 took it: rule.level is 5"),
        "{said}"
    );
    assert!(output.status.success());
    wazuh.settings("[filter]\nlevel = 5\n");
    let output = wazuh.run_with_input(&["--test", "-", "--dry-run"], sshd(0).as_bytes());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_test_keeps_what_passes_and_reads_it_back() {
    let wazuh = Wazuh::new("filter_test_kept");
    wazuh.settings("[filter]\nlevel = 5\nagent_group = \"web\"\n");
    let said = told(&wazuh, &sshd(0), &[]);
    assert!(
        said.contains("stored ") && !said.contains("filtered"),
        "{said}"
    );
    let undecided = "filter.agent_group = web could not be asked";
    assert!(said.contains(undecided), "{said}");
    assert_eq!(stored("filter_test_kept").len(), 1);
}

#[test]
fn a_test_says_what_the_block_in_ossec_conf_would_have_kept() {
    let wazuh = Wazuh::new("filter_wazuh");
    let block =
        |inside: &str| format!("<integration><name>custom-mongo</name>{inside}</integration>\n");
    let write = |blocks: &str| {
        let other =
            "<integration><name>slack</name><hook_url>https://x/hunter2</hook_url></integration>";
        let text = format!("<ossec_config>\n{other}\n{blocks}</ossec_config>\n");
        fs::write(wazuh.home.join("etc/ossec.conf"), text).unwrap();
        told(&wazuh, &sshd(0), &[])
    };
    let said = write(&block("<level>7</level>"));
    let words = "ossec.conf line 3: <level>7</level> took it: rule.level is 5";
    assert!(
        said.contains(words) && said.contains("would not hand"),
        "{said}"
    );
    // It is told, and no reason not to store what somebody has given us by hand.
    assert_eq!(stored("filter_wazuh").len(), 1);
    let passing = block("<level>5</level><group>sshd</group>");
    for passing in [
        passing.clone(),
        block("<level>7</level>") + &passing,
        String::new(),
    ] {
        assert!(!write(&passing).contains("ossec.conf"), "{passing}");
    }
    assert!(!write("<integration>").contains("hunter2"));
    let alerts = |level| format!("<alerts><log_alert_level>{level}</log_alert_level></alerts>\n");
    let said = write(&(alerts(6) + &passing));
    assert!(said.contains("below <log_alert_level>6<"), "{said}");
    assert!(!write(&(alerts(5) + &passing)).contains("ossec.conf"));
}

#[test]
fn the_debug_line_in_the_log_says_which_filter() {
    let wazuh = Wazuh::new("filter_debug");
    wazuh.settings("[filter]\nlevel = 6\n");
    let file = wazuh.alert_file(sshd(0).as_bytes());
    let arguments = [file.as_str(), "", "", "debug", "", "10", "3"];
    wazuh.invoke(&arguments).assert_yes();
    assert!(
        wazuh.log().contains("filter.level = 6 took it"),
        "{}",
        wazuh.log()
    );
}

#[test]
fn a_notification_of_wazuh_5_is_filtered_by_its_words() {
    let wazuh = Wazuh::new("filter_wazuh_5");
    wazuh.settings("[filter]\nlevel = 8\nagent_group = \"web\"\n");
    let alert = |id: usize, level: &str, group: &str| {
        format!(
            r#"{{"@timestamp":"2026-03-01T10:00:04.123Z","id":"{id}","wazuh":{{
                "agent":{{"id":"003","groups":["{group}"]}},"rule":{{"id":"5710","level":"{level}"}}}}}}"#
        )
    };
    for (id, level, group) in [(0, "medium", "web"), (1, "high", "web"), (2, "high", "db")] {
        wazuh.call(alert(id, level, group)).assert_yes();
    }
    assert_eq!(text(&only("filter_wazuh_5"), "id"), "1");
}

#[test]
fn without_filters_every_alert_is_stored() {
    let wazuh = Wazuh::new("filter_none");
    wazuh.settings("[filter]\nlevel = 0\nexclude_rule_id = \"\"\n");
    for alert in ALERTS.lines() {
        wazuh.call(alert).assert_yes();
    }
    assert_eq!(stored("filter_none").len(), ALERTS.lines().count());
}
