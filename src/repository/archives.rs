//! Opening the archives that a snapshot names, and laying its state together.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime::Handle;

use super::format::snapshot::{ArchiveRecord, Snapshot};
use super::index_copies::IndexCopy;
use super::tree::Tree;
use super::{Repository, RepositoryError};
use crate::archive::ArchiveError;
use crate::archive::index::IndexEntry;
use crate::archive::reader::{ArchiveReader, ReadAt};
use crate::crypt::keys::Identities;
use crate::model::digest::Id;
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
    /// Whether this is the second copy.
    is_copied: bool,
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
        Ok(Layer { remove: own.map_err(wrong)?.remove, entries, record, is_copied: false })
    }

    /// Lays together the state of a snapshot. Where an archive is missing or damaged, the second copy of its index stands in; without
    /// one that is an error, unless `broken` takes it: then the state is what the others make of it, and says what is not proven.
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
        let mut known = HashMap::new();
        // Where a merged index is lost, what is before it makes the same.
        let mut lost_from: Vec<usize> = vec![usize::MAX; snapshots.len()];
        loop {
            let begins = |(snapshot, &lost_from): (&&Snapshot, &usize)| {
                let before = snapshot.archives.get(..lost_from).unwrap_or(&snapshot.archives);
                before.iter().rposition(|record| record.merged).unwrap_or(0)
            };
            let firsts: Vec<usize> = snapshots.iter().zip(&lost_from).map(begins).collect();
            let (tree, failed) = self.lay_together(snapshots, &firsts, identities, &known).await?;
            let unknown: HashSet<Id> = failed.iter().map(|(id, _)| *id).filter(|id| !known.contains_key(id)).collect();
            if !unknown.is_empty() {
                let mut found = HashMap::new();
                for snapshot in snapshots {
                    found.extend(self.index_copies(snapshot, &unknown, identities).await);
                }
                known.extend(unknown.into_iter().map(|id| (id, found.remove(&id))));
                for ((snapshot, first), lost_from) in snapshots.iter().zip(firsts).zip(&mut lost_from) {
                    if snapshot.archives.get(first).is_some_and(|record| record.merged && known.contains_key(&record.id)) {
                        *lost_from = first;
                    }
                }
                continue;
            }
            for (_, error) in failed {
                match &mut broken {
                    Some(broken) => broken.push(error),
                    None => return Err(error),
                }
            }
            return Ok(tree);
        }
    }

    /// Lays the archives of each of `snapshots`, from its number in `firsts` on, over each other; of those in `known` the copy of the
    /// index counts, if there is one. Gives the state and what is wrong with archives that have no copy.
    async fn lay_together(
        &self,
        snapshots: &[&Snapshot],
        firsts: &[usize],
        identities: &Arc<Identities>,
        known: &HashMap<Id, Option<IndexCopy>>,
    ) -> Result<(Tree, Vec<(Id, RepositoryError)>), RepositoryError> {
        let (mut tree, mut failed) = (Tree::new(), Vec::new());
        let (mut met, mut layered, mut records) = (HashSet::new(), HashSet::new(), Vec::new());
        for (snapshot, &first) in snapshots.iter().zip(firsts) {
            for record in snapshot.archives.iter().filter(|record| met.insert(record.id)) {
                tree.add_archive(record.clone());
            }
            let layers = snapshot.archives.get(first..).unwrap_or_default();
            records.extend(layers.iter().filter(|record| layered.insert(record.id)).cloned());
        }
        let runtime = Handle::current();
        let layers = futures::stream::iter(records).map(|record| {
            let (this, identities, runtime) = (self.clone(), Arc::clone(identities), runtime.clone());
            let copy = known.get(&record.id).cloned().flatten();
            async move {
                if let Some(copy) = copy {
                    return (record.clone(), Ok(Layer { record, remove: copy.remove, entries: copy.entries, is_copied: true }));
                }
                let (id, again) = (record.id, record.clone());
                let joined = tokio::task::spawn_blocking(move || this.layer(again, &identities, &runtime)).await;
                (record, joined.unwrap_or_else(|error| Err(RepositoryError::Archive { id, source: io::Error::other(error).into() })))
            }
        });
        let mut layers = layers.buffered(PARALLEL);
        while let Some((record, layer)) = layers.next().await {
            match layer {
                Ok(layer) => apply(&mut tree, layer)?,
                Err(error) if error.is_integrity() => {
                    failed.push((record.id, error));
                    tree.note_lost(record);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((tree, failed))
    }
}

fn apply(tree: &mut Tree, layer: Layer) -> Result<(), RepositoryError> {
    let id = layer.record.id;
    if layer.is_copied {
        tree.note_copied(id);
    }
    for path in &layer.remove {
        tree.remove(path);
    }
    for entry in layer.entries {
        tree.apply(entry, id).map_err(|source| RepositoryError::Archive { id, source })?;
    }
    Ok(())
}
