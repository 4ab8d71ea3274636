//! `tgvault rewrite`: takes files and chats out of every snapshot, for good.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::compact::{Rewritten, archives};
use super::context::{Context, Keys, host_name};
use super::error::CommandError;
use super::exit::Exit;
use super::pattern_file::read_patterns;
use super::progress::Reporter;
use super::units;
use crate::model::filter::PathFilter;
use crate::operations::rewrite::{RewriteOptions, RewriteReport, rewrite};

const EXAMPLES: &str = "\
Examples:
  tgvault rewrite --exclude-chat 'Jo Miller' --dry-run
  tgvault rewrite --exclude-chat 'Jo Miller' --yes     # then `tgvault prune`
  tgvault rewrite --exclude '/tax/*.pdf' --exclude passwords.txt --yes";

/// Options of `rewrite`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Take out files that match this pattern, and folders with all that is in them
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Read patterns from this file, one per line
    #[arg(long = "exclude-file", value_name = "FILE")]
    pub exclude_files: Vec<PathBuf>,

    /// Take out this chat, with the media that no other chat shows
    #[arg(long, value_name = "CHAT")]
    pub exclude_chat: Vec<String>,

    /// Show what would be taken out, without changing anything
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Take it out: this cannot be undone
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    dry_run: bool,
    snapshots: u64,
    changed_snapshots: u64,
    entries: u64,
    chats: Vec<String>,
    chat_files: u64,
    changed_imports: u64,
    still_borrowed_archives: u64,
    #[serde(flatten)]
    rewritten: Rewritten<'a>,
}

/// Takes files and chats out of every snapshot.
///
/// # Errors
/// When nothing is named, or neither `--dry-run` nor `--yes` is given; when no key fits, a prune is in progress, a snapshot is missing or
/// cannot be read, an archive is damaged, the store fails, or the run is interrupted.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let mut patterns = args.exclude.clone();
    for file in &args.exclude_files {
        patterns.extend(read_patterns(file)?);
    }
    if patterns.is_empty() && args.exclude_chat.is_empty() {
        return Err(CommandError::usage("there is nothing to take out", "name it with --exclude, --exclude-file or --exclude-chat"));
    }
    if !args.dry_run && !args.yes {
        let hint = "look at it with --dry-run first, then run it with --yes";
        return Err(CommandError::usage("what is taken out of every snapshot cannot be brought back", hint));
    }
    let exclude = PathFilter::new(&[], &patterns)
        .map_err(|error| CommandError::usage(error.to_string(), "see `tgvault backup folder --help` for what patterns mean"))?;
    let session = context.session(Keys::Needed).await?;
    let options = RewriteOptions { exclude: exclude.clone(), chats: args.exclude_chat.clone(), dry_run: args.dry_run, host: host_name()? };
    let reporter = Arc::new(Reporter::new(&context.output, "rewritten", "archive"));
    let ended = rewrite(&session, &options, reporter.clone(), context.heeded.stop_soon()).await;
    reporter.finish();
    let report = ended?;
    let unmatched: Vec<&str> = exclude.unmatched().collect();
    for pattern in &unmatched {
        context.output.warn(&format!("--exclude '{}' matches nothing in any snapshot", units::printable(pattern)));
    }
    tell(&report, args.dry_run, context)?;
    Ok(if unmatched.is_empty() && report.compact.still_borrowed == 0 { Exit::Done } else { Exit::Incomplete })
}

fn tell(report: &RewriteReport, dry_run: bool, context: &Context) -> Result<(), CommandError> {
    let output = &context.output;
    let compact = &report.compact;
    let (changed, entries) = compact.excluded;
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "rewrite",
            dry_run,
            snapshots: compact.snapshots,
            changed_snapshots: changed,
            entries,
            chats: report.chats.keys().map(ToString::to_string).collect(),
            chat_files: report.chat_files,
            changed_imports: report.imports.len() as u64,
            still_borrowed_archives: compact.still_borrowed,
            rewritten: Rewritten::of(compact),
        })?;
        return Ok(());
    }
    for (peer, title) in &report.chats {
        let title = title.as_deref().map(|title| format!(" '{}'", units::printable(title))).unwrap_or_default();
        output.say(&format!("  chat {peer}{title}"));
    }
    if report.chat_files > 0 {
        output.say(&format!("  {} that no other chat shows", units::counted(report.chat_files, "media file")));
    }
    let (of, old) = (units::counted(compact.snapshots, "snapshot"), archives(compact.replaced));
    let what = format!("{} out of {changed} of {of}", units::counted(entries, "entry"));
    if changed == 0 && compact.replaced.archives == 0 {
        output.summary(&format!("nothing to take out of {of}"))?;
    } else if dry_run {
        output.summary(&format!("would take {what}, and rewrite {old}"))?;
    } else {
        output.summary(&format!("took {what}; rewrote {old} as {} in {}", archives(compact.written), units::duration(compact.elapsed)))?;
        output.say(
            "  the old archives are still in the store: `tgvault prune` marks them now, and deletes them when its grace period is over",
        );
        output.say("  exclude the same from backups, or the next one stores it again if the source still has it");
    }
    if !report.imports.is_empty() {
        let files = units::counted(report.imports.len() as u64, "imported file");
        output.warn(&format!("{files} with messages of these chats can no longer be restored with `--as original`"));
    }
    if compact.still_borrowed > 0 {
        let archives = units::counted(compact.still_borrowed, "archive");
        output.warn(&format!("{archives} with what goes must stay: snapshots of other sources use other contents of them"));
    }
    compact.notes.iter().for_each(|note| output.warn(note));
    Ok(())
}
