//! All that the server knows: settings, fleet, logins, the faults that are ordered, the requests
//! that were seen. One lock around it, as Wazuh has one worker.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::http::{Answer, Request};
use super::kind::Kind;
use super::login::{Logins, User};
use super::rows::Shape;
use super::security::Registry;

/// How the server is set up; most of it can be changed while it runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// 0 for any free one.
    pub port: u16,
    pub agents: u32,
    pub shape: Shape,
    pub users: Vec<User>,
    /// How long a token is valid, in seconds (Wazuh: 900).
    pub ttl: i64,
    /// `max_request_per_minute`; 0 for no limit.
    pub per_minute: usize,
    /// What "a minute" is: tests have no time for a real one.
    pub window: Duration,
    /// After which an idle connection is closed.
    pub idle: Duration,
    /// Whether `/experimental` is there.
    pub experimental: bool,
    /// A page with more rows than that runs into the API's own time limit (500, error 3021).
    pub most_rows: usize,
    /// How long each answer takes.
    pub takes: Duration,
    /// `max_login_attempts`.
    pub most_failures: u32,
    /// A folder of recorded answers, in place of a synthetic fleet.
    pub recorded: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            agents: 25,
            shape: Shape {
                packages: 30,
                files: 40,
            },
            users: vec![User::reader("custom-mongo", "Secret.Fake.1")],
            ttl: 900,
            per_minute: 300,
            window: Duration::from_secs(60),
            idle: Duration::from_secs(5),
            experimental: false,
            most_rows: usize::MAX,
            takes: Duration::ZERO,
            most_failures: 50,
            recorded: None,
        }
    }
}

/// What goes wrong on demand.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This in place of the right answer.
    Answer(Answer),
    /// The connection is closed in the middle of the body.
    CutBody,
    /// The connection is closed without an answer.
    Close,
    /// The answer comes late.
    Delay(Duration),
    /// The right answer, with so many more in `total_affected_items`.
    MoreInTotal(i64),
    /// The right answer, and all tokens are void at once.
    Revoke,
}

impl Fault {
    /// What every request gets while the manager restarts.
    pub fn restarting() -> Self {
        let detail =
            "Some Wazuh daemons are not ready yet in node \"node01\" (wazuh-remoted->restarting)";
        Self::Answer(Answer::problem(
            500,
            "Wazuh Internal Error",
            detail,
            Some(1017),
        ))
    }

    /// What a page that is too large gets, after ten seconds.
    pub fn timeout() -> Self {
        let detail = "Timeout executing API request";
        Self::Answer(Answer::problem(
            500,
            "Wazuh Internal Error",
            detail,
            Some(3021),
        ))
    }

    pub fn unauthorized() -> Self {
        Self::Answer(Answer::problem(401, "Unauthorized", "Invalid token", None))
    }

    pub fn rate_limited() -> Self {
        Self::Answer(too_many())
    }

    pub fn no_database(agent: &str) -> Self {
        Self::Answer(super::answers::no_database(agent))
    }

    /// What an id that is not there any more gets from `/syscollector`.
    pub fn no_agent(agent: &str) -> Self {
        Self::Answer(super::answers::no_agent(agent))
    }

    /// By name, as the control interface knows them.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "restarting" => Some(Self::restarting()),
            "timeout" => Some(Self::timeout()),
            "unauthorized" => Some(Self::unauthorized()),
            "limited" => Some(Self::rate_limited()),
            "cut" => Some(Self::CutBody),
            "close" => Some(Self::Close),
            "revoke" => Some(Self::Revoke),
            _ => None,
        }
    }
}

/// A fault for the next requests whose target holds `target`.
#[derive(Debug, Clone)]
struct Order {
    target: String,
    after: usize,
    times: usize,
    fault: Fault,
}

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    pub status: u16,
    /// Counts the connections; the same number is the same connection.
    pub connection: u64,
    pub user_agent: String,
}

pub struct State {
    pub options: Options,
    pub fleet: Fleet,
    pub logins: Logins,
    pub(super) registry: Registry,
    pub seen: Vec<Seen>,
    orders: Vec<Order>,
    window: Option<(Instant, usize)>,
    views: Views,
}

/// Rendered rows by agent, kind and query, so that the fake is never what a bench measures.
#[derive(Default)]
struct Views {
    edition: u64,
    rows: usize,
    held: HashMap<(u32, Kind, String), Arc<Vec<String>>>,
}

/// About 150 MB of rendered rows.
const MOST_HELD: usize = 300_000;

impl State {
    pub fn new(options: Options, fleet: Fleet) -> Self {
        let logins = Logins::of(options.users.clone());
        Self {
            options,
            fleet,
            logins,
            registry: Registry::default(),
            seen: Vec::new(),
            orders: Vec::new(),
            window: None,
            views: Views::default(),
        }
    }

    /// From now on the next `times` requests whose target holds `target` fail so.
    pub fn fail(&mut self, target: &str, times: usize, fault: Fault) {
        self.fail_after(target, 0, times, fault);
    }

    /// The same, but `after` such requests are answered rightly before.
    pub fn fail_after(&mut self, target: &str, after: usize, times: usize, fault: Fault) {
        self.orders.push(Order {
            target: target.to_owned(),
            after,
            times,
            fault,
        });
    }

    /// No fault is ordered any more.
    pub fn heal(&mut self) {
        self.orders.clear();
    }

    pub(super) fn fault(&mut self, target: &str) -> Option<Fault> {
        let mut orders = self.orders.iter_mut();
        let order = orders.find(|order| order.times > 0 && target.contains(&order.target))?;
        if order.after > 0 {
            order.after -= 1;
            return None;
        }
        order.times -= 1;
        Some(order.fault.clone())
    }

    /// Counts a request; whether it is one too many. The window begins with the first request after
    /// the last one ended, and what is refused does not prolong it.
    pub(super) fn is_over_limit(&mut self) -> bool {
        let now = Instant::now();
        let open = self
            .window
            .filter(|(begun, _)| begun.elapsed() <= self.options.window);
        let (begun, count) = open.unwrap_or((now, 0));
        let limit = self.options.per_minute;
        let over = limit > 0 && count >= limit;
        self.window = Some((begun, count + usize::from(!over)));
        over
    }

    pub(super) fn saw(&mut self, request: &Request, status: u16, connection: u64, at: Instant) {
        self.seen.push(Seen {
            at,
            method: request.method.clone(),
            target: request.target.clone(),
            status,
            connection,
            user_agent: request.user_agent.clone(),
        });
    }

    /// The most requests that came in any span of time.
    pub fn peak(&self, span: Duration) -> usize {
        let times: Vec<Instant> = self.seen.iter().map(|seen| seen.at).collect();
        let within = |from: &Instant| {
            times
                .iter()
                .filter(|at| **at >= *from && **at < *from + span)
                .count()
        };
        times.iter().map(within).max().unwrap_or(0)
    }

    /// How many requests had a target that holds `target`.
    pub fn count(&self, target: &str) -> usize {
        self.seen
            .iter()
            .filter(|seen| seen.target.contains(target))
            .count()
    }

    /// The rendered rows of a view; `make` is asked only if nobody has asked since the last change.
    pub(super) fn view(
        &mut self,
        key: (u32, Kind, String),
        make: impl FnOnce(&Fleet) -> Vec<String>,
    ) -> Arc<Vec<String>> {
        if self.views.edition != self.fleet.edition || self.views.rows > MOST_HELD {
            self.views = Views {
                edition: self.fleet.edition,
                ..Views::default()
            };
        }
        if let Some(held) = self.views.held.get(&key) {
            return Arc::clone(held);
        }
        let rendered = Arc::new(make(&self.fleet));
        self.views.rows += rendered.len();
        self.views.held.insert(key, Arc::clone(&rendered));
        rendered
    }
}

pub(super) fn too_many() -> Answer {
    Answer {
        status: 429,
        content_type: "application/problem+json; charset=utf-8",
        body: "{\"title\":\"Too Many Requests\",\"detail\":\"Maximum number of requests per minute \
               reached\",\"remediation\":\"This limit can be changed in api.yaml file.\",\"error\":6001}"
            .to_owned(),
    }
}
