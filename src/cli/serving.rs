//! `serve` and `token` as typed.

use clap::{Args, Subcommand};

use crate::commands::Format;
use crate::commands::token::Tokens;
use crate::home::Home;
use crate::serve::Scope;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen, instead of what the settings say
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, once: only its hash is kept
    #[command(
        after_help = "Examples:\n  custom-mongo token new --name sender --scope ingest\n  custom-mongo token new --name soc --scope read --site paris"
    )]
    New {
        /// What people call it; it stands in the access log
        #[arg(long)]
        name: String,
        /// What it may do: ingest, read or admin (everything); may be given twice
        #[arg(long, required = true)]
        scope: Vec<Scope>,
        /// The only site that it may see and write
        #[arg(long)]
        site: Option<String>,
    },
    /// All of them, without the tokens themselves
    #[command(
        after_help = "Examples:\n  custom-mongo token list\n  custom-mongo token list --format json"
    )]
    List,
    /// Take one away; a running service knows within a second
    #[command(
        after_help = "Examples:\n  custom-mongo token drop soc\n  custom-mongo token drop sender"
    )]
    Drop {
        /// As `token list` names it
        name: String,
    },
}

impl TokenCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// As the commands'.
    pub fn run(&self, home: &Home, format: Format) -> anyhow::Result<u8> {
        let tokens = Tokens::open(home, format)?;
        match self {
            Self::New { name, scope, site } => tokens.make(name, scope, site.as_deref()),
            Self::List => tokens.list(),
            Self::Drop { name } => tokens.drop(name),
        }
    }
}
