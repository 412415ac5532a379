//! What integratord would make of a block.

use super::*;

/// As a manager has it: two roots, comments, commands with characters that XML forbids.
const CONF: &str = r#"<!--
  Wazuh - Manager <integration><name>in a comment</name></integration>
-->
<ossec_config>
  <alerts>
    <log_alert_level>3</log_alert_level>
    <email_alert_level>12</email_alert_level>
  </alerts>
  <localfile>
    <log_format>full_command</log_format>
    <command>netstat -tulpn 2>&1 | sed 's/\([[:alnum:]]\+\)\ \+/\1/' && last -n 20</command>
  </localfile>
  <localfile>
    <query>\<QueryList>\<Select Path="Security">*</query>
  </localfile>
  <wodle name="open-scap"><disabled>yes</disabled><content type="xccdf" path="a"/></wodle>
  <integration>
    <name>slack</name>
    <hook_url>https://hooks.slack.example/hunter2?a=1&b=2</hook_url>
    <api_key>hunter2</api_key>
    <options>{"token": "hunter2"}</options>
  </integration>
</ossec_config>

<ossec_config>
  <integration>
    <name>custom-mongo</name> <!-- <level>12</level> -->
    <level>3</level>
    <group>sshd,syslog</group>
    <rule_id>5710, 5712</rule_id>
    <event_location>^/var/log|WinEvtLog$</event_location>
    <alert_format>json</alert_format>
    <max_log>1024</max_log>
    <timeout>10</timeout>
    <retries>3</retries>
  </integration>
  <integration></integration>
</ossec_config>
"#;

fn block(inside: &str) -> Integration {
    let text = format!("<ossec_config><integration>{inside}</integration></ossec_config>");
    integrations(&text).unwrap().remove(0)
}

#[test]
fn the_blocks_of_all_roots_are_found_with_their_places() {
    let blocks = integrations(CONF).unwrap();
    let names: Vec<_> = blocks.iter().map(|block| block.name.as_str()).collect();
    assert_eq!(names, ["slack", "custom-mongo"]);
    assert_eq!(blocks[1].line, 26);
    let place = CONF.get(blocks[1].place.clone()).unwrap();
    assert!(
        place.starts_with("<integration>\n    <name>custom-mongo<"),
        "{place}"
    );
    assert!(place.ends_with("</integration>"), "{place}");
    assert_eq!(log_alert_level(CONF), Ok(Some(3)));
}

#[test]
fn a_block_is_read_to_its_last_element() {
    let read = integrations(CONF).unwrap().remove(1);
    let expected = Integration {
        name: "custom-mongo".into(),
        level: Some(3),
        group: Some("sshd,syslog".into()),
        rule_id: Some(vec![5710, 5712]),
        event_location: Some("^/var/log|WinEvtLog$".into()),
        alert_format: Some("json".into()),
        max_log: Some(1024),
        timeout: Some(10),
        retries: Some(3),
        line: read.line,
        place: read.place.clone(),
        ..Integration::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn secrets_are_read_and_never_printed() {
    let blocks = integrations(CONF).unwrap();
    let url = blocks[0].hook_url.as_ref().map(Secret::expose);
    assert_eq!(url, Some("https://hooks.slack.example/hunter2?a=1&b=2"));
    assert!(blocks[0].options.is_some() && blocks[0].api_key.is_some());
    assert!(!format!("{blocks:?}").contains("hunter2"));
}

#[test]
fn rule_ids_are_what_integratord_makes_of_them() {
    let rules = |content: &str| block(&format!("<rule_id>{content}</rule_id>")).rule_id;
    assert_eq!(rules("5710, 5712 ,,5715"), Some(vec![5710, 5712, 5715]));
    assert_eq!(rules("5500-5599,5710"), Some(vec![5500, 5710]));
    assert_eq!(rules("5710 5712"), Some(vec![5710]));
    assert_eq!(rules("5710,x,5712"), Some(vec![5710]));
    assert_eq!(rules("0,5710"), Some(vec![5710]));
    assert_eq!(rules("0"), Some(vec![]));
    assert_eq!(rules("\n5710"), None);
    assert_eq!(rules("sshd"), None);
    assert_eq!(rules(""), None);
    let twice = block("<rule_id>1</rule_id><rule_id>2</rule_id>");
    assert_eq!(twice.rule_id, Some(vec![1, 2]));
}

#[test]
fn of_an_element_that_comes_twice_the_last_counts() {
    let twice = block("<level>3</level><level>7</level><group>a</group><group>b</group>");
    assert_eq!((twice.level, twice.group.as_deref()), (Some(7), Some("b")));
}

#[test]
fn what_keeps_the_manager_from_starting_is_named() {
    let bad = block("<level> 3</level><max_log>10</max_log><levle>1</levle><rule/>");
    assert_eq!(bad.invalid, ["level", "max_log", "name"]);
    assert_eq!(bad.unknown, ["levle", "rule"]);
    let good = block("<name>custom-mongo</name><level></level><max_log>165</max_log>");
    assert_eq!((good.invalid, good.level), (vec![], Some(0)));
}

#[test]
fn only_what_stands_in_an_ossec_config_counts() {
    let text = "<agent_config><integration><name>a</name></integration></agent_config>\
                <ossec_config><x><integration><name>b</name></integration></x></ossec_config>";
    assert_eq!(integrations(text), Ok(vec![]));
    assert_eq!(integrations(""), Ok(vec![]));
    assert_eq!(log_alert_level(text), Ok(None));
}

#[test]
fn a_file_that_wazuh_cannot_read_is_an_error_with_the_line() {
    let fault = integrations("<ossec_config>\n<integration>\n<name>x</name>\n").unwrap_err();
    assert!(fault.to_string().starts_with("line 2: "), "{fault}");
    assert!(log_alert_level("<a>").is_err());
}

#[test]
fn alerts_json_is_on_unless_the_last_word_is_no() {
    let off = |words: &[&str]| {
        let all = words
            .iter()
            .map(|word| format!("<global><jsonout_output>{word}</jsonout_output></global>"));
        is_json_off(&format!(
            "<ossec_config>{}</ossec_config>",
            all.collect::<String>()
        ))
    };
    assert_eq!(off(&[]), Ok(false));
    assert_eq!(off(&["yes"]), Ok(false));
    assert_eq!(off(&["yes", "no"]), Ok(true));
    assert_eq!(off(&["no", "yes"]), Ok(false));
}
