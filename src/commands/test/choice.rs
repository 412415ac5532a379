//! Who else has a say in whether an alert is stored: the conditions of section `filter` that could
//! not be asked, and what the integration's block in ossec.conf keeps from us.

use std::path::Path;

use super::Story;
use crate::alert::{self, Facts, Level};
use crate::filter::Filter;
use crate::home::Home;
use crate::ossec_conf;

/// Tells it, if there is anything to tell.
pub(super) fn tell(story: &mut Story, home: &Home, filter: &Filter, document: &[u8]) {
    let facts = alert::facts(document);
    if let Some(text) = by_wazuh(home, &facts) {
        story.tell("wazuh", text);
    }
    if let Some(text) = undecided(filter, &facts) {
        story.tell("filter", text);
    }
}

/// What the filter could not ask of the alert.
fn undecided(filter: &Filter, facts: &Facts<'_>) -> Option<String> {
    let undecided = filter.undecided(facts);
    let list = undecided.join(", ");
    (!undecided.is_empty()).then(|| format!("{list} could not be asked, the alert does not say"))
}

/// What wazuh-integratord would have done with the alert, unless it would have called us.
fn by_wazuh(home: &Home, facts: &Facts<'_>) -> Option<String> {
    let path = home.wazuh()?.join("etc/ossec.conf");
    // Not every call is near a manager, and whether the file is in order is for `check` to say.
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    not_written(&text, facts).or_else(|| not_handed_over(&text, facts))
}

fn not_written(ossec_conf: &str, facts: &Facts<'_>) -> Option<String> {
    let lowest = ossec_conf::log_alert_level(ossec_conf).ok()??;
    match facts.level {
        Some(Level::Number(level)) if level < f64::from(lowest) => Some(format!(
            "ossec.conf: rule.level is {level}, and Wazuh writes no alert below <log_alert_level>{lowest}</log_alert_level>"
        )),
        _ => None,
    }
}

fn not_handed_over(ossec_conf: &str, facts: &Facts<'_>) -> Option<String> {
    let blocks = ossec_conf::integrations(ossec_conf).ok()?;
    let ours = blocks.iter().filter(|block| is_ours(&block.name));
    let answers: Option<Vec<String>> = ours
        .map(|block| {
            let filter = Filter::from_integration(block).ok()?;
            let refusal = filter.refuses(facts)?;
            Some(format!("ossec.conf line {}: {refusal}", block.line))
        })
        .collect();
    // With several blocks one is enough that lets the alert through.
    let answers = answers.filter(|answers| !answers.is_empty())?;
    let answers = answers.join("; ");
    Some(format!(
        "{answers}; wazuh-integratord would not hand this alert over"
    ))
}

/// `<name>` is the name of the program in the `integrations` folder.
fn is_ours(name: &str) -> bool {
    let exe = std::env::current_exe().ok();
    let own = exe.as_deref().and_then(Path::file_name);
    own.is_some_and(|own| own == name)
}
