//! `GET /api/alerts/stats`: how many alerts, by risk, rule, agent and time.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::json;

use super::alerts::{FILTERS, WINDOW_MS, filter};
use super::answer;
use super::parameters::{Parameters, now, wrong};
use crate::alert::time;
use crate::serve::app::Shared;
use crate::serve::auth::Caller;
use crate::serve::error::Error;
use crate::store::reader::{Bucket, By, Shape};

const UNITS: [(&str, i64); 5] = [
    ("minute", 60_000),
    ("hour", 3_600_000),
    ("day", 86_400_000),
    ("week", 7 * 86_400_000),
    ("month", 30 * 86_400_000),
];
/// More buckets than this are no picture any more.
const BUCKETS: i64 = 5000;

/// Counts the alerts of a window: the last 24 hours, unless `since` and `until` say otherwise.
pub(in crate::serve) async fn page(
    State(app): Shared,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let known: Vec<&str> = FILTERS
        .into_iter()
        .chain(["bucket", "by", "zone"])
        .collect();
    let given = Parameters::parse("/api/alerts/stats", query.as_deref(), &known)?;
    let mut filter = filter(&app, &given, &caller)?;
    let until = filter.until.unwrap_or_else(now);
    let since = filter.since.unwrap_or(until.saturating_sub(WINDOW_MS));
    if since > until {
        return Err(wrong("since", "it lies behind until"));
    }
    (filter.since, filter.until) = (Some(since), Some(until));
    let by = by(&given)?;
    let bucket = bucket(&given, until.saturating_sub(since))?;
    let stats = app.reader.stats(&filter, &by, &bucket).await?;
    let mut out = br#"{"status":"success","data":"#.to_vec();
    stats.counts.write_json(&Shape::default(), &mut out);
    let rest = json!({
        "total": stats.total,
        "window": { "since": time::rfc3339(since), "until": time::rfc3339(until) },
        "bucket": format!("{} {}", bucket.size, bucket.unit),
        "zone": bucket.zone,
    });
    let rest = rest.to_string();
    out.push(b',');
    out.extend_from_slice(rest.trim_start_matches('{').as_bytes());
    Ok(answer::json(Body::from(out)))
}

fn by(given: &Parameters) -> Result<Vec<By>, Error> {
    let all = [By::Risk, By::Rule, By::Agent, By::Time];
    let Some(text) = given.text("by") else {
        return Ok(all.to_vec());
    };
    let known = |name: &str| all.into_iter().find(|by| by.name() == name.trim());
    let found: Option<Vec<By>> = text.split(',').map(known).collect();
    found.ok_or_else(|| wrong("by", "risk, rule, agent and time are wanted, with commas"))
}

/// `hour`, `15minute`, `1 day`; without it what divides the window into some dozens.
fn bucket(given: &Parameters, window: i64) -> Result<Bucket, Error> {
    // Up to two hours, four days, 180 days.
    let usual = match window {
        15_552_000_001.. => "month",
        345_600_001.. => "day",
        7_200_001.. => "hour",
        _ => "minute",
    };
    let text = given.text("bucket").unwrap_or(usual).trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (size, unit) = text.split_at(digits);
    let size: u32 = if size.is_empty() {
        1
    } else {
        size.parse().unwrap_or(0)
    };
    let unit = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit.trim().trim_end_matches('s'));
    let fault = || {
        wrong(
            "bucket",
            "minute, hour, day, week or month is wanted, also as 15minute",
        )
    };
    let (unit, millis) = unit
        .filter(|_| (1..=1000).contains(&size))
        .ok_or_else(fault)?;
    if window / (millis * i64::from(size)) > BUCKETS {
        let why = format!("it would divide the window into more than {BUCKETS}");
        return Err(wrong("bucket", &why));
    }
    let zone = given.owned("zone").unwrap_or_else(|| "UTC".to_owned());
    Ok(Bucket { unit, size, zone })
}
