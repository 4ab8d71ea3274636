//! `tgvault run`: do what the profile says, source by source, into each vault.
//!
//! - [`plan`]: what is to be done, and how a table of the profile becomes the options of `backup`.
//! - [`retention`]: which snapshots go; [`mirrors`]: the copies, after that; [`room`]: how long there is any.
//! - [`aftermath`]: who hears how it ended.
//! - This module does it, and tells of each how it ended.

pub mod aftermath;
mod mirrors;
pub mod plan;
mod retention;
mod room;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::backup;
use super::backup::common::Finished;
use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::telegram::connection::Connection;
use super::units;
use crate::alerts::document;
use crate::crypt::digest::sha256;
use crate::state::Lock;
use plan::{Step, Typed};

const EXAMPLES: &str = "\
Examples:
  tgvault run                          # every source into every vault
  tgvault run telegram:main            # only this source
  tgvault -P family run --repo disk    # only into the vault called disk";

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only these sources, by their names in the profile
    #[arg(value_name = "SOURCE")]
    pub only: Vec<String>,

    /// Show what would be stored, without storing anything
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Record this machine name instead of the host name
    #[arg(long, value_name = "NAME", env = "TGVAULT_HOST")]
    pub host: Option<String>,

    /// Application and server of the accounts.
    #[command(flatten)]
    pub connection: Connection,
}

/// How one step ended.
#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    source: &'a str,
    vault: &'a str,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_because: Option<&'a str>,
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    steps: usize,
    done: usize,
    incomplete: usize,
    failed: usize,
    skipped: usize,
    exit_code: u8,
}

/// How often each kind of end was met.
#[derive(Default)]
struct Tally {
    done: usize,
    incomplete: usize,
    failed: usize,
    skipped: usize,
}

/// Backs up everything that the profile names, and sends the alerts that it asks for. What fails is reported and does not keep the rest
/// from being done.
///
/// # Errors
/// When the profile names nothing, another run of it is in progress, or the hook before it fails.
pub async fn run(args: &Args, contexts: &[Arc<Context>]) -> Result<Exit, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Exit::Done) };
    let steps = plan::steps(args, contexts)?;
    let _lock = lock(first)?;
    if args.dry_run {
        return Ok(each(args, &steps, first).await?.worst);
    }
    let mut ended = match aftermath::before(first).await {
        Ok(()) => each(args, &steps, first).await,
        Err(error) => Err(error),
    };
    if let Ok(ended) = &mut ended
        && ended.worst != Exit::Interrupted
    {
        // Who asks for single sources has a reason to be quick.
        if args.only.is_empty() {
            ended.worst = ended.worst.worse(retention::apply(args, contexts).await);
        }
        if ended.worst != Exit::Interrupted {
            ended.worst = ended.worst.worse(mirrors::update(contexts).await);
        }
        if ended.worst != Exit::Interrupted && args.only.is_empty() {
            room::note(contexts).await;
        }
    }
    aftermath::after(ended.as_ref(), contexts).await;
    ended.map(|ended| ended.worst)
}

/// How all steps ended.
pub struct Ended {
    /// Those that were begun, for documents.
    pub steps: Vec<document::Step>,
    /// The exit code.
    pub worst: Exit,
}

async fn each(args: &Args, steps: &[Step], first: &Context) -> Result<Ended, CommandError> {
    let output = &first.output;
    let (mut tally, mut worst, mut told) = (Tally::default(), Exit::Done, Vec::new());
    // Vaults that cannot be used, with the code that said so.
    let mut unusable: BTreeMap<String, Exit> = BTreeMap::new();
    for (number, step) in (1..).zip(steps) {
        let (source, vault) = (step.source.as_str(), step.vault.as_str());
        if let Some(code) = unusable.get(vault) {
            tell_skipped(step, *code, output)?;
            told.push(aftermath::step(step, *code, None));
            continue;
        }
        output.say(&format!("[{number}/{}] {} → {}", steps.len(), units::printable(source), units::printable(vault)));
        let typed = Typed::of(step, args)?;
        let ended = backup::save(typed.task(), typed.common(), &step.context).await;
        let exit = ended.as_ref().map_or_else(CommandError::exit, |finished| finished.exit);
        match exit {
            Exit::Done => tally.done += 1,
            Exit::Incomplete => tally.incomplete += 1,
            _ => tally.failed += 1,
        }
        worst = worst.worse(exit);
        if let Err(error) = &ended {
            output.fail(error);
            if error.is_of_the_vault() {
                unusable.insert(vault.to_owned(), exit);
            }
        }
        let finished = ended.as_ref().ok();
        tell(step, exit, finished, output)?;
        told.push(aftermath::step(step, exit, finished));
        if exit == Exit::Interrupted {
            break;
        }
    }
    // After an interruption, those that were not begun too.
    tally.skipped = steps.len() - tally.done - tally.incomplete - tally.failed;
    conclude(&tally, steps.len(), worst, output)?;
    Ok(Ended { steps: told, worst })
}

/// Keeps a second run of the same profile out.
fn lock(context: &Context) -> Result<Lock, CommandError> {
    let profile = context.settings.profile.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let name = format!("{}.lock", sha256(profile.as_bytes()));
    Ok(context.state()?.sealed("run")?.lock(&name)?)
}

fn tell(step: &Step, exit: Exit, finished: Option<&Finished>, output: &Output) -> Result<(), CommandError> {
    let (source, vault) = (step.source.as_str(), step.vault.as_str());
    if output.is_json() {
        let snapshot = finished.and_then(|finished| Some(finished.made?.0.to_string()));
        let line = Line { message_type: "run_step", source, vault, exit_code: exit.code(), snapshot, skipped_because: None };
        return output.json(&line);
    }
    if exit != Exit::Done {
        let what = format!("{} → {}: {} (exit code {})", units::printable(source), units::printable(vault), exit.meaning(), exit.code());
        output.warn(&what);
    }
    Ok(())
}

fn tell_skipped(step: &Step, code: Exit, output: &Output) -> Result<(), CommandError> {
    let (source, vault) = (step.source.as_str(), step.vault.as_str());
    if output.is_json() {
        let because = Some("the vault cannot be used");
        let line = Line { message_type: "run_step", source, vault, exit_code: code.code(), snapshot: None, skipped_because: because };
        return output.json(&line);
    }
    output.warn(&format!(
        "{} → {}: skipped, because the vault cannot be used (exit code {})",
        units::printable(source),
        units::printable(vault),
        code.code()
    ));
    Ok(())
}

fn conclude(tally: &Tally, steps: usize, worst: Exit, output: &Output) -> Result<(), CommandError> {
    let Tally { done, incomplete, failed, skipped } = *tally;
    if output.is_json() {
        let exit_code = worst.code();
        return output.json(&Summary { message_type: "summary", command: "run", steps, done, incomplete, failed, skipped, exit_code });
    }
    let mut text = format!("run: {done} of {} done", units::counted(steps as u64, "backup"));
    for (count, what) in [(incomplete, "incomplete"), (failed, "failed"), (skipped, "skipped")] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    output.summary(&text)
}
