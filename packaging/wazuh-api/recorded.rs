//! A fleet made of recorded answers, one file each: `{"request": {"method", "path", "auth"},
//! "status", "body"}`. Rows are served as they were recorded, by every query.

use std::fs;
use std::io::{Error, Result};
use std::path::Path;

use super::fleet::{Agent, Fleet, Status, kinds};
use super::json::Json;
use super::kind::Kind;
use super::rows::Shape;

/// Reads all answers of a folder.
///
/// # Errors
///
/// Names the file that cannot be read.
pub fn read(folder: &Path) -> Result<Fleet> {
    let shape = Shape {
        packages: 0,
        files: 0,
    };
    let mut fleet = Fleet::synthetic(0, shape);
    fleet.agents.clear();
    let mut files: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    for file in files {
        let answer = Json::read(&fs::read_to_string(&file)?);
        let answer = answer.map_err(|why| Error::other(format!("{}: {why}", file.display())))?;
        take(&mut fleet, &answer);
    }
    Ok(fleet)
}

fn take(fleet: &mut Fleet, answer: &Json) {
    let said = |path: &str| answer.at(path).and_then(Json::as_text).unwrap_or_default();
    let (path, query) = said("request.path")
        .split_once('?')
        .unwrap_or((said("request.path"), ""));
    // What a user with fewer rights saw, or fields of a row, is not the whole.
    let whole = said("request.auth") == "token of an administrator" && !query.contains("select=");
    if !whole || said("request.method") != "GET" {
        return;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let items = answer
        .at("body.data.affected_items")
        .map_or(&[][..], Json::as_list);
    let kind = match parts[..] {
        ["syscheck", id, "last_scan"] => {
            let scan = items.first().cloned();
            return bare(fleet, id)
                .into_iter()
                .for_each(|agent| agent.last_scan.clone_from(&scan));
        }
        ["agents"] => return items.iter().for_each(|item| agent(fleet, item)),
        ["syscollector", _, name] => Kind::named(name),
        ["syscheck", _] => Some(Kind::Syscheck),
        ["sca", _] => Some(Kind::Sca),
        ["sca", _, "checks", _] => Some(Kind::ScaChecks),
        ["rootcheck", _] => Some(Kind::Rootcheck),
        _ => None,
    };
    if let (Some(kind), [_, id, ..]) = (kind, &parts[..]) {
        let unknown = answer.at("body.error") != Some(&Json::Int(0));
        if let Some(agent) = (!unknown).then(|| bare(fleet, id)).flatten() {
            agent.record(kind, items);
        }
    }
}

fn agent(fleet: &mut Fleet, item: &Json) {
    let text = |path: &str| item.at(path).and_then(Json::as_text).unwrap_or_default();
    let Some(agent) = bare(fleet, text("id")) else {
        return;
    };
    agent.status = match text("status") {
        "never_connected" => Status::NeverConnected,
        "disconnected" => Status::Disconnected,
        "pending" => Status::Pending,
        _ => Status::Active,
    };
    text("name").clone_into(&mut agent.name);
    let groups = item.at("group").map_or(&[][..], Json::as_list);
    agent.groups = groups
        .iter()
        .filter_map(Json::as_text)
        .map(str::to_owned)
        .collect();
    agent.recorded = Some(item.clone());
}

/// An agent that has nothing that was not recorded.
fn bare<'a>(fleet: &'a mut Fleet, id: &str) -> Option<&'a mut Agent> {
    let number: u32 = id.parse().ok()?;
    Some(fleet.agents.entry(number).or_insert_with(|| {
        let mut agent = Agent::synthetic(number);
        agent.status = Status::Active;
        for kind in kinds() {
            agent.record(kind, &[]);
        }
        agent
    }))
}
