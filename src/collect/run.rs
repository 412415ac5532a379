//! A run from its lock to its report.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::agents::Census;
use super::holder::{self, Holder};
use super::plan::{self, States, View};
use super::record::Recorder;
use super::report::{Outcome, Report};
use super::settings::Settings;
use super::tour::Tour;
use super::{Error, Event, history, now, roster};
use crate::inventory::{AGENTS, Agent, Kind, Owner, Status};
use crate::store::{Indexes, Store};
use crate::wazuh_api::Api;

/// How long MongoDB may take for a batch, an election included.
pub(super) const WITHIN: Duration = Duration::from_secs(60);
/// Pages that wait for the recorder.
const AHEAD: usize = 4;

/// Whether everything is read or only what may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Ask first where that is cheaper.
    Changes,
    /// Read everything.
    Full,
}

/// Whether the run leaves anything behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It writes.
    Write,
    /// It only counts what it would write.
    Dry,
}

/// What a run shall do.
#[derive(Debug, Clone)]
pub struct Order {
    /// Only these agents; all if empty.
    pub agents: Vec<String>,
    /// These kinds, beside the agents themselves.
    pub kinds: Vec<&'static Kind>,
    /// How much is read.
    pub depth: Depth,
    /// Whether anything is written.
    pub mode: Mode,
}

/// Where a run works.
pub struct Place<'a> {
    /// The Wazuh installation, `_site`.
    pub site: &'a str,
    /// MongoDB.
    pub store: &'a Store,
    /// The state folder.
    pub state: &'a Path,
    /// Section `collect`.
    pub settings: &'a Settings,
    /// When to stop.
    pub until: Instant,
    /// Who is told what happens.
    pub watch: &'a dyn Fn(Event<'_>),
}

/// Collects. If somebody else does so for this site, the report says who and is `Busy`.
///
/// # Errors
///
/// Why nothing could be done, or why it had to stop; what is written stays.
pub fn run(order: &Order, place: &Place<'_>, api: &mut Api) -> Result<Report, Error> {
    let mut report = Report::new(place.site);
    report.dry_run = order.mode == Mode::Dry;
    let (file, name) = match holder::lock(place.state, place.site)? {
        Ok(held) => held,
        Err(who) => return Ok(busy(report, who)),
    };
    let holder = match hold(order, place, file, &name)? {
        Ok(holder) => holder,
        Err(who) => return Ok(busy(report, who)),
    };
    let started = now();
    let done = Run {
        order,
        place,
        holder: &holder,
    }
    .collect(api, report);
    let done = remember(done, order, place, api, started);
    if let Some(lease) = &holder.lease {
        place.store.release(lease, Duration::from_secs(5));
    }
    done
}

/// Records what was done, or that nothing could be asked. Whoever has lost the lease writes nothing
/// more, and what MongoDB refuses it does not record either.
fn remember(
    done: Result<Report, Error>,
    order: &Order,
    place: &Place<'_>,
    api: &Api,
    started: i64,
) -> Result<Report, Error> {
    let mut report = match &done {
        Ok(report) => report.clone(),
        Err(error @ Error::Api(_)) => Report::failed(place.site, error.to_string()),
        Err(_) => return done,
    };
    report.tally(&api.tally());
    if order.mode == Mode::Dry {
        return done.map(|_| report);
    }
    let told = serde_json::to_value(&report).unwrap_or_default();
    let recorded = place.store.record_run(&told, started, now(), WITHIN);
    // What went wrong first is what has to be told.
    done?;
    recorded?;
    Ok(report)
}

fn hold(
    order: &Order,
    place: &Place<'_>,
    file: File,
    name: &str,
) -> Result<Result<Holder, String>, Error> {
    if order.mode == Mode::Dry {
        return Ok(Ok(Holder::local(file)));
    }
    Ok(Holder::lease(file, name, place.site, place.store, WITHIN)?)
}

fn busy(mut report: Report, who: String) -> Report {
    report.outcome = Outcome::Busy;
    report.warnings.push(who);
    report
}

struct Run<'a> {
    order: &'a Order,
    place: &'a Place<'a>,
    holder: &'a Holder,
}

impl Run<'_> {
    fn collect(&self, api: &mut Api, mut report: Report) -> Result<Report, Error> {
        let place = self.place;
        let version = version(api)?;
        report.manager_version.clone_from(&version);
        self.indexes(&mut report)?;
        let mut states = self.states()?;
        log::info!("Fetching agents...");
        let census = self.census(&version);
        let before = states.remove(&(Owner::everybody(place.site), AGENTS.name.to_owned()));
        let agents = census.take(api, before, &mut report)?;
        self.tell(&agents, &mut report)?;
        let with_data = agents
            .iter()
            .filter(|agent| agent.status != Status::NeverConnected);
        let with_data = u64::try_from(with_data.count()).unwrap_or(u64::MAX);
        let losing = losing(&states, &agents, place.site);
        let plan = self.plan(agents, &mut states)?;
        for kind in &plan.skipped {
            report.of(kind.name).skipped += 1;
        }
        let recorder = Recorder {
            store: place.store,
            lease: self.holder.lease.as_ref(),
            mode: self.order.mode,
            version: &version,
            confirm_after: place.settings.confirm_loss_after,
            max_loss: place.settings.max_loss,
            agents: with_data,
            losing,
            report: Report::new(place.site),
            reading: None,
            states: Vec::new(),
            pending: Vec::new(),
            renewed: self.holder.since,
        };
        self.go(api, plan, recorder, &mut report)?;
        self.forget(&mut report)?;
        Ok(report)
    }

    /// Ends what is kept no longer.
    fn forget(&self, report: &mut Report) -> Result<(), Error> {
        let is_usual = self.order.mode == Mode::Write && self.order.agents.is_empty();
        match self.place.settings.history.filter(|_| is_usual) {
            Some(kept) => {
                let place = (self.place.store, self.place.site);
                history::expire(place, kept, now(), report)
            }
            None => Ok(()),
        }
    }

    /// Asks on this thread and writes on another.
    fn go(
        &self,
        api: &mut Api,
        plan: plan::Plan,
        recorder: Recorder<'_>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let (to, from) = sync_channel(AHEAD);
        let (toured, done) = std::thread::scope(|scope| {
            let writer = scope.spawn(move || recorder.run(&from));
            let tour = Tour {
                place: self.place,
                api,
                to,
                report: &mut *report,
                denied: HashMap::new(),
                failed: 0,
            };
            let toured = tour.go(plan, &self.order.kinds);
            // The tour has dropped its end of the channel, so the recorder comes to its end.
            let done = writer.join();
            (toured, done)
        });
        report.merge(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        if let Err(error) = toured {
            report.warn(format!("the run ended early: {error}"));
        }
        Ok(())
    }

    fn census<'b>(&'b self, version: &'b str) -> Census<'b> {
        let (place, settings) = (self.place, self.place.settings);
        Census {
            site: place.site,
            store: place.store,
            mode: self.order.mode,
            at: now(),
            version,
            max_loss: settings.max_loss,
            confirm_after: settings.confirm_loss_after,
        }
    }

    fn indexes(&self, report: &mut Report) -> Result<(), Error> {
        if self.order.mode == Mode::Dry {
            return Ok(());
        }
        let kinds = self.order.kinds.iter().map(|kind| kind.collection);
        let names: Vec<&str> = kinds.chain([AGENTS.collection]).collect();
        let made = self.place.store.create_inventory_indexes(&names, WITHIN)?;
        if made == Indexes::NotAllowed {
            let why = "the login may not create indexes; see integrations/mongodb-role.js";
            report.warn(why.to_owned());
        }
        Ok(())
    }

    /// What is known. A collection that somebody has emptied makes its states worthless.
    fn states(&self) -> Result<States, Error> {
        let store = self.place.store;
        let mut empty = HashSet::new();
        for kind in &self.order.kinds {
            if store.is_empty(kind.collection, WITHIN)? {
                empty.insert(kind.name);
            }
        }
        let known = store.states(self.place.site, WITHIN)?;
        let known = known
            .into_iter()
            .filter(|(_, kind, state)| state.count == 0 || !empty.contains(kind.as_str()));
        Ok(known
            .map(|(owner, kind, state)| ((owner, kind), state))
            .collect())
    }

    fn tell(&self, agents: &[Agent], report: &mut Report) -> Result<(), Error> {
        report.agents = u64::try_from(agents.len()).unwrap_or(u64::MAX);
        let active = agents.iter().filter(|agent| agent.status == Status::Active);
        log::info!("Fetched {} active agents", active.count());
        let complete = report.outcome == Outcome::Complete;
        if self.order.mode == Mode::Write && complete {
            roster::write(self.place.state, self.place.site, agents, now())?;
        }
        Ok(())
    }

    fn plan(&self, mut agents: Vec<Agent>, states: &mut States) -> Result<plan::Plan, Error> {
        let wanted = &self.order.agents;
        for id in wanted {
            if !agents.iter().any(|agent| agent.id == *id) {
                return Err(Error::NoAgent(id.clone()));
            }
        }
        agents.retain(|agent| wanted.is_empty() || wanted.contains(&agent.id));
        let view = View {
            site: self.place.site,
            kinds: &self.order.kinds,
            now: now(),
            full_every: self.place.settings.full_every,
            all: self.order.depth == Depth::Full,
        };
        Ok(plan::plan(agents, states, &view))
    }
}

/// The manager's version; any user may ask for it.
fn version(api: &mut Api) -> Result<String, Error> {
    let answer = api.get("/", &[])?;
    let version = answer
        .data
        .get("api_version")
        .and_then(|version| version.as_str());
    Ok(version.unwrap_or_default().to_owned())
}

/// Who lost a kind before this run and has not got it back.
fn losing(states: &States, agents: &[Agent], site: &str) -> HashMap<&'static str, HashSet<Owner>> {
    let listed: HashSet<Owner> = agents.iter().map(|agent| agent.owner(site)).collect();
    let mut losing: HashMap<&'static str, HashSet<Owner>> = HashMap::new();
    for ((owner, kind), state) in states {
        if let Some(kind) = crate::inventory::find(kind)
            && state.held.is_some()
            && listed.contains(owner)
        {
            losing.entry(kind.name).or_default().insert(owner.clone());
        }
    }
    losing
}
