//! `tgvault restore`: a snapshot, or a part of it, back into a folder.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use serde::Serialize;

use super::cli::Part;
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::{Reporter, seconds};
use super::units;
use crate::model::filter::PathFilter;
use crate::operations::reading_lanes;
use crate::operations::restore::{RestoreOptions, RestoreSummary, restore};
use crate::target::Overwrite;

const EXAMPLES: &str = "\
Examples:
  tgvault restore latest --to restored
  tgvault restore latest --to restored chats/chat_1/photos result.json
  tgvault restore 3f9a --to / --overwrite if-changed --include '*.jpg' --dry-run";

/// Options of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Read this many pieces of the vault at a time instead of two per core (at most 6)
    #[arg(long, value_name = "NUMBER", hide = true, env = "TGVAULT_LANES")]
    pub lanes: Option<usize>,

    /// Which snapshot, and what of it.
    #[command(flatten)]
    pub part: Part,

    /// The folder to restore into; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,

    /// Restore only what matches, in the patterns of `backup --exclude`
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,

    /// Leave out what matches
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// What to do with files that exist already
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::IfChanged, env = "TGVAULT_OVERWRITE")]
    pub overwrite: When,

    /// List what would be restored, and restore nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// When existing files are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Replace them all
    Always,
    /// Replace those whose size or time differs
    IfChanged,
    /// Keep them
    Never,
}

impl From<When> for Overwrite {
    fn from(when: When) -> Self {
        match when {
            When::Always => Self::Always,
            When::IfChanged => Self::IfChanged,
            When::Never => Self::Never,
        }
    }
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    dry_run: bool,
    snapshot: String,
    time: jiff::Timestamp,
    writer: String,
    sequence: u64,
    entries: u64,
    bytes: u64,
    kept: u64,
    problems: u64,
    damaged: u64,
    seconds: f64,
}

/// Runs the restore.
///
/// # Errors
/// When no key fits, the snapshot or the target cannot be used, or the run is interrupted.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let options = RestoreOptions {
        to: args.to.clone(),
        filter: PathFilter::new(&args.include, &args.exclude)?,
        paths: args.part.paths()?,
        overwrite: args.overwrite.into(),
        dry_run: args.dry_run,
        lanes: args.lanes.unwrap_or_else(reading_lanes),
    };
    let session = context.session(Keys::Needed).await?;
    let reporter = Arc::new(Reporter::new(&context.output, "restored", "entry"));
    let choice = args.part.choice();
    let ended = restore(&session, &choice, options, reporter.clone(), context.heeded.stop()).await;
    reporter.finish();
    conclude(&ended?, args, context)
}

fn conclude(summary: &RestoreSummary, args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    let id = summary.snapshot.to_string();
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "restore",
            dry_run: args.dry_run,
            snapshot: id,
            time: summary.time,
            writer: summary.writer.to_string(),
            sequence: summary.sequence,
            entries: summary.entries,
            bytes: summary.bytes,
            kept: summary.kept,
            problems: summary.problems,
            damaged: summary.damaged,
            seconds: seconds(summary.elapsed),
        })?;
    } else {
        output.line(&format!(
            "{} snapshot {} of {}: {}, {} in {}",
            if args.dry_run { "would restore" } else { "restored" },
            super::short_id(&id),
            units::time(summary.time),
            units::counted(summary.entries, "entry"),
            units::bytes(summary.bytes),
            units::duration(summary.elapsed)
        ))?;
        if summary.kept > 0 {
            output.line(&format!("  kept as they were: {}", units::counted(summary.kept, "entry")))?;
        }
        // A store that was set back shows an old head: on a new machine only the user can notice.
        output.say(&format!("  it is number {} of writer {}", summary.sequence, super::short_id(&summary.writer.to_string())));
    }
    if summary.damaged > 0 {
        output.warn(&format!("{} in the vault; nothing wrong was restored", units::counted(summary.damaged, "damaged content")));
        return Ok(Exit::Integrity);
    }
    if summary.problems > 0 {
        output.warn(&format!("{} could not be restored", units::counted(summary.problems, "entry")));
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Done)
}
