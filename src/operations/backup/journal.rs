//! The journal: what this machine remembers of one source's chain, so that it needs no key to go on.
//!
//! `head.age` names the last committed snapshot and the layers since `base`: one for each archive. The layer's file is written
//! before the archive appears in the store, and named in the head as soon as it is there for good. After a crash, archives that
//! no snapshot names yet are taken over by the next run: those of the head, and those of other layers that the store has.

use std::collections::HashSet;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::archive::ArchiveError;
use crate::archive::index::{IndexEntry, read_lines};
use crate::model::digest::Id;
use crate::model::entry::EntryPath;
use crate::operations::{OperationError, uploads};
use crate::repository::Machine;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::index_copies::IndexCopies;
use crate::repository::records::Records;
use crate::repository::tree::{Overlay, Tree};
use crate::state::{SealedFolder, StateError};

const HEAD: &str = "head.age";

/// From this many layers on, they are made one with the base when the journal is read.
const MAX_LAYERS: usize = 64;

/// One archive on top of the base.
#[derive(Clone, Serialize, Deserialize)]
struct Layer {
    record: ArchiveRecord,
    file: String,
}

/// What `head.age` says.
#[derive(Clone, Serialize, Deserialize)]
struct Head {
    chain: Id,
    /// The last committed snapshot of the chain; `None` before the first.
    snapshot: Option<(String, Snapshot)>,
    /// The highest sequence number that was used.
    sequence: u64,
    base: Option<String>,
    layers: Vec<Layer>,
    /// Paths whose kind had changed when the last layer was written, to be removed before the layers that no snapshot has.
    removals: Vec<EntryPath>,
    /// Archives of the last snapshot are gone: the next one must begin with a merged index.
    #[serde(default)]
    healing: bool,
    /// A new name whenever something that the journal held is forgotten: what others concluded from it holds no longer.
    #[serde(default)]
    incarnation: Option<Id>,
    /// Archives of others that the entries of layers point at, which no snapshot of this chain has borrowed yet.
    #[serde(default)]
    borrowed: Vec<ArchiveRecord>,
    /// Of a run that is not complete: how many removals its checkpoints have.
    #[serde(default)]
    removed: u64,
}

/// Where a new archive stands among those that no snapshot names yet.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Before all of them: a merged index, which readers begin with.
    First,
    /// Before those with entries, behind a merged index, before which nobody looks for removals.
    Removals,
    /// After all of them.
    Last,
}

/// The journal of one chain.
pub(super) struct Journal {
    folder: SealedFolder,
    head: Head,
    intents: Intents,
    /// For the names of files.
    machine: Machine,
}

/// A line of a layer's file, before the index entries.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// Which archive this is about.
    Intent(Box<Intent>),
    /// A path that the archive removes.
    Remove(EntryPath),
}

/// An archive that is about to appear in the store.
#[derive(Serialize, Deserialize)]
pub(super) struct Intent {
    pub record: ArchiveRecord,
    pub order: Order,
    /// Who wrote it: one's archives with parts of long files count in their order.
    pub lane: u32,
    pub has_parts: bool,
    /// What is to be removed before it, from removal number `from` of the run on.
    pub from: u64,
    pub removals: Vec<EntryPath>,
    /// Its place among the intents of the run.
    #[serde(default)]
    number: u64,
}

impl Intent {
    /// About archive `record` of lane `lane`, with what is to be removed before it as [`Removals::noted`] gives it.
    ///
    /// [`Removals::noted`]: super::planner::Removals::noted
    pub fn new(record: ArchiveRecord, order: Order, lane: u32, (from, removals): (u64, Vec<EntryPath>)) -> Self {
        Self { record, order, lane, has_parts: false, from, removals, number: 0 }
    }
}

/// Notes archives before they appear in the store, so that a crash right after that does not lose them.
#[derive(Clone)]
pub(super) struct Intents {
    folder: SealedFolder,
    /// Names of the layers' files that the head does not have yet.
    open: Arc<Mutex<HashSet<String>>>,
    count: Arc<AtomicU64>,
}

impl Intents {
    fn new(folder: &SealedFolder) -> Self {
        Self { folder: folder.clone(), open: Arc::default(), count: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an archive that is whole and will be in the store next, with what it holds and removes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, mut intent: Intent, entries: &[IndexEntry], remove: &[EntryPath]) -> Result<(), OperationError> {
        let file = layer_file(intent.record.id);
        intent.number = self.count.fetch_add(1, Ordering::Relaxed);
        intent.has_parts = entries.iter().any(|entry| entry.content.as_ref().is_some_and(|content| content.part.is_some()));
        let lines = [Line::Intent(Box::new(intent))].into_iter().chain(remove.iter().cloned().map(Line::Remove));
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &line).map_err(|error| damaged(&self.folder, &file, error))?;
            bytes.push(b'\n');
        }
        bytes.push(b'\n');
        for entry in entries {
            entry.write_line(&mut bytes)?;
        }
        self.open().insert(file.clone());
        Ok(self.folder.write(&file, &bytes)?)
    }
}

fn layer_file(archive: Id) -> String {
    format!("layer-{archive}.age")
}

/// What a journal remembers.
pub(super) struct State {
    /// The state that it describes.
    pub tree: Tree,
    /// Stored archives that no snapshot names yet.
    pub pending: Vec<ArchiveRecord>,
    /// What is to be removed before them; usually nothing. The state is without it already.
    pub removals: Vec<EntryPath>,
    /// Archives of the last snapshot are gone, and no snapshot does without them yet.
    pub is_healing: bool,
}

fn damaged(folder: &SealedFolder, file: &str, why: impl ToString) -> OperationError {
    StateError::Damaged { path: folder.path().join(file), why: why.to_string() }.into()
}

impl Journal {
    /// Reads the journal; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(folder: &SealedFolder, machine: &Machine) -> Result<Option<Self>, OperationError> {
        let head: Option<Head> = folder.read_json(HEAD)?;
        Ok(head.map(|head| Self { folder: folder.clone(), head, intents: Intents::new(folder), machine: machine.clone() }))
    }

    /// Moves the journal of `other` into `folder`, which has none.
    ///
    /// # Errors
    /// When state cannot be read or written.
    pub fn adopt(folder: &SealedFolder, other: &SealedFolder) -> Result<(), OperationError> {
        Ok(folder.take_over(other, HEAD)?)
    }

    /// Takes in what a run that died has noted and `is_stored` finds in the store; gives how many archives that were.
    ///
    /// To be called before anything else of a run.
    ///
    /// # Errors
    /// When state cannot be read or written.
    pub fn take_in(&mut self, is_stored: impl Fn(&ArchiveRecord) -> bool) -> Result<usize, OperationError> {
        let mut intents: Vec<Intent> = Vec::new();
        for name in self.folder.names()? {
            if name.starts_with("layer-") && !self.head.layers.iter().any(|layer| layer.file == name) {
                // What cannot be read any more is stored again.
                intents.extend(self.intent(&name).inspect_err(|error| tracing::warn!(%error, "a note is passed over")).ok().flatten());
            }
        }
        intents.sort_by_key(|intent| intent.number);
        let (mut taken, mut gaps) = (0, HashSet::new());
        for intent in intents {
            if !is_stored(&intent.record) {
                gaps.insert(intent.lane);
            } else if !(intent.has_parts && gaps.contains(&intent.lane)) {
                let committed = usize::try_from(self.head.removed.saturating_sub(intent.from)).unwrap_or(usize::MAX);
                for path in intent.removals.into_iter().skip(committed) {
                    if !self.head.removals.contains(&path) {
                        self.head.removals.push(path);
                    }
                }
                self.place(intent.record, intent.order);
                taken += 1;
            }
        }
        // The next run counts its removals anew.
        if std::mem::take(&mut self.head.removed) > 0 || taken > 0 {
            self.write_head()?;
        }
        self.clean()?;
        Ok(taken)
    }

    /// What a layer's file is about; `None` for those of versions that did not say.
    fn intent(&self, file: &str) -> Result<Option<Intent>, OperationError> {
        let Some(mut reader) = self.folder.reader(file)? else { return Ok(None) };
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).map_err(|error| damaged(&self.folder, file, error))?;
        match serde_json::from_slice(&line) {
            Ok(Line::Intent(intent)) if layer_file(intent.record.id) == file => Ok(Some(*intent)),
            _ => Ok(None),
        }
    }

    /// Where archives are noted before they appear in the store.
    pub fn intents(&self) -> Intents {
        self.intents.clone()
    }

    /// Begins a journal anew, with what the repository says of the chain.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(
        folder: &SealedFolder,
        chain: Id,
        sequence: u64,
        parent: Option<(String, Snapshot)>,
        tree: &Tree,
        machine: &Machine,
    ) -> Result<Self, OperationError> {
        let (layers, removals) = (Vec::new(), Vec::new());
        let incarnation = Some(machine.id()?);
        let head = Head {
            chain,
            snapshot: parent,
            sequence,
            base: None,
            layers,
            removals,
            healing: false,
            removed: 0,
            incarnation,
            borrowed: Vec::new(),
        };
        let mut this = Self { folder: folder.clone(), head, intents: Intents::new(folder), machine: machine.clone() };
        if tree.is_empty() {
            this.write_head()?;
        } else {
            this.write_base(tree, Vec::new())?;
        }
        Ok(this)
    }

    /// The chain.
    pub fn chain(&self) -> Id {
        self.head.chain
    }

    /// What this memory is called: with this name, everything is still held that was ever noted under it.
    pub fn memory(&self) -> String {
        match self.head.incarnation {
            Some(incarnation) => format!("{}-{incarnation}", self.head.chain),
            None => self.head.chain.to_string(),
        }
    }

    /// The last committed snapshot and its stem.
    pub fn snapshot(&self) -> Option<&(String, Snapshot)> {
        self.head.snapshot.as_ref()
    }

    /// The highest sequence number that was used.
    pub fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// Takes in which archives others stand for by now. What this machine knows goes on saying that contents are in the old ones; the next
    /// snapshot names the new ones, and says for which they stand. `false` where something was taken out of what it knows, nobody says
    /// what: then it holds no longer.
    ///
    /// # Errors
    /// When state cannot be read or written.
    pub fn replace(&mut self, records: &Records) -> Result<bool, OperationError> {
        if records.standing.is_empty() {
            return Ok(true);
        }
        let layers: Vec<ArchiveRecord> = self.head.layers.iter().map(|layer| layer.record.clone()).collect();
        let known = self.head.snapshot.as_ref().map_or(&[][..], |(_, snapshot)| snapshot.archives.as_slice());
        if records.standing.takes_out_of(known) || records.standing.takes_out_of(&layers) {
            return Ok(false);
        }
        let before = serde_json::to_string(&self.head).ok();
        if let Some((stem, snapshot)) = &mut self.head.snapshot
            && !records.is_forgotten(stem)
        {
            // A record that did not know of this snapshot does not know what of the old ones it needs.
            records.standing.covering(snapshot.chain, snapshot.sequence).apply(snapshot);
        }
        // What no snapshot has yet may point at contents that are in none of the new ones.
        let old = records.standing.old_ids();
        let committed = self.committed_layers();
        let mut pointing = HashSet::new();
        for layer in self.head.layers.iter().skip(committed) {
            if self.points_into(&layer.file, &old)? {
                pointing.insert(layer.record.id);
            }
        }
        self.head.layers.retain(|layer| !pointing.contains(&layer.record.id));
        self.head.borrowed.retain(|record| !old.contains(&record.id));
        if before.is_none() || before != serde_json::to_string(&self.head).ok() {
            self.write_head()?;
        }
        Ok(true)
    }

    /// Whether a layer has an entry whose content is in one of these archives.
    fn points_into(&self, file: &str, archives: &HashSet<Id>) -> Result<bool, OperationError> {
        let missing = || damaged(&self.folder, file, "it is missing");
        let mut reader = self.folder.reader(file)?.ok_or_else(missing)?;
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(|error| damaged(&self.folder, file, error))? > 1 {
            line.clear();
        }
        let mut found = false;
        let mut each = |entry: IndexEntry| {
            found |= entry.content.and_then(|content| content.archive).is_some_and(|archive| archives.contains(&archive));
            Ok(())
        };
        read_lines(&mut reader, &mut each).map_err(|error| damaged(&self.folder, file, error))?;
        Ok(found)
    }

    /// Reads the state.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn remembered(&mut self) -> Result<State, OperationError> {
        let mut tree = Overlay::new();
        let committed = self.head.snapshot.iter().flat_map(|(_, snapshot)| snapshot.all_archives()).chain(&self.head.borrowed);
        let committed: Vec<ArchiveRecord> = committed.cloned().collect();
        for record in committed.iter().chain(self.head.layers.iter().map(|layer| &layer.record)) {
            tree.add_archive(record.clone());
        }
        self.head.snapshot.iter().flat_map(|(_, snapshot)| snapshot.old_archives()).for_each(|record| tree.add_archive(record));
        let head = self.head.clone();
        if let Some(base) = &head.base {
            self.read_entries(base, &mut tree, Id([0; 16]))?;
        }
        let (committed, uncommitted) = head.layers.split_at_checked(self.committed_layers()).unwrap_or((&head.layers, &[]));
        for layer in committed {
            self.read_entries(&layer.file, &mut tree, layer.record.id)?;
        }
        // As the next snapshot will have it: what these paths held is stored again, unless a later layer has it.
        for path in &head.removals {
            tree.remove(path);
        }
        for layer in uncommitted {
            self.read_entries(&layer.file, &mut tree, layer.record.id)?;
        }
        let pending: Vec<ArchiveRecord> = uncommitted.iter().map(|layer| layer.record.clone()).collect();
        let tree = tree.finish();
        if head.layers.len() >= MAX_LAYERS && pending.is_empty() {
            self.write_base(&tree, Vec::new())?;
        }
        Ok(State { tree, pending, removals: head.removals, is_healing: head.healing })
    }

    /// The copies of the indexes of `archives`, which no snapshot names yet; of those that this machine did not make, there are none.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn index_copies(&self, archives: &[ArchiveRecord], derived: &HashSet<Id>) -> Result<Vec<u8>, OperationError> {
        let mut copies = IndexCopies::new()?;
        for record in archives.iter().filter(|record| !record.merged || derived.contains(&record.id)) {
            if !copies.has_room() {
                tracing::warn!(archive = %record.id, "there is no room for a second copy of its index");
                break;
            }
            // What cannot be read here any more has no copy; the archive itself has it all.
            if let Err(error) = self.copy_index(record, &mut copies) {
                tracing::warn!(archive = %record.id, %error, "its index has no second copy");
                break;
            }
        }
        Ok(copies.finish()?)
    }

    fn copy_index(&self, record: &ArchiveRecord, copies: &mut IndexCopies) -> Result<(), OperationError> {
        let file = layer_file(record.id);
        let failed = |error: std::io::Error| damaged(&self.folder, &file, error);
        let Some(mut reader) = self.folder.reader(&file)? else { return Ok(()) };
        copies.begin(record.id, record.merged)?;
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 1 {
            if let Ok(Line::Remove(path)) = serde_json::from_slice(&line) {
                copies.removal(&path)?;
            }
            line.clear();
        }
        copies.entries()?;
        line.clear();
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            copies.line(&line)?;
            line.clear();
        }
        Ok(copies.end()?)
    }

    fn read_entries(&self, file: &str, tree: &mut Overlay, of: Id) -> Result<(), OperationError> {
        let missing = || damaged(&self.folder, file, "it is missing");
        let mut reader = self.folder.reader(file)?.ok_or_else(missing)?;
        let read = (|| -> Result<(), ArchiveError> {
            // What the layer is about and its removals stand before the entries, one line each, up to an empty line.
            let mut line = Vec::new();
            loop {
                line.clear();
                if reader.read_until(b'\n', &mut line)? <= 1 {
                    break;
                }
                match serde_json::from_slice(&line).map_err(|error| ArchiveError::Damaged(error.to_string()))? {
                    Line::Intent(_) => {}
                    Line::Remove(path) => tree.remove(&path),
                }
            }
            read_lines(&mut reader, &mut |entry| tree.apply(entry, of))
        })();
        read.map_err(|error| damaged(&self.folder, file, error))
    }

    /// Makes `tree` the base; `layers` stay on top of it.
    fn write_base(&mut self, tree: &Tree, layers: Vec<Layer>) -> Result<(), OperationError> {
        // A new name each time: the head goes on naming the old base until it is written.
        let file = format!("base-{}.age", self.machine.id()?);
        let failed = |source: std::io::Error| StateError::File { operation: "write", path: self.folder.path().join(&file), source };
        let mut writer = self.folder.writer(&file)?;
        writer.write_all(b"\n").map_err(failed)?;
        let mut lines = Vec::new();
        for (path, entry) in tree.iter() {
            for entry in tree.index_entries(&path, &entry) {
                entry.write_line(&mut lines)?;
            }
            writer.write_all(&lines).map_err(failed)?;
            lines.clear();
        }
        writer.finish()?;
        self.head.base = Some(file);
        self.head.layers = layers;
        self.write_head()?;
        self.clean()
    }

    /// Notes that an archive, whose intent was noted, is stored for good.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_archive(&mut self, record: &ArchiveRecord, removals: Vec<EntryPath>, order: Order) -> Result<(), OperationError> {
        self.place(record.clone(), order);
        self.head.removals = removals;
        self.write_head()?;
        self.intents.open().remove(&layer_file(record.id));
        Ok(())
    }

    /// Puts a new layer where it belongs.
    fn place(&mut self, record: ArchiveRecord, order: Order) {
        let layer = Layer { file: layer_file(record.id), record };
        match order {
            Order::Last => self.head.layers.push(layer),
            Order::First => self.head.layers.insert(self.committed_layers(), layer),
            Order::Removals => {
                let committed = self.committed_layers();
                let merged = self.head.layers.iter().skip(committed).take_while(|layer| layer.record.merged).count();
                self.head.layers.insert(committed + merged, layer);
            }
        }
    }

    /// How many layers the last snapshot names; the others follow them.
    fn committed_layers(&self) -> usize {
        let archives = self.head.snapshot.as_ref().map_or(&[][..], |(_, snapshot)| snapshot.archives.as_slice());
        let old = self.head.snapshot.iter().flat_map(|(_, snapshot)| &snapshot.stand_ins).map(|stand_in| stand_in.old);
        let known: HashSet<Id> = archives.iter().map(|record| record.id).chain(old).collect();
        self.head.layers.partition_point(|layer| known.contains(&layer.record.id))
    }

    /// Forgets archives that are gone from the store; `tree` is what is left without them, `pending` the archives that no
    /// snapshot names yet, whose entries it holds.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget_lost(&mut self, lost: &HashSet<Id>, tree: &Tree, pending: &[ArchiveRecord]) -> Result<(), OperationError> {
        if let Some((_, snapshot)) = &mut self.head.snapshot {
            snapshot.archives.retain(|record| !lost.contains(&record.id));
            snapshot.borrowed.retain(|record| !lost.contains(&record.id));
            snapshot.stand_ins.retain(|stand_in| !lost.contains(&stand_in.old));
            // Lists name what is lost: new ones are made where they are due.
            snapshot.lists.clear();
            snapshot.packs.clear();
        }
        self.head.borrowed.retain(|record| !lost.contains(&record.id));
        self.head.healing = true;
        self.head.incarnation = Some(self.machine.id()?);
        self.head.removals.clear();
        let empty = "layer-empty.age";
        self.folder.write(empty, b"\n")?;
        let layers = pending.iter().map(|record| Layer { record: record.clone(), file: empty.into() }).collect();
        self.write_base(tree, layers)
    }

    /// Notes archives of others that the next layers will point at.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn borrow(&mut self, records: impl IntoIterator<Item = ArchiveRecord>) -> Result<(), OperationError> {
        for record in records {
            if !self.borrowed().any(|known| known.id == record.id) {
                self.head.borrowed.push(record);
            }
        }
        self.write_head()
    }

    /// The archives of others that the next snapshot borrows.
    pub fn borrowed(&self) -> impl Iterator<Item = &ArchiveRecord> {
        self.head.snapshot.iter().flat_map(|(_, snapshot)| &snapshot.borrowed).chain(&self.head.borrowed)
    }

    /// Goes on after a sequence number that the repository knows already.
    pub fn raise_sequence(&mut self, sequence: u64) {
        self.head.sequence = self.head.sequence.max(sequence);
    }

    /// Notes a committed snapshot, which has the first `removed` of the run's removals.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_snapshot(&mut self, stem: &str, snapshot: &Snapshot, removed: u64) -> Result<(), OperationError> {
        self.head.sequence = snapshot.sequence;
        self.head.snapshot = Some((stem.to_owned(), snapshot.clone()));
        self.head.removals.clear();
        self.head.borrowed.clear();
        self.head.healing = false;
        self.head.removed = if snapshot.complete { 0 } else { removed };
        self.write_head()?;
        self.clean()
    }

    fn write_head(&self) -> Result<(), OperationError> {
        Ok(self.folder.write_json(HEAD, &self.head)?)
    }

    fn clean(&self) -> Result<(), OperationError> {
        let (head, open) = (&self.head, self.intents.open());
        let is_named = |name: &str| head.base.as_deref() == Some(name) || head.layers.iter().any(|layer| layer.file == name);
        Ok(self.folder.retain(|name| name == HEAD || uploads::is_note(name) || open.contains(name) || is_named(name))?)
    }
}
