//! Section `filter`: which alerts are stored.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::os_match::OsMatch;
use super::ranges::Ranges;
use crate::setting::{Count, List};

/// Section `filter`: which alerts are stored. An alert has to satisfy each key that is set; one of
/// `exclude_…` takes it out whatever the others say. All are off while empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Only alerts of this rule.level and above, as `<level>`.
    pub level: LowestLevel,
    /// Only alerts of these rules: ids and ranges. `<rule_id>` knows no ranges.
    pub rule_id: Ranges,
    /// Only alerts whose rule is in one of these groups, as `<group>`: whole names, in this case.
    pub group: List,
    /// Only alerts whose location matches this pattern, as `<event_location>`: texts joined by `|`,
    /// `^` and `$` for start and end, `!` in front for all others; ASCII letters in any case.
    pub event_location: Pattern,
    /// Only alerts of these agents: ids and ranges.
    pub agent_id: Ranges,
    /// Only alerts of agents whose name matches this pattern.
    pub agent_name: Pattern,
    /// Only alerts of agents in one of these groups; without effect on an alert that does not name
    /// its agent's groups, and those of Wazuh 4 do not.
    pub agent_group: List,
    /// No alerts of these levels: numbers and ranges.
    pub exclude_level: Levels,
    /// No alerts of these rules: ids and ranges.
    pub exclude_rule_id: Ranges,
    /// No alerts whose rule is in one of these groups.
    pub exclude_group: List,
    /// No alerts whose location matches this pattern.
    pub exclude_event_location: Pattern,
    /// No alerts of these agents: ids and ranges.
    pub exclude_agent_id: Ranges,
    /// No alerts of agents whose name matches this pattern.
    pub exclude_agent_name: Pattern,
    /// No alerts of agents in one of these groups, where the alert names them.
    pub exclude_agent_group: List,
}

/// Wazuh's highest rule.level.
const HIGHEST: u32 = 16;

/// A rule.level, 0 to 16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LowestLevel(pub(super) u32);

/// Levels and ranges of them, 0 to 16.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels(pub(super) Ranges);

/// A pattern of Wazuh's `OSMatch`; none if the text is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern(pub(super) Option<OsMatch>);

impl<'de> Deserialize<'de> for LowestLevel {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let fault = || D::Error::custom("a rule.level from 0 to 16 is wanted, for example 7");
        let Count(level) = Count::deserialize(source).map_err(|_| fault())?;
        let level = u32::try_from(level).ok().filter(|level| *level <= HIGHEST);
        level.map(Self).ok_or_else(fault)
    }
}

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let levels = Ranges::deserialize(source)?;
        if levels.last().is_some_and(|last| last > HIGHEST) {
            let fault = "rule.level goes from 0 to 16; write for example \"0-2\"";
            return Err(D::Error::custom(fault));
        }
        Ok(Self(levels))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)
            .map_err(|_| D::Error::custom("a pattern is wanted, for example \"^web-|db$\""))?;
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let pattern = OsMatch::new(&text).map_err(D::Error::custom)?;
        // Excluded by a slip of the pen, every alert would be lost.
        if pattern.has_empty_alternative() {
            return Err(D::Error::custom(format!(
                "`{text}` matches everything, since one of its texts is empty; write for example \"^web-|db$\""
            )));
        }
        Ok(Self(Some(pattern)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn values_may_be_texts_as_in_the_environment() {
        let settings =
            parse("level = \"7\"\nexclude_level = \"13-16\"\nrule_id = \"1-2\"").unwrap();
        assert_eq!(settings.level, LowestLevel(7));
        assert_eq!(settings.exclude_level.0.find(14), Some("13-16"));
        assert_eq!(parse("level = 7").unwrap().level, LowestLevel(7));
        assert_eq!(
            parse("agent_name = \" \"").unwrap().agent_name,
            Pattern(None)
        );
    }

    #[test]
    fn a_level_that_wazuh_does_not_have_is_refused() {
        for text in [
            "level = 17",
            "level = -1",
            "level = \"high\"",
            "exclude_level = \"12-17\"",
        ] {
            let fault = parse(text).unwrap_err();
            assert!(
                fault.contains("0 to 16") && fault.contains("for example"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_pattern_that_would_take_everything_is_refused() {
        for pattern in ["web|", "^", "|web", "!$", "web||db"] {
            let fault = parse(&format!("exclude_agent_name = \"{pattern}\"")).unwrap_err();
            assert!(
                fault.contains(pattern) && fault.contains("^web-"),
                "{fault}"
            );
        }
        assert!(
            parse("event_location = [\"a\"]")
                .unwrap_err()
                .contains("a pattern is wanted")
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(
            parse("exclude_rule = 1")
                .unwrap_err()
                .contains("exclude_rule_id")
        );
    }
}
