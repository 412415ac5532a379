//! Alerts: lists, one by its id, and how many there are.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::json;

use super::agents::agent;
use super::answer::{self, Envelope};
use super::named::Named;
use super::parameters::{Parameters, now, wrong};
use super::site;
use crate::alert::time;
use crate::serve::app::{App, Shared};
use crate::serve::auth::Caller;
use crate::serve::error::Error;
use crate::store::reader::{AlertFilter, Shape};

/// What alerts can be filtered by.
pub(super) const FILTERS: [&str; 10] = [
    "agent_id",
    "group",
    "level_min",
    "mitre",
    "q",
    "risk_score",
    "rule_id",
    "since",
    "site",
    "until",
];
const PAGE: [&str; 5] = ["count", "fields", "limit", "next", "with_id"];
/// `_risk_score` as `enrich` writes it.
const RISKS: [&str; 4] = ["critical", "high", "medium", "low"];
/// What the Python service gave without a limit.
const USUAL: u64 = 100;
/// How far back a text is looked for, and statistics reach, unless `since` says it.
pub(super) const WINDOW_MS: i64 = 24 * 3_600_000;
const LONGEST_ID: usize = 128;

/// `GET /api/alerts`, newest first.
pub(in crate::serve) async fn list(
    State(app): Shared,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let known: Vec<&str> = FILTERS.into_iter().chain(PAGE).collect();
    let given = Parameters::parse("/api/alerts", query.as_deref(), &known)?;
    let filter = filter(&app, &given, &caller)?;
    answer(&app, &given, filter, Some(USUAL)).await
}

/// `GET /api/agents/{id}/alerts`, newest first; all of them unless a limit is asked for.
pub(in crate::serve) async fn of_agent(
    State(app): Shared,
    caller: Caller,
    Named(id): Named<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let known: Vec<&str> = FILTERS
        .into_iter()
        .chain(PAGE)
        .filter(|name| *name != "agent_id")
        .collect();
    let given = Parameters::parse(
        &format!("/api/agents/{id}/alerts"),
        query.as_deref(),
        &known,
    )?;
    let mut filter = filter(&app, &given, &caller)?;
    filter.agent_id = Some(agent(id)?);
    answer(&app, &given, filter, None).await
}

/// `GET /api/alerts/{id}`: the alert with this `_id`.
pub(in crate::serve) async fn one(
    State(app): Shared,
    caller: Caller,
    Named(id): Named<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    Parameters::parse("/api/alerts/", query.as_deref(), &[])?;
    let found = match id.len() {
        0..=LONGEST_ID => app.reader.alert(&id, caller.site.as_deref()).await?,
        _ => None,
    };
    let found = found.ok_or_else(|| Error::not_found("There is no such alert"))?;
    let shape = Shape {
        with_id: true,
        only: Vec::new(),
    };
    Ok(answer::one(&found, &shape))
}

async fn answer(
    app: &App,
    given: &Parameters,
    filter: AlertFilter,
    usual: Option<u64>,
) -> Result<Response, Error> {
    let page = given.page(usual)?;
    let mut beside = Vec::new();
    if filter.q.is_some() {
        let until = filter.until.map(time::rfc3339);
        beside.push((
            "window",
            json!({ "since": filter.since.map(time::rfc3339), "until": until }),
        ));
    }
    if given.flag("count")? {
        let count = app.reader.count(&filter).await?;
        beside.push(("count", json!(count.value)));
        beside.push(("count_capped", json!(count.is_capped)));
    }
    let mut shape = Shape::of(&page.fields);
    shape.with_id |= given.flag("with_id")?;
    let envelope = Envelope {
        beside,
        shape,
        question: given.question(),
        tag: None,
    };
    answer::list(app.reader.alerts(&filter, page).await?, envelope).await
}

/// The filters of a question. A text is looked for in the last 24 hours unless it says otherwise.
pub(super) fn filter(app: &App, given: &Parameters, caller: &Caller) -> Result<AlertFilter, Error> {
    let mut filter = AlertFilter {
        site: site(caller, given.text("site"))?,
        risk_score: given.one_of("risk_score", &RISKS)?,
        agent_id: given.owned("agent_id"),
        rule_id: given.owned("rule_id"),
        group: given.owned("group"),
        mitre: given.owned("mitre"),
        level_min: given
            .number("level_min", 16)?
            .and_then(|level| i64::try_from(level).ok()),
        level_words: Vec::new(),
        since: given.time("since")?,
        until: given.time("until")?,
        q: given.owned("q"),
    };
    if let Some(least) = filter.level_min {
        filter.level_words = app.bands.words_from(least);
    }
    if filter.q.is_some() && filter.since.is_none() {
        let until = filter.until.unwrap_or_else(now);
        filter.since = Some(until.saturating_sub(WINDOW_MS));
    }
    if let (Some(since), Some(until)) = (filter.since, filter.until)
        && since > until
    {
        return Err(wrong("since", "it lies behind until"));
    }
    Ok(filter)
}
