//! What is added to an alert, by value.

use mongodb::bson::spec::ElementType;
use mongodb::bson::{Bson, DateTime, Document};

use crate::json::Json;
use crate::wazuh::{ALERTS, Wazuh, numbered, only, stored, text};

#[test]
fn the_fields_that_every_document_gets() {
    let wazuh = Wazuh::new("added");
    let before = DateTime::now();
    wazuh.call(ALERTS.lines().next().unwrap()).assert_yes();
    let document = only("added");
    let text = |name: &str| text(&document, name);
    let id = text("_id");
    assert!(
        id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(text("agent_id"), "002");
    assert_eq!(text("_risk_score"), "medium");
    assert_eq!(text("_assessment_category"), "configuration");
    assert_eq!(text("_source"), "hook");
    assert_eq!(text("_site"), "default");
    assert!(matches!(
        document.get("_schema"),
        Some(Bson::Int32(1..) | Bson::Int64(1..))
    ));
    let processed = *document.get_datetime("_processed_at").unwrap();
    assert!(
        (before..=DateTime::now()).contains(&processed),
        "{processed}"
    );
    // 21:01:07.037+0800 in alerts.json.
    let happened = DateTime::parse_rfc3339_str("2025-06-02T13:01:07.037Z").unwrap();
    assert_eq!(document.get_datetime("_timestamp").unwrap(), &happened);
    for absent in [
        "_defects",
        "_raw",
        "_redacted",
        "_options",
        "_original",
        "_expire_at",
    ] {
        assert!(!document.contains_key(absent), "{absent}");
    }
}

#[test]
fn risk_follows_the_level() {
    let wazuh = Wazuh::new("risk");
    let levels = [
        "0", "4", "5", "7", "8", "11", "12", "16", "\"12\"", "\"high\"", "null",
    ];
    let risks = [
        "low", "low", "medium", "medium", "high", "high", "critical", "critical", "critical",
    ];
    for (number, level) in levels.iter().enumerate() {
        wazuh.call(levelled(number, level)).assert_yes();
    }
    for (number, expected) in risks.iter().chain(&["high", "low"]).enumerate() {
        assert_eq!(
            text(&found("risk", number), "_risk_score"),
            *expected,
            "{number}"
        );
    }
}

#[test]
fn bands_and_categories_can_be_set() {
    let wazuh = Wazuh::new("bands");
    wazuh.settings(
        "[enrich]\nrisk = { medium = 2, high = 3, critical = 4 }\ncategory = \"operations\"\n\
         [enrich.categories]\nsshd = \"access\"\n",
    );
    wazuh.call(levelled(0, "3")).assert_yes();
    let in_group = numbered(1).with("rule", Json::read(r#"{"level":9,"groups":["x","sshd"]}"#));
    wazuh.call(in_group.to_string()).assert_yes();
    let (plain, grouped) = (found("bands", 0), found("bands", 1));
    assert_eq!(text(&plain, "_risk_score"), "high");
    assert_eq!(text(&plain, "_assessment_category"), "operations");
    assert_eq!(text(&grouped, "_risk_score"), "critical");
    assert_eq!(text(&grouped, "_assessment_category"), "access");
}

#[test]
fn an_alert_without_agent_or_time_is_stored_as_such() {
    let wazuh = Wazuh::new("agentless");
    wazuh
        .call(r#"{"rule":{"level":3},"timestamp":"yesterday"}"#)
        .assert_yes();
    let document = only("agentless");
    assert_eq!(text(&document, "agent_id"), "unknown");
    assert_eq!(text(&document, "timestamp"), "yesterday");
    assert!(!document.contains_key("_timestamp"), "{document}");
}

#[test]
fn retention_counts_from_the_event_by_risk() {
    let wazuh = Wazuh::new("retention");
    wazuh.settings("[enrich.retention]\nmedium = \"90 d\"\nhigh = \"365 d\"\n");
    wazuh.call(levelled(0, "5")).assert_yes();
    wazuh.call(levelled(1, "15")).assert_yes();
    let (medium, critical) = (found("retention", 0), found("retention", 1));
    let kept = medium
        .get_datetime("_expire_at")
        .unwrap()
        .timestamp_millis()
        - medium
            .get_datetime("_timestamp")
            .unwrap()
            .timestamp_millis();
    assert_eq!(kept, 90 * 24 * 3600 * 1000);
    assert!(
        !critical.contains_key("_expire_at"),
        "no retention is set for critical"
    );
}

#[test]
fn redaction_names_what_it_took_and_leaves_the_identity() {
    let wazuh = Wazuh::new("redacted");
    let alert = numbered(0)
        .with(
            "data",
            Json::read(r#"{"user":{"Password":"hunter2"},"note":"card 4111 1111"}"#),
        )
        .with(
            "full_log",
            Json::Text("login with card 4111 1111 failed".into()),
        );
    wazuh.call(alert.to_string()).assert_yes();
    let open = only("redacted");
    wazuh.settings("[redact]\nkeys = [\"password\"]\npatterns = [\"4111 [0-9]+\"]\n");
    wazuh.call(alert.to_string()).assert_yes();
    assert_eq!(
        only("redacted"),
        open,
        "the same alert is the same document"
    );

    crate::wazuh::alerts(crate::mongod::shared(), "redacted")
        .drop()
        .run()
        .unwrap();
    wazuh.call(alert.to_string()).assert_yes();
    let closed = only("redacted");
    assert_eq!(closed.get("_id"), open.get("_id"));
    let everything = closed.to_string();
    assert!(
        !everything.contains("hunter2") && !everything.contains("4111"),
        "{everything}"
    );
    let paths: Vec<_> = closed
        .get_array("_redacted")
        .unwrap()
        .iter()
        .filter_map(Bson::as_str)
        .collect();
    for path in ["data.user.Password", "data.note", "full_log"] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
}

#[test]
fn labels_come_from_the_settings_by_agent() {
    let wazuh = Wazuh::new("labels");
    wazuh.settings("[enrich.labels.002]\nowner = \"team-blue\"\nzone = \"dmz\"\n");
    wazuh.call(ALERTS.lines().next().unwrap()).assert_yes();
    let document = only("labels");
    let labels = document
        .get_document("_agent")
        .unwrap()
        .get_document("labels")
        .unwrap();
    assert_eq!(text(labels, "owner"), "team-blue");
    assert_eq!(text(labels, "zone"), "dmz");
}

#[test]
fn options_of_ossec_conf_are_kept() {
    let wazuh = Wazuh::new("options");
    let alert = wazuh.alert_file(ALERTS.lines().next().unwrap().as_bytes());
    let options = wazuh.home.join("tmp/custom-mongo-1748872027-1.options");
    std::fs::write(&options, r#"{"team":"blue","n":[1,{"a.b":true}]}"#).unwrap();
    let options = options.to_str().unwrap();
    wazuh
        .invoke(&[&alert, "", "", "", options, "10", "3", "> /dev/null 2>&1"])
        .assert_yes();
    let document = only("options");
    let kept = Bson::Document(document.get_document("_options").unwrap().clone());
    let sent = Json::read(r#"{"team":"blue","n":[1,{"a.b":true}]}"#);
    crate::lossless::assert_same("_options", &sent, &kept);
}

#[test]
fn two_sites_share_a_database_and_no_document() {
    let mut wazuh = Wazuh::new("sites");
    let alert = ALERTS.lines().next().unwrap();
    wazuh.call(alert).assert_yes();
    wazuh
        .environment
        .push(("CUSTOM_MONGO_SITE", "berlin".into()));
    wazuh.call(alert).assert_yes();
    wazuh.call(alert).assert_yes();
    let documents = stored("sites");
    let mut sites: Vec<_> = documents
        .iter()
        .map(|one| one.get_str("_site").unwrap())
        .collect();
    sites.sort_unstable();
    assert_eq!(sites, ["berlin", "default"]);
}

#[test]
fn fields_that_imitate_ours_move_aside() {
    let wazuh = Wazuh::new("imitated");
    let ours = r#"{"_id":"mine","agent_id":"999","_risk_score":7,"_site":{"a":1},"_raw":null,"_custom":"stays"}"#;
    let Json::Object(fields) = Json::read(ours) else {
        panic!("not an object")
    };
    let alert = fields
        .into_iter()
        .fold(numbered(0), |alert, (name, value)| alert.with(&name, value));
    wazuh.call(alert.to_string()).assert_yes();
    let document = only("imitated");
    assert_ne!(text(&document, "_id"), "mine");
    assert_eq!(text(&document, "agent_id"), "002");
    assert_eq!(text(&document, "_site"), "default");
    assert_eq!(text(&document, "_custom"), "stays");
    let original = document.get_document("_original").unwrap();
    assert_eq!(text(original, "_id"), "mine");
    assert_eq!(text(original, "agent_id"), "999");
    assert_eq!(original.get_document("_site").unwrap().len(), 1);
    assert_eq!(
        original.get("_raw").unwrap().element_type(),
        ElementType::Null
    );
    assert!(!original.contains_key("_custom"));
}

fn levelled(number: usize, level: &str) -> String {
    let rule = format!(r#"{{"level":{level},"id":"1","groups":["local"]}}"#);
    numbered(number).with("rule", Json::read(&rule)).to_string()
}

fn found(database: &str, number: usize) -> Document {
    let id = format!("1748872000.{number}");
    let own = |document: &Document| document.get_str("id").is_ok_and(|own| own == id);
    stored(database)
        .into_iter()
        .find(own)
        .unwrap_or_else(|| panic!("{id} is not stored"))
}
