//! Sections `enrich` and `redact`: what is added to an alert, and what is taken out.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::setting::{Count, List, Span, Switch};

/// Section `enrich`: what is added to each alert.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The lowest rule.level of each band of `_risk_score`.
    pub risk: Bands,
    /// `_assessment_category` of an alert of which no group is in `categories`.
    pub category: Option<String>,
    /// `_assessment_category` by rule group; the first of an alert's groups that is here counts.
    pub categories: BTreeMap<String, String>,
    /// How long alerts are kept, by `_risk_score`; without an entry for ever.
    pub retention: Retention,
    /// Labels by agent id or name (`*` for all), stored as `_agent.labels`.
    pub labels: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether `follow`, `backfill` and `serve` add what `collect` knows of the agent, as `_agent`.
    pub agents: Switch,
}

/// The lowest rule.level of each risk band; below `medium` it is low.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bands {
    /// From this level on the risk is medium.
    pub medium: Count,
    /// From this level on the risk is high.
    pub high: Count,
    /// From this level on the risk is critical.
    pub critical: Count,
}

impl Default for Bands {
    fn default() -> Self {
        Self {
            medium: Count(5),
            high: Count(8),
            critical: Count(12),
        }
    }
}

impl Bands {
    /// The lowest level that a word of Wazuh 5 stands for; 0 for `low` and for any other.
    pub fn lowest_level(&self, word: &str) -> i64 {
        let word = word.trim();
        let known = self.words().into_iter();
        let mut known = known.filter(|(name, _)| word.eq_ignore_ascii_case(name));
        known.next().map_or(0, |(_, lowest)| lowest)
    }

    /// The words of Wazuh 5 that stand for this level or a higher one.
    pub fn words_from(&self, least: i64) -> Vec<&'static str> {
        let grave = self.words().into_iter();
        let grave = grave.filter(|(_, lowest)| *lowest >= least);
        grave.map(|(name, _)| name).collect()
    }

    fn words(&self) -> [(&'static str, i64); 4] {
        [
            ("critical", self.critical.0),
            ("high", self.high.0),
            ("medium", self.medium.0),
            ("low", 0),
        ]
    }
}

/// How long alerts of each risk are kept, counted from their own time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Of alerts of low risk.
    pub low: Option<Span>,
    /// Of alerts of medium risk.
    pub medium: Option<Span>,
    /// Of alerts of high risk.
    pub high: Option<Span>,
    /// Of alerts of critical risk.
    pub critical: Option<Span>,
}

/// Section `redact`: secrets that are replaced by `[redacted]`; off while both lists are empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactSettings {
    /// Names of fields whose values are replaced, in any case; `*` at either end matches anything.
    pub keys: List,
    /// Regular expressions; what they match in an alert's texts is replaced.
    pub patterns: List,
}
