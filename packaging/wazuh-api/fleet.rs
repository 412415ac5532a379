//! The agents behind the API. Rows are computed when they are asked for; what a test or the demo
//! changes is kept beside them, so that thousands of agents cost no memory.

use std::collections::{BTreeMap, HashMap};

use super::json::{Json, object, text};
use super::kind::{self, Kind};
use super::rows::{self, SCANNED, Shape, iso};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Linux,
    Windows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Disconnected,
    NeverConnected,
    Pending,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disconnected => "disconnected",
            Self::NeverConnected => "never_connected",
            Self::Pending => "pending",
        }
    }
}

/// One agent. `000` is the manager.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: String,
    pub number: u32,
    pub name: String,
    pub system: System,
    pub status: Status,
    pub groups: Vec<String>,
    pub version: String,
    /// Seconds since 1970 of the scan that its untouched rows come from.
    pub scanned: i64,
    /// The item of `/syscheck/{id}/last_scan`, in place of a computed one.
    pub last_scan: Option<Json>,
    /// The fields of `/agents` that a recorded answer had, in place of computed ones.
    pub recorded: Option<Json>,
    edits: HashMap<Kind, Edits>,
}

/// What was done to the rows of one kind.
#[derive(Debug, Clone, Default)]
struct Edits {
    /// None of the computed rows is there any more.
    wiped: bool,
    /// Computed rows that are gone or look different.
    changed: BTreeMap<usize, Option<Json>>,
    added: Vec<Json>,
}

/// All agents, by id.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub shape: Shape,
    /// The manager's version, `4.14.7`.
    pub version: String,
    /// The time that changes get, in seconds since 1970; the clock's if none.
    pub time: Option<i64>,
    pub agents: BTreeMap<u32, Agent>,
    /// Grows with each change: what was computed before it is void.
    pub edition: u64,
}

impl Fleet {
    /// The manager and agents 1 to `agents`: each tenth is Windows, each twentieth disconnected,
    /// each fiftieth never connected.
    pub fn synthetic(agents: u32, shape: Shape) -> Self {
        let agents = (0..=agents).map(|number| (number, Agent::synthetic(number)));
        Self {
            shape,
            version: "4.14.7".to_owned(),
            time: None,
            agents: agents.collect(),
            edition: 0,
        }
    }

    pub fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.get(&id.parse().ok()?)
    }

    /// An agent to change; the caller may do so, hence the new edition.
    pub fn agent_mut(&mut self, id: &str) -> Option<&mut Agent> {
        self.edition += 1;
        self.agents.get_mut(&id.parse().ok()?)
    }

    /// A new active agent; its id.
    pub fn add_agent(&mut self, name: &str) -> String {
        self.edition += 1;
        let number = self.agents.last_key_value().map_or(0, |(last, _)| last + 1);
        let mut agent = Agent::synthetic(number);
        agent.status = Status::Active;
        name.clone_into(&mut agent.name);
        let id = agent.id.clone();
        self.agents.insert(number, agent);
        id
    }

    /// Whether it was there.
    pub fn remove_agent(&mut self, id: &str) -> bool {
        self.edition += 1;
        let number = id.parse().ok();
        number.is_some_and(|number| self.agents.remove(&number).is_some())
    }

    /// All rows of a kind, in the order in which they were inserted.
    pub fn rows(&self, id: &str, kind: Kind) -> Vec<Json> {
        self.agent(id)
            .map(|agent| agent.rows(kind, self.shape))
            .unwrap_or_default()
    }

    /// Stores a row: in place of the one with the same key, or as a new one. Its time is now.
    pub fn put(&mut self, id: &str, kind: Kind, mut row: Json) {
        if let Some(stamp) = kind.stamp() {
            row.set(stamp, text(iso(self.now())));
        }
        let shape = self.shape;
        if let Some(agent) = self.agent_mut(id) {
            agent.put(kind, row, shape);
        }
    }

    /// Changes one field of the rows that `is` picks; how many there were.
    pub fn change(
        &mut self,
        id: &str,
        kind: Kind,
        is: impl Fn(&Json) -> bool,
        field: &str,
        value: &Json,
    ) -> usize {
        let picked: Vec<Json> = self.rows(id, kind).into_iter().filter(is).collect();
        for row in &picked {
            let mut new = row.clone();
            new.set(field, value.clone());
            if key(kind, row) != key(kind, &new) {
                self.remove(id, kind, |one| one == row);
            }
            self.put(id, kind, new);
        }
        picked.len()
    }

    /// Removes the rows that `is` picks; how many there were.
    pub fn remove(&mut self, id: &str, kind: Kind, is: impl Fn(&Json) -> bool) -> usize {
        let shape = self.shape;
        let agent = self.agent_mut(id);
        agent.map_or(0, |agent| agent.remove(kind, is, shape))
    }

    /// What a manager upgrade or a moved agent does: the database is there and empty.
    pub fn wipe(&mut self, id: &str, kind: Kind) {
        if let Some(agent) = self.agent_mut(id) {
            let edits = agent.edits.entry(kind).or_default();
            *edits = Edits {
                wiped: true,
                ..Edits::default()
            };
        }
    }

    /// The opposite: the agent has sent everything again, and it is as it was at first.
    pub fn resync(&mut self, id: &str, kind: Kind) {
        if let Some(agent) = self.agent_mut(id) {
            agent.edits.remove(&kind);
        }
    }

    /// Gives `percent` of each connected agent's packages a new version. Each `round` picks others.
    pub fn drift(&mut self, percent: u64, round: u64) {
        self.edition += 1;
        let (shape, time) = (self.shape, iso(self.now()));
        let agents = self.agents.values_mut();
        for agent in agents.filter(|agent| agent.has_database()) {
            agent.drift(percent, round, shape, &time);
        }
    }

    pub fn connected(&self) -> impl Iterator<Item = &Agent> {
        let agents = self.agents.values();
        agents.filter(|agent| agent.has_database())
    }

    /// Seconds since 1970.
    pub fn now(&self) -> i64 {
        self.time.unwrap_or_else(super::seconds)
    }
}

/// What makes a row the same row.
fn key(kind: Kind, row: &Json) -> Vec<Option<&Json>> {
    kind.key().iter().map(|field| row.at(field)).collect()
}

impl Agent {
    pub fn synthetic(number: u32) -> Self {
        let status = match number {
            0 => Status::Active,
            _ if number % 50 == 7 => Status::NeverConnected,
            _ if number.is_multiple_of(20) => Status::Disconnected,
            _ => Status::Active,
        };
        let windows = number % 10 == 3;
        let mut groups = vec!["default".to_owned()];
        groups.extend(windows.then(|| "windows".to_owned()));
        Self {
            id: format!("{number:03}"),
            number,
            name: if number == 0 {
                "manager".to_owned()
            } else {
                format!("host-{number:05}")
            },
            system: if windows {
                System::Windows
            } else {
                System::Linux
            },
            status,
            groups,
            version: "Wazuh v4.14.7".to_owned(),
            scanned: SCANNED,
            last_scan: None,
            recorded: None,
            edits: HashMap::new(),
        }
    }

    /// An agent that never connected has none, and Wazuh says so with error 2007.
    pub fn has_database(&self) -> bool {
        self.status != Status::NeverConnected
    }

    /// How many rows, without making them.
    pub fn count(&self, kind: Kind, shape: Shape) -> usize {
        let computed = rows::count(self, kind, shape);
        let Some(edits) = self.edits.get(&kind) else {
            return computed;
        };
        let gone = edits.changed.values().filter(|row| row.is_none()).count();
        let left = if edits.wiped { 0 } else { computed - gone };
        left + edits.added.len()
    }

    pub fn rows(&self, kind: Kind, shape: Shape) -> Vec<Json> {
        let computed = 0..rows::count(self, kind, shape);
        let Some(edits) = self.edits.get(&kind) else {
            return computed
                .map(|index| rows::row(self, kind, index, shape))
                .collect();
        };
        let computed = if edits.wiped { 0..0 } else { computed };
        let computed = computed.filter_map(|index| match edits.changed.get(&index) {
            Some(changed) => changed.clone(),
            None => Some(rows::row(self, kind, index, shape)),
        });
        computed.chain(edits.added.iter().cloned()).collect()
    }

    /// The newest time among the rows: what a change probe asks for, without making them all.
    pub fn newest(&self, kind: Kind, shape: Shape) -> Option<String> {
        let stamp = kind.stamp()?;
        let time = |row: &Json| row.at(stamp).and_then(Json::as_text).map(str::to_owned);
        let edits = self.edits.get(&kind);
        let edited = edits.into_iter().flat_map(|edits| {
            let changed = edits.changed.values().flatten();
            changed.chain(&edits.added).filter_map(time)
        });
        let first = (0..rows::count(self, kind, shape)).find(|index| {
            edits.is_none_or(|edits| !edits.wiped && !edits.changed.contains_key(index))
        });
        let computed = first.and_then(|index| time(&rows::row(self, kind, index, shape)));
        edited.chain(computed).max()
    }

    fn put(&mut self, kind: Kind, row: Json, shape: Shape) {
        let computed = rows::count(self, kind, shape);
        let same = |one: &Json| key(kind, one) == key(kind, &row);
        let wiped = self.edits.get(&kind).is_some_and(|edits| edits.wiped);
        let found =
            (0..computed).find(|index| !wiped && same(&rows::row(self, kind, *index, shape)));
        let edits = self.edits.entry(kind).or_default();
        if let Some(added) = edits.added.iter_mut().find(|one| same(one)) {
            *added = row;
        } else if let Some(index) = found {
            edits.changed.insert(index, Some(row));
        } else {
            edits.added.push(row);
        }
    }

    fn drift(&mut self, percent: u64, round: u64, shape: Shape, time: &str) {
        for index in 0..rows::count(self, Kind::Packages, shape) {
            let place = u64::try_from(index).unwrap_or(0) << 32 | u64::from(self.number);
            let picked = rows::mix(rows::mix(round) ^ place);
            let edits = self.edits.get(&Kind::Packages);
            let changed = edits.and_then(|edits| edits.changed.get(&index).cloned());
            if picked % 100 >= percent
                || edits.is_some_and(|edits| edits.wiped)
                || changed == Some(None)
            {
                continue;
            }
            let row = changed.flatten();
            let mut row = row.unwrap_or_else(|| rows::row(self, Kind::Packages, index, shape));
            row.set("version", text(format!("9.{round}-{}", picked % 1_000)));
            row.set("scan.time", text(time));
            let edits = self.edits.entry(Kind::Packages).or_default();
            edits.changed.insert(index, Some(row));
        }
    }

    fn remove(&mut self, kind: Kind, is: impl Fn(&Json) -> bool, shape: Shape) -> usize {
        let before = self.count(kind, shape);
        let computed = 0..rows::count(self, kind, shape);
        let hit: Vec<usize> = computed
            .filter(|index| {
                let edits = self.edits.get(&kind);
                match edits.and_then(|edits| edits.changed.get(index)) {
                    Some(changed) => changed.as_ref().is_some_and(&is),
                    None => is(&rows::row(self, kind, *index, shape)),
                }
            })
            .collect();
        let edits = self.edits.entry(kind).or_default();
        edits
            .changed
            .extend(hit.into_iter().map(|index| (index, None)));
        edits.added.retain(|row| !is(row));
        before - self.count(kind, shape)
    }

    /// Takes rows as they were recorded; nothing computed is left of the kind.
    pub fn record(&mut self, kind: Kind, rows: &[Json]) {
        let edits = self.edits.entry(kind).or_default();
        edits.wiped = true;
        for row in rows {
            let same = |one: &Json| key(kind, one) == key(kind, row);
            if !edits.added.iter().any(same) {
                edits.added.push(row.clone());
            }
        }
    }

    /// As `/agents` shows it.
    pub fn describe(&self, now: i64) -> Json {
        if let Some(recorded) = &self.recorded {
            return recorded.clone();
        }
        let mut row = object([
            ("group", Json::List(self.groups.iter().map(text).collect())),
            (
                "ip",
                text(format!("10.0.{}.{}", self.number / 250, self.number % 250)),
            ),
            ("status", text(self.status.name())),
            ("name", text(self.name.clone())),
            ("group_config_status", text("synced")),
            ("dateAdd", text(iso(SCANNED - 86_400 * 90))),
            ("registerIP", text("any")),
            ("id", text(self.id.clone())),
        ]);
        let code = match self.status {
            Status::Active => 0,
            Status::Disconnected => 4,
            Status::NeverConnected => 1,
            Status::Pending => 5,
        };
        row.set("status_code", Json::Int(code));
        if self.status == Status::NeverConnected {
            row.set("node_name", text("unknown"));
            return row;
        }
        let alive = match (self.number, self.status) {
            (0, _) => "9999-12-31T23:59:59+00:00".to_owned(),
            (_, Status::Disconnected) => iso(SCANNED + 3_600),
            _ => iso(now),
        };
        row.set("lastKeepAlive", text(alive));
        row.set("node_name", text("node01"));
        row.set("version", text(self.version.clone()));
        row.set("manager", text("manager"));
        row.set("configSum", text("ab".repeat(16)));
        row.set("mergedSum", text("cd".repeat(16)));
        row.set("os", self.describe_os());
        if self.status == Status::Disconnected {
            row.set("disconnection_time", text(iso(SCANNED + 7_200)));
        }
        if let (0, Json::Object(fields)) = (self.number, &mut row) {
            fields
                .retain(|(name, _)| name != "group" && name != "configSum" && name != "mergedSum");
        }
        row
    }

    fn describe_os(&self) -> Json {
        let common = |name: &str, platform: &str, version: &str| {
            object([
                ("arch", text("x86_64")),
                ("name", text(name)),
                ("platform", text(platform)),
                ("uname", text("Linux |host |5.15")),
                ("version", text(version)),
            ])
        };
        match self.system {
            System::Linux => common("Ubuntu", "ubuntu", "22.04.4 LTS (Jammy Jellyfish)"),
            System::Windows => common(
                "Microsoft Windows Server 2019 Standard",
                "windows",
                "10.0.17763.5458",
            ),
        }
    }
}

/// The fields of an agent that `sort`, `select` and `q` take.
pub fn knows(field: &str) -> bool {
    const FIELDS: [&str; 25] = [
        "configSum",
        "dateAdd",
        "disconnection_time",
        "group",
        "group_config_status",
        "id",
        "ip",
        "lastKeepAlive",
        "manager",
        "mergedSum",
        "name",
        "node_name",
        "os.arch",
        "os.build",
        "os.codename",
        "os.major",
        "os.minor",
        "os.name",
        "os.platform",
        "os.uname",
        "os.version",
        "registerIP",
        "status",
        "status_code",
        "version",
    ];
    FIELDS.contains(&field)
}

/// Every kind, for whoever changes all of them.
pub fn kinds() -> [Kind; 17] {
    kind::ALL
}
