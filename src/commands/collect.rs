//! `collect`: the inventory of the agents, from the Wazuh API into MongoDB. Several managers take
//! turns, each for itself: its own login, budget, lease and report.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::backfill::{self, Gaps, What};
use super::{Format, output, status};
use crate::collect::{self, Depth, Error, GapCheck, Mode, Order, Outcome, Place, Report};
use crate::config::{Fault, Manager, Settings};
use crate::home::Home;
use crate::store::{self, Store};
use crate::wazuh_api::{self, Api};

mod shown;
mod turns;

use shown::Shown;
use turns::Gathered;

/// How long `collect` waits for a connection to MongoDB.
const CONNECT: Duration = Duration::from_secs(30);

/// What a person asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only these agents.
    pub agents: Vec<String>,
    /// Only these kinds.
    pub only: Vec<String>,
    /// Only these sites.
    pub sites: Vec<String>,
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
            sites: Vec::new(),
            depth: Depth::Changes,
            mode: Mode::Write,
        }
    }
}

/// Collects and says what was done. Returns 0 if nothing is missing, 3 if something is, 1 if there is
/// nothing of any of several managers.
///
/// # Errors
///
/// Why nothing could be done with the only manager.
pub fn run(wanted: &Wanted, settings: &Settings, home: &Home, format: Format) -> Result<u8> {
    let until = Instant::now() + settings.collect.deadline.0;
    let managers = settings.managers();
    if managers.is_empty() {
        // The room says what is missing.
        let missing = settings.wazuh_api.validate();
        missing.map_err(|error| explain(error.into()))?;
    }
    let asked = order(wanted, settings).and_then(|order| Ok((order, of_sites(wanted, managers)?)));
    let (order, managers) = match asked {
        Ok(asked) => asked,
        Err(why) => {
            output::error_line(&format!("custom-mongo: {why}"));
            return Ok(status::USAGE);
        }
    };
    home.enter()?;
    let workers = usize::try_from(settings.collect.max_workers.0).unwrap_or(1);
    let shown = Shown::new(format, managers.len(), workers);
    let gathered = turns::take(&managers, workers, until, |manager, until| {
        gather(&order, manager, settings, home, until, &shown)
    });
    let is_of_here = managers
        .iter()
        .any(|manager| manager.site == settings.site());
    let is_usual = order.mode == Mode::Write && order.agents.is_empty();
    let mut gaps = None;
    if is_usual && (is_of_here || wanted.sites.is_empty()) && !gathered.iter().all(is_busy) {
        gaps = gap_check(settings, home);
    }
    let reports = reports(&managers, gathered).map_err(explain)?;
    shown.print(&reports, gaps);
    Ok(worst(&reports))
}

/// The only manager's error is the command's; that of one among several is told like a report.
fn reports(managers: &[Manager], gathered: Vec<Gathered>) -> Result<Vec<Report>, Error> {
    if managers.len() < 2 {
        return gathered.into_iter().collect();
    }
    let failed = |(manager, gathered): (&Manager, Gathered)| {
        gathered.unwrap_or_else(|error| Report::failed(&manager.site, error.to_string()))
    };
    Ok(managers.iter().zip(gathered).map(failed).collect())
}

/// The exit status for all of them.
fn worst(reports: &[Report]) -> u8 {
    let failed = |report: &Report| report.outcome == Outcome::Failed;
    let whole = |report: &Report| matches!(report.outcome, Outcome::Complete | Outcome::Busy);
    if reports.iter().all(failed) {
        status::FAILED
    } else if reports.iter().all(whole) {
        status::DONE
    } else {
        status::PARTIAL
    }
}

fn gather(
    order: &Order,
    manager: &Manager,
    settings: &Settings,
    home: &Home,
    until: Instant,
    shown: &Shown,
) -> Gathered {
    let state = home.state();
    let mut api = Api::new(&manager.api, None, state, until)?;
    let store = Store::open(&settings.store, CONNECT)?;
    shown.begin(&manager.site);
    let report = collect::run(
        order,
        &Place {
            site: &manager.site,
            store: &store,
            state,
            settings: &settings.collect,
            until,
            watch: &|event| shown.show(event),
        },
        &mut api,
    );
    shown.end();
    report
}

/// The managers that are wanted. Ids of agents mean something else in each site.
fn of_sites(wanted: &Wanted, mut all: Vec<Manager>) -> Result<Vec<Manager>, String> {
    let names = |all: &[Manager]| {
        let names: Vec<_> = all.iter().map(|manager| manager.site.as_str()).collect();
        names.join(", ")
    };
    for site in &wanted.sites {
        if !all.iter().any(|manager| manager.site == *site) {
            let there = names(&all);
            return Err(format!(
                "--site {site}: there is no such manager; there are: {there}"
            ));
        }
    }
    all.retain(|manager| wanted.sites.is_empty() || wanted.sites.contains(&manager.site));
    if all.len() > 1 && !wanted.agents.is_empty() {
        let there = names(&all);
        return Err(format!(
            "--agent of which manager? add --site, one of: {there}"
        ));
    }
    Ok(all)
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

fn is_busy(gathered: &Gathered) -> bool {
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
