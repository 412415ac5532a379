//! The command line as typed. Tells a call by wazuh-integratord from a command of a person.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

mod check;
mod collect;
mod completions;
mod feeding;
mod install;
mod manual;
mod serving;
mod spool;
mod upkeep;
mod watch;

pub use completions::{Shell, completions};
pub use manual::{page, write_pages};

use check::CheckArgs;
use collect::CollectArgs;
use feeding::{BackfillArgs, FollowArgs};
use install::{InstallArgs, UninstallArgs};
use serving::{ServeArgs, TokenCommand};
use spool::SpoolCommand;
use upkeep::{EraseArgs, MigrateArgs};
use watch::WatchCommand;

/// Wazuh's security data into MongoDB and out again.
///
/// Called by wazuh-integratord with an alert file, it writes the alert to MongoDB, or durably to
/// disk when MongoDB is away. The commands below are for people.
#[derive(Debug, Parser)]
#[command(name = "custom-mongo", version, arg_required_else_help = true)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_negates_reqs = true
)]
#[command(
    override_usage = "custom-mongo ALERT_FILE [API_KEY HOOK_URL …]   (by wazuh-integratord)\n       custom-mongo --test [FILE|-] [--dry-run]\n       custom-mongo <COMMAND>"
)]
#[command(after_help = "Examples:\n  custom-mongo --test --dry-run\n  custom-mongo check")]
pub struct Cli {
    /// Settings file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say more (twice: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Replay an alert by hand and say what happens; a built-in sample without FILE, - is stdin
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "clap's shape for a flag with an optional value"
    )]
    pub test: Option<Option<PathBuf>>,
    /// With --test: print the exact document and touch nothing
    #[arg(long, requires = "test")]
    pub dry_run: bool,
    /// The command
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// What a person may ask for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install on this host: binary, settings, block in ossec.conf, timers; nothing is restarted
    #[command(
        after_help = "Examples:\n  custom-mongo install --dry-run\n  custom-mongo install --uri mongodb://db.example:27017/?replicaSet=rs0 --retention 90d"
    )]
    Install(InstallArgs),
    /// Take back what install did; what was changed since, and what waits in the spool, stays
    #[command(
        after_help = "Examples:\n  custom-mongo uninstall --dry-run\n  custom-mongo uninstall --purge"
    )]
    Uninstall(UninstallArgs),
    /// Check every precondition; each failure comes with its fix
    #[command(
        after_help = "Examples:\n  custom-mongo check\n  custom-mongo check --config-only --format json\n  custom-mongo check --trust\n  custom-mongo check --root /mnt/image"
    )]
    Check(CheckArgs),
    /// Bring the agents' inventory from the Wazuh API into MongoDB
    #[command(
        after_help = "Examples:\n  custom-mongo collect\n  custom-mongo collect --agent 003 --only software --full\n  */15 * * * * root /var/ossec/integrations/custom-mongo collect"
    )]
    Collect(CollectArgs),
    /// Tail alerts.json: whole, in order, across rotations, from a checkpoint
    #[command(
        after_help = "Examples:\n  custom-mongo follow --since 2d\n  custom-mongo follow /var/ossec/logs/alerts/alerts.json --from-start"
    )]
    Follow(FollowArgs),
    /// Bring alerts from alerts.json and its archives into MongoDB, or report what is missing there
    #[command(
        after_help = "Examples:\n  custom-mongo backfill --since 7d --check\n  custom-mongo backfill --since 2025-06-01 --until 2025-06-08 /var/ossec"
    )]
    Backfill(BackfillArgs),
    /// Serve: take alerts by HTTP, answer questions about what is stored
    #[command(
        after_help = "Examples:\n  custom-mongo serve\n  custom-mongo serve --listen 127.0.0.1:8080"
    )]
    Serve(ServeArgs),
    /// What waits on disk: look at it, deliver it
    #[command(after_help = "Examples:\n  custom-mongo spool status\n  custom-mongo spool drain")]
    Spool {
        /// What to do
        #[command(subcommand)]
        command: SpoolCommand,
    },
    /// Bring indexes and documents of older versions, and of the Python service, up to date
    #[command(
        after_help = "Examples:\n  custom-mongo migrate --dry-run\n  custom-mongo migrate --rate 2000 --format json"
    )]
    Migrate(MigrateArgs),
    /// Take one agent's or one person's data out for good
    #[command(
        after_help = "Examples:\n  custom-mongo erase --agent 017 --dry-run\n  custom-mongo erase --query data.srcuser=alice --query '*=alice@example.org'"
    )]
    Erase(EraseArgs),
    /// Alerts or agents, live in the terminal, from MongoDB alone
    #[command(
        after_help = "Examples:\n  custom-mongo watch alerts --risk high\n  custom-mongo watch agents"
    )]
    Watch {
        /// What to watch
        #[command(subcommand)]
        command: WatchCommand,
    },
    /// One screen: what waits, how far follow is, the last collect, MongoDB; 1 if something is wrong
    #[command(
        after_help = "Examples:\n  custom-mongo status\n  custom-mongo status --format json\n  custom-mongo status -q"
    )]
    Status,
    /// Tokens for serve: make one, list them, take one away
    #[command(
        after_help = "Examples:\n  custom-mongo token new --name soc --scope read\n  custom-mongo token drop soc"
    )]
    Token {
        /// What to do
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// The script that lets a shell complete these commands
    #[command(
        after_help = "Examples:\n  custom-mongo completions bash > /etc/bash_completion.d/custom-mongo\n  custom-mongo completions zsh > /usr/local/share/zsh/site-functions/_custom-mongo"
    )]
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// The manual page, or all of them
    #[command(
        after_help = "Examples:\n  custom-mongo man | man -l -\n  custom-mongo man --dir /usr/local/share/man/man1"
    )]
    Man {
        /// Write the page of every command into this folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// The arguments in the order that clap wants: `--test --dry-run FILE` means what
/// `--test FILE --dry-run` means, since FILE is the value of `--test`.
pub fn in_order(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let test = arguments.iter().position(|argument| argument == "--test");
    let is_file = |argument: &OsString| argument == "-" || !is_option(argument);
    if let Some(test) = test
        && arguments.get(test + 1).is_some_and(|next| !is_file(next))
        && arguments.last().is_some_and(is_file)
        && !arguments.iter().rev().nth(1).is_some_and(takes_value)
        && let Some(file) = arguments.pop()
    {
        arguments.insert(test + 1, file);
    }
    arguments
}

/// Whether these arguments (argv\[0\] included) are a call by wazuh-integratord, which names the
/// folder as argv\[0\] and a file as argv\[1\], or those of a person.
pub fn is_call(arguments: &[OsString]) -> bool {
    let by_daemon = arguments.first().is_some_and(|name| name == "integrations");
    let Some(first) = arguments.get(1) else {
        return by_daemon;
    };
    by_daemon || first.is_empty() || !(is_option(first) || is_command(first))
}

/// Wazuh writes ids with three digits or more.
fn agent_id(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) => format!("{number:03}"),
        Err(_) => text.to_owned(),
    }
}

fn is_option(argument: &OsStr) -> bool {
    argument.as_bytes().starts_with(b"-")
}

/// Whether what follows this option is its value.
fn takes_value(argument: &OsString) -> bool {
    argument == "--format" || argument == "--config"
}

fn is_command(argument: &OsStr) -> bool {
    // clap builds every command to know their names, which costs as much as the rest of a call: a
    // path never gets that far.
    let letters = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'-';
    argument.as_bytes().iter().all(letters)
        && (argument == "help"
            || Cli::command()
                .get_subcommands()
                .any(|command| argument == command.get_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_call_of(arguments: &[&str]) -> bool {
        is_call(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    /// What the help of a command shows as examples, without what a shell or cron makes of it.
    fn examples(command: &clap::Command) -> Vec<String> {
        let text = command.get_after_help().map(ToString::to_string);
        let text = text.unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("  "));
        let typed = lines.map(|line| {
            let begin = line
                .find("custom-mongo")
                .expect("an example of this program");
            // Cron's line names the whole path; the last one before a blank is the program.
            let begin = line.find("custom-mongo ").unwrap_or(begin);
            let end = line.find(['>', '|']).unwrap_or(line.len());
            line[begin..end].trim().to_owned()
        });
        typed.collect()
    }

    /// As a shell takes them: what stands in quotes is one word.
    fn words(line: &str) -> Vec<OsString> {
        let mut is_quoted = false;
        let split = |c: char| {
            is_quoted ^= c == '\'';
            c == ' ' && !is_quoted
        };
        let words = line.split(split).map(|word| word.replace('\'', ""));
        words.map(OsString::from).collect()
    }

    #[test]
    fn the_help_of_every_command_has_two_examples_that_are_right() {
        let mut command = Cli::command();
        command.build();
        let mut left = vec![&command];
        let mut seen = 0;
        while let Some(command) = left.pop() {
            let inner = command.get_subcommands();
            left.extend(inner.filter(|inner| inner.get_name() != "help"));
            let (name, examples) = (command.get_name(), examples(command));
            assert!(examples.len() >= 2, "{name} has {examples:?}");
            seen += 1;
            for example in examples {
                let parsed = Cli::try_parse_from(in_order(words(&example)));
                assert!(parsed.is_ok(), "{name}: {example}: {}", parsed.unwrap_err());
                assert!(example.contains(name), "{name} shows {example}");
            }
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn the_file_of_a_test_may_stand_last() {
        let order = |arguments: &[&str]| {
            let arguments = in_order(arguments.iter().map(OsString::from).collect());
            let cli = Cli::try_parse_from(arguments).unwrap();
            (cli.test, cli.dry_run)
        };
        let file = Some(Some(PathBuf::from("a.json")));
        assert_eq!(
            order(&["c", "--test", "--dry-run", "a.json"]),
            (file.clone(), true)
        );
        assert_eq!(order(&["c", "--test", "a.json", "--dry-run"]), (file, true));
        assert_eq!(order(&["c", "--test", "--dry-run"]), (Some(None), true));
        assert_eq!(
            order(&["c", "--test", "--format", "json"]),
            (Some(None), false)
        );
        assert_eq!(
            order(&["c", "--test", "-"]),
            (Some(Some("-".into())), false)
        );
    }

    #[test]
    fn the_daemon_is_told_from_a_person() {
        assert!(is_call_of(&[
            "integrations",
            "/tmp/custom-mongo-1-2.alert",
            "",
            "",
            ""
        ]));
        assert!(is_call_of(&["integrations", "", "", ""]));
        assert!(is_call_of(&["integrations", "check"]));
        assert!(is_call_of(&["./custom-mongo", "alert.json"]));
        assert!(!is_call_of(&["custom-mongo", "check"]));
        assert!(!is_call_of(&["custom-mongo", "--test"]));
        assert!(!is_call_of(&["custom-mongo"]));
    }
}
