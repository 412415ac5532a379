//! Section `collect`: what is brought into MongoDB, how often, and when a loss is believed.

use serde::Deserialize;

use crate::inventory::{Kind, parse};
use crate::setting::{Count, List, Percent, Span};

/// What is collected.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The kinds of inventory; the agents themselves are always read.
    pub kinds: List,
    /// How often `serve` collects, from start to start; unless set, only the command does.
    pub every: Option<Span>,
    /// How many managers are read at once; one manager is always asked one thing after the other.
    pub max_workers: Count,
    /// When a run stops cleanly; less than the interval of cron, the next run goes on from there.
    pub deadline: Span,
    /// How often everything is read in full, even if the server says that nothing changed.
    pub full_every: Span,
    /// How long it has to hold that an agent lost most of a kind before it is believed.
    pub confirm_loss_after: Span,
    /// If more of a site's agents lose a kind at once, nothing of that kind is removed.
    pub max_loss: Percent,
    /// How long versions that are over are kept, and what vanished agents had; unless set, for ever.
    pub history: Option<Span>,
    /// Whether each run also compares the alerts in alerts.json with those in MongoDB.
    pub gap_check: GapCheck,
    /// Over which time it compares them.
    pub gap_window: Span,
    /// Whether many agents are asked at once where the server has experimental features on.
    pub fleet_probes: FleetProbes,
}

/// What is done about alerts that are in alerts.json and not in MongoDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapCheck {
    /// Nobody looks.
    Off,
    /// They are told.
    Report,
    /// They are told and brought in.
    Repair,
}

/// Whether the experimental endpoints are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FleetProbes {
    /// Where the server has them.
    Auto,
    /// Never.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        let span = |text: &str| text.parse().unwrap_or(Span(std::time::Duration::ZERO));
        let kinds = ["agents", "syscheck", "software", "osinfo", "hotfixes"];
        Self {
            kinds: List(kinds.map(str::to_owned).to_vec()),
            every: None,
            max_workers: Count(1),
            deadline: span("13 min"),
            full_every: span("24 h"),
            confirm_loss_after: span("1 d"),
            max_loss: Percent(5),
            history: None,
            gap_check: GapCheck::Report,
            gap_window: span("2 h"),
            fleet_probes: FleetProbes::Auto,
        }
    }
}

impl Settings {
    /// The kinds that these words stand for, each once, in the order in which they are read.
    ///
    /// # Errors
    ///
    /// Names the unknown word and the nearest known one.
    pub fn kinds(words: &[String]) -> Result<Vec<&'static Kind>, String> {
        let mut named = Vec::new();
        for word in words {
            named.extend(parse(word)?);
        }
        let all = crate::inventory::KINDS.iter();
        Ok(all.filter(|kind| named.contains(kind)).collect())
    }
}
