//! Policies, roles and users as an administrator makes them. As in Wazuh, own ones begin at 100, and
//! what is there already is no error of HTTP: 200, and the item has failed.

use super::http::{Answer, Request};
use super::json::{Json, object, text};
use super::login::User;
use super::state::State;

#[derive(Debug, Clone, Default)]
pub struct Registry {
    policies: Vec<Item>,
    roles: Vec<Item>,
    users: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    id: i64,
    name: String,
    /// Action and resource, of a policy.
    rights: Vec<(String, String)>,
    /// Policies of a role, roles of a user.
    holds: Vec<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Policy,
    Role,
    User,
}

/// The answer to an administrator.
pub fn answer(state: &mut State, request: &Request, parts: &[&str]) -> Option<Answer> {
    let sort = match *parts.first()? {
        "policies" => Sort::Policy,
        "roles" => Sort::Role,
        "users" => Sort::User,
        _ => return None,
    };
    let body = Json::read(&String::from_utf8_lossy(&request.body)).unwrap_or(Json::Null);
    match (request.method.as_str(), parts) {
        ("GET", [_]) => Some(list(
            state,
            sort,
            &request.parameter("search").unwrap_or_default(),
        )),
        ("POST", [_]) => Some(create(state, sort, &body)),
        ("PUT", ["policies", id]) => {
            let item = find(state.registry.of(sort), id.parse().ok()?)?;
            item.rights = rights(&body);
            let shown = item.show(sort);
            refresh(state);
            Some(one(&shown))
        }
        ("POST", [_, id, "policies" | "roles"]) => {
            let held = request
                .parameter("policy_ids")
                .or(request.parameter("role_ids"))?;
            let (held, id) = (held.parse().ok()?, id.parse().ok()?);
            Some(link(state, sort, id, held))
        }
        _ => None,
    }
}

impl Registry {
    fn of(&mut self, sort: Sort) -> &mut Vec<Item> {
        match sort {
            Sort::Policy => &mut self.policies,
            Sort::Role => &mut self.roles,
            Sort::User => &mut self.users,
        }
    }

    /// All that a user's roles allow.
    fn rights_of(&self, user: &Item) -> Vec<(String, String)> {
        let roles = self
            .roles
            .iter()
            .filter(|role| user.holds.contains(&role.id));
        let ids: Vec<i64> = roles.flat_map(|role| role.holds.clone()).collect();
        let policies = self
            .policies
            .iter()
            .filter(|policy| ids.contains(&policy.id));
        policies.flat_map(|policy| policy.rights.clone()).collect()
    }
}

impl Item {
    fn show(&self, sort: Sort) -> Json {
        let ids = |ids: &[i64]| Json::List(ids.iter().map(|id| Json::Int(*id)).collect());
        let (id, name) = (Json::Int(self.id), text(self.name.clone()));
        match sort {
            Sort::Policy => {
                let column = |of: fn(&(String, String)) -> &String| {
                    let mut all: Vec<String> = self.rights.iter().map(of).cloned().collect();
                    all.sort();
                    all.dedup();
                    Json::List(all.into_iter().map(Json::Text).collect())
                };
                let policy = object([
                    ("actions", column(|(action, _)| action)),
                    ("resources", column(|(_, resource)| resource)),
                    ("effect", text("allow")),
                ]);
                object([
                    ("id", id),
                    ("name", name),
                    ("policy", policy),
                    ("roles", ids(&[])),
                ])
            }
            Sort::Role => object([
                ("id", id),
                ("name", name),
                ("policies", ids(&self.holds)),
                ("users", ids(&[])),
                ("rules", ids(&[])),
            ]),
            Sort::User => object([
                ("id", id),
                ("username", name),
                ("allow_run_as", Json::Bool(false)),
                ("roles", ids(&self.holds)),
            ]),
        }
    }
}

fn find(items: &mut [Item], id: i64) -> Option<&mut Item> {
    items.iter_mut().find(|item| item.id == id)
}

fn list(state: &mut State, sort: Sort, search: &str) -> Answer {
    let items = state
        .registry
        .of(sort)
        .iter()
        .filter(|item| item.name.contains(search));
    let shown: Vec<String> = items.map(|item| item.show(sort).to_string()).collect();
    super::answers::envelope(&shown.join(","), shown.len(), &[])
}

fn one(shown: &Json) -> Answer {
    super::answers::envelope(&shown.to_string(), 1, &[])
}

fn create(state: &mut State, sort: Sort, body: &Json) -> Answer {
    let said = |path: &str| {
        body.at(path)
            .and_then(Json::as_text)
            .unwrap_or_default()
            .to_owned()
    };
    let name = said(if sort == Sort::User {
        "username"
    } else {
        "name"
    });
    let (name_taken, id) = {
        let items = state.registry.of(sort);
        let taken = items.iter().any(|item| item.name == name);
        (taken, 100 + i64::try_from(items.len()).unwrap_or(0))
    };
    if name.is_empty() {
        return Answer::problem(400, "Bad Request", "'name' is a required property", None);
    }
    if name_taken {
        return failed(match sort {
            Sort::Policy => 4009,
            Sort::Role => 4005,
            Sort::User => 5000,
        });
    }
    if sort == Sort::User {
        let password = said("password");
        if !is_strong(&password) {
            let detail = "Insecure user password provided";
            return Answer::problem(400, "Bad Request", detail, Some(5007));
        }
        let mut user = User::reader(&name, &password);
        user.policies.clear();
        state.logins.users.push(user);
    }
    let item = Item {
        id,
        name,
        rights: rights(body),
        holds: Vec::new(),
    };
    let shown = item.show(sort);
    state.registry.of(sort).push(item);
    one(&shown)
}

fn is_strong(password: &str) -> bool {
    let has = |is: fn(char) -> bool| password.contains(is);
    (8..=64).contains(&password.len())
        && has(|c| c.is_ascii_uppercase())
        && has(|c| c.is_ascii_lowercase())
        && has(|c| c.is_ascii_digit())
        && has(|c| c.is_ascii_punctuation())
}

fn rights(body: &Json) -> Vec<(String, String)> {
    let all = |path: &str| -> Vec<String> {
        let list = body.at(path).map_or(&[][..], Json::as_list);
        list.iter()
            .filter_map(Json::as_text)
            .map(str::to_owned)
            .collect()
    };
    let resources = all("policy.resources");
    let pairs = |action: &String| -> Vec<(String, String)> {
        let with = |resource: &String| (action.clone(), resource.clone());
        resources.iter().map(with).collect()
    };
    all("policy.actions").iter().flat_map(pairs).collect()
}

fn link(state: &mut State, sort: Sort, id: i64, held: i64) -> Answer {
    let other = if sort == Sort::Role {
        Sort::Policy
    } else {
        Sort::Role
    };
    let known = find(state.registry.of(other), held).is_some();
    let Some(item) = find(state.registry.of(sort), id).filter(|_| known) else {
        return failed(4002);
    };
    if item.holds.contains(&held) {
        return failed(if sort == Sort::Role { 4011 } else { 4017 });
    }
    item.holds.push(held);
    let shown = item.show(sort);
    refresh(state);
    one(&shown)
}

/// What a login may do follows its roles, and its tokens are void.
fn refresh(state: &mut State) {
    for user in &state.registry.users {
        let login = state
            .logins
            .users
            .iter_mut()
            .find(|login| login.name == user.name);
        if let Some(login) = login {
            login.policies = state.registry.rights_of(user);
        }
    }
}

fn failed(code: i64) -> Answer {
    let error = object([
        ("code", Json::Int(code)),
        ("message", text("already there, or unknown")),
    ]);
    let failed = object([("error", error), ("id", Json::List(vec![]))]);
    let data = object([
        ("affected_items", Json::List(vec![])),
        ("total_affected_items", Json::Int(0)),
        ("total_failed_items", Json::Int(1)),
        ("failed_items", Json::List(vec![failed])),
    ]);
    Answer::json(&object([
        ("data", data),
        ("message", text("not done")),
        ("error", Json::Int(1)),
    ]))
}
