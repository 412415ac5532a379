//! Who may log in, what they may read, and the tokens that are valid now.

use std::collections::HashMap;

use super::fleet::Agent;
use super::http::Request;
use super::json::{Json, object, text};

/// A user of the API.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub password: String,
    /// What is allowed: action and resource, `("agent:read", "agent:id:*")`.
    pub policies: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct Issued {
    user: String,
    from: i64,
    until: i64,
}

#[derive(Debug, Default)]
pub struct Logins {
    pub users: Vec<User>,
    issued: HashMap<String, Issued>,
    /// A token of this second or before is dead.
    revoked: i64,
    number: u64,
    failures: u32,
}

/// Why a request is not let in, in Wazuh's words.
pub enum Denied {
    Unauthorized(&'static str),
    /// Too many failures from this address.
    Blocked,
}

impl User {
    /// The user of the README: read-only, every agent.
    pub fn reader(name: &str, password: &str) -> Self {
        let actions = [
            "agent:read",
            "syscheck:read",
            "syscollector:read",
            "sca:read",
            "rootcheck:read",
        ];
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            policies: actions
                .map(|action| (action.to_owned(), "agent:id:*".to_owned()))
                .into(),
        }
    }

    /// Who may make users.
    pub fn administrator(name: &str, password: &str) -> Self {
        let mut user = Self::reader(name, password);
        let all = ("security:create".to_owned(), "*:*:*".to_owned());
        user.policies.push(all);
        user
    }

    /// Whether this action is allowed on this agent.
    pub fn may(&self, action: &str, agent: &Agent) -> bool {
        let covers = |resource: &str| {
            let group = resource.strip_prefix("agent:group:");
            resource == "agent:id:*"
                || resource.strip_prefix("agent:id:") == Some(&agent.id)
                || group.is_some_and(|group| {
                    group == "*" || agent.groups.iter().any(|own| own == group)
                })
        };
        let mut policies = self.policies.iter();
        policies.any(|(allowed, resource)| allowed == action && covers(resource))
    }

    /// The answer of `/security/users/me/policies`.
    pub fn describe(&self) -> Json {
        let mut all = Json::Object(Vec::new());
        for (action, resource) in &self.policies {
            let mut of_action = all.at(action).cloned().unwrap_or(Json::Null);
            of_action.set(resource, text("allow"));
            all.set(action, of_action);
        }
        all.set("rbac_mode", text("white"));
        all
    }
}

impl Logins {
    pub fn of(users: Vec<User>) -> Self {
        Self {
            users,
            ..Self::default()
        }
    }

    /// Checks basic authentication; gives a token that is good for `ttl` seconds.
    pub fn log_in(
        &mut self,
        request: &Request,
        ttl: i64,
        most_failures: u32,
    ) -> Result<String, Denied> {
        if self.failures >= most_failures {
            return Err(Denied::Blocked);
        }
        let credentials = request
            .authorization
            .strip_prefix("Basic ")
            .and_then(from_base64);
        let credentials = credentials.unwrap_or_default();
        let right = |user: &&User| format!("{}:{}", user.name, user.password) == credentials;
        let Some(user) = self.users.iter().find(right) else {
            self.failures += 1;
            return Err(if self.failures >= most_failures {
                Denied::Blocked
            } else {
                Denied::Unauthorized("Invalid credentials")
            });
        };
        self.number += 1;
        let now = super::seconds();
        let issued = Issued {
            user: user.name.clone(),
            from: now,
            until: now + ttl,
        };
        let token = token(&issued, self.number);
        self.issued.insert(token.clone(), issued);
        Ok(token)
    }

    /// The user whose valid token the request bears.
    pub fn user(&self, request: &Request) -> Result<User, Denied> {
        let Some(token) = request.authorization.strip_prefix("Bearer ") else {
            return Err(Denied::Unauthorized("No authorization token provided"));
        };
        let now = super::seconds();
        let valid = |issued: &&Issued| issued.from > self.revoked && now < issued.until;
        let issued = self.issued.get(token).filter(valid);
        let user =
            issued.and_then(|issued| self.users.iter().find(|user| user.name == issued.user));
        user.cloned().ok_or(Denied::Unauthorized("Invalid token"))
    }

    /// What a change of roles, a new password or anybody's logout does: also a token that is issued
    /// within this same second is dead.
    pub fn revoke(&mut self) {
        self.revoked = super::seconds();
    }
}

/// A JSON web token in everything but its signature.
fn token(issued: &Issued, number: u64) -> String {
    let header = object([("alg", text("ES512")), ("typ", text("JWT"))]);
    let claims = object([
        ("iss", text("wazuh")),
        ("aud", text("Wazuh API REST")),
        ("nbf", Json::Int(issued.from)),
        ("exp", Json::Int(issued.until)),
        ("sub", text(issued.user.clone())),
        ("run_as", Json::Bool(false)),
        ("rbac_roles", Json::List(vec![Json::Int(100)])),
        ("rbac_mode", text("white")),
    ]);
    let part = |json: &Json| to_base64url(json.to_string().as_bytes());
    format!("{}.{}.SIGNATURE{number:08}", part(&header), part(&claims))
}

const URL_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn to_base64url(bytes: &[u8]) -> String {
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let group = three
            .iter()
            .fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        let group = group << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            let index = group >> (18 - 6 * digit) & 63;
            out.push(char::from(URL_ALPHABET[index as usize]));
        }
    }
    out
}

fn from_base64(encoded: &str) -> Option<String> {
    let (mut bits, mut group, mut bytes) = (0, 0_u32, Vec::new());
    for letter in encoded.trim_end_matches('=').bytes() {
        let letter = match letter {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        };
        let value = URL_ALPHABET.iter().position(|one| *one == letter)?;
        group = group << 6 | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(group >> bits & 0xFF).ok()?);
        }
    }
    String::from_utf8(bytes).ok()
}
