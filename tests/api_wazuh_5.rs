//! Alerts of Wazuh 5: levels are words, the rule lies under `wazuh`; the same questions find them.

use serde_json::{Value, json};

use crate::api_data::{ask, column, wait_for_indexes};
use crate::mongod;
use crate::service::Service;
use crate::wazuh::{Wazuh, stored, text};
use crate::webhook::post;

/// A service that has them, and alerts of Wazuh 4 among them.
fn service(database: &str, settings: &str) -> Service {
    let wazuh = Wazuh::new(database);
    wazuh.settings(&format!("[delivery]\ndeadline = \"30 s\"\n{settings}"));
    let service = Service::start(&wazuh);
    wait_for_indexes(&mongod::shared().database(database));
    let notification = |name: &str, level: &str, rule: &str| {
        json!({
            "@timestamp": "2026-03-01T10:00:00.000Z", "name": name,
            "wazuh": { "agent": { "id": "007" }, "rule": {
                "id": rule, "level": level, "title": format!("Title of {name}"), "groups": ["sshd", rule],
                "mitre": { "id": ["T1110"] },
            } },
            "event": { "original": format!("the line of {name}") },
        })
    };
    let old = |name: &str, level: u8| {
        json!({
            "timestamp": "2026-03-01T10:00:00.000+0000", "id": format!("1.{level}"), "name": name,
            "rule": { "id": "5710", "level": level, "description": "d", "groups": ["sshd"] },
            "agent": { "id": "001" },
        })
    };
    let both = json!({
        "@timestamp": "2026-03-01T10:00:00.000Z", "name": "both",
        "wazuh": { "rule": { "id": "long", "level": "high" } }, "rule": { "id": "short", "level": "high" },
    });
    let all = json!([
        notification("critical", "critical", "0191-a"),
        notification("high", "high", "0191-a"),
        notification("medium", "medium", "0191-b"),
        notification("low", "low", "0191-b"),
        old("four", 4),
        old("nine", 9),
        old("fifteen", 15),
        both,
    ]);
    assert_eq!(post(&service, all.to_string()).status, 200);
    service
}

#[track_caller]
fn names(service: &Service, query: &str) -> Vec<String> {
    let answer = ask(service, &format!("/api/alerts?{query}"));
    let mut names = column(&answer, "name");
    names.sort();
    names
}

#[test]
fn a_level_finds_the_words_that_stand_for_it() {
    let service = service("api_wazuh_5_levels", "");
    let grave = ["both", "critical", "fifteen", "high", "nine"];
    // Along the index of levels, and as keys of others.
    assert_eq!(names(&service, "level_min=8"), grave);
    assert_eq!(
        names(&service, "level_min=9"),
        ["critical", "fifteen", "nine"]
    );
    assert_eq!(names(&service, "level_min=13"), ["fifteen"]);
    let medium = ["both", "critical", "fifteen", "high", "medium", "nine"];
    assert_eq!(names(&service, "level_min=5"), medium);
    assert_eq!(
        names(&service, "level_min=5&agent_id=007"),
        ["critical", "high", "medium"]
    );
    assert_eq!(
        names(&service, "level_min=8&rule_id=0191-a"),
        ["critical", "high"]
    );
    assert_eq!(names(&service, "level_min=0").len(), 8);
    let counted = ask(&service, "/api/alerts?level_min=8&count=true&limit=1");
    assert_eq!(counted["count"], 5);
}

#[test]
fn words_stand_for_what_the_settings_say() {
    let service = service("api_wazuh_5_bands", "[enrich.risk]\nhigh = 10\n");
    let grave = ["both", "critical", "fifteen", "high"];
    assert_eq!(names(&service, "level_min=10"), grave);
    assert_eq!(names(&service, "level_min=11"), ["critical", "fifteen"]);
}

#[test]
fn rules_groups_and_texts_of_both_versions_are_found_and_counted_alike() {
    let service = service("api_wazuh_5_rules", "");
    assert_eq!(names(&service, "rule_id=0191-b"), ["low", "medium"]);
    assert_eq!(names(&service, "rule_id=short"), ["both"]);
    assert_eq!(names(&service, "group=0191-a"), ["critical", "high"]);
    assert_eq!(names(&service, "group=sshd").len(), 7);
    assert_eq!(
        names(&service, "mitre=T1110&group=0191-b"),
        ["low", "medium"]
    );
    assert_eq!(names(&service, "q=title%20of%20high&since=20y"), ["high"]);
    assert_eq!(names(&service, "q=LINE%20of%20low&since=20y"), ["low"]);
    let stats = ask(&service, "/api/alerts/stats?by=rule,risk&since=20y");
    let rules: &Value = &stats["data"]["rule"];
    let counted = |rule: &str, count: i64| {
        let wanted = json!({ "count": count, "value": rule });
        assert!(rules.as_array().unwrap().contains(&wanted), "{rules}");
    };
    counted("5710", 3);
    counted("0191-a", 2);
    counted("short", 1);
}

#[test]
fn the_rule_is_copied_where_there_is_none_and_that_is_said() {
    let _service = service("api_wazuh_5_copy", "");
    let stored = stored("api_wazuh_5_copy");
    let named = |name: &str| stored.iter().find(|one| text(one, "name") == name).unwrap();
    let (high, both, nine) = (named("high"), named("both"), named("nine"));
    let sent = high
        .get_document("wazuh")
        .unwrap()
        .get_document("rule")
        .unwrap();
    assert_eq!(high.get_document("rule").unwrap(), sent);
    assert_eq!(text(high, "_rule_from"), "wazuh.rule");
    assert_eq!(text(both.get_document("rule").unwrap(), "id"), "short");
    assert!(!both.contains_key("_rule_from") && !nine.contains_key("_rule_from"));
}
