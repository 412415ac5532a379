//! A point in time as a person types it: a date, a time with its zone, or how long ago. Dates and
//! times without a zone are UTC, whatever the machine's clock shows.

use std::str::FromStr;

use super::time;
use crate::setting::Span;

/// A date, a time, or an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Milliseconds since 1970.
    At(i64),
    /// So long before now.
    Ago(Span),
}

impl When {
    /// Milliseconds since 1970, seen from `now`.
    pub fn from(self, now: i64) -> i64 {
        match self {
            Self::At(millis) => millis,
            Self::Ago(span) => now.saturating_sub(span.as_millis()),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let endings = ["", "Z", ":00Z", "T00:00:00Z"];
        let time = endings
            .iter()
            .find_map(|ending| time::parse(&format!("{text}{ending}")));
        let is_age = text.ends_with(|last: char| last.is_ascii_alphabetic());
        match time {
            Some(millis) => Ok(Self::At(millis)),
            None if is_age => text.parse().map(Self::Ago).map_err(|_| fault(text)),
            None => Err(fault(text)),
        }
    }
}

fn fault(text: &str) -> String {
    format!(
        "`{text}` is no time; write a date (2025-06-01), a time (2025-06-01T08:00:00+02:00; UTC without a zone) or an age (36h, 7d)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_without_a_zone_are_utc() {
        for text in [
            "2025-06-02",
            "2025-06-02T00:00",
            "2025-06-02 00:00:00",
            "2025-06-02T00:00:00.000Z",
            "2025-06-02T02:00:00+02:00",
            "2025-06-02T02:00:00+0200",
        ] {
            assert_eq!(text.parse(), Ok(When::At(1_748_822_400_000)), "{text}");
        }
    }

    #[test]
    fn an_age_counts_back_from_now() {
        let when: When = "36h".parse().unwrap();
        assert_eq!(when.from(200_000_000), 70_400_000);
    }

    #[test]
    fn a_number_without_a_unit_is_no_time() {
        for text in ["", "7", "yesterday", "2025-13-01", "2025-06-02T25:00"] {
            let fault = text.parse::<When>().unwrap_err();
            assert!(fault.contains("36h"), "{fault}");
        }
    }
}
