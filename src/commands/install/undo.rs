//! `uninstall`: takes back what the record says that `install` did, and nothing else. What was changed
//! since is somebody's work and stays, as does what waits in the spool.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::fs::FileType;
use serde_json::{Value, json};

use super::change::Edit;
use super::host::Host;
use super::integratord::Verdict;
use super::plan::readable;
use super::record::{Block, Record, digest};
use super::units;
use super::{Mode, as_root, block, restart};
use crate::commands::{Format, output, status};
use crate::home::Layout;
use crate::ossec_conf::{self, edit};

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

/// One thing that is taken back.
struct Step {
    path: PathBuf,
    action: Action,
}

enum Action {
    /// Units are stopped and not started any more.
    Disable(Vec<String>),
    /// ossec.conf becomes again what it was, to the byte.
    Restore {
        backup: OsString,
        diff: String,
    },
    /// Our block is cut out of it.
    Cut(Edit),
    Remove,
    RemoveFolder,
    RemoveAll,
    /// The record goes, or says what is left.
    Forget,
}

impl Uninstall {
    /// Takes back, or shows what would be taken back.
    ///
    /// # Errors
    ///
    /// Names the first thing that cannot be done; what was not taken back stays in the record.
    pub fn run(&self) -> Result<u8> {
        as_root(&self.layout, self.mode)?;
        let host = Host::find(self.layout.clone())?;
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
        let path = self.host.layout.ossec_conf();
        let Some(bytes) = self.host.tree.read(&path)? else {
            return Ok(());
        };
        self.left.block = None;
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
        // What cannot be read was put there by somebody else: a link, say.
        let bytes = match self.host.tree.read(path) {
            Ok(None) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) => {
                self.notes.push(format!("{error:#}"));
                None
            }
        };
        // A newer binary is ours all the same.
        let ours =
            bytes.is_some_and(|bytes| digest(&bytes) == known) || path == self.host.layout.binary();
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

impl Step {
    fn told(&self) -> (String, Option<String>) {
        let path = self.path.display();
        match &self.action {
            Action::Disable(names) => {
                (format!("systemctl disable --now {}", names.join(" ")), None)
            }
            Action::Restore { backup, diff } => {
                let backup = backup.display();
                (
                    format!("restore {path} from {backup}, as it was to the byte"),
                    Some(diff.clone()),
                )
            }
            Action::Cut(edit) => (
                format!("edit {path}: our block goes"),
                Some(edit.diff(&self.path)),
            ),
            Action::Remove => (format!("remove {path}"), None),
            Action::RemoveFolder => (format!("remove the folder {path} if it is empty"), None),
            Action::RemoveAll => (
                format!("remove the folder {path} with all that is in it"),
                None,
            ),
            Action::Forget => (format!("remove {path}, or keep there what stays"), None),
        }
    }

    /// Says whether it is gone.
    fn take(&self, host: &Host, notes: &mut Vec<String>) -> Result<bool> {
        if let Action::Disable(names) = &self.action {
            let mut arguments = vec!["disable", "--now"];
            arguments.extend(names.iter().map(String::as_str));
            notes.extend(systemctl(&arguments).err());
            return Ok(true);
        }
        let Some((folder, name)) = host.tree.place(&self.path)? else {
            return Ok(true);
        };
        match &self.action {
            Action::Restore { backup, .. } => folder.rename(backup, name)?,
            Action::Cut(edit) => {
                cut(host, &self.path, edit)?;
                folder.remove(&edit.backup)?;
            }
            Action::Remove => folder.remove(name)?,
            Action::RemoveFolder => return folder.remove_empty(name),
            Action::RemoveAll => folder.remove_all(name)?,
            Action::Disable(_) | Action::Forget => {}
        }
        Ok(true)
    }
}

/// Cuts our block out, if Wazuh takes the file without it.
fn cut(host: &Host, path: &Path, edit: &Edit) -> Result<()> {
    match edit.swap(host, path)? {
        Verdict::Fine | Verdict::Unasked(_) => Ok(()),
        Verdict::Refused(words) => bail!(
            "wazuh-integratord -t refuses {} also without our block: {words}; mend that first, it is as it was",
            path.display()
        ),
    }
}

/// The file without the block that was put in, or without what became of it; None if there is none.
fn without_block(bytes: &[u8], block: &Block) -> Result<Option<Vec<u8>>> {
    let text = readable(bytes);
    let named = || "ossec.conf cannot be read";
    let blocks = ossec_conf::integrations(&text).with_context(named)?;
    let Some(ours) = blocks.iter().find(|found| found.name == block::NAME) else {
        return Ok(None);
    };
    let inserted = block.text.as_bytes();
    let whole = bytes
        .windows(inserted.len())
        .position(|part| part == inserted);
    let whole = whole.map(|at| at..at + inserted.len());
    let place = whole.filter(|whole| whole.contains(&ours.place.start));
    let place = place.unwrap_or_else(|| edit::removal(&text, &ours.place));
    let mut after = bytes.to_vec();
    after.drain(place);
    let left = ossec_conf::integrations(&readable(&after)).with_context(named)?;
    if left.len() + 1 != blocks.len() {
        bail!("our block cannot be cut out of ossec.conf by itself; take it out by hand");
    }
    Ok(Some(after))
}

/// Alerts that wait in the spool, for whatever destination; None if that cannot be told. Asked as the
/// user who may write there, since what lies there is his.
fn waiting(host: &Host) -> Option<u64> {
    let mut command = Command::new("/proc/self/exe");
    command
        .args([
            "--config",
            "/dev/null",
            "spool",
            "status",
            "--format",
            "json",
        ])
        .env_clear()
        .env(
            "CUSTOM_MONGO_STATE_DIR",
            host.layout.here(&host.layout.state()),
        )
        .current_dir("/");
    if let Some((user, group)) = host.wazuhs(0).owner {
        command.uid(user).gid(group);
    }
    let output = command.stdin(Stdio::null()).output().ok()?;
    let status: Value = serde_json::from_slice(&output.stdout).ok()?;
    let destinations = status.get("destinations")?.as_array()?;
    let pending = |one: &Value| one.get("pending").and_then(Value::as_u64);
    Some(destinations.iter().filter_map(pending).sum())
}

fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let asked = arguments.join(" ");
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("systemctl {asked}: {}", said.trim()))
        }
        Err(error) => Err(format!("systemctl {asked}: {error}")),
    }
}
