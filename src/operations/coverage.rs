//! What a snapshot says about the completeness of each chat in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::OperationError;
use super::choice::SnapshotChoice;
use super::restore::{Archives, read_place};
use super::session::Session;
use crate::crypt::digest::Hasher;
use crate::model::chat::ChatInfo;
use crate::model::coverage::{Coverage, Verdict};
use crate::model::entry::EntryPath;
use crate::model::paths::{Place, place};
use crate::model::peer::Peer;
use crate::repository::RepositoryError;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::tree::TreeEntry;

/// The largest coverage or description of a chat that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// What is known of one chat.
#[derive(Clone, Debug)]
pub struct ChatCoverage {
    /// The chat.
    pub peer: Peer,
    /// Its description, where there is one.
    pub info: Option<ChatInfo>,
    /// Its coverage; `None` for a chat that nothing was accounted for.
    pub coverage: Option<Coverage>,
}

impl ChatCoverage {
    /// What can be said.
    pub fn verdict(&self) -> Verdict {
        self.coverage.as_ref().map_or(Verdict::Unknown, |coverage| coverage.verdict.clone())
    }

    /// Messages that are held.
    pub fn messages(&self) -> u64 {
        self.coverage.iter().flat_map(|coverage| &coverage.ranges).map(|range| range.ours).sum()
    }
}

/// Reads the coverage of all chats of a snapshot, by peer.
///
/// # Errors
/// When the snapshot or one of its descriptions cannot be read.
pub async fn coverage(session: &Session, choice: &SnapshotChoice) -> Result<(Snapshot, Vec<ChatCoverage>), OperationError> {
    let opened = session.open().await?;
    let identity = opened.identity()?;
    let (_, snapshot) = choice.find(&opened).await?;
    let tree = opened.repository.tree(&snapshot, &identity.identities, None).await?;
    let runtime = Handle::current();
    let (repository, identities) = (opened.repository.clone(), Arc::clone(&identity.identities));
    tokio::task::spawn_blocking(move || {
        let archives = Archives::new(&repository, &tree, &identities, &runtime);
        let mut chats: BTreeMap<Peer, ChatCoverage> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            let found = place(path);
            let Some(Place::Log { peer, .. } | Place::ChatInfo(peer) | Place::Coverage(peer)) = found else { continue };
            let chat = chats.entry(peer).or_insert(ChatCoverage { peer, info: None, coverage: None });
            match found {
                Some(Place::ChatInfo(_)) => chat.info = Some(parse(path, &content(&archives, path, entry)?)?),
                Some(Place::Coverage(_)) => chat.coverage = Some(parse(path, &content(&archives, path, entry)?)?),
                _ => {}
            }
        }
        Ok((snapshot, chats.into_values().collect()))
    })
    .await?
}

fn parse<T: serde::de::DeserializeOwned>(path: &EntryPath, content: &[u8]) -> Result<T, OperationError> {
    // The parser's message could quote what it read.
    serde_json::from_slice(content)
        .map_err(|error| RepositoryError::damaged(&path.to_string(), format!("it cannot be read from column {} on", error.column())).into())
}

/// The content of a small file, checked.
fn content(archives: &Archives, path: &EntryPath, entry: &TreeEntry) -> Result<Vec<u8>, OperationError> {
    if entry.size > MAX_BYTES {
        return Err(RepositoryError::damaged(&path.to_string(), "it is longer than any description is").into());
    }
    let incomplete = || RepositoryError::damaged(&path.to_string(), "the snapshot holds only some of its parts");
    let mut content = Vec::new();
    for (_, place) in &entry.pieces().ok_or_else(incomplete)? {
        let mut hasher = Hasher::new();
        read_place(archives, place, &mut |piece| {
            hasher.update(piece);
            content.extend_from_slice(piece);
            Ok(())
        })?;
        if hasher.finish() != place.sha256 {
            return Err(OperationError::Content { path: path.to_string() });
        }
    }
    Ok(content)
}
