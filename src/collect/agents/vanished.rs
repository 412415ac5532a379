//! Who is not listed any longer. An agent has vanished only if the login may see every agent: a list
//! without it may be a missing permission.

use std::collections::HashMap;

use super::{Census, Known, whole};
use crate::collect::report::{Counts, Report};
use crate::collect::{Error, loss};
use crate::inventory::{Agent, Id};
use crate::store::{AgentChange, Held};
use crate::wazuh_api::{self, Api, Reach};

impl Census<'_> {
    /// Marks who has vanished, if that is to be believed. Gives what is held back.
    pub(super) fn vanished(
        &self,
        api: &mut Api,
        known: HashMap<Id, Known>,
        listed: &[Agent],
        before: Option<Held>,
        told: (&mut Counts, &mut Report),
    ) -> Result<Option<Held>, Error> {
        let (counts, report) = told;
        let had = whole(known.len());
        let gone = gone(known, listed);
        let count = whole(gone.len());
        if gone.is_empty() {
            return Ok(None);
        }
        if let Some(why) = hides_agents(api)? {
            log::info!("{count} agents are not listed; nothing is concluded from that: {why}");
            counts.held += count;
            return Ok(before);
        }
        if count > loss::allowed(had, self.max_loss) {
            let held = before.filter(|held| held.version == self.version);
            let held = held.unwrap_or_else(|| self.held(had));
            if !loss::is_due(&held, self.confirm_after, self.at) {
                counts.held += count;
                report.warn(format!(
                    "{count} of {had} agents are not listed any longer, all at once; none is marked as removed until that has held (collect.confirm_loss_after)"
                ));
                return Ok(Some(held));
            }
        }
        counts.removed += count;
        let gone: Vec<_> = gone.into_iter().map(AgentChange::Vanished).collect();
        self.write(&gone, report)?;
        Ok(None)
    }

    fn held(&self, had: u64) -> Held {
        Held {
            since: self.at,
            had,
            newest: None,
            version: self.version.to_owned(),
        }
    }
}

/// Who is not listed any longer. Another node's manager is not listed while this one is the master.
fn gone(known: HashMap<Id, Known>, listed: &[Agent]) -> Vec<Id> {
    let manager = listed.iter().find(|agent| agent.is_manager());
    let node = manager.and_then(|agent| agent.node.clone());
    let gone = known.into_values().filter(|known| {
        let agent = &known.agent;
        !known.is_seen && agent.removed_at.is_none() && (agent.node.is_none() || agent.node == node)
    });
    gone.map(|known| known.agent.id).collect()
}

/// Why the login may not see every agent; none if it may. `GET /agents` answers 200 with fewer
/// agents, not 403.
fn hides_agents(api: &mut Api) -> Result<Option<String>, Error> {
    match api.rights() {
        Ok(rights) if rights.reach("agent:read") == Reach::All => Ok(None),
        Ok(_) => Ok(Some(
            "the login may not read every agent; give it agent:read on agent:id:*".to_owned(),
        )),
        Err(error @ (wazuh_api::Error::Deadline | wazuh_api::Error::BadLogin(_))) => {
            Err(error.into())
        }
        Err(error) => Ok(Some(format!("the login's policies are not known: {error}"))),
    }
}
