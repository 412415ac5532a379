//! `migrate` and `erase` as typed.

use std::num::NonZeroU32;

use clap::Args;

use crate::alert::search::Term;
use crate::commands::Format;
use crate::commands::erase::{self, Erase, Whose};
use crate::commands::migrate::{self, Migrate};

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// The site that the Python service's documents belong to; the settings' own by default
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// At most so many documents a second
    #[arg(long, value_name = "DOCUMENTS")]
    pub rate: Option<NonZeroU32>,
}

/// Arguments of `erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// Everything of this agent
    #[arg(long, value_name = "ID", required_unless_present = "query")]
    pub agent: Option<String>,
    /// Everything that has this: FIELD=VALUE, or *=TEXT for a text anywhere (again for more: any of them)
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "agent")]
    pub query: Vec<Term>,
    /// Of this site; the settings' own by default
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Only count
    #[arg(long)]
    pub dry_run: bool,
}

impl MigrateArgs {
    /// What is to be done.
    pub fn migrate(&self, format: Format) -> Migrate {
        Migrate {
            site: self.site.clone(),
            rate: self.rate.map(NonZeroU32::get),
            mode: if self.dry_run {
                migrate::Mode::Dry
            } else {
                migrate::Mode::Write
            },
            format,
        }
    }
}

impl EraseArgs {
    /// What is to be done.
    pub fn erase(&self, format: Format) -> Erase {
        Erase {
            whose: match &self.agent {
                Some(id) => Whose::Agent(super::agent_id(id)),
                None => Whose::Person(self.query.clone()),
            },
            site: self.site.clone(),
            mode: if self.dry_run {
                erase::Mode::Dry
            } else {
                erase::Mode::Erase
            },
            format,
        }
    }
}
