//! One path, one answer.

use super::fleet::{self, Agent};
use super::http::{Answer, Request};
use super::json::{Json, object, text};
use super::kind::Kind;
use super::login::{Denied, User};
use super::query::Query;
use super::rows::iso;
use super::security;
use super::state::State;

/// What the API says to this request.
pub fn answer(state: &mut State, request: &Request) -> Answer {
    decide(state, request).unwrap_or_else(|refusal| refusal)
}

fn decide(state: &mut State, request: &Request) -> Result<Answer, Answer> {
    let path = request.path();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts == ["security", "user", "authenticate"] {
        return log_in(state, request);
    }
    let user = state.logins.user(request).map_err(|why| denied(&why))?;
    if let ["security", rest @ ..] = &parts[..]
        && rest != ["users", "me", "policies"]
    {
        let is_administrator = user
            .policies
            .iter()
            .any(|(action, _)| action == "security:create");
        let answer = is_administrator.then(|| security::answer(state, request, rest));
        return answer.ok_or_else(forbidden)?.ok_or_else(absent);
    }
    if request.method != "GET" {
        return Err(Answer::problem(
            405,
            "Method Not Allowed",
            "Method Not Allowed",
            None,
        ));
    }
    match parts[..] {
        [] => Ok(Answer::json(&object([
            ("data", about(state)),
            ("error", Json::Int(0)),
        ]))),
        ["security", "users", "me", "policies"] => Ok(plain(
            user.describe(),
            "Current user processed policies information was returned",
        )),
        ["manager", "info"] => manager(state, &user),
        ["agents"] => agents(state, request, &user),
        ["agents", "summary", "status"] => Ok(summary(state, &user)),
        ["syscheck", id] => rows(state, request, &user, id, Kind::Syscheck, None),
        ["syscheck", id, "last_scan"] => last_scan(state, &user, id),
        ["sca", id] => rows(state, request, &user, id, Kind::Sca, None),
        ["sca", id, "checks", policy] => {
            rows(state, request, &user, id, Kind::ScaChecks, Some(policy))
        }
        ["rootcheck", id] => rows(state, request, &user, id, Kind::Rootcheck, None),
        ["syscollector", id, name] => {
            let kind = syscollector(state, name).ok_or_else(absent)?;
            rows(state, request, &user, id, kind, None)
        }
        ["experimental", "syscollector", name] => {
            let kind = syscollector(state, name).filter(|kind| kind.is_experimental());
            experimental(state, request, &user, kind.ok_or_else(absent)?)
        }
        ["cluster", ..] => Err(Answer::problem(
            400,
            "Bad Request",
            "Cluster is not running, it might be disabled in `WAZUH_HOME/etc/ossec.conf`",
            Some(3013),
        )),
        _ => Err(absent()),
    }
}

fn absent() -> Answer {
    Answer::problem(404, "Not Found", "404: Not Found", None)
}

fn forbidden() -> Answer {
    let detail = "Permission denied: Resource type: agent:id";
    Answer::problem(403, "Permission Denied", detail, Some(4000))
}

/// What an agent that never connected gets.
pub fn no_database(agent: &str) -> Answer {
    let detail = format!(
        "Error retrieving data from Wazuh DB: There is no database for agent {agent}. \
         Please check if the agent has connected to the manager"
    );
    Answer::problem(400, "Bad Request", &detail, Some(2007))
}

/// What an id that is not there gets: HTTP says 200.
pub fn no_agent(agent: &str) -> Answer {
    envelope("", 0, &[agent.to_owned()])
}

fn denied(why: &Denied) -> Answer {
    match why {
        Denied::Unauthorized(detail) => Answer::problem(401, "Unauthorized", detail, None),
        Denied::Blocked => {
            let detail = "Limit of login attempts reached. The current IP has been blocked due to a \
                          high number of login attempts";
            Answer::problem(403, "Permission Denied", detail, Some(6000))
        }
    }
}

fn log_in(state: &mut State, request: &Request) -> Result<Answer, Answer> {
    let (ttl, most) = (state.options.ttl, state.options.most_failures);
    let token = state.logins.log_in(request, ttl, most);
    let token = token.map_err(|why| denied(&why))?;
    if request.parameter("raw").as_deref() == Some("true") {
        return Ok(Answer {
            status: 200,
            content_type: "text/plain",
            body: token,
        });
    }
    let data = object([("token", text(token))]);
    Ok(Answer::json(&object([
        ("data", data),
        ("error", Json::Int(0)),
    ])))
}

fn about(state: &State) -> Json {
    object([
        ("title", text("Wazuh API REST")),
        ("api_version", text(state.fleet.version.clone())),
        ("revision", text("rc1")),
        ("hostname", text("manager")),
        ("timestamp", text(iso(super::seconds()))),
    ])
}

fn plain(data: Json, message: &str) -> Answer {
    let message = ("message", text(message));
    Answer::json(&object([("data", data), message, ("error", Json::Int(0))]))
}

/// Rendered items, how many there are in all, and the agents that failed with 1701.
pub fn envelope(items: &str, total: usize, unknown: &[String]) -> Answer {
    let failure = |id: &String| {
        let error = object([
            ("code", Json::Int(1701)),
            ("message", text("Agent does not exist")),
        ]);
        object([("error", error), ("id", Json::List(vec![text(id.clone())]))])
    };
    let error = match (unknown.is_empty(), total) {
        (true, _) => 0,
        (false, 0) => 1,
        (false, _) => 2,
    };
    let failed = Json::List(unknown.iter().map(failure).collect());
    let count = unknown.len();
    Answer::raw(format!(
        "{{\"data\":{{\"affected_items\":[{items}],\"total_affected_items\":{total},\
         \"total_failed_items\":{count},\"failed_items\":{failed}}},\
         \"message\":\"All specified information was returned\",\"error\":{error}}}"
    ))
}

fn manager(state: &State, user: &User) -> Result<Answer, Answer> {
    if !user
        .policies
        .iter()
        .any(|(action, _)| action == "manager:read")
    {
        return Err(forbidden());
    }
    let info = object([
        ("path", text("/var/ossec")),
        ("version", text(format!("v{}", state.fleet.version))),
        ("type", text("server")),
        ("uuid", text("c842f85c-c24b-4b39-9508-093ce53482e7")),
    ]);
    Ok(envelope(&info.to_string(), 1, &[]))
}

/// Whoever may not see an agent is not told so: it is not in the list.
fn agents(state: &State, request: &Request, user: &User) -> Result<Answer, Answer> {
    let query = Query::read(request, fleet::knows)?;
    let all = &state.fleet.agents;
    let now = state.fleet.now();
    let visible = all.values().filter(|agent| user.may("agent:read", agent));
    let rows = query.apply(visible.map(|agent| agent.describe(now)).collect(), "id");
    let unknown: Vec<String> = query
        .agents
        .iter()
        .flatten()
        .filter(|id| state.fleet.agent(id).is_none())
        .cloned()
        .collect();
    let page = rows.iter().skip(query.offset).take(query.limit);
    let items: Vec<String> = page.map(Json::to_string).collect();
    Ok(envelope(&items.join(","), rows.len(), &unknown))
}

fn summary(state: &State, user: &User) -> Answer {
    let mut counts = Json::Object(Vec::new());
    let visible = || {
        state
            .fleet
            .agents
            .values()
            .filter(|agent| agent.number > 0 && user.may("agent:read", agent))
    };
    for name in ["active", "disconnected", "never_connected", "pending"] {
        let of = visible()
            .filter(|agent| agent.status.name() == name)
            .count();
        counts.set(name, Json::Int(i64::try_from(of).unwrap_or(0)));
    }
    counts.set(
        "total",
        Json::Int(i64::try_from(visible().count()).unwrap_or(0)),
    );
    plain(
        object([("connection", counts)]),
        "Summary information was returned",
    )
}

fn syscollector(state: &State, name: &str) -> Option<Kind> {
    let kind = Kind::named(name).filter(|kind| kind.is_syscollector())?;
    let mut version = state
        .fleet
        .version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let version = (version.next().unwrap_or(0), version.next().unwrap_or(0));
    (!kind.is_of_4_14() || version >= (4, 14)).then_some(kind)
}

fn is_id(id: &str) -> bool {
    id.len() >= 3 && id.bytes().all(|byte| byte.is_ascii_digit())
}

fn agent<'a>(state: &'a State, user: &User, id: &str, kind: Kind) -> Result<&'a Agent, Answer> {
    if !is_id(id) {
        let detail = format!("'{id}' does not match '^[0-9]{{3,}}$'");
        return Err(Answer::problem(400, "Bad Request", &detail, None));
    }
    let Some(agent) = state.fleet.agent(id) else {
        return Err(match kind {
            Kind::Syscheck => no_database(id),
            _ => no_agent(id),
        });
    };
    if user.may(kind.action(), agent) {
        Ok(agent)
    } else {
        Err(forbidden())
    }
}

fn last_scan(state: &State, user: &User, id: &str) -> Result<Answer, Answer> {
    let agent = agent(state, user, id, Kind::Syscheck)?;
    let time = |after| {
        if agent.has_database() {
            text(iso(agent.scanned + after))
        } else {
            Json::Null
        }
    };
    let computed = object([("start", time(0)), ("end", time(100))]);
    let scan = agent.last_scan.clone().unwrap_or(computed);
    Ok(envelope(&scan.to_string(), 1, &[]))
}

fn rows(
    state: &mut State,
    request: &Request,
    user: &User,
    id: &str,
    kind: Kind,
    policy: Option<&str>,
) -> Result<Answer, Answer> {
    let query = Query::read(request, |field| kind.knows(field))?;
    let agent = agent(state, user, id, kind)?;
    if !agent.has_database() {
        return Err(no_database(id));
    }
    let (number, most) = (agent.number, state.options.most_rows);
    let (items, total, rows) = page(state, number, kind, &query, policy);
    if rows > most {
        return Err(too_slow());
    }
    Ok(envelope(&items, total, &[]))
}

fn too_slow() -> Answer {
    let detail = "Timeout executing API request";
    Answer::problem(500, "Wazuh Internal Error", detail, Some(3021))
}

/// Rendered items of one agent, how many there are without paging, and how many are rendered.
fn page(
    state: &mut State,
    number: u32,
    kind: Kind,
    query: &Query,
    policy: Option<&str>,
) -> (String, usize, usize) {
    if let Some(probe) = probe(state, number, kind, query) {
        return probe;
    }
    let key = (
        number,
        kind,
        format!("{}|{}", query.view, policy.unwrap_or_default()),
    );
    let view = state.view(key, |fleet| {
        let mut rows = fleet
            .agents
            .get(&number)
            .map(|agent| agent.rows(kind, fleet.shape))
            .unwrap_or_default();
        let of_policy = |row: &Json| row.at("policy_id").and_then(Json::as_text) == policy;
        rows.retain(|row| policy.is_none() || of_policy(row));
        let rows = query.apply(rows, kind.always());
        rows.iter().map(Json::to_string).collect()
    });
    let from = query.offset.min(view.len());
    let to = from.saturating_add(query.limit).min(view.len());
    (view[from..to].join(","), view.len(), to - from)
}

/// The newest time and the count, which a change probe asks of every agent: without any row.
fn probe(state: &State, number: u32, kind: Kind, query: &Query) -> Option<(String, usize, usize)> {
    let stamp = kind.stamp()?;
    let newest_first = query.sort == [(stamp.to_owned(), true)];
    let only_that = query.select == [stamp] && query.limit == 1 && query.offset == 0;
    // A view has other parts if there is a filter.
    let unfiltered = query.view == format!("-{stamp}|{stamp}|||");
    if !(newest_first && only_that && unfiltered && kind.is_syscollector()) {
        return None;
    }
    let agent = state.fleet.agents.get(&number)?;
    let total = agent.count(kind, state.fleet.shape);
    let Some(newest) = agent.newest(kind, state.fleet.shape) else {
        return Some((String::new(), total, 0));
    };
    let mut row = Json::Object(Vec::new());
    row.set(stamp, text(newest));
    row.set("agent_id", text(agent.id.clone()));
    Some((row.to_string(), total, 1))
}

/// `offset` and `limit` count for each agent; one agent without a database spoils the whole answer.
fn experimental(
    state: &mut State,
    request: &Request,
    user: &User,
    kind: Kind,
) -> Result<Answer, Answer> {
    if !state.options.experimental {
        let detail = "Experimental features are disabled";
        return Err(Answer::problem(
            404,
            "Resource Not Found",
            detail,
            Some(1122),
        ));
    }
    let query = Query::read(request, |field| kind.knows(field))?;
    let visible = state
        .fleet
        .agents
        .values()
        .filter(|agent| user.may(kind.action(), agent));
    let all: Vec<(u32, String, bool)> = visible
        .map(|agent| (agent.number, agent.id.clone(), agent.has_database()))
        .collect();
    let listed = |id: &String| query.agents.as_ref().is_none_or(|ids| ids.contains(id));
    let (mut items, mut total, mut count) = (Vec::new(), 0, 0);
    for (number, id, has_database) in all.iter().filter(|(_, id, _)| listed(id)) {
        if !has_database {
            return Err(no_database(id));
        }
        let (of_agent, all, rendered) = page(state, *number, kind, &query, None);
        total += all;
        count += rendered;
        items.extend((!of_agent.is_empty()).then_some(of_agent));
    }
    if count > state.options.most_rows {
        return Err(too_slow());
    }
    let unknown = query
        .agents
        .iter()
        .flatten()
        .filter(|id| state.fleet.agent(id).is_none());
    let unknown: Vec<String> = unknown.cloned().collect();
    Ok(envelope(&items.join(","), total, &unknown))
}
