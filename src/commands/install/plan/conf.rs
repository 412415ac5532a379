//! The block in ossec.conf: in front of all others, and nothing else touched.

use std::ffi::OsString;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::Planner;
use crate::alerts_log::Day;
use crate::commands::install::block::{self, Choice};
use crate::commands::install::change::{Change, Edit, What};
use crate::commands::install::record::{Block, digest};
use crate::ossec_conf::{self, Integration, edit};

impl Planner<'_> {
    /// Plans the block, unless there is one.
    ///
    /// # Errors
    ///
    /// If Wazuh cannot read the file, or no place for the block is found.
    pub(super) fn block(&mut self, choice: &Choice, now: SystemTime) -> Result<()> {
        let path = self.host.layout.ossec_conf();
        let read = self.host.tree.read(&path)?;
        let before = read.with_context(|| format!("{} is missing", path.display()))?;
        let text = readable(&before);
        let named = || format!("{} cannot be read", path.display());
        let blocks = ossec_conf::integrations(&text).with_context(named)?;
        if let Some(role) = ossec_conf::cluster_role(&text).with_context(named)? {
            self.notes.push(format!(
                "this manager is a {role} of a cluster: each node sends its own alerts, so install on each; --collect on the master only"
            ));
        }
        if let Some(ours) = blocks.iter().find(|block| block.name == block::NAME) {
            if self.record.block.is_none() {
                let line = ours.line;
                self.notes.push(format!(
                    "ossec.conf has our block already, in line {line}; it stays as it is"
                ));
            }
            return Ok(());
        }
        let insertion = edit::insertion(&text, &choice.elements()?).with_context(named)?;
        let mut after = before.clone();
        after.splice(insertion.at..insertion.at, insertion.text.bytes());
        is_as_meant(&blocks, &after)
            .with_context(|| "add the block by hand: custom-mongo install --print-block")?;
        let backup = format!("ossec.conf.custom-mongo-{}", stamp(now));
        self.record.block = Some(Block {
            text: insertion.text,
            backup: backup.clone(),
            before: digest(&before),
            after: digest(&after),
        });
        let backup = OsString::from(backup);
        let what = What::Conf(Edit {
            before,
            after,
            backup,
        });
        self.changes.push(Change { path, what });
        Ok(())
    }
}

/// A text of the same length in which every place is where it is in the bytes: marks are ASCII, and
/// comments of older days may be in any encoding.
pub fn readable(bytes: &[u8]) -> String {
    let ascii = |byte: &u8| {
        if byte.is_ascii() {
            char::from(*byte)
        } else {
            '?'
        }
    };
    bytes.iter().map(ascii).collect()
}

/// Whether the edited file has our block first and all others as they were.
fn is_as_meant(before: &[Integration], after: &[u8]) -> Result<()> {
    let read = ossec_conf::integrations(&readable(after))?;
    let same = read.first().is_some_and(|first| first.name == block::NAME)
        && without_places(read.get(1..).unwrap_or_default()) == without_places(before);
    if same {
        Ok(())
    } else {
        bail!("ossec.conf is laid out in a way that no place for our block was found")
    }
}

fn without_places(blocks: &[Integration]) -> Vec<Integration> {
    let bare = |block: &Integration| Integration {
        line: 0,
        place: 0..0,
        ..block.clone()
    };
    blocks.iter().map(bare).collect()
}

/// `20251121-180000`, UTC.
fn stamp(now: SystemTime) -> String {
    let seconds = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
        % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let day = Day::of(now).to_string().replace('-', "");
    format!("{day}-{hours:02}{minutes:02}{seconds:02}")
}
