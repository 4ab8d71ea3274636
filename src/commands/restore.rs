//! `tgvault restore`: a snapshot, or a part of it, back into a folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::arguments::Part;
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::{Reporter, seconds};
use super::span::SpanArgs;
use super::units;
use crate::model::filter::PathFilter;
use crate::model::kinds::KindChoice;
use crate::operations::render::{FileChoice, Form, RenderOptions, render};
use crate::operations::restore::{Made, RestoreOptions, RestoreSummary, restore, restore_fitting};
use crate::operations::snapshot::choice::{Selection, SnapshotChoice, holds_chats};
use crate::operations::{Session, look, reading_lanes};
use crate::repository::RepositoryError;
use crate::repository::format::snapshot::Snapshot;
use crate::storage::{StorageError, refuse_foreign};
use crate::target::Overwrite;

const EXAMPLES: &str = "\
Examples:
  tgvault restore latest --to restored        # chats as JSON and HTML, or files
  tgvault restore latest --to mara --chat Mara --format html --media photos
  tgvault restore latest --to may --chat Mara --from 2024-05-01 --till 2024-05-31
  tgvault restore latest --to march --at 2026-03-01       # as it was then
  tgvault restore latest --to old-export --as original   # an export, byte for byte
  tgvault restore 3f9a --to / --include '*.jpg' --dry-run";

/// Options of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Number of parallel reads from the vault (default: two per core, at most 6)
    #[arg(long, value_name = "NUMBER", hide = true, env = "TGVAULT_LANES")]
    pub lanes: Option<usize>,

    /// Which snapshot, and what of it.
    #[command(flatten)]
    pub part: Part,

    /// The folder to restore into; created if missing
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,

    /// The form to restore
    ///
    /// By default, chats are written the way Telegram Desktop exports them, and everything else as files.
    #[arg(long = "as", value_name = "FORM", value_enum)]
    pub form: Option<As>,

    /// Write JSON, HTML or both
    #[arg(help_heading = "Chats", long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,

    /// Only this chat, by name, @username, ID or link; may be repeated
    #[arg(help_heading = "Chats", long = "chat", value_name = "CHAT", allow_negative_numbers = true)]
    pub chats: Vec<String>,

    /// Only these kinds: photos, videos, voice-messages, video-messages, stickers, gifs, files, music, any, none
    #[arg(help_heading = "Chats", long, value_name = "KINDS", value_delimiter = ',')]
    pub media: Vec<KindChoice>,

    /// Which messages.
    #[command(flatten)]
    pub span: SpanArgs,

    /// With --as original: the import to restore, if there are several [default: the last]
    #[arg(help_heading = "Chats", long, value_name = "NAME")]
    pub import: Option<String>,

    /// Restore only matching files (patterns as for `backup --exclude`)
    #[arg(help_heading = "Files", long, value_name = "PATTERN")]
    pub include: Vec<String>,

    /// Skip matching files
    #[arg(help_heading = "Files", long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Restore the latest snapshot of every source, each into a folder of its own below DIR
    #[arg(long, conflicts_with_all = ["source", "paths"])]
    pub all_sources: bool,

    /// When to replace existing files
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::IfChanged, env = "TGVAULT_OVERWRITE")]
    pub overwrite: When,

    /// Also restore files that a lost part of the vault may have changed or deleted, with `.unproven` added to their names
    #[arg(long, hide_short_help = true)]
    pub unproven: bool,

    /// Show what would be restored, without restoring anything
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// In which form things come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// Like a Telegram Desktop export: result.json, HTML pages, media
    TelegramDesktop,
    /// Chat logs, account data and media as stored
    Raw,
    /// The imported folder, byte for byte
    Original,
    /// Every file in the snapshot as stored
    Files,
}

/// What an export consists of, beside media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Only result.json
    Json,
    /// Only HTML pages
    Html,
    /// Both
    Both,
}

/// When existing files are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Replace all of them
    Always,
    /// Replace those whose size or modification time differs
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
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    dry_run: bool,
    snapshot: String,
    source: &'a str,
    to: &'a Path,
    time: jiff::Timestamp,
    writer: String,
    sequence: u64,
    entries: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chats: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u64>,
    kept: u64,
    problems: u64,
    damaged: u64,
    seconds: f64,
}

impl Args {
    /// Whether options speak of chats.
    fn speaks_of_chats(&self) -> bool {
        !self.chats.is_empty() || !self.media.is_empty() || self.span.narrows() || self.format.is_some()
    }

    /// Whether options speak of single files.
    fn speaks_of_files(&self) -> bool {
        !self.part.paths.is_empty() || !self.include.is_empty() || !self.exclude.is_empty()
    }

    /// The form that the options ask for; `None` where the snapshot decides.
    fn form(&self) -> Result<Option<As>, CommandError> {
        let form = match self.form {
            Some(form) => Some(form),
            None if self.speaks_of_chats() => Some(As::TelegramDesktop),
            None => None,
        };
        let refuse = |what: &str, hint: &str| Err(CommandError::usage(what, hint));
        match form {
            Some(As::Files) if self.speaks_of_chats() => refuse(
                "--as files cannot be combined with options for chats, messages or media",
                "use PATH, --include and --exclude with it",
            ),
            Some(As::Original) if self.speaks_of_chats() => {
                refuse("--as original restores a whole import", "leave out --chat, --media, --format and the time options")
            }
            Some(As::Raw) if self.span.narrows() || self.format.is_some() => {
                refuse("--as raw restores whole logs", "leave out --format, --from, --till, --at, --history and --message")
            }
            Some(As::Raw | As::Original) if self.speaks_of_files() => refuse(
                "PATH, --include and --exclude do not go with --as raw and --as original",
                "use them without --as, or with --as files",
            ),
            Some(form) if form != As::Original && self.import.is_some() => {
                refuse("--import selects an import", "use it with --as original")
            }
            form => Ok(form),
        }
    }

    fn files(&self, to: PathBuf) -> Result<RestoreOptions, CommandError> {
        Ok(RestoreOptions {
            to,
            filter: PathFilter::new(&self.include, &self.exclude)?,
            paths: self.part.paths()?,
            overwrite: self.overwrite.into(),
            unproven: self.unproven,
            dry_run: self.dry_run,
            lanes: self.lanes.unwrap_or_else(reading_lanes),
        })
    }

    fn rendered(&self, form: As, to: PathBuf) -> Result<RenderOptions, CommandError> {
        let format = self.format.unwrap_or(Format::Both);
        let form = match form {
            As::Raw => Form::Raw,
            As::Original => Form::Original { import: self.import.clone() },
            As::TelegramDesktop | As::Files => Form::TelegramDesktop { json: format != Format::Html, html: format != Format::Json },
        };
        Ok(RenderOptions {
            to,
            form,
            chats: self.chats.clone(),
            span: self.span.span()?,
            media: self.media.clone(),
            files: FileChoice { filter: PathFilter::new(&self.include, &self.exclude)?, paths: self.part.paths()? },
            zone: TimeZone::system(),
            overwrite: self.overwrite.into(),
            dry_run: self.dry_run,
            lanes: self.lanes.unwrap_or_else(reading_lanes),
        })
    }
}

/// Refuses a target that is no folder to whoever typed it: plain text would lie in a place that nobody looks at. One that is there already
/// is taken for what it is.
fn refuse_address(to: &Path) -> Result<(), CommandError> {
    let Some(text) = to.to_str().filter(|_| !to.exists()) else { return Ok(()) };
    let no_folder = || {
        CommandError::usage(
            format!("'{}' is an address, and --to takes a folder", units::printable(text)),
            "restore into a folder of this machine, and copy it from there",
        )
    };
    if text.contains("://") {
        return Err(no_folder());
    }
    refuse_foreign(text).map_err(|error| match error {
        StorageError::Address { reason } => CommandError::usage(
            format!("--to takes a folder: {}", units::printable(&reason)),
            "restore into a folder of this machine, and copy it from there",
        ),
        error => error.into(),
    })
}

/// Runs the restore.
///
/// # Errors
/// When no key fits, the snapshot or the target cannot be used, or the run is interrupted.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let form = args.form()?;
    refuse_address(&args.to)?;
    if args.all_sources && args.part.snapshot != "latest" {
        return Err(CommandError::usage("--all-sources restores the latest snapshot of each source", "use it with `restore latest`"));
    }
    // Wrong options are reported before anybody types a passphrase.
    args.files(PathBuf::new())?;
    args.rendered(As::TelegramDesktop, PathBuf::new())?;
    let session = context.session(Keys::Needed).await?;
    if !args.all_sources {
        return one(args, form, &args.part.choice(), args.to.clone(), &session, context).await;
    }
    let mut exit = Exit::Done;
    let mut taken = HashSet::new();
    for snapshot in newest_of_each(&session, args).await? {
        let to = args.to.join(folder_name(&snapshot, &mut taken));
        // Of an account, what other machines stored belongs to its latest state.
        let choice = match holds_chats(&snapshot) {
            true => {
                let among = Selection { source: Some(snapshot.source.to_string()), ..args.part.select.selection() };
                SnapshotChoice { wanted: "latest".to_owned(), among }
            }
            false => SnapshotChoice::of(&snapshot),
        };
        let ended = one(args, form, &choice, to.clone(), &session, context).await?;
        exit = exit.worse(ended);
    }
    Ok(exit)
}

/// Restores one snapshot into a folder, and tells what it did.
async fn one(
    args: &Args,
    form: Option<As>,
    choice: &SnapshotChoice,
    to: PathBuf,
    session: &Session,
    context: &Context,
) -> Result<Exit, CommandError> {
    let (files, rendered) = (args.files(to.clone())?, args.rendered(form.unwrap_or(As::TelegramDesktop), to.clone())?);
    let reporter = Arc::new(Reporter::new(&context.output, "restored", "entry"));
    let (events, stop) = (reporter.clone(), context.heeded.stop_soon());
    let made = match form {
        Some(As::Files) => restore(session, choice, files, events, stop).await.map(Made::Files),
        Some(_) => render(session, choice, rendered, events, stop).await.map(Made::Rendered),
        None => restore_fitting(session, choice, files, rendered, events, stop).await,
    };
    reporter.finish();
    let (summary, chats) = match made? {
        Made::Files(summary) => (summary, None),
        Made::Rendered(made) => (made.restored, Some((made.chats, made.messages))),
    };
    let has_others = !args.all_sources && args.part.snapshot == "latest" && args.part.select.source.is_none();
    // JSON lines end with the summary.
    if has_others && context.output.is_json() {
        tell_others(&summary.source, summary.sequence, args, session, context).await?;
    }
    let exit = conclude(&summary, chats, &to, args, context)?;
    if has_others && !context.output.is_json() {
        tell_others(&summary.source, summary.sequence, args, session, context).await?;
    }
    Ok(exit)
}

/// The newest complete snapshot of each source, of each machine, the newest first.
async fn newest_of_each(session: &Session, args: &Args) -> Result<Vec<Snapshot>, CommandError> {
    let listed = look::snapshots(session, &args.part.select.selection(), false).await?.snapshots;
    let mut seen = HashSet::new();
    let newest = listed.into_iter().rev().map(|row| row.snapshot).filter(|snapshot| {
        // An account is one, whatever machine saved it; a folder belongs to its machine.
        let host = if holds_chats(snapshot) { "" } else { &snapshot.host };
        seen.insert((snapshot.source.to_string(), host.to_owned()))
    });
    let newest: Vec<Snapshot> = newest.collect();
    if newest.is_empty() {
        return Err(RepositoryError::NoSnapshot { wanted: "latest".into() }.into());
    }
    Ok(newest)
}

/// A folder's name for a source: letters and digits of what it is called.
fn folder_name(snapshot: &Snapshot, taken: &mut HashSet<String>) -> String {
    let words = snapshot.source.to_string();
    let words = words.split(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).filter(|word| !word.trim_matches('.').is_empty());
    let mut name = words.collect::<Vec<_>>().join("-");
    if name.is_empty() {
        name = snapshot.id.to_string();
    }
    let name: String = name.chars().take(80).collect();
    let mut free = name.clone();
    for number in 2.. {
        if taken.insert(free.to_lowercase()) {
            break;
        }
        free = format!("{name}-{number}");
    }
    free
}

/// Says what else the vault has: `latest` is of one source.
async fn tell_others(source: &str, sequence: u64, args: &Args, session: &Session, context: &Context) -> Result<(), CommandError> {
    if look::is_one_chain(session, sequence).await? {
        return Ok(());
    }
    let others = newest_of_each(session, args).await?;
    let others: Vec<String> = others
        .iter()
        .filter(|other| other.source.to_string() != source)
        .map(|other| format!("{} ({})", other.source, units::time(other.time)))
        .collect();
    if !others.is_empty() {
        context.output.say(&format!("  the vault also has: {}; restore one with --source, or all with --all-sources", others.join(", ")));
    }
    Ok(())
}

fn conclude(summary: &RestoreSummary, chats: Option<(u64, u64)>, to: &Path, args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    let id = summary.snapshot.to_string();
    let tell_rest = || {
        if summary.damaged > 0 {
            let damaged = units::counted(summary.damaged, "damaged file");
            output.warn(&format!("{damaged} in the vault could not be restored; no damaged data was written"));
            Exit::Integrity
        } else if summary.entries + summary.kept == 0 && !args.include.is_empty() {
            output.warn("no file in the snapshot matches --include");
            Exit::Incomplete
        } else if summary.problems > 0 {
            output.warn(&format!("{} could not be restored", units::counted(summary.problems, "entry")));
            Exit::Incomplete
        } else {
            Exit::Done
        }
    };
    let mut exit = None;
    if output.is_json() {
        // The summary is the last line.
        exit = Some(tell_rest());
        output.json(&Summary {
            message_type: "summary",
            command: "restore",
            dry_run: args.dry_run,
            snapshot: id,
            source: &summary.source,
            to,
            time: summary.time,
            writer: summary.writer.to_string(),
            sequence: summary.sequence,
            entries: summary.entries,
            bytes: summary.bytes,
            chats: chats.map(|(chats, _)| chats),
            messages: chats.map(|(_, messages)| messages),
            kept: summary.kept,
            problems: summary.problems,
            damaged: summary.damaged,
            seconds: seconds(summary.elapsed),
        })?;
    } else {
        let messages = match chats {
            Some((chats, messages)) if chats > 0 => {
                format!("{} with {}, ", units::counted(chats, "chat"), units::counted(messages, "message"))
            }
            _ => String::new(),
        };
        output.summary(&format!(
            "{} snapshot {} of {} from {}: {messages}{}, {} in {}",
            if args.dry_run { "would restore" } else { "restored" },
            units::short_id(&id),
            units::printable(&summary.source),
            units::time(summary.time),
            units::counted(summary.entries, "entry"),
            units::bytes(summary.bytes),
            units::duration(summary.elapsed)
        ))?;
        if summary.kept > 0 {
            output.summary(&format!("  skipped because they exist: {}", units::counted(summary.kept, "entry")))?;
        }
        // A store that was set back shows an old head: on a new machine only the user can notice.
        output.say(&format!("  snapshot number {} of writer {}", summary.sequence, units::short_id(&summary.writer.to_string())));
    }
    Ok(exit.unwrap_or_else(tell_rest))
}
