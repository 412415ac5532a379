//! Every setting that there is, by the annotated sample.

use super::super::good;
use super::{Home, faults};

const SAMPLE: &str = include_str!("../../../packaging/config/custom-mongo.toml");

/// A section and its settings, as the sample has them.
struct Section {
    name: String,
    settings: Vec<(String, String)>,
}

fn sections() -> Vec<Section> {
    let top = Section {
        name: String::new(),
        settings: Vec::new(),
    };
    let mut all = vec![top];
    for line in SAMPLE.lines() {
        let line = line.strip_prefix("#: ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_end_matches(']').to_owned();
            all.push(Section {
                name,
                settings: Vec::new(),
            });
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#'))
        {
            let setting = (key.to_owned(), value.to_owned());
            all.last_mut().unwrap().settings.push(setting);
        }
    }
    all
}

impl Section {
    /// As TOML, with one of its values in place of the sample's.
    fn text(&self, other: Option<(&str, &str)>) -> String {
        let value = |key: &str, own: &str| match other {
            Some((changed, value)) if changed == key => value.to_owned(),
            _ => own.to_owned(),
        };
        let lines = self.settings.iter();
        let lines = lines.map(|(key, own)| format!("{key} = {}\n", value(key, own)));
        let head = match self.name.as_str() {
            "" => String::new(),
            name => format!("[{name}]\n"),
        };
        head + &lines.collect::<String>()
    }
}

/// An array of arrays is a value of none of them.
#[test]
fn a_value_of_the_wrong_type_is_told_with_section_and_key_for_every_setting() {
    let home = Home::new();
    let mut count = 0;
    for section in sections() {
        for (key, _) in &section.settings {
            let fault = home.settings_fault(&section.text(Some((key, "[[7]]"))));
            let named = match section.name.as_str() {
                "" => format!("{key}: "),
                name => format!("[{}] {key}: ", name.replace('"', "")),
            };
            assert!(fault.detail.contains(&named), "{named}: {fault:?}");
            count += 1;
        }
        home.wazuh.raw_settings(&section.text(None));
        good(&home.check(), "settings");
    }
    assert!(count > 80, "{count} settings");
}

#[test]
fn a_key_that_is_not_in_the_sample_is_told_in_every_section() {
    let home = Home::new();
    let mut free = Vec::new();
    for section in sections() {
        let text = format!("{}frobnicate = \"1\"\n", section.text(None));
        home.wazuh.raw_settings(&text);
        let told = faults(&home.check());
        match told.iter().find(|fault| fault.name == "settings") {
            Some(fault) => assert!(
                fault.detail.contains("unknown key `frobnicate`"),
                "{fault:?}"
            ),
            None => free.push(section.name),
        }
    }
    let peoples_own = ["enrich.categories", "enrich.labels.\"*\""];
    assert_eq!(free, peoples_own);
}
