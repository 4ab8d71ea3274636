//! The state of a snapshot: the overlay of its archives' indexes, later over earlier.
//!
//! [`Overlay`] lays indexes over each other; [`Tree`] is what comes out, and does not change any more. A state may have millions of
//! entries, so both hold them packed (`packed`, `block`), and give out copies: an [`TreeEntry`] with its path.

mod block;
mod entry;
mod lines;
mod overlay;
mod packed;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

pub use entry::{Place, TreeEntry};
pub use lines::Lines;
pub use overlay::Overlay;

use self::packed::Packed;
use super::format::snapshot::ArchiveRecord;
use crate::archive::index::IndexEntry;
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind};

/// The state of a snapshot. Each entry has a number, by the order of paths, from 0.
#[derive(Debug, Default)]
pub struct Tree {
    /// The archives that places point into.
    pub archives: Vec<ArchiveRecord>,
    numbers: HashMap<Id, u32>,
    packed: Packed,
    losses: Losses,
}

/// What of the indexes that a state was laid together from could not be read.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// Archives that are missing or damaged, whose indexes were read from their second copies: the state is what it should be.
    pub copied: Vec<Id>,
    /// Archives whose indexes are lost, the first of them first: each may have changed or removed what was laid before it.
    pub lost: Vec<ArchiveRecord>,
}

impl Tree {
    /// What could not be read of the indexes.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Whether the entry at a path may be an older one than the state should have, or one that it should not have at all: a lost index may
    /// have changed or removed it, and nothing after that speaks of it.
    pub fn is_unproven(&self, path: &EntryPath) -> bool {
        // Without a loss nobody needs to look.
        !self.losses.lost.is_empty() && self.get(path).is_some_and(|entry| self.is_unproven_entry(&entry))
    }

    /// The same of an entry of this state.
    pub fn is_unproven_entry(&self, entry: &TreeEntry) -> bool {
        let of_first = || match &entry.kind {
            Kind::Hardlink { target } => self.get(target).is_some_and(|first| first.is_unproven),
            _ => false,
        };
        !self.losses.lost.is_empty() && (entry.is_unproven || of_first())
    }

    /// The number of a known archive.
    pub fn archive_number(&self, id: Id) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    /// The entry at a path.
    pub fn get(&self, path: &EntryPath) -> Option<TreeEntry> {
        self.find(path).map(|(_, entry)| entry)
    }

    /// The entry at a path, and its number.
    pub fn find(&self, path: &EntryPath) -> Option<(u32, TreeEntry)> {
        self.packed.find(path)
    }

    /// The entry with a number.
    pub fn at(&self, number: u32) -> Option<(EntryPath, TreeEntry)> {
        self.packed.at(number)
    }

    /// The numbers of the entries below a path, without itself.
    pub fn numbers_below(&self, path: &EntryPath) -> Range<u32> {
        self.packed.below(path)
    }

    /// The entries below a path, without itself, sorted by path.
    pub fn below(&self, path: &EntryPath) -> impl Iterator<Item = (EntryPath, TreeEntry)> {
        let numbers = self.packed.below(path);
        self.packed.from(numbers.start).take(numbers.len())
    }

    /// Whether there is anything below a path.
    pub fn has_below(&self, path: &EntryPath) -> bool {
        !self.packed.below(path).is_empty()
    }

    /// All entries, sorted by path: a folder before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (EntryPath, TreeEntry)> {
        self.packed.from(0)
    }

    /// All entries with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, EntryPath, TreeEntry)> {
        (0..).zip(self.iter()).map(|(number, (path, entry))| (number, path, entry))
    }

    /// Drops every entry with content in an archive that `lost` names; gives how many.
    pub fn drop_lost(&mut self, lost: impl Fn(&ArchiveRecord) -> bool) -> usize {
        let lost: Vec<bool> = self.archives.iter().map(lost).collect();
        let before = self.len();
        if lost.contains(&true) {
            let is_lost = |archive: u32| lost.get(archive as usize).copied().unwrap_or(true);
            self.packed.change(|entry| (!entry.needs(&is_lost)).then_some(entry));
        }
        before - self.len()
    }

    /// The contents that entries say to be in the archives that `is_in` names by their numbers, by their digests.
    pub fn contents_in(&self, is_in: impl Fn(u32) -> bool) -> HashSet<Digest> {
        let mut found = HashSet::new();
        for (_, entry) in self.iter() {
            found.extend(entry.all_places().filter(|place| is_in(place.archive) && place.length > 0).map(|place| place.sha256));
        }
        found
    }

    /// Puts contents in other places, where `moved` gives one.
    pub fn move_contents(&mut self, moved: impl Fn(&Place) -> Option<Place>) {
        self.packed.change(|mut entry| {
            entry.change_places(|place| {
                if let Some(there) = moved(place) {
                    *place = there;
                }
            });
            Some(entry)
        });
    }

    /// Makes those archives from number `from` on unknown that hold nothing of the state.
    pub fn drop_unused(&mut self, from: usize) {
        let mut used = vec![false; self.archives.len()];
        if from >= used.len() {
            return;
        }
        for (_, entry) in self.iter() {
            for place in entry.all_places() {
                if let Some(used) = used.get_mut(place.archive as usize) {
                    *used = true;
                }
            }
        }
        let (mut kept, mut numbers) = (Vec::new(), Vec::new());
        for (at, (record, used)) in std::mem::take(&mut self.archives).into_iter().zip(used).enumerate() {
            numbers.push(kept.len() as u32);
            if at < from || used {
                kept.push(record);
            } else {
                self.numbers.remove(&record.id);
            }
        }
        self.archives = kept;
        self.numbers = (0..).zip(&self.archives).map(|(number, record)| (record.id, number)).collect();
        let number = |old: u32| numbers.get(old as usize).copied().unwrap_or(old);
        if numbers.iter().zip(0..).any(|(new, old)| *new != old) {
            self.move_contents(|place| Some(Place { archive: number(place.archive), ..*place }));
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.packed.len() as usize
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry as index lines that point into their archives: what a merged index and the local state hold.
    pub fn index_entries(&self, path: &EntryPath, entry: &TreeEntry) -> Vec<IndexEntry> {
        entry.lines(path, |number| self.archives.get(number as usize).map(|record| record.id))
    }
}

#[cfg(test)]
mod tests;
