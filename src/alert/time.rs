//! Times as Wazuh writes them, and as we print them. Milliseconds since 1970-01-01 UTC throughout.

const DAY_MS: i64 = 86_400_000;

/// Reads `2025-06-02T21:47:23.199+0800` (Wazuh, which puts no colon into the offset, so it is not
/// RFC 3339), and RFC 3339 itself. None if it is neither.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let mut rest = Digits(text.as_bytes());
    let year = rest.number(4)?;
    let month = rest.after(b"-", 2)?;
    let day = rest.after(b"-", 2)?;
    let hour = rest.after(b"Tt ", 2)?;
    let minute = rest.after(b":", 2)?;
    let second = rest.after(b":", 2)?;
    let millis = rest.fraction();
    let offset = rest.offset()?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = hour * 3600 + minute * 60 + second - offset;
    valid.then(|| days_since_1970(year, month, day) * DAY_MS + seconds * 1000 + millis)
}

/// Writes RFC 3339 in UTC with milliseconds.
pub fn rfc3339(millis: i64) -> String {
    let (days, of_day) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS));
    let (year, month, day) = date_of(days);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Writes the stamp of `logs/integrations.log`, `Fri Nov 20 06:00:00 UTC 2026`.
pub fn log_stamp(millis: i64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = millis.div_euclid(DAY_MS);
    let (year, month, day) = date_of(days);
    let name = |names: &[&'static str], index: i64| {
        let index = usize::try_from(index).unwrap_or_default();
        names.get(index).copied().unwrap_or_default()
    };
    let rfc = rfc3339(millis);
    let clock = rfc.get(11..19).unwrap_or_default();
    let weekday = name(&WEEKDAYS, days.rem_euclid(7));
    let month = name(&MONTHS, month - 1);
    format!("{weekday} {month} {day:02} {clock} UTC {year}")
}

struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn number(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn after(&mut self, one_of: &[u8], count: usize) -> Option<i64> {
        let (separator, rest) = self.0.split_first()?;
        if !one_of.contains(separator) {
            return None;
        }
        self.0 = rest;
        self.number(count)
    }

    /// Milliseconds of a fraction of any length; 0 without one.
    fn fraction(&mut self) -> i64 {
        let Some(digits) = self.0.strip_prefix(b".").or(self.0.strip_prefix(b",")) else {
            return 0;
        };
        let count = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let digit = |place: usize| match digits.get(place) {
            Some(byte) if place < count => i64::from(byte - b'0'),
            _ => 0,
        };
        self.0 = digits.get(count..).unwrap_or_default();
        digit(0) * 100 + digit(1) * 10 + digit(2)
    }

    /// Seconds east of Greenwich: `Z`, `+0800` or `+08:00`.
    fn offset(&mut self) -> Option<i64> {
        if matches!(self.0, b"Z" | b"z") {
            return Some(0);
        }
        let sign = match self.0.first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.after(b"+-", 2)?;
        self.0 = self.0.strip_prefix(b":").unwrap_or(self.0);
        let minutes = self.number(2)?;
        (self.0.is_empty() && hours < 24 && minutes < 60)
            .then_some(sign * (hours * 3600 + minutes * 60))
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days in the years before `year`, counted from the year 0 of the proleptic Gregorian calendar.
fn days_before(year: i64) -> i64 {
    let last = year - 1;
    year * 365 + last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400) + 1
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    days_before(year) - days_before(1970) + months + day - 1
}

fn date_of(days: i64) -> (i64, i64, i64) {
    // 400 years have 146,097 days; the estimate is at most one year off.
    let mut year = 1970 + (days * 400).div_euclid(146_097);
    while days_since_1970(year, 1, 1) > days {
        year -= 1;
    }
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut rest = days - days_since_1970(year, 1, 1);
    let mut month = 1;
    while rest >= days_in(year, month) {
        rest -= days_in(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_wazuh_writes() {
        assert_eq!(
            parse("2025-06-02T21:47:23.199+0800"),
            Some(1_748_872_043_199)
        );
        assert_eq!(parse("2025-06-02T13:47:23.199Z"), Some(1_748_872_043_199));
        assert_eq!(
            parse("2025-06-02T09:17:23.199-04:30"),
            Some(1_748_872_043_199)
        );
        assert_eq!(parse("1970-01-01T00:00:00+0000"), Some(0));
        assert_eq!(
            parse("2024-02-29T23:59:60.9999999Z"),
            Some(1_709_251_200_999)
        );
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "today",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-06-02T24:00:00Z",
            "2025-06-02T21:47:23.199",
            "2025-06-02T21:47:23+08000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_and_reads_back_every_day_of_eight_centuries() {
        for day in -146_097..146_097 {
            let text = rfc3339(day * DAY_MS + 43_200_001);
            assert_eq!(parse(&text), Some(day * DAY_MS + 43_200_001), "{text}");
        }
    }

    #[test]
    fn stamps_a_log_line_as_the_stock_integrations_do() {
        assert_eq!(log_stamp(1_795_154_400_408), "Fri Nov 20 06:00:00 UTC 2026");
    }
}
