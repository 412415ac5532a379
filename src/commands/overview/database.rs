//! MongoDB's part: in one connection and a fixed time, whatever the server does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::alert::time::rfc3339;
use crate::commands::now;
use crate::config::Settings;
use crate::store::Viewer;
use crate::store::reader::{Fault, Overview, Page, Reader, Shape};

const DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;
/// The search for a server may take this share of the time.
const CONNECT: f32 = 0.7;

/// What MongoDB said.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) report: Value,
    /// As `collect` recorded it; null if there is none.
    pub(super) last_run: Value,
}

/// What there is to say; `reachable` false, with the reason, if MongoDB says nothing.
pub(super) fn ask(settings: &Settings, until: Instant) -> Asked {
    let left = || until.saturating_duration_since(Instant::now());
    let asked = Viewer::open(&settings.store, left().mul_f32(CONNECT)).and_then(|viewer| {
        let reader = viewer.reader();
        let overview = viewer.wait(left(), reader.overview())?;
        let run = viewer.wait(left(), last_run(reader, settings.site()));
        // Counting ends a little earlier, so that what was counted is told.
        let enough = until
            .checked_sub(Duration::from_millis(100))
            .unwrap_or(until);
        let days = days();
        let counted = viewer.wait(left(), reader.alerts_between(&days, enough));
        Ok((overview, run.ok().flatten(), counted))
    });
    match asked {
        Ok((overview, run, counts)) => Asked {
            report: described(settings, &overview, &counts),
            last_run: run.unwrap_or_default(),
        },
        Err(fault) => Asked {
            report: json!({
                "reachable": false,
                "servers": settings.store.servers(),
                "database": settings.store.database,
                "error": fault.to_string(),
            }),
            last_run: Value::Null,
        },
    }
}

fn described(
    settings: &Settings,
    overview: &Overview,
    counted: &Result<Vec<Option<i64>>, Fault>,
) -> Value {
    let counts = counted.as_ref().map(Vec::as_slice).unwrap_or_default();
    let sizes = overview.sizes;
    let days = days();
    let per_day: Vec<Value> = days
        .windows(2)
        .enumerate()
        .map(|(place, pair)| {
            let day = pair.last().map(|begin| rfc3339(*begin));
            let day = day.and_then(|day| day.get(..10).map(str::to_owned));
            json!({ "day": day, "alerts": counts.get(place).copied().flatten() })
        })
        .collect();
    json!({
        "reachable": true,
        "servers": settings.store.servers(),
        "database": settings.store.database,
        "version": overview.version,
        "replica_set": overview.replica_set,
        "documents": sizes.map(|sizes| sizes.documents),
        "data_bytes": sizes.map(|sizes| sizes.data),
        "storage_bytes": sizes.map(|sizes| sizes.storage),
        "index_bytes": sizes.map(|sizes| sizes.indexes),
        "alerts_per_day": per_day,
        "count_error": counted.as_ref().err().map(Fault::to_string),
        "error": null,
    })
}

/// The end of today in UTC and the seven midnights before, newest first.
fn days() -> Vec<i64> {
    let today = now().div_euclid(DAY_MS);
    (0..=DAYS).map(|back| (today + 1 - back) * DAY_MS).collect()
}

async fn last_run(reader: &Reader, site: &str) -> Result<Option<Value>, Fault> {
    let page = Page {
        limit: Some(1),
        ..Page::default()
    };
    let mut runs = reader.runs(Some(site), page).await?;
    let Some(run) = runs.next().await? else {
        return Ok(None);
    };
    let mut out = Vec::new();
    run.write_json(&Shape::default(), &mut out);
    Ok(serde_json::from_slice(&out).ok())
}
