//! The journal: what this machine remembers of one source's chain, so that it needs no key to go on.
//!
//! `head.age` names the last committed snapshot and the layers since `base`: one for each archive, written as soon as the
//! archive is stored for good. After a crash, archives that no snapshot names yet are taken over by the next run.

use std::collections::HashSet;
use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::archive::ArchiveError;
use crate::archive::index::{IndexEntry, read_lines};
use crate::model::digest::Id;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::random_id;
use crate::repository::tree::Tree;
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
}

/// Where a new archive stands among those that no snapshot names yet.
#[derive(Clone, Copy, PartialEq, Eq)]
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
}

/// A line of a layer's file: an index entry, or a path that the archive removes.
#[derive(Serialize, Deserialize)]
struct Removal {
    remove: EntryPath,
}

/// What a journal remembers.
pub(super) struct Remembered {
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
    pub fn open(folder: &SealedFolder) -> Result<Option<Self>, OperationError> {
        let head: Option<Head> = folder.read_json(HEAD)?;
        Ok(head.map(|head| Self { folder: folder.clone(), head }))
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
    ) -> Result<Self, OperationError> {
        let head = Head {
            chain,
            snapshot: parent,
            sequence,
            base: None,
            layers: Vec::new(),
            removals: Vec::new(),
            healing: false,
            incarnation: Some(random_id()?),
        };
        let mut this = Self { folder: folder.clone(), head };
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

    /// Reads the state.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn remembered(&mut self) -> Result<Remembered, OperationError> {
        let mut tree = Tree::new();
        let committed = self.head.snapshot.iter().flat_map(|(_, snapshot)| &snapshot.archives);
        let committed: Vec<ArchiveRecord> = committed.cloned().collect();
        for record in committed.iter().chain(self.head.layers.iter().map(|layer| &layer.record)) {
            tree.add_archive(record.clone());
        }
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
        if head.layers.len() >= MAX_LAYERS && pending.is_empty() {
            self.write_base(&tree, Vec::new())?;
        }
        Ok(Remembered { tree, pending, removals: head.removals, is_healing: head.healing })
    }

    fn read_entries(&self, file: &str, tree: &mut Tree, of: Id) -> Result<(), OperationError> {
        let missing = || damaged(&self.folder, file, "it is missing");
        let mut reader = self.folder.reader(file)?.ok_or_else(missing)?;
        let read = (|| -> Result<(), ArchiveError> {
            // Removals stand before the entries, one line each, up to an empty line.
            let mut line = Vec::new();
            loop {
                line.clear();
                if reader.read_until(b'\n', &mut line)? <= 1 {
                    break;
                }
                let removal: Removal = serde_json::from_slice(&line).map_err(|error| ArchiveError::Damaged(error.to_string()))?;
                tree.remove(&removal.remove);
            }
            read_lines(&mut reader, &mut |entry| tree.apply(entry, of))
        })();
        read.map_err(|error| damaged(&self.folder, file, error))
    }

    /// Makes `tree` the base; `layers` stay on top of it.
    fn write_base(&mut self, tree: &Tree, layers: Vec<Layer>) -> Result<(), OperationError> {
        // A new name each time: the head goes on naming the old base until it is written.
        let file = format!("base-{}.age", random_id()?);
        let failed = |source: std::io::Error| StateError::File { operation: "write", path: self.folder.path().join(&file), source };
        let mut writer = self.folder.writer(&file)?;
        writer.write_all(b"\n").map_err(failed)?;
        let mut lines = Vec::new();
        for (path, entry) in tree.iter() {
            for entry in tree.index_entries(path, entry) {
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

    /// Notes an archive that is stored for good, with what it holds and removes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_archive(
        &mut self,
        record: &ArchiveRecord,
        entries: &[IndexEntry],
        remove: &[EntryPath],
        removals: Vec<EntryPath>,
        order: Order,
    ) -> Result<(), OperationError> {
        let file = format!("layer-{}.age", record.id);
        let mut bytes = Vec::new();
        for path in remove {
            serde_json::to_writer(&mut bytes, &Removal { remove: path.clone() }).map_err(|error| damaged(&self.folder, &file, error))?;
            bytes.push(b'\n');
        }
        bytes.push(b'\n');
        for entry in entries {
            entry.write_line(&mut bytes)?;
        }
        self.folder.write(&file, &bytes)?;
        let layer = Layer { record: record.clone(), file };
        match order {
            Order::Last => self.head.layers.push(layer),
            Order::First => self.head.layers.insert(self.committed_layers(), layer),
            Order::Removals => {
                let committed = self.committed_layers();
                let merged = self.head.layers.iter().skip(committed).take_while(|layer| layer.record.merged).count();
                self.head.layers.insert(committed + merged, layer);
            }
        }
        self.head.removals = removals;
        self.write_head()
    }

    /// How many layers the last snapshot names; the others follow them.
    fn committed_layers(&self) -> usize {
        let archives = self.head.snapshot.as_ref().map_or(&[][..], |(_, snapshot)| snapshot.archives.as_slice());
        let known: HashSet<Id> = archives.iter().map(|record| record.id).collect();
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
            // Lists name what is lost: new ones are made where they are due.
            snapshot.lists.clear();
        }
        self.head.healing = true;
        self.head.incarnation = Some(random_id()?);
        self.head.removals.clear();
        let empty = "layer-empty.age";
        self.folder.write(empty, b"\n")?;
        let layers = pending.iter().map(|record| Layer { record: record.clone(), file: empty.into() }).collect();
        self.write_base(tree, layers)
    }

    /// Goes on after a sequence number that the repository knows already.
    pub fn raise_sequence(&mut self, sequence: u64) {
        self.head.sequence = self.head.sequence.max(sequence);
    }

    /// Notes a committed snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_snapshot(&mut self, stem: &str, snapshot: &Snapshot) -> Result<(), OperationError> {
        self.head.sequence = snapshot.sequence;
        self.head.snapshot = Some((stem.to_owned(), snapshot.clone()));
        self.head.removals.clear();
        self.head.healing = false;
        self.write_head()?;
        self.clean()
    }

    fn write_head(&self) -> Result<(), OperationError> {
        Ok(self.folder.write_json(HEAD, &self.head)?)
    }

    fn clean(&self) -> Result<(), OperationError> {
        let head = &self.head;
        let wanted = |name: &str| name == HEAD || head.base.as_deref() == Some(name) || head.layers.iter().any(|layer| layer.file == name);
        Ok(self.folder.retain(wanted)?)
    }
}
