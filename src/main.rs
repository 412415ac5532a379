//! Wazuh's security data into MongoDB and out again: one static binary for
//! `/var/ossec/integrations`. The rooms in reading order; a room uses only rooms below it.

mod alert;
mod alerts_log;
mod certificate;
mod cli;
mod collect;
mod commands;
mod config;
mod delivery;
mod filter;
mod home;
mod inventory;
mod ossec_conf;
mod relay;
mod secret;
mod serve;
mod setting;
mod spool;
mod store;
mod wazuh_api;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use env_logger::fmt::Formatter;

use cli::{Cli, Command};
use commands::hook::Call;
use commands::spool::Spools;
use commands::test::{Input, Run};
use commands::{check, follow, hook, install, overview, status, test};
use home::Home;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let status = if cli::is_call(&arguments) {
        let call = Call::from_arguments(arguments.get(1..).unwrap_or_default());
        hook::run(&call, None, started)
    } else {
        run(&Cli::parse_from(cli::in_order(arguments)))
    };
    ExitCode::from(status)
}

fn run(cli: &Cli) -> u8 {
    start_log(cli);
    dispatch(cli).unwrap_or_else(|error| {
        commands::error_line(&format!("custom-mongo: {error:#}"));
        match error.downcast_ref() {
            Some(config::Fault(_)) => status::CONFIG,
            None => status::FAILED,
        }
    })
}

fn start_log(cli: &Cli) {
    let serves = matches!(cli.command, Some(Command::Serve(_)));
    let watches = matches!(cli.command, Some(Command::Watch { .. } | Command::Status));
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        // A service's log is read afterwards.
        (false, 0) if serves => "info",
        // It says on its own screen what others log.
        (false, 0) if watches => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    // The driver is let in only on request: it writes of every heartbeat.
    let default = format!("off,custom_mongo={level}");
    let environment = env_logger::Env::default().default_filter_or(default);
    let mut log = env_logger::Builder::from_env(environment);
    log.format(log_line).init();
}

/// As `env_logger` does it, but other people's text can neither command a terminal nor look like
/// further lines.
fn log_line(out: &mut Formatter, record: &log::Record<'_>) -> io::Result<()> {
    let (at, level, target) = (out.timestamp(), record.level(), record.target());
    let text = commands::clean(&record.args().to_string());
    writeln!(out, "[{at} {level:<5} {target}] {text}")
}

fn dispatch(cli: &Cli) -> anyhow::Result<u8> {
    let config = cli.config.as_deref();
    let format = match (cli.format, cli.quiet) {
        (cli::Format::Json, _) => commands::Format::Json,
        (cli::Format::Text, true) => commands::Format::Quiet,
        (cli::Format::Text, false) => commands::Format::Text,
    };
    if let Some(done) = without_settings(cli, format) {
        return done;
    }
    let home = match &cli.command {
        Some(Command::Check(args)) => args.place().home().clone(),
        _ => Home::find(),
    };
    // Before the settings are read: they may name a command, and `wazuh` may write them.
    home.become_owner()?;
    match &cli.command {
        Some(Command::Check(args)) => Ok(check::run(config, &args.place(), args.depth(), format)),
        Some(Command::Token { command }) => command.run(&home, format),
        Some(Command::Serve(args)) => commands::serve::run(args.listen.as_deref(), config, &home),
        _ => with_settings(cli, &config::load(config, &home)?.settings, &home, format),
    }
}

fn with_settings(
    cli: &Cli,
    settings: &config::Settings,
    home: &Home,
    format: commands::Format,
) -> anyhow::Result<u8> {
    if let Some(file) = &cli.test {
        let run = if cli.dry_run { Run::Dry } else { Run::Deliver };
        return test::run(&input(file.as_deref()), run, settings, home, format);
    }
    match &cli.command {
        Some(Command::Collect(args)) => {
            commands::collect::run(&args.wanted(), settings, home, format)
        }
        Some(Command::Spool { command }) => command.run(&Spools::open(settings, home, format)?),
        Some(Command::Follow(args)) => {
            follow::run(args.file.as_deref(), args.first(), settings, home)
        }
        Some(Command::Backfill(args)) => args.backfill(format).run(settings, home),
        Some(Command::Migrate(args)) => args.migrate(format).run(settings),
        Some(Command::Erase(args)) => args.erase(format).run(settings, home),
        Some(Command::Watch { command }) => command.run(settings, format),
        Some(Command::Status) => Ok(overview::run(settings, home, format)),
        _ => Ok(status::USAGE),
    }
}

/// What this program says of itself, and what changes files of root's: for that it reads no settings
/// and stays who it is.
fn without_settings(cli: &Cli, format: commands::Format) -> Option<anyhow::Result<u8>> {
    match &cli.command {
        Some(Command::Completions { shell }) => {
            commands::print(&cli::completions(*shell));
            Some(Ok(status::DONE))
        }
        Some(Command::Man { dir }) => Some(manual(dir.as_deref())),
        Some(Command::Install(args)) if args.print_block => {
            Some(install::print_block(&args.choice()))
        }
        Some(Command::Install(args)) => Some(args.install(format).run()),
        Some(Command::Uninstall(args)) => Some(args.uninstall(format).run()),
        _ => None,
    }
}

fn manual(folder: Option<&std::path::Path>) -> anyhow::Result<u8> {
    match folder {
        None => commands::print(cli::page().as_bytes()),
        Some(folder) => {
            let count = cli::write_pages(folder)
                .with_context(|| format!("cannot write into {}", folder.display()))?;
            commands::print(format!("{count} pages in {}\n", folder.display()).as_bytes());
        }
    }
    Ok(status::DONE)
}

fn input(file: Option<&std::path::Path>) -> Input {
    match file {
        None => Input::Sample,
        Some(path) if path.as_os_str() == "-" => Input::Stdin,
        Some(path) => Input::File(path.to_owned()),
    }
}
