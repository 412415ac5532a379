//! `/fake/…`: the same that a test does in the program, for a demo or a bench outside of it.
//! No login, no limit, not counted.

use std::time::Duration;

use super::fleet::kinds;
use super::http::{Answer, Request};
use super::json::{Json, object, text};
use super::kind::Kind;
use super::state::{Fault, State};

/// `POST /fake/NAME?…` changes, `GET /fake/stats` tells.
pub fn answer(state: &mut State, request: &Request) -> Answer {
    match act(state, request) {
        Some(done) => Answer::json(&done),
        None => Answer::problem(
            400,
            "Bad Request",
            "see the head of packaging/wazuh-api.rs",
            None,
        ),
    }
}

fn act(state: &mut State, request: &Request) -> Option<Json> {
    let parameter = |name: &str| request.parameter(name);
    let number = |name: &str| parameter(name)?.parse::<usize>().ok();
    let path = request.path();
    let done = |count: usize| object([("changed", Json::Int(i64::try_from(count).unwrap_or(0)))]);
    match path.trim_start_matches("/fake/") {
        "stats" => return Some(stats(state)),
        "forget" => state.seen.clear(),
        "heal" => state.heal(),
        "revoke" => state.logins.revoke(),
        "version" => state.fleet.version = parameter("version")?,
        "drift" => state.fleet.drift(
            u64::try_from(number("percent")?).ok()?,
            u64::try_from(number("round").unwrap_or(1)).ok()?,
        ),
        "fail" => {
            let fault = match number("delay") {
                Some(millis) => Fault::Delay(Duration::from_millis(u64::try_from(millis).ok()?)),
                None => Fault::named(&parameter("fault")?)?,
            };
            let target = parameter("target").unwrap_or_default();
            state.fail_after(
                &target,
                number("after").unwrap_or(0),
                number("times").unwrap_or(1),
                fault,
            );
        }
        "agents/add" => {
            let id = state.fleet.add_agent(&parameter("name")?);
            return Some(object([("id", text(id))]));
        }
        "agents/remove" => {
            return Some(done(usize::from(
                state.fleet.remove_agent(&parameter("agent")?),
            )));
        }
        "put" => {
            let row = Json::read(std::str::from_utf8(&request.body).ok()?).ok()?;
            let kind = Kind::named(&parameter("kind")?)?;
            state.fleet.put(&parameter("agent")?, kind, row);
        }
        "change" | "remove" => return change(state, request).map(done),
        "wipe" => {
            let picked = parameter("kind");
            let picked = kinds()
                .into_iter()
                .filter(|kind| picked.as_deref().is_none_or(|name| kind.name() == name));
            for kind in picked {
                state.fleet.wipe(&parameter("agent")?, kind);
            }
        }
        _ => return None,
    }
    Some(done(1))
}

/// `?agent=004&kind=packages&field=name&is=PyYAML`, and for `change` `&set=version&to=7.0`.
fn change(state: &mut State, request: &Request) -> Option<usize> {
    let parameter = |name: &str| request.parameter(name);
    let (agent, kind) = (parameter("agent")?, Kind::named(&parameter("kind")?)?);
    let (field, wanted) = (parameter("field")?, parameter("is")?);
    let is = |row: &Json| row.at(&field).and_then(Json::as_text) == Some(&wanted);
    Some(match parameter("set") {
        Some(set) => state
            .fleet
            .change(&agent, kind, is, &set, &text(parameter("to")?)),
        None => state.fleet.remove(&agent, kind, is),
    })
}

fn stats(state: &State) -> Json {
    let count = |number: usize| Json::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let limited = state.seen.iter().filter(|seen| seen.status == 429).count();
    let connections: std::collections::BTreeSet<u64> =
        state.seen.iter().map(|seen| seen.connection).collect();
    object([
        ("requests", count(state.seen.len())),
        ("limited", count(limited)),
        ("logins", count(state.count("/authenticate"))),
        ("connections", count(connections.len())),
        (
            "peak_per_minute",
            count(state.peak(Duration::from_secs(60))),
        ),
    ])
}
