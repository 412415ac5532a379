//! The asking side: goes from agent to agent until all are read or the time is over.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use super::fetch::{Fault, Reader, Reading, Verify, listing};
use super::loss;
use super::plan::{self, Plan, Task, Visit};
use super::probe::{self, Probes, Sign};
use super::record::{Begin, End, Message};
use super::report::Report;
use super::run::Place;
use super::settings::FleetProbes;
use super::{Event, fleet, now};
use crate::inventory::{Kind, Owner, Probe, Row, text};
use crate::store::{Held, State};
use crate::wazuh_api::{Api, Error, Listing};

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

/// How an attempt at one list ended.
enum Attempt {
    Unchanged(Box<State>),
    Read,
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

    fn attempt(&mut self, visit: &Visit, task: &Task, asked: &mut Asked) -> Result<Attempt, Fault> {
        let sign = self.sign(visit, task, asked)?;
        if let (Some(state), false) = (&task.before, task.is_full)
            && task.why == plan::Why::Ask
            && is_unchanged(visit, task.kind, state, sign.as_ref())
        {
            return Ok(Attempt::Unchanged(Box::new(state.clone())));
        }
        let begin = Message::Begin(Box::new(Begin {
            owner: visit.owner.clone(),
            task: task.clone(),
            agent: visit.agent.clone(),
            at: now(),
        }));
        self.to.send(begin).map_err(|_| Fault::Recorder)?;
        let end = match self.read(visit, task, asked, sign) {
            Ok(end) => end,
            Err(Fault::Api(error)) => {
                // What came before the fault was seen; the recorder has to hear of the end.
                self.to
                    .send(Message::Abandon)
                    .map_err(|_| Fault::Recorder)?;
                return Err(Fault::Api(error));
            }
            Err(fault) => return Err(fault),
        };
        self.to
            .send(Message::End(end))
            .map_err(|_| Fault::Recorder)?;
        Ok(Attempt::Read)
    }

    /// The sign that is compared with the state, where there is one.
    fn sign(
        &mut self,
        visit: &Visit,
        task: &Task,
        asked: &mut Asked,
    ) -> Result<Option<Sign>, Fault> {
        let is_asked = task.why == plan::Why::Ask && !task.is_full;
        match task.kind.probe {
            Probe::Newest(_) if is_asked => {
                Ok(asked.probes.sign(self.api, task.kind, &visit.owner)?)
            }
            // Another list's time, which the rows themselves do not carry.
            Probe::With(_) => Ok(asked.probes.sign(self.api, task.kind, &visit.owner)?),
            Probe::Policies => {
                let policies = asked.policies(self.api, &visit.owner)?;
                Ok(Some(Sign {
                    newest: Some(fingerprint(policies)),
                    total: 0,
                }))
            }
            _ => Ok(None),
        }
    }

    fn read(
        &mut self,
        visit: &Visit,
        task: &Task,
        asked: &mut Asked,
        sign: Option<Sign>,
    ) -> Result<End, Fault> {
        let (kind, owner) = (task.kind, &visit.owner);
        let reader = Reader {
            kind,
            owner,
            listings: self.listings(kind, owner, asked)?,
            verify: if task.before.is_some() {
                Verify::Always
            } else {
                Verify::IfPaged
            },
        };
        let (mut read, is_verified) = match reader.read(self.api, &self.to)? {
            Reading::Complete { sign, is_verified } => (sign, is_verified),
            Reading::Partial(why) => return Ok(End::Partial(why)),
        };
        if matches!(kind.probe, Probe::With(_) | Probe::Policies) {
            read.newest = sign.and_then(|sign| sign.newest);
        }
        let scanned = self.scanned(task, owner, &read)?;
        Ok(End::Complete {
            sign: read,
            is_verified,
            scanned,
        })
    }

    fn listings(
        &mut self,
        kind: &Kind,
        owner: &Owner,
        asked: &mut Asked,
    ) -> Result<Vec<Listing>, Fault> {
        if kind.probe != Probe::Policies {
            return Ok(vec![listing(kind, kind.path(&owner.agent))]);
        }
        let policies = asked.policies(self.api, owner)?;
        let path = kind.path(&owner.agent);
        let ids = policies
            .iter()
            .filter_map(|policy| text(policy, "policy_id"));
        let safe = |id: &&str| {
            id.bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(&c))
        };
        Ok(ids
            .filter(safe)
            .map(|id| listing(kind, format!("{path}/{id}")))
            .collect())
    }

    /// When the agent scanned last: asked only where a loss is about to be believed.
    fn scanned(
        &mut self,
        task: &Task,
        owner: &Owner,
        read: &Sign,
    ) -> Result<Option<String>, Fault> {
        let before = task.before.as_ref();
        let had = before.map_or(0, |state| {
            state.held.as_ref().map_or(state.count, |held| held.had)
        });
        if had == 0 || read.total * 2 >= had {
            return Ok(None);
        }
        let first = Held {
            since: now(),
            had,
            newest: None,
            version: String::new(),
        };
        let held = before
            .and_then(|state| state.held.as_ref())
            .unwrap_or(&first);
        if !loss::is_due(held, self.place.settings.confirm_loss_after, now()) {
            return Ok(None);
        }
        if task.kind.collection == "syscheck" {
            let path = format!("/syscheck/{}/last_scan", owner.agent);
            return Ok(self.time_in(&path, "end")?);
        }
        if read.newest.is_some() && matches!(task.kind.probe, Probe::Newest(_)) {
            return Ok(read.newest.clone());
        }
        Ok(self.time_in(&format!("/syscollector/{}/os", owner.agent), "scan.time")?)
    }

    fn time_in(&mut self, path: &str, field: &str) -> Result<Option<String>, Error> {
        match self.api.get(path, &[]) {
            Ok(answer) => Ok(answer
                .items
                .first()
                .and_then(|row| probe::newest(row, field))),
            Err(error @ (Error::Deadline | Error::BadLogin(_) | Error::Settings(_))) => Err(error),
            // No proof, then.
            Err(_) => Ok(None),
        }
    }
}

/// What was asked in one visit, once.
#[derive(Default)]
struct Asked {
    probes: Probes,
    policies: Option<Vec<Row>>,
}

impl Asked {
    fn policies(&mut self, api: &mut Api, owner: &Owner) -> Result<&[Row], Error> {
        if self.policies.is_none() {
            let answer = api.get(&format!("/sca/{}", owner.agent), &[("limit", "500")])?;
            self.policies = Some(answer.items);
        }
        Ok(self.policies.as_deref().unwrap_or_default())
    }
}

/// The checks change with a scan or with the policy's file.
fn fingerprint(policies: &[Row]) -> String {
    let one = |policy: &Row| {
        let part = |name| {
            policy
                .get(name)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        [
            "policy_id",
            "end_scan",
            "hash_file",
            "pass",
            "fail",
            "invalid",
        ]
        .map(part)
        .join(" ")
    };
    let mut all: Vec<String> = policies.iter().map(one).collect();
    all.sort_unstable();
    all.join("; ")
}

fn is_unchanged(visit: &Visit, kind: &Kind, state: &State, sign: Option<&Sign>) -> bool {
    match (kind.probe, sign) {
        (Probe::Agents, _) => state.complete && state.os.is_some() && state.os == visit.agent.os,
        (Probe::Policies, Some(sign)) => state.complete && state.newest == sign.newest,
        (_, Some(sign)) => probe::is_unchanged(kind, state, sign),
        (_, None) => false,
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
