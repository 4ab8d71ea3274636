//! Opening the archives that a snapshot names, and laying its state together.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use super::format::snapshot::{ArchiveRecord, Snapshot};
use super::tree::Tree;
use super::{Repository, RepositoryError};
use crate::archive::ArchiveError;
use crate::archive::index::IndexEntry;
use crate::archive::reader::{ArchiveReader, ReadAt};
use crate::crypt::keys::Identities;
use crate::model::entry::EntryPath;
use crate::storage::{Storage, StorageError};

/// How many archives' indexes are read at a time.
const PARALLEL: usize = 8;

/// An object of a store, read from ordinary threads.
pub struct StoredObject {
    storage: Storage,
    name: String,
    runtime: Handle,
}

impl StoredObject {
    /// The object `name`; reads run on `runtime`, and must not be made from its own threads.
    pub fn new(storage: Storage, name: String, runtime: Handle) -> Self {
        Self { storage, name, runtime }
    }
}

impl ReadAt for StoredObject {
    fn read_at(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.runtime.block_on(self.storage.get_range(&self.name, range)).map_err(|error| {
            let kind = match error {
                StorageError::WrongLength { .. } => io::ErrorKind::UnexpectedEof,
                StorageError::NotFound { .. } => io::ErrorKind::InvalidData,
                _ => io::ErrorKind::Other,
            };
            io::Error::new(kind, error)
        })
    }
}

/// What one archive adds to a state.
struct Layer {
    record: ArchiveRecord,
    remove: Vec<EntryPath>,
    entries: Vec<IndexEntry>,
}

impl Repository {
    /// Opens an archive for reading at any place. Blocks: not for the runtime's own threads.
    ///
    /// # Errors
    /// As [`ArchiveReader::open`], with the archive's name.
    pub fn open_archive(
        &self,
        record: &ArchiveRecord,
        identities: &Identities,
        runtime: &Handle,
    ) -> Result<ArchiveReader<StoredObject>, RepositoryError> {
        let object = StoredObject::new(self.storage.clone(), record.object.clone(), runtime.clone());
        ArchiveReader::open(object, &record.expected(), identities).map_err(|source| RepositoryError::Archive { id: record.id, source })
    }

    fn layer(&self, record: ArchiveRecord, identities: &Identities, runtime: &Handle) -> Result<Layer, RepositoryError> {
        let wrong = |source: ArchiveError| RepositoryError::Archive { id: record.id, source };
        let reader = self.open_archive(&record, identities, runtime)?;
        let mut entries = Vec::new();
        let own = reader.own_members(&mut |entry| {
            entries.push(entry);
            Ok(())
        });
        Ok(Layer { remove: own.map_err(wrong)?.remove, entries, record })
    }

    /// Lays together the state of a snapshot. An archive that is missing or damaged is an error, unless `broken` takes it:
    /// then the state is what the others make of it.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub async fn tree(
        &self,
        snapshot: &Snapshot,
        identities: &Arc<Identities>,
        broken: Option<&mut Vec<RepositoryError>>,
    ) -> Result<Tree, RepositoryError> {
        self.tree_of(&[snapshot], identities, broken).await
    }

    /// As [`Self::tree`], of several snapshots that make up one state, those of other machines: later over earlier.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub async fn tree_of(
        &self,
        snapshots: &[&Snapshot],
        identities: &Arc<Identities>,
        mut broken: Option<&mut Vec<RepositoryError>>,
    ) -> Result<Tree, RepositoryError> {
        let mut tree = Tree::new();
        let (mut known, mut layered, mut records) = (HashSet::new(), HashSet::new(), Vec::new());
        for snapshot in snapshots {
            for record in snapshot.archives.iter().filter(|record| known.insert(record.id)) {
                tree.add_archive(record.clone());
            }
            // A merged index holds everything before it.
            let first = snapshot.archives.iter().rposition(|record| record.merged).unwrap_or(0);
            let layers = snapshot.archives.get(first..).unwrap_or_default();
            records.extend(layers.iter().filter(|record| layered.insert(record.id)).cloned());
        }
        let runtime = Handle::current();
        let layers = futures::stream::iter(records).map(|record| {
            let (this, identities, runtime) = (self.clone(), Arc::clone(identities), runtime.clone());
            async move {
                let id = record.id;
                let joined = tokio::task::spawn_blocking(move || this.layer(record, &identities, &runtime)).await;
                joined.unwrap_or_else(|error| Err(RepositoryError::Archive { id, source: io::Error::other(error).into() }))
            }
        });
        let mut layers = layers.buffered(PARALLEL);
        loop {
            match layers.try_next().await {
                Ok(None) => return Ok(tree),
                Ok(Some(layer)) => apply(&mut tree, layer)?,
                Err(error) if error.is_integrity() => match &mut broken {
                    Some(broken) => broken.push(error),
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
    }
}

fn apply(tree: &mut Tree, layer: Layer) -> Result<(), RepositoryError> {
    let id = layer.record.id;
    for path in &layer.remove {
        tree.remove(path);
    }
    for entry in layer.entries {
        tree.apply(entry, id).map_err(|source| RepositoryError::Archive { id, source })?;
    }
    Ok(())
}
