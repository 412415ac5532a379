//! What a run did: for the exit status, the collection `collect_runs`, and whoever asks for JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::wazuh_api::Tally;

/// Reasons that are kept; a server that is down has thousands of the same.
const REASONS: usize = 100;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything that is due was read.
    Complete,
    /// Some parts are missing; `failures` and `not_reached` say which.
    Partial,
    /// Somebody else collects for this site.
    Busy,
    /// Nothing could be done; `warnings` says why.
    Failed,
}

/// What became of a kind, in rows and in agents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows that the server sent.
    pub seen: u64,
    /// Rows that had no document.
    pub new: u64,
    /// Rows whose document said something else.
    pub changed: u64,
    /// Documents whose rows are gone.
    pub removed: u64,
    /// Old versions that are kept no longer (`collect.history`).
    pub expired: u64,
    /// Agents that were read.
    pub read: u64,
    /// Agents that cannot have changed, by a cheap question or none.
    pub unchanged: u64,
    /// Agents without data: never connected, no database.
    pub skipped: u64,
    /// Agents whose loss is not believed yet.
    pub held: u64,
    /// Agents that could not be read.
    pub failed: u64,
}

/// Why a part is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The agent; none if it is about the kind or the run.
    pub agent: Option<String>,
    /// The kind.
    pub kind: String,
    /// In one line.
    pub reason: String,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The Wazuh installation.
    #[serde(rename = "_site")]
    pub site: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The manager's version, as its API says it.
    pub manager_version: String,
    /// Agents that the manager has.
    pub agents: u64,
    /// Agents that were due and not reached before the deadline.
    pub not_reached: u64,
    /// By kind.
    pub kinds: BTreeMap<&'static str, Counts>,
    /// Kinds that this server does not have.
    pub absent: Vec<&'static str>,
    /// Why parts are missing; the first hundred.
    pub failures: Vec<Failure>,
    /// How many there were in all.
    pub failed: u64,
    /// What an operator has to look at.
    pub warnings: Vec<String>,
    /// Requests that were sent, logins included.
    pub requests: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests that the server refused because of its rate limit.
    pub limited: u64,
    /// Bytes that were received.
    pub bytes: u64,
}

impl Report {
    pub(super) fn new(site: &str) -> Self {
        Self {
            site: site.to_owned(),
            outcome: Outcome::Complete,
            dry_run: false,
            manager_version: String::new(),
            agents: 0,
            not_reached: 0,
            kinds: BTreeMap::new(),
            absent: Vec::new(),
            failures: Vec::new(),
            failed: 0,
            warnings: Vec::new(),
            requests: 0,
            retries: 0,
            limited: 0,
            bytes: 0,
        }
    }

    /// A run that could not be made.
    pub fn failed(site: &str, why: String) -> Self {
        Self {
            outcome: Outcome::Failed,
            warnings: vec![why],
            ..Self::new(site)
        }
    }

    pub(super) fn of(&mut self, kind: &'static str) -> &mut Counts {
        self.kinds.entry(kind).or_default()
    }

    /// Notes why a part is missing. Told once, at the end.
    pub(super) fn fail(&mut self, agent: Option<&str>, kind: &str, reason: String) {
        self.outcome = Outcome::Partial;
        self.failed += 1;
        log::debug!("{} {kind}: {reason}", agent.unwrap_or("-"));
        if self.failures.len() < REASONS {
            self.failures.push(Failure {
                agent: agent.map(str::to_owned),
                kind: kind.to_owned(),
                reason,
            });
        }
    }

    /// Notes what an operator has to look at.
    pub(super) fn warn(&mut self, text: String) {
        self.outcome = Outcome::Partial;
        self.warnings.push(text);
    }

    /// Adds what the recorder did.
    pub(super) fn merge(&mut self, other: Self) {
        for (kind, counts) in other.kinds {
            self.of(kind).add(&counts);
        }
        self.warnings.extend(other.warnings);
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(REASONS);
        if other.outcome == Outcome::Partial {
            self.outcome = Outcome::Partial;
        }
    }

    pub(super) fn tally(&mut self, tally: &Tally) {
        self.requests = tally.requests;
        self.retries = tally.retries;
        self.limited = tally.limited;
        self.bytes = tally.bytes;
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.new += other.new;
        self.changed += other.changed;
        self.removed += other.removed;
        self.expired += other.expired;
        self.read += other.read;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.held += other.held;
        self.failed += other.failed;
    }
}
