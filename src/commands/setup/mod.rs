//! `tgvault setup`: from nothing to backups that make themselves, in one go.
//!
//! - [`answers`]: the few questions, each of which has an option.
//! - [`profile`]: the answers as a profile.
//! - This module does with them what the other commands do: `doctor`, `init`, `run`, `schedule`, `alert`.

pub mod answers;
pub mod profile;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::alert;
use super::context::Context;
use super::doctor;
use super::error::CommandError;
use super::exit::Exit;
use super::init;
use super::output::Output;
use super::run as runs;
use super::schedule;
use super::telegram::connection::Connection;
use crate::repository::{self, RepositoryError};
use crate::storage::StorageError;
use answers::Answers;

const EXAMPLES: &str = "\
Examples:
  tgvault setup                                  # asks
  tgvault --repo /mnt/disk/vault setup --telegram main --schedule daily
  tgvault --repo v setup --folder a --generate-passphrase --sheet s --yes";

/// Options of `setup`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// Back up this Telegram account; may be repeated
    #[arg(long, value_name = "NAME")]
    pub telegram: Vec<String>,

    /// Back up this folder; may be repeated
    #[arg(long, value_name = "PATH")]
    pub folder: Vec<PathBuf>,

    /// Import the Telegram Desktop exports in this folder; may be repeated
    #[arg(long, value_name = "PATH")]
    pub export: Vec<PathBuf>,

    /// The address of the store's server, if it is not the provider's own
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,

    /// The bucket's region
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// A file with the store's credentials, as variables
    #[arg(long, value_name = "FILE", conflicts_with = "aws_profile")]
    pub env_file: Option<PathBuf>,

    /// The AWS profile with the store's credentials
    #[arg(long, value_name = "NAME")]
    pub aws_profile: Option<String>,

    /// How often: daily, weekly, monthly, quarterly, or none
    #[arg(long, value_name = "WHEN")]
    pub schedule: Option<String>,

    /// Ping this address after each run (Healthchecks and the like)
    #[arg(long, value_name = "URL")]
    pub ping: Option<String>,

    /// Send mail here when something fails
    #[arg(long, value_name = "ADDRESS")]
    pub mail_to: Option<String>,

    /// Ask nothing; what has no option and no usual answer is an error
    #[arg(long)]
    pub yes: bool,

    /// Who can open a new vault.
    #[command(flatten)]
    pub init: init::Args,
}

/// Writes the profile at `path`; one that is there is used as it is, if nothing was said that it would have to hold.
///
/// # Errors
/// When a question has no answer, or the profile is there already and the options say something else, or it cannot be written.
pub fn write_profile(args: &Args, repo: Option<&str>, path: &Path, output: &Output) -> Result<(), CommandError> {
    let says_nothing = args.telegram.is_empty() && args.folder.is_empty() && args.export.is_empty();
    if says_nothing && path.exists() {
        output.say(&format!("using the profile {}", path.display()));
        return Ok(());
    }
    profile::write(&Answers::collect(args, repo, output)?, path)?;
    output.say(&format!("wrote the profile {}", path.display()));
    Ok(())
}

/// Does with the profile what it is for: checks, vault, first backup, schedule, test alert.
///
/// # Errors
/// When a check fails, or one of these steps does; what was done until then stays.
pub async fn run(args: &Args, contexts: &[Arc<Context>]) -> Result<Exit, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Exit::Done) };
    let output = &first.output;
    for context in contexts {
        let storage = context.storage()?;
        // A folder that is missing is made by `init` anyway; made before, it can be tried.
        if storage.is_local() && matches!(storage.check().await, Err(StorageError::NoContainer { .. })) {
            storage.prepare().await?;
        }
    }
    step(first, "checking this machine and the store");
    let checked = doctor::run(&doctor::Args { no_speed: false, no_telegram: false, connection: Connection::default() }, contexts).await?;
    if checked != Exit::Done {
        output.warn("fix what failed, then run `tgvault doctor`; the profile is kept, and `tgvault setup` need not ask again");
        return Ok(checked);
    }
    for context in contexts {
        match repository::find(&context.storage()?).await {
            Ok(_) => {}
            Err(RepositoryError::Absent { .. }) => {
                step(first, "creating the vault");
                init::run(&args.init, context).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let backup = runs::Args { only: Vec::new(), dry_run: true, host: None, connection: Connection::default() };
    step(first, "what the first backup will store");
    runs::run(&backup, contexts).await?;
    step(first, "making the first backup; you can interrupt it, and `tgvault run` resumes it");
    let made = runs::run(&runs::Args { dry_run: false, ..backup }, contexts).await?;
    if made == Exit::Interrupted {
        return Ok(made);
    }
    if let Some(when) = answers::schedule(args, output)? {
        step(first, "installing the schedule");
        let install = schedule::Install::usual(&when);
        let action = schedule::Action::Install(Box::new(install));
        schedule::run(&schedule::Args { action }, contexts).await?;
    }
    let has_alerts = first.settings.alerts != Default::default();
    let mut exit = made;
    if has_alerts {
        step(first, "sending a test alert");
        exit = exit.worse(alert::run(&alert::Args { action: alert::Action::Test }, first).await?);
    }
    output.say("\nWhat to do next:");
    output.say("  keep the recovery sheet on paper, away from this machine");
    output.say("  try a restore on another machine once: tgvault restore latest --to restored");
    if !has_alerts {
        output.say("  add [alerts] to the profile to hear when backups stop (docs/guide/automatic.md)");
    }
    output.say("  tgvault status    # how old the backups are");
    Ok(exit)
}

fn step(context: &Context, text: &str) {
    context.output.say(&format!("\n== {text}"));
}
