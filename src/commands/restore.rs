//! `tgvault restore`: a snapshot, or a part of it, back into a folder.

use std::path::PathBuf;
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
use crate::operations::reading_lanes;
use crate::operations::render::{Form, RenderOptions, render};
use crate::operations::restore::{Made, RestoreOptions, RestoreSummary, restore, restore_fitting};
use crate::target::Overwrite;

const EXAMPLES: &str = "\
Examples:
  tgvault restore latest --to restored
  tgvault restore latest --to restored chats/chat_1/photos result.json
  tgvault restore 3f9a --to / --overwrite if-changed --include '*.jpg' --dry-run

Of a Telegram account or export:
  tgvault restore latest --to readable                     result.json, HTML pages and media
  tgvault restore latest --to mara --chat Mara --format html --media photos,videos
  tgvault restore latest --to may --chat @hikers --from 2024-05-01 --till 2024-05-31
  tgvault restore latest --to then --at 2026-03-01
  tgvault restore latest --to photos --chat Mara --media photos --dry-run     says what that would write
  tgvault restore latest --to old-export --as original";

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

    /// In which form; by default what a Telegram account or export gives is written as Telegram Desktop would, anything else as files
    #[arg(long = "as", value_name = "FORM", value_enum)]
    pub form: Option<As>,

    /// What to write of a Telegram Desktop export
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,

    /// Only this chat, by its name, @username, id or link; may be given several times
    #[arg(long = "chat", value_name = "CHAT", allow_negative_numbers = true)]
    pub chats: Vec<String>,

    /// Only media of these kinds, the others get a placeholder: photos, videos, voice-messages, video-messages, stickers, gifs, files,
    /// music, any, or none
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub media: Vec<KindChoice>,

    /// Which messages.
    #[command(flatten)]
    pub span: SpanArgs,

    /// With --as original: which import, where there are several; the last one otherwise
    #[arg(long, value_name = "NAME")]
    pub import: Option<String>,

    /// Restore only what matches, in the patterns of `backup --exclude`
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,

    /// Leave out what matches
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// What to do with files that exist already
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::IfChanged, env = "TGVAULT_OVERWRITE")]
    pub overwrite: When,

    /// Write also what a lost part of the vault may have changed or deleted, each file with `.unproven` at the end of its name
    #[arg(long)]
    pub unproven: bool,

    /// List what would be restored, and restore nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// In which form things come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// A Telegram Desktop export: result.json, HTML pages, media
    TelegramDesktop,
    /// Logs, account and media as they are stored
    Raw,
    /// The folder that an import was made from, byte for byte
    Original,
    /// Every file of the snapshot as it is stored
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

    /// Whether options speak of stored files.
    fn speaks_of_files(&self) -> bool {
        !self.part.paths.is_empty() || !self.include.is_empty() || !self.exclude.is_empty()
    }

    /// The form that the options ask for; `None` where the snapshot decides.
    fn form(&self) -> Result<Option<As>, CommandError> {
        let form = match self.form {
            Some(form) => Some(form),
            None if self.speaks_of_chats() && self.speaks_of_files() => {
                return Err(CommandError::usage(
                    "some options choose chats, others stored files, and a restore does one of both",
                    "say which with --as telegram-desktop or --as files, and leave the other options out",
                ));
            }
            None if self.speaks_of_chats() => Some(As::TelegramDesktop),
            None if self.speaks_of_files() => Some(As::Files),
            None => None,
        };
        let refuse = |what: &str, hint: &str| Err(CommandError::usage(what, hint));
        match form {
            Some(As::Files) if self.speaks_of_chats() => {
                refuse("--as files takes no options that choose chats, messages or media", "use PATH, --include and --exclude with it")
            }
            Some(As::Original) if self.speaks_of_chats() => {
                refuse("--as original gives an import back whole", "leave out --chat, --media, --format and the options about time")
            }
            Some(As::Raw) if self.span.narrows() || self.format.is_some() => {
                refuse("--as raw gives logs whole", "leave out --format, --from, --till, --at and --history")
            }
            Some(form) if form != As::Files && self.speaks_of_files() => {
                refuse("PATH, --include and --exclude choose stored files", "use them with --as files")
            }
            Some(form) if form != As::Original && self.import.is_some() => refuse("--import names an import", "use it with --as original"),
            form => Ok(form),
        }
    }

    fn files(&self) -> Result<RestoreOptions, CommandError> {
        Ok(RestoreOptions {
            to: self.to.clone(),
            filter: PathFilter::new(&self.include, &self.exclude)?,
            paths: self.part.paths()?,
            overwrite: self.overwrite.into(),
            unproven: self.unproven,
            dry_run: self.dry_run,
            lanes: self.lanes.unwrap_or_else(reading_lanes),
        })
    }

    fn rendered(&self, form: As) -> Result<RenderOptions, CommandError> {
        let format = self.format.unwrap_or(Format::Both);
        let form = match form {
            As::Raw => Form::Raw,
            As::Original => Form::Original { import: self.import.clone() },
            As::TelegramDesktop | As::Files => Form::TelegramDesktop { json: format != Format::Html, html: format != Format::Json },
        };
        Ok(RenderOptions {
            to: self.to.clone(),
            form,
            chats: self.chats.clone(),
            span: self.span.span()?,
            media: self.media.clone(),
            zone: TimeZone::system(),
            overwrite: self.overwrite.into(),
            dry_run: self.dry_run,
            lanes: self.lanes.unwrap_or_else(reading_lanes),
        })
    }
}

/// Runs the restore.
///
/// # Errors
/// When no key fits, the snapshot or the target cannot be used, or the run is interrupted.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let form = args.form()?;
    let (files, rendered) = (args.files()?, args.rendered(form.unwrap_or(As::TelegramDesktop))?);
    let session = context.session(Keys::Needed).await?;
    let reporter = Arc::new(Reporter::new(&context.output, "restored", "entry"));
    let choice = args.part.choice();
    let (events, stop) = (reporter.clone(), context.heeded.stop());
    let made = match form {
        Some(As::Files) => restore(&session, &choice, files, events, stop).await.map(Made::Files),
        Some(_) => render(&session, &choice, rendered, events, stop).await.map(Made::Rendered),
        None => restore_fitting(&session, &choice, files, rendered, events, stop).await,
    };
    reporter.finish();
    match made? {
        Made::Files(summary) => conclude(&summary, None, args, context),
        Made::Rendered(made) => conclude(&made.restored, Some((made.chats, made.messages)), args, context),
    }
}

fn conclude(summary: &RestoreSummary, chats: Option<(u64, u64)>, args: &Args, context: &Context) -> Result<Exit, CommandError> {
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
        output.line(&format!(
            "{} snapshot {} of {}: {messages}{}, {} in {}",
            if args.dry_run { "would restore" } else { "restored" },
            units::short_id(&id),
            units::time(summary.time),
            units::counted(summary.entries, "entry"),
            units::bytes(summary.bytes),
            units::duration(summary.elapsed)
        ))?;
        if summary.kept > 0 {
            output.line(&format!("  kept as they were: {}", units::counted(summary.kept, "entry")))?;
        }
        // A store that was set back shows an old head: on a new machine only the user can notice.
        output.say(&format!("  it is number {} of writer {}", summary.sequence, units::short_id(&summary.writer.to_string())));
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
