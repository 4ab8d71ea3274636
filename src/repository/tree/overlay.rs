//! Laying the indexes of archives over each other, later over earlier.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::entry::{Content, TreeEntry};
use super::packed::Packed;
use super::{Losses, Tree};
use crate::archive::index::{IndexEntry, Located};
use crate::archive::{ArchiveError, damaged};
use crate::model::digest::Id;
use crate::model::entry::{EntryPath, Kind};
use crate::repository::format::snapshot::ArchiveRecord;

/// Changes that are held before they are packed, a few hundred bytes each.
const MAX_RECENT: usize = 16 * 1024;

/// Paths that are removed at a time.
const REMOVED_AT_ONCE: usize = 4 * 1024;

/// A state that is being laid together.
#[derive(Debug, Default)]
pub struct Overlay {
    archives: Vec<ArchiveRecord>,
    numbers: HashMap<Id, u32>,
    packed: Packed,
    /// What is not packed yet: entries, and paths that are removed.
    recent: BTreeMap<EntryPath, Option<TreeEntry>>,
    losses: Losses,
    /// After a loss: the paths that were laid over it since.
    proven: Vec<EntryPath>,
    /// A folder with nothing but folders above it: most entries have the same one as those before them.
    sound: Option<EntryPath>,
    /// The last path in order: what is behind it is new.
    last: Option<EntryPath>,
}

impl Overlay {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a state.
    pub fn on(tree: Tree) -> Self {
        let Tree { archives, numbers, packed, losses } = tree;
        let last = packed.last();
        Self { archives, numbers, packed, losses, last, ..Self::default() }
    }

    /// The state.
    pub fn finish(mut self) -> Tree {
        self.pack();
        let Self { archives, numbers, packed, losses, .. } = self;
        Tree { archives, numbers, packed, losses }
    }

    fn pack(&mut self) {
        if !self.recent.is_empty() {
            self.packed.merge(std::mem::take(&mut self.recent));
        }
    }

    /// Makes an archive known, so that entries can point into it.
    pub fn add_archive(&mut self, record: ArchiveRecord) {
        if !self.numbers.contains_key(&record.id) {
            self.numbers.insert(record.id, self.archives.len() as u32);
            self.archives.push(record);
        }
    }

    /// Notes that the next index in order was read from its second copy.
    pub fn note_copied(&mut self, archive: Id) {
        self.losses.copied.push(archive);
    }

    /// Notes that the next index in order is lost: what there is so far, it may have changed or removed.
    pub fn note_lost(&mut self, record: ArchiveRecord) {
        if self.losses.lost.is_empty() {
            self.pack();
            self.packed.change(|entry| Some(TreeEntry { is_unproven: true, ..entry }));
        }
        for path in std::mem::take(&mut self.proven) {
            if let Some(entry) = self.get(&path) {
                self.set(path, Some(TreeEntry { is_unproven: true, ..entry }));
            }
        }
        self.losses.lost.push(record);
    }

    fn get(&self, path: &EntryPath) -> Option<TreeEntry> {
        match self.recent.get(path) {
            Some(recent) => recent.clone(),
            None if self.last.as_ref().is_none_or(|last| path > last) => None,
            None => self.packed.find(path).map(|(_, entry)| entry),
        }
    }

    fn set(&mut self, path: EntryPath, entry: Option<TreeEntry>) {
        if self.last.as_ref().is_none_or(|last| path > *last) && entry.is_some() {
            self.last = Some(path.clone());
        }
        self.recent.insert(path, entry);
        if self.recent.len() >= MAX_RECENT {
            self.pack();
        }
    }

    /// Removes a path and everything below it.
    pub fn remove(&mut self, path: &EntryPath) {
        if self.get(path).is_some() {
            self.set(path.clone(), None);
        }
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &EntryPath) {
        loop {
            let below = self.some_below(path);
            if below.is_empty() {
                break;
            }
            for path in below {
                self.set(path, None);
            }
        }
    }

    /// Some of the paths below a path, as long as there are any.
    fn some_below(&self, path: &EntryPath) -> Vec<EntryPath> {
        let Ok(first) = EntryPath::new([path.as_bytes(), b"/\x01"].concat()) else { return Vec::new() };
        let packed = self.packed.below(path);
        let count = packed.len();
        let packed = self.packed.from(packed.start).take(count).map(|(path, _)| path).filter(|path| !self.recent.contains_key(path));
        let recent = self.recent.range((Bound::Included(first), Bound::Unbounded)).take_while(|(other, _)| other.is_below(path));
        let recent = recent.filter(|(_, entry)| entry.is_some()).map(|(path, _)| path.clone());
        packed.chain(recent).take(REMOVED_AT_ONCE).collect()
    }

    /// Lays an index entry of archive `of` over the state.
    ///
    /// # Errors
    /// When the entry points into an archive that the snapshot does not name.
    pub fn apply(&mut self, entry: IndexEntry, of: Id) -> Result<(), ArchiveError> {
        let number = |located: &Located| {
            self.numbers
                .get(&located.archive.unwrap_or(of))
                .copied()
                .ok_or_else(|| damaged(format!("its index points into an archive that is not of this snapshot ({:?})", located.archive)))
        };
        let archive = entry.content.as_ref().map_or(Ok(0), number)?;
        self.make_room(&entry);
        let (path, mut new) = TreeEntry::of_line(entry, archive);
        if let Content::Parts(parts) = &mut new.content
            && let Some(TreeEntry { content: Content::Parts(old), short, .. }) = self.get(&path)
            && (old.file, old.of) == (parts.file, parts.of)
        {
            for (number, place) in old.places {
                parts.places.entry(number).or_insert(place);
            }
            // One short part makes the whole file short.
            new.short |= short;
        }
        if !self.losses.lost.is_empty() {
            self.proven.push(path.clone());
        }
        self.set(path, Some(new));
        Ok(())
    }

    /// Only a folder has something below it: an entry replaces whatever else stood there or above.
    fn make_room(&mut self, entry: &IndexEntry) {
        let folder = entry.path.parent();
        if folder.is_some() && folder != self.sound {
            let mut above = folder.clone();
            while let Some(path) = above {
                match self.get(&path) {
                    // Above a folder there are folders.
                    Some(entry) if entry.kind == Kind::Dir => break,
                    Some(_) => self.set(path.clone(), None),
                    None => {}
                }
                above = path.parent();
            }
            self.sound = folder;
        }
        if entry.kind != Kind::Dir {
            if self.get(&entry.path).is_some_and(|old| old.kind == Kind::Dir) {
                self.remove_below(&entry.path);
            }
            if self.sound.as_ref().is_some_and(|sound| sound.is_at_or_below(&entry.path)) {
                self.sound = None;
            }
        }
    }
}
