//! The settings file that a new installation begins with: the annotated sample, with what was asked
//! for switched on.

use anyhow::{Result, bail};

use crate::setting::Secret;
use crate::store;

/// The sample.
const SAMPLE: &str = include_str!("../../../packaging/config/custom-mongo.toml");

/// What is switched on.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// `store.uri`, which must not hold a password: it came by the command line.
    pub uri: Option<String>,
    /// `store.password_file`.
    pub password_file: Option<String>,
    /// `enrich.retention`, the same for all risks; None is for ever.
    pub retention: Option<String>,
}

impl Wish {
    /// Refuses what would put a secret where everybody can see it.
    ///
    /// # Errors
    ///
    /// Says where the password belongs.
    pub fn check(&self) -> Result<()> {
        let Some(uri) = &self.uri else {
            return Ok(());
        };
        let store = store::Settings {
            uri: Some(Secret::new(uri)),
            ..store::Settings::default()
        };
        if store.has_password_in_uri() {
            bail!(
                "--uri holds a password, which everybody sees in the list of processes; put it into a file (root:wazuh, mode 0640) and name that with --password-file"
            );
        }
        store.uri()?;
        Ok(())
    }

    /// The settings file.
    ///
    /// # Errors
    ///
    /// Names a value that cannot be written.
    pub fn text(&self) -> Result<String> {
        let mut text = SAMPLE.to_owned();
        let store = [("uri", &self.uri), ("password_file", &self.password_file)];
        for (key, value) in store {
            if let Some(value) = value {
                text = switched_on(&text, "[store]", key, value)?;
            }
        }
        if let Some(span) = &self.retention {
            for risk in ["low", "medium", "high", "critical"] {
                text = switched_on(&text, "[enrich.retention]", risk, span)?;
            }
        }
        Ok(text)
    }
}

/// The sample with one of its settings in use.
fn switched_on(text: &str, section: &str, key: &str, value: &str) -> Result<String> {
    if value.contains(char::is_control) {
        bail!("{key}: no control characters can be in a setting");
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    let off = format!("#: {key} = ");
    let mut inside = false;
    let mut done = false;
    let mut out = String::with_capacity(text.len() + value.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            inside = line.trim_end() == section;
        }
        if inside && !done && line.starts_with(&off) {
            out.extend([key, " = \"", &value, "\"\n"]);
            done = true;
        } else {
            out.push_str(line);
        }
    }
    if done {
        Ok(out)
    } else {
        bail!("the sample has no {key} in {section}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_switched_on_in_its_own_section() {
        let wish = Wish {
            uri: Some("mongodb://u@h/?replicaSet=\"rs0\"".into()),
            password_file: Some("/var/ossec/etc/p".into()),
            retention: Some("90 d".into()),
        };
        let text = wish.text().unwrap();
        let table: toml::Table = text.parse().unwrap();
        let store = &table["store"];
        assert_eq!(store["uri"].as_str(), wish.uri.as_deref());
        assert_eq!(
            store["password_file"].as_str(),
            wish.password_file.as_deref()
        );
        assert_eq!(table["wazuh_api"].as_table().unwrap().len(), 0);
        let retention = table["enrich"]["retention"].as_table().unwrap();
        assert_eq!(retention.len(), 4);
        assert!(retention.values().all(|span| span.as_str() == Some("90 d")));
        assert_eq!(Wish::default().text().unwrap(), SAMPLE);
    }

    #[test]
    fn a_password_on_the_command_line_is_refused_without_being_repeated() {
        let of = |uri: &str| {
            let uri = Some(uri.to_owned());
            Wish {
                uri,
                ..Wish::default()
            }
            .check()
        };
        assert!(of("mongodb://u@h:27017/?authSource=x").is_ok());
        let refused = of("mongodb://u:hunter2@h").unwrap_err().to_string();
        assert!(refused.contains("--password-file") && !refused.contains("hunter2"));
        assert!(of("http://h").is_err());
    }
}
