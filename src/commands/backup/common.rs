//! What all kinds of source share: options, the run, and the report at its end.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::commands::context::{Context, host_name};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::output::Output;
use crate::commands::progress::{Reporter, seconds};
use crate::commands::{secrets, units};
use crate::model::digest::Id;
use crate::operations::backup::{BackupOptions, BackupSummary, Timings, backup};
use crate::operations::status::ledger::Coverage;
use crate::operations::{OperationError, Session, Stop, default_lanes};
use crate::repository::RepositoryError;
use crate::repository::format::snapshot::Counts;
use crate::source::Source;
use crate::source::telegram::Deletions;
use crate::storage::Storage;

/// Of what a folder had, at most this share may be gone without a word.
const MAX_REMOVED_PERCENT: u8 = 50;

/// Options of `backup` whatever the source; they may stand before and after its kind.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Common {
    /// Record this machine name instead of the host name
    #[arg(long, global = true, value_name = "NAME", env = "TGVAULT_HOST")]
    pub host: Option<String>,

    /// Tag the snapshot; may be repeated
    #[arg(long = "tag", global = true, value_name = "TAG")]
    pub tags: Vec<String>,

    /// Read every file again, even if it looks unchanged
    #[arg(long, global = true)]
    pub force_rehash: bool,

    /// Make a snapshot even if most of a folder's files are gone
    ///
    /// Otherwise such a run stops with exit code 17.
    #[arg(long, global = true)]
    pub allow_empty: bool,

    /// Stop if more than this share of a folder is gone [default: 50]
    #[arg(long, global = true, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), conflicts_with = "allow_empty")]
    pub max_removed: Option<u8>,

    /// Show what would be stored, without storing anything
    #[arg(short = 'n', long, global = true)]
    pub dry_run: bool,

    /// Number of archives to build in parallel (default: one per core, at most 3)
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
        let max_removed_percent = (!self.allow_empty).then(|| self.max_removed.unwrap_or(MAX_REMOVED_PERCENT));
        if self.force_rehash {
            given.push("--force-rehash".to_owned());
        }
        Ok(BackupOptions { host, tags, given, force_rehash: self.force_rehash, max_removed_percent, dry_run: self.dry_run, lanes })
    }
}

/// The folders of tgvault itself, which are in no backup.
///
/// # Errors
/// When there is no place for the state.
pub fn own_folders(context: &Context, storage: &Storage) -> Result<Vec<(u64, u64)>, CommandError> {
    // A vault on another machine has no folder here, and so nothing to leave out.
    let own = [Path::new(storage.address()), &context.settings.require_state_dir()?].map(std::fs::metadata);
    Ok(own.into_iter().flatten().map(|meta| (meta.dev(), meta.ino())).collect())
}

/// Runs the operation until it ends or the user wants that; the passphrase authorises a machine that writes for the first time, once.
///
/// # Errors
/// When vault, source, state or store cannot be used, or the run is interrupted.
pub async fn back_up(
    context: &Context,
    session: Session,
    source: Arc<dyn Source>,
    options: BackupOptions,
) -> Result<BackupSummary, CommandError> {
    back_up_until(context.heeded.stop(), context, session, source, options).await
}

/// The same, until `stop` is wanted.
///
/// # Errors
/// As [`back_up`].
pub async fn back_up_until(
    stop: Stop,
    context: &Context,
    mut session: Session,
    source: Arc<dyn Source>,
    options: BackupOptions,
) -> Result<BackupSummary, CommandError> {
    loop {
        let reporter = Arc::new(Reporter::new(&context.output, "saved", "entry"));
        let ended = backup(&session, source.clone(), options.clone(), reporter.clone(), stop.clone()).await;
        reporter.finish();
        match ended {
            Err(OperationError::Repository(RepositoryError::NotAWriter(_))) if session.unlock.is_none() && secrets::can_ask() => {
                context.output.say("first backup from this machine: enter the passphrase once to authorise it");
                session.unlock = Some(context.ask(&session).await?);
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

/// How a backup ended that came to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code.
    pub exit: Exit,
    /// The snapshot and its counts; `None` where nothing was to be stored.
    pub made: Option<(Id, Counts)>,
    /// Of an account: how complete its chats are.
    pub coverage: Option<Coverage>,
    /// Of an account: the deletions that its owner should hear of.
    pub deletions: Option<Deletions>,
}

impl Finished {
    /// Nothing was to be stored.
    pub fn nothing(exit: Exit) -> Self {
        Self { exit, made: None, coverage: None, deletions: None }
    }

    /// What `summary` says was made.
    pub fn of(exit: Exit, summary: &BackupSummary) -> Self {
        Self { exit, made: summary.snapshot.map(|id| (id, summary.counts)), ..Self::nothing(exit) }
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
pub fn conclude_with(
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
        let failed = units::counted(counts.problems, "entry");
        output.warn(&if counts.entries == 0 {
            format!("nothing could be read, so this snapshot is empty: {failed} failed")
        } else {
            format!("{failed} could not be read completely; the vault keeps the last version it has")
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
        let short = snapshot.as_deref().map(units::short_id);
        let what = match short {
            Some(id) => format!("saved snapshot {id}"),
            None => "would save".to_owned(),
        };
        output.summary(&format!(
            "{what}: {}, {} in {}",
            units::counted(counts.entries, "entry"),
            units::bytes(counts.bytes),
            units::duration(summary.elapsed)
        ))?;
        output.summary(&format!(
            "  new or changed: {}, {}; unchanged: {}; removed: {}",
            units::count(counts.new_entries),
            units::bytes(counts.new_bytes),
            units::count(summary.unchanged),
            units::count(counts.removed)
        ))?;
        if snapshot.is_some() {
            output.summary(&format!(
                "  stored: {} in {}",
                units::bytes(counts.stored_bytes),
                units::counted(summary.archives, "archive")
            ))?;
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
