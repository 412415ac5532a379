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
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;

use cli::{
    BackfillArgs, CheckArgs, Cli, Command, DeadCommand, EraseArgs, FollowArgs, MigrateArgs,
    SpoolCommand, TokenCommand, WatchCommand,
};
use commands::backfill::{Backfill, Reach, What};
use commands::erase::{Erase, Whose};
use commands::follow::First;
use commands::hook::Call;
use commands::install::{self as installer, Choice, Extent, Install, Service, Uninstall};
use commands::migrate::Migrate;
use commands::spool::{Dead, Spools};
use commands::test::{Input, Run};
use commands::token::Tokens;
use commands::watch::{Agents, Alerts};
use commands::{check, collect as collector, follow, hook, overview, status, test};
use home::{Home, Layout};

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
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(default)).init();
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
        Some(Command::Check(args)) => place(args).home().clone(),
        _ => Home::find(),
    };
    // Before the settings are read: they may name a command, and `wazuh` may write them.
    home.become_owner()?;
    if let Some(file) = &cli.test {
        let run = if cli.dry_run { Run::Dry } else { Run::Deliver };
        let settings = config::load(config, &home)?.settings;
        return test::run(&input(file.as_deref()), run, &settings, &home, format);
    }
    match &cli.command {
        Some(Command::Check(args)) => Ok(check::run(config, &place(args), depth(args), format)),
        Some(Command::Serve(args)) => {
            let settings = config::load(config, &home)?.settings;
            commands::serve::run(args.listen.as_deref(), &settings, &home)
        }
        Some(Command::Token { command }) => run_token(command, &home, format),
        Some(Command::Collect(args)) => {
            let settings = config::load(config, &home)?.settings;
            collector::run(&wanted(args), &settings, &home, format)
        }
        Some(Command::Spool { command }) => {
            let settings = config::load(config, &home)?.settings;
            run_spool(command, &Spools::open(&settings, &home, format)?)
        }
        Some(Command::Follow(args)) => {
            let settings = config::load(config, &home)?.settings;
            follow::run(args.file.as_deref(), first(args), &settings, &home)
        }
        Some(Command::Migrate(args)) => {
            migrate(args, format).run(&config::load(config, &home)?.settings)
        }
        Some(Command::Erase(args)) => {
            erase(args, format).run(&config::load(config, &home)?.settings, &home)
        }
        Some(Command::Backfill(args)) => {
            let settings = config::load(config, &home)?.settings;
            backfill(args, format).run(&settings, &home)
        }
        Some(Command::Watch { command }) => {
            let settings = config::load(config, &home)?.settings;
            watch(command, &settings, format)
        }
        Some(Command::Status) => {
            let settings = config::load(config, &home)?.settings;
            Ok(overview::run(&settings, &home, format))
        }
        Some(
            Command::Completions { .. }
            | Command::Man { .. }
            | Command::Install(_)
            | Command::Uninstall(_),
        )
        | None => Ok(status::USAGE),
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
        Some(Command::Install(args)) => Some(install(args, format)),
        Some(Command::Uninstall(args)) => Some(uninstall(args, format)),
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

fn watch(
    command: &WatchCommand,
    settings: &config::Settings,
    format: commands::Format,
) -> anyhow::Result<u8> {
    match command {
        WatchCommand::Alerts(args) => Alerts {
            filter: args.filter(&settings.enrich.risk),
            since: args.since,
            last: args.last,
        }
        .run(settings, format),
        WatchCommand::Agents(args) => Agents {
            status: args.status.clone(),
            site: args.site.clone(),
            every: args.interval.0,
        }
        .run(settings, format),
    }
}

fn depth(args: &CheckArgs) -> check::Depth {
    match args {
        CheckArgs {
            config_only: true, ..
        } => check::Depth::ConfigOnly,
        CheckArgs { trust: true, .. } => check::Depth::Trust,
        _ => check::Depth::All,
    }
}

fn layout(place: &cli::Place) -> Layout {
    Layout::new(&place.root, Some(&place.home))
}

fn install(args: &cli::InstallArgs, format: commands::Format) -> anyhow::Result<u8> {
    let choice = Choice {
        level: args.level,
        rule_id: args.rule_id.clone(),
        group: args.group.clone(),
        event_location: args.event_location.clone(),
    };
    if args.print_block {
        return installer::print_block(&choice);
    }
    let optional = [
        (args.collect, Service::Collect),
        (args.serve, Service::Serve),
        (args.follow, Service::Follow),
    ];
    let wanted = optional.into_iter().filter(|(is_wanted, _)| *is_wanted);
    let services = wanted.map(|(_, service)| service);
    Install {
        layout: layout(&args.place),
        mode: mode(args.dry_run),
        extent: if args.refresh {
            Extent::Refresh
        } else {
            Extent::Whole
        },
        choice,
        uri: args.uri.clone(),
        password_file: args.password_file.clone(),
        retention: args.retention.clone(),
        services: [Service::Drain].into_iter().chain(services).collect(),
        format,
    }
    .run()
}

fn uninstall(args: &cli::UninstallArgs, format: commands::Format) -> anyhow::Result<u8> {
    let what = if args.purge {
        installer::What::Everything
    } else {
        installer::What::Untouched
    };
    Uninstall {
        layout: layout(&args.place),
        mode: mode(args.dry_run),
        what,
        format,
    }
    .run()
}

fn mode(dry_run: bool) -> installer::Mode {
    if dry_run {
        installer::Mode::Dry
    } else {
        installer::Mode::Do
    }
}

fn place(args: &CheckArgs) -> check::Place {
    check::Place::find(args.root.as_deref(), args.home.as_deref())
}

fn first(args: &FollowArgs) -> First {
    match args.since {
        Some(when) => First::Since(when),
        None if args.from_start => First::Beginning,
        None => First::End,
    }
}

fn backfill(args: &BackfillArgs, format: commands::Format) -> Backfill {
    Backfill {
        paths: args.paths.clone(),
        since: args.since,
        until: args.until,
        what: match args {
            BackfillArgs { dry_run: true, .. } => What::Count,
            BackfillArgs { check: true, .. } => What::Check,
            BackfillArgs { repair: true, .. } => What::Repair,
            _ => What::Store,
        },
        all: args.all,
        rate: args.rate.map(NonZeroU32::get),
        restart: args.restart,
        reach: Reach::All,
        format,
    }
}

fn migrate(args: &MigrateArgs, format: commands::Format) -> Migrate {
    Migrate {
        site: args.site.clone(),
        rate: args.rate.map(NonZeroU32::get),
        mode: if args.dry_run {
            commands::migrate::Mode::Dry
        } else {
            commands::migrate::Mode::Write
        },
        format,
    }
}

fn erase(args: &EraseArgs, format: commands::Format) -> Erase {
    Erase {
        whose: match &args.agent {
            Some(id) => Whose::Agent(id.clone()),
            None => Whose::Person(args.query.clone()),
        },
        site: args.site.clone(),
        mode: if args.dry_run {
            commands::erase::Mode::Dry
        } else {
            commands::erase::Mode::Erase
        },
        format,
    }
}

fn input(file: Option<&std::path::Path>) -> Input {
    match file {
        None => Input::Sample,
        Some(path) if path.as_os_str() == "-" => Input::Stdin,
        Some(path) => Input::File(path.to_owned()),
    }
}

fn run_token(command: &TokenCommand, home: &Home, format: commands::Format) -> anyhow::Result<u8> {
    let tokens = Tokens::open(home, format)?;
    match command {
        TokenCommand::New { name, scope, site } => tokens.make(name, scope, site.as_deref()),
        TokenCommand::List => tokens.list(),
        TokenCommand::Drop { name } => tokens.drop(name),
    }
}

fn wanted(args: &cli::CollectArgs) -> collector::Wanted {
    collector::Wanted {
        agents: args.agents.clone(),
        only: args.only.clone(),
        sites: args.sites.clone(),
        depth: if args.full {
            collect::Depth::Full
        } else {
            collect::Depth::Changes
        },
        mode: if args.dry_run {
            collect::Mode::Dry
        } else {
            collect::Mode::Write
        },
    }
}

fn run_spool(command: &SpoolCommand, spools: &Spools<'_>) -> anyhow::Result<u8> {
    match command {
        SpoolCommand::Status => spools.status(),
        SpoolCommand::List => spools.list(),
        SpoolCommand::Drain { from } => spools.drain(from.as_deref()),
        SpoolCommand::Dead { command } => spools.dead(&match command {
            DeadCommand::List => Dead::List,
            DeadCommand::Show { id } => Dead::Show(id.clone()),
            DeadCommand::Retry { id } => Dead::Retry(id.clone()),
            DeadCommand::Drop { id } => Dead::Drop(id.clone()),
        }),
    }
}
