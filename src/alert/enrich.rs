//! What is added to an alert: a pure function of its bytes, how it arrived, and the settings.
//! The document is written in one pass into a buffer that is kept from one alert to the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::bson::{Mark, Writer, tag};
use super::convert;
use super::defect::{Defects, What};
use super::identity::{self, Identity};
use super::redact::Redactor;
use super::{Alert, Level, NotAnAlert, time, trim};

mod adopt;
mod parts;
mod settings;
mod source;

pub use adopt::merged;
pub use settings::{Bands, RedactSettings, Settings};
pub use source::Source;

/// The version of the documents that this program writes, `_schema`.
pub const SCHEMA: i64 = 1;

/// Names at the top of a document that are ours; an alert's own field of such a name moves to
/// `_original`.
const OURS: [&str; 22] = [
    "_id",
    "_agent",
    "_assessment_category",
    "_before_migration",
    "_completed_at",
    "_completed_from",
    "_defects",
    "_erased_at",
    "_erasure",
    "_expire_at",
    "_options",
    "_original",
    "_processed_at",
    "_raw",
    "_redacted",
    "_risk_score",
    "_rule_from",
    "_schema",
    "_site",
    "_source",
    "_timestamp",
    "agent_id",
];

/// How long the document of the built-in sample lives.
const SAMPLE_LIFE_MS: i64 = 3_600_000;

/// How an alert arrived.
#[derive(Debug, Clone, Copy)]
pub struct Receipt<'a> {
    /// When, in milliseconds since 1970; stays the same however long the alert lies in the spool.
    pub received_at: i64,
    /// By which way.
    pub source: Source,
    /// The bytes of the `<options>` file, empty if there was none.
    pub options: &'a [u8],
}

/// What is known of agents, by id: BSON documents, of which an alert gets the fields in `_agent`.
pub type Agents = HashMap<String, Vec<u8>>;

/// Four grades of risk, `_risk_score`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Risk {
    Low,
    Medium,
    High,
    Critical,
}

impl Risk {
    fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Turns alerts into documents; keeps its buffers.
#[derive(Debug, Clone)]
pub struct Enricher {
    site: String,
    settings: Settings,
    redactor: Redactor,
    agents: Arc<Agents>,
    out: Writer,
    spare: Writer,
}

/// A document that is ready to be written.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// BSON.
    pub bson: &'a [u8],
    /// When it happened, in milliseconds since 1970; when it was received where it does not say.
    pub time: i64,
    /// When MongoDB will delete it, in milliseconds since 1970; none is never.
    pub expires_at: Option<i64>,
    /// Whether the hook's copy of the same alert may be poorer: wazuh-integratord passes numbers
    /// through a double, ends texts at NUL and may cut `full_log`.
    pub brittle: bool,
}

impl<'a> Document<'a> {
    /// `_id`: 32 hex digits.
    pub fn id(&self) -> &'a str {
        let id = self.bson.get(ID_AT..ID_AT + identity::LENGTH);
        std::str::from_utf8(id.unwrap_or_default()).unwrap_or_default()
    }
}

/// What is read from an alert before anything is added to it.
struct Facts {
    id: Identity,
    agent_id: String,
    risk: Risk,
    category: String,
    timestamp: Option<i64>,
    labels: Vec<(String, String)>,
    /// Its length in bytes.
    full_log: usize,
}

/// A block of another format before ours in ossec.conf cuts `full_log` to 165 bytes
/// (`os_integrator/integrator.c`); the last of them may be dots.
pub(super) const CUT_FULL_LOG: usize = 160;

impl Enricher {
    /// Prepares the settings for use; `site` is part of every identity.
    ///
    /// # Errors
    ///
    /// Names the pattern that is not a regular expression.
    pub fn new(site: &str, settings: &Settings, redact: &RedactSettings) -> Result<Self, String> {
        Ok(Self {
            site: site.to_owned(),
            settings: settings.clone(),
            redactor: Redactor::new(&redact.keys.0, &redact.patterns.0)?,
            agents: Arc::default(),
            out: Writer::default(),
            spare: Writer::default(),
        })
    }

    /// Where the bands of risk begin.
    pub fn bands(&self) -> &Bands {
        &self.settings.risk
    }

    /// Whether alerts shall carry what is known of their agent.
    pub fn wants_agents(&self) -> bool {
        self.settings.agents.0
    }

    /// From now on alerts of these agents carry what is known of them, in `_agent`.
    pub fn know(&mut self, agents: Arc<Agents>) {
        self.agents = agents;
    }

    /// Reads an alert and writes its document.
    ///
    /// # Errors
    ///
    /// Why the text is not an alert.
    pub fn document(
        &mut self,
        raw: &[u8],
        receipt: &Receipt<'_>,
    ) -> Result<Document<'_>, NotAnAlert> {
        let (text, marked) = trim(raw)?;
        let mut defects = Defects::default();
        if marked {
            defects.note_field("", What::ByteOrderMark);
        }
        self.out.clear();
        let begin = begin(&mut self.out);
        let body = self.out.len();
        let reserved = convert::fields(text, &mut self.out, &mut defects, is_ours)?;
        parts::original(&reserved, &mut self.out, &mut defects)?;
        let lost = defects.is_lossy().then_some(raw);
        let facts = self.facts(&mut defects, lost);
        parts::options(receipt.options, &mut self.out, &mut defects);
        self.redact_and_keep(body, lost);
        let expires_at = self.expire_at(&facts, receipt);
        self.add(&facts, receipt, &defects, expires_at);
        self.out.close(begin);
        set_id(&mut self.out, &facts.id);
        Ok(Document {
            bson: self.out.bytes(),
            time: facts.timestamp.unwrap_or(receipt.received_at),
            expires_at,
            brittle: defects.is_brittle() || facts.full_log > CUT_FULL_LOG,
        })
    }

    fn facts(&self, defects: &mut Defects, lost: Option<&[u8]>) -> Facts {
        let alert = Alert {
            document: self.out.bytes(),
        };
        let time = alert.timestamp_text();
        let timestamp = time.as_deref().and_then(time::parse);
        if timestamp.is_none() && (time.is_some() || alert.field(&["timestamp"]).is_some()) {
            defects.note_field("timestamp", What::Timestamp);
        }
        let agent_id = alert.text(&["agent", "id"]).filter(|id| !id.is_empty());
        let agent_id = agent_id.as_deref().unwrap_or("unknown");
        let identity = identity::of_fields(alert, &self.site);
        Facts {
            id: identity.unwrap_or_else(|| identity::of_content(alert, "_id", lost, &self.site)),
            risk: self.risk(alert),
            category: self.category(alert).to_owned(),
            timestamp,
            labels: self.labels(alert, agent_id),
            agent_id: agent_id.to_owned(),
            full_log: alert.field(&["full_log"]).map_or(0, |log| log.value.len()),
        }
    }

    fn risk(&self, alert: Alert<'_>) -> Risk {
        let bands = &self.settings.risk;
        match alert.level() {
            #[expect(clippy::cast_precision_loss, reason = "levels are 0 to 16")]
            Level::Number(level) => match level {
                _ if level >= bands.critical.0 as f64 => Risk::Critical,
                _ if level >= bands.high.0 as f64 => Risk::High,
                _ if level >= bands.medium.0 as f64 => Risk::Medium,
                _ => Risk::Low,
            },
            Level::Word(word) => match word.trim().to_ascii_lowercase().as_str() {
                "critical" => Risk::Critical,
                "high" => Risk::High,
                "medium" => Risk::Medium,
                _ => Risk::Low,
            },
        }
    }

    fn category(&self, alert: Alert<'_>) -> &str {
        let map = &self.settings.categories;
        let found = alert.groups().find_map(|group| map.get(group));
        let default = self.settings.category.as_ref();
        found.or(default).map_or("configuration", String::as_str)
    }

    fn labels(&self, alert: Alert<'_>, agent_id: &str) -> Vec<(String, String)> {
        if self.settings.labels.is_empty() {
            return Vec::new();
        }
        let name = alert.text(&["agent", "name"]);
        let names = ["*", name.as_deref().unwrap_or_default(), agent_id];
        let sets = names
            .iter()
            .filter_map(|name| self.settings.labels.get(*name));
        // Later ones are the more particular ones and win.
        let merged: BTreeMap<_, _> = sets.flatten().collect();
        let owned = |(key, value): (&String, &String)| (key.clone(), value.clone());
        merged.into_iter().map(owned).collect()
    }

    /// Applies redaction to everything from `body` on, then adds the original text if it is needed.
    fn redact_and_keep(&mut self, body: usize, lost: Option<&[u8]>) {
        if self.redactor.is_off() {
            if let Some(raw) = lost {
                parts::raw_text(raw, &mut self.out);
            }
            return;
        }
        // `elements` steps over four bytes of length in front of the first element.
        let fields = self.out.bytes().get(body - 4..).unwrap_or_default();
        self.spare.clear();
        let mut redacted = self.redactor.copy(fields, &mut self.spare);
        self.out.truncate(body);
        self.out.raw(self.spare.bytes());
        if lost.is_some() {
            // The original text may hold what has just been taken out.
            redacted.push("_raw".to_owned());
        }
        if !redacted.is_empty() {
            self.out.key(tag::ARRAY, b"_redacted");
            let paths = self.out.open();
            for (index, path) in redacted.iter().enumerate() {
                self.out.string(&index.to_string(), path);
            }
            self.out.close(paths);
        }
    }

    fn add(
        &mut self,
        facts: &Facts,
        receipt: &Receipt<'_>,
        defects: &Defects,
        expires_at: Option<i64>,
    ) {
        let out = &mut self.out;
        let ours = parts::Ours {
            facts,
            site: &self.site,
            source: receipt.source.name(),
            received_at: receipt.received_at,
            expires_at,
        };
        ours.write(out);
        parts::rule(out);
        parts::agent(self.agents.get(&facts.agent_id), &facts.labels, out);
        if !defects.is_empty() {
            defects.write(out);
        }
    }

    fn expire_at(&self, facts: &Facts, receipt: &Receipt<'_>) -> Option<i64> {
        if receipt.source == Source::Sample {
            return Some(receipt.received_at.saturating_add(SAMPLE_LIFE_MS));
        }
        let retention = &self.settings.retention;
        let kept = match facts.risk {
            Risk::Low => retention.low,
            Risk::Medium => retention.medium,
            Risk::High => retention.high,
            Risk::Critical => retention.critical,
        }?;
        let from = facts.timestamp.unwrap_or(receipt.received_at);
        Some(from.saturating_add(kept.as_millis()))
    }
}

fn is_ours(name: &[u8]) -> bool {
    // One look at the first byte spares most fields the comparison.
    matches!(name.first(), Some(b'_' | b'a')) && OURS.iter().any(|ours| ours.as_bytes() == name)
}

/// Opens the document with room for `_id`, so that it is the first field as in MongoDB itself.
fn begin(out: &mut Writer) -> Mark {
    let begin = out.open();
    out.string("_id", "00000000000000000000000000000000");
    begin
}

/// Behind the document's length, the type, `_id`, NUL and the text's length.
const ID_AT: usize = 4 + 1 + 4 + 4;

fn set_id(out: &mut Writer, id: &Identity) {
    if let Some(place) = out.buffer().get_mut(ID_AT..ID_AT + identity::LENGTH) {
        place.copy_from_slice(id);
    }
}
