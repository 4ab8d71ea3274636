//! A snapshot opened for reading: what every operation that looks into one builds on.
//!
//! [`choice`] picks a snapshot; [`OpenSnapshot`] lays its tree together, and `files` reads what it holds: small files through
//! `frames`, which keeps what was decoded last. `named` finds what people mean by a path.
//!
//! Everything but opening blocks and must not be called on the runtime's own threads.

pub mod choice;
mod files;
mod frames;
mod named;

use std::sync::Arc;

use futures::FutureExt;
use tokio::runtime::Handle;

pub use files::MAX_FILE_BYTES;
pub use named::meant;

use self::choice::SnapshotChoice;
use self::frames::Frames;
use super::OperationError;
use super::session::{Opened, Session};
use crate::model::causes::with_causes;
use crate::repository::RepositoryError;
use crate::repository::contents::Contents;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::snapshots::SnapshotRef;
use crate::repository::tree::Tree;

/// A snapshot opened for reading. Cheap to clone.
#[derive(Clone)]
pub struct OpenSnapshot {
    shared: Arc<Shared>,
}

struct Shared {
    snapshot: Snapshot,
    tree: Tree,
    contents: Contents,
    frames: Frames,
    lost: Vec<String>,
}

impl OpenSnapshot {
    /// Opens the snapshot. Archives that are missing or damaged are reported in [`Self::lost`].
    ///
    /// # Errors
    /// When no key fits, or there is no such snapshot.
    pub async fn open(session: &Session, choice: &SnapshotChoice) -> Result<Self, OperationError> {
        Self::open_in(&session.open().await?, choice).await
    }

    /// The same with a repository that is open already: unlocking one takes its time.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_in(opened: &Opened, choice: &SnapshotChoice) -> Result<Self, OperationError> {
        let mut broken = Vec::new();
        let found = choice.find_past(opened, &mut broken).boxed().await?;
        Self::open_found(opened, choice, found, broken).await
    }

    /// As [`Self::open_in`]; where the latest is wanted and a later one was seen before, that is an error.
    ///
    /// # Errors
    /// As [`Self::open`] and [`SnapshotChoice::find`].
    pub async fn open_exactly(opened: &Opened, choice: &SnapshotChoice) -> Result<Self, OperationError> {
        let found = choice.find(opened).await?;
        Self::open_found(opened, choice, found, Vec::new()).await
    }

    /// `broken` is what is wrong with later snapshots.
    async fn open_found(
        opened: &Opened,
        choice: &SnapshotChoice,
        (found, snapshot): (SnapshotRef, Snapshot),
        mut broken: Vec<RepositoryError>,
    ) -> Result<Self, OperationError> {
        let identity = opened.identity()?;
        let beside = choice.beside(opened, (&found, &snapshot), &mut broken).boxed().await?;
        let mut lost: Vec<String> =
            broken.iter().map(|error| format!("a later snapshot was passed over: {}", with_causes(error))).collect();
        let mut broken = Vec::new();
        let heads: Vec<&Snapshot> = beside.iter().chain([&snapshot]).collect();
        let tree = opened.repository.tree_of(&heads, &identity.identities, Some(&mut broken)).boxed().await?;
        lost.extend(broken.iter().map(|error| format!("what an archive held is lost: {}", with_causes(error))));
        let damaged = |record: &&ArchiveRecord| tree.losses().copied.contains(&record.id) || tree.losses().lost.contains(record);
        opened.note_damaged(snapshot.archives.iter().filter(damaged).map(|record| record.object.clone()), false);
        let contents = Contents::new(&opened.repository, &tree, &identity.identities, &Handle::current());
        Ok(Self { shared: Arc::new(Shared { snapshot, tree, contents, frames: Frames::default(), lost }) })
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.shared.snapshot
    }

    /// Everything that it holds.
    pub fn tree(&self) -> &Tree {
        &self.shared.tree
    }

    pub(super) fn contents(&self) -> &Contents {
        &self.shared.contents
    }

    /// What is wrong with the vault as far as it concerns this snapshot, in words: each is damage.
    pub fn lost(&self) -> &[String] {
        &self.shared.lost
    }

    /// The error to end with when something is not there: where a part of the snapshot is lost, that may be why.
    pub fn missing(&self, error: OperationError) -> OperationError {
        if self.lost().is_empty() { error } else { OperationError::Lost { wanted: error.to_string(), lost: self.lost().join("; ") } }
    }
}
