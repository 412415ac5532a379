//! `collect` against a real mongod and a local server that speaks the API: what is in MongoDB equals
//! what a simple, slow reading of the same data gives, whatever goes wrong on the way.

mod agents;
mod alone;
mod complete;
mod enriched;
mod faults;
mod gaps;
mod history;
mod killed;
mod loss;
mod oracle;
mod plan;
mod recorded;
mod several;

use std::process::Output;

use mongodb::bson::{Bson, Document, doc};
use mongodb::sync::Database;
use serde_json::Value;

use crate::fake::state::State;
use crate::fake::{Options, Server};
use crate::mongod::{self, Mongod};
use crate::wazuh::Wazuh;

/// A manager with its agents, and a home that collects from it.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) wazuh: Wazuh,
    /// None: the one that all share.
    pub(crate) mongod: Option<Mongod>,
    name: &'static str,
}

/// No limit and no day between a loss and its confirmation is under test here unless it says so.
pub(crate) const ALL_KINDS: &str = "kinds = [\"software\", \"osinfo\", \"syscheck\", \"hotfixes\", \
     \"hardware\", \"network_interfaces\", \"network_addresses\", \"network_protocols\", \"users\", \
     \"groups\", \"services\", \"browser_extensions\", \"ports\", \"processes\", \"sca\", \
     \"rootcheck\"]\n";

impl Site {
    /// The fleet of these options, into a database of this name; `[collect]` as given.
    pub(crate) fn new(name: &'static str, options: Options, collect: &str) -> Self {
        let server = Server::start(options).expect("a server");
        let site = Self {
            server,
            wazuh: Wazuh::new(name),
            mongod: None,
            name,
        };
        site.settings(collect);
        site
    }

    /// As `new`, with a mongod of its own.
    pub(crate) fn with_mongod(name: &'static str, options: Options, collect: &str) -> Self {
        let mongod = Mongod::replica_set();
        let site = Self {
            server: Server::start(options).expect("a server"),
            wazuh: Wazuh::with_uri(&mongod.uri(), name),
            mongod: Some(mongod),
            name,
        };
        site.settings(collect);
        site
    }

    /// The usual fleet: 25 agents and the manager.
    pub(crate) fn usual(name: &'static str, collect: &str) -> Self {
        Self::new(name, quick(), collect)
    }

    pub(crate) fn settings(&self, collect: &str) {
        self.settings_of(&self.wazuh, 100_000, collect);
    }

    pub(crate) fn settings_of(&self, wazuh: &Wazuh, per_minute: u32, collect: &str) {
        let url = self.server.url();
        wazuh.settings(&format!(
            "[wazuh_api]\nurl = \"{url}\"\nuser = \"custom-mongo\"\npassword = \"Secret.Fake.1\"\n\
             requests_per_minute = {per_minute}\n[collect]\n{collect}"
        ));
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.server.state()
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        self.wazuh.run(&[&["collect"], words.as_slice()].concat())
    }

    /// Runs with this exit status and gives the report.
    #[track_caller]
    pub(crate) fn collect(&self, status: i32, arguments: &str) -> Value {
        let output = self.run(&format!("{arguments} --format json"));
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {output:?}"))
    }

    /// Runs to whatever end.
    pub(crate) fn collect_any(&self, arguments: &str) -> Value {
        let output = self.run(&format!("{arguments} --format json"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {output:?}"))
    }

    pub(crate) fn database(&self) -> Database {
        let mongod = self.mongod.as_ref().unwrap_or(mongod::shared());
        mongod.database(self.name)
    }

    pub(crate) fn documents(&self, collection: &str, filter: Document) -> Vec<Document> {
        let collection = self.database().collection::<Document>(collection);
        let found = collection.find(filter).sort(doc! { "_id": 1 }).run();
        found
            .expect("a cursor")
            .map(|one| one.expect("a document"))
            .collect()
    }

    /// The current rows of an agent.
    pub(crate) fn current(&self, collection: &str, agent: &str) -> Vec<Document> {
        self.documents(
            collection,
            doc! { "agent_id": agent, "_removed_at": Bson::Null },
        )
    }

    /// Everything that a run may write except how fresh things are.
    pub(crate) fn inventory(&self) -> Vec<(String, Vec<Document>)> {
        let mut names = self
            .database()
            .list_collection_names()
            .run()
            .expect("collections");
        names.retain(|name| !["collect_state", "collect_runs", "leases"].contains(&name.as_str()));
        names.sort();
        names
            .into_iter()
            .map(|name| (name.clone(), self.documents(&name, doc! {})))
            .collect()
    }
}

/// A fleet without a request limit.
pub(crate) fn quick() -> Options {
    Options {
        per_minute: 0,
        ..Options::default()
    }
}

/// What the report says about a kind.
#[track_caller]
pub(crate) fn count(report: &Value, kind: &str, what: &str) -> u64 {
    let count = report["kinds"][kind][what].as_u64();
    count.unwrap_or_else(|| panic!("no {kind}.{what} in {report}"))
}
