//! What a run came to: counts, and for the gap report the hours that MongoDB lacks alerts of.

use serde_json::{Value, json};

use super::What;
use crate::alert::time::rfc3339;
use crate::commands::{output, status};
use crate::delivery::feed::{Counts, Hour, Hours};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All files were read to their end.
    Complete,
    /// Some could not be read, or not to their end.
    Partial,
    /// A signal came.
    Stopped,
}

/// Everything that is said at the end.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) what: What,
    pub(super) end: End,
    pub(super) files: usize,
    pub(super) counts: Counts,
    pub(super) hours: Hours,
    /// Which filters were applied, in words.
    pub(super) filters: Vec<String>,
}

impl Report {
    /// 0: everything there is, is in MongoDB. 3: something is missing or was not read.
    pub(super) fn status(&self) -> u8 {
        let counts = &self.counts;
        let lacking = counts.missing + counts.rejected + counts.unkept;
        if self.end == End::Complete && lacking == 0 {
            status::DONE
        } else {
            status::PARTIAL
        }
    }

    pub(super) fn print_json(&self) {
        let hours = self.gaps().map(|(begin, hour)| {
            json!({ "hour": hour_name(begin), "on_disk": hour.on_disk, "missing": hour.missing })
        });
        let mut report = json!({
            "task": task(self.what),
            "end": match self.end {
                End::Complete => "complete",
                End::Partial => "partial",
                End::Stopped => "stopped",
            },
            "files": self.files,
            "filters": self.filters,
        });
        if let Value::Object(report) = &mut report {
            let counts = self.rows().into_iter();
            report.extend(counts.map(|(name, count)| (name.replace(' ', "_"), count.into())));
            if self.is_gap_report() {
                report.insert("zone".to_owned(), "UTC".into());
                report.insert("hours".to_owned(), hours.collect());
            }
        }
        output::json(&report);
    }

    pub(super) fn print_text(&self) {
        for filter in &self.filters {
            output::line(&format!("filter: {filter}"));
        }
        if self.is_gap_report() {
            self.print_gaps();
        }
        let always = ["read", "filtered", "stored", "already there", "rejected"];
        let rows = self.rows().into_iter();
        let shown = rows.filter(|(name, count)| *count > 0 || always.contains(name));
        let shown: Vec<_> = shown
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        output::line(&format!("{} files: {}", self.files, shown.join(", ")));
    }

    fn print_gaps(&self) {
        let mut hours = 0;
        for (begin, hour) in self.gaps() {
            hours += 1;
            let name = hour_name(begin);
            output::line(&format!(
                "{name}  {} of {} missing",
                hour.missing, hour.on_disk
            ));
        }
        let missing: u64 = self.gaps().map(|(_, hour)| hour.missing).sum();
        let on_disk: u64 = self.hours.iter().map(|(_, hour)| hour.on_disk).sum();
        output::line(&match (missing, self.what) {
            (0, _) => format!("MongoDB has all {on_disk} alerts"),
            (_, What::Repair) => {
                format!(
                    "MongoDB lacked {missing} of {on_disk} alerts, in {hours} hours (UTC); they are there now"
                )
            }
            _ => format!(
                "MongoDB lacks {missing} of {on_disk} alerts, in {hours} hours (UTC); --repair brings them back"
            ),
        });
    }

    fn gaps(&self) -> impl Iterator<Item = (i64, Hour)> {
        self.hours.iter().filter(|(_, hour)| hour.missing > 0)
    }

    fn is_gap_report(&self) -> bool {
        matches!(self.what, What::Check | What::Repair)
    }

    fn rows(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.counts;
        let stored = if self.what == What::Repair {
            "repaired"
        } else {
            "stored"
        };
        let mut rows = vec![
            ("read", counts.read),
            ("empty", counts.empty),
            ("outside", counts.outside),
            ("filtered", counts.filtered),
            ("expired", counts.expired),
        ];
        match self.what {
            What::Count => rows.push(("wanted", counts.wanted)),
            What::Check => rows.push(("missing", counts.missing)),
            What::Store | What::Repair => rows.push((stored, counts.stored)),
        }
        rows.extend([
            ("already there", counts.already_there),
            ("completed", counts.completed),
            ("rejected", counts.rejected),
            ("not kept", counts.unkept),
        ]);
        rows
    }
}

fn task(what: What) -> &'static str {
    match what {
        What::Store => "store",
        What::Count => "dry-run",
        What::Check => "check",
        What::Repair => "repair",
    }
}

/// The hour's beginning, without what is always zero.
fn hour_name(begin: i64) -> String {
    let time = rfc3339(begin);
    format!("{}Z", time.get(..16).unwrap_or_default())
}
