//! What keeping alerts costs on this host, by what Wazuh wrote here lately.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::host::Host;
use super::tree::Folder;
use crate::alerts_log::Day;
use crate::setting::Span;

/// Days that are looked at.
const LATELY: i64 = 7;
/// Bytes in MongoDB 6.0, indexes included, for a hundred in alerts.json: 40,000 alerts as
/// `packaging/bench` makes them, 75.1 MB, took 53.9 MB. Theirs are more random than most.
const STORED_PERCENT: u64 = 72;
/// What is offered.
pub const OFFERED: [&str; 4] = ["30d", "90d", "180d", "1y"];

/// How long alerts are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retention {
    /// So long, as it is written in the settings.
    For(String),
    /// For ever.
    Off,
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        let span: Span = text.parse()?;
        if days(span) == 0 {
            return Err(format!("`{text}` is less than a day; write 90d, 1y or off"));
        }
        Ok(Self::For(text.to_owned()))
    }
}

impl Retention {
    /// As `[enrich.retention]` has it.
    pub fn setting(&self) -> Option<String> {
        match self {
            Self::For(span) => Some(span.clone()),
            Self::Off => None,
        }
    }
}

/// What a choice costs, in lines for people.
pub fn costs(a_day: Option<u64>) -> Vec<String> {
    let Some(a_day) = a_day else {
        let line =
            "what alerts will take is not known yet: there are no alerts of a whole day here";
        return vec![line.to_owned()];
    };
    let stored = a_day / 100 * STORED_PERCENT;
    let mut lines = vec![format!(
        "Wazuh writes about {} of alerts a day here; in MongoDB they take about {} (indexes included):",
        size(a_day),
        size(stored)
    )];
    for offer in OFFERED {
        let days = offer.parse().map_or(0, days);
        lines.push(format!(
            "  {offer:<5} {}",
            size(stored.saturating_mul(days))
        ));
    }
    let year = size(stored.saturating_mul(365));
    lines.push(format!(
        "  off   grows by {} a day, {year} a year",
        size(stored)
    ));
    lines
}

/// Bytes of alerts.json a day: the mean of the last days' files, else what there is of today.
pub fn bytes_a_day(host: &Host, now: SystemTime) -> Option<u64> {
    let today = Day::of(now);
    let days: Vec<u64> = (1..=LATELY)
        .filter_map(|back| written(host, today.plus(-back)))
        .filter(|bytes| *bytes > 0)
        .collect();
    let count = u64::try_from(days.len()).ok().filter(|count| *count > 0);
    match count {
        Some(count) => Some(days.iter().sum::<u64>() / count),
        None => so_far(host, now),
    }
}

/// The live file, stretched to a day.
fn so_far(host: &Host, now: SystemTime) -> Option<u64> {
    let path = host.layout.home().join("logs/alerts/alerts.json");
    let (folder, name) = host.tree.place(&path).ok()??;
    let meta = folder.open(name).ok()??.metadata().ok()?;
    let age = now.duration_since(meta.created().ok()?).ok()?;
    let hours = age.as_secs() / 3600;
    let bytes = meta.len().checked_mul(24)?.checked_div(hours)?;
    Some(bytes).filter(|bytes| *bytes > 0)
}

/// Bytes of a day's dated files.
fn written(host: &Host, day: Day) -> Option<u64> {
    let folder = host.layout.home().join("logs/alerts").join(day.folder());
    let folder = host.tree.folder(&folder).ok()??;
    let date = day.to_string();
    let prefix = format!("ossec-alerts-{}", date.get(8..)?);
    let names = folder.names().ok()?;
    let mut bytes = 0;
    for name in &names {
        let Some(text) = name.to_str().filter(|text| text.starts_with(&prefix)) else {
            continue;
        };
        let packed = text.strip_suffix(".gz");
        let plain = packed.unwrap_or(text);
        // Where both exist the plain one counts.
        let is_doubled = packed.is_some() && names.iter().any(|name| name == plain);
        if plain.strip_suffix(".json").is_some() && !is_doubled {
            bytes += length(&folder, name, packed.is_none()).unwrap_or(0);
        }
    }
    Some(bytes)
}

fn length(folder: &Folder, name: &OsStr, is_plain: bool) -> Option<u64> {
    let mut file = folder.open(name).ok()??;
    let length = file.metadata().ok()?.len();
    if is_plain {
        Some(length)
    } else {
        unpacked(&mut file)
    }
}

/// What a gzip file unpacks to, modulo 4 GiB (RFC 1952, section 2.3.1: ISIZE).
fn unpacked(file: &mut File) -> Option<u64> {
    let mut size = [0; 4];
    file.seek(SeekFrom::End(-4)).ok()?;
    file.read_exact(&mut size).ok()?;
    Some(u64::from(u32::from_le_bytes(size)))
}

fn days(span: Span) -> u64 {
    span.0.as_secs() / Duration::from_secs(86_400).as_secs()
}

/// Bytes for people, in units of a thousand.
pub fn size(bytes: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut tenths = bytes.saturating_mul(10);
    while tenths >= 10_000 && unit + 1 < units.len() {
        tenths /= 1000;
        unit += 1;
    }
    let name = units.get(unit).unwrap_or(&"bytes");
    match (unit, tenths) {
        (0, _) => format!("{bytes} {name}"),
        (_, 1000..) => format!("{} {name}", tenths / 10),
        _ => format!("{}.{} {name}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_span_of_days_or_off() {
        assert_eq!("90d".parse(), Ok(Retention::For("90d".into())));
        assert_eq!(" OFF ".parse(), Ok(Retention::Off));
        assert!("2h".parse::<Retention>().is_err());
        assert!("soon".parse::<Retention>().is_err());
    }

    #[test]
    fn costs_are_told_for_each_choice() {
        let lines = costs(Some(100_000_000)).join("\n");
        assert!(lines.contains("100 MB of alerts a day"), "{lines}");
        assert!(lines.contains("90d   6.4 GB"), "{lines}");
        assert!(
            lines.contains("off   grows by 72.0 MB a day, 26.2 GB a year"),
            "{lines}"
        );
        assert_eq!(costs(None).len(), 1);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1_234), "1.2 kB");
        assert_eq!(size(456_700_000), "456 MB");
    }
}
