//! Days, and the names of Wazuh's dated files: `YYYY/Mon/ossec-alerts-DD[-NNN].json[.gz]`
//! (analysisd/alerts/getloglocation.c). A file's day is the server's local one, so it is only ever
//! compared with a margin of a day.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY: u64 = 86_400;

/// A day of the calendar, as a number of days since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

/// A dated file's place in the order of writing: `-DD`, then `-DD-001` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) day: Day,
    pub(super) sequence: u32,
}

impl Day {
    /// The day of an instant in UTC.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let days = |seconds: u64| i64::try_from(seconds / DAY).unwrap_or_default();
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => days(after.as_secs()),
            Err(before) => -1 - days(before.duration().as_secs()),
        })
    }

    /// So many days later, or earlier.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Year, month and day; `None` for a day that no month has.
    fn from_date(year: i64, month: i64, day: i64) -> Option<Self> {
        let this = Self(days_since_1970(year, month, day));
        (this.date() == (year, month, day)).then_some(this)
    }

    /// From <https://howardhinnant.github.io/date_algorithms.html>, as is its inverse below.
    fn date(self) -> (i64, i64, i64) {
        let days = self.0 + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        (year + era * 400 + i64::from(month <= 2), month, day)
    }

    /// Where Wazuh puts the files of this day's month: `2025/Jun`.
    #[must_use]
    pub fn folder(self) -> String {
        let (year, month, _) = self.date();
        let month = usize::try_from(month - 1).unwrap_or_default();
        format!("{year}/{}", MONTHS.get(month).unwrap_or(&""))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(out, "{year:04}-{month:02}-{day:02}")
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The name of a folder as a year.
pub(super) fn year(name: &str) -> Option<i64> {
    let digits = name.len() == 4 && name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| name.parse().ok()).flatten()
}

/// The name of a folder as a month, 1 to 12.
pub(super) fn month(name: &str) -> Option<i64> {
    let index = MONTHS.iter().position(|month| *month == name)?;
    i64::try_from(index + 1).ok()
}

/// The day and sequence that a path ends in, if it is a dated file's.
pub(super) fn key(path: &Path) -> Option<Key> {
    let mut names = path.iter().rev().map(|name| name.to_str());
    let (day, sequence) = day_and_sequence(names.next()??)?;
    let month = month(names.next()??)?;
    let year = year(names.next()??)?;
    let day = Day::from_date(year, month, day)?;
    Some(Key { day, sequence })
}

/// `ossec-alerts-02.json`, `ossec-alerts-02-001.json`, each with or without `.gz`.
fn day_and_sequence(name: &str) -> Option<(i64, u32)> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = name.strip_prefix("ossec-alerts-")?.strip_suffix(".json")?;
    let (day, sequence) = name.split_once('-').unwrap_or((name, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if day.len() != 2 || !digits(day) || !digits(sequence) {
        return None;
    }
    Some((day.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(path: &str) -> Option<(String, u32)> {
        key(Path::new(path)).map(|key| (key.day.to_string(), key.sequence))
    }

    #[test]
    fn names_are_read_as_wazuh_writes_them() {
        let day = |text: &str, sequence| Some((text.to_owned(), sequence));
        let log = "/var/ossec/logs/alerts";
        assert_eq!(
            key_of(&format!("{log}/2025/Jun/ossec-alerts-02.json")),
            day("2025-06-02", 0)
        );
        assert_eq!(
            key_of("2024/Feb/ossec-alerts-29-017.json.gz"),
            day("2024-02-29", 17)
        );
        for other in [
            "2025/Jun/ossec-alerts-02.log",
            "2025/Jun/ossec-alerts-02.json.sum",
            "2025/Jun/ossec-archive-02.json",
            "2025/Feb/ossec-alerts-29.json",
            "2025/June/ossec-alerts-02.json",
            "2025/Jun/ossec-alerts-2.json",
            "2025/Jun/ossec-alerts-02-a.json",
            "ossec-alerts-02.json",
            "alerts.json",
        ] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_order_of_keys_is_the_order_of_writing() {
        let key = |path: &str| key(Path::new(path)).unwrap();
        assert!(key("2025/Jan/ossec-alerts-31.json") < key("2025/Feb/ossec-alerts-01.json"));
        assert!(key("2025/Jan/ossec-alerts-31.json") < key("2025/Jan/ossec-alerts-31-001.json"));
        assert!(
            key("2025/Jan/ossec-alerts-31-999.json") < key("2025/Jan/ossec-alerts-31-1000.json")
        );
        assert!(key("2024/Dec/ossec-alerts-31-001.json") < key("2025/Jan/ossec-alerts-01.json"));
    }

    #[test]
    fn days_and_dates_agree_for_eight_centuries() {
        for number in -146_097..146_097 {
            let (year, month, day) = Day(number).date();
            assert_eq!(Day::from_date(year, month, day), Some(Day(number)));
        }
        let day = |seconds| Day::of(UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        assert_eq!(day(1_748_872_043).to_string(), "2025-06-02");
        let before = UNIX_EPOCH - std::time::Duration::from_secs(1);
        assert_eq!(Day::of(before).to_string(), "1969-12-31");
    }
}
