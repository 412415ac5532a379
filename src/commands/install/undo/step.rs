//! One thing that is taken back: how it is told, and how it is done.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::cut::cut;
use crate::commands::install::change::Edit;
use crate::commands::install::host::Host;

/// One thing that is taken back.
pub(super) struct Step {
    /// Where.
    pub(super) path: PathBuf,
    /// How.
    pub(super) action: Action,
}

/// How it is taken back.
pub(super) enum Action {
    /// Units are stopped and not started any more.
    Disable(Vec<String>),
    /// ossec.conf becomes again what it was, to the byte.
    Restore {
        /// Its name until now.
        backup: OsString,
        /// As it is shown.
        diff: String,
    },
    /// Our block is cut out of it.
    Cut(Edit),
    /// A file goes, or a link.
    Remove,
    /// A folder goes if it is empty.
    RemoveFolder,
    /// A folder goes with all that is in it.
    RemoveAll,
    /// The record goes, or says what is left.
    Forget,
}

impl Step {
    /// A line for people, and the diff if there is one.
    pub(super) fn told(&self) -> (String, Option<String>) {
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

    /// Takes it back, and says whether it is gone.
    ///
    /// # Errors
    ///
    /// Names what could not be taken back.
    pub(super) fn take(&self, host: &Host, notes: &mut Vec<String>) -> Result<bool> {
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

/// Asks systemd on this host.
///
/// # Errors
///
/// Its words.
pub(super) fn systemctl(arguments: &[&str]) -> Result<(), String> {
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
