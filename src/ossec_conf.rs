//! Wazuh's ossec.conf, as far as it concerns integrations, read as Wazuh reads it
//! (`config/integrator-config.c` of 4.4 to 4.14). Other sections may hold what they like. Nothing of
//! the file is in an error: it has the other integrations' passwords.

use std::ops::Range;

use crate::setting::Secret;

pub mod edit;
mod elements;

#[cfg(test)]
mod tests;

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

/// Whether `<global><jsonout_output>` turns alerts.json off, which integratord reads: it is on unless
/// the last one says `no`.
///
/// # Errors
///
/// The line that Wazuh cannot read.
pub fn is_json_off(text: &str) -> Result<bool, Error> {
    let roots = elements::read(text)?;
    let children = sections(&roots, "global").flat_map(|global| &global.children);
    let outputs = children.filter(|child| child.name == "jsonout_output");
    Ok(outputs.last().is_some_and(|output| output.content == "no"))
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

/// What this node does in its cluster (`<cluster><node_type>`: `master` or `worker`); None if the
/// manager stands alone.
///
/// # Errors
///
/// The line that Wazuh cannot read.
pub fn cluster_role(text: &str) -> Result<Option<String>, Error> {
    let roots = elements::read(text)?;
    let Some(cluster) = sections(&roots, "cluster").last() else {
        return Ok(None);
    };
    let value = |name: &str| {
        let children = cluster.children.iter().filter(|child| child.name == name);
        children.map(|child| child.content.trim()).next_back()
    };
    let is_on = value("disabled") != Some("yes");
    Ok(value("node_type").filter(|_| is_on).map(str::to_owned))
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
