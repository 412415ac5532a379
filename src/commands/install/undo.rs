//! `uninstall`: takes back what the record says that `install` did, and nothing else. What was changed
//! since is somebody's work and stays, as does what waits in the spool.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::fs::FileType;
use serde_json::{Value, json};

use super::change::Edit;
use super::host::Host;
use super::record::{ANY, Block, Record, digest};
use super::units;
use super::{Mode, as_root, restart};
use crate::commands::{Format, output, status};
use crate::home::Layout;

mod cut;
mod step;
mod waiting;

use cut::without_block;
use step::{Action, Step, systemctl};
use waiting::waiting;

/// What is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// What nobody has changed or needs.
    Untouched,
    /// Also settings that were changed, and what waits in the spool.
    Everything,
}

/// What a person asked for.
#[derive(Debug, Clone)]
pub struct Uninstall {
    /// Where.
    pub layout: Layout,
    /// Whether anything is changed.
    pub mode: Mode,
    /// What is taken back.
    pub what: What,
    /// How it is told.
    pub format: Format,
}

impl Uninstall {
    /// Takes back, or shows what would be taken back.
    ///
    /// # Errors
    ///
    /// Names the first thing that cannot be done; what was not taken back stays in the record.
    pub fn run(&self) -> Result<u8> {
        as_root(&self.layout, self.mode)?;
        // Wazuh may be gone already.
        let host = Host::of(self.layout.clone())?;
        let path = host.layout.record();
        let Some(record) = Record::read(&host.tree, &path)? else {
            self.tell(
                &[],
                &[format!("nothing to do: there is no {}", path.display())],
            );
            return Ok(status::DONE);
        };
        if record.home != host.layout.home() {
            bail!(
                "custom-mongo is installed for {0}; give --home {0}",
                record.home.display()
            );
        }
        let mut undo = Undo {
            host: &host,
            what: self.what,
            left: record.clone(),
            steps: Vec::new(),
            notes: Vec::new(),
        };
        undo.plan(&record)?;
        if self.mode == Mode::Do {
            undo.carry_out()?;
        }
        let (steps, notes) = (undo.told(), undo.notes);
        self.tell(&steps, &notes);
        Ok(status::DONE)
    }

    fn tell(&self, steps: &[(String, Option<String>)], notes: &[String]) {
        let dry = self.mode == Mode::Dry;
        match self.format {
            Format::Quiet => {}
            Format::Json => {
                let step =
                    |(line, diff): &(String, Option<String>)| json!({ "do": line, "diff": diff });
                let steps: Vec<Value> = steps.iter().map(step).collect();
                output::json(&json!({ "dry_run": dry, "changes": steps, "notes": notes }));
            }
            Format::Text => {
                for (line, diff) in steps {
                    output::line(&format!("{}{line}", if dry { "would " } else { "" }));
                    if let Some(diff) = diff.as_ref().filter(|_| dry) {
                        output::line(diff);
                    }
                }
                for note in notes {
                    output::line(&format!("note: {note}"));
                }
            }
        }
    }
}

struct Undo<'h> {
    host: &'h Host,
    what: What,
    /// What will still be ours afterwards.
    left: Record,
    steps: Vec<Step>,
    notes: Vec<String>,
}

impl Undo<'_> {
    fn plan(&mut self, record: &Record) -> Result<()> {
        self.units(record)?;
        if let Some(block) = &record.block {
            self.block(block)?;
        }
        for (path, known) in &record.files {
            self.file(path, known)?;
        }
        for path in record.folders.iter().rev() {
            self.folder(path)?;
        }
        self.step(self.host.layout.record(), Action::Forget);
        let gone = self
            .steps
            .iter()
            .any(|step| matches!(step.action, Action::Restore { .. } | Action::Cut(_)));
        if gone {
            self.notes.push(format!(
                "{}: until then Wazuh calls a program that is gone",
                restart(self.host)
            ));
        }
        Ok(())
    }

    fn step(&mut self, path: PathBuf, action: Action) {
        self.steps.push(Step { path, action });
    }

    /// Units stop before their files go. In an image only the links that enable them are there.
    fn units(&mut self, record: &Record) -> Result<()> {
        let ours = record
            .files
            .keys()
            .filter_map(|path| path.file_name()?.to_str());
        let names: Vec<String> = ours
            .filter(|name| units::is_unit(name))
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        if self.host.layout.is_this_host() {
            let path = PathBuf::from("/etc/systemd/system");
            self.step(path, Action::Disable(names));
            return Ok(());
        }
        for name in names {
            for target in ["multi-user.target.wants", "timers.target.wants"] {
                let link = self.host.layout.unit(target).join(&name);
                let entry = self.host.tree.entry(&link)?;
                if entry.is_some_and(|entry| entry.kind == FileType::Symlink) {
                    self.step(link, Action::Remove);
                }
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        self.left.block = None;
        let path = self.host.layout.ossec_conf();
        let Some(bytes) = self.host.tree.read(&path)? else {
            return Ok(());
        };
        let backup = path.with_file_name(&block.backup);
        let kept = self.host.tree.read(&backup).ok().flatten();
        let is_whole = kept
            .as_ref()
            .is_some_and(|kept| digest(kept) == block.before);
        if digest(&bytes) == block.after
            && let Some(kept) = kept.as_ref().filter(|_| is_whole)
        {
            let diff = Edit {
                before: bytes,
                after: kept.clone(),
                backup: OsString::new(),
            }
            .diff(&path);
            let backup = OsString::from(&block.backup);
            self.step(path, Action::Restore { backup, diff });
            return Ok(());
        }
        if let Some(after) = without_block(&bytes, block)? {
            let backup = OsString::from(format!("{}.uninstall", block.backup));
            let edit = Edit {
                before: bytes,
                after,
                backup,
            };
            self.step(path, Action::Cut(edit));
        }
        // Our own, and older than what is there now.
        if is_whole {
            self.step(backup, Action::Remove);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, known: &str) -> Result<()> {
        self.left.files.remove(path);
        if self.host.tree.entry(path)?.is_none() {
            return Ok(());
        }
        // What cannot be read was put there by somebody else: a link, say.
        let ours = known == ANY
            || match self.host.tree.read(path) {
                Ok(bytes) => bytes.is_some_and(|bytes| digest(&bytes) == known),
                Err(error) => {
                    self.notes.push(format!("{error:#}"));
                    false
                }
            };
        if ours || self.what == What::Everything {
            self.step(path.to_owned(), Action::Remove);
        } else {
            self.left.files.insert(path.to_owned(), known.to_owned());
            self.notes.push(format!(
                "{} was changed and stays; --purge takes it too",
                path.display()
            ));
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> Result<()> {
        let entry = self.host.tree.entry(path)?;
        if !entry.is_some_and(|entry| entry.kind == FileType::Directory) {
            self.left.folders.retain(|folder| folder != path);
            return Ok(());
        }
        if path != self.host.layout.state() {
            // The record's own folder goes with the record.
            if Some(path) != self.host.layout.record().parent() {
                self.step(path.to_owned(), Action::RemoveFolder);
            }
            return Ok(());
        }
        let place = path.display();
        match (self.what, waiting(self.host)) {
            (_, Some(0)) => {}
            (_, None) => self.notes.push(format!("what waits in the spool below {place} could not be counted")),
            (What::Everything, Some(waiting)) => {
                self.notes.push(format!("{waiting} alerts that wait in the spool go with {place}"));
            }
            (What::Untouched, Some(waiting)) => self.notes.push(format!(
                "{waiting} alerts wait in the spool below {place}; --purge drops them, and after another install custom-mongo spool drain brings them in"
            )),
        }
        let action = match self.what {
            What::Everything => Action::RemoveAll,
            What::Untouched => Action::RemoveFolder,
        };
        self.step(path.to_owned(), action);
        Ok(())
    }

    fn told(&self) -> Vec<(String, Option<String>)> {
        self.steps.iter().map(Step::told).collect()
    }

    fn carry_out(&mut self) -> Result<()> {
        for step in std::mem::take(&mut self.steps) {
            let is_gone = match step.action {
                Action::Forget => self.forget()?,
                _ => step.take(self.host, &mut self.notes)?,
            };
            if is_gone {
                self.left.folders.retain(|folder| *folder != step.path);
                self.steps.push(step);
            } else {
                let place = step.path.display();
                self.notes.push(format!(
                    "{place} is not empty and stays; --purge takes it too"
                ));
            }
        }
        Ok(())
    }

    /// The record last: with nothing left it goes, and the folder that was made for it.
    fn forget(&self) -> Result<bool> {
        let path = self.host.layout.record();
        let parent = path.parent().map(Path::to_owned).unwrap_or_default();
        let Some((folder, name)) = self.host.tree.place(&path)? else {
            return Ok(true);
        };
        let mut left = self.left.clone();
        left.folders.retain(|folder| *folder != parent);
        if !left.is_empty() {
            folder.write(name, &self.left.bytes()?, &Host::roots(0o600))?;
            return Ok(true);
        }
        folder.remove(name)?;
        if self.left.folders.contains(&parent)
            && let Some((above, name)) = self.host.tree.place(&parent)?
        {
            above.remove_empty(name)?;
        }
        if self.host.layout.is_this_host() && self.host.has_systemd()? {
            systemctl(&["daemon-reload"]).ok();
        }
        Ok(true)
    }
}
