//! The alert as data: read leniently from whatever bytes came, with its identity, its time and its
//! level. Nothing that is a JSON object is refused. No clock, no disk, no network.

use std::borrow::Cow;

pub mod completion;
pub mod enrich;
pub mod posted;
pub mod search;
pub mod stored;

pub(crate) mod bson;
mod convert;
mod defect;
mod facts;
mod identity;
mod json;
mod number;
mod redact;
pub mod time;
mod when;

#[cfg(test)]
mod tests;

use bson::Element;
pub use facts::{Facts, facts};
pub use json::SyntaxError;
pub use when::When;

/// The largest text that is taken in. Wazuh drops lines over 64 KiB before they reach an
/// integration, and re-printing enlarges one six times at most (`os_integrator/integrator.c`).
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Why a text is not an alert.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAnAlert {
    /// Nothing but white space: a full /tmp leaves empty alert files.
    #[error("the alert is empty; is /tmp full?")]
    Empty,
    /// The seven `key='value'` lines of another alert format.
    #[error(
        "the alert is not JSON but key='value' lines; set <alert_format>json</alert_format> in the integration's block in ossec.conf"
    )]
    PlainFormat,
    /// JSON, but not an object.
    #[error("the alert is JSON but not an object")]
    NotAnObject,
    /// Not JSON, or cut off.
    #[error("the alert cannot be read: {0}{hint}", hint = cut_hint(.0))]
    Syntax(#[from] SyntaxError),
}

fn cut_hint(error: &SyntaxError) -> &'static str {
    match error {
        SyntaxError::Cut(_) => "; is /tmp full?",
        _ => "",
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text without a byte order mark and white space around it, if it may be a JSON object.
/// The second value says whether there was a byte order mark.
fn trim(raw: &[u8]) -> Result<(&[u8], bool), NotAnAlert> {
    let unmarked = raw.strip_prefix(BYTE_ORDER_MARK);
    let text = unmarked.unwrap_or(raw).trim_ascii();
    match text.first() {
        None => Err(NotAnAlert::Empty),
        Some(b'{') => Ok((text, unmarked.is_some())),
        Some(_) if is_plain_format(text) => Err(NotAnAlert::PlainFormat),
        Some(_) if is_json(text) => Err(NotAnAlert::NotAnObject),
        Some(_) => Err(SyntaxError::Unexpected(0).into()),
    }
}

/// Wazuh's other format begins `alertdate='…'`; each line is a name, `='` and a text.
fn is_plain_format(text: &[u8]) -> bool {
    let name = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    let rest = text.get(name.count()..).unwrap_or_default();
    rest.starts_with(b"='")
}

fn is_json(text: &[u8]) -> bool {
    let mut reader = json::Reader::new(text, 0);
    reader.skip_value().is_ok() && reader.finish().is_ok()
}

/// Says in microseconds whether a text is an alert, without reading what is in it.
///
/// # Errors
///
/// Why it is not one.
pub fn validate(raw: &[u8]) -> Result<(), NotAnAlert> {
    let (text, _) = trim(raw)?;
    let mut reader = json::Reader::new(text, 0);
    reader.skip_value()?;
    Ok(reader.finish()?)
}

/// An alert that has been written as BSON; the bytes may still lack the document's end.
#[derive(Clone, Copy)]
struct Alert<'a> {
    document: &'a [u8],
}

impl<'a> Alert<'a> {
    /// A field where Wazuh 4 has it, else where Wazuh 5's notifications have it.
    fn field(self, path: &[&str]) -> Option<Element<'a>> {
        let found = bson::find(self.document, path);
        found
            .filter(|found| found.tag != bson::tag::NULL)
            .or_else(|| {
                let wazuh = bson::find(self.document, &["wazuh"])?;
                wazuh
                    .is_container()
                    .then(|| bson::find(wazuh.value, path))?
            })
    }

    fn text(self, path: &[&str]) -> Option<Cow<'a, str>> {
        let field = self.field(path)?;
        let number = || field.as_i64().map(|number| Cow::Owned(number.to_string()));
        field.as_str().map(Cow::Borrowed).or_else(number)
    }

    fn timestamp_text(self) -> Option<Cow<'a, str>> {
        self.text(&["timestamp"])
            .or_else(|| self.text(&["@timestamp"]))
    }

    /// The rule's level as a number, also from text, or the word of Wazuh 5.
    fn level(self) -> Level<'a> {
        let Some(field) = self.field(&["rule", "level"]) else {
            return Level::Number(0.0);
        };
        if let Some(number) = field.as_f64() {
            return Level::Number(number);
        }
        match self.text(&["rule", "level"]) {
            Some(text) => text.trim().parse().map_or(Level::Word(text), Level::Number),
            None => Level::Number(0.0),
        }
    }

    /// `rule.groups`: a list, or one text with commas.
    fn groups(self) -> impl Iterator<Item = &'a str> {
        let field = self.field(&["rule", "groups"]);
        let list = field.filter(Element::is_container);
        let items = list.into_iter().flat_map(|list| bson::elements(list.value));
        let one = field.and_then(|field| field.as_str()).unwrap_or_default();
        let parts = one
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        items.filter_map(|item| item.as_str()).chain(parts)
    }
}

/// How grave Wazuh says the alert is.
#[derive(Debug, Clone, PartialEq)]
pub enum Level<'a> {
    /// 0 to 16.
    Number(f64),
    /// A word of Wazuh 5: `low`, `medium`, `high`, `critical`.
    Word(Cow<'a, str>),
}
