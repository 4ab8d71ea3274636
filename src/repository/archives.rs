//! Opening the archives that a snapshot names, and laying its state together.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use super::format::snapshot::{ArchiveRecord, Snapshot};
use super::format::{names, pack};
use super::index_copies::IndexCopy;
use super::tree::{Lines, Overlay, Place, Tree};
use super::{Repository, RepositoryError};
use crate::archive::ArchiveError;
use crate::archive::index::Located;
use crate::archive::reader::{ArchiveReader, HEAD_BYTES, OwnMembers, ReadAt, TAIL_BYTES};
use crate::crypt::keys::Identities;
use crate::crypt::payload::SEALED_CHUNK_BYTES;
use crate::model::digest::{Digest, Id};
use crate::model::entry::EntryPath;
use crate::storage::{ObjectInfo, Storage, StorageError};

/// How many archives' indexes are taken apart at a time.
const PARALLEL: usize = 8;

/// How many archives' ends are asked for at a time: where they are long, fewer.
const PARALLEL_REQUESTS: usize = 32;

/// Bytes of ends that are asked for at a time, about.
const PARALLEL_BYTES: u64 = 8 * 1024 * 1024;

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
    entries: Lines,
    /// Whether this is the second copy.
    is_copied: bool,
}

/// What is known of archives: those that cannot be read, with the copies of their indexes, and those that the store does not have.
type Known<'a> = (&'a HashMap<Id, Option<IndexCopy>>, &'a HashSet<Id>);

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
        let object = match self.place_of(&record.object).await {
            Ok(object) => object,
            Err(RepositoryError::Storage(error)) => return Err(error),
            Err(_) => record.object.clone(),
        };
        let (object, length) = (&object, record.length);
        if length <= SMALL_BYTES {
            let end = self.storage.get_range(object, 0..length).await?;
            let head = end.slice(..end.len().min(HEAD_BYTES as usize));
            return Ok(AtHand { head, end, end_from: 0 });
        }
        let end_from = length - end_bytes(record);
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
        let place = runtime.block_on(self.place_of(&record.object))?;
        let attempt = |ends: Result<AtHand, StorageError>| {
            let at_hand = Mutex::new(ends.map_err(|error| wrong(io_error(error).into()))?);
            let object = StoredObject { at_hand, ..StoredObject::new(self.storage.clone(), place.clone(), runtime.clone()) };
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
        is_gone: bool,
        identities: &Identities,
        runtime: &Handle,
    ) -> Result<Layer, RepositoryError> {
        self.with_ends(&record, runtime, Some(ends), |object| {
            let reader = ArchiveReader::open(object, &record.expected(), identities)?;
            let own = self.own_bytes(&reader, &record)?;
            let mut entries = Lines::default();
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
            Ok(Layer { remove, entries, record: record.clone(), is_copied: is_gone })
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
            let packed = async {
                for (snapshot, &first) in snapshots.iter().zip(&firsts) {
                    self.fetch_packed_indexes(snapshot, first).await;
                }
            }
            .boxed();
            // An index that is at hand says nothing of its archive: the listing does.
            let records: Vec<&ArchiveRecord> = snapshots.iter().flat_map(|snapshot| &snapshot.archives).collect();
            let (gone, ()) = futures::join!(self.gone(&records).boxed(), packed);
            let gone = gone?;
            let (tree, failed) = self.lay_together(snapshots, &firsts, identities, (&known, &gone)).boxed().await?;
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
            return self.settle(tree, snapshots, identities).boxed().await;
        }
    }

    /// Puts contents that entries say to be in archives that others stand for where they are now.
    async fn settle(&self, mut tree: Tree, snapshots: &[&Snapshot], identities: &Arc<Identities>) -> Result<Tree, RepositoryError> {
        let stand_ins = || snapshots.iter().flat_map(|snapshot| &snapshot.stand_ins);
        let own: HashSet<Id> = snapshots.iter().flat_map(|snapshot| snapshot.all_archives()).map(|record| record.id).collect();
        let old: HashSet<u32> =
            stand_ins().filter(|stand_in| !own.contains(&stand_in.old)).filter_map(|stand_in| tree.archive_number(stand_in.old)).collect();
        let Some(first) = old.iter().min().copied() else { return Ok(tree) };
        let wanted = tree.contents_in(|number| old.contains(&number));
        if !wanted.is_empty() {
            let named: HashSet<Id> = stand_ins().flat_map(|stand_in| stand_in.by.iter().copied()).collect();
            let records = tree.archives.iter().filter(|record| named.contains(&record.id)).cloned().collect();
            let mut found: HashMap<Digest, Place> = HashMap::new();
            let mut each = |record: &ArchiveRecord, entries: &Lines, _: &[EntryPath]| {
                let Some(archive) = tree.archive_number(record.id) else { return };
                for located in entries.iter().filter_map(|entry| entry.content) {
                    if located.archive.is_none_or(|archive| archive == record.id) && wanted.contains(&located.sha256) {
                        let Located { sha256, frame, offset, length, .. } = located;
                        found.entry(sha256).or_insert(Place { sha256, archive, frame, offset, length });
                    }
                }
            };
            self.each_index(records, identities, &mut each).await?;
            let there = |place: &Place| found.get(&place.sha256).filter(|there| there.length == place.length).copied();
            tree.move_contents(|place| if old.contains(&place.archive) { there(place) } else { None });
        }
        tree.drop_unused(first as usize);
        Ok(tree)
    }

    /// Brings what is needed of the indexes of all archives of a snapshot to hand, unchecked, in as few requests and as few steps as there
    /// are: packs and the listing of archives first, then what no pack has.
    pub async fn fetch_indexes(&self, snapshot: &Snapshot) {
        /// More than these are in packs, or come when it is their turn.
        const MAX_LOOSE: usize = 64;
        let (_, ()) = futures::join!(self.listed_archives().boxed(), self.fetch_packed_indexes(snapshot, 0).boxed());
        let is_loose = |record: &&ArchiveRecord| self.pieces_of(record).is_none();
        let loose: Vec<ArchiveRecord> = snapshot.archives.iter().filter(is_loose).take(MAX_LOOSE).cloned().collect();
        let fetched = futures::stream::iter(loose).map(|record| {
            async move {
                // What does not come is asked for again by whoever needs it.
                if let Ok(AtHand { head, end, .. }) = self.fetch_ends(&record).await {
                    let (head_name, end_name) = pack::ends(&record.object);
                    self.pieces.offer(&head_name, head);
                    self.pieces.offer(&end_name, end);
                }
            }
            .boxed()
        });
        fetched.buffer_unordered(PARALLEL_REQUESTS).collect::<Vec<()>>().await;
    }

    /// Those of the archives that the store does not have in their length.
    async fn gone(&self, records: &[&ArchiveRecord]) -> Result<HashSet<Id>, RepositoryError> {
        /// So many are asked for one by one.
        const FEW: usize = 16;
        fn is_there(stored: &HashMap<String, u64>, record: &ArchiveRecord) -> bool {
            stored.get(&record.object) == Some(&record.length)
        }
        let stored = self.listed_archives().await?;
        let missed: Vec<&ArchiveRecord> = records.iter().copied().filter(|record| !is_there(&stored, record)).collect();
        if missed.is_empty() {
            return Ok(HashSet::new());
        }
        // They may have come after the listing.
        let stored = if missed.len() > FEW {
            archives_in(&self.storage.without_listing()).await?
        } else {
            let objects: Vec<String> = missed.iter().map(|record| record.object.clone()).collect();
            let asked = futures::stream::iter(objects)
                .map(|object| async move { Ok::<_, RepositoryError>((self.storage.head(&object).await?, object)) }.boxed());
            let found: Vec<(Option<ObjectInfo>, String)> = asked.buffered(FEW).try_collect().await?;
            found.into_iter().filter_map(|(found, object)| Some((object, found?.size_bytes))).collect()
        };
        Ok(missed.into_iter().filter(|record| !is_there(&stored, record)).map(|record| record.id).collect())
    }

    /// Lays the archives of each of `snapshots`, from its number in `firsts` on, over each other; of those that are `known` the copy
    /// of the index counts, if there is one. Gives the state and what is wrong with archives that have no copy.
    async fn lay_together(
        &self,
        snapshots: &[&Snapshot],
        firsts: &[usize],
        identities: &Arc<Identities>,
        known: Known<'_>,
    ) -> Result<(Tree, Vec<(Id, RepositoryError)>), RepositoryError> {
        let (mut tree, mut failed) = (Overlay::new(), Vec::new());
        let (mut met, mut layered, mut records) = (HashSet::new(), HashSet::new(), Vec::new());
        for (snapshot, &first) in snapshots.iter().zip(firsts) {
            for record in snapshot.all_archives().filter(|record| met.insert(record.id)) {
                tree.add_archive(record.clone());
            }
            let layers = snapshot.archives.get(first..).unwrap_or_default();
            records.extend(layers.iter().filter(|record| layered.insert(record.id)).cloned());
        }
        snapshots.iter().flat_map(|snapshot| snapshot.old_archives()).for_each(|record| tree.add_archive(record));
        self.lay(&mut tree, records, identities, known, &mut failed).await?;
        Ok((tree.finish(), failed))
    }

    /// Lays further archives of a snapshot over the state of those before. `None` where one of them cannot be read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn lay_over(
        &self,
        tree: Tree,
        records: &[ArchiveRecord],
        snapshot: &Snapshot,
        identities: &Arc<Identities>,
    ) -> Result<Option<Tree>, RepositoryError> {
        let mut tree = Overlay::on(tree);
        for record in snapshot.borrowed.iter().chain(records) {
            tree.add_archive(record.clone());
        }
        snapshot.old_archives().for_each(|record| tree.add_archive(record));
        let (gone, mut failed) = (self.gone(&records.iter().collect::<Vec<_>>()).boxed().await?, Vec::new());
        self.lay(&mut tree, records.to_vec(), identities, (&HashMap::new(), &gone), &mut failed).await?;
        if failed.is_empty() { Ok(Some(self.settle(tree.finish(), &[snapshot], identities).boxed().await?)) } else { Ok(None) }
    }

    /// Lays archives over a state, in their order; `failed` takes those whose index cannot be read and has no copy in `known`.
    async fn lay(
        &self,
        tree: &mut Overlay,
        records: Vec<ArchiveRecord>,
        identities: &Arc<Identities>,
        (known, gone): Known<'_>,
        failed: &mut Vec<(Id, RepositoryError)>,
    ) -> Result<(), RepositoryError> {
        let mut layers = Box::pin(self.layers(records, identities, (known, gone)));
        while let Some((record, layer)) = layers.next().await {
            match layer {
                Ok(layer) => apply(tree, layer)?,
                Err(error) if error.is_integrity() => {
                    failed.push((record.id, error));
                    tree.note_lost(record);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what archives add, in their order, several at a time; of those in `known` the copy of the index counts.
    fn layers<'a>(
        &'a self,
        records: Vec<ArchiveRecord>,
        identities: &'a Arc<Identities>,
        (known, gone): Known<'a>,
    ) -> impl Stream<Item = (ArchiveRecord, Result<Layer, RepositoryError>)> + 'a {
        let runtime = Handle::current();
        let longest = records.iter().map(end_bytes).max().unwrap_or(0);
        let at_a_time = (PARALLEL_BYTES / longest.max(1)).clamp(2, PARALLEL_REQUESTS as u64) as usize;
        let fetched = futures::stream::iter(records).map(move |record| async move {
            let ends = match self.pieces_of(&record) {
                _ if known.get(&record.id).is_some_and(Option::is_some) => None,
                Some(at_hand) => Some(Ok(at_hand)),
                None => Some(self.fetch_ends(&record).await),
            };
            (record, ends)
        });
        let layers = fetched.buffered(at_a_time).map(move |(record, ends)| {
            let (this, identities, runtime) = (self.clone(), Arc::clone(identities), runtime.clone());
            let copy = known.get(&record.id).cloned().flatten();
            async move {
                let (Some(ends), None) = (ends, &copy) else {
                    let copy = copy.unwrap_or_default();
                    return (
                        record.clone(),
                        Ok(Layer { record, remove: copy.remove, entries: copy.entries.into_iter().collect(), is_copied: true }),
                    );
                };
                let (id, again, is_gone) = (record.id, record.clone(), gone.contains(&record.id));
                let joined = tokio::task::spawn_blocking(move || this.layer(again, ends, is_gone, &identities, &runtime)).await;
                (record, joined.unwrap_or_else(|error| Err(RepositoryError::Archive { id, source: io::Error::other(error).into() })))
            }
        });
        layers.buffered(PARALLEL.min(at_a_time))
    }

    /// Hands the index of each archive and what it removes to `each`, whatever later archives say of its entries; those that cannot be read are passed over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn each_index(
        &self,
        records: Vec<ArchiveRecord>,
        identities: &Arc<Identities>,
        each: &mut (dyn FnMut(&ArchiveRecord, &Lines, &[EntryPath]) + Send),
    ) -> Result<(), RepositoryError> {
        let (known, gone) = (HashMap::new(), HashSet::new());
        let mut layers = Box::pin(self.layers(records, identities, (&known, &gone)));
        while let Some((record, layer)) = layers.next().await {
            match layer {
                Ok(layer) => each(&record, &layer.entries, &layer.remove),
                Err(error) if error.is_integrity() => tracing::debug!(archive = %record.id, %error, "its contents are not known"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Bytes of the end of an archive that are asked for at once, at most its length.
fn end_bytes(record: &ArchiveRecord) -> u64 {
    // Older records do not say where the end begins.
    let own_bytes = record.own.and_then(|own| record.length.checked_sub(own.from)).filter(|bytes| (1..=MAX_OWN_BYTES).contains(bytes));
    own_bytes.unwrap_or(END_BYTES).min(record.length)
}

/// The archives in a store, with their lengths in bytes.
///
/// # Errors
/// When they cannot be listed.
pub(super) async fn archives_in(storage: &Storage) -> Result<HashMap<String, u64>, RepositoryError> {
    let found = storage.list(names::ARCHIVES).await?;
    Ok(found.into_iter().map(|object| (object.name, object.size_bytes)).collect())
}

fn apply(tree: &mut Overlay, layer: Layer) -> Result<(), RepositoryError> {
    let id = layer.record.id;
    if layer.is_copied {
        tree.note_copied(id);
    }
    for path in &layer.remove {
        tree.remove(path);
    }
    layer.entries.drain(|entry| tree.apply(entry, id).map_err(|source| RepositoryError::Archive { id, source }))
}
