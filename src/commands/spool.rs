//! `spool status|list|drain|dead`: what waits on disk, and what to do with it.

mod dead;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

pub use dead::Dead;

use super::{Format, now, output, status};
use crate::alert::enrich::Source;
use crate::alert::time::rfc3339;
use crate::config::Settings;
use crate::delivery::{self, Breaker, Drained, Limits, UNASSIGNED};
use crate::home::Home;
use crate::spool::{self, Spool, destinations};
use crate::store::Store;

/// How long `drain` waits for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How many alerts `list` shows.
const LISTED: usize = 10_000;

/// The spools of this host.
pub struct Spools<'a> {
    settings: &'a Settings,
    home: &'a Home,
    current: Option<String>,
    format: Format,
}

impl<'a> Spools<'a> {
    /// Becomes the state folder's owner first.
    ///
    /// # Errors
    ///
    /// Names the folder.
    pub fn open(settings: &'a Settings, home: &'a Home, format: Format) -> Result<Self> {
        home.enter()?;
        Ok(Self::look(settings, home, format))
    }

    /// As they are, for whoever only looks: makes no folder.
    pub(super) fn look(settings: &'a Settings, home: &'a Home, format: Format) -> Self {
        Self {
            settings,
            home,
            current: settings.store.destination().ok(),
            format,
        }
    }

    /// Each destination's spool in numbers.
    pub(super) fn describe_all(&self) -> Result<Vec<Value>> {
        self.all()?.iter().map(|name| self.describe(name)).collect()
    }

    fn spool(&self, destination: &str) -> Spool {
        Spool::new(self.home.state(), destination, &self.settings.spool)
    }

    /// All on disk, the current one also if it is not there yet.
    fn all(&self) -> Result<Vec<String>> {
        let mut names = destinations(self.home.state())?;
        if let Some(current) = &self.current
            && !names.contains(current)
        {
            names.push(current.clone());
        }
        names.sort();
        Ok(names)
    }

    /// Those whose alerts are for the configured MongoDB.
    fn ours(&self) -> Vec<Spool> {
        let names = self.current.iter().map(String::as_str).chain([UNASSIGNED]);
        names.map(|name| self.spool(name)).collect()
    }

    /// Shows each destination's spool.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn status(&self) -> Result<u8> {
        let rows = self.describe_all()?;
        if self.format == Format::Json {
            output::json(&json!({ "destinations": rows }));
            return Ok(status::DONE);
        }
        for row in &rows {
            print_status(row);
        }
        if rows.is_empty() {
            output::line("No spool yet.");
        }
        Ok(status::DONE)
    }

    fn describe(&self, name: &str) -> Result<Value> {
        let spool = self.spool(name);
        let status = spool.status().with_context(|| format!("spool {name}"))?;
        let breaker = Breaker::of(spool.folder());
        Ok(json!({
            "destination": name,
            "name": delivery::destination_name(spool.folder()),
            "current": self.current.as_deref() == Some(name),
            "pending": status.pending,
            "pending_bytes": status.pending_bytes,
            "oldest": status.oldest_ms.map(rfc3339),
            "bytes": status.bytes_on_disk,
            "max_size": status.max_size,
            "disk_free": status.disk_free,
            "dead": status.dead,
            "dead_bytes": status.dead_bytes,
            "damaged": status.damaged,
            "breaker": if breaker.is_open() { "open" } else { "closed" },
            "reason": breaker.reason(),
        }))
    }

    /// Lists what waits for the configured MongoDB.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn list(&self) -> Result<u8> {
        let mut rows = Vec::new();
        for spool in self.ours() {
            for item in spool.list(LISTED)? {
                rows.push(json!({
                    "id": item.id.to_string(),
                    "received_at": rfc3339(item.received_at_ms),
                    "source": Source::of_code(item.source).name(),
                    "bytes": item.bytes,
                }));
            }
        }
        self.print_rows(&rows, &["id", "received_at", "source", "bytes"]);
        Ok(status::DONE)
    }

    /// Brings what waits into MongoDB: what is for it, or what another destination's name holds.
    ///
    /// # Errors
    ///
    /// Why it stopped; what is left stays in the spool.
    pub fn drain(&self, from: Option<&str>) -> Result<u8> {
        let spools = match from {
            None => self.ours(),
            Some(name) if self.all()?.iter().any(|known| known == name) => vec![self.spool(name)],
            Some(name) => bail!("there is no destination {name}; see custom-mongo spool status"),
        };
        let mut total = Drained::default();
        let store = Store::open(&self.settings.store, CONNECT)?;
        let mut enricher = self.settings.enricher()?;
        let filter = self.settings.filter();
        let mut stopped = None;
        for spool in &spools {
            let limits = Limits::unhurried();
            match delivery::drain_all(spool, &store, &mut enricher, &filter, &limits) {
                Ok(drained) => total.add(drained),
                Err(error) => stopped = Some(error),
            }
        }
        let left = left(&spools)?;
        self.print_drained(&total, left);
        self.tell_others(from)?;
        match stopped {
            None => Ok(if left == 0 {
                status::DONE
            } else {
                status::FAILED
            }),
            Some(error) => bail!("{error}; {left} alerts stay in the spool"),
        }
    }

    /// Alerts for other servers or databases are not forgotten: a typo may have sent them there.
    fn tell_others(&self, from: Option<&str>) -> Result<()> {
        let others = others(&self.settings.spool, self.home, self.current.as_deref())?;
        for other in others
            .iter()
            .filter(|other| from != Some(other.destination.as_str()))
        {
            output::error_line(&format!("custom-mongo: {}", other.describe()));
        }
        Ok(())
    }

    fn print_drained(&self, total: &Drained, left: u64) {
        let (stored, already_there, dead) = (total.stored, total.already_there, total.dead);
        let filtered = total.filtered;
        match self.format {
            Format::Json => output::json(&json!({
                "stored": stored, "already_there": already_there, "dead": dead, "filtered": filtered,
                "left": left,
            })),
            Format::Quiet => {}
            Format::Text => {
                let filtered = match filtered {
                    0 => String::new(),
                    count => format!("{count} filtered, "),
                };
                output::line(&format!(
                    "{stored} stored, {already_there} already there, {dead} dead letters, {filtered}{left} left"
                ));
            }
        }
    }

    pub(super) fn print_rows(&self, rows: &[Value], columns: &[&str]) {
        if self.format == Format::Json {
            return output::json(&Value::from(rows.to_vec()));
        }
        for row in rows {
            let cells = columns.iter().map(|column| match row.get(column) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            });
            output::line(&cells.collect::<Vec<_>>().join("  "));
        }
        if rows.is_empty() {
            output::line("none");
        }
    }
}

fn print_status(row: &Value) {
    let text = |key: &str| match row.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let current = if text("current") == "true" {
        " (this MongoDB)"
    } else {
        ""
    };
    let name = text("name");
    output::line(&format!(
        "{}{current}  {}",
        text("destination"),
        name.trim_matches('-')
    ));
    output::line(&format!(
        "  waiting       {} alerts, oldest {}",
        text("pending"),
        text("oldest")
    ));
    output::line(&format!(
        "  on disk       {} of {} bytes",
        text("bytes"),
        text("max_size")
    ));
    output::line(&format!("  dead letters  {}", text("dead")));
    output::line(&format!(
        "  breaker       {} {}",
        text("breaker"),
        text("reason").trim_matches('-')
    ));
}

fn left(spools: &[Spool]) -> Result<u64> {
    let mut left = 0;
    for spool in spools {
        left += spool.status()?.pending;
    }
    Ok(left)
}

/// Alerts that wait for another MongoDB than the configured one.
pub(super) struct Other {
    destination: String,
    name: Option<String>,
    pending: u64,
}

impl Other {
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    pub(super) fn describe(&self) -> String {
        let (pending, destination) = (self.pending, &self.destination);
        let name = self.name.as_deref().unwrap_or("another MongoDB");
        format!(
            "{pending} alerts wait for {name}; if they belong here: custom-mongo spool drain --from {destination}"
        )
    }
}

pub(super) fn others(
    settings: &spool::Settings,
    home: &Home,
    current: Option<&str>,
) -> Result<Vec<Other>, spool::Error> {
    let mut others = Vec::new();
    for destination in destinations(home.state())? {
        if current == Some(destination.as_str()) || destination == UNASSIGNED {
            continue;
        }
        let spool = Spool::new(home.state(), &destination, settings);
        let pending = spool.status()?.pending;
        if pending > 0 {
            let name = delivery::destination_name(spool.folder());
            others.push(Other {
                destination,
                name,
                pending,
            });
        }
    }
    Ok(others)
}

/// The age of something, for people.
pub(super) fn age(millis: i64) -> String {
    let seconds = now().saturating_sub(millis).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
