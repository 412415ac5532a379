//! Wazuh's ossec.conf, as far as it concerns integrations, read as Wazuh reads it
//! (`config/integrator-config.c` of 4.4 to 4.14). Other sections may hold what they like. Nothing of
//! the file is in an error: it has the other integrations' passwords.

use std::ops::Range;

use crate::setting::Secret;

mod elements;

use elements::Element;

/// Why Wazuh could not read the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}; see wazuh-integratord -t")]
pub struct Error {
    line: usize,
    why: &'static str,
}

impl Error {
    fn new(text: &str, at: usize, why: &'static str) -> Self {
        let line = elements::line(text, at);
        Self { line, why }
    }
}

/// One `<integration>` block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integration {
    /// `<name>`: the program in the `integrations` folder; empty if it is missing.
    pub name: String,
    /// `<hook_url>`.
    pub hook_url: Option<Secret>,
    /// `<api_key>`.
    pub api_key: Option<Secret>,
    /// `<level>`: only alerts of this level and above; 0 is no condition.
    pub level: Option<u32>,
    /// `<rule_id>`: only alerts of these rules; an empty list is satisfied by none.
    pub rule_id: Option<Vec<u32>>,
    /// `<group>`: only alerts of these rule groups, with commas and nothing else between them.
    pub group: Option<String>,
    /// `<event_location>`: only alerts whose location matches this `OSMatch` pattern.
    pub event_location: Option<String>,
    /// `<alert_format>`; what does not begin with `json` is not JSON.
    pub alert_format: Option<String>,
    /// `<options>`: JSON, from 4.7 on. Some integrations keep a token there.
    pub options: Option<Secret>,
    /// `<max_log>`: bytes of `full_log` in the other alert format, 165 to 1024.
    pub max_log: Option<u32>,
    /// `<timeout>`: seconds, from 4.8 on.
    pub timeout: Option<u32>,
    /// `<retries>`: from 4.8 on.
    pub retries: Option<u32>,
    /// Elements that Wazuh does not know: one of them keeps the whole manager from starting.
    pub unknown: Vec<String>,
    /// Elements with a value that keeps the manager from starting.
    pub invalid: Vec<&'static str>,
    /// The line, from 1, on which the block begins.
    pub line: usize,
    /// The block's bytes in the text, from its `<` to behind its last `>`.
    pub place: Range<usize>,
}

/// The `<integration>` blocks, in the file's order.
///
/// # Errors
///
/// The line that Wazuh cannot read.
pub fn integrations(text: &str) -> Result<Vec<Integration>, Error> {
    let roots = elements::read(text)?;
    let blocks = sections(&roots, "integration").map(|block| integration(text, block));
    Ok(blocks.collect())
}

/// `<alerts><log_alert_level>`: Wazuh writes no alert of a lower level (1 if it is not set).
///
/// # Errors
///
/// The line that Wazuh cannot read.
pub fn log_alert_level(text: &str) -> Result<Option<u32>, Error> {
    let roots = elements::read(text)?;
    let children = sections(&roots, "alerts").flat_map(|alerts| &alerts.children);
    let levels = children.filter(|child| child.name == "log_alert_level");
    // Of several the last one counts.
    Ok(levels.filter_map(|level| number(&level.content)).last())
}

/// The children of all roots that have this name; an empty one is ignored as by Wazuh.
fn sections<'e>(roots: &'e [Element], name: &'e str) -> impl Iterator<Item = &'e Element> {
    let roots = roots.iter().filter(|root| root.name == "ossec_config");
    let children = roots.flat_map(|root| &root.children);
    children.filter(move |child| child.name == name && !child.children.is_empty())
}

fn integration(text: &str, block: &Element) -> Integration {
    let mut integration = Integration {
        line: elements::line(text, block.place.start),
        place: block.place.clone(),
        ..Integration::default()
    };
    for child in &block.children {
        integration.take(&child.name, &child.content);
    }
    if integration.name.is_empty() {
        integration.invalid.push("name");
    }
    integration
}

impl Integration {
    /// Of an element that comes twice the last one counts; rule ids add up.
    fn take(&mut self, name: &str, content: &str) {
        let text = || Some(content.to_owned());
        match name {
            "name" => content.clone_into(&mut self.name),
            "hook_url" => self.hook_url = Some(Secret::new(content)),
            "api_key" => self.api_key = Some(Secret::new(content)),
            "options" => self.options = Some(Secret::new(content)),
            "group" => self.group = text(),
            "event_location" => self.event_location = text(),
            "alert_format" => self.alert_format = text(),
            "rule_id" => add_rules(&mut self.rule_id, content),
            "level" => self.level = self.number("level", content),
            "max_log" => {
                self.max_log = self.number("max_log", content);
                if self
                    .max_log
                    .is_some_and(|bytes| !(165..=1024).contains(&bytes))
                {
                    self.invalid.push("max_log");
                }
            }
            "timeout" => self.timeout = self.number("timeout", content),
            "retries" => self.retries = self.number("retries", content),
            unknown => self.unknown.push(unknown.to_owned()),
        }
    }

    fn number(&mut self, name: &'static str, content: &str) -> Option<u32> {
        let number = number(content);
        if number.is_none() {
            self.invalid.push(name);
        }
        number
    }
}

/// Digits and nothing else, not even white space (`OS_StrIsNum`); no digits are 0.
fn number(content: &str) -> Option<u32> {
    let is_number = content.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| leading_number(content))
}

/// The digits in front, as C's `atoi` takes them.
fn leading_number(text: &str) -> u32 {
    let digits = text.bytes().map_while(|byte| char::from(byte).to_digit(10));
    digits.fold(0, |number, digit| {
        number.saturating_mul(10).saturating_add(digit)
    })
}

/// As integratord reads `<rule_id>`: blanks and commas may be anywhere between, what follows a number
/// up to the next comma is ignored (`5500-5599` is 5500), and at anything else it stops. Without a
/// single number there is no condition; 0 is no rule.
fn add_rules(rules: &mut Option<Vec<u32>>, content: &str) {
    let mut rest = content;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return;
        }
        let list = rules.get_or_insert_default();
        list.extend(Some(leading_number(rest)).filter(|id| *id > 0));
        rest = rest.split_once(',').map_or("", |(_, behind)| behind);
    }
}

#[cfg(test)]
mod tests {
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
}
