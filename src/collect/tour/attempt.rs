//! One list of one agent: ask whether it changed, and read it if it did.

use super::Tour;
use crate::collect::fetch::{Fault, Reader, Reading, Verify, listing};
use crate::collect::plan::{self, Task, Visit};
use crate::collect::probe::{self, Probes, Sign};
use crate::collect::record::{Begin, End, Message};
use crate::collect::{loss, now};
use crate::inventory::{Kind, Owner, Probe, Row, text};
use crate::store::{Held, State};
use crate::wazuh_api::{Api, Error, Listing};

/// How an attempt at one list ended.
pub(super) enum Attempt {
    Unchanged(Box<State>),
    Read,
}

impl Tour<'_> {
    /// Asks or reads, and tells the recorder.
    pub(super) fn attempt(
        &mut self,
        visit: &Visit,
        task: &Task,
        asked: &mut Asked,
    ) -> Result<Attempt, Fault> {
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
        let mut listings = Vec::new();
        for policy in policies {
            let id = text(policy, "policy_id").unwrap_or_default();
            // It becomes a part of a path, and comes from an agent.
            let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
            if id.is_empty() || id.starts_with('.') || !id.bytes().all(is_plain) {
                let why = format!("a policy's name cannot be asked for: {}", id.escape_debug());
                return Err(Error::Refused(why).into());
            }
            listings.push(listing(kind, format!("{path}/{id}")));
        }
        Ok(listings)
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

/// More policies than an agent can have.
const POLICIES: u64 = 500;

/// What was asked in one visit, once.
#[derive(Default)]
pub(super) struct Asked {
    probes: Probes,
    policies: Option<Vec<Row>>,
}

impl Asked {
    fn policies(&mut self, api: &mut Api, owner: &Owner) -> Result<&[Row], Error> {
        if self.policies.is_none() {
            let list = Listing {
                path: format!("/sca/{}", owner.agent),
                query: Vec::new(),
                limit: POLICIES,
            };
            let page = api.page(&list, 0)?;
            if page.total > POLICIES {
                let why = format!("{} policies are more than can be followed", page.total);
                return Err(Error::Refused(why));
            }
            self.policies = Some(page.items);
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
