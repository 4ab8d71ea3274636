//! Backup: what the source lists and the parent does not have goes into archives; a snapshot names them.
//!
//! ```text
//! source ─▶ planner ══ jobs ══▶ lanes (one thread, one archive each) ══ parts ══▶ uploads ─▶ reports ─▶ journal ─▶ snapshot
//! ```
//! - `parent` finds where to go on, with the `journal` that this machine keeps.
//! - `planner` decides what is stored; `names` sees to files with several; `known_contents` knows what is stored already, `remembered` from earlier runs.
//! - `run` runs planner and lanes, keeps the journal and commits.
//! - `lane` fills archives, with what `setup` gives each; `archiving` writes them.
//! - This module is what others see of all that.

mod content_table;
mod journal;
mod known_contents;
mod lane;
mod met;
mod names;
mod parent;
mod planner;
mod remembered;
mod run;
mod setup;
mod shared;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use crate::archive::writer::Timings;

use super::events::{Event, Events};
use super::session::Session;
use super::stop::Stop;
use super::{OperationError, default_lanes};
use crate::model::digest::Id;
use crate::repository::format::snapshot::Counts;
use crate::repository::tree::Tree;
use crate::source::{Source, SourceError, SourceName};
use known_contents::KnownContents;
use planner::{Planner, Removals};
use run::Run;
use shared::Shared;

/// How to back up.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// This machine's name.
    pub host: String,
    /// Words for the snapshot.
    pub tags: Vec<String>,
    /// Options and filters as the user gave them, for the record.
    pub given: Vec<String>,
    /// Reads every file again, whatever its size and times say.
    pub force_rehash: bool,
    /// Stops before a snapshot that would be without more than this share of what the last one has, in percent, or without anything:
    /// a disk that is not mounted looks like a folder whose files are all deleted. `None` does not look.
    pub max_removed_percent: Option<u8>,
    /// Only says what would be stored.
    pub dry_run: bool,
    /// Archives that are built side by side.
    pub lanes: usize,
}

impl Default for BackupOptions {
    fn default() -> Self {
        let lanes = default_lanes();
        Self {
            host: String::new(),
            tags: Vec::new(),
            given: Vec::new(),
            force_rehash: false,
            max_removed_percent: None,
            dry_run: false,
            lanes,
        }
    }
}

/// What a backup did.
#[derive(Clone, Debug)]
pub struct BackupSummary {
    /// The snapshot; `None` in a dry run.
    pub snapshot: Option<Id>,
    /// What was done.
    pub counts: Counts,
    /// Entries that were unchanged.
    pub unchanged: u64,
    /// Archives that were stored.
    pub archives: u64,
    /// Where the lanes' time went.
    pub timings: Timings,
    /// How long it took.
    pub elapsed: Duration,
}

/// Whether this machine has backed this source up before.
///
/// # Errors
/// When there is no repository, or the state cannot be read.
pub async fn has_earlier(session: &Session, source: &dyn Source) -> Result<bool, OperationError> {
    parent::has_journal(&session.kept().await?, &session.machine, &names_of(source))
}

/// All that a source may be called, its own name first.
fn names_of(source: &dyn Source) -> Vec<SourceName> {
    [source.name()].into_iter().chain(source.other_names()).collect()
}

/// Backs `source` up.
///
/// # Errors
/// When repository, source, state or store fail, or the run is stopped; what was stored until then is kept and found by the
/// next run.
pub async fn backup(
    session: &Session,
    source: Arc<dyn Source>,
    options: BackupOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<BackupSummary, OperationError> {
    let (began, began_at) = (Instant::now(), session.machine.now());
    let mut opened = session.open_to_write().await?;
    let writer = opened.writer().await?;
    if source.wants_key() {
        opened.unlock(session).await?;
    }
    let parent = parent::find(&mut opened, session, writer.id, &names_of(source.as_ref()), &options, events.as_ref()).await?;
    source.continues(&parent.journal.memory(), options.force_rehash && !options.dry_run);
    if options.dry_run {
        return dry_run(source, parent.tree, &options, events, stop, began).await;
    }
    if let Err(error) = opened.keep_recovery(&writer.key).await {
        // What is saved does not depend on it, and the next run tries again.
        tracing::warn!(%error, "the page for recovery without this program could not be stored");
    }
    opened.note_written();
    let mut run = Run::begin(opened, writer, source, options, parent, (events, stop), (began.into(), began_at)).await?;
    let stored = match run.store().await {
        Ok(stored) => stored,
        Err(error) => {
            // Whatever happened, what the store has for good is kept: here, or by the next run from this machine's journal.
            if let Err(error) = run.keep().await {
                tracing::warn!(%error, "what is stored so far is not in a snapshot yet");
            }
            return Err(error);
        }
    };
    let mut summary = run.complete(stored).await?;
    summary.elapsed = began.elapsed();
    Ok(summary)
}

async fn dry_run(
    source: Arc<dyn Source>,
    tree: Tree,
    options: &BackupOptions,
    events: Arc<dyn Events>,
    stop: Stop,
    began: Instant,
) -> Result<BackupSummary, OperationError> {
    let force_rehash = options.force_rehash;
    let listing = tokio::task::spawn_blocking(move || -> Result<_, SourceError> {
        let shared = Shared::new(events, stop, KnownContents::default(), HashSet::new());
        let mut planner = Planner::new(&shared, tree, Removals::default(), force_rehash, None);
        source.list(&mut planner)?;
        let removed = if source.lists_everything() { planner.deleted().len() as u64 } else { 0 };
        let links = planner.links.len() as u64;
        shared.note_new(links, 0);
        if shared.counts(0).entries == 0 && source.left_out() > 0 {
            shared.events.event(&Event::Note("the exclude patterns or limits exclude everything"));
        }
        Ok((shared.counts(removed), shared.done.entries.load(Ordering::Relaxed) - links))
    });
    let (counts, unchanged) = listing.await??;
    Ok(BackupSummary { snapshot: None, counts, unchanged, archives: 0, timings: Timings::default(), elapsed: began.elapsed() })
}
