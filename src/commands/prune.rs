//! `tgvault prune`: free the space of what no snapshot needs any more.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::context::{Context, Keys, host_name};
use super::error::CommandError;
use super::exit::Exit;
use super::units;
use crate::operations::Session;
use crate::operations::prune::{PruneOptions, PruneReport, prune};

const EXAMPLES: &str = "\
Examples:
  tgvault prune --dry-run            # how much would be freed
  tgvault prune                      # marks, and deletes marks of yesterday
  tgvault prune --grace 0h --alone   # at once, while nothing else writes";

/// Options of `prune`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show what would be deleted and marked, with sizes, without changing anything
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Delete only what was marked at least this long ago
    #[arg(long, value_name = "SPAN", value_parser = units::parse_span, default_value = "24h")]
    pub grace: Duration,

    /// Allow a grace period below 2 hours: no other machine writes to the vault now
    #[arg(long)]
    pub alone: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { dry_run: false, grace: PruneOptions::default().grace, alone: false }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    dry_run: bool,
    snapshots: usize,
    deleted_objects: u64,
    deleted_bytes: u64,
    marked_objects: u64,
    marked_bytes: u64,
    waiting_objects: u64,
    waiting_bytes: u64,
    young_objects: u64,
    young_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
    superseded: usize,
    untrusted: &'a [String],
    waits_for: &'a [String],
    notes: &'a [String],
}

/// Prunes the vault.
///
/// # Errors
/// When no key fits, another prune is in progress, something is missing that nobody has forgotten, or the store fails.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    run_in(args, &session, context).await
}

/// The same with a session that has its key.
///
/// # Errors
/// As [`run`].
pub async fn run_in(args: &Args, session: &Session, context: &Context) -> Result<Exit, CommandError> {
    let host = host_name()?;
    let options = PruneOptions { grace: args.grace, is_alone: args.alone, dry_run: args.dry_run, host };
    let report = prune(session, &options, context.heeded.stop_soon()).await?;
    tell(&report, args.dry_run, context)?;
    Ok(if report.untrusted.is_empty() { Exit::Done } else { Exit::Integrity })
}

fn tell(report: &PruneReport, dry_run: bool, context: &Context) -> Result<(), CommandError> {
    let output = &context.output;
    let PruneReport { deleted, marked, waiting, .. } = report;
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "prune",
            dry_run,
            snapshots: report.kept,
            deleted_objects: deleted.objects,
            deleted_bytes: deleted.bytes,
            marked_objects: marked.objects,
            marked_bytes: marked.bytes,
            waiting_objects: waiting.objects,
            waiting_bytes: waiting.bytes,
            young_objects: report.young.objects,
            young_bytes: report.young.bytes,
            next: report.ripe_at,
            superseded: report.superseded,
            untrusted: &report.untrusted,
            waits_for: &report.waits_for,
            notes: &report.notes,
        })?;
        return Ok(());
    }
    let said =
        |tally: &crate::operations::prune::Tally| format!("{} ({})", units::counted(tally.objects, "object"), units::bytes(tally.bytes));
    for (sort, tally) in &report.sorts {
        output.line(&format!("  {sort}: {}", said(tally)))?;
    }
    let does = if dry_run { ("would delete", "would mark") } else { ("deleted", "marked") };
    output.summary(&format!(
        "{} {}, {} {}; {} kept",
        does.0,
        said(deleted),
        does.1,
        said(marked),
        units::counted(report.kept as u64, "snapshot")
    ))?;
    if waiting.objects > 0 {
        output.line(&format!("  {} marked earlier must wait", said(waiting)))?;
    }
    if report.young.objects > 0 {
        output.line(&format!("  {} younger than the grace period were left alone", said(&report.young)))?;
    }
    if let Some(at) = report.ripe_at.filter(|_| !dry_run) {
        output.say(&format!("  run `tgvault prune` again after {} to delete what is marked", units::time(at)));
    }
    if !report.waits_for.is_empty() {
        let what = units::counted(report.waits_for.len() as u64, "backup");
        output.warn(&format!("what is marked waits for {what} in progress: {}", report.waits_for.join(", ")));
    }
    report.untrusted.iter().for_each(|what| output.warn(&format!("ignored, and not deleted: {what}")));
    report.notes.iter().for_each(|note| output.warn(note));
    Ok(())
}
