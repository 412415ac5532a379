//! The shapes of settings: sizes, spans of time, shares, secrets. Each is read from its own TOML
//! type or from text, since the environment has only text. No room and no file is known here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

/// A number of bytes: `1048576`, `"64 MiB"`, `"1 GiB"`, `"500 MB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A span of time: `2` (seconds), `"250 ms"`, `"2 s"`, `"10 min"`, `"6 h"`, `"90 d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A share of a whole: `10` or `"10 %"`, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u8);

/// A whole number that may also be written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub i64);

/// A list that may also be written as text with commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

/// Yes or no: `true`, `false`, or the same as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switch(pub bool);

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text that must not be seen.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Span {
    /// Whole milliseconds, saturating.
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A number and the unit behind it, in lower case without spaces.
fn split_unit(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let number = number.replace('_', "").parse().ok()?;
    Some((number, unit.trim().to_ascii_lowercase()))
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text).ok_or_else(|| size_fault(text))?;
        let factor: u64 = match unit.as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return Err(size_fault(text)),
        };
        let size = number.checked_mul(factor);
        size.map(Self).ok_or_else(|| size_fault(text))
    }
}

fn size_fault(text: &str) -> String {
    format!("`{text}` is not a size; write for example \"64 MiB\" or \"1 GiB\"")
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text).ok_or_else(|| span_fault(text))?;
        let millis: u64 = match unit.as_str() {
            "ms" => 1,
            "" | "s" | "sec" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return Err(span_fault(text)),
        };
        let millis = number.checked_mul(millis);
        // An i64 of milliseconds is what BSON's dates take.
        millis
            .filter(|millis| i64::try_from(*millis).is_ok())
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| span_fault(text))
    }
}

fn span_fault(text: &str) -> String {
    format!("`{text}` is not a span of time; write for example \"250 ms\", \"2 s\" or \"90 d\"")
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let share = number.parse().ok().filter(|share| *share <= 100);
        share
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a share; write for example \"10 %\""))
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().parse().map(Self);
        number.map_err(|_| format!("`{text}` is not a whole number"))
    }
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(Self(true)),
            "false" | "no" | "off" | "0" => Ok(Self(false)),
            _ => Err(format!("`{text}` is neither true nor false")),
        }
    }
}

impl FromStr for List {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('[') {
            let items = serde_json::from_str(text).map(Self);
            return items.map_err(|_| {
                format!("`{text}` is not a list; write [\"a\", \"b\"] or a, b (JSON's escapes)")
            });
        }
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        Ok(Self(items.map(str::to_owned).collect()))
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

/// What TOML may hold where one of the types above is wanted.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Number(i64),
    Truth(bool),
    Items(Vec<String>),
}

macro_rules! written_as_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                // serde's own words for an untagged enum would not say what is wanted.
                let fault = || D::Error::custom("a text or a whole number is wanted here");
                let text = match Written::deserialize(source).map_err(|_| fault())? {
                    Written::Text(text) => text,
                    Written::Number(number) => number.to_string(),
                    Written::Truth(truth) => truth.to_string(),
                    Written::Items(_) => return Err(fault()),
                };
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

written_as_text!(Size, Span, Percent, Count, Switch, Secret);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        match Written::deserialize(source) {
            Ok(Written::Items(items)) => Ok(Self(items)),
            Ok(Written::Text(text)) => text.parse().map_err(D::Error::custom),
            Err(error) if error.to_string().starts_with("missing field") => Err(error),
            _ => Err(D::Error::custom("a list of texts is wanted here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_read_with_their_units() {
        assert_eq!("1 GiB".parse(), Ok(Size(1 << 30)));
        assert_eq!("64MiB".parse(), Ok(Size(64 << 20)));
        assert_eq!("10_000".parse(), Ok(Size(10_000)));
        assert_eq!("250 ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!("2".parse(), Ok(Span(Duration::from_secs(2))));
        assert_eq!("90 d".parse(), Ok(Span(Duration::from_secs(90 * 86_400))));
        assert_eq!("10 %".parse(), Ok(Percent(10)));
        assert_eq!("true".parse(), Ok(Switch(true)));
        assert!("maybe".parse::<Switch>().is_err());
    }

    #[test]
    fn nonsense_is_named_with_an_example() {
        assert!("much".parse::<Size>().unwrap_err().contains("64 MiB"));
        assert!("99999999999 GiB".parse::<Size>().is_err());
        assert!("2 fortnights".parse::<Span>().unwrap_err().contains("90 d"));
        assert!("101 %".parse::<Percent>().is_err());
    }

    #[test]
    fn a_list_is_json_or_has_commas() {
        let list = |items: &[&str]| Ok(List(items.iter().map(|&item| item.to_owned()).collect()));
        assert_eq!("a, b".parse(), list(&["a", "b"]));
        assert_eq!(r#"["a{1,2}", "b"]"#.parse(), list(&["a{1,2}", "b"]));
        assert!("[0-9]+".parse::<List>().is_err());
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "(secret)");
    }
}
