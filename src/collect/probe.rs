//! The cheap questions: did an agent's list change since it was read?

use std::collections::HashMap;

use crate::alert::time;
use crate::inventory::{Kind, Owner, Probe, Row, find, text};
use crate::store::State;
use crate::wazuh_api::{Api, Error, Listing};

/// A change within the same second as a read hides behind it; a read that began so much later than
/// the newest time saw everything of that time.
const SETTLED_MS: i64 = 10 * 60_000;

/// The newest time of a list, and how many rows it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) newest: Option<String>,
    pub(super) total: u64,
}

/// Asks for each list once in a visit.
#[derive(Debug, Default)]
pub(super) struct Probes {
    asked: HashMap<String, Option<Sign>>,
}

impl Probes {
    /// The sign of a kind's list, or of the list whose time it shares. None where there is no
    /// question cheaper than reading, and where this server does not understand it.
    pub(super) fn sign(
        &mut self,
        api: &mut Api,
        kind: &Kind,
        owner: &Owner,
    ) -> Result<Option<Sign>, Error> {
        match kind.probe {
            Probe::Newest(field) => self.ask(api, &kind.path(&owner.agent), field),
            Probe::With(other) => match find(other) {
                Some(other) => self.sign(api, other, owner),
                None => Ok(None),
            },
            Probe::Read | Probe::Agents | Probe::Policies => Ok(None),
        }
    }

    fn ask(&mut self, api: &mut Api, path: &str, field: &str) -> Result<Option<Sign>, Error> {
        if let Some(sign) = self.asked.get(path) {
            return Ok(sign.clone());
        }
        let sign = ask(api, path, field)?;
        self.asked.insert(path.to_owned(), sign.clone());
        Ok(sign)
    }
}

/// Asks now, whatever was asked before.
pub(super) fn ask(api: &mut Api, path: &str, field: &str) -> Result<Option<Sign>, Error> {
    let query = [("sort", format!("-{field}")), ("select", field.to_owned())];
    let listing = Listing {
        path: path.to_owned(),
        query: query.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        limit: 1,
    };
    match api.page(&listing, 0) {
        Ok(page) => Ok(Some(Sign {
            newest: page.items.first().and_then(|row| newest(row, field)),
            total: page.total,
        })),
        // An older or newer server that has no such field: its lists are read.
        Err(Error::Refused(why)) => {
            log::debug!("{path}: {why}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The time of a row as text.
pub(super) fn newest(row: &Row, field: &str) -> Option<String> {
    text(row, field)
        .filter(|time| !time.is_empty())
        .map(str::to_owned)
}

/// Whether the sign proves that nothing changed since the state was written.
pub(super) fn is_unchanged(kind: &Kind, state: &State, sign: &Sign) -> bool {
    let counts = match kind.probe {
        // The sign is another list's: only its time says something about this one.
        Probe::With(_) => true,
        _ => sign.total == state.count,
    };
    state.complete && counts && sign.newest == state.newest && is_settled(state)
}

fn is_settled(state: &State) -> bool {
    let (Some(newest), Some(read_at)) = (&state.newest, state.read_at) else {
        return state.newest.is_none();
    };
    let written = time::parse(newest).is_some_and(|newest| read_at > newest + SETTLED_MS);
    // The agent's clock may be ahead of ours; then it counts since when we know the time.
    written || read_at > state.newest_since + SETTLED_MS
}
