//! `spool` as typed.

use clap::Subcommand;

use crate::commands::spool::{Dead, Spools};

/// What to do with the spool.
#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// How much waits, since when, and whether MongoDB is thought to be away
    #[command(
        after_help = "Examples:\n  custom-mongo spool status\n  custom-mongo spool status --format json"
    )]
    Status,
    /// The alerts that wait
    #[command(
        after_help = "Examples:\n  custom-mongo spool list\n  custom-mongo spool list --format json"
    )]
    List,
    /// Bring everything that waits into MongoDB
    #[command(
        after_help = "Examples:\n  custom-mongo spool drain\n  */5 * * * * root /var/ossec/integrations/custom-mongo spool drain -q"
    )]
    Drain {
        /// Take what waits for another destination, as `spool status` names it
        #[arg(long, value_name = "DESTINATION")]
        from: Option<String>,
    },
    /// Alerts that MongoDB will never take, or that are none
    #[command(
        after_help = "Examples:\n  custom-mongo spool dead list\n  custom-mongo spool dead retry all"
    )]
    Dead {
        /// What to do
        #[command(subcommand)]
        command: DeadCommand,
    },
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// All of them, with the reason
    #[command(
        after_help = "Examples:\n  custom-mongo spool dead list\n  custom-mongo spool dead list --format json"
    )]
    List,
    /// The bytes of one, to stdout
    #[command(
        after_help = "Examples:\n  custom-mongo spool dead show ID\n  custom-mongo spool dead show ID > alert.json"
    )]
    Show {
        /// As `dead list` names it
        id: String,
    },
    /// Put one, or all, into the spool again
    #[command(
        after_help = "Examples:\n  custom-mongo spool dead retry ID\n  custom-mongo spool dead retry all"
    )]
    Retry {
        /// As `dead list` names it, or all
        id: String,
    },
    /// Delete one, or all
    #[command(
        after_help = "Examples:\n  custom-mongo spool dead drop ID\n  custom-mongo spool dead drop all"
    )]
    Drop {
        /// As `dead list` names it, or all
        id: String,
    },
}

impl SpoolCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// As the commands'.
    pub fn run(&self, spools: &Spools<'_>) -> anyhow::Result<u8> {
        match self {
            Self::Status => spools.status(),
            Self::List => spools.list(),
            Self::Drain { from } => spools.drain(from.as_deref()),
            Self::Dead { command } => spools.dead(&command.dead()),
        }
    }
}

impl DeadCommand {
    fn dead(&self) -> Dead {
        match self {
            Self::List => Dead::List,
            Self::Show { id } => Dead::Show(id.clone()),
            Self::Retry { id } => Dead::Retry(id.clone()),
            Self::Drop { id } => Dead::Drop(id.clone()),
        }
    }
}
