//! Which installation is looked at, whose it is, and the commands that give a file back to whom it
//! belongs to.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use crate::home::{Home, Layout};

/// An installation.
pub struct Place {
    pub(super) layout: Layout,
    pub(super) home: Home,
    /// Whether somebody named it, so that its parts have to be there.
    pub(super) is_named: bool,
}

impl Place {
    /// Below `root` and at `home`, if they are named; else the one that our file lies in, else the
    /// usual one of this host.
    pub fn find(root: Option<&Path>, home: Option<&Path>) -> Self {
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let below = root.map_or_else(|| PathBuf::from("/"), whole);
        if root.is_some() || home.is_some() {
            return Self::of(Layout::new(&below, home), true);
        }
        let found = Home::find();
        if let Some(wazuh) = found.wazuh() {
            let layout = Layout::new(&below, Some(wazuh));
            return Self {
                layout,
                home: found,
                is_named: false,
            };
        }
        let usual = Self::of(Layout::new(&below, None), false);
        if usual.ossec_conf().exists() {
            return usual;
        }
        Self {
            home: found,
            ..usual
        }
    }

    fn of(layout: Layout, is_named: bool) -> Self {
        let home = Home::of(&layout);
        Self {
            layout,
            home,
            is_named,
        }
    }

    /// The folders of this installation.
    pub fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn ossec_conf(&self) -> PathBuf {
        self.layout.here(&self.layout.ossec_conf())
    }

    /// The integration: our own file if it lies there, else where it belongs.
    pub(super) fn integration(&self) -> PathBuf {
        let folder = self.layout.here(&self.layout.home().join("integrations"));
        let own = std::env::current_exe().ok();
        own.filter(|own| own.parent() == Some(&folder))
            .unwrap_or_else(|| self.layout.here(&self.layout.binary()))
    }

    /// Who Wazuh runs as, unless that is root, which owns everything.
    pub(super) fn wazuh(&self) -> Option<(Uid, Gid)> {
        self.layout.wazuh().filter(|(uid, _)| !uid.is_root())
    }

    /// Whether this user may change the file, or give himself the right to.
    pub(super) fn wazuh_may_write(&self, meta: &Metadata) -> bool {
        let by_mode = |(uid, gid): (Uid, Gid)| {
            uid.as_raw() == meta.uid() || gid.as_raw() == meta.gid() && meta.mode() & 0o020 != 0
        };
        self.wazuh().is_some_and(by_mode) || meta.mode() & 0o002 != 0
    }

    /// Whether this user gets these rights (`r` 4, `w` 2, `x` 1) from owner, group and mode.
    pub(super) fn wazuh_has(&self, meta: &Metadata, rights: u32) -> bool {
        let Some((uid, gid)) = self.wazuh() else {
            return true;
        };
        let shift = match () {
            () if uid.as_raw() == meta.uid() => 6,
            () if gid.as_raw() == meta.gid() => 3,
            () => 0,
        };
        meta.mode() >> shift & rights == rights
    }

    /// `root:wazuh`, in the names that this host has for them.
    pub(super) fn root_and_group(&self) -> String {
        let group = self.layout.wazuh().map(|(_, gid)| self.group(gid));
        format!("root:{}", group.as_deref().unwrap_or("wazuh"))
    }

    /// `wazuh:wazuh`, in the names that this host has for them.
    pub(super) fn user_and_group(&self) -> String {
        self.layout.wazuh().map_or_else(
            || "wazuh:wazuh".to_owned(),
            |(uid, gid)| format!("{}:{}", self.user(uid), self.group(gid)),
        )
    }

    /// The command that makes a file root's, for Wazuh's group, with this mode. Root runs it in folders
    /// that `wazuh` may write: of a link that was put there, only the link is given away (`-h`).
    pub(super) fn give(&self, path: &Path, mode: &str) -> String {
        let (owner, path) = (self.root_and_group(), quoted(path));
        format!("chown -h {owner} {path} && chmod {mode} {path}")
    }

    /// What mends a fault of these files themselves, if it is one: the command that opens the file to
    /// Wazuh's user and closes it to everybody else, or the way to the credentials of a unit.
    pub(super) fn mend_file(&self, fault: &str, files: &[&Option<PathBuf>]) -> Option<String> {
        if let Some((_, told)) = fault.split_once("LoadCredential=") {
            let name = told.split(':').next().unwrap_or_default();
            let check = self.command("check");
            return Some(format!(
                "check with them, as the unit runs: systemd-run --pipe -p LoadCredential={name}:FILE {check}"
            ));
        }
        let is_mode = ["Permission denied", "everyone may"].map(|sign| fault.contains(sign));
        let mut named = files.iter().filter_map(|file| file.as_ref());
        let named = named.find(|file| fault.contains(&file.display().to_string()));
        let file = named.filter(|_| is_mode.contains(&true))?;
        Some(self.give(file, "0640"))
    }

    /// The name of a user, for people.
    pub(super) fn user(&self, uid: Uid) -> String {
        let known = self.layout.is_this_host().then(|| User::from_uid(uid));
        let name = known.and_then(|user| user.ok().flatten());
        name.map_or_else(|| uid.to_string(), |user| user.name)
    }

    fn group(&self, gid: Gid) -> String {
        let known = self.layout.is_this_host().then(|| Group::from_gid(gid));
        let name = known.and_then(|group| group.ok().flatten());
        name.map_or_else(|| gid.to_string(), |group| group.name)
    }

    /// One of our own commands: the installed program knows its home by its own place.
    pub(super) fn command(&self, words: &str) -> String {
        let installed = Some(self.integration()).filter(|file| file.is_file());
        let program = installed.map_or_else(own_program, |file| quoted(&file));
        format!("{program} {words}")
    }

    /// The command that brings this very program to its place, and what belongs to it.
    pub(super) fn install(&self) -> String {
        let mut line = own_program() + " install";
        if !self.layout.is_this_host() {
            line = format!("{line} --root {}", quoted(self.layout.root()));
        }
        if self.layout.home() != Path::new("/var/ossec") {
            line = format!("{line} --home {}", quoted(self.layout.home()));
        }
        line
    }
}

fn own_program() -> String {
    let own = std::env::current_exe().ok();
    own.map_or_else(|| "custom-mongo".to_owned(), |own| quoted(&own))
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
