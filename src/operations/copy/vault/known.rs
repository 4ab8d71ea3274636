//! What the target has: by what this machine remembers of its copies, by the target's signatures, and, with its key, by its snapshots.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::crypt::keys::Identities;
use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::operations::session::Opened;
use crate::repository::Machine;
use crate::repository::format::names;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::snapshots::SnapshotRef;
use crate::state::SealedFolder;

const FILE: &str = "copied.age";

/// Snapshots after which what is known is written down; until then each new archive has a note of its own.
const WRITE_AFTER: u64 = 32;

/// What is kept from one copy to the next.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    archives: Vec<ArchiveRecord>,
    /// Snapshots of the source, and what they are called in the target.
    copies: BTreeMap<Id, Id>,
    /// The last snapshot of each chain in the target.
    last: BTreeMap<Id, Snapshot>,
}

/// What a snapshot is of, by what its copies say too.
fn what_of(snapshot: &Snapshot) -> String {
    let Snapshot { time, host, source, .. } = snapshot;
    format!("{time}\0{host}\0{}\0{}", source.kind, source.name)
}

/// What the target has.
pub(super) struct Known {
    folder: SealedFolder,
    archives: HashMap<Id, ArchiveRecord>,
    copies: BTreeMap<Id, Id>,
    last: BTreeMap<Id, Snapshot>,
    /// What its snapshots are of, where they were read.
    made: HashMap<String, Id>,
    /// What stands before the endings of all objects below `snapshots/`, also where a commit was cut short.
    taken: HashSet<String>,
    /// The stems of its snapshots.
    stems: BTreeSet<String>,
    /// The last number of each of its chains.
    sequences: BTreeMap<Id, u64>,
    /// Its archives by the listing.
    stored: HashMap<String, u64>,
    unwritten: u64,
}

impl Known {
    /// Reads what is known, of which only counts what the target lists.
    ///
    /// # Errors
    /// When the state cannot be read, or the store fails.
    pub async fn read(folder: &SealedFolder, notes: &SealedFolder, target: &Opened) -> Result<Self, OperationError> {
        let stored = target.repository.stored_archives().await?;
        let kept: Kept = folder.read_json(FILE)?.unwrap_or_default();
        let mut this = Self {
            folder: folder.clone(),
            archives: HashMap::new(),
            copies: kept.copies,
            last: kept.last,
            made: HashMap::new(),
            taken: HashSet::new(),
            stems: BTreeSet::new(),
            sequences: BTreeMap::new(),
            stored,
            unwritten: 0,
        };
        for folder in [names::SNAPSHOTS.to_owned(), names::mirror(names::SNAPSHOTS)] {
            let found = target.repository.storage.list(&folder).await?;
            this.taken.extend(found.iter().filter_map(|object| object.name.strip_prefix(&folder)?.split('.').next()).map(str::to_owned));
        }
        kept.archives.into_iter().for_each(|record| this.take(record));
        for name in notes.names()?.iter().filter(|name| name.ends_with(".age")) {
            if let Some(record) = notes.read_json(name)? {
                this.take(record);
            }
        }
        for (stem, found) in target.repository.snapshot_refs().await? {
            match found {
                Ok(found) => {
                    let last = this.sequences.entry(found.signed.chain).or_default();
                    *last = found.signed.sequence.max(*last);
                    this.stems.insert(stem);
                }
                // `verify` says so; there is no way to copy over it.
                Err(error) if error.is_integrity() => drop(this.stems.insert(stem)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(this)
    }

    /// Takes an archive as known, if the target has it.
    fn take(&mut self, record: ArchiveRecord) {
        if self.stored.get(&record.object) == Some(&record.length) {
            self.archives.insert(record.id, record);
        }
    }

    /// Reads what the target's snapshots say.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn learn(&mut self, target: &Opened, identities: &Identities) -> Result<(), OperationError> {
        let mut records = Vec::new();
        let made = &mut self.made;
        let each = |_, snapshot: Snapshot| {
            records.extend(snapshot.all_archives().cloned());
            made.insert(what_of(&snapshot), snapshot.id);
        };
        target.repository.each_snapshot(identities, each).await?;
        records.into_iter().for_each(|record| self.take(record));
        Ok(())
    }

    /// Notes an archive that has just been stored.
    pub fn add(&mut self, record: ArchiveRecord) {
        self.stored.insert(record.object.clone(), record.length);
        self.archives.insert(record.id, record);
    }

    /// Whether one of the target's snapshots that were read is a copy of this one.
    pub fn is_copied(&mut self, snapshot: &Snapshot) -> bool {
        let Some(&id) = self.made.get(&what_of(snapshot)) else { return false };
        self.copies.insert(snapshot.id, id);
        true
    }

    /// What the copy of a snapshot is called: the same, unless something of a commit that was cut short has that name.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn name_for(&self, snapshot: &Snapshot, machine: &Machine) -> Result<Id, OperationError> {
        let is_taken = self.taken.contains(&names::snapshot_stem(snapshot.time, snapshot.id));
        if is_taken { Ok(machine.id()?) } else { Ok(snapshot.id) }
    }

    /// Notes a snapshot that was committed as the copy of `of`.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn committed(&mut self, of: Id, found: &SnapshotRef, snapshot: Snapshot, notes: &SealedFolder) -> Result<(), OperationError> {
        self.stems.insert(found.stem.clone());
        self.copies.insert(of, snapshot.id);
        self.sequences.insert(snapshot.chain, snapshot.sequence);
        self.last.insert(snapshot.chain, snapshot);
        self.unwritten += 1;
        if self.unwritten >= WRITE_AFTER { self.write(notes) } else { Ok(()) }
    }

    /// Writes down what is known; then the notes of single archives are needed no more.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn write(&mut self, notes: &SealedFolder) -> Result<(), OperationError> {
        if self.unwritten > 0 {
            let mut archives: Vec<ArchiveRecord> = self.archives.values().cloned().collect();
            archives.sort_by(|a, b| a.object.cmp(&b.object));
            self.folder.write_json(FILE, &Kept { archives, copies: self.copies.clone(), last: self.last.clone() })?;
            notes.retain(|_| false)?;
            self.unwritten = 0;
        }
        Ok(())
    }

    /// Whether nothing is remembered of a target that has snapshots.
    pub fn is_blank(&self) -> bool {
        self.copies.is_empty() && !self.stems.is_empty()
    }

    /// Whether the target has a copy of a snapshot.
    pub fn has(&self, stem: &str) -> bool {
        let id = stem.rsplit_once('-').and_then(|(_, id)| id.parse::<Id>().ok());
        self.stems.contains(stem) || id.is_some_and(|id| self.copy_of(id).is_some())
    }

    /// What the copy of a snapshot is called, if the target has it.
    pub fn copy_of(&self, id: Id) -> Option<Id> {
        let is_there = |id: Id| self.stems.iter().any(|stem| stem.ends_with(&format!("-{id}")));
        self.copies.get(&id).copied().filter(|copy| is_there(*copy)).or_else(|| is_there(id).then_some(id))
    }

    /// What is known of an archive that the target has.
    pub fn archive(&self, id: Id) -> Option<&ArchiveRecord> {
        self.archives.get(&id)
    }

    /// The length of an archive that the target has, known or not.
    pub fn stored(&self, object: &str) -> Option<u64> {
        self.stored.get(object).copied()
    }

    /// The last snapshot of a chain in the target, as far as this machine made it.
    pub fn last(&self, chain: Id) -> Option<&Snapshot> {
        self.last.get(&chain)
    }

    /// The number that the next snapshot of a chain has.
    pub fn next_sequence(&self, chain: Id) -> u64 {
        self.sequences.get(&chain).copied().unwrap_or(0) + 1
    }
}
