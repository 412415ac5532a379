//! Where things lie: the Wazuh home, the state folder, and whose they are.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};

mod layout;

pub use layout::Layout;

/// The folders that this process works with.
#[derive(Debug, Clone)]
pub struct Home {
    wazuh: Option<PathBuf>,
    state: PathBuf,
}

impl Home {
    /// Finds them from the place of our own file and `$CUSTOM_MONGO_STATE_DIR`. Started from elsewhere,
    /// as from a package's `/usr/bin`, we work for the copy of us in Wazuh's usual place, if there is one.
    pub fn find() -> Self {
        let wazuh = started_from()
            .or_else(installed_in)
            .or_else(usual_installation);
        let state = std::env::var_os("CUSTOM_MONGO_STATE_DIR").filter(|dir| !dir.is_empty());
        let state = state.map_or_else(|| default_state(wazuh.as_deref()), PathBuf::from);
        Self { wazuh, state }
    }

    /// Those of an installation; `$CUSTOM_MONGO_STATE_DIR` counts on this host alone.
    pub fn of(layout: &Layout) -> Self {
        let state = std::env::var_os("CUSTOM_MONGO_STATE_DIR").filter(|dir| !dir.is_empty());
        let state = state.filter(|_| layout.is_this_host()).map(PathBuf::from);
        Self {
            wazuh: Some(layout.here(layout.home())),
            state: state.unwrap_or_else(|| layout.here(&layout.state())),
        }
    }

    /// The Wazuh home: the parent of the `integrations` folder that our file lies in.
    pub fn wazuh(&self) -> Option<&Path> {
        self.wazuh.as_deref()
    }

    /// Spool, dead letters, breaker.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where `serve` listens for hooks, unless the settings say another place.
    pub fn relay_socket(&self) -> Option<PathBuf> {
        Some(self.wazuh.as_ref()?.join("queue/sockets/custom-mongo"))
    }

    /// `logs/integrations.log`, where the stock integrations write too.
    pub fn integrations_log(&self) -> Option<PathBuf> {
        let logs = self.wazuh.as_ref()?.join("logs");
        logs.is_dir().then(|| logs.join("integrations.log"))
    }

    /// Creates the state folder if it is not there. Root becomes its owner for the rest of the
    /// process: what root writes there would lock the hook out, which runs as `wazuh`.
    ///
    /// # Errors
    ///
    /// Names the folder and what to do.
    pub fn enter(&self) -> io::Result<()> {
        self.become_owner()?;
        let fault = |error: io::Error| {
            let state = self.state.display();
            let text = format!(
                "cannot use the state folder {state}: {error}; run mkdir -p {state} && chown -h wazuh:wazuh {state} && chmod 700 {state}"
            );
            io::Error::new(error.kind(), text)
        };
        match std::fs::symlink_metadata(&self.state) {
            Ok(meta) if meta.is_dir() => Ok(()),
            // A link would let whoever may write beside it choose where we write, and what root gives
            // away if he is told to chown it.
            Ok(_) => {
                let state = self.state.display();
                let text = format!(
                    "the state folder {state} is no folder; look at it, and run rm {state}"
                );
                Err(io::Error::new(ErrorKind::NotADirectory, text))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut builder = std::fs::DirBuilder::new();
                let builder = builder.recursive(true).mode(0o700);
                builder.create(&self.state).map_err(fault)
            }
            Err(error) => Err(fault(error)),
        }
    }

    /// Root becomes whoever owns Wazuh's logs, else the owner of the state folder. Everything that
    /// a command does comes after this: settings and state are in folders that `wazuh` may write.
    ///
    /// # Errors
    ///
    /// As `setuid`.
    pub fn become_owner(&self) -> io::Result<()> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let state = std::fs::symlink_metadata(&self.state).ok();
        let state = state.filter(Metadata::is_dir).map(|meta| owner(&meta));
        let heir = self.heir().or(state.filter(|(uid, _)| !uid.is_root()));
        match heir {
            Some((uid, gid)) => become_user(uid, gid),
            None => Ok(()),
        }
    }

    /// Whoever Wazuh runs as: the owner of its logs, unless that is root.
    fn heir(&self) -> Option<(Uid, Gid)> {
        let home = self.wazuh.as_ref()?;
        let logs = std::fs::metadata(home.join("logs")).ok();
        logs.map(|meta| owner(&meta))
            .filter(|(uid, _)| !uid.is_root())
    }
}

fn owner(meta: &Metadata) -> (Uid, Gid) {
    (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()))
}

fn become_user(uid: Uid, gid: Gid) -> io::Result<()> {
    setgroups(&[gid])?;
    setgid(gid)?;
    setuid(uid)?;
    Ok(())
}

/// The home by the path that we were started by: `integrations/…` below the working folder, as
/// wazuh-integratord has it, or whole. To ask for the file's own path would cost a tenth of a call.
fn started_from() -> Option<PathBuf> {
    // It panics where neither the kernel (before 6.4) nor /proc can be asked.
    let by = catch_unwind(rustix::param::linux_execfn).ok()?;
    let home = wazuh_home(Path::new(OsStr::from_bytes(by.to_bytes())))?;
    if home.is_absolute() {
        return Some(home.to_owned());
    }
    let here = std::env::current_dir().ok()?;
    let is_here = home.as_os_str().is_empty() || home == ".";
    Some(if is_here { here } else { here.join(home) })
}

/// The home by the place of our own file.
fn installed_in() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    wazuh_home(&exe).map(Path::to_owned)
}

fn wazuh_home(exe: &Path) -> Option<&Path> {
    let folder = exe.parent()?;
    (folder.file_name()? == "integrations").then(|| folder.parent())?
}

fn usual_installation() -> Option<PathBuf> {
    let usual = Layout::new(Path::new("/"), None);
    usual.binary().is_file().then(|| usual.home().to_owned())
}

fn default_state(wazuh: Option<&Path>) -> PathBuf {
    if let Some(home) = wazuh {
        return home.join("var/db/custom-mongo");
    }
    let user = directories::ProjectDirs::from("", "", "custom-mongo");
    let own = user.map(|dirs| dirs.state_dir().unwrap_or(dirs.data_dir()).to_owned());
    own.unwrap_or_else(|| PathBuf::from("/var/lib/custom-mongo"))
}

/// Folders in which the settings are looked for, the first that counts first.
pub fn settings_folders(home: &Home) -> Vec<PathBuf> {
    let wazuh = home.wazuh().map(|home| home.join("etc"));
    let system = PathBuf::from("/etc/custom-mongo");
    let has_home = std::env::var_os("HOME").filter(|home: &OsString| !home.is_empty());
    let user = has_home.and_then(|_| directories::ProjectDirs::from("", "", "custom-mongo"));
    let user = user.map(|dirs| dirs.config_dir().to_owned());
    wazuh.into_iter().chain([system]).chain(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wazuh_home_is_the_parent_of_integrations() {
        let home = |exe| wazuh_home(Path::new(exe)).map(Path::to_owned);
        assert_eq!(
            home("/opt/wz/integrations/custom-mongo"),
            Some("/opt/wz".into())
        );
        assert_eq!(home("/usr/bin/custom-mongo"), None);
    }
}
