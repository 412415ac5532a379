//! How a run is shown: a bar on a terminal, lines when something is wrong, a table or JSON.

use std::io::{IsTerminal, stderr, stdout};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{Format, Gaps, output};
use crate::collect::{Event, Outcome, Report};

/// Reasons that are printed; the rest is in `collect_runs` and in JSON.
const REASONS: usize = 10;

/// How the runs of some managers are shown.
pub(super) struct Shown {
    format: Format,
    bar: ProgressBar,
    /// Then each line says whose it is.
    are_several: bool,
}

impl Shown {
    pub(super) fn new(format: Format, managers: usize, workers: usize) -> Self {
        // Two that work at the same time would pull one bar to and fro.
        let is_seen = format == Format::Text
            && managers.min(workers) < 2
            && stderr().is_terminal()
            && !log::log_enabled!(log::Level::Info);
        Self {
            format,
            bar: bar(is_seen.then(ProgressDrawTarget::stderr)),
            are_several: managers > 1,
        }
    }

    pub(super) fn begin(&self, site: &str) {
        self.bar.reset();
        if self.are_several {
            log::info!("Site {site}");
            self.bar.set_message(site.to_owned());
        }
    }

    pub(super) fn show(&self, event: Event<'_>) {
        let whole = |count| u64::try_from(count).unwrap_or_default();
        match event {
            Event::Planned(agents) => self.bar.set_length(whole(agents)),
            Event::Agent { id, name } => self.bar.set_message(format!("{id} ({name})")),
            Event::Done(agents) => self.bar.set_position(whole(agents)),
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn print(&self, reports: &[Report], gaps: Option<Gaps>) {
        for report in reports.iter().filter(|one| one.outcome == Outcome::Busy) {
            let who = report.warnings.join("; ");
            log::warn!("Data collection already in progress, skipping: {who}");
        }
        if self.format == Format::Json {
            return output::json(&together(reports, gaps));
        }
        for report in reports.iter().filter(|one| one.outcome != Outcome::Busy) {
            self.print_one(report);
        }
    }

    fn print_one(&self, report: &Report) {
        let site = if self.are_several { &report.site } else { "" };
        let space = if self.are_several { ": " } else { "" };
        let has_counts = report.outcome != Outcome::Failed;
        if has_counts && self.format == Format::Text && (stdout().is_terminal() || report.dry_run) {
            if self.are_several {
                output::line(site);
            }
            print_counts(report);
        }
        let tell = |text: &str| output::error_line(&format!("custom-mongo: {site}{space}{text}"));
        report.warnings.iter().for_each(|warning| tell(warning));
        for failure in report.failures.iter().take(REASONS) {
            let agent = failure.agent.as_ref();
            let agent = agent.map_or_else(String::new, |id| format!("agent {id}, "));
            tell(&format!("{agent}{}: {}", failure.kind, failure.reason));
        }
        let told = u64::try_from(REASONS.min(report.failures.len())).unwrap_or_default();
        if report.failed > told {
            tell(&format!(
                "and {} more; see collect_runs",
                report.failed - told
            ));
        }
        if report.not_reached > 0 {
            // For a large fleet that is every day's course: the exit status says it, cron's mail does not.
            let left = report.not_reached;
            log::info!(
                "{site}{space}{left} agents were not reached; the next run goes on with them"
            );
        }
    }
}

/// Nothing to see in cron's mail, in a script, or between the lines of a log.
fn bar(target: Option<ProgressDrawTarget>) -> ProgressBar {
    let target = target.unwrap_or_else(ProgressDrawTarget::hidden);
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} agents  {eta} left  {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// One manager's report as it is; those of several as a list.
fn together(reports: &[Report], gaps: Option<Gaps>) -> Value {
    let mut told = match reports {
        [report] => serde_json::to_value(report).unwrap_or_default(),
        reports => json!({ "sites": reports }),
    };
    if let (Some(gaps), Some(told)) = (gaps, told.as_object_mut()) {
        let gaps = json!({ "on_disk": gaps.on_disk, "missing": gaps.missing });
        told.insert("gaps".to_owned(), gaps);
    }
    told
}

fn print_counts(report: &Report) {
    for (kind, counts) in &report.kinds {
        output::line(&format!(
            "{kind:<20} {} rows: {} new, {} changed, {} removed; agents: {} read, {} unchanged, {} without data, {} held back, {} failed",
            counts.seen,
            counts.new,
            counts.changed,
            counts.removed,
            counts.read,
            counts.unchanged,
            counts.skipped,
            counts.held,
            counts.failed,
        ));
    }
    let (requests, bytes, left) = (report.requests, report.bytes, report.not_reached);
    output::line(&format!(
        "{requests} requests, {bytes} bytes; {left} agents not reached"
    ));
}
