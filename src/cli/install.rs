//! `install` and `uninstall` as typed.

use std::path::PathBuf;

use clap::Args;

use crate::commands::Format;
use crate::commands::install::{
    Choice, Extent, Install, Mode, Retention, Service, Uninstall, What,
};
use crate::home::Layout;

/// Arguments of `install`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches as they are typed")]
pub struct InstallArgs {
    /// Show every change as a diff and make none
    #[arg(long)]
    pub dry_run: bool,
    /// Only print the block for ossec.conf, for whoever keeps that with other tools
    #[arg(long, conflicts_with = "dry_run")]
    pub print_block: bool,
    /// Only bring up to this version what install put into place before; packages do that
    #[arg(long, conflicts_with = "print_block")]
    pub refresh: bool,
    /// The connection string for new settings; a password in it is refused
    #[arg(long, value_name = "URI")]
    pub uri: Option<String>,
    /// The file with its password (root:wazuh, mode 0640), for new settings
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<String>,
    /// How long alerts are kept, for new settings: 90d, 1y, …, or off
    #[arg(long, value_name = "SPAN")]
    pub retention: Option<Retention>,
    /// `<level>` of the block: Wazuh hands over alerts of this level and above; unless given, all
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=16))]
    pub level: Option<u8>,
    /// `<rule_id>` of the block: only alerts of these rules
    #[arg(long, value_name = "IDS")]
    pub rule_id: Option<String>,
    /// `<group>` of the block: only alerts of these rule groups
    #[arg(long, value_name = "GROUPS")]
    pub group: Option<String>,
    /// `<event_location>` of the block: only alerts from places that match
    #[arg(long, value_name = "PATTERN")]
    pub event_location: Option<String>,
    /// Also what brings in the agents' inventory, every fifteen minutes
    #[arg(long)]
    pub collect: bool,
    /// Also the unit of the resident service
    #[arg(long)]
    pub serve: bool,
    /// Also the unit that tails alerts.json
    #[arg(long)]
    pub follow: bool,
    /// Where
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Show what would be taken back
    #[arg(long)]
    pub dry_run: bool,
    /// Also settings that were changed, and what waits in the spool
    #[arg(long)]
    pub purge: bool,
    /// Where
    #[command(flatten)]
    pub place: Place,
}

/// Which host's Wazuh.
#[derive(Debug, Args)]
pub struct Place {
    /// A folder that holds another host: an image
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// The Wazuh home, as that host sees it
    #[arg(long, value_name = "DIR", default_value = "/var/ossec")]
    pub home: PathBuf,
}

impl InstallArgs {
    /// Which alerts Wazuh is to hand over.
    pub fn choice(&self) -> Choice {
        Choice {
            level: self.level,
            rule_id: self.rule_id.clone(),
            group: self.group.clone(),
            event_location: self.event_location.clone(),
        }
    }

    /// What is to be done.
    pub fn install(&self, format: Format) -> Install {
        let optional = [
            (self.collect, Service::Collect),
            (self.serve, Service::Serve),
            (self.follow, Service::Follow),
        ];
        let wanted = optional.into_iter().filter(|(is_wanted, _)| *is_wanted);
        let services = wanted.map(|(_, service)| service);
        Install {
            layout: self.place.layout(),
            mode: mode(self.dry_run),
            extent: if self.refresh {
                Extent::Refresh
            } else {
                Extent::Whole
            },
            choice: self.choice(),
            uri: self.uri.clone(),
            password_file: self.password_file.clone(),
            retention: self.retention.clone(),
            services: [Service::Drain].into_iter().chain(services).collect(),
            format,
        }
    }
}

impl UninstallArgs {
    /// What is to be done.
    pub fn uninstall(&self, format: Format) -> Uninstall {
        Uninstall {
            layout: self.place.layout(),
            mode: mode(self.dry_run),
            what: if self.purge {
                What::Everything
            } else {
                What::Untouched
            },
            format,
        }
    }
}

impl Place {
    fn layout(&self) -> Layout {
        Layout::new(&self.root, Some(&self.home))
    }
}

fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::Dry } else { Mode::Do }
}
