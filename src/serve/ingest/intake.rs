//! What waits to be written: each alert is read when it comes, and lies as BSON in a batch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Arrival, Waiting};
use crate::alert::enrich::{Agents, Enricher};
use crate::alert::{NotAnAlert, facts};
use crate::filter::Filter;
use crate::store::{Batch, MAX_DOCUMENT};

/// A batch is closed at so many documents or bytes: larger ones gain nothing.
const FULL: (usize, usize) = (1000, 1 << 20);
/// Empty batches that are kept for their buffers: two are written while one is filled.
const SPARE: usize = 3;

/// Alerts that are written together.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) batch: Batch,
    /// One for each document of the batch.
    pub(super) waiting: Vec<Waiting>,
}

/// What is said of an alert when it comes.
pub(super) enum Verdict {
    Waits,
    Filtered(String),
    NotAnAlert(NotAnAlert),
    TooLarge(Box<Waiting>, String),
}

pub(super) struct Intake {
    state: Mutex<State>,
    filter: Filter,
    arrived: Notify,
}

struct State {
    enricher: Enricher,
    loads: VecDeque<Load>,
    spare: Vec<Load>,
}

impl Intake {
    pub(super) fn new(enricher: &Enricher, filter: &Filter) -> Self {
        let state = State {
            enricher: enricher.clone(),
            loads: VecDeque::new(),
            spare: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            filter: filter.clone(),
            arrived: Notify::new(),
        }
    }

    /// From now on alerts of these agents carry what is known of them.
    pub(super) fn know(&self, agents: Arc<Agents>) {
        self.lock().enricher.know(agents);
    }

    /// Reads an alert and lays it to those that wait.
    pub(super) fn put(&self, waiting: Waiting) -> Verdict {
        let state = &mut *self.lock();
        let arrival = &waiting.arrival;
        let document = match state.enricher.document(&arrival.raw, &arrival.receipt()) {
            Ok(document) => document.bson,
            Err(why) => return Verdict::NotAnAlert(why),
        };
        if let Some(why) = self.refused(document) {
            return Verdict::Filtered(why);
        }
        if document.len() > MAX_DOCUMENT {
            let bytes = document.len();
            let why = format!("the document has {bytes} bytes, MongoDB takes {MAX_DOCUMENT}");
            return Verdict::TooLarge(Box::new(waiting), why);
        }
        if state.loads.back().is_none_or(Load::is_full) {
            let empty = state.spare.pop().unwrap_or_default();
            state.loads.push_back(empty);
        }
        if let Some(load) = state.loads.back_mut() {
            load.batch.push(document, false);
            load.waiting.push(waiting);
        }
        self.arrived.notify_one();
        Verdict::Waits
    }

    /// Whether an alert is one and wanted; if a filter takes it out, in which words.
    pub(super) fn judge(&self, arrival: &Arrival) -> Result<Option<String>, NotAnAlert> {
        if self.filter.is_empty() {
            return crate::alert::validate(&arrival.raw).map(|()| None);
        }
        let state = &mut *self.lock();
        let document = state.enricher.document(&arrival.raw, &arrival.receipt())?;
        Ok(self.refused(document.bson))
    }

    /// The next batch, as soon as there is one.
    pub(super) async fn next(&self) -> Load {
        loop {
            if let Some(load) = self.lock().loads.pop_front() {
                return load;
            }
            self.arrived.notified().await;
        }
    }

    /// Takes a batch back for its buffers.
    pub(super) fn reuse(&self, mut load: Load) {
        let state = &mut *self.lock();
        if state.spare.len() < SPARE {
            load.batch.clear();
            load.waiting.clear();
            state.spare.push(load);
        }
    }

    /// How many alerts wait.
    pub(super) fn waiting(&self) -> usize {
        let state = self.lock();
        state.loads.iter().map(|load| load.waiting.len()).sum()
    }

    fn refused(&self, document: &[u8]) -> Option<String> {
        if self.filter.is_empty() {
            return None;
        }
        let refusal = self.filter.refuses(&facts(document));
        refusal.map(|refusal| refusal.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    fn is_full(&self) -> bool {
        self.batch.len() >= FULL.0 || self.batch.bytes() >= FULL.1
    }
}
