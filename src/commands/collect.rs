//! `collect`: the inventory of the agents, from the Wazuh API into MongoDB.

use std::io::{IsTerminal, stderr, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use serde_json::json;

use super::backfill::{self, Gaps, What};
use super::{Format, output, status};
use crate::collect::{self, Depth, Error, Event, GapCheck, Mode, Order, Outcome, Place, Report};
use crate::config::{Fault, Settings};
use crate::home::Home;
use crate::store::{self, Store};
use crate::wazuh_api::{self, Api};

/// How long `collect` waits for a connection to MongoDB.
const CONNECT: Duration = Duration::from_secs(30);
/// Reasons that are printed; the rest is in `collect_runs` and in JSON.
const SHOWN: usize = 10;

/// What a person asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only these agents.
    pub agents: Vec<String>,
    /// Only these kinds.
    pub only: Vec<String>,
    /// Whether everything is read.
    pub depth: Depth,
    /// Whether anything is written.
    pub mode: Mode,
}

impl Wanted {
    /// What is due, of everything that the settings name.
    pub fn usual() -> Self {
        Self {
            agents: Vec::new(),
            only: Vec::new(),
            depth: Depth::Changes,
            mode: Mode::Write,
        }
    }
}

/// Collects and says what was done. Returns 0 if nothing is missing, 3 if something is.
///
/// # Errors
///
/// Why nothing could be done.
pub fn run(wanted: &Wanted, settings: &Settings, home: &Home, format: Format) -> Result<u8> {
    let until = Instant::now() + settings.collect.deadline.0;
    let order = match order(wanted, settings) {
        Ok(order) => order,
        Err(why) => {
            output::error_line(&format!("custom-mongo: {why}"));
            return Ok(status::USAGE);
        }
    };
    home.enter()?;
    let gathered = gather(&order, settings, home, until, format);
    let mut gaps = None;
    if order.mode == Mode::Write && order.agents.is_empty() && !is_busy(&gathered) {
        gaps = gap_check(settings, home);
    }
    let report = gathered.map_err(explain)?;
    print(&report, gaps, format);
    Ok(match report.outcome {
        Outcome::Complete | Outcome::Busy => status::DONE,
        Outcome::Partial => status::PARTIAL,
    })
}

fn gather(
    order: &Order,
    settings: &Settings,
    home: &Home,
    until: Instant,
    format: Format,
) -> Result<Report, Error> {
    let state = home.state();
    let mut api = Api::new(&settings.wazuh_api, None, state, until)?;
    let store = Store::open(&settings.store, CONNECT)?;
    let bar = bar(format);
    let report = collect::run(
        order,
        &Place {
            site: settings.site(),
            store: &store,
            state,
            settings: &settings.collect,
            until,
            watch: &|event| show(&bar, event),
        },
        &mut api,
    );
    bar.finish_and_clear();
    report
}

fn order(wanted: &Wanted, settings: &Settings) -> Result<Order, String> {
    let words = if wanted.only.is_empty() {
        &settings.collect.kinds.0
    } else {
        &wanted.only
    };
    let agents = wanted.agents.iter().map(|id| agent(id));
    Ok(Order {
        agents: agents.collect::<Result<_, _>>()?,
        kinds: collect::Settings::kinds(words)?,
        depth: wanted.depth,
        mode: wanted.mode,
    })
}

/// Wazuh writes ids with three digits or more.
fn agent(id: &str) -> Result<String, String> {
    match id.parse::<u32>() {
        Ok(number) => Ok(format!("{number:03}")),
        Err(_) => Err(format!(
            "`{id}` is no agent's id; write for example --agent 003"
        )),
    }
}

/// Wrong settings have an exit status of their own.
fn explain(error: Error) -> anyhow::Error {
    match error {
        Error::Api(wazuh_api::Error::Settings(why)) | Error::Store(store::Error::Settings(why)) => {
            Fault(why).into()
        }
        other => other.into(),
    }
}

/// Nothing to see in cron's mail, in a script, or between the lines of a log.
fn bar(format: Format) -> ProgressBar {
    let is_seen =
        format == Format::Text && stderr().is_terminal() && !log::log_enabled!(log::Level::Info);
    let target = if is_seen {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} agents  {eta} left  {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, event: Event<'_>) {
    match event {
        Event::Planned(agents) => bar.set_length(u64::try_from(agents).unwrap_or_default()),
        Event::Agent { id, name } => bar.set_message(format!("{id} ({name})")),
        Event::Done(agents) => bar.set_position(u64::try_from(agents).unwrap_or_default()),
    }
}

fn is_busy(gathered: &Result<Report, Error>) -> bool {
    gathered
        .as_ref()
        .is_ok_and(|report| report.outcome == Outcome::Busy)
}

/// Alerts that live delivery has lost; also when the inventory could not be read.
fn gap_check(settings: &Settings, home: &Home) -> Option<Gaps> {
    let what = match settings.collect.gap_check {
        GapCheck::Off => return None,
        GapCheck::Report => What::Check,
        GapCheck::Repair => What::Repair,
    };
    let gaps = match backfill::gaps(settings.collect.gap_window, what, settings, home) {
        Ok(gaps) => gaps?,
        Err(error) => {
            output::error_line(&format!("custom-mongo: the gap check failed: {error:#}"));
            return None;
        }
    };
    let Gaps { on_disk, missing } = gaps;
    match what {
        _ if missing == 0 => {}
        What::Repair => log::info!("{missing} of {on_disk} alerts were missing and are there now"),
        _ => output::error_line(&format!(
            "custom-mongo: MongoDB lacks {missing} of the {on_disk} alerts of the last hours in alerts.json; custom-mongo backfill --since 1d --check says of when, --repair brings them in"
        )),
    }
    Some(gaps)
}

fn print(report: &Report, gaps: Option<Gaps>, format: Format) {
    if report.outcome == Outcome::Busy {
        let who = report.warnings.join("; ");
        log::warn!("Data collection already in progress, skipping: {who}");
    }
    if format == Format::Json {
        let mut report = serde_json::to_value(report).unwrap_or_default();
        if let (Some(gaps), Some(report)) = (gaps, report.as_object_mut()) {
            let gaps = json!({ "on_disk": gaps.on_disk, "missing": gaps.missing });
            report.insert("gaps".to_owned(), gaps);
        }
        return output::json(&report);
    }
    if report.outcome == Outcome::Busy {
        return;
    }
    if format == Format::Text && (stdout().is_terminal() || report.dry_run) {
        print_counts(report);
    }
    for warning in &report.warnings {
        output::error_line(&format!("custom-mongo: {warning}"));
    }
    for failure in report.failures.iter().take(SHOWN) {
        let agent = failure
            .agent
            .as_ref()
            .map_or_else(String::new, |id| format!("agent {id}, "));
        let (kind, reason) = (&failure.kind, &failure.reason);
        output::error_line(&format!("custom-mongo: {agent}{kind}: {reason}"));
    }
    let shown = u64::try_from(SHOWN.min(report.failures.len())).unwrap_or_default();
    if report.failed > shown {
        let more = report.failed - shown;
        output::error_line(&format!("custom-mongo: and {more} more; see collect_runs"));
    }
    if report.not_reached > 0 {
        // For a large fleet that is every day's course: the exit status says it, cron's mail does not.
        let left = report.not_reached;
        log::info!("{left} agents were not reached; the next run goes on with them");
    }
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
