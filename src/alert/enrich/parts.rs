//! The parts of a document that are made of more than one value: `_original`, `_options`, `_raw`,
//! `_agent`, and the copy of a rule.

use super::super::NotAnAlert;
use super::super::bson::{self, Writer, tag};
use super::super::convert::{self, Reserved};
use super::super::defect::{Defects, What};
use super::{Facts, SCHEMA};

/// What every document has of ours, however its alert came.
pub(super) struct Ours<'a> {
    pub(super) facts: &'a Facts,
    pub(super) site: &'a str,
    pub(super) source: &'a str,
    /// In milliseconds since 1970, as `expires_at`.
    pub(super) received_at: i64,
    pub(super) expires_at: Option<i64>,
}

impl Ours<'_> {
    pub(super) fn write(&self, out: &mut Writer) {
        out.string("agent_id", &self.facts.agent_id);
        out.string("_risk_score", self.facts.risk.name());
        out.string("_assessment_category", &self.facts.category);
        out.date("_processed_at", self.received_at);
        if let Some(timestamp) = self.facts.timestamp {
            out.date("_timestamp", timestamp);
        }
        out.string("_source", self.source);
        out.string("_site", self.site);
        out.int("_schema", SCHEMA);
        if let Some(at) = self.expires_at {
            out.date("_expire_at", at);
        }
    }
}

/// The alert's own fields of our names.
pub(super) fn original(
    reserved: &[Reserved<'_>],
    out: &mut Writer,
    defects: &mut Defects,
) -> Result<(), NotAnAlert> {
    if reserved.is_empty() {
        return Ok(());
    }
    out.key(tag::DOCUMENT, b"_original");
    let original = out.open();
    let mut written: Vec<&str> = Vec::new();
    for field in reserved {
        if written.contains(&field.name.as_str()) {
            defects.note_field(&format!("_original.{}", field.name), What::RepeatedKey);
            continue;
        }
        written.push(&field.name);
        convert::value(&field.name, field.value, 2, out, defects)?;
    }
    out.close(original);
    Ok(())
}

pub(super) fn options(options: &[u8], out: &mut Writer, defects: &mut Defects) {
    let text = options.trim_ascii();
    if text.is_empty() {
        return;
    }
    let before = out.len();
    if convert::value("_options", text, 1, out, defects).is_err() {
        out.truncate(before);
        out.string("_options", &String::from_utf8_lossy(text));
        defects.note_field("_options", What::Options);
    }
}

/// The original text: as text if it is UTF-8, else as binary.
pub(super) fn raw_text(raw: &[u8], out: &mut Writer) {
    match std::str::from_utf8(raw) {
        Ok(text) => out.string("_raw", text),
        Err(_) => out.binary("_raw", raw),
    }
}

/// Alerts of Wazuh 5 that have their rule under `wazuh` alone get a copy where Wazuh 4 has it: filters,
/// statistics and indexes know one place. `_rule_from` says that it is one.
pub(super) fn rule(out: &mut Writer) {
    if bson::find(out.bytes(), &["rule"]).is_some() {
        return;
    }
    let rule = bson::find(out.bytes(), &["wazuh", "rule"]);
    if let Some(rule) = rule.filter(|rule| rule.tag == tag::DOCUMENT) {
        let rule = rule.value.to_vec();
        out.key(tag::DOCUMENT, b"rule");
        out.raw(&rule);
        out.string("_rule_from", "wazuh.rule");
    }
}

/// What is known of the agent, and the labels of the settings, which count before its own.
pub(super) fn agent(known: Option<&Vec<u8>>, labels: &[(String, String)], out: &mut Writer) {
    let known = known.map_or(&[][..], Vec::as_slice);
    if known.is_empty() && labels.is_empty() {
        return;
    }
    out.key(tag::DOCUMENT, b"_agent");
    let agent = out.open();
    let mut own = &[][..];
    for field in bson::elements(known) {
        if field.name == b"labels" && field.tag == tag::DOCUMENT {
            own = field.value;
        } else {
            out.key(field.tag, field.name);
            out.raw(field.value);
        }
    }
    if !own.is_empty() || !labels.is_empty() {
        out.key(tag::DOCUMENT, b"labels");
        let list = out.open();
        let is_set = |name: &[u8]| labels.iter().any(|(ours, _)| ours.as_bytes() == name);
        for field in bson::elements(own).filter(|field| !is_set(field.name)) {
            out.key(field.tag, field.name);
            out.raw(field.value);
        }
        for (name, value) in labels {
            out.string(&name.replace('\0', ""), value);
        }
        out.close(list);
    }
    out.close(agent);
}
