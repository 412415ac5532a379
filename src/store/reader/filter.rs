//! What alerts can be filtered by, as conditions.

use mongodb::bson::{Bson, DateTime, Document, doc};

/// Where a text is looked for: in alerts of Wazuh 4, and in those of Wazuh 5.
const TEXTS: [&str; 4] = [
    "rule.description",
    "full_log",
    "rule.title",
    "event.original",
];

/// Which alerts. Each that is set has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// `_site`.
    pub site: Option<String>,
    /// `_risk_score`: critical, high, medium, low.
    pub risk_score: Option<String>,
    /// `agent_id`.
    pub agent_id: Option<String>,
    /// `rule.id`.
    pub rule_id: Option<String>,
    /// One of `rule.groups`.
    pub group: Option<String>,
    /// One of `rule.mitre.id`.
    pub mitre: Option<String>,
    /// The least `rule.level`, 0 to 16
    /// (<https://documentation.wazuh.com/current/user-manual/ruleset/rules/rules-classification.html>).
    pub level_min: Option<i64>,
    /// The words of Wazuh 5 that stand for as much.
    pub level_words: Vec<&'static str>,
    /// Not before, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Before, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Text in what the rule or the log says, whatever its case.
    pub q: Option<String>,
}

/// One condition on one field.
pub(super) struct Part {
    pub(super) field: &'static str,
    pub(super) condition: Bson,
}

impl AlertFilter {
    /// Everything but site, time and text.
    pub(super) fn parts(&self) -> Vec<Part> {
        let equal = |field, value: &Option<String>| {
            let condition = Bson::from(value.clone()?);
            Some(Part { field, condition })
        };
        let level = self.levels().map(|levels| Part {
            field: "rule.level",
            condition: doc! { "$in": levels }.into(),
        });
        [
            equal("rule.mitre.id", &self.mitre),
            equal("rule.groups", &self.group),
            equal("rule.id", &self.rule_id),
            equal("agent_id", &self.agent_id),
            equal("_risk_score", &self.risk_score),
            level,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Each level that is let through: in an index each by itself is in the order of time.
    pub(super) fn levels(&self) -> Option<Vec<Bson>> {
        let numbers = (self.level_min?..=16).map(Bson::from);
        let words = self.level_words.iter().copied().map(Bson::from);
        Some(numbers.chain(words).collect())
    }

    /// The condition of the text, which no index knows.
    pub(super) fn text(&self) -> Document {
        self.text_below("").unwrap_or_default()
    }

    fn text_below(&self, prefix: &str) -> Option<Document> {
        let pattern = doc! { "$regex": escape(self.q.as_ref()?), "$options": "i" };
        let one = |field| doc! { format!("{prefix}{field}"): pattern.clone() };
        Some(doc! { "$or": TEXTS.map(one).to_vec() })
    }

    /// Everything but the site, of documents whose fields lie below `prefix`.
    pub(super) fn whole(&self, prefix: &str) -> Vec<Document> {
        let below = |name: &str| format!("{prefix}{name}");
        let mut all: Vec<Document> = self
            .parts()
            .into_iter()
            .map(|part| doc! { below(part.field): part.condition })
            .collect();
        if let Some(since) = self.since {
            all.push(doc! { below("_timestamp"): { "$gte": DateTime::from_millis(since) } });
        }
        if let Some(until) = self.until {
            all.push(doc! { below("_timestamp"): { "$lt": DateTime::from_millis(until) } });
        }
        all.extend(self.text_below(prefix));
        all
    }
}

/// The text as a regular expression that finds just it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_not_a_pattern() {
        assert_eq!(escape("a.b (c)"), "a\\.b \\(c\\)");
        assert_eq!(escape("Zoé 7"), "Zoé 7");
    }
}
