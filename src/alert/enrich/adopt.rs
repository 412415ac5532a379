//! A document that the Python service stored becomes one of ours: the same identity as the hook's or
//! `follow`'s copy of the alert, typed times, and every field that is in it. Nothing is lost: what
//! gives way to a field of ours is kept in `_original`, and so is an `_id` that nothing else repeats.

use super::{Document, Enricher, Facts, Receipt, Risk, SCHEMA, Source, begin, is_ours, set_id};
use crate::alert::bson::{self, Element, Writer, tag};
use crate::alert::{Alert, identity, time};

/// `_source` of what was converted.
const SOURCE: &str = "migrate";
/// Fields of an alert that the Python service added; each is kept if it says what ours says.
const ITS_OWN: [&[u8]; 4] = [
    b"_assessment_category",
    b"_processed_at",
    b"_risk_score",
    b"agent_id",
];
/// Where a copy of an alert leaves what the copy that stays says differently.
const OTHER_COPY: &str = "_before_migration";

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
        write_ours(&facts, &self.site, received_at, expires_at, &mut self.out);
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

fn write_ours(
    facts: &Facts,
    site: &str,
    received_at: i64,
    expires_at: Option<i64>,
    out: &mut Writer,
) {
    out.string("agent_id", &facts.agent_id);
    out.string("_risk_score", facts.risk.name());
    out.string("_assessment_category", &facts.category);
    out.date("_processed_at", received_at);
    if let Some(timestamp) = facts.timestamp {
        out.date("_timestamp", timestamp);
    }
    out.string("_source", SOURCE);
    out.string("_site", site);
    out.int("_schema", SCHEMA);
    if let Some(at) = expires_at {
        out.date("_expire_at", at);
    }
}

/// The stored document of an alert (ours) with what the adopted copy of the same alert has beyond it;
/// none if it has nothing. What the two say differently is kept beside, for people to decide.
pub fn merged(stored: &[u8], adopted: &[u8]) -> Option<Vec<u8>> {
    let mut added = Writer::default();
    let mut other = Writer::default();
    let differing = other.open();
    for field in bson::elements(adopted) {
        if is_ours(field.name) && field.name != b"_original" {
            continue;
        }
        match bson::elements(stored).find(|there| there.name == field.name) {
            None => keep(field, &mut added),
            Some(there) if there.value == field.value && there.tag == field.tag => {}
            Some(_) => keep(field, &mut other),
        }
    }
    other.close(differing);
    let earlier = bson::find(stored, &[OTHER_COPY]).filter(|list| list.tag == tag::ARRAY);
    let copies = || {
        earlier
            .into_iter()
            .flat_map(|list| bson::elements(list.value))
    };
    let is_empty = bson::elements(other.bytes()).next().is_none();
    let is_known = is_empty || copies().any(|copy| copy.value == other.bytes());
    if added.len() == 0 && is_known {
        return None;
    }
    let mut out = Writer::default();
    let whole = out.open();
    for field in bson::elements(stored).filter(|field| field.name != OTHER_COPY.as_bytes()) {
        keep(field, &mut out);
    }
    out.raw(added.bytes());
    let new = (!is_known).then_some(other.bytes());
    let all: Vec<&[u8]> = copies().map(|copy| copy.value).chain(new).collect();
    if !all.is_empty() {
        out.key(tag::ARRAY, OTHER_COPY.as_bytes());
        let list = out.open();
        for (index, copy) in all.into_iter().enumerate() {
            out.key(tag::DOCUMENT, index.to_string().as_bytes());
            out.raw(copy);
        }
        out.close(list);
    }
    out.close(whole);
    Some(out.bytes().to_vec())
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

#[cfg(test)]
mod tests {
    use ::bson::{Bson, Document as Tree, RawDocument, doc, oid::ObjectId};

    use super::*;
    use crate::alert::enrich::{RedactSettings, Settings};

    fn enricher() -> Enricher {
        Enricher::new("default", &Settings::default(), &RedactSettings::default()).unwrap()
    }

    fn tree(bytes: &[u8]) -> Tree {
        Tree::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap()
    }

    fn adopted(old: &Tree) -> Option<Tree> {
        let bytes = old.to_vec().unwrap();
        let mut enricher = enricher();
        enricher.adopt(&bytes, 5).map(|new| tree(new.bson))
    }

    fn by_hook(text: &str) -> Tree {
        let receipt = Receipt {
            received_at: 1_748_872_043_000,
            source: Source::Hook,
            options: &[],
        };
        let mut enricher = enricher();
        tree(enricher.document(text.as_bytes(), &receipt).unwrap().bson)
    }

    /// What the Python service made of an alert.
    fn by_python(text: &str) -> Tree {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let Bson::Document(mut old) = Bson::try_from(value).unwrap() else {
            panic!("no object");
        };
        let id = old.get("id").cloned();
        let agent = old.get_document("agent").ok();
        let agent = agent
            .and_then(|agent| agent.get_str("id").ok())
            .map(str::to_owned);
        if agent.is_none() {
            let mut agent = old.get_document("agent").cloned().unwrap_or_default();
            agent.insert("id", "unknown");
            old.insert("agent", agent);
        }
        old.insert("agent_id", agent.unwrap_or_else(|| "unknown".to_owned()));
        old.insert("_risk_score", "low");
        old.insert("_assessment_category", "configuration");
        old.insert("_processed_at", "2025-06-02T13:47:23.000000");
        let mut whole = doc! { "_id": id.unwrap_or_else(|| ObjectId::new().into()) };
        whole.extend(old);
        whole
    }

    const ALERTS: [&str; 3] = [
        include_str!("../../../tests/fixtures/golden/sshd.json"),
        include_str!("../../../tests/fixtures/golden/agentless.json"),
        include_str!("../../../tests/fixtures/golden/other_languages.json"),
    ];

    #[test]
    fn the_identity_is_that_of_the_copies_that_the_hook_and_follow_bring() {
        for text in ALERTS {
            let (ours, new) = (by_hook(text), adopted(&by_python(text)).unwrap());
            assert_eq!(new.get("_id"), ours.get("_id"), "{new}");
            assert_eq!(new.get("_timestamp"), ours.get("_timestamp"));
            for (name, value) in ours.iter().filter(|(name, _)| !name.starts_with('_')) {
                assert_eq!(new.get(name), Some(value), "{name}");
            }
            assert_eq!(new.get_str("_source").unwrap(), "migrate");
            let processed = new.get_datetime("_processed_at").unwrap();
            assert_eq!(processed.timestamp_millis(), 1_748_872_043_000);
        }
    }

    #[test]
    fn the_order_and_the_types_of_what_people_added_stay() {
        let mut old = by_python(ALERTS[0]);
        let case = ObjectId::new();
        old.insert("case", case);
        old.insert("closed", doc! { "by": "ana", "re": ::bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() } });
        old.insert("last", true);
        let new = adopted(&old).unwrap();
        assert_eq!(new.get_object_id("case").unwrap(), case);
        assert_eq!(new.get("closed"), old.get("closed"));
        assert!(new.get_bool("last").unwrap());
        assert!(!new.contains_key("_original"), "{new}");
    }

    #[test]
    fn an_id_that_nothing_repeats_and_fields_of_our_names_are_kept() {
        let id = ObjectId::new();
        let old = doc! {
            "_id": id, "timestamp": "2025-06-02T21:47:23.199+0800", "rule": { "level": 5 },
            "_source": "elastic", "_risk_score": 7, "agent_id": "001",
        };
        let new = adopted(&old).unwrap();
        let original = new.get_document("_original").unwrap();
        assert_eq!(original.get_object_id("_id").unwrap(), id);
        assert_eq!(original.get_str("_source").unwrap(), "elastic");
        assert_eq!(original.get_i64("_risk_score").unwrap(), 7);
        assert_eq!(new.get_str("_risk_score").unwrap(), "medium");
        let processed = new.get_datetime("_processed_at").unwrap();
        assert_eq!(
            processed.timestamp_millis(),
            id.timestamp().timestamp_millis()
        );
    }

    #[test]
    fn what_is_no_alert_is_left_alone() {
        assert_eq!(
            adopted(&doc! { "_id": 1, "note": "a config document" }),
            None
        );
    }

    #[test]
    fn a_second_copy_adds_what_the_first_lacks_and_keeps_what_differs_beside_it() {
        let ours = by_hook(ALERTS[0]).to_vec().unwrap();
        let mut old = by_python(ALERTS[0]);
        let same = enricher()
            .adopt(&old.to_vec().unwrap(), 5)
            .unwrap()
            .bson
            .to_vec();
        assert_eq!(merged(&ours, &same), None);
        old.insert("status", "closed");
        old.insert("location", "changed by hand");
        let other = enricher()
            .adopt(&old.to_vec().unwrap(), 5)
            .unwrap()
            .bson
            .to_vec();
        let once = merged(&ours, &other).unwrap();
        let both = tree(&once);
        assert_eq!(both.get_str("status").unwrap(), "closed");
        assert_eq!(both.get_str("_source").unwrap(), "hook");
        let copies = both.get_array("_before_migration").unwrap();
        assert_eq!(
            copies[0].as_document().unwrap(),
            &doc! { "location": "changed by hand" }
        );
        assert_eq!(
            merged(&once, &other),
            None,
            "a run that was killed does it again"
        );
    }
}
