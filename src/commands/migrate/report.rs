//! What `migrate` found and did.

use serde_json::{Value, json};

use super::Mode;
use crate::commands::{Format, output, status};
use crate::store::{Adopted, IndexChange, IndexPlan, aside, shown_id};

/// How many examples are shown of each case.
const EXAMPLES: usize = 3;
/// Keys that a build puts into an index in a second, about (measured on two cores; a production
/// server is seldom slower).
const KEYS_A_SECOND: u64 = 120_000;

/// What became of the alerts of the Python service.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    pub(super) found: u64,
    /// In a dry run: can be converted.
    pub(super) converted: u64,
    /// The same alert had come by another way. In a dry run these count as converted too.
    pub(super) already_there: u64,
    merged: u64,
    /// MongoDB will delete them soon, by the retention that is set.
    pub(super) expiring: u64,
    kept: u64,
    kept_examples: Vec<(String, String)>,
    examples: Vec<String>,
}

impl Alerts {
    pub(super) fn keep(&mut self, id: String, why: impl Into<String>) {
        self.kept += 1;
        if self.kept_examples.len() < EXAMPLES {
            self.kept_examples.push((id, why.into()));
        }
    }

    pub(super) fn example(&mut self, old: &[u8]) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(shown_id(old));
        }
    }

    pub(super) fn add(&mut self, done: Adopted) {
        self.converted += done.converted;
        self.already_there += done.already_there;
        self.merged += done.merged;
        for (id, why) in done.kept {
            self.keep(id, why);
        }
    }
}

/// What became of the Python service's inventory in one collection.
#[derive(Debug)]
pub(super) struct Inventory {
    collection: &'static str,
    pub(super) documents: u64,
    pub(super) moved: u64,
    pub(super) example: Option<String>,
    /// Nothing of ours is there yet.
    pub(super) is_empty_now: bool,
}

impl Inventory {
    pub(super) fn of(collection: &'static str) -> Self {
        Self {
            collection,
            documents: 0,
            moved: 0,
            example: None,
            is_empty_now: false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Report {
    mode: Mode,
    site: String,
    pub(super) alerts: Alerts,
    pub(super) inventory: Vec<Inventory>,
    pub(super) indexes: IndexPlan,
    /// Alerts that a later version wrote.
    pub(super) later: u64,
    pub(super) is_stopped: bool,
}

impl Report {
    pub(super) fn new(mode: Mode, site: &str) -> Self {
        Self {
            mode,
            site: site.to_owned(),
            alerts: Alerts::default(),
            inventory: Vec::new(),
            indexes: IndexPlan::default(),
            later: 0,
            is_stopped: false,
        }
    }

    /// 3: something stays as it is.
    pub(super) fn status(&self) -> u8 {
        let left = self
            .inventory
            .iter()
            .any(|kind| kind.moved < kind.documents);
        let left = left && self.mode == Mode::Write;
        if left || self.is_stopped || self.alerts.kept > 0 || !self.indexes.barred.is_empty() {
            status::PARTIAL
        } else {
            status::DONE
        }
    }

    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Json => output::json(&self.json()),
            Format::Text => self.text().iter().for_each(|line| output::line(line)),
            Format::Quiet => {}
        }
    }

    /// Before a build that may take long.
    pub(super) fn announce_indexes(&self) {
        self.index_lines()
            .iter()
            .for_each(|line| output::line(line));
    }

    fn json(&self) -> Value {
        let names = |list: &[IndexChange]| -> Vec<Value> {
            let one = |change: &IndexChange| json!({ "collection": change.collection, "name": change.name, "bytes": change.bytes });
            list.iter().map(one).collect()
        };
        let alerts = &self.alerts;
        let kept = alerts.kept_examples.iter();
        let kept: Vec<_> = kept
            .map(|(id, why)| json!({ "id": id, "why": why }))
            .collect();
        let inventory = self.inventory.iter().map(|kind| {
            json!({
                "collection": kind.collection, "to": aside(kind.collection),
                "documents": kind.documents, "moved": kind.moved, "example": kind.example,
            })
        });
        let barred = self.indexes.barred.iter();
        let barred: Vec<_> = barred
            .map(|(collection, name)| json!({ "collection": collection, "name": name }))
            .collect();
        json!({
            "dry_run": self.mode == Mode::Dry,
            "stopped": self.is_stopped,
            "site": self.site,
            "alerts": {
                "found": alerts.found,
                "converted": alerts.converted,
                "already_there": alerts.already_there,
                "merged": alerts.merged,
                "expiring": alerts.expiring,
                "kept": alerts.kept,
                "kept_examples": kept,
                "examples": alerts.examples,
                "later_versions": self.later,
            },
            "inventory": inventory.collect::<Vec<_>>(),
            "indexes": {
                "missing": names(&self.indexes.missing),
                "obsolete": names(&self.indexes.obsolete),
                "barred": barred,
                "seconds": seconds(&self.indexes.missing),
            },
        })
    }

    fn text(&self) -> Vec<String> {
        let mut lines = self.alert_lines();
        lines.extend(self.inventory.iter().map(|kind| self.inventory_line(kind)));
        if self.mode == Mode::Dry {
            lines.extend(self.index_lines());
            lines.push(
                "Nothing was written. Back up the database, then run custom-mongo migrate."
                    .to_owned(),
            );
        } else if self.inventory.iter().any(|kind| kind.is_empty_now) {
            lines.push(
                "Now run custom-mongo collect --full: it brings the inventory as it is today."
                    .to_owned(),
            );
        }
        lines
    }

    fn alert_lines(&self) -> Vec<String> {
        let alerts = &self.alerts;
        let site = &self.site;
        let mut lines = vec![match self.mode {
            Mode::Dry => format!(
                "alerts of the Python service: {} found; {} would be converted, for site {site}; {} of them are there already by another way",
                alerts.found, alerts.converted, alerts.already_there
            ),
            Mode::Write => format!(
                "alerts of the Python service: {} found; {} converted, for site {site}; {} were there already by another way, {} of these got what only the old copy had",
                alerts.found, alerts.converted, alerts.already_there, alerts.merged
            ),
        }];
        if !alerts.examples.is_empty() {
            lines.push(format!("  for example {}", alerts.examples.join(", ")));
        }
        if alerts.kept > 0 {
            lines.push(format!("  {} stay as they are:", alerts.kept));
            let kept = alerts.kept_examples.iter();
            lines.extend(kept.map(|(id, why)| format!("    {id}: {why}")));
        }
        if alerts.expiring > 0 {
            lines.push(format!(
                "  {} are older than enrich.retention keeps them: MongoDB deletes those once they are converted",
                alerts.expiring
            ));
        }
        if self.later > 0 {
            lines.push(format!(
                "alerts of a later version: {}; they stay as they are",
                self.later
            ));
        }
        lines
    }

    fn inventory_line(&self, kind: &Inventory) -> String {
        let (collection, to) = (kind.collection, aside(kind.collection));
        match self.mode {
            Mode::Dry => format!(
                "{collection}: {} documents of the Python service would be set aside in {to}",
                kind.documents
            ),
            Mode::Write => format!(
                "{collection}: {} of {} documents of the Python service set aside in {to}",
                kind.moved, kind.documents
            ),
        }
    }

    fn index_lines(&self) -> Vec<String> {
        let plan = &self.indexes;
        let mut lines = Vec::new();
        if !plan.missing.is_empty() {
            let names = plan.missing.iter();
            let names: Vec<_> = names
                .map(|change| format!("{}.{}", change.collection, change.name))
                .collect();
            let bytes: u64 = plan.missing.iter().map(|change| change.bytes).sum();
            lines.push(format!(
                "indexes to build: {} (about {} MB, {}): {}",
                names.len(),
                bytes.div_ceil(1_000_000),
                duration(seconds(&plan.missing)),
                names.join(", ")
            ));
        }
        for change in &plan.obsolete {
            let (collection, name) = (&change.collection, &change.name);
            lines.push(format!(
                "index of an older version to drop: {collection}.{name}"
            ));
        }
        for (collection, name) in &plan.barred {
            lines.push(format!(
                "index {collection}.{name} cannot be built: another index has its name or its keys; rename or drop that one"
            ));
        }
        lines
    }
}

fn seconds(missing: &[IndexChange]) -> u64 {
    let keys: u64 = missing.iter().map(|change| change.documents).sum();
    keys / KEYS_A_SECOND
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..10 => "seconds".to_owned(),
        10..600 => format!("about {seconds} s"),
        600..14_400 => format!("about {} min", seconds / 60),
        _ => format!("about {} h", seconds / 3600),
    }
}
