//! Agents, their inventory, and the runs that read it.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{self, Envelope};
use super::kinds;
use super::named::Named;
use super::parameters::{Parameters, now};
use super::site;
use crate::alert::time;
use crate::inventory::Kind;
use crate::serve::app::{App, Shared};
use crate::serve::auth::Caller;
use crate::serve::error::Error;
use crate::serve::etag::Tag;
use crate::store::reader::{Freshness, InventoryList, Order, Page, Rows, Shape};

const LIST: [&str; 7] = [
    "fields", "history", "limit", "next", "site", "status", "with_id",
];
const ONE: [&str; 4] = ["fields", "history", "site", "with_id"];
const KIND: [&str; 6] = ["fields", "history", "limit", "next", "site", "with_id"];
const SOFTWARE: [&str; 8] = [
    "fields", "history", "limit", "name", "next", "site", "version", "with_id",
];
const RUNS: [&str; 4] = ["fields", "limit", "next", "site"];
/// Runs that are shown unless more are asked for.
const USUAL_RUNS: u64 = 100;
/// Where the list of agents is longer, its version is not worth the reading.
const VERSIONED: u64 = 20_000;
/// The longest id of an agent.
const LONGEST_ID: usize = 64;

/// `GET /api/agents`: every agent that has not vanished.
pub(in crate::serve) async fn list(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let given = Parameters::parse("/api/agents", query.as_deref(), &LIST)?;
    let mut list = rows(kinds::AGENTS, &given, &caller)?;
    list.equal
        .extend(given.owned("status").map(|status| ("status", status)));
    let page = given.page(None)?;
    let fresh = fresh_agents(&app, &list).await?;
    let content = app.reader.fingerprint(&list, VERSIONED).await?;
    let age = format!("{fresh:?}");
    let tag = content.map(|content| Tag::of(&[&version_of(&given), &content, &age]));
    if let Some(same) = tag.as_ref().and_then(|tag| tag.not_modified(&headers)) {
        return Ok(same);
    }
    let beside = vec![("freshness", freshness(&fresh))];
    let envelope = envelope(&given, &page, beside, tag)?;
    answer::list(app.reader.inventory(&list, page).await?, envelope).await
}

/// `GET /api/agents/{id}`: the agent; of each site that has this id, and of each node for the
/// manager itself.
pub(in crate::serve) async fn one(
    State(app): Shared,
    caller: Caller,
    Named(id): Named<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let given = Parameters::parse("/api/agents/", query.as_deref(), &ONE)?;
    let mut list = rows(kinds::AGENTS, &given, &caller)?;
    list.agent_id = Some(agent(id)?);
    let page = given.page(None)?;
    let mut first = app.reader.inventory(&list, page.clone()).await?;
    if first.next().await?.is_none() {
        return Err(Error::not_found("There is no such agent"));
    }
    let fresh = fresh_agents(&app, &list).await?;
    let beside = vec![("freshness", freshness(&fresh))];
    let envelope = envelope(&given, &page, beside, None)?;
    answer::list(app.reader.inventory(&list, page).await?, envelope).await
}

/// `GET /api/agents/{id}/{kind}`: what is known of an agent. Unknown agents have an empty list.
pub(in crate::serve) async fn kind(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    Named((id, name)): Named<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let kind = kinds::find(&name).ok_or_else(|| {
        Error::not_found(format!(
            "There is no such kind; there are {}",
            kinds::names()
        ))
    })?;
    let id = agent(id)?;
    let given = Parameters::parse(&format!("/api/agents/{id}/{name}"), query.as_deref(), &KIND)?;
    let mut list = rows(kind, &given, &caller)?;
    let page = given.page(None)?;
    let fresh = app.reader.freshness(&id, kind.name, list.site.as_deref());
    let fresh = fresh.await?;
    let has_version = has_version(kind, &list) && !fresh.is_empty();
    let tag = has_version.then(|| Tag::of(&[&version_of(&given), &format!("{fresh:?}")]));
    if let Some(same) = tag.as_ref().and_then(|tag| tag.not_modified(&headers)) {
        return Ok(same);
    }
    list.agent_id = Some(id);
    let beside = vec![("freshness", freshness(&fresh))];
    let envelope = envelope(&given, &page, beside, tag)?;
    answer::list(app.reader.inventory(&list, page).await?, envelope).await
}

/// `GET /api/software?name=&version=`: which agents have a package.
pub(in crate::serve) async fn software(
    State(app): Shared,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let given = Parameters::parse("/api/software", query.as_deref(), &SOFTWARE)?;
    let mut list = rows(software_kind()?, &given, &caller)?;
    list.order = Order::Agent;
    let name = given.owned("name");
    let name = name.ok_or_else(|| Error::bad_request("name is wanted: a package's whole name"))?;
    list.equal.push(("name", name));
    list.equal
        .extend(given.owned("version").map(|version| ("version", version)));
    let page = given.page(None)?;
    let envelope = envelope(&given, &page, Vec::new(), None)?;
    answer::list(app.reader.inventory(&list, page).await?, envelope).await
}

/// `GET /api/collect/runs`: what the runs of `collect` did, newest first.
pub(in crate::serve) async fn runs(
    State(app): Shared,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let given = Parameters::parse("/api/collect/runs", query.as_deref(), &RUNS)?;
    let page = given.page(Some(USUAL_RUNS))?;
    let site = site(&caller, given.text("site"))?;
    let envelope = Envelope {
        beside: Vec::new(),
        shape: Shape::of(&page.fields),
        question: given.question(),
        tag: None,
    };
    answer::list(app.reader.runs(site.as_deref(), page).await?, envelope).await
}

/// The list of agents is read as one; its state stands under this name in place of an agent's id.
async fn fresh_agents(app: &App, list: &InventoryList) -> Result<Vec<Freshness>, Error> {
    let site = list.site.as_deref();
    Ok(app.reader.freshness("*", kinds::AGENTS.name, site).await?)
}

fn rows(kind: &Kind, given: &Parameters, caller: &Caller) -> Result<InventoryList, Error> {
    let rows = if given.flag("history")? {
        Rows::History
    } else {
        Rows::Current
    };
    Ok(InventoryList {
        collection: kind.collection,
        order: kinds::order(kind),
        rows,
        site: site(caller, given.text("site"))?,
        agent_id: None,
        equal: Vec::new(),
    })
}

fn software_kind() -> Result<&'static Kind, Error> {
    kinds::find(kinds::SOFTWARE).ok_or_else(|| Error::internal("there is no kind software"))
}

/// 400 for what no agent can be called.
pub(super) fn agent(id: String) -> Result<String, Error> {
    if id.chars().count() > LONGEST_ID || id.contains('\0') {
        let why = format!("an agent's id has up to {LONGEST_ID} characters");
        return Err(Error::bad_request(why));
    }
    Ok(id)
}

/// History has no version: its past may be cut by hand, and nothing tells.
fn has_version(kind: &Kind, list: &InventoryList) -> bool {
    matches!(kind.name, "osinfo" | "software") && list.rows == Rows::Current
}

/// What of the question shows in the bytes of the answer.
fn version_of(given: &Parameters) -> String {
    let shown = ["fields", "limit", "next", "with_id"];
    shown.iter().fold(given.question(), |all, name| {
        format!("{all}\n{name}={}", given.text(name).unwrap_or_default())
    })
}

fn envelope(
    given: &Parameters,
    page: &Page,
    beside: Vec<(&'static str, Value)>,
    tag: Option<Tag>,
) -> Result<Envelope, Error> {
    let mut shape = Shape::of(&page.fields);
    shape.with_id |= given.flag("with_id")?;
    Ok(Envelope {
        beside,
        shape,
        question: given.question(),
        tag,
    })
}

/// How old it is, for each site and node that has it.
fn freshness(all: &[Freshness]) -> Value {
    let now = now();
    let date = |millis: Option<i64>| millis.map(time::rfc3339);
    let one = |fresh: &Freshness| {
        json!({
            "site": fresh.site,
            "node": fresh.node,
            "checked_at": date(fresh.checked_at),
            "age_seconds": fresh.checked_at.map(|at| now.saturating_sub(at).max(0) / 1000),
            "read_at": date(fresh.read_at),
            "complete": fresh.is_complete,
            "count": fresh.count,
        })
    };
    all.iter().map(one).collect()
}
