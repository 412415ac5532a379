//! What wazuh-integratord lets through to us: the blocks of our name in ossec.conf. What they keep
//! out is no gap.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::filter::Filter;
use crate::home::Home;
use crate::ossec_conf::{Integration, integrations};

/// The name of a block is that of the file in `integrations/`.
const NAME: &str = "custom-mongo";

/// A filter for each of our blocks, and in which words it is told. An alert is live delivery's
/// matter if any block wants it. None without an ossec.conf, or without a block.
pub(super) fn filters(paths: &[PathBuf], home: &Home) -> Result<Vec<(Filter, String)>> {
    let Some(conf) = ossec_conf(paths, home) else {
        return Ok(Vec::new());
    };
    let text = fs::read(&conf).with_context(|| format!("cannot read {}", conf.display()))?;
    let blocks = integrations(&String::from_utf8_lossy(&text))
        .with_context(|| format!("cannot read {}", conf.display()))?;
    let ours = blocks.iter().filter(|block| block.name == NAME);
    let filter = |block: &Integration| {
        let place = format!("{}, line {}", conf.display(), block.line);
        let filter = Filter::from_integration(block).map_err(anyhow::Error::msg);
        let filter = filter.with_context(|| place.clone())?;
        Ok((filter, format!("the block {NAME} in {place}")))
    };
    ours.map(filter).collect()
}

fn ossec_conf(paths: &[PathBuf], home: &Home) -> Option<PathBuf> {
    let homes = paths.iter().map(PathBuf::as_path).chain(home.wazuh());
    let confs = homes.map(|home: &Path| home.join("etc/ossec.conf"));
    confs.into_iter().find(|conf| conf.is_file())
}
