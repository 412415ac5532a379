//! The manager's host: the root folder, what lies where, and whom files belong to.

use std::path::Path;

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use super::tree::{Attributes, Owner, Tree};
use crate::home::Layout;

/// A host with a Wazuh manager.
pub struct Host {
    /// What lies where.
    pub layout: Layout,
    /// The files.
    pub tree: Tree,
    /// Whom Wazuh runs as.
    wazuh: Owner,
    /// The user's name there, or his number.
    pub user: String,
    /// The group's name there, or its number.
    pub group: String,
}

impl Host {
    /// Looks for the manager.
    ///
    /// # Errors
    ///
    /// Says what makes it none.
    pub fn find(layout: Layout) -> Result<Self> {
        let host = Self::of(layout)?;
        let home = host.layout.home();
        for needed in ["bin/wazuh-integratord", "etc/ossec.conf", "logs"] {
            let needed = home.join(needed);
            if host.tree.entry(&needed)?.is_none() {
                let at = host.layout.here(&needed);
                bail!(
                    "there is no Wazuh manager: {} is missing; is --home right?",
                    at.display()
                );
            }
        }
        Ok(host)
    }

    /// The host as it is, with or without a manager.
    ///
    /// # Errors
    ///
    /// If the home cannot be one, or the root folder cannot be opened.
    pub fn of(layout: Layout) -> Result<Self> {
        let home = layout.home();
        if !is_plain(home) {
            bail!(
                "--home {}: an absolute path without blanks, quotes, % and $ is wanted",
                home.display()
            );
        }
        let tree = Tree::open(layout.root())?;
        // Where they are not, nothing will be given to anybody.
        let logs = tree.folder(&home.join("logs"))?;
        let wazuh = logs.map(|logs| logs.itself()).transpose()?;
        let wazuh = wazuh.map_or((0, 0), |logs| logs.owner);
        let user = name(&tree, "/etc/passwd", wazuh.0)?;
        let group = name(&tree, "/etc/group", wazuh.1)?;
        Ok(Self {
            layout,
            tree,
            wazuh,
            user,
            group,
        })
    }

    /// root:root
    pub fn roots(mode: u32) -> Attributes {
        owned((0, 0), mode)
    }

    /// root:wazuh
    pub fn shared(&self, mode: u32) -> Attributes {
        owned((0, self.wazuh.1), mode)
    }

    /// wazuh:wazuh
    pub fn wazuhs(&self, mode: u32) -> Attributes {
        owned(self.wazuh, mode)
    }

    /// Owner and mode for people, as `root:wazuh 0640`.
    pub fn words(&self, attributes: &Attributes) -> String {
        let mode = attributes.mode;
        let Some((user, group)) = attributes.owner else {
            return format!("{mode:04o}");
        };
        let name = |id: u32, wazuh: u32, called: &str| match id {
            0 => "root".to_owned(),
            id if id == wazuh => called.to_owned(),
            id => id.to_string(),
        };
        let user = name(user, self.wazuh.0, &self.user);
        let group = name(group, self.wazuh.1, &self.group);
        format!("{user}:{group} {mode:04o}")
    }

    /// Whether systemd starts services there.
    ///
    /// # Errors
    ///
    /// As `Tree::folder`.
    pub fn has_systemd(&self) -> Result<bool> {
        let has = |path: &str| Ok::<_, anyhow::Error>(self.tree.folder(Path::new(path))?.is_some());
        // An image is not running: there the folder of its units says it.
        Ok(has("/run/systemd/system")?
            || !self.layout.is_this_host() && has("/usr/lib/systemd/system")?)
    }
}

/// Who is not root can give nothing away.
fn owned(owner: Owner, mode: u32) -> Attributes {
    Attributes {
        owner: geteuid().is_root().then_some(owner),
        mode,
        ..Attributes::default()
    }
}

/// Units, cron and Wazuh itself take paths apart at blanks.
fn is_plain(home: &Path) -> bool {
    let text = home.to_str().unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || c.is_control() || "\"'%$\\".contains(c);
    home.is_absolute() && !text.is_empty() && !text.contains(odd) && !text.contains("/..")
}

/// A name by the host's own accounts, else the number, which systemd and cron take too. In both files
/// the third field is the number.
fn name(tree: &Tree, accounts: &str, id: u32) -> Result<String> {
    let bytes = tree.read(Path::new(accounts))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let number = id.to_string();
    let line = text
        .lines()
        .find(|line| line.split(':').nth(2) == Some(number.as_str()));
    let name = line.and_then(|line| line.split(':').next());
    Ok(name.map_or(number, str::to_owned))
}
