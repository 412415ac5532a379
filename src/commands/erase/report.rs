//! What `erase` found and did, for people, for scripts, and for the record in MongoDB.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::disk::wazuh_files;
use super::{Counts, Erase, Mode, Whose};
use crate::commands::{Format, output, status};
use crate::store::Grave;

const EXAMPLES: usize = 3;

#[derive(Debug)]
pub(super) struct Report {
    mode: Mode,
    site: String,
    /// Alerts that were read.
    pub(super) searched: u64,
    pub(super) alerts: u64,
    examples: Vec<String>,
    pub(super) inventory: Counts,
    pub(super) dead_letters: u64,
    /// Dead letters that are no alerts and hold a text that was looked for.
    pub(super) unclear: Vec<String>,
    /// Alerts that came out of the spool first.
    pub(super) drained: u64,
    /// Alerts that wait on disk now.
    pub(super) waiting: u64,
    /// No bytes of delivered alerts are left in the spool's files.
    pub(super) is_disk_clean: bool,
    pub(super) is_agent_listed: bool,
    days: BTreeSet<String>,
    files: Vec<String>,
}

impl Report {
    pub(super) fn new(order: &Erase, site: &str) -> Self {
        Self {
            mode: order.mode,
            site: site.to_owned(),
            searched: 0,
            alerts: 0,
            examples: Vec::new(),
            inventory: Counts::new(),
            dead_letters: 0,
            unclear: Vec::new(),
            drained: 0,
            waiting: 0,
            is_disk_clean: true,
            is_agent_listed: false,
            days: BTreeSet::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn note_ids(&mut self, graves: &[Grave]) {
        let room = EXAMPLES.saturating_sub(self.examples.len());
        let ids = graves.iter().take(room).map(|grave| grave.id.clone());
        self.examples.extend(ids);
    }

    /// Which of Wazuh's files on this host are of the days of what was erased.
    pub(super) fn look_at_wazuh(&mut self, wazuh: Option<&Path>, days: BTreeSet<String>) {
        let files = wazuh
            .map(|wazuh| wazuh_files(wazuh, &days))
            .unwrap_or_default();
        self.files = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        self.days = days;
    }

    /// 3: something may be left on this host.
    pub(super) fn status(&self) -> u8 {
        let waits = self.mode == Mode::Erase && self.waiting > 0;
        if !self.unclear.is_empty() || waits || !self.is_disk_clean {
            status::PARTIAL
        } else {
            status::DONE
        }
    }

    /// The record: what was asked for (a person only as a hash), by whom, and what came of it.
    pub(super) fn record(&self, id: &str, whose: &Whose) -> Value {
        let terms = |terms: &[crate::alert::search::Term]| -> Vec<Value> {
            let record = |term: &crate::alert::search::Term| {
                let (field, hash) = term.record(id);
                json!({ "field": field, "sha256": hash })
            };
            terms.iter().map(record).collect()
        };
        let (agent, query) = match whose {
            Whose::Agent(agent) => (json!(agent), Value::Null),
            Whose::Person(asked) => (Value::Null, json!(terms(asked))),
        };
        json!({
            "site": self.site, "agent": agent, "query": query, "by": by(),
            "version": env!("CARGO_PKG_VERSION"),
            "alerts": self.alerts, "inventory": self.inventory, "dead_letters": self.dead_letters,
        })
    }

    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Json => output::json(&self.json()),
            Format::Text => self.text().iter().for_each(|line| output::line(line)),
            Format::Quiet => {}
        }
    }

    fn json(&self) -> Value {
        json!({
            "dry_run": self.mode == Mode::Dry, "site": self.site, "searched": self.searched,
            "alerts": self.alerts, "examples": self.examples, "inventory": self.inventory,
            "dead_letters": self.dead_letters, "unclear_dead_letters": self.unclear,
            "drained": self.drained, "waiting": self.waiting, "disk_clean": self.is_disk_clean,
            "agent_listed": self.is_agent_listed, "days": self.days, "wazuh_files": self.files,
        })
    }

    fn text(&self) -> Vec<String> {
        let verb = match self.mode {
            Mode::Erase => "erased",
            Mode::Dry => "would be erased",
        };
        let mut lines = vec![format!(
            "alerts: {} {verb}, of {} that were searched in site {}",
            self.alerts, self.searched, self.site
        )];
        if !self.examples.is_empty() {
            lines.push(format!("  for example {}", self.examples.join(", ")));
        }
        let inventory = self.inventory.iter();
        lines.extend(inventory.map(|(name, count)| format!("{name}: {count} {verb}")));
        if self.dead_letters > 0 {
            lines.push(format!(
                "dead letters of this host: {} {verb}",
                self.dead_letters
            ));
        }
        self.add_what_is_left(&mut lines);
        lines
    }

    fn add_what_is_left(&self, lines: &mut Vec<String>) {
        if !self.unclear.is_empty() {
            lines.push(format!(
                "dead letters that are no alerts and hold that text: {}; look at them (custom-mongo spool dead show ID), then drop them",
                self.unclear.join(", ")
            ));
        }
        if self.waiting > 0 {
            let then = match self.mode {
                Mode::Dry => "those for this MongoDB are stored and searched first",
                Mode::Erase => {
                    "they were not searched; run the same command again when they are stored"
                }
            };
            lines.push(format!(
                "{} alerts wait in this host's spool: {then}",
                self.waiting
            ));
        }
        if !self.is_disk_clean {
            lines.push("the spool's files are in use and may hold bytes of what was erased; run the same command again".to_owned());
        }
        if self.is_agent_listed {
            lines.push("Wazuh still lists this agent: remove it there first, or collect brings its inventory back".to_owned());
        }
        if !self.days.is_empty() {
            let days: Vec<&str> = self.days.iter().map(String::as_str).collect();
            lines.push(format!(
                "Wazuh's own files still hold the alerts of {}, on this host:{}",
                days.join(", "),
                if self.files.is_empty() { " none" } else { "" }
            ));
            lines.extend(self.files.iter().map(|file| format!("  {file}")));
        }
    }
}

/// Who asked, as far as the environment says it: the process itself runs as Wazuh's user.
fn by() -> String {
    let names = ["SUDO_USER", "LOGNAME", "USER"];
    let user = names.iter().find_map(|name| std::env::var(name).ok());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!(
        "{}@{}",
        user.unwrap_or_else(|| "unknown".to_owned()),
        host.trim()
    )
}
