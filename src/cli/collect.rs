//! `collect` as typed.

use clap::Args;

use crate::collect::{Depth, Mode};
use crate::commands::collect::Wanted;

/// Arguments of `collect`.
#[derive(Debug, Args)]
pub struct CollectArgs {
    /// Only this agent (again for more)
    #[arg(long = "agent", value_name = "ID")]
    pub agents: Vec<String>,
    /// Only this kind, in place of collect.kinds (again for more)
    #[arg(long, value_name = "KIND")]
    pub only: Vec<String>,
    /// Only the manager of this site, where several are configured (again for more)
    #[arg(long = "site", value_name = "NAME")]
    pub sites: Vec<String>,
    /// Read everything, even if the server says that nothing changed
    #[arg(long)]
    pub full: bool,
    /// Only count what would be written
    #[arg(long)]
    pub dry_run: bool,
}

impl CollectArgs {
    /// What is to be done.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            agents: self.agents.clone(),
            only: self.only.clone(),
            sites: self.sites.clone(),
            depth: if self.full {
                Depth::Full
            } else {
                Depth::Changes
            },
            mode: if self.dry_run { Mode::Dry } else { Mode::Write },
        }
    }
}
