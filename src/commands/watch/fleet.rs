//! What is known of the agents, those that need a look first.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::alert::time::{parse, rfc3339};
use crate::commands::now;
use crate::commands::screen::clean;
use crate::inventory::AGENTS;
use crate::store::Reader;
use crate::store::reader::{Fault, InventoryList, Order, Page, Record, Rows, Shape};

const HOUR_MS: i64 = 3_600_000;
/// Wazuh's keep alive of the manager itself is the end of the year 9999.
const FUTURE_MS: i64 = 86_400_000;
const FIELDS: [&str; 10] = [
    "_site",
    "_node",
    "agent_id",
    "name",
    "status",
    "os",
    "version",
    "group",
    "lastKeepAlive",
    "ip",
];

/// An agent's site and id.
type Owner = (String, String);

/// An agent. Texts are as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Agent {
    pub(super) site: String,
    /// For the manager itself: which node.
    pub(super) node: Option<String>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) os: String,
    pub(super) version: String,
    pub(super) groups: Vec<String>,
    /// Milliseconds since 1970.
    pub(super) keep_alive: Option<i64>,
    /// When the oldest kind of its inventory was last known to be current; milliseconds since 1970.
    pub(super) inventory: Option<i64>,
    /// Kinds that could not be read the last time.
    pub(super) failed: i64,
    /// Alerts of the last hour; none if they were not counted.
    pub(super) alerts: Option<i64>,
}

/// Which agents.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) status: Option<String>,
    pub(super) site: Option<String>,
}

/// The agents, the worst first. `alerts` are those of the last hour, if they were counted.
pub(super) async fn read(
    reader: &Reader,
    wanted: &Wanted,
    alerts: Option<&HashMap<Owner, i64>>,
) -> Result<Vec<Agent>, Fault> {
    let site = wanted.site.as_deref();
    let list = InventoryList {
        collection: AGENTS.collection,
        order: Order::Agent,
        rows: Rows::Current,
        site: wanted.site.clone(),
        agent_id: None,
        equal: wanted
            .status
            .iter()
            .map(|status| ("status", status.clone()))
            .collect(),
    };
    let page = Page {
        fields: FIELDS.map(str::to_owned).into(),
        ..Page::default()
    };
    let mut agents = Vec::new();
    let mut listing = reader.inventory(&list, page).await?;
    while let Some(record) = listing.next().await? {
        agents.push(Agent::read(&record));
    }
    let ages = reader.inventory_ages(site).await?.into_iter();
    let ages: HashMap<_, _> = ages
        .map(|age| {
            (
                (age.site.clone(), age.agent_id.clone(), age.node.clone()),
                age,
            )
        })
        .collect();
    for agent in &mut agents {
        let key = (agent.site.clone(), agent.id.clone(), agent.node.clone());
        if let Some(age) = ages.get(&key) {
            agent.inventory = age.oldest;
            agent.failed = age.failed;
        }
        let owner = (agent.site.clone(), agent.id.clone());
        agent.alerts = alerts.map(|alerts| alerts.get(&owner).copied().unwrap_or(0));
    }
    agents.sort_by_key(Agent::rank);
    Ok(agents)
}

/// How many alerts each agent had in the last hour; none where that are too many to count.
pub(super) async fn last_hour(
    reader: &Reader,
    wanted: &Wanted,
) -> Result<Option<HashMap<Owner, i64>>, Fault> {
    let since = now().saturating_sub(HOUR_MS);
    match reader.alerts_by_agent(wanted.site.as_deref(), since).await {
        Ok(all) => Ok(Some(
            all.into_iter()
                .map(|one| ((one.site, one.agent_id), one.alerts))
                .collect(),
        )),
        Err(Fault::TooSlow | Fault::IndexPending) => Ok(None),
        Err(fault) => Err(fault),
    }
}

impl Agent {
    fn read(record: &Record) -> Self {
        let mut out = Vec::new();
        record.write_json(&Shape::default(), &mut out);
        let document: Value = serde_json::from_slice(&out).unwrap_or_default();
        let text = |path: &str| match document.pointer(path) {
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        };
        let groups = document.get("group").and_then(Value::as_array);
        let groups = groups.map(Vec::as_slice).unwrap_or_default().iter();
        let site = text("/_site");
        let os = format!("{} {}", text("/os/name"), text("/os/version"));
        Self {
            site: if site.is_empty() {
                "default".to_owned()
            } else {
                site
            },
            node: Some(text("/_node")).filter(|node| !node.is_empty()),
            id: text("/agent_id"),
            name: text("/name"),
            status: text("/status"),
            os: os.trim().to_owned(),
            version: text("/version").trim_start_matches("Wazuh ").to_owned(),
            groups: groups
                .filter_map(|group| group.as_str().map(str::to_owned))
                .collect(),
            keep_alive: parse(&text("/lastKeepAlive")).filter(|at| *at < now() + FUTURE_MS),
            ..Self::default()
        }
    }

    /// The least comes first: who is not there, then whose inventory is missing or old.
    fn rank(&self) -> impl Ord + use<> {
        let status = match self.status.as_str() {
            "disconnected" => 0,
            "active" => 3,
            "never_connected" => 2,
            _ => 1,
        };
        (
            status,
            Reverse(self.failed > 0),
            self.inventory.unwrap_or(i64::MIN),
            Reverse(self.alerts),
            (self.site.clone(), self.id.clone(), self.node.clone()),
        )
    }

    pub(super) fn to_json(&self) -> Value {
        let date = |at: Option<i64>| at.map(rfc3339);
        let age = |at: Option<i64>| at.map(|at| now().saturating_sub(at).max(0) / 1000);
        let mut all = Map::new();
        let fields = [
            ("site", json!(self.site)),
            ("node", json!(self.node)),
            ("agent_id", json!(self.id)),
            ("name", json!(self.name)),
            ("status", json!(self.status)),
            ("os", json!(self.os)),
            ("version", json!(self.version)),
            ("groups", json!(self.groups)),
            ("last_keep_alive", json!(date(self.keep_alive))),
            ("inventory_checked_at", json!(date(self.inventory))),
            ("inventory_age_seconds", json!(age(self.inventory))),
            ("inventory_failed_kinds", json!(self.failed)),
            ("alerts_last_hour", json!(self.alerts)),
        ];
        for (name, value) in fields {
            all.insert(name.to_owned(), value);
        }
        Value::Object(all)
    }

    /// The id with what makes it one: a site that is not the usual one, a node.
    pub(super) fn label(&self) -> String {
        let site = match self.site.as_str() {
            "default" => String::new(),
            site => format!("{}/", clean(site)),
        };
        let node = self.node.as_ref();
        let node = node.map_or_else(String::new, |node| format!("@{}", clean(node)));
        format!("{site}{}{node}", clean(&self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str, status: &str, inventory: Option<i64>) -> Agent {
        Agent {
            id: id.to_owned(),
            status: status.to_owned(),
            inventory,
            ..Agent::default()
        }
    }

    #[test]
    fn those_that_need_a_look_come_first() {
        let mut failed = agent("6", "active", Some(50));
        failed.failed = 1;
        let mut agents = [
            agent("1", "active", Some(50)),
            agent("2", "active", Some(20)),
            agent("3", "never_connected", None),
            agent("4", "disconnected", Some(90)),
            agent("5", "active", None),
            failed,
            agent("7", "pending", None),
        ];
        agents.sort_by_key(Agent::rank);
        let order: Vec<_> = agents.iter().map(|agent| agent.id.as_str()).collect();
        assert_eq!(order, ["4", "7", "3", "6", "5", "2", "1"]);
    }
}
