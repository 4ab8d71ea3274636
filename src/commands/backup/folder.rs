//! `tgvault backup folder`: save a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::common::{Common, back_up, conclude, own_folders};
use super::desktop_export;
use super::patterns::Place;
use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units;
use crate::model::filter::{PathFilter, pattern_lines};
use crate::operations::backup::has_earlier;
use crate::source::folder::{FolderOptions, FolderSource};
use crate::storage::Storage;

const EXAMPLES: &str = "\
Examples:
  tgvault backup ~/Downloads/Telegram\\ Desktop          with TGVAULT_REPO set
  tgvault --repo /mnt/disk/vault backup folder ~/export --tag monthly
  tgvault backup ~/export --exclude '*.tmp' --exclude /cache --dry-run
  tgvault backup desktop-export ~/DataExport_2021-05-04  takes the chats of an export in";

/// Options of `backup folder`, and of `backup` without a kind.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "tgvault backup folder [OPTIONS] <PATH>")]
#[group(skip)]
pub struct Args {
    /// The folder to back up
    #[arg(required = true, value_name = "PATH")]
    pub path: Option<PathBuf>,

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

    /// Tell changed files without their inode numbers, for mounts that number them anew each time
    #[arg(long)]
    pub ignore_inode: bool,

    /// Tell changed files without the time of their last change of mode, owner or name (ctime)
    #[arg(long)]
    pub ignore_ctime: bool,

    /// Keep an export of Telegram Desktop as the folder that it is, instead of taking its chats in
    #[arg(long)]
    pub plain: bool,
}

impl Args {
    /// Whether anything of the folder might be left out.
    fn selects(&self, context: &Context) -> bool {
        let profile = &context.settings.backup;
        let is_some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let typed = !self.exclude.is_empty() || !self.exclude_files.is_empty() || self.exclude_larger_than.is_some();
        typed
            || self.exclude_caches
            || self.one_file_system
            || is_some(&profile.exclude)
            || profile.exclude_file.as_ref().is_some_and(|files| !files.is_empty())
            || profile.exclude_larger_than.is_some()
            || profile.exclude_caches == Some(true)
            || profile.one_file_system == Some(true)
    }

    /// Refuses options of a folder before the name of a kind of source, where nobody would heed them.
    ///
    /// # Errors
    /// When there are any.
    pub(super) fn refuse(&self) -> Result<(), CommandError> {
        if let Some(path) = &self.path {
            let path = units::printable(&path.to_string_lossy());
            return Err(CommandError::usage(
                format!("'{path}' is not a kind of source"),
                "write `tgvault backup folder PATH`, and run it once for each folder",
            ));
        }
        let is_given = !self.exclude.is_empty()
            || !self.exclude_files.is_empty()
            || self.exclude_caches
            || self.exclude_larger_than.is_some()
            || self.one_file_system
            || self.ignore_inode
            || self.ignore_ctime
            || self.plain;
        if is_given {
            return Err(CommandError::usage(
                "an option of `backup folder` stands before the kind of source",
                "write it after the kind: `tgvault backup folder PATH --exclude …`",
            ));
        }
        Ok(())
    }
}

/// Backs up a folder.
///
/// # Errors
/// When vault, folder, state or store cannot be used, or the run is interrupted.
pub async fn run(args: &Args, common: &Common, context: &Context) -> Result<Exit, CommandError> {
    let Some(path) = &args.path else {
        return Err(CommandError::usage("no folder is named", "write `tgvault backup folder PATH`"));
    };
    let session = context.session(Keys::IfGiven).await?;
    let folder = folder_options(args, path, context, &session.storage)?;
    let source = Arc::new(FolderSource::open(path, folder)?);
    if !args.plain && desktop_export::is_export(path) {
        let named = units::printable(&path.to_string_lossy());
        if has_earlier(&session, source.as_ref()).await? {
            context.output.say(&format!(
                "'{named}' holds an export of Telegram Desktop, and stays the plain folder that it was in earlier backups; \
                 `tgvault backup desktop-export` takes its chats in"
            ));
        } else if args.selects(context) {
            context.output.say(&format!(
                "'{named}' holds an export of Telegram Desktop, and is kept as a plain folder, because a part of it is left out"
            ));
        } else {
            context.output.say(&format!(
                "'{named}' holds an export of Telegram Desktop: its chats are taken in, as `backup desktop-export` does \
                 (--plain keeps it as a folder)"
            ));
            let never = own_folders(context, &session.storage)?;
            return desktop_export::take_in(&desktop_export::Args::plain(path), common, context, session, never).await;
        }
    }
    let options = common.options(context, given(args, context))?;
    let summary = back_up(context, session, source, options).await?;
    conclude(&summary, common.dry_run, context)
}

/// What of the folder is saved: the options, and what the profile says where there are none.
fn folder_options(args: &Args, path: &Path, context: &Context, storage: &Storage) -> Result<FolderOptions, CommandError> {
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
    let place = Place::of(path)?;
    let patterns = patterns.iter().map(|pattern| place.pattern(pattern)).collect::<Result<Vec<_>, _>>()?;
    Ok(FolderOptions {
        filter: PathFilter::new(&[] as &[String], &patterns)?,
        exclude_caches: args.exclude_caches || profile.exclude_caches.unwrap_or(false),
        exclude_larger_than: args.exclude_larger_than.or(profile.exclude_larger_than.map(|size| size.0)),
        one_file_system: args.one_file_system || profile.one_file_system.unwrap_or(false),
        ignore_inode: args.ignore_inode || profile.ignore_inode.unwrap_or(false),
        ignore_ctime: args.ignore_ctime || profile.ignore_ctime.unwrap_or(false),
        never: own_folders(context, storage)?,
    })
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
    ];
    given.extend(flags.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| (*name).to_owned()));
    if let Some(size) = args.exclude_larger_than.or(profile.exclude_larger_than.map(|size| size.0)) {
        given.push(format!("--exclude-larger-than={size}"));
    }
    given
}
