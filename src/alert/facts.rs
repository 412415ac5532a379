//! What a filter can ask of an alert, read from its document without a second look at the text.

use std::borrow::Cow;

use super::{Alert, Level, bson};

/// What can be asked of an alert. What it does not say is None.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts<'a> {
    /// `rule.level`.
    pub level: Option<Level<'a>>,
    /// `rule.id`.
    pub rule_id: Option<Cow<'a, str>>,
    /// `rule.groups`.
    pub groups: Vec<&'a str>,
    /// `location`.
    pub location: Option<Cow<'a, str>>,
    /// `agent.id`.
    pub agent_id: Option<Cow<'a, str>>,
    /// `agent.name`.
    pub agent_name: Option<Cow<'a, str>>,
    /// `agent.groups`, which Wazuh 5 writes, else `_agent.groups`, which the inventory knows.
    pub agent_groups: Option<Vec<Cow<'a, str>>>,
}

/// Reads them from a finished document.
pub fn facts(document: &[u8]) -> Facts<'_> {
    let alert = Alert { document };
    let has_level = alert.field(&["rule", "level"]).is_some();
    Facts {
        level: has_level.then(|| alert.level()),
        rule_id: alert.text(&["rule", "id"]),
        groups: alert.groups().collect(),
        location: alert.text(&["location"]),
        agent_id: alert.text(&["agent", "id"]),
        agent_name: alert.text(&["agent", "name"]),
        agent_groups: agent_groups(alert),
    }
}

fn agent_groups(alert: Alert<'_>) -> Option<Vec<Cow<'_, str>>> {
    let said = alert.field(&["agent", "groups"]);
    let list = said.or_else(|| bson::find(alert.document, &["_agent", "groups"]))?;
    let names = bson::elements(list.value).filter_map(|item| item.as_str());
    list.is_container()
        .then(|| names.map(Cow::Borrowed).collect())
}

#[cfg(test)]
mod tests {
    use super::super::enrich::{Enricher, Receipt, RedactSettings, Settings, Source};
    use std::sync::Arc;

    use super::*;

    fn with_facts(text: &str, check: impl Fn(Facts<'_>)) {
        let (settings, redact) = (Settings::default(), RedactSettings::default());
        let mut enricher = Enricher::new("default", &settings, &redact).unwrap();
        let receipt = Receipt {
            received_at: 0,
            source: Source::Hook,
            options: &[],
        };
        check(facts(
            enricher.document(text.as_bytes(), &receipt).unwrap().bson,
        ));
    }

    #[test]
    fn an_alert_of_wazuh_4() {
        let text = r#"{"rule":{"level":5,"id":"5710","groups":["syslog","sshd"]},
            "agent":{"id":"002","name":"web"},"location":"/var/log/auth.log"}"#;
        with_facts(text, |facts| {
            assert_eq!(facts.level, Some(Level::Number(5.0)));
            assert_eq!(facts.rule_id.as_deref(), Some("5710"));
            assert_eq!(facts.groups, ["syslog", "sshd"]);
            assert_eq!(facts.location.as_deref(), Some("/var/log/auth.log"));
            assert_eq!(facts.agent_id.as_deref(), Some("002"));
            assert_eq!(facts.agent_name.as_deref(), Some("web"));
            assert_eq!(facts.agent_groups, None);
        });
    }

    #[test]
    fn a_notification_of_wazuh_5() {
        let text = r#"{"wazuh":{"rule":{"level":"high","id":5710},
            "agent":{"id":"003","groups":["default","web"]}}}"#;
        with_facts(text, |facts| {
            assert_eq!(facts.level, Some(Level::Word("high".into())));
            assert_eq!(facts.rule_id.as_deref(), Some("5710"));
            assert_eq!(facts.agent_id.as_deref(), Some("003"));
            let groups: Vec<Cow<'_, str>> = vec!["default".into(), "web".into()];
            assert_eq!(facts.agent_groups, Some(groups));
        });
    }

    #[test]
    fn the_groups_that_the_inventory_knows_count_for_wazuh_4() {
        let (settings, redact) = (Settings::default(), RedactSettings::default());
        let mut enricher = Enricher::new("default", &settings, &redact).unwrap();
        let known = ::bson::serialize_to_vec(&::bson::doc! { "groups": ["web", "dmz"] }).unwrap();
        enricher.know(Arc::new([("002".to_owned(), known)].into()));
        let receipt = Receipt {
            received_at: 0,
            source: Source::Follow,
            options: &[],
        };
        let alert = br#"{"agent":{"id":"002"}}"#;
        let document = enricher.document(alert, &receipt).unwrap();
        let groups: Vec<Cow<'_, str>> = vec!["web".into(), "dmz".into()];
        assert_eq!(facts(document.bson).agent_groups, Some(groups));
    }

    #[test]
    fn what_an_alert_does_not_say_is_none() {
        let odd = r#"{"rule":{"level":null,"groups":"sshd, syslog"},"location":["a"]}"#;
        with_facts(odd, |facts| {
            let expected = Facts {
                groups: vec!["sshd", "syslog"],
                ..Facts::default()
            };
            assert_eq!(facts, expected);
        });
        with_facts("{}", |facts| assert_eq!(facts, Facts::default()));
    }
}
