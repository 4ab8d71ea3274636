//! The state of a snapshot: the overlay of its archives' indexes, later over earlier.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use super::format::snapshot::ArchiveRecord;
use crate::archive::index::{IndexEntry, Located, Part};
use crate::archive::{ArchiveError, MEMBER_BYTES, damaged};
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind, Metadata, Stamp, Timestamp, Xattr};

/// Where one piece of content is: an archive by its number in the tree, and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// SHA-256 of the piece.
    pub sha256: Digest,
    /// Number of the archive in [`Tree::archives`].
    pub archive: u32,
    /// The frame in which the member's header starts.
    pub frame: u32,
    /// The place of the first byte in the tar stream.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    None,
    Whole(Place),
    Parts(Box<Parts>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    file: Id,
    of: u32,
    /// The parts that are stored, by their number from 1.
    places: BTreeMap<u32, Place>,
}

/// One entry of a state. Kept small: a state may have hundreds of thousands of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    xattrs: Box<[Xattr]>,
    stamp: Option<Stamp>,
    /// Length of the file in bytes; 0 for anything else.
    pub size: u64,
    /// Whether the file has holes.
    pub sparse: bool,
    /// The source gave fewer bytes than it had declared.
    pub short: bool,
    /// Whether the run at hand has met it; not part of what is stored.
    pub seen: bool,
    content: Content,
}

impl TreeEntry {
    /// Mode, owner, times, attributes.
    pub fn meta(&self) -> Metadata {
        Metadata { mode: self.mode, uid: self.uid, gid: self.gid, mtime: self.mtime, xattrs: self.xattrs.to_vec() }
    }

    /// Whether the metadata is this.
    pub fn has_meta(&self, meta: &Metadata) -> bool {
        (self.mode, self.uid, self.gid, self.mtime) == (meta.mode, meta.uid, meta.gid, meta.mtime) && *self.xattrs == *meta.xattrs
    }

    /// What tells an unchanged file.
    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// When the content last changed.
    pub fn mtime(&self) -> Timestamp {
        self.mtime
    }

    /// The pieces of the content in their order; `None` while a file in parts is not stored to its end.
    pub fn places(&self) -> Option<Vec<Place>> {
        match &self.content {
            Content::None => Some(Vec::new()),
            Content::Whole(place) => Some(vec![*place]),
            Content::Parts(parts) if parts.places.len() == parts.of as usize => Some(parts.places.values().copied().collect()),
            Content::Parts(_) => None,
        }
    }

    /// The place of a content that is stored in one piece.
    pub fn place(&self) -> Option<&Place> {
        match &self.content {
            Content::Whole(place) => Some(place),
            Content::None | Content::Parts(_) => None,
        }
    }

    /// The pieces of the content that are not empty, each with its place in the file; `None` while a file in parts is not
    /// stored to its end. Between them, where a part was read short, the file has zeros.
    pub fn pieces(&self) -> Option<Vec<(u64, Place)>> {
        let pieces: Vec<(u64, Place)> = match &self.content {
            Content::Parts(parts) if parts.places.len() != parts.of as usize => return None,
            Content::Parts(parts) => {
                parts.places.iter().map(|(&n, &place)| (u64::from(n.saturating_sub(1)) * MEMBER_BYTES, place)).collect()
            }
            _ => self.places()?.into_iter().map(|place| (0, place)).collect(),
        };
        Some(pieces.into_iter().filter(|(_, place)| place.length > 0).collect())
    }

    /// Length of the file in bytes as a restore makes it: where it was read short, it may be less than [`Self::size`].
    pub fn stored_size(&self) -> u64 {
        match (&self.content, self.pieces()) {
            (Content::Parts(_), Some(pieces)) => pieces.last().map_or(0, |(at, place)| at + place.length),
            _ => self.size,
        }
    }

    /// How many parts the content has; 0 where it is one member.
    pub fn part_count(&self) -> u32 {
        if let Content::Parts(parts) = &self.content { parts.of } else { 0 }
    }

    /// The name that ties the parts of this version together, and the parts that are stored.
    pub fn stored_parts(&self) -> Option<(Id, &BTreeMap<u32, Place>)> {
        if let Content::Parts(parts) = &self.content { Some((parts.file, &parts.places)) } else { None }
    }

    /// SHA-256 of the content where it is one piece.
    pub fn sha256(&self) -> Option<Digest> {
        if let Content::Whole(place) = &self.content { Some(place.sha256) } else { None }
    }
}

/// The state of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The archives that places point into.
    pub archives: Vec<ArchiveRecord>,
    numbers: HashMap<Id, u32>,
    entries: BTreeMap<EntryPath, Box<TreeEntry>>,
    losses: Losses,
}

/// What of the indexes that a state was laid together from could not be read.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// Archives that are missing or damaged, whose indexes were read from their second copies: the state is what it should be.
    pub copied: Vec<Id>,
    /// Archives whose indexes are lost, the first of them first.
    pub lost: Vec<ArchiveRecord>,
    /// Entries that a lost index may have changed or removed: nothing after it speaks of them.
    unproven: HashSet<EntryPath>,
}

impl Tree {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an archive known, so that entries can point into it.
    pub fn add_archive(&mut self, record: ArchiveRecord) {
        if !self.numbers.contains_key(&record.id) {
            self.numbers.insert(record.id, self.archives.len() as u32);
            self.archives.push(record);
        }
    }

    /// What could not be read of the indexes.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Notes that the next index in order was read from its second copy.
    pub fn note_copied(&mut self, archive: Id) {
        self.losses.copied.push(archive);
    }

    /// Notes that the next index in order is lost: what there is so far, it may have changed or removed.
    pub fn note_lost(&mut self, record: ArchiveRecord) {
        self.losses.lost.push(record);
        self.losses.unproven.extend(self.entries.keys().cloned());
    }

    /// Whether the entry at a path may be an older one than the state should have, or one that it should not have at all.
    pub fn is_unproven(&self, path: &EntryPath) -> bool {
        let unproven = &self.losses.unproven;
        let of_first = || match self.get(path).map(|entry| &entry.kind) {
            Some(Kind::Hardlink { target }) => unproven.contains(target),
            _ => false,
        };
        !unproven.is_empty() && (unproven.contains(path) || of_first())
    }

    /// The number of a known archive.
    pub fn archive_number(&self, id: Id) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    /// Removes a path and everything below it.
    pub fn remove(&mut self, path: &EntryPath) {
        self.entries.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &EntryPath) {
        let below: Vec<EntryPath> = self.below(path).map(|(below, _)| below.clone()).collect();
        for path in below {
            self.entries.remove(&path);
        }
    }

    /// The entries below a path, without itself.
    pub fn below<'a>(&'a self, path: &'a EntryPath) -> impl Iterator<Item = (&'a EntryPath, &'a TreeEntry)> {
        let prefix = [path.as_bytes(), b"/"].concat();
        // Not contiguous: `a-b` sorts between `a` and `a/c`.
        let from = self.entries.range((Bound::Excluded(path), Bound::Unbounded));
        from.take_while({
            let path = path.as_bytes().to_vec();
            move |(other, _)| other.as_bytes().starts_with(&path)
        })
        .filter(move |(other, _)| other.as_bytes().starts_with(&prefix))
        .map(|(path, entry)| (path, entry.as_ref()))
    }

    /// Lays an index entry of archive `of` over the state.
    ///
    /// # Errors
    /// When the entry points into an archive that the snapshot does not name.
    pub fn apply(&mut self, entry: IndexEntry, of: Id) -> Result<(), ArchiveError> {
        // Only a folder has something below it: an entry replaces whatever else stood there or above. Above a folder there are folders.
        let mut above = entry.path.parent();
        while let Some(path) = above {
            match self.entries.get(&path) {
                Some(entry) if entry.kind == Kind::Dir => break,
                Some(_) => drop(self.entries.remove(&path)),
                None => {}
            }
            above = path.parent();
        }
        if entry.kind != Kind::Dir && self.entries.get(&entry.path).is_some_and(|old| old.kind == Kind::Dir) {
            self.remove_below(&entry.path);
        }
        let mut short = entry.content.as_ref().is_some_and(|content| content.short);
        let content = match entry.content {
            None => Content::None,
            Some(located) => {
                let archive = self.archive_number(located.archive.unwrap_or(of));
                let archive = archive.ok_or_else(|| {
                    damaged(format!("its index points into an archive that is not of this snapshot ({:?})", located.archive))
                })?;
                let place = Place { sha256: located.sha256, archive, frame: located.frame, offset: located.offset, length: located.length };
                match located.part {
                    None => Content::Whole(place),
                    Some(part) => {
                        // One short part makes the whole file short.
                        let old = self.entries.get(&entry.path).filter(|old| old.stored_parts().is_some_and(|(file, _)| file == part.file));
                        short |= old.is_some_and(|old| old.short);
                        self.with_part(&entry.path, part, place)
                    }
                }
            }
        };
        if !self.losses.unproven.is_empty() {
            self.losses.unproven.remove(&entry.path);
        }
        let Metadata { mode, uid, gid, mtime, xattrs } = entry.meta;
        let xattrs = xattrs.into_boxed_slice();
        let new = TreeEntry {
            kind: entry.kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs,
            stamp: entry.stamp,
            size: entry.size,
            sparse: entry.sparse,
            short,
            seen: false,
            content,
        };
        self.entries.insert(entry.path, Box::new(new));
        Ok(())
    }

    fn with_part(&self, path: &EntryPath, part: Part, place: Place) -> Content {
        let mut parts = match self.entries.get(path).map(|entry| &entry.content) {
            Some(Content::Parts(parts)) if (parts.file, parts.of) == (part.file, part.of) => parts.clone(),
            _ => Box::new(Parts { file: part.file, of: part.of, places: BTreeMap::new() }),
        };
        parts.places.insert(part.n, place);
        Content::Parts(parts)
    }

    /// The entry at a path.
    pub fn get(&self, path: &EntryPath) -> Option<&TreeEntry> {
        self.entries.get(path).map(AsRef::as_ref)
    }

    /// The entry at a path, to mark it.
    pub fn get_mut(&mut self, path: &EntryPath) -> Option<&mut TreeEntry> {
        self.entries.get_mut(path).map(AsMut::as_mut)
    }

    /// Marks everything at and below a path as met; gives how many entries had not been, and their bytes.
    pub fn mark_seen(&mut self, path: &EntryPath) -> (u64, u64) {
        let below: Vec<EntryPath> = self.below(path).map(|(below, _)| below.clone()).collect();
        let (mut entries, mut bytes) = (0, 0);
        for path in below.iter().chain([path]) {
            if let Some(entry) = self.get_mut(path)
                && !std::mem::replace(&mut entry.seen, true)
            {
                entries += 1;
                bytes += entry.size;
            }
        }
        (entries, bytes)
    }

    /// Drops every entry with content in an archive that `lost` names; gives how many.
    pub fn drop_lost(&mut self, lost: impl Fn(&ArchiveRecord) -> bool) -> usize {
        let lost: Vec<bool> = self.archives.iter().map(lost).collect();
        let before = self.entries.len();
        if lost.contains(&true) {
            self.entries.retain(|_, entry| {
                let gone = |place: &Place| lost.get(place.archive as usize).copied().unwrap_or(true);
                match &entry.content {
                    Content::None => true,
                    Content::Whole(place) => !gone(place),
                    Content::Parts(parts) => !parts.places.values().any(gone),
                }
            });
        }
        before - self.entries.len()
    }

    /// All entries, sorted by path: a folder before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&EntryPath, &TreeEntry)> {
        self.entries.iter().map(|(path, entry)| (path, entry.as_ref()))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry as index lines that point into their archives: what a merged index and the local state hold.
    pub fn index_entries(&self, path: &EntryPath, entry: &TreeEntry) -> Vec<IndexEntry> {
        let line = |content: Option<Located>| IndexEntry {
            path: path.clone(),
            kind: entry.kind.clone(),
            meta: entry.meta(),
            stamp: entry.stamp,
            size: entry.size,
            sparse: entry.sparse,
            content,
        };
        let located = |place: &Place, part: Option<Part>| Located {
            sha256: place.sha256,
            archive: self.archives.get(place.archive as usize).map(|record| record.id),
            frame: place.frame,
            offset: place.offset,
            length: place.length,
            short: entry.short,
            part,
        };
        match &entry.content {
            Content::None => vec![line(None)],
            Content::Whole(place) => vec![line(Some(located(place, None)))],
            Content::Parts(parts) => {
                let part = |n| Part { n, of: parts.of, file: parts.file };
                parts.places.iter().map(|(&n, place)| line(Some(located(place, Some(part(n)))))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u8) -> ArchiveRecord {
        ArchiveRecord {
            id: Id([number; 16]),
            object: String::new(),
            length: 1,
            sha256: Digest([0; 32]),
            header_sha256: Digest([0; 32]),
            merged: false,
            own: None,
        }
    }

    fn entry(path: &str, kind: Kind, part: Option<Part>) -> IndexEntry {
        let content = (kind == Kind::File).then(|| Located {
            sha256: Digest([part.map_or(0, |part| part.n as u8); 32]),
            archive: None,
            frame: 0,
            offset: 0,
            length: 1,
            short: false,
            part,
        });
        let size = part.map_or(u64::from(kind == Kind::File), |part| u64::from(part.of));
        IndexEntry { path: EntryPath::new(path).unwrap(), kind, meta: Metadata::default(), stamp: None, size, sparse: false, content }
    }

    fn tree(entries: Vec<IndexEntry>) -> Tree {
        let mut tree = Tree::new();
        tree.add_archive(record(1));
        for entry in entries {
            tree.apply(entry, Id([1; 16])).unwrap();
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn an_entry_replaces_what_cannot_stand_beside_it() {
        let file_to_folder = tree(vec![entry("a", Kind::File, None), entry("a/b", Kind::File, None)]);
        assert_eq!(paths(&file_to_folder), ["a/b"]);
        let mut folder_to_file = tree(vec![
            entry("a", Kind::Dir, None),
            entry("a/b", Kind::File, None),
            entry("a-b", Kind::File, None),
            entry("a", Kind::File, None),
        ]);
        assert_eq!(paths(&folder_to_file), ["a", "a-b"]);
        folder_to_file.remove(&EntryPath::new("a").unwrap());
        assert_eq!(paths(&folder_to_file), ["a-b"]);
    }

    #[test]
    fn parts_of_one_version_come_together_and_another_version_starts_anew() {
        let part = |n, file: u8| Some(Part { n, of: 2, file: Id([file; 16]) });
        let mut tree = tree(vec![entry("big", Kind::File, part(1, 1))]);
        let big = EntryPath::new("big").unwrap();
        assert_eq!(tree.get(&big).unwrap().places(), None);
        tree.apply(entry("big", Kind::File, part(2, 1)), Id([1; 16])).unwrap();
        assert_eq!(tree.get(&big).unwrap().places().unwrap().len(), 2);
        tree.apply(entry("big", Kind::File, part(2, 7)), Id([1; 16])).unwrap();
        assert_eq!(tree.get(&big).unwrap().places(), None);
    }

    #[test]
    fn an_entry_of_an_unknown_archive_is_refused() {
        let mut tree = Tree::new();
        assert!(tree.apply(entry("a", Kind::File, None), Id([1; 16])).is_err());
    }
}
