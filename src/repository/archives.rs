//! Opening the archives that a snapshot names, and laying its state together.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use super::format::pack;
use super::format::snapshot::{ArchiveRecord, Snapshot};
use super::tree::Tree;
use super::{Repository, RepositoryError};
use crate::archive::ArchiveError;
use crate::archive::index::IndexEntry;
use crate::archive::reader::{ArchiveReader, HEAD_BYTES, OwnMembers, ReadAt, TAIL_BYTES};
use crate::crypt::keys::Identities;
use crate::crypt::payload::SEALED_CHUNK_BYTES;
use crate::model::entry::EntryPath;
use crate::storage::{Storage, StorageError};

/// How many archives' indexes are taken apart at a time.
const PARALLEL: usize = 8;

/// How many archives' ends are asked for at a time.
const PARALLEL_REQUESTS: usize = 32;

/// An archive up to this length is read in one request.
const SMALL_BYTES: u64 = 256 * 1024;

/// What is read of the end of a longer one: its table and, for most, its index, from whatever chunk these begin in.
const END_BYTES: u64 = TAIL_BYTES + 2 * SEALED_CHUNK_BYTES as u64;

/// The longest own members of an archive that are fetched in one piece, and kept.
const MAX_OWN_BYTES: u64 = 16 * 1024 * 1024;

/// An object of a store, read from ordinary threads.
pub struct StoredObject {
    storage: Storage,
    name: String,
    runtime: Handle,
    at_hand: Mutex<AtHand>,
}

/// What is at hand of an object: its first bytes, and those from a place to its end.
#[derive(Clone, Debug, Default)]
struct AtHand {
    head: Bytes,
    end: Bytes,
    end_from: u64,
}

impl AtHand {
    fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let of = |bytes: &Bytes, from: u64| {
            let start = usize::try_from(range.start.checked_sub(from)?).ok()?;
            let end = usize::try_from(range.end.checked_sub(from)?).ok()?;
            (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
        };
        of(&self.end, self.end_from).or_else(|| of(&self.head, 0))
    }
}

impl StoredObject {
    /// The object `name`; reads run on `runtime`, and must not be made from its own threads.
    pub fn new(storage: Storage, name: String, runtime: Handle) -> Self {
        Self { storage, name, runtime, at_hand: Mutex::default() }
    }

    fn at_hand(&self) -> MutexGuard<'_, AtHand> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was at hand: who keeps many objects open has no room for it.
    pub fn release(&self) {
        *self.at_hand() = AtHand::default();
    }

    /// Bytes that are at hand.
    pub fn held_bytes(&self) -> usize {
        let at_hand = self.at_hand();
        at_hand.head.len() + at_hand.end.len()
    }
}

impl ReadAt for StoredObject {
    fn read_at(&self, range: Range<u64>) -> io::Result<Bytes> {
        if let Some(bytes) = self.at_hand().slice(&range) {
            return Ok(bytes);
        }
        self.runtime.block_on(self.storage.get_range(&self.name, range)).map_err(io_error)
    }

    fn read_head(&self, bytes: u64) -> io::Result<Bytes> {
        let head = self.at_hand().head.clone();
        if head.is_empty() { self.read_at(0..bytes) } else { Ok(head) }
    }

    fn at_hand_from(&self) -> Option<u64> {
        let at_hand = self.at_hand();
        (!at_hand.end.is_empty()).then_some(at_hand.end_from)
    }
}

fn io_error(error: StorageError) -> io::Error {
    let kind = match error {
        StorageError::WrongLength { .. } => io::ErrorKind::UnexpectedEof,
        StorageError::NotFound { .. } => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
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
        self.with_ends(record, runtime, self.pieces_of(record).map(Ok), |object| {
            ArchiveReader::open(object, &record.expected(), identities)
        })
    }

    /// The pieces of an archive that are at hand.
    fn pieces_of(&self, record: &ArchiveRecord) -> Option<AtHand> {
        let (head, end) = pack::ends(&record.object);
        let (head, end) = (self.pieces.get(&head)?, self.pieces.get(&end)?);
        let end_from = record.length.checked_sub(end.len() as u64)?;
        Some(AtHand { head, end, end_from })
    }

    /// Asks the store for the two ends of an archive: in one request where it is small, else in two at once.
    async fn fetch_ends(&self, record: &ArchiveRecord) -> Result<AtHand, StorageError> {
        let (object, length) = (&record.object, record.length);
        if length <= SMALL_BYTES {
            let end = self.storage.get_range(object, 0..length).await?;
            let head = end.slice(..end.len().min(HEAD_BYTES as usize));
            return Ok(AtHand { head, end, end_from: 0 });
        }
        // Older records do not say where the end begins.
        let own_from = record.own.map(|own| own.from).filter(|&from| from < length && length - from <= MAX_OWN_BYTES);
        let end_from = own_from.unwrap_or_else(|| length.saturating_sub(END_BYTES));
        let (head, end) =
            futures::try_join!(self.storage.get_range(object, 0..HEAD_BYTES), self.storage.get_range(object, end_from..length))?;
        Ok(AtHand { head, end, end_from })
    }

    /// Reads an archive by its ends, as they are at hand or were fetched; where those at hand do not pass, the store's count.
    fn with_ends<T>(
        &self,
        record: &ArchiveRecord,
        runtime: &Handle,
        ends: Option<Result<AtHand, StorageError>>,
        read: impl Fn(StoredObject) -> Result<T, ArchiveError>,
    ) -> Result<T, RepositoryError> {
        let wrong = |source: ArchiveError| RepositoryError::Archive { id: record.id, source };
        let attempt = |ends: Result<AtHand, StorageError>| {
            let at_hand = Mutex::new(ends.map_err(|error| wrong(io_error(error).into()))?);
            let object = StoredObject { at_hand, ..StoredObject::new(self.storage.clone(), record.object.clone(), runtime.clone()) };
            read(object).map_err(wrong)
        };
        let (head, end) = pack::ends(&record.object);
        let may_be_stale = self.pieces.has(&head) && self.pieces.has(&end);
        match ends.map(attempt) {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) if !may_be_stale || !error.is_integrity() => return Err(error),
            Some(Err(_)) => {
                self.pieces.refuse(&head);
                self.pieces.refuse(&end);
            }
            None => {}
        }
        attempt(runtime.block_on(self.fetch_ends(record)))
    }

    fn layer(
        &self,
        record: ArchiveRecord,
        ends: Result<AtHand, StorageError>,
        identities: &Identities,
        runtime: &Handle,
    ) -> Result<Layer, RepositoryError> {
        self.with_ends(&record, runtime, Some(ends), |object| {
            let reader = ArchiveReader::open(object, &record.expected(), identities)?;
            let own = self.own_bytes(&reader, &record)?;
            let mut entries = Vec::new();
            let OwnMembers { remove, .. } = reader.own_members(&mut |entry| {
                entries.push(entry);
                Ok(())
            })?;
            // All that was read has proved to be the archive's.
            if let Some((head, end)) = own {
                let names = pack::ends(&record.object);
                self.pieces.keep(&names.0, &head);
                self.pieces.keep(&names.1, &end);
            }
            Ok(Layer { remove, entries, record: record.clone() })
        })
    }

    /// Brings the archive's own members to hand, the rest of them in one request; gives the pieces to keep of it.
    fn own_bytes(&self, reader: &ArchiveReader<StoredObject>, record: &ArchiveRecord) -> Result<Option<(Bytes, Bytes)>, ArchiveError> {
        let (header_bytes, own_from) = reader.own_bytes();
        let object = reader.object();
        if record.length.saturating_sub(own_from) > MAX_OWN_BYTES {
            return Ok(None);
        }
        let end_from = object.at_hand().end_from;
        if own_from < end_from {
            let before = object.read_at(own_from..end_from)?;
            let mut at_hand = object.at_hand();
            at_hand.end = [before, at_hand.end.clone()].concat().into();
            at_hand.end_from = own_from;
        }
        let at_hand = object.at_hand();
        Ok(at_hand.slice(&(0..header_bytes)).zip(at_hand.slice(&(own_from..record.length))))
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
        let mut tree = Tree::new();
        // A merged index holds everything before it.
        let first = snapshot.archives.iter().rposition(|record| record.merged).unwrap_or(0);
        let (before, records) = snapshot.archives.split_at_checked(first).unwrap_or_default();
        for record in before {
            tree.add_archive(record.clone());
        }
        self.fetch_packed_indexes(snapshot, first).await;
        self.lay_over(&mut tree, snapshot, records, identities, broken).await?;
        Ok(tree)
    }

    /// Lays archives of a snapshot over a state; `broken` as for [`Self::tree`].
    ///
    /// # Errors
    /// When an index cannot be read.
    pub async fn lay_over(
        &self,
        tree: &mut Tree,
        snapshot: &Snapshot,
        records: &[ArchiveRecord],
        identities: &Arc<Identities>,
        mut broken: Option<&mut Vec<RepositoryError>>,
    ) -> Result<(), RepositoryError> {
        let runtime = Handle::current();
        for record in records {
            tree.add_archive(record.clone());
        }
        let fetched = futures::stream::iter(records.to_vec()).map(|record| async move {
            let ends = match self.pieces_of(&record) {
                Some(at_hand) => Ok(at_hand),
                None => match self.fetch_ends(&record).await {
                    // What an archive held is known, though it is lost, where its end lies in a pack.
                    Err(error @ (StorageError::NotFound { .. } | StorageError::WrongLength { .. })) => {
                        self.fetch_packed_index(snapshot, &record).await;
                        self.pieces_of(&record).ok_or(error)
                    }
                    ends => ends,
                },
            };
            (record, ends)
        });
        let layers = fetched.buffered(PARALLEL_REQUESTS).map(|(record, ends)| {
            let (this, identities, runtime) = (self.clone(), Arc::clone(identities), runtime.clone());
            async move {
                let id = record.id;
                let joined = tokio::task::spawn_blocking(move || this.layer(record, ends, &identities, &runtime)).await;
                joined.unwrap_or_else(|error| Err(RepositoryError::Archive { id, source: io::Error::other(error).into() }))
            }
        });
        let mut layers = layers.buffered(PARALLEL);
        loop {
            match layers.try_next().await {
                Ok(None) => return Ok(()),
                Ok(Some(layer)) => apply(tree, layer)?,
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
