//! Alerts for questions, and what the right answer is: a plain filter over a list in memory.

use std::fmt::Write as _;

use mongodb::bson::{DateTime, Document, doc};
use mongodb::sync::Database;
use serde_json::Value;

use crate::mongod;
use crate::service::Service;
use crate::wazuh::Wazuh;

/// What is known of an alert.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) time: i64,
    pub(crate) site: &'static str,
    pub(crate) agent: String,
    pub(crate) risk: &'static str,
    pub(crate) level: i64,
    pub(crate) rule: &'static str,
    pub(crate) groups: Vec<&'static str>,
    pub(crate) mitre: Option<&'static str>,
    pub(crate) text: String,
}

/// The same sequence in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        Self(42)
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

const RULES: [&str; 5] = ["5710", "5711", "550", "92000", "31101"];
const GROUPS: [&str; 5] = ["syslog", "sshd", "authentication_failed", "web", "ossec"];
const TECHNIQUES: [&str; 3] = ["T1110", "T1078", "T1059"];

impl Known {
    /// The alert with this number: one in half a second, the newest first.
    pub(crate) fn made(number: usize, now: i64, dice: &mut Dice) -> Self {
        let level = [3, 3, 3, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 12, 15][dice.roll(15)];
        let first = dice.roll(5);
        Self {
            id: format!("{:032x}", number * 7919 + dice.roll(7919)),
            time: now - i64::try_from(number * 500 + dice.roll(500)).unwrap(),
            site: if dice.roll(8) == 0 {
                "north"
            } else {
                "default"
            },
            agent: format!("{:03}", dice.roll(20)),
            risk: match level {
                12.. => "critical",
                8.. => "high",
                5.. => "medium",
                _ => "low",
            },
            level,
            rule: RULES[dice.roll(5)],
            groups: vec![GROUPS[first], GROUPS[(first + 1 + dice.roll(4)) % 5]],
            mitre: (dice.roll(10) == 0).then(|| TECHNIQUES[dice.roll(3)]),
            text: format!("log line {number} alpha{}", number % 300),
        }
    }

    pub(crate) fn document(&self) -> Document {
        let mut rule = doc! {
            "level": self.level, "id": self.rule, "description": "sshd: something", "groups": &self.groups,
        };
        if let Some(technique) = self.mitre {
            rule.insert("mitre", doc! { "id": [technique] });
        }
        doc! {
            "_id": &self.id, "rule": rule, "agent": { "id": &self.agent }, "full_log": &self.text,
            "agent_id": &self.agent, "_risk_score": self.risk, "_site": self.site, "_schema": 1_i64,
            "_timestamp": DateTime::from_millis(self.time), "_processed_at": DateTime::from_millis(self.time),
        }
    }

    /// Whether a question lets it through.
    pub(crate) fn is_in(&self, question: &[(&str, String)]) -> bool {
        question.iter().all(|(name, value)| match *name {
            "site" => self.site == value,
            "risk_score" => self.risk == value,
            "agent_id" => self.agent == *value,
            "rule_id" => self.rule == value,
            "group" => self.groups.contains(&value.as_str()),
            "mitre" => self.mitre == Some(value.as_str()),
            "level_min" => self.level >= value.parse().unwrap(),
            "since" => self.time >= millis(value),
            "until" => self.time < millis(value),
            "q" => self.text.contains(value.as_str()),
            _ => true,
        })
    }
}

/// The ids of the right answer, newest first.
pub(crate) fn right<'a>(all: &'a [Known], question: &[(&str, String)]) -> Vec<&'a str> {
    let mut found: Vec<&Known> = all.iter().filter(|known| known.is_in(question)).collect();
    found.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
    found.into_iter().map(|known| known.id.as_str()).collect()
}

pub(crate) fn now() -> i64 {
    DateTime::now().timestamp_millis()
}

pub(crate) fn rfc3339(millis: i64) -> String {
    DateTime::from_millis(millis)
        .try_to_rfc3339_string()
        .unwrap()
}

fn millis(text: &str) -> i64 {
    DateTime::parse_rfc3339_str(text)
        .unwrap()
        .timestamp_millis()
}

pub(crate) fn fill(database: &Database, count: usize, now: i64) -> Vec<Known> {
    let mut dice = Dice::new();
    let all: Vec<Known> = (0..count)
        .map(|number| Known::made(number, now, &mut dice))
        .collect();
    insert(database, &all);
    all
}

pub(crate) fn insert(database: &Database, all: &[Known]) {
    let alerts = database.collection::<Document>("alerts");
    for batch in all.chunks(2000) {
        let batch: Vec<Document> = batch.iter().map(Known::document).collect();
        alerts.insert_many(batch).ordered(false).run().unwrap();
    }
}

/// A service over a new database on the shared server, with its indexes.
pub(crate) fn service(database: &str) -> (Wazuh, Service) {
    let wazuh = Wazuh::new(database);
    let service = Service::start(&wazuh);
    wait_for_indexes(&mongod::shared().database(database));
    (wazuh, service)
}

pub(crate) fn wait_for_indexes(database: &Database) {
    for _ in 0..600 {
        let names = database
            .collection::<Document>("alerts")
            .list_index_names()
            .run();
        if names.is_ok_and(|names| names.len() > 5) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the service makes no indexes");
}

/// Path and query, with what has to be encoded.
pub(crate) fn path(path: &str, question: &[(&str, String)]) -> String {
    let mut out = path.to_owned();
    for (place, (name, value)) in question.iter().enumerate() {
        let before = if place == 0 { '?' } else { '&' };
        write!(out, "{before}{name}={}", encoded(value)).unwrap();
    }
    out
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}

/// A good answer as JSON.
#[track_caller]
pub(crate) fn ask(service: &Service, path: &str) -> Value {
    let answer = service.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// One field of each document of an answer.
pub(crate) fn column(answer: &Value, field: &str) -> Vec<String> {
    let data = answer["data"].as_array().expect("a list");
    data.iter()
        .map(|one| one[field].as_str().unwrap_or("-").to_owned())
        .collect()
}

/// How many documents the work makes mongod read for the service, by mongod's own profiler; none of
/// it without an index. With what the work gives.
pub(crate) fn reads<T>(database: &Database, work: impl FnOnce() -> T) -> (usize, T) {
    let (read, given) = examined(database, work);
    (read.documents, given)
}

/// What mongod has looked at.
pub(crate) struct Examined {
    pub(crate) documents: usize,
    pub(crate) keys: usize,
}

/// As `reads`, with the keys of indexes.
pub(crate) fn examined<T>(database: &Database, work: impl FnOnce() -> T) -> (Examined, T) {
    let run = |command: Document| database.run_command(command).run().unwrap();
    let profile = database.collection::<Document>("system.profile");
    run(doc! { "profile": 0 });
    profile.drop().run().unwrap();
    run(doc! { "create": "system.profile", "capped": true, "size": 64 << 20 });
    run(doc! { "profile": 2 });
    let given = work();
    run(doc! { "profile": 0 });
    let mut all = Examined {
        documents: 0,
        keys: 0,
    };
    let mut operations = 0;
    let seen = profile.find(doc! { "appName": "custom-mongo" });
    for seen in seen.run().unwrap() {
        let seen = seen.unwrap();
        operations += 1;
        let plan = seen.get_str("planSummary").unwrap_or_default();
        assert!(!plan.contains("COLLSCAN"), "{seen}");
        let number = |name: &str| usize::try_from(seen.get_i32(name).unwrap_or(0)).unwrap();
        all.documents += number("docsExamined");
        all.keys += number("keysExamined");
    }
    assert!(operations > 0, "the profiler saw nothing");
    (all, given)
}
