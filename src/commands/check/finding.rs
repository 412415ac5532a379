//! What a check finds, and how it is printed.

use serde_json::{Value, json};

use crate::commands::{Format, output};

/// One precondition.
struct Finding {
    name: &'static str,
    detail: String,
    fix: Option<String>,
}

/// All of them, in the order in which they were made.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// It holds.
    pub(super) fn good(&mut self, name: &'static str, detail: impl Into<String>) {
        self.0.push(Finding {
            name,
            detail: detail.into(),
            fix: None,
        });
    }

    /// It does not, and this mends it.
    pub(super) fn bad(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.0.push(Finding {
            name,
            detail: detail.into(),
            fix: Some(fix.into()),
        });
    }

    /// Takes those of one among several, with its name in front.
    pub(super) fn absorb(&mut self, of: &str, others: Self) {
        let named = |mut finding: Finding| {
            finding.detail = format!("{of}: {}", finding.detail);
            finding
        };
        self.0.extend(others.0.into_iter().map(named));
    }

    /// Whether any does not hold.
    pub(super) fn failed(&self) -> bool {
        self.0.iter().any(|finding| finding.fix.is_some())
    }

    /// Prints them.
    pub(super) fn print(&self, format: Format) {
        if format == Format::Json {
            let row = |finding: &Finding| {
                json!({
                    "name": finding.name,
                    "ok": finding.fix.is_none(),
                    "detail": finding.detail,
                    "fix": finding.fix,
                })
            };
            let ok = !self.failed();
            let checks: Vec<Value> = self.0.iter().map(row).collect();
            return output::json(&json!({ "ok": ok, "checks": checks }));
        }
        for finding in &self.0 {
            let mark = if finding.fix.is_none() { '✓' } else { '✗' };
            output::line(&format!("{mark} {:<16} {}", finding.name, finding.detail));
            if let Some(fix) = &finding.fix {
                output::line(&format!("  {:<16} → {fix}", ""));
            }
        }
    }
}
