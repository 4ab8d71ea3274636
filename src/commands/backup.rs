//! `tgvault backup`: save a folder.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::context::{Context, Keys, host_name};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::progress::{Reporter, seconds};
use super::{secrets, units};
use crate::model::filter::{PathFilter, pattern_lines};
use crate::operations::backup::{BackupOptions, BackupSummary, Timings, backup};
use crate::operations::{OperationError, Session, default_lanes};
use crate::repository::RepositoryError;
use crate::source::folder::{FolderOptions, FolderSource};
use crate::storage::Storage;

const EXAMPLES: &str = "\
Examples:
  tgvault backup ~/Downloads/Telegram\\ Desktop          with TGVAULT_REPO set
  tgvault --repo /mnt/disk/vault backup folder ~/export --tag monthly
  tgvault backup ~/export --exclude '*.tmp' --exclude /cache --dry-run";

/// Options of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "tgvault backup [OPTIONS] [folder] <PATH>")]
pub struct Args {
    /// The folder to back up; the word `folder` may stand before it
    #[arg(required = true, num_args = 1..=2, value_name = "PATH")]
    pub words: Vec<OsString>,

    /// The machine's name in the snapshot instead of the system's
    #[arg(long, value_name = "NAME", env = "TGVAULT_HOST")]
    pub host: Option<String>,

    /// Give the snapshot this tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,

    /// Leave out what matches: `*.tmp` anywhere, `/cache` at the top, `a/**/b`; `!keep.tmp` takes back
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Leave out what matches the patterns in this file, one a line
    #[arg(long = "exclude-file", value_name = "FILE")]
    pub exclude_files: Vec<PathBuf>,

    /// Of folders with a CACHEDIR.TAG file, keep only that
    #[arg(long)]
    pub exclude_caches: bool,

    /// Leave out files larger than this, as in 4G
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub exclude_larger_than: Option<u64>,

    /// Stay on the file system of the folder
    #[arg(long, short = 'x')]
    pub one_file_system: bool,

    /// Read all files again, also those that look unchanged
    #[arg(long)]
    pub force_rehash: bool,

    /// List what would be stored, and how much it is, and store nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Build this many archives at a time instead of one per core (at most 3)
    #[arg(long, value_name = "NUMBER", hide = true, env = "TGVAULT_LANES")]
    pub lanes: Option<usize>,
}

/// Runs the backup.
///
/// # Errors
/// When vault, folder, state or store cannot be used, or the run is interrupted.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let path = folder_of(&args.words)?;
    let session = context.session(Keys::IfGiven).await?;
    let source = Arc::new(FolderSource::open(path, folder_options(args, context, &session.storage)?)?);
    let options = options(args, context)?;
    let summary = back_up(context, session, source, options).await?;
    conclude(&summary, args.dry_run, context)
}

/// Runs the operation; a machine that writes for the first time is let in by the passphrase, once.
async fn back_up(
    context: &Context,
    mut session: Session,
    source: Arc<FolderSource>,
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

/// The folder out of `[folder] PATH`.
fn folder_of(words: &[OsString]) -> Result<&Path, CommandError> {
    match words {
        [path] if path == "folder" => {
            Err(CommandError::usage("no folder is named", "write `tgvault backup folder PATH`, or ./folder for a folder of that name"))
        }
        [path] => Ok(Path::new(path)),
        [kind, path] if kind == "folder" => Ok(Path::new(path)),
        [first, ..] => Err(CommandError::usage(
            format!("'{}' is not a kind of source", units::printable(&first.to_string_lossy())),
            "write `tgvault backup folder PATH`, and run it once for each folder",
        )),
        [] => Err(CommandError::usage("no folder is named", "write `tgvault backup folder PATH`")),
    }
}

/// What of the folder is saved: the options, and what the profile says where there are none.
fn folder_options(args: &Args, context: &Context, storage: &Storage) -> Result<FolderOptions, CommandError> {
    let profile = &context.settings.backup;
    let is_typed = !args.exclude.is_empty() || !args.exclude_files.is_empty();
    let (mut patterns, files) = if is_typed {
        (args.exclude.clone(), args.exclude_files.clone())
    } else {
        (profile.exclude.clone().unwrap_or_default(), profile.exclude_file.clone().unwrap_or_default())
    };
    for file in &files {
        let text = std::fs::read_to_string(file).map_err(|source| CommandError::file("read", file, source))?;
        patterns.extend(pattern_lines(&text).map(str::to_owned));
    }
    let own = [Path::new(storage.address()), &context.settings.require_state_dir()?].map(std::fs::metadata);
    Ok(FolderOptions {
        filter: PathFilter::new(&[] as &[String], &patterns)?,
        exclude_caches: args.exclude_caches || profile.exclude_caches.unwrap_or(false),
        exclude_larger_than: args.exclude_larger_than.or(profile.exclude_larger_than.map(|size| size.0)),
        one_file_system: args.one_file_system || profile.one_file_system.unwrap_or(false),
        // A vault on another machine has no folder here, and so nothing to leave out.
        never: own.into_iter().flatten().map(|meta| (meta.dev(), meta.ino())).collect(),
    })
}

fn options(args: &Args, context: &Context) -> Result<BackupOptions, CommandError> {
    let profile = &context.settings.backup;
    let host = match args.host.clone().or_else(|| profile.host.clone()) {
        Some(host) => host,
        None => host_name()?,
    };
    let tags = if args.tags.is_empty() { profile.tags.clone().unwrap_or_default() } else { args.tags.clone() };
    let lanes = args.lanes.unwrap_or_else(default_lanes);
    Ok(BackupOptions { host, tags, given: given(args, context), force_rehash: args.force_rehash, dry_run: args.dry_run, lanes })
}

/// The options that decide what the snapshot holds, for its record.
fn given(args: &Args, context: &Context) -> Vec<String> {
    let profile = &context.settings.backup;
    let patterns = if args.exclude.is_empty() && args.exclude_files.is_empty() { profile.exclude.as_ref() } else { Some(&args.exclude) };
    let mut given: Vec<String> = patterns.into_iter().flatten().map(|pattern| format!("--exclude={pattern}")).collect();
    let files = args.exclude_files.iter().map(|file| format!("--exclude-file={}", file.display()));
    given.extend(files);
    let flags = [
        ("--exclude-caches", args.exclude_caches || profile.exclude_caches.unwrap_or(false)),
        ("--one-file-system", args.one_file_system || profile.one_file_system.unwrap_or(false)),
        ("--force-rehash", args.force_rehash),
    ];
    given.extend(flags.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| (*name).to_owned()));
    if let Some(size) = args.exclude_larger_than.or(profile.exclude_larger_than.map(|size| size.0)) {
        given.push(format!("--exclude-larger-than={size}"));
    }
    given
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
pub(super) fn conclude(summary: &BackupSummary, dry_run: bool, context: &Context) -> Result<Exit, CommandError> {
    let counts = &summary.counts;
    let snapshot = summary.snapshot.map(|id| id.to_string());
    let output: &Output = &context.output;
    if output.is_json() {
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
    }
    if counts.problems == 0 {
        return Ok(Exit::Done);
    }
    output.warn(&format!("{} could not be read and kept what the snapshot before had of it", units::counted(counts.problems, "entry")));
    Ok(Exit::Incomplete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_folder_may_stand_before_the_path() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for good in [words(&["x"]), words(&["folder", "x"])] {
            assert_eq!(folder_of(&good).unwrap(), Path::new("x"));
        }
        assert_eq!(folder_of(&words(&["folder", "folder"])).unwrap(), Path::new("folder"));
        for bad in [words(&["folder"]), words(&["a", "b"])] {
            assert_eq!(folder_of(&bad).unwrap_err().exit(), Exit::Usage);
        }
    }
}
