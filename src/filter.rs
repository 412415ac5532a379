//! Which alerts are stored: section `filter` of the settings, or the choice that an integration's
//! block in ossec.conf makes, with integratord's meaning (`os_integrator/integrator.c` and
//! `config/integrator-config.c`, the same in Wazuh 4.4 and 4.14). Pure.
//!
//! What an alert lacks matches nothing: a key that asks for it takes the alert out, as integratord
//! does, and an `exclude_…` key lets it pass. What is not known lets it pass either way: an alert too
//! many is better than one lost.

use crate::alert::Facts;
use crate::alert::enrich::Bands;
use crate::ossec_conf::Integration;

mod condition;
mod os_match;
mod ranges;
mod settings;

#[cfg(test)]
mod tests;

pub use condition::Refusal;
use condition::{Condition, Origin, Side, What};
use os_match::OsMatch;
use ranges::Ranges;
pub use settings::Settings;

/// Decides on alerts.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In integratord's order, which is that of the answers.
    conditions: Vec<Condition>,
    bands: Bands,
}

impl Filter {
    /// The filter that the settings describe; `bands` say what the words of Wazuh 5 stand for.
    pub fn new(settings: &Settings, bands: &Bands) -> Self {
        let only = only(settings).into_iter().flatten();
        let only = only.map(|what| (Side::Only, what));
        let excluded = excluded(settings).into_iter().flatten();
        let excluded = excluded.map(|what| (Side::Exclude, what));
        Self {
            conditions: only.chain(excluded).map(from_settings).collect(),
            bands: bands.clone(),
        }
    }

    /// What integratord lets through to this block, to the letter.
    ///
    /// # Errors
    ///
    /// `<event_location>` is longer than Wazuh takes; no manager starts with it.
    pub fn from_integration(block: &Integration) -> Result<Self, String> {
        let location = block
            .event_location
            .as_deref()
            .map(OsMatch::new)
            .transpose();
        let location = location.map_err(|why| format!("<event_location>: {why}"))?;
        let level = block.level.filter(|level| *level > 0);
        // No item is trimmed and none ignored: integratord compares with `strcmp`.
        let group = block.group.as_deref();
        let groups = group.map(|group| group.split(',').map(str::to_owned).collect());
        let rules = block.rule_id.as_deref().map(Ranges::of_numbers);
        let whats = [
            location.map(What::Location),
            level.map(What::LevelFrom),
            groups.map(What::Groups),
            rules.map(What::RuleIds),
        ];
        let conditions = whats.into_iter().flatten().map(|what| Condition {
            origin: Origin::Block,
            side: Side::Only,
            what,
        });
        Ok(Self {
            conditions: conditions.collect(),
            bands: Bands::default(),
        })
    }

    /// Whether it lets everything pass, so that nobody has to ask it.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// None: the alert is wanted. Else what took it out, in words for a person.
    pub fn refuses(&self, facts: &Facts<'_>) -> Option<Refusal> {
        let mut conditions = self.conditions.iter();
        conditions.find_map(|condition| condition.refuses(facts, &self.bands))
    }

    /// The settings that could not be asked, since the alert does not say and may yet be so.
    pub fn undecided(&self, facts: &Facts<'_>) -> Vec<String> {
        let conditions = self.conditions.iter();
        let undecided = conditions.filter(|condition| condition.is_undecided(facts, &self.bands));
        undecided
            .map(|condition| condition.written(&condition.what.text()))
            .collect()
    }
}

/// The settings' filter and, where a gap report asks what live delivery would have brought, the
/// choice that our blocks in ossec.conf make: any of them is enough.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    settings: Filter,
    /// None of them: no block takes anything out.
    pub blocks: Vec<Filter>,
}

impl Screen {
    /// With the settings alone.
    pub fn new(settings: Filter) -> Self {
        Self {
            settings,
            blocks: Vec::new(),
        }
    }

    /// Whether it lets everything pass.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
            && (self.blocks.is_empty() || self.blocks.iter().any(Filter::is_empty))
    }

    /// Whether the alert is wanted.
    pub fn lets_pass(&self, facts: &Facts<'_>) -> bool {
        let wanted = |filter: &Filter| filter.refuses(facts).is_none();
        wanted(&self.settings) && (self.blocks.is_empty() || self.blocks.iter().any(wanted))
    }
}

fn from_settings((side, what): (Side, What)) -> Condition {
    Condition {
        origin: Origin::Settings,
        side,
        what,
    }
}

fn only(settings: &Settings) -> [Option<What>; 7] {
    let level = settings.level.0;
    [
        settings.event_location.0.clone().map(What::Location),
        (level > 0).then_some(What::LevelFrom(level)),
        names(&settings.group.0).map(What::Groups),
        ranges(&settings.rule_id).map(What::RuleIds),
        ranges(&settings.agent_id).map(What::AgentIds),
        settings.agent_name.0.clone().map(What::AgentName),
        names(&settings.agent_group.0).map(What::AgentGroups),
    ]
}

fn excluded(settings: &Settings) -> [Option<What>; 7] {
    let location = settings.exclude_event_location.0.clone();
    [
        location.map(What::Location),
        ranges(&settings.exclude_level.0).map(What::Levels),
        names(&settings.exclude_group.0).map(What::Groups),
        ranges(&settings.exclude_rule_id).map(What::RuleIds),
        ranges(&settings.exclude_agent_id).map(What::AgentIds),
        settings.exclude_agent_name.0.clone().map(What::AgentName),
        names(&settings.exclude_agent_group.0).map(What::AgentGroups),
    ]
}

fn ranges(ranges: &Ranges) -> Option<Ranges> {
    (!ranges.is_empty()).then(|| ranges.clone())
}

fn names(names: &[String]) -> Option<Vec<String>> {
    (!names.is_empty()).then(|| names.to_vec())
}
