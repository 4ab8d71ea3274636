//! `tgvault compact`: few archives in the place of many, without what no snapshot shows.

use std::sync::Arc;

use serde::Serialize;

use super::context::{Context, Keys, host_name};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::{Reporter, seconds};
use super::units;
use crate::operations::compact::{CompactOptions, CompactReport, Tally, compact};

const EXAMPLES: &str = "\
Examples:
  tgvault compact --dry-run                       # what would be rewritten
  tgvault compact                                 # after forget, and before prune
  tgvault compact --max-unused 5 --max-repack 10G";

/// Options of `compact`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show what would be rewritten, with sizes, without changing anything
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Rewrite archives of whose content more than this share is in no snapshot
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent, default_value = "20")]
    pub max_unused: f64,

    /// Merge archives that are smaller than this
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, default_value = "16M")]
    pub small: u64,

    /// Rewrite at most so many bytes of archives
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub max_repack: Option<u64>,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    dry_run: bool,
    snapshots: u64,
    archives: u64,
    archive_bytes: u64,
    unused_bytes: u64,
    #[serde(flatten)]
    rewritten: Rewritten<'a>,
}

/// Which archives were rewritten: what the summaries of `compact` and `rewrite` have in common.
#[derive(Serialize)]
pub(super) struct Rewritten<'a> {
    replaced_archives: u64,
    replaced_bytes: u64,
    written_archives: u64,
    written_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    notes: &'a [String],
    seconds: f64,
}

impl<'a> Rewritten<'a> {
    pub(super) fn of(report: &'a CompactReport) -> Self {
        let CompactReport { replaced, written, record, notes, elapsed, .. } = report;
        Self {
            replaced_archives: replaced.archives,
            replaced_bytes: replaced.bytes,
            written_archives: written.archives,
            written_bytes: written.bytes,
            record: record.as_deref(),
            notes,
            seconds: seconds(*elapsed),
        }
    }
}

/// Archives as people read it: how many, and how long.
pub(super) fn archives(tally: Tally) -> String {
    format!("{} ({})", units::counted(tally.archives, "archive"), units::bytes(tally.bytes))
}

/// Compacts the vault.
///
/// # Errors
/// When no key fits, a prune is in progress, a snapshot is missing or cannot be read, an archive is damaged, the store fails, or the run is
/// interrupted.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let options = CompactOptions {
        max_unused_percent: args.max_unused,
        small_bytes: args.small,
        max_repack: args.max_repack,
        dry_run: args.dry_run,
        host: host_name()?,
        ..CompactOptions::default()
    };
    let reporter = Arc::new(Reporter::new(&context.output, "compacted", "archive"));
    let ended = compact(&session, &options, reporter.clone(), context.heeded.stop_soon()).await;
    reporter.finish();
    tell(&ended?, args.dry_run, context)
}

fn tell(report: &CompactReport, dry_run: bool, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "compact",
            dry_run,
            snapshots: report.snapshots,
            archives: report.archives.archives,
            archive_bytes: report.archives.bytes,
            unused_bytes: report.unused_bytes,
            rewritten: Rewritten::of(report),
        })?;
        return Ok(Exit::Done);
    }
    let (all, old) = (archives(report.archives), archives(report.replaced));
    if report.replaced.archives == 0 {
        output.summary(&format!("nothing to compact in {all} of {}", units::counted(report.snapshots, "snapshot")))?;
    } else if dry_run {
        let unused = units::bytes(report.unused_bytes);
        output.summary(&format!("would rewrite {old} of {all}; {unused} of their content are in no snapshot"))?;
    } else {
        let new = archives(report.written);
        output.summary(&format!("rewrote {old} of {all} as {new} in {}", units::duration(report.elapsed)))?;
        output.say("  the old archives stay until `tgvault prune` deletes them");
    }
    report.notes.iter().for_each(|note| output.warn(note));
    Ok(Exit::Done)
}
