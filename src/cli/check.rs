//! `check` as typed.

use std::path::PathBuf;

use clap::Args;

use crate::commands::check::{Depth, Place};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only read the settings: ask nothing, touch nothing
    #[arg(long)]
    pub config_only: bool,
    /// Show the certificate of Wazuh's API and trust it from now on
    #[arg(long, conflicts_with = "config_only")]
    pub trust: bool,
    /// Look at the host or image below this folder
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The Wazuh home, if it is not /var/ossec
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
}

impl CheckArgs {
    /// How much is checked.
    pub fn depth(&self) -> Depth {
        match self {
            Self {
                config_only: true, ..
            } => Depth::ConfigOnly,
            Self { trust: true, .. } => Depth::Trust,
            _ => Depth::All,
        }
    }

    /// Which installation.
    pub fn place(&self) -> Place {
        Place::find(self.root.as_deref(), self.home.as_deref())
    }
}
