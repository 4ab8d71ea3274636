//! `tgvault backup`: save what a source has: a [`folder`], a [`telegram`] account, or a [`desktop_export`].
//!
//! Every kind of source is a command of its own below `backup`, in a file of its own here; `backup PATH` is short for
//! `backup folder PATH`. What they share stands in this file: the options, the run, and what is told at its end.

pub mod desktop_export;
pub mod folder;
pub mod telegram;

use std::sync::Arc;

use serde::Serialize;

use super::context::{Context, host_name};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::progress::{Reporter, seconds};
use super::{secrets, units};
use crate::operations::backup::{BackupOptions, BackupSummary, Timings, backup};
use crate::operations::{OperationError, Session, default_lanes};
use crate::repository::RepositoryError;
use crate::source::Source;

const EXAMPLES: &str = "\
Examples:
  tgvault backup telegram                               with TGVAULT_REPO set, after `tgvault login`
  tgvault --repo /mnt/disk/vault backup folder ~/export --tag monthly
  tgvault backup ~/export --exclude '*.tmp' --exclude /cache --dry-run";

/// Options of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "tgvault backup [OPTIONS] <PATH>\n       tgvault backup <COMMAND> [OPTIONS]",
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "Kinds of source"
)]
pub struct Args {
    /// The kind of source; without one, a folder.
    #[command(subcommand)]
    pub kind: Option<Kind>,
    /// What all kinds understand.
    #[command(flatten)]
    pub common: Common,
    /// A folder, named without its kind.
    #[command(flatten)]
    pub folder: folder::Args,
}

/// The kinds of source.
#[derive(Debug, clap::Subcommand)]
pub enum Kind {
    /// Back up a folder; `backup PATH` is the same
    Folder(folder::Args),
    /// Take an export of Telegram Desktop in: its chats join those of an account
    DesktopExport(desktop_export::Args),
    /// Back up a Telegram account
    Telegram(Box<telegram::Args>),
}

/// Options of `backup` whatever the source; they may stand before and after its kind.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Common {
    /// The machine's name in the snapshot instead of the system's
    #[arg(long, global = true, value_name = "NAME", env = "TGVAULT_HOST")]
    pub host: Option<String>,

    /// Give the snapshot this tag; may be given several times
    #[arg(long = "tag", global = true, value_name = "TAG")]
    pub tags: Vec<String>,

    /// Read everything again, also what looks unchanged
    #[arg(long, global = true)]
    pub force_rehash: bool,

    /// List what would be stored, and how much it is, and store nothing
    #[arg(short = 'n', long, global = true)]
    pub dry_run: bool,

    /// Build this many archives at a time instead of one per core (at most 3)
    #[arg(long, global = true, value_name = "NUMBER", hide = true, env = "TGVAULT_LANES")]
    pub lanes: Option<usize>,
}

impl Common {
    /// The options as the operation takes them, laid over the profile; `given` is what the source's own options were.
    ///
    /// # Errors
    /// When this machine has no name.
    pub fn options(&self, context: &Context, mut given: Vec<String>) -> Result<BackupOptions, CommandError> {
        let profile = &context.settings.backup;
        let host = match self.host.clone().or_else(|| profile.host.clone()) {
            Some(host) => host,
            None => host_name()?,
        };
        let tags = if self.tags.is_empty() { profile.tags.clone().unwrap_or_default() } else { self.tags.clone() };
        let lanes = self.lanes.unwrap_or_else(default_lanes);
        if self.force_rehash {
            given.push("--force-rehash".to_owned());
        }
        Ok(BackupOptions { host, tags, given, force_rehash: self.force_rehash, dry_run: self.dry_run, lanes })
    }
}

/// Runs the backup.
///
/// # Errors
/// When vault, source, state or store cannot be used, or the run is interrupted.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let common = &args.common;
    match &args.kind {
        None => folder::run(&args.folder, common, context).await,
        Some(kind) => {
            args.folder.refuse()?;
            match kind {
                Kind::Folder(args) => folder::run(args, common, context).await,
                Kind::DesktopExport(args) => desktop_export::run(args, common, context).await,
                Kind::Telegram(args) => telegram::run(args, common, context).await,
            }
        }
    }
}

/// Runs the operation; a machine that writes for the first time is let in by the passphrase, once.
///
/// # Errors
/// When vault, source, state or store cannot be used, or the run is interrupted.
pub async fn back_up(
    context: &Context,
    mut session: Session,
    source: Arc<dyn Source>,
    options: BackupOptions,
) -> Result<BackupSummary, CommandError> {
    loop {
        let reporter = Arc::new(Reporter::new(&context.output, "saved", "entry"));
        let ended = backup(&session, source.clone(), options.clone(), reporter.clone(), context.heeded.stop()).await;
        reporter.finish();
        match ended {
            Err(OperationError::Repository(RepositoryError::NotAWriter(_))) if session.unlock.is_none() && secrets::can_ask() => {
                context.output.say("this machine writes to the vault for the first time and has to be let in");
                session.unlock = Some(context.ask(&session.storage)?);
            }
            ended => return Ok(ended?),
        }
    }
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    entries: u64,
    bytes: u64,
    new_entries: u64,
    new_bytes: u64,
    stored_bytes: u64,
    unchanged: u64,
    removed: u64,
    problems: u64,
    archives: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<Stages>,
}

/// Seconds that all lanes together spent in each stage.
#[derive(Serialize)]
struct Stages {
    read: f64,
    hash: f64,
    compress: f64,
    check: f64,
    seal: f64,
}

impl From<Timings> for Stages {
    fn from(timings: Timings) -> Self {
        Self {
            read: seconds(timings.read),
            hash: seconds(timings.hash),
            compress: seconds(timings.compress),
            check: seconds(timings.check),
            seal: seconds(timings.seal),
        }
    }
}

/// Tells what the backup did, and gives its exit code.
///
/// # Errors
/// When standard output cannot be written.
pub fn conclude(summary: &BackupSummary, dry_run: bool, context: &Context) -> Result<Exit, CommandError> {
    conclude_with(summary, dry_run, context, Ok)
}

/// As [`conclude`], with more to tell by `rest`, which gets the exit code so far and gives the last word on it. For people it comes at the
/// end; of JSON lines the summary is the last.
///
/// # Errors
/// When standard output cannot be written, or `rest` fails.
fn conclude_with(
    summary: &BackupSummary,
    dry_run: bool,
    context: &Context,
    rest: impl FnOnce(Exit) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let counts = &summary.counts;
    let snapshot = summary.snapshot.map(|id| id.to_string());
    let output: &Output = &context.output;
    let tell_rest = || {
        if counts.problems == 0 {
            return rest(Exit::Done);
        }
        output.warn(&if counts.entries == 0 {
            format!("nothing could be read: this snapshot is empty; {} failed", units::counted(counts.problems, "entry"))
        } else {
            format!("{} could not be read whole; what a snapshot before has of it is kept", units::counted(counts.problems, "entry"))
        });
        rest(Exit::Incomplete)
    };
    if output.is_json() {
        let exit = tell_rest()?;
        output.json(&Summary {
            message_type: "summary",
            command: "backup",
            dry_run,
            snapshot,
            entries: counts.entries,
            bytes: counts.bytes,
            new_entries: counts.new_entries,
            new_bytes: counts.new_bytes,
            stored_bytes: counts.stored_bytes,
            unchanged: summary.unchanged,
            removed: counts.removed,
            problems: counts.problems,
            archives: summary.archives,
            seconds: seconds(summary.elapsed),
            timings: context.timings.then(|| summary.timings.into()),
        })?;
        Ok(exit)
    } else {
        let short = snapshot.as_deref().map(super::short_id);
        let what = match short {
            Some(id) => format!("saved snapshot {id}"),
            None => "would save".to_owned(),
        };
        output.line(&format!(
            "{what}: {}, {} in {}",
            units::counted(counts.entries, "entry"),
            units::bytes(counts.bytes),
            units::duration(summary.elapsed)
        ))?;
        output.line(&format!(
            "  new or changed: {}, {}; unchanged: {}; removed: {}",
            units::count(counts.new_entries),
            units::bytes(counts.new_bytes),
            units::count(summary.unchanged),
            units::count(counts.removed)
        ))?;
        if snapshot.is_some() {
            output.line(&format!("  stored: {} in {}", units::bytes(counts.stored_bytes), units::counted(summary.archives, "archive")))?;
        }
        if context.timings {
            let Timings { read, hash, compress, check, seal } = summary.timings;
            output.say(&format!(
                "  time of all lanes: read {read:.1?}, hash {hash:.1?}, compress {compress:.1?}, check {check:.1?}, seal {seal:.1?}"
            ));
        }
        tell_rest()
    }
}
