//! One change: how it looks before it is made, and how it is made.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::diff;
use super::host::Host;
use super::integratord::{self, Verdict};
use super::retention::size;
use super::tree::Attributes;

/// What is done at one path.
pub struct Change {
    /// Where, as that host sees it.
    pub path: PathBuf,
    /// What.
    pub what: What,
}

/// What is done.
pub enum What {
    /// A folder is made.
    Folder(Attributes),
    /// A file comes into place, or in place of another.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Its owner and mode.
        attributes: Attributes,
        /// What is there now.
        before: Option<Vec<u8>>,
    },
    /// Wazuh's settings are edited; what they were keeps lying beside them.
    Conf(Edit),
}

/// An edit of ossec.conf.
pub struct Edit {
    /// As it is.
    pub before: Vec<u8>,
    /// As it will be.
    pub after: Vec<u8>,
    /// What the file as it is will be called.
    pub backup: OsString,
}

impl Change {
    /// One word for what is done.
    pub fn verb(&self) -> &'static str {
        match &self.what {
            What::Folder(_) => "create folder",
            What::File { before: None, .. } => "create",
            What::File { .. } => "replace",
            What::Conf(_) => "edit",
        }
    }

    /// One line: what, where, whose.
    pub fn line(&self, host: &Host) -> String {
        let (verb, path) = (self.verb(), self.path.display());
        let detail = match &self.what {
            What::Folder(attributes) => host.words(attributes),
            What::File {
                bytes, attributes, ..
            } => {
                let length = size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                format!("{}, {length}", host.words(attributes))
            }
            What::Conf(edit) => format!("as it was: {}", edit.backup.display()),
        };
        format!("{verb:<13} {path}   ({detail})")
    }

    /// The change as a diff; None if it is not one of text.
    pub fn diff(&self) -> Option<String> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).ok();
        match &self.what {
            What::Folder(_) => None,
            What::File { bytes, before, .. } => {
                let after = text(bytes)?;
                let before = before
                    .as_deref()
                    .map(|bytes| text(bytes).unwrap_or_default());
                Some(diff::unified(&self.path, before.as_deref(), Some(&after)))
            }
            What::Conf(edit) => Some(edit.diff(&self.path)),
        }
    }

    /// For scripts.
    pub fn json(&self, host: &Host) -> Value {
        let owner = match &self.what {
            What::Folder(attributes) | What::File { attributes, .. } => host.words(attributes),
            What::Conf(_) => "as before".to_owned(),
        };
        json!({ "do": self.verb(), "path": self.path, "owner": owner, "diff": self.diff() })
    }

    /// Makes it. Says what an administrator should know of.
    ///
    /// # Errors
    ///
    /// Names the path; then this change is not made.
    pub fn make(&self, host: &Host) -> Result<Option<String>> {
        let place = host.tree.place(&self.path)?;
        let parent = || {
            format!(
                "cannot write {}: its folder is missing",
                self.path.display()
            )
        };
        let (folder, name) = place.with_context(parent)?;
        match &self.what {
            What::Folder(attributes) => folder.make(name, attributes).map(|()| None),
            What::File {
                bytes, attributes, ..
            } => folder.write(name, bytes, attributes).map(|()| None),
            What::Conf(edit) => edit.add(host, &self.path).map(Some),
        }
    }
}

impl Edit {
    /// As a diff, without the secrets of others. Bytes that are no UTF-8 do not count.
    pub fn diff(&self, path: &Path) -> String {
        let before = diff::masked(&String::from_utf8_lossy(&self.before));
        let after = diff::masked(&String::from_utf8_lossy(&self.after));
        diff::unified(path, Some(&before), Some(&after))
    }

    fn add(&self, host: &Host, path: &Path) -> Result<String> {
        let hint = "add the block by hand: custom-mongo install --print-block";
        if let Verdict::Refused(words) = integratord::ask(host)? {
            bail!(
                "wazuh-integratord -t refuses {} as it is: {words}; mend that first",
                path.display()
            );
        }
        match self.swap(host, path).with_context(|| hint)? {
            Verdict::Fine => Ok("wazuh-integratord -t takes ossec.conf".to_owned()),
            Verdict::Unasked(why) => Ok(format!(
                "ossec.conf was read with our own reader only, wazuh-integratord -t was not asked: {why}"
            )),
            Verdict::Refused(words) => bail!(
                "wazuh-integratord -t refuses ossec.conf with our block: {words}; ossec.conf is as it was before"
            ),
        }
    }

    /// Puts the edited file into place, the old one beside it, and takes that back if Wazuh refuses it.
    ///
    /// # Errors
    ///
    /// If the file is not the one that was read, or cannot be replaced; then it is as it was.
    pub fn swap(&self, host: &Host, path: &Path) -> Result<Verdict> {
        let named = || format!("{} is not there any more", path.display());
        let (folder, name) = host.tree.place(path)?.with_context(named)?;
        let (bytes, file) = folder.read(name)?.with_context(named)?;
        if bytes != self.before {
            bail!("{} was changed meanwhile; run this again", path.display());
        }
        let meta = file.metadata()?;
        let attributes = Attributes::of(&file)?;
        folder.link(name, &self.backup, (meta.dev(), meta.ino()))?;
        if let Err(error) = folder.write(name, &self.after, &attributes) {
            folder.remove(&self.backup)?;
            return Err(error);
        }
        let verdict = integratord::ask(host)?;
        if matches!(verdict, Verdict::Refused(_)) {
            folder.rename(&self.backup, name)?;
        }
        Ok(verdict)
    }
}
