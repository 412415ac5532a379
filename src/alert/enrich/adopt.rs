//! A document that the Python service stored becomes one of ours: the same identity as the hook's or
//! `follow`'s copy of the alert, typed times, and every field that is in it. Nothing is lost: what
//! gives way to a field of ours is kept in `_original`, and so is an `_id` that nothing else repeats.

use super::parts::Ours;
use super::{Document, Enricher, Facts, Receipt, Risk, Source, begin, is_ours, set_id};
use crate::alert::bson::{self, Element, Writer, tag};
use crate::alert::{Alert, identity, time};

mod merged;
#[cfg(test)]
mod tests;

pub use merged::merged;

/// `_source` of what was converted.
const SOURCE: &str = "migrate";
/// Fields of an alert that the Python service added; each is kept if it says what ours says.
const ITS_OWN: [&[u8]; 4] = [
    b"_assessment_category",
    b"_processed_at",
    b"_risk_score",
    b"agent_id",
];

impl Enricher {
    /// The document (BSON) as this version writes it; none if it is no alert. `now` in milliseconds
    /// since 1970 stands in for a time of receipt that is not known.
    pub fn adopt(&mut self, stored: &[u8], now: i64) -> Option<Document<'_>> {
        let old = Old::of(stored);
        self.out.clear();
        let whole = begin(&mut self.out);
        old.write_alert(&mut self.out);
        let body = self.out.len();
        old.write_original(Keep::Fields, &mut self.out);
        let alert = Alert {
            document: self.out.bytes(),
        };
        let timestamp = alert.timestamp_text();
        if timestamp.is_none() && alert.field(&["rule"]).is_none() {
            return None;
        }
        let risk = old.risk().unwrap_or_else(|| self.risk(alert));
        let id = identity::of_fields(alert, &self.site)
            .unwrap_or_else(|| identity::of_content(alert, "_id", None, &self.site));
        let agent_id = alert.text(&["agent", "id"]).filter(|id| !id.is_empty());
        let agent_id = old.text(b"agent_id").or(agent_id.as_deref());
        let facts = Facts {
            id,
            agent_id: agent_id.unwrap_or("unknown").to_owned(),
            risk,
            category: old
                .text(b"_assessment_category")
                .unwrap_or_else(|| self.category(alert))
                .to_owned(),
            timestamp: timestamp.as_deref().and_then(time::parse),
            labels: Vec::new(),
            full_log: 0,
        };
        let received_at = old.received_at().or(facts.timestamp).unwrap_or(now);
        self.out.truncate(body);
        old.write_original(Keep::All, &mut self.out);
        let receipt = Receipt {
            received_at,
            source: Source::Backfill,
            options: &[],
        };
        let expires_at = self.expire_at(&facts, &receipt);
        let ours = Ours {
            facts: &facts,
            site: &self.site,
            source: SOURCE,
            received_at,
            expires_at,
        };
        ours.write(&mut self.out);
        self.out.close(whole);
        set_id(&mut self.out, &facts.id);
        Some(Document {
            bson: self.out.bytes(),
            time: facts.timestamp.unwrap_or(received_at),
            expires_at,
            brittle: false,
        })
    }
}

/// What goes into `_original`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Fields of the alert that bear our names.
    Fields,
    /// Also the `_id` that it had.
    All,
}

/// The document as the Python service left it.
struct Old<'a> {
    fields: Vec<Element<'a>>,
}

impl<'a> Old<'a> {
    fn of(stored: &'a [u8]) -> Self {
        let fields = bson::elements(stored).collect();
        Self { fields }
    }

    fn field(&self, name: &[u8]) -> Option<Element<'a>> {
        self.fields.iter().find(|field| field.name == name).copied()
    }

    fn text(&self, name: &[u8]) -> Option<&'a str> {
        let text = self.field(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    fn risk(&self) -> Option<Risk> {
        [Risk::Low, Risk::Medium, Risk::High, Risk::Critical]
            .into_iter()
            .find(|risk| self.text(b"_risk_score") == Some(risk.name()))
    }

    /// As it wrote it: a date, or the text of one in UTC. Else what MongoDB's own id tells.
    fn received_at(&self) -> Option<i64> {
        let said = self.field(b"_processed_at").and_then(millis);
        said.or_else(|| self.field(b"_id").and_then(millis))
    }

    /// Everything that is not ours to say.
    fn write_alert(&self, out: &mut Writer) {
        let id = self.field(b"_id");
        if self.field(b"id").is_none()
            && let Some(text) = id.and_then(|id| id.as_str())
        {
            out.string("id", text);
        }
        for field in self.fields.iter().filter(|field| !is_ours(field.name)) {
            if field.name == b"agent" && self.has_made_agent() {
                write_agent(*field, out);
            } else {
                keep(*field, out);
            }
        }
    }

    /// It wrote `unknown` also where no alert has it.
    fn has_made_agent(&self) -> bool {
        let id = self
            .field(b"agent")
            .and_then(|agent| bson::find(agent.value, &["id"]));
        self.text(b"agent_id") == Some("unknown")
            && id.and_then(|id| id.as_str()) == Some("unknown")
    }

    fn write_original(&self, what: Keep, out: &mut Writer) {
        let is_taken_over = |field: &Element<'_>| match field.name {
            b"_processed_at" => millis(*field).is_some(),
            b"_risk_score" => self.risk().is_some(),
            name => ITS_OWN.contains(&name) && self.text(name).is_some(),
        };
        let mut kept: Vec<_> = self
            .fields
            .iter()
            .filter(|field| is_ours(field.name) && field.name != b"_id" && !is_taken_over(field))
            .collect();
        let id = self.field(b"_id");
        let repeated = id
            .and_then(|id| id.as_str())
            .is_some_and(|id| self.field(b"id").is_none() || self.text(b"id") == Some(id));
        kept.extend(id.iter().filter(|_| what == Keep::All && !repeated));
        if kept.is_empty() {
            return;
        }
        out.key(tag::DOCUMENT, b"_original");
        let original = out.open();
        for field in kept {
            keep(*field, out);
        }
        out.close(original);
    }
}

/// Without the id that no alert had.
fn write_agent(agent: Element<'_>, out: &mut Writer) {
    let mut rest = bson::elements(agent.value)
        .filter(|field| field.name != b"id")
        .peekable();
    if rest.peek().is_none() {
        return;
    }
    out.key(tag::DOCUMENT, b"agent");
    let mark = out.open();
    rest.for_each(|field| keep(field, out));
    out.close(mark);
}

/// Milliseconds since 1970 of a date, of the text of one, or of an id of MongoDB's own.
fn millis(field: Element<'_>) -> Option<i64> {
    match field.tag {
        tag::DATE => Some(i64::from_le_bytes(field.value.try_into().ok()?)),
        tag::STRING => {
            let text = field.as_str()?;
            time::parse(text).or_else(|| time::parse(&format!("{text}Z")))
        }
        tag::OBJECT_ID => {
            let seconds = field.value.first_chunk()?;
            Some(i64::from(u32::from_be_bytes(*seconds)) * 1000)
        }
        _ => None,
    }
}

/// Copies a field; integers become as wide as ours all are, so that one alert has one identity.
fn keep(field: Element<'_>, out: &mut Writer) {
    match field.tag {
        tag::INT32 => {
            let number = field.value.try_into().map(i32::from_le_bytes);
            out.key(tag::INT64, field.name);
            out.raw(&i64::from(number.unwrap_or_default()).to_le_bytes());
        }
        tag::DOCUMENT | tag::ARRAY => {
            out.key(field.tag, field.name);
            let mark = out.open();
            bson::elements(field.value).for_each(|inner| keep(inner, out));
            out.close(mark);
        }
        _ => {
            out.key(field.tag, field.name);
            out.raw(field.value);
        }
    }
}
