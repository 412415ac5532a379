//! What is gone is removed at the end of a run, when it is known how many agents lost something.

use std::collections::HashSet;

use super::{Reading, Recorder, whole};
use crate::collect::Error;
use crate::collect::loss;
use crate::collect::probe::Sign;
use crate::inventory::{Id, Kind, Owner};
use crate::store::{Change, Held, State};

/// Removals that are kept until the end of a run, 16 bytes each; a list beyond is read again.
const PENDING: usize = 1_000_000;

/// Documents whose rows are gone, until the run ends.
pub(in crate::collect) struct Pending {
    owner: Owner,
    kind: &'static Kind,
    gone: Vec<Id>,
    /// The loss that is believed now, if it is one.
    held: Option<Held>,
    at: i64,
    state: State,
}

impl Recorder<'_> {
    pub(super) fn recovered(&mut self, owner: &Owner, kind: &Kind) {
        if let Some(losing) = self.losing.get_mut(kind.name) {
            losing.remove(owner);
        }
    }

    /// Removals wait for the end of the run.
    pub(super) fn put_off(
        &mut self,
        reading: Reading,
        sign: Sign,
        gone: Vec<Id>,
        held: Option<Held>,
    ) -> Result<(), Error> {
        let waiting: usize = self.pending.iter().map(|pending| pending.gone.len()).sum();
        if waiting + gone.len() > PENDING {
            let why = "too many rows are gone at once; the next run goes on".to_owned();
            return self.partial(reading, why);
        }
        let state = reading.state(sign, None);
        self.pending.push(Pending {
            owner: reading.begin.owner,
            kind: reading.begin.task.kind,
            gone,
            held,
            at: reading.begin.at,
            state,
        });
        Ok(())
    }

    /// Removes what is gone, kind by kind, unless too many agents lost it at once.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.save()?;
        let allowed = loss::allowed(self.agents, self.max_loss);
        let mut stopped = HashSet::new();
        for (kind, losing) in &self.losing {
            let count = whole(losing.len());
            if count > allowed {
                stopped.insert(*kind);
                let agents = self.agents;
                self.report.warn(format!(
                    "{kind}: {count} of {agents} agents lost most or all of it; nothing of it is marked as removed (collect.max_loss). Was the manager upgraded, or did a worker fail over?"
                ));
            }
        }
        for pending in std::mem::take(&mut self.pending) {
            if stopped.contains(pending.kind.name) {
                self.hold_back(pending)?;
            } else {
                self.remove(pending)?;
            }
        }
        self.save()
    }

    fn hold_back(&mut self, pending: Pending) -> Result<(), Error> {
        self.report.of(pending.kind.name).held += 1;
        let state = State {
            complete: false,
            held: pending.held,
            failure: Some("too many agents lost this kind at once".to_owned()),
            ..pending.state
        };
        self.keep(pending.owner, pending.kind, state)
    }

    fn remove(&mut self, pending: Pending) -> Result<(), Error> {
        let change = Change {
            gone: pending.gone,
            ..Change::default()
        };
        self.report.of(pending.kind.name).removed += whole(change.gone.len());
        let mut state = pending.state;
        if let Some(why) = self.write(pending.kind, &change, pending.at)? {
            self.report
                .fail(Some(&pending.owner.agent), pending.kind.name, why.clone());
            (state.complete, state.failure) = (false, Some(why));
        }
        self.keep(pending.owner, pending.kind, state)
    }
}
