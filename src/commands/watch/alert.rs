//! An alert as a line: for people in the columns of their terminal, for programs with tabs.

use serde_json::Value;

use crate::alert::time::rfc3339;
use crate::commands::screen::{Colours, Look, Size, clean, fit, width};
use crate::store::reader::{Record, Shape};

/// What is shown of an alert. All of it is clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    /// RFC 3339 in UTC; as Wazuh wrote it, where nothing else is known.
    time: String,
    pub(super) risk: String,
    level: String,
    site: String,
    agent: String,
    name: String,
    rule: String,
    description: String,
    id: String,
}

/// The document as one line of JSON.
pub(super) fn json(record: &Record) -> String {
    let shape = Shape {
        with_id: true,
        only: Vec::new(),
    };
    let mut out = Vec::new();
    record.write_json(&shape, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

impl Alert {
    pub(super) fn read(json: &str) -> Self {
        let document: Value = serde_json::from_str(json).unwrap_or_default();
        let text = |path: &str| match document.pointer(path) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => clean(text),
            Some(other) => clean(&other.to_string()),
        };
        let or = |first: &str, second: &str| match text(first) {
            empty if empty.is_empty() => text(second),
            found => found,
        };
        Self {
            time: or("/_timestamp", "/timestamp"),
            risk: text("/_risk_score"),
            level: text("/rule/level"),
            site: text("/_site"),
            agent: or("/agent_id", "/agent/id"),
            name: text("/agent/name"),
            rule: text("/rule/id"),
            description: or("/rule/description", "/full_log"),
            id: text("/_id"),
        }
    }

    /// Time, risk, level, site, agent's id and name, rule, description, `_id`, with tabs between.
    pub(super) fn plain(&self) -> String {
        let columns = [
            &self.time,
            &self.risk,
            &self.level,
            &self.site,
            &self.agent,
            &self.name,
            &self.rule,
            &self.description,
            &self.id,
        ];
        let shown = columns.map(|column| if column.is_empty() { "-" } else { column });
        shown.join("\t")
    }

    /// One line of the terminal, its time in UTC.
    pub(super) fn painted(&self, size: Size, colours: Colours) -> String {
        let (time, agent, rule) = if size.columns < 100 {
            (self.clock().to_owned(), 14, 6)
        } else {
            (self.day_and_clock(), 24, 7)
        };
        let risk = fit(&self.risk.to_uppercase(), 8);
        let head = format!("{} ", colours.paint(Look::Quiet, &time));
        let risk = colours.paint(Look::of_risk(&self.risk), &risk);
        let level = fit(&format!("{:>2}", self.level), 2);
        let agent = fit(&self.owner(), agent);
        let rule_id = fit(&self.rule, rule);
        let used = time.len() + 8 + 2 + width(&agent) + rule + 6;
        let rest = size.columns.saturating_sub(used + 1);
        let description = fit(&self.description, rest);
        format!(
            "{head}{risk} {level} {agent} {} {}",
            colours.paint(Look::Quiet, &rule_id),
            description.trim_end()
        )
    }

    /// `paris/003 web-01`; a site only where it is not the usual one.
    fn owner(&self) -> String {
        let site = match self.site.as_str() {
            "" | "default" => String::new(),
            site => format!("{site}/"),
        };
        format!("{site}{} {}", self.agent, self.name)
    }

    /// `18:03:32`.
    fn clock(&self) -> &str {
        self.time.get(11..19).unwrap_or("        ")
    }

    /// `11-21 18:03:32`.
    fn day_and_clock(&self) -> String {
        match self.time.get(5..10) {
            Some(day) => format!("{day} {}", self.clock()),
            None => " ".repeat(14),
        }
    }
}

/// The time of now as alerts show theirs.
pub(super) fn clock(millis: i64) -> String {
    rfc3339(millis).get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"_id":"a1","_timestamp":"2026-11-21T18:03:32.123Z","_risk_score":"high",
        "_site":"paris","agent_id":"003","agent":{"name":"w\u001b]0;x\u0007eb"},
        "rule":{"id":"5710","level":10,"description":"日本語 \u009b2J and a long text that goes on and on, to the end of it"}}"#;

    #[test]
    fn columns_for_programs_are_always_the_same() {
        let columns = Alert::read(DOCUMENT).plain();
        let columns: Vec<_> = columns.split('\t').collect();
        assert_eq!(
            columns[..5],
            ["2026-11-21T18:03:32.123Z", "high", "10", "paris", "003"]
        );
        assert_eq!(columns[5], "w\\x1b]0;x\\x07eb");
        assert_eq!((columns[6], columns[8]), ("5710", "a1"));
        let empty = Alert::read("{}").plain();
        assert_eq!(empty.split('\t').collect::<Vec<_>>(), ["-"; 9]);
    }

    #[test]
    fn a_line_never_goes_over_the_edge() {
        let alert = Alert::read(DOCUMENT);
        for columns in 20..200 {
            let size = Size { columns, rows: 24 };
            let line = alert.painted(size, Colours::Off);
            // Below that the fixed columns do not fit; the terminal cuts them.
            assert!(width(&line) < columns.max(46), "{columns}: {line}");
            assert!(line.chars().all(|c| !c.is_control()), "{line}");
        }
    }

    #[test]
    fn a_time_of_another_kind_breaks_nothing() {
        for time in ["\"\"", "\"ééééééééééé\"", "7", "null"] {
            let json = format!("{{\"_timestamp\":{time}}}");
            let size = Size {
                columns: 120,
                rows: 24,
            };
            Alert::read(&json).painted(size, Colours::On);
        }
    }
}
