//! One thing that is asked of an alert, and what is said when it is not so.

use std::borrow::Cow;

use super::os_match::OsMatch;
use super::ranges::Ranges;
use crate::alert::enrich::Bands;
use crate::alert::{Facts, Level};

/// One key of the settings, or one element of an integration's block.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) origin: Origin,
    pub(super) side: Side,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Section `filter`.
    Settings,
    /// The integration's block in ossec.conf.
    Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Only,
    Exclude,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    LevelFrom(u32),
    Levels(Ranges),
    RuleIds(Ranges),
    Groups(Vec<String>),
    Location(OsMatch),
    AgentIds(Ranges),
    AgentName(OsMatch),
    AgentGroups(Vec<String>),
}

/// What came of looking for a condition's value in an alert.
enum Look<'c> {
    /// The alert does not say, though it may be so.
    Unknown,
    /// The alert says something else, or lacks the field.
    Other,
    /// The part of the condition that it was.
    Found(Cow<'c, str>),
}

/// Why an alert is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    setting: String,
    fact: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} took it: {}", self.setting, self.fact)
    }
}

impl Condition {
    pub(super) fn refuses(&self, facts: &Facts<'_>, bands: &Bands) -> Option<Refusal> {
        let value = match (self.side, self.what.look(facts, bands)) {
            (Side::Only, Look::Other) => Cow::Owned(self.what.text()),
            (Side::Exclude, Look::Found(part)) => part,
            _ => return None,
        };
        Some(Refusal {
            setting: self.written(&value),
            fact: self.what.fact(facts),
        })
    }

    /// Whether the alert does not say what is asked for.
    pub(super) fn is_undecided(&self, facts: &Facts<'_>, bands: &Bands) -> bool {
        matches!(self.what.look(facts, bands), Look::Unknown)
    }

    /// The condition as its author wrote it.
    pub(super) fn written(&self, value: &str) -> String {
        let key = self.what.key();
        match (self.origin, self.side) {
            (Origin::Block, _) => format!("<{key}>{value}</{key}>"),
            (Origin::Settings, Side::Only) => format!("filter.{key} = {value}"),
            (Origin::Settings, Side::Exclude) => format!("filter.exclude_{key} = {value}"),
        }
    }
}

impl What {
    fn look(&self, facts: &Facts<'_>, bands: &Bands) -> Look<'_> {
        let level = || facts.level.as_ref().map(|level| number(level, bands));
        match self {
            Self::LevelFrom(lowest) => match level() {
                Some(level) if level >= *lowest => Look::Found(lowest.to_string().into()),
                _ => Look::Other,
            },
            Self::Levels(levels) => in_ranges(levels, level()),
            Self::RuleIds(ids) => in_ranges(ids, facts.rule_id.as_deref().and_then(leading_number)),
            Self::AgentIds(ids) => {
                let id = facts.agent_id.as_deref();
                in_ranges(ids, id.and_then(|id| id.parse().ok()))
            }
            Self::Location(pattern) => in_pattern(pattern, facts.location.as_deref()),
            Self::AgentName(pattern) => in_pattern(pattern, facts.agent_name.as_deref()),
            Self::Groups(names) => in_names(names, |name| facts.groups.contains(&name)),
            Self::AgentGroups(names) => match &facts.agent_groups {
                Some(groups) => in_names(names, |name| groups.iter().any(|group| group == name)),
                None => Look::Unknown,
            },
        }
    }

    /// The name of the setting and, where there is one, of the element in ossec.conf.
    fn key(&self) -> &'static str {
        match self {
            Self::LevelFrom(_) | Self::Levels(_) => "level",
            Self::RuleIds(_) => "rule_id",
            Self::Groups(_) => "group",
            Self::Location(_) => "event_location",
            Self::AgentIds(_) => "agent_id",
            Self::AgentName(_) => "agent_name",
            Self::AgentGroups(_) => "agent_group",
        }
    }

    /// The whole value.
    pub(super) fn text(&self) -> String {
        match self {
            Self::LevelFrom(level) => level.to_string(),
            Self::Levels(ranges) | Self::RuleIds(ranges) | Self::AgentIds(ranges) => ranges.text(),
            Self::Groups(names) | Self::AgentGroups(names) => names.join(", "),
            Self::Location(pattern) | Self::AgentName(pattern) => pattern.text().to_owned(),
        }
    }

    /// What the alert says of it.
    fn fact(&self, facts: &Facts<'_>) -> String {
        let (field, value) = match self {
            Self::LevelFrom(_) | Self::Levels(_) => {
                let word = |level: &Level<'_>| match level {
                    Level::Number(number) => number.to_string(),
                    Level::Word(word) => word.to_string(),
                };
                ("rule.level", facts.level.as_ref().map(word))
            }
            Self::RuleIds(_) => ("rule.id", owned(facts.rule_id.as_ref())),
            Self::Groups(_) => ("rule.groups", joined(&facts.groups)),
            Self::Location(_) => ("location", owned(facts.location.as_ref())),
            Self::AgentIds(_) => ("agent.id", owned(facts.agent_id.as_ref())),
            Self::AgentName(_) => ("agent.name", owned(facts.agent_name.as_ref())),
            Self::AgentGroups(_) => {
                let groups = facts.agent_groups.as_deref().unwrap_or_default();
                ("agent.groups", joined(groups))
            }
        };
        match value {
            Some(value) => format!("{field} is {}", shown(&value)),
            None => format!("the alert has no {field}"),
        }
    }
}

fn in_ranges(ranges: &Ranges, number: Option<u32>) -> Look<'_> {
    let found = number.and_then(|number| ranges.find(number));
    found.map_or(Look::Other, |range| Look::Found(range.into()))
}

fn in_pattern<'c>(pattern: &'c OsMatch, text: Option<&str>) -> Look<'c> {
    match text {
        Some(text) if pattern.is_match(text) => Look::Found(pattern.text().into()),
        _ => Look::Other,
    }
}

fn in_names(names: &[String], has: impl Fn(&str) -> bool) -> Look<'_> {
    let found = names.iter().find(|name| has(name.as_str()));
    found.map_or(Look::Other, |name| Look::Found(name.into()))
}

fn number(level: &Level<'_>, bands: &Bands) -> u32 {
    match level {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "levels are 0 to 16, integratord cuts fractions off too, and a cast saturates"
        )]
        Level::Number(number) => *number as u32,
        Level::Word(word) => u32::try_from(bands.lowest_level(word)).unwrap_or(0),
    }
}

/// As C's `atoi`, by which integratord reads rule.id; 0 is no rule.
fn leading_number(text: &str) -> Option<u32> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.get(..end.unwrap_or(text.len()))?.parse().ok()
}

fn owned(text: Option<&Cow<'_, str>>) -> Option<String> {
    text.map(|text| text.clone().into_owned())
}

fn joined<S: std::borrow::Borrow<str>>(names: &[S]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}

/// On one line, however hostile the alert is.
fn shown(value: &str) -> String {
    const LONGEST: usize = 200;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    value.chars().take(LONGEST).map(plain).collect()
}
