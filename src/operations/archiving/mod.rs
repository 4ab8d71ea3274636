//! Writing archives into a vault. It knows no source and no journal: who has one hands in how an archive is noted before it
//! can appear in the store.
//!
//! `open` is an archive that is being written, `upload` brings its parts to the store; `index_only` writes those in which no file is.

mod index_only;
mod open;
mod upload;

use std::sync::Arc;

use tokio::runtime::Handle;

pub(super) use index_only::{batches, merged_index, part_members, references, removals};
pub(super) use open::{OpenArchive, wait_for};
pub(super) use upload::UploadSink;

use super::OperationError;
use crate::archive::index::IndexEntry;
use crate::archive::parts::PartPool;
use crate::crypt::keys::Recipients;
use crate::model::entry::EntryPath;
use crate::repository::Machine;
use crate::repository::format::snapshot::ArchiveRecord;
use crate::repository::pieces::Pieces;
use crate::storage::Storage;

/// What those who write archives need.
#[derive(Clone)]
pub(super) struct Archiving {
    pub storage: Storage,
    /// What is at hand of the vault, to which small archives are added.
    pub pieces: Pieces,
    pub recipients: Arc<Recipients>,
    pub pool: PartPool,
    pub runtime: Handle,
    pub machine: Machine,
}

/// Notes an archive that is whole and will be in the store next, with the entries that it adds to the state and the paths that it
/// removes from it; when that fails, it does not appear.
pub(super) trait Note: FnOnce(&ArchiveRecord, &[IndexEntry], &[EntryPath]) -> Result<(), OperationError> {}

impl<F: FnOnce(&ArchiveRecord, &[IndexEntry], &[EntryPath]) -> Result<(), OperationError>> Note for F {}
