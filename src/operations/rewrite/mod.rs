//! Rewrite: takes files and chats out of every snapshot, for good.
//!
//! `chats` says which entries a chat consists of; the rest is a compaction of the archives that speak of what goes.

mod chats;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use self::chats::Taken;
use super::OperationError;
use super::compact::{CompactOptions, CompactReport, compact};
use super::events::Events;
use super::session::Session;
use super::stop::Stop;
use crate::model::entry::EntryPath;
use crate::model::filter::PathFilter;
use crate::model::peer::Peer;

/// What to take out.
#[derive(Clone, Debug)]
pub struct RewriteOptions {
    /// What its exclude patterns match, with all below.
    pub exclude: PathFilter,
    /// Chats, as people call them.
    pub chats: Vec<String>,
    /// Only says what would be taken out.
    pub dry_run: bool,
    /// This machine's name, for who finds the lock.
    pub host: String,
}

/// What was taken out.
#[derive(Clone, Debug, Default)]
pub struct RewriteReport {
    /// The chats, with what they are called.
    pub chats: BTreeMap<Peer, Option<String>>,
    /// Files that only their messages show.
    pub chat_files: u64,
    /// Files of imports that cannot be restored as they were imported, because messages of the chats were in them: the run, and its file.
    pub imports: BTreeSet<String>,
    /// How the archives were rewritten.
    pub compact: CompactReport,
}

/// Takes files and chats out of every snapshot.
///
/// # Errors
/// [`OperationError::NoSuchChat`] and [`OperationError::SeveralChats`] where a chat is not meant unmistakably, [`OperationError::LinkedTo`] where
/// a hard link to what goes would stay, and as [`compact`]. Then nothing is taken out.
pub async fn rewrite(
    session: &Session,
    options: &RewriteOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<RewriteReport, OperationError> {
    let taken = if options.chats.is_empty() { Taken::default() } else { Taken::of(session, &options.chats, &stop).await? };
    let Taken { chats, files, imports } = taken;
    let report = RewriteReport { chats, chat_files: files.len() as u64, imports, ..RewriteReport::default() };
    let goes =
        Goes { exclude: options.exclude.clone(), peers: report.chats.keys().copied().collect(), files, imports: report.imports.clone() };
    let compacting = CompactOptions {
        exclude: Some(Arc::new(move |path| goes.has(path))),
        dry_run: options.dry_run,
        host: options.host.clone(),
        ..CompactOptions::default()
    };
    let compact = compact(session, &compacting, events, stop).await?;
    Ok(RewriteReport { compact, ..report })
}

/// Which entries go.
struct Goes {
    exclude: PathFilter,
    peers: HashSet<Peer>,
    files: HashSet<EntryPath>,
    imports: BTreeSet<String>,
}

impl Goes {
    fn has(&self, path: &EntryPath) -> bool {
        if !self.exclude.takes(path) || self.files.contains(path) {
            return true;
        }
        !self.peers.is_empty()
            && (chats::peer_of(path).is_some_and(|peer| self.peers.contains(&peer))
                || chats::layout_of(path).is_some_and(|layout| self.imports.contains(&layout)))
    }
}
