//! Which alert passes which filter, and in which words it does not.

use super::*;
use crate::alert::Level;
use crate::ossec_conf;

fn sshd() -> Facts<'static> {
    Facts {
        level: Some(Level::Number(5.0)),
        rule_id: Some("5710".into()),
        groups: vec!["syslog", "sshd"],
        location: Some("/var/log/auth.log".into()),
        agent_id: Some("012".into()),
        agent_name: Some("Web-1".into()),
        agent_groups: Some(vec!["default".into(), "web".into()]),
    }
}

fn filter(settings: &str) -> Filter {
    Filter::new(&toml::from_str(settings).unwrap(), &Bands::default())
}

fn block(inside: &str) -> Filter {
    let text = format!("<ossec_config><integration>{inside}</integration></ossec_config>");
    let blocks = ossec_conf::integrations(&text).unwrap();
    Filter::from_integration(&blocks[0]).unwrap()
}

fn verdict(filter: &Filter, facts: &Facts<'_>) -> Option<String> {
    filter.refuses(facts).map(|refusal| refusal.to_string())
}

#[track_caller]
fn passes(settings: &str) {
    let filter = filter(settings);
    assert!(!filter.is_empty(), "{settings}");
    assert_eq!(verdict(&filter, &sshd()), None, "{settings}");
}

#[track_caller]
fn refused(settings: &str, words: &str) {
    let verdict = verdict(&filter(settings), &sshd());
    assert_eq!(verdict.as_deref(), Some(words), "{settings}");
}

#[test]
fn without_settings_everything_passes() {
    for settings in [
        "",
        "level = 0",
        "rule_id = \"\"\ngroup = []\nagent_name = \"\"\nexclude_level = \"\"",
    ] {
        assert!(filter(settings).is_empty(), "{settings}");
        assert_eq!(verdict(&filter(settings), &Facts::default()), None);
    }
}

#[test]
fn each_key_keeps_what_it_names() {
    for settings in [
        "level = 5",
        "rule_id = \"1, 5700-5710\"",
        "group = \"web, sshd\"",
        "event_location = \"^/VAR\"",
        "agent_id = \"010-020\"",
        "agent_name = \"^web\"",
        "agent_group = [\"web\"]",
    ] {
        passes(settings);
    }
}

#[test]
fn each_key_takes_the_others_and_says_so() {
    refused("level = 6", "filter.level = 6 took it: rule.level is 5");
    refused(
        "rule_id = [1, \"5711-5720\"]",
        "filter.rule_id = 1, 5711-5720 took it: rule.id is 5710",
    );
    refused(
        "group = \"ssh, Sshd\"",
        "filter.group = ssh, Sshd took it: rule.groups is syslog, sshd",
    );
    refused(
        "event_location = \"!auth\"",
        "filter.event_location = !auth took it: location is /var/log/auth.log",
    );
    refused(
        "agent_id = 1",
        "filter.agent_id = 1 took it: agent.id is 012",
    );
    refused(
        "agent_name = \"^db\"",
        "filter.agent_name = ^db took it: agent.name is Web-1",
    );
    refused(
        "agent_group = \"db\"",
        "filter.agent_group = db took it: agent.groups is default, web",
    );
}

#[test]
fn exclusion_names_the_part_that_took_the_alert() {
    refused(
        "exclude_rule_id = \"1, 5700-5799\"",
        "filter.exclude_rule_id = 5700-5799 took it: rule.id is 5710",
    );
    refused(
        "exclude_level = \"0-2, 5\"",
        "filter.exclude_level = 5 took it: rule.level is 5",
    );
    refused(
        "exclude_group = \"web, syslog\"",
        "filter.exclude_group = syslog took it: rule.groups is syslog, sshd",
    );
    for settings in [
        "exclude_event_location = \"log$\"",
        "exclude_agent_id = 12",
        "exclude_agent_name = \"web\"",
        "exclude_agent_group = \"default\"",
    ] {
        assert!(verdict(&filter(settings), &sshd()).is_some(), "{settings}");
    }
}

#[test]
fn exclusion_keeps_what_it_does_not_name() {
    for settings in [
        "exclude_level = \"0-4, 6-16\"",
        "exclude_rule_id = \"5711-5799\"",
        "exclude_group = \"ssh\"",
        "exclude_event_location = \"^var\"",
        "exclude_agent_id = \"1-11\"",
        "exclude_agent_name = \"^eb\"",
        "exclude_agent_group = \"db\"",
    ] {
        passes(settings);
    }
}

#[test]
fn every_key_has_to_be_satisfied_and_exclusion_wins() {
    passes("level = 5\ngroup = \"sshd\"\nexclude_rule_id = \"5712\"");
    refused(
        "level = 3\ngroup = \"web\"",
        "filter.group = web took it: rule.groups is syslog, sshd",
    );
    refused(
        "rule_id = 5710\nexclude_group = \"sshd\"",
        "filter.exclude_group = sshd took it: rule.groups is syslog, sshd",
    );
}

#[test]
fn what_an_alert_lacks_satisfies_no_key_and_is_excluded_by_none() {
    for key in [
        "rule_id = 1",
        "group = \"a\"",
        "event_location = \"!a\"",
        "level = 1",
    ] {
        assert!(verdict(&filter(key), &Facts::default()).is_some(), "{key}");
    }
    let lacking = verdict(&filter("agent_id = 1"), &Facts::default());
    assert_eq!(
        lacking.as_deref(),
        Some("filter.agent_id = 1 took it: the alert has no agent.id")
    );
    let all = "exclude_level = \"0-16\"\nexclude_rule_id = \"0-999999\"\nexclude_group = \"a\"\n\
               exclude_event_location = \"!x\"\nexclude_agent_id = \"0-9\"\nexclude_agent_name = \"!x\"";
    assert_eq!(verdict(&filter(all), &Facts::default()), None);
}

#[test]
fn unknown_agent_groups_let_an_alert_pass_and_are_reported() {
    let unknown = Facts {
        agent_groups: None,
        ..sshd()
    };
    for settings in ["agent_group = \"db\"", "exclude_agent_group = \"web\""] {
        let filter = filter(settings);
        assert_eq!(verdict(&filter, &unknown), None);
        assert_eq!(
            filter.undecided(&unknown),
            [format!("filter.{}", settings.replace('"', ""))]
        );
        assert!(filter.undecided(&sshd()).is_empty());
    }
}

#[test]
fn words_of_wazuh_5_are_levels_by_the_bands_of_risk() {
    let word = |word: &'static str| Facts {
        level: Some(Level::Word(word.into())),
        ..sshd()
    };
    let medium = filter("level = 5");
    assert_eq!(verdict(&medium, &word("medium")), None);
    assert_eq!(verdict(&medium, &word("Critical")), None);
    let words = "filter.level = 5 took it: rule.level is low";
    assert_eq!(verdict(&medium, &word("low")).as_deref(), Some(words));
    let bands = Bands {
        high: crate::setting::Count(6),
        ..Bands::default()
    };
    let own = Filter::new(&toml::from_str("level = 7").unwrap(), &bands);
    assert!(verdict(&own, &word("high")).is_some());
}

#[test]
fn odd_ids_are_read_as_wazuh_reads_them() {
    let rule = |id: &'static str| Facts {
        rule_id: Some(id.into()),
        ..sshd()
    };
    let wanted = filter("rule_id = 5710");
    assert_eq!(verdict(&wanted, &rule(" 05710")), None);
    assert!(verdict(&wanted, &rule("x5710")).is_some());
    assert!(verdict(&wanted, &rule("99999999995710")).is_some());
    let agent = Facts {
        agent_id: Some("12ab".into()),
        ..sshd()
    };
    assert_eq!(verdict(&filter("exclude_agent_id = 12"), &agent), None);
}

#[test]
fn a_hostile_alert_stays_on_its_line() {
    let facts = Facts {
        location: Some(format!("a\n\u{1b}[2J{}", "x".repeat(999)).into()),
        ..sshd()
    };
    let words = verdict(&filter("event_location = \"^b\""), &facts).unwrap();
    assert!(
        !words.contains(char::is_control) && words.len() < 300,
        "{words}"
    );
}

#[test]
fn a_block_of_ossec_conf_lets_through_what_integratord_does() {
    for inside in [
        "<level>5</level>",
        "<level>0</level>",
        "<group>web,sshd</group>",
        "<rule_id>1, 5710</rule_id>",
        "<rule_id>any</rule_id>",
        "<event_location>^/VAR|x$</event_location>",
        "<event_location></event_location>",
        "<alert_format>json</alert_format>",
    ] {
        assert_eq!(verdict(&block(inside), &sshd()), None, "{inside}");
    }
    for (inside, words) in [
        (
            "<level>6</level>",
            "<level>6</level> took it: rule.level is 5",
        ),
        (
            "<rule_id>5700-5799</rule_id>",
            "<rule_id>5700</rule_id> took it: rule.id is 5710",
        ),
        (
            "<rule_id>0</rule_id>",
            "<rule_id></rule_id> took it: rule.id is 5710",
        ),
        (
            "<group>web, sshd</group>",
            "<group>web,  sshd</group> took it: rule.groups is syslog, sshd",
        ),
        (
            "<group></group>",
            "<group></group> took it: rule.groups is syslog, sshd",
        ),
        (
            "<event_location>!auth</event_location>",
            "<event_location>!auth</event_location> took it: location is /var/log/auth.log",
        ),
    ] {
        assert_eq!(
            verdict(&block(inside), &sshd()).as_deref(),
            Some(words),
            "{inside}"
        );
    }
}

#[test]
fn a_block_without_conditions_is_no_filter() {
    assert!(block("<name>custom-mongo</name><level>0</level>").is_empty());
    assert!(!block("<level>1</level>").is_empty());
    let long = ossec_conf::Integration {
        event_location: Some("a".repeat(30_000)),
        ..ossec_conf::Integration::default()
    };
    assert!(
        Filter::from_integration(&long)
            .unwrap_err()
            .contains("event_location")
    );
}
