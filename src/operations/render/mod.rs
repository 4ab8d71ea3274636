//! Chats and account of a snapshot come back in the form of Telegram Desktop's exports, or an import comes back as it was.
//!
//! `feed` reads the chats and hands their messages to the threads that write them (`write`): one for `result.json`,
//! one for the pages. Media are named on the way and restored at the end, neighbours in one sweep, as a plain restore does it.
//! `raw` takes what is stored as it is, `original` puts imported files together again.

mod feed;
mod original;
mod raw;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::OperationError;
use super::chats::OpenChats;
use super::chats::conversation::Span;
use super::events::{Event, Events};
use super::report::{Report, TICK};
use super::session::Session;
use super::snapshot::choice::SnapshotChoice;
use super::stop::Stop;
use super::writing::{RestoreSummary, summary};
use crate::model::entry::EntryPath;
use crate::model::filter::PathFilter;
use crate::model::kinds::KindChoice;
use crate::target::Overwrite;

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Telegram Desktop's layout, with these files in it.
    TelegramDesktop {
        /// `result.json`.
        json: bool,
        /// Pages.
        html: bool,
    },
    /// Logs, account and media as they are stored.
    Raw,
    /// The folder that an import was made from, byte for byte.
    Original {
        /// The name of the import; otherwise the last one.
        import: Option<String>,
    },
}

/// Which files of a layout are written.
#[derive(Clone, Debug, Default)]
pub struct FileChoice {
    /// By patterns.
    pub filter: PathFilter,
    /// If not empty: only these, and what is below them.
    pub paths: Vec<EntryPath>,
}

impl FileChoice {
    /// Whether the file that gets this path is written.
    pub fn takes(&self, path: &EntryPath) -> bool {
        (self.paths.is_empty() || self.paths.iter().any(|top| path.is_at_or_below(top))) && self.filter.takes(path)
    }
}

/// How to write.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// The folder to write into.
    pub to: PathBuf,
    /// What.
    pub form: Form,
    /// Only these chats, by name, `@username` or id; all of them, and the account, when empty.
    pub chats: Vec<String>,
    /// Which messages.
    pub span: Span,
    /// Which kinds of media; all when empty.
    pub media: Vec<KindChoice>,
    /// Of Telegram Desktop's layout: only files that this takes, by the paths that they get.
    pub files: FileChoice,
    /// The zone of local times.
    pub zone: TimeZone,
    /// What to do with what exists already.
    pub overwrite: Overwrite,
    /// Only says what would be written.
    pub dry_run: bool,
    /// Files that are fetched side by side.
    pub lanes: usize,
}

/// Tells a file that would be written.
fn planned(report: &Report, path: &EntryPath, bytes: u64) {
    report.restored(bytes);
    report.events.event(&Event::Planned { path, bytes });
}

/// What was written.
#[derive(Clone, Debug)]
pub struct RenderSummary {
    /// Files, damage and the rest.
    pub restored: RestoreSummary,
    /// Chats.
    pub chats: u64,
    /// Messages.
    pub messages: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// How much was written; media are counted by the [`Report`].
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    chats: u64,
    messages: u64,
    /// Bytes of log that counted as progress.
    read: u64,
    /// Bytes of `result.json` and pages.
    written: u64,
}

/// Writes a snapshot, or a part of it, in another form than it is stored in.
///
/// # Errors
/// When no key fits, the snapshot has no chats or not the wanted ones, the store fails, the target is full or cannot be used, or
/// the run is stopped. What fails file by file is reported and counted instead.
pub async fn render(
    session: &Session,
    choice: &SnapshotChoice,
    options: RenderOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<RenderSummary, OperationError> {
    let opened = OpenChats::open_with_chats(&session.open().await?, choice).await?;
    render_opened(session, opened, options, events, stop).await
}

/// As [`render`], of a snapshot that is open already.
///
/// # Errors
/// As [`render`].
pub(super) async fn render_opened(
    session: &Session,
    chats: OpenChats,
    options: RenderOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<RenderSummary, OperationError> {
    let began = Instant::now();
    let report = Arc::new(Report::new(events, stop));
    if let Some(said) = chats.stands_in() {
        report.events.event(&Event::Note(said));
    }
    for what in chats.opened().lost() {
        report.lost(what);
    }
    let mut working = tokio::task::spawn_blocking({
        let (chats, report) = (chats.clone(), Arc::clone(&report));
        move || match &options.form {
            Form::TelegramDesktop { .. } => feed::telegram_desktop(&chats, &options, &report),
            Form::Raw => raw::raw(&chats, &options, &report),
            Form::Original { import } => original::original(&chats, import.as_deref(), &options, &report),
        }
    });
    let mut tick = tokio::time::interval(TICK);
    let downloaded = || session.storage.traffic().downloaded_bytes;
    let counts = loop {
        tokio::select! {
            done = &mut working => break done??,
            _ = tick.tick() => report.progress(downloaded()),
        }
    };
    report.progress(downloaded());
    if report.stop.is_wanted() {
        return Err(OperationError::Interrupted);
    }
    let mut restored = summary(chats.opened().snapshot(), &report, began);
    restored.bytes = restored.bytes.saturating_sub(counts.read).saturating_add(counts.written);
    Ok(RenderSummary { restored, chats: counts.chats, messages: counts.messages, elapsed: began.elapsed() })
}
