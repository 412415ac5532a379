//! What an installation needs and is not there yet, in the order in which it is put there: the record
//! first, so that nothing is done that cannot be taken back; the block last, since it makes Wazuh call.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use rustix::fs::FileType;

use super::block::Choice;
use super::change::{Change, What};
use super::host::Host;
use super::record::{ANY, Record, digest};
use super::sample;
use super::tree::Attributes;
use super::units::{self, Service, Shipped};

mod conf;
mod refresh;

pub use conf::readable;
pub use refresh::refresh;

/// What is wished.
pub struct Wish {
    /// Our own binary.
    pub binary: Vec<u8>,
    /// What new settings begin with.
    pub settings: sample::Wish,
    /// Which alerts Wazuh hands over.
    pub choice: Choice,
    /// What runs by itself.
    pub services: Vec<Service>,
}

/// What is to be done.
pub struct Plan {
    /// In this order.
    pub changes: Vec<Change>,
    /// What an administrator should know of.
    pub notes: Vec<String>,
    /// Units that are there and that only he enables.
    pub units: Vec<&'static str>,
}

/// Compares what is wished with what is there.
///
/// # Errors
///
/// Names what is there and cannot be worked with.
pub fn plan(host: &Host, wish: &Wish, now: SystemTime) -> Result<Plan> {
    let known = known(host)?;
    let mut planner = Planner::new(host, known.clone());
    planner.binary(&wish.binary)?;
    planner.settings(&wish.settings)?;
    planner.folder(host.layout.state(), host.wazuhs(0o700))?;
    let units = planner.services(&wish.services)?;
    planner.logrotate()?;
    planner.block(&wish.choice, now)?;
    planner.record_first(known.as_ref())?;
    Ok(Plan {
        changes: planner.changes,
        notes: planner.notes,
        units,
    })
}

/// What `install` did here before; None if nothing.
fn known(host: &Host) -> Result<Option<Record>> {
    let known = Record::read(&host.tree, &host.layout.record())?;
    if let Some(other) = known
        .as_ref()
        .filter(|record| record.home != host.layout.home())
    {
        bail!(
            "custom-mongo is installed for {0} already; custom-mongo uninstall --home {0} takes it back",
            other.home.display()
        );
    }
    Ok(known)
}

struct Planner<'h> {
    host: &'h Host,
    record: Record,
    changes: Vec<Change>,
    notes: Vec<String>,
}

impl<'h> Planner<'h> {
    fn new(host: &'h Host, known: Option<Record>) -> Self {
        Self {
            host,
            record: known.unwrap_or_else(|| Record::new(host.layout.home())),
            changes: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn binary(&mut self, bytes: &[u8]) -> Result<()> {
        let path = self.host.layout.binary();
        let attributes = self.host.shared(0o750);
        if let Some((before, entry)) = self.there(&path)? {
            let owned = attributes.owner.is_none_or(|owner| owner == entry.owner);
            // Wazuh takes a file of 1970 for none.
            if before == bytes && owned && entry.mode == attributes.mode && entry.modified != 0 {
                return Ok(());
            }
            self.put(path, bytes.to_vec(), attributes, Some(before));
            return Ok(());
        }
        self.record.files.insert(path.clone(), ANY.to_owned());
        self.put(path, bytes.to_vec(), attributes, None);
        Ok(())
    }

    /// Settings that are there are somebody's work.
    fn settings(&mut self, wish: &sample::Wish) -> Result<()> {
        let path = self.host.layout.settings();
        if self.there(&path)?.is_none() {
            let bytes = wish.text()?.into_bytes();
            self.create(path, bytes, self.host.shared(0o640));
        } else if wish.uri.is_some() || wish.retention.is_some() {
            self.notes.push(format!(
                "{} is there already and stays as it is: set there what --uri, --password-file and --retention say",
                path.display()
            ));
        }
        Ok(())
    }

    fn folder(&mut self, path: PathBuf, attributes: Attributes) -> Result<()> {
        match self.host.tree.entry(&path)? {
            None => {
                self.record.folders.push(path.clone());
                let what = What::Folder(attributes);
                self.changes.push(Change { path, what });
            }
            Some(entry) if entry.kind != FileType::Directory => {
                bail!("{} is no folder; look at it and remove it", path.display());
            }
            Some(entry) => {
                let owned = attributes.owner.is_none_or(|owner| owner == entry.owner);
                if !owned || entry.mode != attributes.mode {
                    let (place, words) = (path.display(), self.host.words(&attributes));
                    self.notes
                        .push(format!("{place} should be {words}; see custom-mongo check"));
                }
            }
        }
        Ok(())
    }

    /// The units that are in place then, to be enabled.
    fn services(&mut self, services: &[Service]) -> Result<Vec<&'static str>> {
        if self.host.has_systemd()? {
            for unit in units::units(self.host, services) {
                self.shipped(unit)?;
            }
            return Ok(services.iter().map(|service| service.unit()).collect());
        }
        let periodic = |service: &&Service| !service.is_periodic();
        if let Some(service) = services.iter().find(periodic) {
            bail!(
                "{} needs systemd, which this host does not have; let what starts services here run it",
                service.unit()
            );
        }
        let cron = units::cron(self.host, services);
        let folder = cron
            .path
            .parent()
            .map(|folder| self.host.tree.folder(folder));
        if folder.transpose()?.flatten().is_some() {
            self.shipped(cron)?;
        } else {
            let line = "there is neither systemd nor /etc/cron.d: run `custom-mongo spool drain -q` every five minutes";
            self.notes.push(line.to_owned());
        }
        Ok(Vec::new())
    }

    /// Not where somebody else turns that log: logrotate refuses two rules for one file.
    fn logrotate(&mut self) -> Result<()> {
        let ours = units::logrotate(self.host);
        let Some((folder, name)) = self.host.tree.place(&ours.path)? else {
            return Ok(());
        };
        for other in folder.names()?.iter().filter(|other| *other != name) {
            let text = folder.read(other).ok().flatten().map(|(bytes, _)| bytes);
            let text = text.unwrap_or_default();
            if String::from_utf8_lossy(&text).contains("logs/integrations.log") {
                return Ok(());
            }
        }
        self.shipped(ours)
    }

    fn shipped(&mut self, shipped: Shipped) -> Result<()> {
        let Shipped {
            path,
            text,
            attributes,
        } = shipped;
        let Some((before, _)) = self.there(&path)? else {
            self.create(path, text.into_bytes(), attributes);
            return Ok(());
        };
        if before == text.as_bytes() {
            return Ok(());
        }
        // An older version of ours, which nobody has touched.
        if self.record.files.get(&path) == Some(&digest(&before)) {
            self.record
                .files
                .insert(path.clone(), digest(text.as_bytes()));
            self.put(path, text.into_bytes(), attributes, Some(before));
        } else {
            let place = path.display();
            self.notes
                .push(format!("{place} is there already and stays as it is"));
        }
        Ok(())
    }

    fn record_first(&mut self, known: Option<&Record>) -> Result<()> {
        if self.changes.is_empty() || known == Some(&self.record) {
            return Ok(());
        }
        let path = self.host.layout.record();
        let parent = path.parent().map(PathBuf::from).unwrap_or_default();
        let mut first = Vec::new();
        if self.host.tree.entry(&parent)?.is_none() {
            self.record.folders.insert(0, parent.clone());
            let what = What::Folder(Host::roots(0o755));
            first.push(Change { path: parent, what });
        }
        let before = self.there(&path)?.map(|(bytes, _)| bytes);
        let what = What::File {
            bytes: self.record.bytes()?,
            attributes: Host::roots(0o600),
            before,
        };
        first.push(Change { path, what });
        self.changes.splice(0..0, first);
        Ok(())
    }

    /// A plain file that is there.
    fn there(&self, path: &std::path::Path) -> Result<Option<(Vec<u8>, super::tree::Entry)>> {
        let Some((folder, name)) = self.host.tree.place(path)? else {
            return Ok(None);
        };
        let Some((bytes, _)) = folder.read(name)? else {
            return Ok(None);
        };
        let entry = folder
            .entry(name)?
            .with_context(|| format!("{} is gone", path.display()))?;
        Ok(Some((bytes, entry)))
    }

    fn create(&mut self, path: PathBuf, bytes: Vec<u8>, attributes: Attributes) {
        self.record.files.insert(path.clone(), digest(&bytes));
        self.put(path, bytes, attributes, None);
    }

    fn put(
        &mut self,
        path: PathBuf,
        bytes: Vec<u8>,
        attributes: Attributes,
        before: Option<Vec<u8>>,
    ) {
        let what = What::File {
            bytes,
            attributes,
            before,
        };
        self.changes.push(Change { path, what });
    }
}
