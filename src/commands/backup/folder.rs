//! `tgvault backup folder`: save a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::common::{Common, Finished, back_up, conclude, own_folders};
use super::desktop_export;
use super::patterns::Place;
use crate::commands::config::profile::BackupProfile;
use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::pattern_file::read_patterns;
use crate::commands::units;
use crate::model::filter::PathFilter;
use crate::operations::backup::has_earlier;
use crate::source::folder::{FolderOptions, FolderSource};

const EXAMPLES: &str = "\
Examples:
  tgvault backup folder ~/photos --tag monthly
  tgvault backup ~/photos --exclude '*.tmp' --exclude /cache --dry-run
  tgvault backup ~/DataExport_2021-05-04           # imports its chats
  tgvault backup ~/DataExport_2021-05-04 --plain   # as an ordinary folder";

/// Options of `backup folder`, and of `backup` without a kind.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "tgvault backup folder [OPTIONS] <PATH>")]
#[group(skip)]
pub struct Args {
    /// The folder to back up
    #[arg(required = true, value_name = "PATH")]
    pub path: Option<PathBuf>,

    /// Exclude matching files: `*.tmp` anywhere, `/cache` at the top, `a/**/b`; `!keep.tmp` re-includes
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Read exclude patterns from this file, one per line
    #[arg(long = "exclude-file", value_name = "FILE")]
    pub exclude_files: Vec<PathBuf>,

    /// Exclude the contents of folders marked with CACHEDIR.TAG
    #[arg(long)]
    pub exclude_caches: bool,

    /// Exclude files larger than this, such as 4G
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub exclude_larger_than: Option<u64>,

    /// Do not cross into other file systems
    #[arg(long, short = 'x')]
    pub one_file_system: bool,

    /// Ignore changed inode numbers, for mounts that renumber their files each time
    #[arg(long)]
    pub ignore_inode: bool,

    /// Ignore changes of mode, owner or name (ctime) when looking for changed files
    #[arg(long)]
    pub ignore_ctime: bool,

    /// Store a Telegram Desktop export as an ordinary folder instead of importing its chats
    #[arg(long)]
    pub plain: bool,

    /// Import a Telegram Desktop export into this account [default: main]
    #[arg(long, value_name = "NAME", env = "TGVAULT_ACCOUNT", value_parser = desktop_export::parse_account, conflicts_with = "plain")]
    pub account: Option<String>,
}

impl Args {
    /// Refuses options of a folder before the name of a kind of source, where nobody would heed them.
    ///
    /// # Errors
    /// When there are any.
    pub(super) fn refuse(&self) -> Result<(), CommandError> {
        if let Some(path) = &self.path {
            let path = units::printable(&path.to_string_lossy());
            return Err(CommandError::usage(
                format!("'{path}' is not a kind of source"),
                "use `tgvault backup folder PATH`, once for each folder",
            ));
        }
        if self.plain || self.ignore_inode || self.ignore_ctime || !FolderSettings::of(self, &BackupProfile::default()).given().is_empty() {
            return Err(CommandError::usage(
                "an option of `backup folder` comes before the kind of source",
                "put it after the kind: `tgvault backup folder PATH --exclude …`",
            ));
        }
        Ok(())
    }
}

/// Backs up a folder.
///
/// # Errors
/// When vault, folder, state or store cannot be used, or the run is interrupted.
pub async fn run(args: &Args, common: &Common, context: &Context) -> Result<Finished, CommandError> {
    let Some(path) = &args.path else {
        return Err(CommandError::usage("no folder was given", "use `tgvault backup folder PATH`"));
    };
    let session = context.session(Keys::IfGiven).await?;
    let settings = FolderSettings::of(args, &context.settings.backup);
    let folder = settings.options(path, own_folders(context, &session.storage)?)?;
    let source = Arc::new(FolderSource::open(path, folder)?);
    let named = units::printable(&path.to_string_lossy());
    if !args.plain && desktop_export::is_export(path) {
        if has_earlier(&session, source.as_ref()).await? {
            context.output.say(&format!(
                "'{named}' is a Telegram Desktop export, but earlier backups stored it as an ordinary folder, and so does this one; \
                 use `tgvault backup desktop-export` to import its chats"
            ));
        } else if settings.excludes_something() {
            context.output.say(&format!(
                "'{named}' is a Telegram Desktop export, but parts of it are excluded, so it is stored as an ordinary folder"
            ));
        } else {
            let import = desktop_export::Args::plain(path, args.account.clone());
            context.output.say(&format!(
                "'{named}' is a Telegram Desktop export: importing its chats into account '{}' (--plain stores it as a folder)",
                units::printable(import.account(context))
            ));
            let never = own_folders(context, &session.storage)?;
            return desktop_export::take_in(&import, common, context, session, never).await;
        }
    }
    let options = common.options(context, settings.given())?;
    let summary = back_up(context, session, source, options).await?;
    Ok(Finished::of(conclude(&summary, common.dry_run, context)?, &summary))
}

/// What of a folder is saved: the command line over the profile, merged once.
#[derive(Clone, Debug, Default)]
struct FolderSettings {
    exclude: Vec<String>,
    exclude_files: Vec<PathBuf>,
    exclude_caches: bool,
    exclude_larger_than: Option<u64>,
    one_file_system: bool,
    ignore_inode: bool,
    ignore_ctime: bool,
}

impl FolderSettings {
    /// Patterns and their files are one list, which is taken whole from the first that has any.
    fn of(args: &Args, profile: &BackupProfile) -> Self {
        let is_typed = !args.exclude.is_empty() || !args.exclude_files.is_empty();
        let (exclude, exclude_files) = if is_typed {
            (args.exclude.clone(), args.exclude_files.clone())
        } else {
            (profile.exclude.clone().unwrap_or_default(), profile.exclude_file.clone().unwrap_or_default())
        };
        Self {
            exclude,
            exclude_files,
            exclude_caches: args.exclude_caches || profile.exclude_caches.unwrap_or(false),
            exclude_larger_than: args.exclude_larger_than.or(profile.exclude_larger_than.map(|size| size.0)),
            one_file_system: args.one_file_system || profile.one_file_system.unwrap_or(false),
            ignore_inode: args.ignore_inode || profile.ignore_inode.unwrap_or(false),
            ignore_ctime: args.ignore_ctime || profile.ignore_ctime.unwrap_or(false),
        }
    }

    /// Whether anything of the folder might be left out.
    fn excludes_something(&self) -> bool {
        !self.given().is_empty()
    }

    /// The options as the source takes them for the folder at `path`; `never` are folders of tgvault's own.
    fn options(&self, path: &Path, never: Vec<(u64, u64)>) -> Result<FolderOptions, CommandError> {
        let mut patterns = self.exclude.clone();
        for file in &self.exclude_files {
            patterns.extend(read_patterns(file)?);
        }
        let place = Place::of(path)?;
        let patterns = patterns.iter().map(|pattern| place.pattern(pattern)).collect::<Result<Vec<_>, _>>()?;
        Ok(FolderOptions {
            filter: PathFilter::new(&[] as &[String], &patterns)?,
            exclude_caches: self.exclude_caches,
            exclude_larger_than: self.exclude_larger_than,
            one_file_system: self.one_file_system,
            ignore_inode: self.ignore_inode,
            ignore_ctime: self.ignore_ctime,
            never,
        })
    }

    /// The options that decide what the snapshot holds, as they would be typed.
    fn given(&self) -> Vec<String> {
        let patterns = self.exclude.iter().map(|pattern| format!("--exclude={pattern}"));
        let files = self.exclude_files.iter().map(|file| format!("--exclude-file={}", file.display()));
        let flags = [("--exclude-caches", self.exclude_caches), ("--one-file-system", self.one_file_system)];
        let flags = flags.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name.to_owned());
        let size = self.exclude_larger_than.map(|size| format!("--exclude-larger-than={size}"));
        patterns.chain(files).chain(flags).chain(size).collect()
    }
}
