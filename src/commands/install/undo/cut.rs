//! Our block goes out of an ossec.conf that was edited since.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::commands::install::block;
use crate::commands::install::change::Edit;
use crate::commands::install::host::Host;
use crate::commands::install::integratord::Verdict;
use crate::commands::install::plan::readable;
use crate::commands::install::record::Block;
use crate::ossec_conf::{self, edit};

/// Cuts our block out, if Wazuh takes the file without it.
///
/// # Errors
///
/// If it does not; then the file is as it was.
pub(super) fn cut(host: &Host, path: &Path, edit: &Edit) -> Result<()> {
    match edit.swap(host, path)? {
        Verdict::Fine | Verdict::Unasked(_) => Ok(()),
        Verdict::Refused(words) => bail!(
            "wazuh-integratord -t refuses {} also without our block: {words}; mend that first, it is as it was",
            path.display()
        ),
    }
}

/// The file without the block that was put in, or without what became of it; None if there is none.
///
/// # Errors
///
/// If the file cannot be read, or the block cannot be told from the rest.
pub(super) fn without_block(bytes: &[u8], block: &Block) -> Result<Option<Vec<u8>>> {
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
