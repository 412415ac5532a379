//! The simple, slow, obviously right reading: every row of the fleet, as a document, in memory. What
//! was there at the last look and is not there now, or looks different now, is the past.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::Site;
use crate::fake::json::Json;
use crate::fake::kind::{self, Kind};
use crate::fake::state::State;

/// Collection, agent, natural key.
type Name = (&'static str, String, String);

#[derive(Default)]
pub(crate) struct Oracle {
    now: BTreeMap<Name, Document>,
    past: BTreeSet<(Name, String)>,
}

fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::Syscheck => "syscheck",
        Kind::Os => "os_info",
        Kind::Hardware => "hardware",
        Kind::Packages => "software_inventory",
        Kind::Hotfixes => "hotfixes",
        Kind::Ports => "ports",
        Kind::Processes => "processes",
        Kind::Netiface => "network_interfaces",
        Kind::Netaddr => "network_addresses",
        Kind::Netproto => "network_protocols",
        Kind::Users => "users",
        Kind::Groups => "groups",
        Kind::Services => "services",
        Kind::BrowserExtensions => "browser_extensions",
        Kind::Sca => "sca_policies",
        Kind::ScaChecks => "sca_checks",
        Kind::Rootcheck => "rootcheck",
    }
}

/// What may differ from the stored document without being a change.
fn moves(kind: Kind, path: &str) -> bool {
    let scan = path == "scan" || path.starts_with("scan_") || path == "checksum";
    scan || match kind {
        Kind::Syscheck => path == "inode",
        Kind::Hardware => ["ram.free", "ram.usage", "cpu.mhz"].contains(&path),
        Kind::Netiface => path == "rx" || path == "tx",
        Kind::Users => path == "login" || path == "process_pid",
        Kind::Services => path == "process.pid",
        Kind::Sca => path == "start_scan" || path == "end_scan",
        Kind::Rootcheck => path == "date_last",
        Kind::Ports => path.ends_with("_queue"),
        Kind::Processes => [
            "stime",
            "utime",
            "resident",
            "share",
            "size",
            "vm_size",
            "processor",
            "state",
            "nlwp",
            "priority",
        ]
        .contains(&path),
        _ => false,
    }
}

fn is_date(path: &str) -> bool {
    ["date", "mtime", "install_time", "date_first"].contains(&path)
}

impl Oracle {
    /// Looks at the fleet as it is now.
    pub(crate) fn look(&mut self, state: &State) {
        let mut now = BTreeMap::new();
        for agent in state.fleet.connected() {
            for kind in kind::ALL {
                for row in state.fleet.rows(&agent.id, kind) {
                    let name = (collection(kind), agent.id.clone(), key(kind, &row));
                    let old = now.insert(name, document(kind, &row));
                    assert!(old.is_none(), "two rows with one key in {agent:?} {kind:?}");
                }
            }
        }
        for (name, old) in &self.now {
            if now.get(name) != Some(old) && !["ports", "processes"].contains(&name.0) {
                self.past.insert((name.clone(), content(old)));
            }
        }
        self.now = now;
    }

    /// Compares with MongoDB: the current rows and the past ones, nothing more and nothing less.
    #[track_caller]
    pub(crate) fn check(&self, site: &Site) {
        let (now, past) = stored(site);
        for (name, expected) in &self.now {
            assert_eq!(now.get(name), Some(expected), "{name:?}");
        }
        for name in now.keys() {
            assert!(
                self.now.contains_key(name),
                "{name:?} is not in the fleet any more"
            );
        }
        let missing: Vec<_> = self.past.difference(&past).collect();
        assert!(missing.is_empty(), "history lacks {missing:?}");
        let invented: Vec<_> = past.difference(&self.past).collect();
        assert!(invented.is_empty(), "history has {invented:?}");
    }

    /// The current rows, whatever lies in the past.
    #[track_caller]
    pub(crate) fn check_now(&self, site: &Site) {
        let (now, _) = stored(site);
        let names: BTreeSet<_> = now.keys().chain(self.now.keys()).collect();
        for name in names {
            assert_eq!(now.get(name), self.now.get(name), "{name:?}");
        }
    }

    /// What is in the fleet and was stored before is current still: only what is gone, or looked
    /// different, is in the past.
    #[track_caller]
    pub(crate) fn check_removed_only_what_is_gone(&self, site: &Site) {
        let (_, past) = stored(site);
        let invented: Vec<_> = past.difference(&self.past).collect();
        assert!(invented.is_empty(), "was only not fetched: {invented:?}");
    }

    /// What has been there all the time and never changed is current still.
    #[track_caller]
    pub(crate) fn check_steady(&self, site: &Site, was_touched: impl Fn(&str) -> bool) {
        let (now, _) = stored(site);
        for name in self.now.keys().filter(|(_, _, key)| !was_touched(key)) {
            assert!(now.contains_key(name), "{name:?} was only not fetched");
        }
    }
}

/// What MongoDB holds: current rows by name, and the contents that are over.
#[track_caller]
fn stored(site: &Site) -> (BTreeMap<Name, Document>, BTreeSet<(Name, String)>) {
    let (mut now, mut past) = (BTreeMap::new(), BTreeSet::new());
    for kind in kind::ALL {
        for stored in site.documents(collection(kind), doc! {}) {
            assert_dressed(kind, &stored);
            let agent = stored.get_str("agent_id").unwrap().to_owned();
            let is_past = stored.get_datetime("_removed_at").is_ok();
            let content_only = undressed(kind, &stored);
            let name = (collection(kind), agent, key_of(kind, &content_only));
            if is_past {
                past.insert((name, content(&content_only)));
            } else {
                let twin = now.insert(name, content_only);
                assert!(twin.is_none(), "twice: {stored}");
            }
        }
    }
    (now, past)
}

/// The fields that every document has.
#[track_caller]
fn assert_dressed(kind: Kind, stored: &Document) {
    assert_eq!(stored.get_str("log_type").unwrap(), collection(kind));
    assert_eq!(stored.get_i64("_schema").unwrap(), 1);
    assert!(stored.get_datetime("_fetched_at").is_ok(), "{stored}");
    assert!(
        stored.get_str("_site").is_ok_and(|site| site == "default"),
        "{stored}"
    );
    let category = match kind {
        Kind::Syscheck | Kind::Os => "unknown",
        Kind::Packages => stored.get_str("format").unwrap_or("unknown"),
        _ => "default",
    };
    assert_eq!(stored.get_str("_category").unwrap(), category, "{stored}");
    if kind == Kind::Syscheck {
        assert_eq!(stored.get("path"), stored.get("file"));
    }
}

fn undressed(kind: Kind, stored: &Document) -> Document {
    let ours = |name: &str| {
        name.starts_with('_')
            || name == "agent_id"
            || name == "log_type"
            || kind == Kind::Syscheck && name == "path"
    };
    let fields = stored.iter().filter(|(name, _)| !ours(name));
    still(
        kind,
        fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        "",
    )
}

/// The row as a document, typed, without what moves.
fn document(kind: Kind, row: &Json) -> Document {
    let Json::Object(fields) = row else {
        panic!("no object: {row}")
    };
    let mut all = Document::new();
    for (name, value) in fields.iter().filter(|(name, _)| name != "agent_id") {
        place(&mut all, name, bson(kind, name, value));
    }
    still(kind, all, "")
}

fn place(into: &mut Document, path: &str, value: Bson) {
    match path.split_once('.') {
        None => {
            into.insert(path, value);
        }
        Some((first, rest)) => {
            if !into.contains_key(first) {
                into.insert(first, Document::new());
            }
            place(into.get_document_mut(first).expect("a branch"), rest, value);
        }
    }
}

fn bson(kind: Kind, path: &str, value: &Json) -> Bson {
    match value {
        Json::Null => Bson::Null,
        Json::Bool(value) => Bson::Boolean(*value),
        Json::Int(value) => Bson::Int64(*value),
        Json::Float(value) => Bson::Double(*value),
        Json::Text(text) if is_date(path) && kind != Kind::Groups => {
            DateTime::parse_rfc3339_str(text)
                .map_or_else(|_| Bson::String(text.clone()), Bson::DateTime)
        }
        Json::Text(text) if kind == Kind::Processes && path == "pid" => {
            Bson::Int64(text.parse().expect("a number"))
        }
        Json::Text(text) => Bson::String(text.clone()),
        Json::List(items) => items.iter().map(|item| bson(kind, "", item)).collect(),
        Json::Object(fields) => {
            let mut all = Document::new();
            for (name, value) in fields {
                all.insert(
                    name.to_string(),
                    bson(kind, &format!("{path}.{name}"), value),
                );
            }
            Bson::Document(all)
        }
    }
}

/// Sorted, and without what moves.
fn still(kind: Kind, document: Document, path: &str) -> Document {
    let mut fields: Vec<_> = document.into_iter().collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let mut out = Document::new();
    for (name, value) in fields {
        let here = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        if moves(kind, &here) {
            continue;
        }
        match value {
            Bson::Document(inner) => {
                let inner = still(kind, inner, &here);
                // A branch of which only moving parts are left says nothing.
                if !inner.is_empty() {
                    out.insert(name, inner);
                }
            }
            Bson::Array(items) => {
                out.insert(name, items.into_iter().map(sorted).collect::<Vec<_>>());
            }
            value => {
                out.insert(name, value);
            }
        }
    }
    out
}

/// An item of a list, its fields in order.
fn sorted(item: Bson) -> Bson {
    match item {
        Bson::Document(inner) => {
            let fields: BTreeMap<String, Bson> = inner.into_iter().collect();
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, sorted(value)));
            Bson::Document(fields.collect())
        }
        other => other,
    }
}

fn content(document: &Document) -> String {
    document.to_string()
}

fn key(kind: Kind, row: &Json) -> String {
    key_of(kind, &document(kind, row))
}

fn key_of(kind: Kind, document: &Document) -> String {
    let part = |path: &&str| {
        let mut value = None;
        let mut inner = Some(document);
        for name in path.split('.') {
            value = inner.and_then(|inner| inner.get(name));
            inner = value.and_then(Bson::as_document);
        }
        value.map(ToString::to_string).unwrap_or_default()
    };
    kind.key().iter().map(part).collect::<Vec<_>>().join(" | ")
}
