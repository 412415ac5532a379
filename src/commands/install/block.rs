//! The block that makes wazuh-integratord call us, as it is wished.

use anyhow::{Result, bail};

use crate::ossec_conf::edit;

/// Which alerts Wazuh hands over; without any of it all of them.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// `<level>`: alerts of this level and above.
    pub level: Option<u8>,
    /// `<rule_id>`: alerts of these rules.
    pub rule_id: Option<String>,
    /// `<group>`: alerts of these rule groups.
    pub group: Option<String>,
    /// `<event_location>`: alerts from these places.
    pub event_location: Option<String>,
}

/// The name of the program, which Wazuh wants to begin with `custom-`.
pub const NAME: &str = "custom-mongo";

impl Choice {
    /// The block's elements.
    ///
    /// # Errors
    ///
    /// Names what Wazuh would not read as it is meant.
    pub fn elements(&self) -> Result<Vec<(&'static str, String)>> {
        let mut elements = vec![
            ("name", NAME.to_owned()),
            ("alert_format", "json".to_owned()),
        ];
        elements.extend(self.level.map(|level| ("level", level.to_string())));
        for (name, value) in [
            ("rule_id", &self.rule_id),
            ("group", &self.group),
            ("event_location", &self.event_location),
        ] {
            if let Some(value) = value {
                elements.push((name, sound(name, value)?));
            }
        }
        Ok(elements)
    }

    /// The block by itself.
    ///
    /// # Errors
    ///
    /// As `elements`.
    pub fn text(&self) -> Result<String> {
        Ok(edit::block("  ", &self.elements()?, "\n"))
    }
}

fn sound(name: &str, value: &str) -> Result<String> {
    let option = name.replace('_', "-");
    if value.trim().is_empty()
        || value.contains(['<', '>', '\\'])
        || value.contains(char::is_control)
    {
        bail!("--{option} {value:?}: Wazuh cannot read it; no <, > and \\ may be in it");
    }
    // What is behind a number up to the next comma counts for nothing there.
    let is_list = |c: char| c.is_ascii_digit() || c == ',' || c == ' ';
    if name == "rule_id" && !value.chars().all(is_list) {
        bail!("--{option} {value:?}: Wazuh knows numbers with commas between them, no ranges");
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ossec_conf::integrations;

    #[test]
    fn what_is_wished_is_what_wazuh_reads() {
        let choice = Choice {
            level: Some(7),
            rule_id: Some("5710, 5712".into()),
            group: Some("sshd".into()),
            event_location: Some("^/var/log|EventChannel$".into()),
        };
        let text = format!("<ossec_config>\n{}</ossec_config>", choice.text().unwrap());
        let read = integrations(&text).unwrap().remove(0);
        assert_eq!(read.name, NAME);
        assert_eq!(read.alert_format.as_deref(), Some("json"));
        assert_eq!(
            (read.level, read.rule_id),
            (Some(7), Some(vec![5710, 5712]))
        );
        assert_eq!(read.event_location, choice.event_location);
        assert!(read.unknown.is_empty() && read.invalid.is_empty());
    }

    #[test]
    fn what_wazuh_would_read_otherwise_is_refused() {
        let of = |rule_id: Option<&str>, group: Option<&str>| {
            Choice {
                rule_id: rule_id.map(str::to_owned),
                group: group.map(str::to_owned),
                ..Choice::default()
            }
            .elements()
            .is_ok()
        };
        assert!(of(Some("1,2"), None));
        assert!(!of(Some("5500-5599"), None));
        assert!(!of(None, Some("</group>")));
        assert!(!of(None, Some("")));
    }
}
