//! `install`: from a downloaded file to one that Wazuh calls. A plan is made, shown, and carried out
//! step by step; a second run finds nothing to do. It restarts nothing, and it reads no settings: it
//! runs as root, and settings may name commands.

use std::io::{BufRead, IsTerminal, stderr, stdin};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;
use serde_json::{Value, json};

use super::{Format, output, status};
use crate::home::Layout;

mod block;
mod change;
mod diff;
mod host;
mod integratord;
mod plan;
mod record;
mod retention;
mod sample;
mod tree;
mod undo;
mod units;

pub use block::Choice;
pub use retention::Retention;
pub use undo::{Uninstall, What};
pub use units::Service;

use host::Host;
use plan::{Plan, Wish};

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Shown as diffs, and nothing is changed.
    Dry,
    /// Done.
    Do,
}

/// How far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that an installation needs.
    Whole,
    /// Only what is in place already is brought up to this version.
    Refresh,
}

/// What a person asked for.
#[derive(Debug, Clone)]
pub struct Install {
    /// Where.
    pub layout: Layout,
    /// Whether anything is changed.
    pub mode: Mode,
    /// How far it goes.
    pub extent: Extent,
    /// Which alerts Wazuh hands over.
    pub choice: Choice,
    /// The connection string for new settings, without a password.
    pub uri: Option<String>,
    /// The file with the password, for new settings.
    pub password_file: Option<String>,
    /// How long alerts are kept, for new settings; asked for on a terminal.
    pub retention: Option<Retention>,
    /// What runs by itself.
    pub services: Vec<Service>,
    /// How it is told.
    pub format: Format,
}

/// Prints the block for ossec.conf.
///
/// # Errors
///
/// Names what Wazuh would not read as it is meant.
pub fn print_block(choice: &Choice) -> Result<u8> {
    output::line(&choice.text()?);
    Ok(status::DONE)
}

impl Install {
    /// Installs, or shows what would be done.
    ///
    /// # Errors
    ///
    /// Names the first thing that cannot be done; what was done before it stays, and is in the record.
    pub fn run(&self) -> Result<u8> {
        as_root(&self.layout, self.mode)?;
        let sound = self.settings().check();
        if let Err(why) = sound.and_then(|()| self.choice.elements()) {
            output::error_line(&format!("custom-mongo: {why:#}"));
            return Ok(status::USAGE);
        }
        let host = Host::find(self.layout.clone())?;
        let plan = match self.extent {
            Extent::Whole => self.plan(&host)?,
            Extent::Refresh => plan::refresh(&host, &own_binary()?)?,
        };
        match self.mode {
            Mode::Dry => self.show(&host, &plan),
            Mode::Do => self.carry_out(&host, plan)?,
        }
        Ok(status::DONE)
    }

    fn settings(&self) -> sample::Wish {
        sample::Wish {
            uri: self.uri.clone(),
            password_file: self.password_file.clone(),
            retention: self.retention.as_ref().and_then(Retention::setting),
        }
    }

    fn plan(&self, host: &Host) -> Result<Plan> {
        let mut settings = self.settings();
        let now = SystemTime::now();
        let is_new = host.tree.entry(&host.layout.settings())?.is_none();
        let mut notes = Vec::new();
        if is_new && self.retention.is_none() {
            let costs = retention::costs(retention::bytes_a_day(host, now));
            settings.retention = self.choose(&costs, &mut notes)?;
        }
        let wish = Wish {
            binary: own_binary()?,
            settings,
            choice: self.choice.clone(),
            services: self.services.clone(),
        };
        let mut plan = plan::plan(host, &wish, now)?;
        plan.notes.splice(0..0, notes);
        Ok(plan)
    }

    /// Asks for the retention where somebody can answer, else tells what was taken.
    fn choose(&self, costs: &[String], notes: &mut Vec<String>) -> Result<Option<String>> {
        let asks = self.mode == Mode::Do && self.format == Format::Text;
        if !(asks && stdin().is_terminal() && stderr().is_terminal()) {
            notes.extend(costs.iter().cloned());
            notes.push(
                "alerts are kept for ever; --retention 90d, or [enrich.retention] in the settings"
                    .to_owned(),
            );
            return Ok(None);
        }
        for line in costs {
            output::error_line(line);
        }
        for _ in 0..3 {
            output::error_line(
                "How long shall alerts be kept: 30d, 90d, 180d, 1y, another span, or off? [off]",
            );
            let mut answer = String::new();
            stdin().lock().read_line(&mut answer).context("no answer")?;
            let answer = answer.trim();
            let answer = if answer.is_empty() { "off" } else { answer };
            match answer.parse::<Retention>() {
                Ok(chosen) => return Ok(chosen.setting()),
                Err(why) => output::error_line(&why),
            }
        }
        bail!("no answer that could be used; say it with --retention")
    }

    fn show(&self, host: &Host, plan: &Plan) {
        if self.format == Format::Json {
            return self.print_json(host, plan);
        }
        for change in &plan.changes {
            output::line(&format!("would {}", change.line(host)));
            if let Some(diff) = change.diff() {
                output::line(&diff);
            }
        }
        if plan.changes.is_empty() {
            output::line("nothing to do");
        }
        for note in &plan.notes {
            output::line(&format!("note: {note}"));
        }
    }

    fn carry_out(&self, host: &Host, mut plan: Plan) -> Result<()> {
        for change in &plan.changes {
            let note = change.make(host)?;
            if self.format == Format::Text {
                output::line(&change.line(host));
            }
            plan.notes.extend(note);
        }
        match self.format {
            Format::Json => self.print_json(host, &plan),
            Format::Quiet => {}
            Format::Text => {
                if plan.changes.is_empty() {
                    output::line("nothing to do");
                }
                for note in &plan.notes {
                    output::line(&format!("note: {note}"));
                }
                let next = self.next(host, &plan);
                if !plan.changes.is_empty() && !next.is_empty() {
                    output::line("\nNext:");
                    for (number, step) in next.iter().enumerate() {
                        output::line(&format!("  {}. {step}", number + 1));
                    }
                }
            }
        }
        Ok(())
    }

    /// What only an administrator does, in this order.
    fn next(&self, host: &Host, plan: &Plan) -> Vec<String> {
        let settings = host.layout.settings();
        let are_new = plan.changes.iter().any(|change| change.path == settings);
        let (settings, binary) = (settings.display(), host.layout.binary());
        let binary = binary.display();
        let mut steps = Vec::new();
        if self.extent == Extent::Refresh {
            return steps;
        }
        if self.uri.is_none() && are_new {
            steps.push(format!("set store.uri in {settings}"));
        }
        if let Some(file) = &self.password_file {
            let (group, file) = (&host.group, host.layout.here(Path::new(file)));
            if !file.exists() {
                let file = file.display();
                steps.push(format!(
                    "write the password: install -o root -g {group} -m 0640 /dev/stdin {file}"
                ));
            }
        }
        if self.services.contains(&Service::Collect) {
            steps.push(format!("set url, user and password_file under [wazuh_api] in {settings}; {binary} check --trust"));
        }
        steps.push(format!("{binary} check"));
        if !plan.units.is_empty() {
            let units = plan.units.join(" ");
            steps.push(format!(
                "systemctl daemon-reload && systemctl enable --now {units}"
            ));
        }
        steps.push(format!(
            "{}: Wazuh calls custom-mongo from then on",
            restart(host)
        ));
        steps
    }

    fn print_json(&self, host: &Host, plan: &Plan) {
        let changes: Vec<Value> = plan
            .changes
            .iter()
            .map(|change| change.json(host))
            .collect();
        output::json(&json!({
            "dry_run": self.mode == Mode::Dry,
            "changes": changes,
            "notes": plan.notes,
            "next": self.next(host, plan),
        }));
    }
}

/// How the manager is restarted, which is never done from here.
fn restart(host: &Host) -> String {
    if host.has_systemd().unwrap_or(false) {
        return "systemctl restart wazuh-manager".to_owned();
    }
    let control = host.layout.home().join("bin/wazuh-control");
    format!("{} restart", control.display())
}

/// On the host that we run on only root may write what is written.
fn as_root(layout: &Layout, mode: Mode) -> Result<()> {
    if mode == Mode::Do && layout.is_this_host() && !geteuid().is_root() {
        bail!("only root may do this; run it with sudo, or see what it would do with --dry-run");
    }
    Ok(())
}

/// The file that runs, also if it was replaced since.
fn own_binary() -> Result<Vec<u8>> {
    let path = PathBuf::from("/proc/self/exe");
    std::fs::read(path).context("cannot read our own program")
}
