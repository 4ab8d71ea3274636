//! The command line: the only place that reads the terminal, the environment and the user's home.
//!
//! - [`cli`]: what can be typed; [`arguments`]: what several commands take; [`config`]: what holds, out of command line, environment and profile.
//! - [`secrets`], [`keyring`], [`passphrase`]: how keys come in; [`sheet`]: the recovery sheet.
//! - [`telegram`]: what all commands share that act for a Telegram account; [`reading`]: those that read stored chats; [`span`]: times.
//! - [`output`], [`progress`], [`logging`], [`units`]: how a run speaks; [`error`], [`exit`], [`interrupt`]: how it ends; [`room`]: whether it can begin; [`program`]: all of it; [`service`]: what the service manager is told.
//! - one file a command: its options, the operation it calls, what it prints.

pub mod arguments;
pub mod cli;
pub mod config;
pub mod context;
pub mod error;
pub mod exit;
pub mod interrupt;
pub mod keep;
pub mod keyring;
pub mod logging;
pub mod outage;
pub mod output;
pub mod passphrase;
mod pattern_file;
pub mod program;
pub mod progress;
pub mod reading;
pub mod room;
pub mod secrets;
pub mod service;
pub mod sheet;
pub mod span;
pub mod telegram;
pub mod units;
pub mod unknown;

pub mod accounts;
pub mod alert;
pub mod backup;
pub mod browse;
pub mod cache;
pub mod cat;
pub mod chats;
pub mod compact;
pub mod completions;
pub mod copy;
pub mod coverage;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod drill;
pub mod find;
mod forecast;
pub mod forget;
pub mod init;
pub mod key;
pub mod login;
pub mod logout;
pub mod ls;
pub mod man;
mod mount;
pub mod prune;
pub mod recovery_sheet;
pub mod repair;
pub mod restore;
pub mod rewrite;
pub mod run;
pub mod save;
pub mod schedule;
pub mod search;
pub mod setup;
pub mod snapshots;
pub mod stats;
pub mod status;
pub mod unlock;
pub mod verify;
pub mod watch;

use std::sync::Arc;

use clap::ArgMatches;

use cli::{Cli, Command};
use config::Settings;
use config::error::ConfigError;
use config::profile::Places;
use context::Context;
use error::CommandError;
use exit::Exit;
use interrupt::Heeded;
use output::Output;

/// Runs what was typed.
///
/// # Errors
/// Whatever ends the command without its result.
pub async fn run(cli: &Cli, matches: &ArgMatches, output: &Output, heeded: Heeded) -> Result<Exit, CommandError> {
    logging::start(cli.global.verbose, output)?;
    match &cli.command {
        Command::Completions(completions::Args { shell: Some(shell), .. }) => return completions::run(*shell, cli::parser(), output),
        Command::Man(args) => return man::run(args, cli::parser(), output),
        _ => {}
    }
    let places = Places::of_process();
    if let Command::Setup(args) = &cli.command {
        let path = places.new_profile(cli.global.profile.as_deref()).ok_or(ConfigError::NoHome)?;
        setup::write_profile(args, cli.global.repo.as_deref(), &path, output)?;
    }
    if is_about_all_vaults(&cli.command) {
        let all = Settings::resolve_all(&cli.global, matches, &places)?;
        let contexts: Vec<_> = all.into_iter().map(|settings| context(cli, settings, output, &heeded)).collect();
        return for_all(&cli.command, &contexts, output).await;
    }
    let settings = Settings::resolve(&cli.global, matches, &places)?;
    // Where a file's content goes to standard output, nothing else may.
    let output = if matches!(cli.command, Command::Cat(_)) { output.data_only() } else { output.clone() };
    let context = context(cli, settings, &output, &heeded);
    match &cli.command {
        Command::Init(args) => init::run(args, &context).await,
        Command::Backup(args) => backup::run(args, &context).await,
        Command::Login(args) => login::run(args, &context).await,
        Command::Logout(args) => logout::run(args, &context).await,
        Command::Accounts(args) => accounts::run(args, &context).await,
        Command::Chats(args) => chats::run(args, &context).await,
        Command::Save(args) => save::run(args, &context).await,
        Command::Coverage(args) => coverage::run(args, &context).await,
        Command::Restore(args) => restore::run(args, &context).await,
        Command::Cache(args) => cache::run(args, &context),
        Command::Cat(args) => cat::run(args, &context).await,
        Command::Browse(args) => browse::run(args, &context).await,
        Command::Mount(args) => mount::run(args, &context).await,
        Command::Key(args) => key::run(args, &context).await,
        Command::Copy(args) => {
            let target = Settings::resolve_target(&cli.global, matches, &places, &args.to, args.unlock.source())?;
            copy::run(args, &context, &context.clone_with(target)).await
        }
        Command::RecoverySheet(args) => recovery_sheet::run(args, &context).await,
        Command::Repair(args) => match &args.from {
            Some(from) => {
                let copy = Settings::resolve_target(&cli.global, matches, &places, from, None)?;
                repair::from_copy(args, &context, &context.clone_with(copy)).await
            }
            None => repair::run(&context).await,
        },
        Command::Forget(args) => forget::run(args, &context).await,
        Command::Prune(args) => prune::run(args, &context).await,
        Command::Compact(args) => compact::run(args, &context).await,
        Command::Rewrite(args) => rewrite::run(args, &context).await,
        Command::Unlock(args) => unlock::run(args, &context).await,
        Command::Snapshots(args) => snapshots::run(args, &context).await,
        Command::Ls(args) => ls::run(args, &context).await,
        Command::Find(args) => find::run(args, &context).await,
        Command::Search(args) => search::run(args, &context).await,
        Command::Diff(args) => diff::run(args, &context).await,
        Command::Stats(args) => stats::run(args, &context).await,
        Command::Watch(args) => watch::run(args, &context).await,
        Command::Demo(args) => demo::run(args, &context).await,
        Command::Alert(args) => alert::run(args, &context).await,
        Command::Config(_) => config::show::run(&context.settings, &context.output),
        Command::Completions(_) => completions::snapshots(&context),
        // They were run before.
        Command::Run(_)
        | Command::Status(_)
        | Command::Doctor(_)
        | Command::Drill(_)
        | Command::Schedule(_)
        | Command::Setup(_)
        | Command::Verify(_)
        | Command::Man(_) => Ok(Exit::Done),
    }
}

/// Whether a command is about every vault of the profile, unless one is named.
fn is_about_all_vaults(command: &Command) -> bool {
    matches!(
        command,
        Command::Run(_)
            | Command::Status(_)
            | Command::Doctor(_)
            | Command::Drill(_)
            | Command::Schedule(_)
            | Command::Setup(_)
            | Command::Verify(_)
            | Command::Config(config::Action::Check)
    )
}

/// Runs such a command.
async fn for_all(command: &Command, contexts: &[Arc<Context>], output: &Output) -> Result<Exit, CommandError> {
    match command {
        Command::Run(args) => run::run(args, contexts).await,
        Command::Status(args) => status::run(args, contexts).await,
        Command::Doctor(args) => doctor::run(args, contexts).await,
        Command::Drill(args) => drill::run(args, contexts).await,
        Command::Schedule(args) => schedule::run(args, contexts).await,
        Command::Setup(args) => setup::run(args, contexts).await,
        Command::Verify(args) => verify::all(args, contexts).await,
        _ => config::check::run(contexts, output),
    }
}

fn context(cli: &Cli, settings: Settings, output: &Output, heeded: &Heeded) -> Arc<Context> {
    let (output, heeded) = (output.clone(), heeded.clone());
    Arc::new(Context { settings, output, heeded, no_cache: cli.global.no_cache, timings: cli.global.timings })
}
