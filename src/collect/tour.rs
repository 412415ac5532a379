//! The asking side: goes from agent to agent until all are read or the time is over.

mod attempt;

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use super::fetch::Fault;
use super::plan::{self, Plan, Task, Visit};
use super::record::Message;
use super::report::Report;
use super::run::Place;
use super::settings::FleetProbes;
use super::{Event, fleet, now};
use crate::inventory::{Kind, Owner};
use crate::store::State;
use crate::wazuh_api::{Api, Error};
use attempt::{Asked, Attempt};

/// Failures in a row after which the server is not asked any more; each was tried several times.
const PATIENCE: u32 = 5;
/// Refusals or failures in a row after which a kind is left out for the rest of the run.
const DENIALS: u32 = 3;

/// One walk through the agents.
pub(super) struct Tour<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) api: &'a mut Api,
    pub(super) to: SyncSender<Message>,
    pub(super) report: &'a mut Report,
    /// Refusals and failures in a row, by kind; `u32::MAX` if the server does not have it.
    pub(super) denied: HashMap<&'static str, u32>,
    /// Failures in a row, whatever the kind.
    pub(super) failed: u32,
}

/// Whether the tour goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    On,
    Stop,
}

impl Tour<'_> {
    /// Reads what the plan says. Dropping the channel tells the recorder that this was all.
    ///
    /// # Errors
    ///
    /// What makes every further request useless.
    pub(super) fn go(mut self, plan: Plan, kinds: &[&'static Kind]) -> Result<(), Error> {
        let Plan {
            mut visits, quiet, ..
        } = plan;
        if self.know(quiet) == Next::Stop {
            return Ok(());
        }
        if self.place.settings.fleet_probes == FleetProbes::Auto {
            match fleet::ask(self.api, &mut visits, kinds) {
                Ok(quiet) => {
                    if self.know(quiet) == Next::Stop {
                        return Ok(());
                    }
                }
                Err(Error::Deadline) => {}
                Err(error) => return Err(error),
            }
            visits.retain(|visit| !visit.tasks.is_empty());
            plan::order(&mut visits);
        }
        (self.place.watch)(Event::Planned(visits.len()));
        self.walk(visits)
    }

    fn walk(&mut self, visits: Vec<Visit>) -> Result<(), Error> {
        let count = visits.len();
        for (done, visit) in visits.into_iter().enumerate() {
            let next = if Instant::now() >= self.place.until {
                Next::Stop
            } else {
                self.visit(&visit)?
            };
            if next == Next::Stop {
                self.report.not_reached = u64::try_from(count - done).unwrap_or(u64::MAX);
                self.report.outcome = super::Outcome::Partial;
                break;
            }
            (self.place.watch)(Event::Done(done + 1));
        }
        Ok(())
    }

    /// What cannot have changed is fresh.
    fn know(&mut self, quiet: fleet::Quiet) -> Next {
        for (owner, kind, state) in quiet {
            self.report.of(kind.name).unchanged += 1;
            if self.send_known(owner, kind, fresh(state)) == Next::Stop {
                return Next::Stop;
            }
        }
        Next::On
    }

    fn send_known(&mut self, owner: Owner, kind: &'static Kind, state: State) -> Next {
        let known = Message::Known(Box::new((owner, kind, state)));
        if self.to.send(known).is_ok() {
            Next::On
        } else {
            Next::Stop
        }
    }

    fn visit(&mut self, visit: &Visit) -> Result<Next, Error> {
        let (id, name) = (&visit.agent.id, &visit.agent.name);
        log::info!("Processing agent {id} ({name})");
        (self.place.watch)(Event::Agent { id, name });
        let mut asked = Asked::default();
        for task in &visit.tasks {
            if self.is_denied(task.kind) {
                continue;
            }
            if self.task(visit, task, &mut asked)? == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::On)
    }

    fn is_denied(&self, kind: &Kind) -> bool {
        self.denied
            .get(kind.name)
            .is_some_and(|denied| *denied >= DENIALS)
    }

    fn task(&mut self, visit: &Visit, task: &Task, asked: &mut Asked) -> Result<Next, Error> {
        let kind = task.kind;
        let attempt = self.attempt(visit, task, asked);
        if !matches!(attempt, Err(Fault::Api(_))) {
            self.failed = 0;
            self.denied.remove(kind.name);
        }
        match attempt {
            Ok(Attempt::Read) => Ok(Next::On),
            Ok(Attempt::Unchanged(state)) => {
                self.report.of(kind.name).unchanged += 1;
                Ok(self.send_known(visit.owner.clone(), kind, fresh(*state)))
            }
            Err(Fault::Recorder) => Ok(Next::Stop),
            Err(Fault::Api(error)) => self.fault(visit, task, error),
        }
    }

    /// What an error means for the rest of the run.
    fn fault(&mut self, visit: &Visit, task: &Task, error: Error) -> Result<Next, Error> {
        let kind = task.kind.name;
        match error {
            Error::Deadline => return Ok(Next::Stop),
            Error::BadLogin(_) | Error::Settings(_) => return Err(error),
            Error::NoDatabase(why) => {
                self.report.of(kind).skipped += 1;
                let state = tried(task, why);
                return Ok(self.send_known(visit.owner.clone(), task.kind, state));
            }
            Error::Absent(why) => {
                log::info!("this server has no {kind} ({why}); it is left out");
                self.denied.insert(kind, u32::MAX);
                self.report.absent.push(kind);
                return Ok(Next::On);
            }
            Error::Forbidden(_) | Error::Refused(_) => self.failed = 0,
            Error::Unavailable(_) => self.failed += 1,
        }
        *self.denied.entry(kind).or_default() += 1;
        let why = error.to_string();
        self.report.of(kind).failed += 1;
        self.report
            .fail(Some(&visit.owner.agent), kind, why.clone());
        if self.is_denied(task.kind) {
            self.report.fail(
                None,
                kind,
                format!("left out for the rest of this run: {why}"),
            );
        }
        let state = tried(task, why);
        let next = self.send_known(visit.owner.clone(), task.kind, state);
        Ok(if self.failed >= PATIENCE {
            Next::Stop
        } else {
            next
        })
    }
}

/// It was tried now, in vain. Some of its rows may have been written.
fn tried(task: &Task, why: String) -> State {
    State {
        tried_at: now(),
        complete: false,
        failure: Some(why),
        ..task.before.clone().unwrap_or_default()
    }
}

/// It was looked at now.
fn fresh(state: State) -> State {
    let at = now();
    State {
        tried_at: at,
        checked_at: Some(at),
        failure: None,
        ..state
    }
}
