//! `follow` and `backfill` as typed.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;

use crate::alert::When;
use crate::commands::Format;
use crate::commands::backfill::{Backfill, Reach, What};
use crate::commands::follow::First;

/// Arguments of `follow`.
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// The live file; Wazuh's own by default
    pub file: Option<PathBuf>,
    /// First start: begin at the beginning of the live file instead of its end
    #[arg(long)]
    pub from_start: bool,
    /// First start: begin with the alerts of this time, also those in the archives
    #[arg(long, value_name = "TIME", conflicts_with = "from_start")]
    pub since: Option<When>,
}

/// Arguments of `backfill`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches as they are typed")]
pub struct BackfillArgs {
    /// Files, folders, or a Wazuh home; this host's Wazuh by default
    pub paths: Vec<PathBuf>,
    /// Only alerts of this time and later: a date, a time (RFC 3339), or an age as 36h or 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// Only alerts before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<When>,
    /// Read and count, but ask and write nothing
    #[arg(long, group = "what")]
    pub dry_run: bool,
    /// Report per hour what MongoDB lacks, and write nothing
    #[arg(long, group = "what")]
    pub check: bool,
    /// Report per hour what MongoDB lacks, and bring it back
    #[arg(long, group = "what")]
    pub repair: bool,
    /// With --check and --repair: also what the integration's block in ossec.conf keeps out
    #[arg(long, requires = "what")]
    pub all: bool,
    /// At most so many alerts a second
    #[arg(long, value_name = "ALERTS")]
    pub rate: Option<NonZeroU32>,
    /// Begin anew where a stopped run would be resumed
    #[arg(long)]
    pub restart: bool,
}

impl FollowArgs {
    /// Where the first start begins.
    pub fn first(&self) -> First {
        match self.since {
            Some(when) => First::Since(when),
            None if self.from_start => First::Beginning,
            None => First::End,
        }
    }
}

impl BackfillArgs {
    /// What is to be done.
    pub fn backfill(&self, format: Format) -> Backfill {
        Backfill {
            paths: self.paths.clone(),
            since: self.since,
            until: self.until,
            what: match self {
                Self { dry_run: true, .. } => What::Count,
                Self { check: true, .. } => What::Check,
                Self { repair: true, .. } => What::Repair,
                _ => What::Store,
            },
            all: self.all,
            rate: self.rate.map(NonZeroU32::get),
            restart: self.restart,
            reach: Reach::All,
            format,
        }
    }
}
