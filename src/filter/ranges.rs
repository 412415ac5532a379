//! Whole numbers and ranges of them, as settings write rule ids, agent ids and levels.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

/// Numbers and ranges, each with the text it was written as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    numbers: RangeInclusive<u32>,
    text: String,
}

impl Ranges {
    /// Single numbers.
    pub(super) fn of_numbers(numbers: &[u32]) -> Self {
        let one = |number: &u32| Range {
            numbers: *number..=*number,
            text: number.to_string(),
        };
        Self(numbers.iter().map(one).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, as it was written.
    pub(super) fn text(&self) -> String {
        let texts: Vec<_> = self.0.iter().map(|range| range.text.as_str()).collect();
        texts.join(", ")
    }

    /// The largest number in it.
    pub(super) fn last(&self) -> Option<u32> {
        self.0.iter().map(|range| *range.numbers.end()).max()
    }

    /// The first range that has the number, as it was written.
    pub(super) fn find(&self, number: u32) -> Option<&str> {
        let found = self.0.iter().find(|range| range.numbers.contains(&number));
        found.map(|range| range.text.as_str())
    }
}

impl FromStr for Ranges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inside = text.trim().strip_prefix('[');
        let inside = inside.and_then(|rest| rest.strip_suffix(']'));
        let items = inside.unwrap_or(text).split(',');
        let items = items.map(|item| item.trim_matches([' ', '"', '\n', '\t']));
        let items = items.filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let numbers = number(first).zip(number(last));
        let (first, last) = numbers.ok_or_else(|| {
            format!(
                "`{text}` is not a number or a range; write for example \"5710\" or \"5500-5599\""
            )
        })?;
        if first > last {
            return Err(format!("`{text}` goes down; write {last}-{first}"));
        }
        Ok(Self {
            numbers: first..=last,
            text: text.to_owned(),
        })
    }
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// What TOML may hold where numbers are wanted.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    One(Item),
    Many(Vec<Item>),
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Item {
    Number(i64),
    Text(String),
}

impl Item {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        // serde's own words for an untagged enum would not say what is wanted.
        let fault =
            "a number, a range or a list of them is wanted, for example \"5710, 5500-5599\"";
        let text = match Written::deserialize(source).map_err(|_| D::Error::custom(fault))? {
            Written::One(item) => item.into_text(),
            Written::Many(items) => {
                let texts: Vec<_> = items.into_iter().map(Item::into_text).collect();
                texts.join(",")
            }
        };
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Holder {
        ids: Ranges,
    }

    fn from_toml(value: &str) -> Result<Ranges, String> {
        let holder: Result<Holder, _> = toml::from_str(&format!("ids = {value}"));
        holder
            .map(|holder| holder.ids)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn numbers_and_ranges_in_every_way_they_can_be_written() {
        let expected: Ranges = "5710, 5500-5599".parse().unwrap();
        for value in [
            "\"5710,5500-5599\"",
            "[\"5710\", \"5500-5599\"]",
            "[5710, \"5500-5599\"]",
            "\" 5710 ,, 5500-5599 , \"",
            "'[5710, \"5500-5599\"]'",
        ] {
            assert_eq!(from_toml(value), Ok(expected.clone()), "{value}");
        }
        assert_eq!(from_toml("5710"), "5710".parse());
        assert!(from_toml("\"\"").unwrap().is_empty());
    }

    #[test]
    fn both_ends_belong_to_a_range_and_zeros_in_front_mean_nothing() {
        let ranges: Ranges = "010-020, 7".parse().unwrap();
        assert_eq!(ranges.find(10), Some("010-020"));
        assert_eq!(ranges.find(20), Some("010-020"));
        assert_eq!(ranges.find(7), Some("7"));
        assert_eq!((ranges.find(9), ranges.find(21)), (None, None));
        assert_eq!(
            (ranges.last(), ranges.text().as_str()),
            (Some(20), "010-020, 7")
        );
    }

    #[test]
    fn what_is_no_range_is_refused_with_an_example() {
        for text in [
            "sshd",
            "-5",
            "5-",
            "+5",
            "5500-5599-1",
            "1.5",
            "99999999999",
        ] {
            let fault = text.parse::<Ranges>().unwrap_err();
            assert!(
                fault.contains(text) && fault.contains("5500-5599"),
                "{fault}"
            );
        }
        assert!("20-10".parse::<Ranges>().unwrap_err().contains("10-20"));
        assert!(from_toml("true").unwrap_err().contains("5500-5599"));
        assert!(from_toml("[-1]").unwrap_err().contains("`-1`"));
    }
}
