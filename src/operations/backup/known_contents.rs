//! Which contents are stored, by their SHA-256: the parent's, those that this machine remembers, and this run's.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::content_table::{ContentTable, Lengths};
use super::remembered::{ContentKey, Piece};
use crate::archive::index::Located;
use crate::model::digest::{Digest, Id};
use crate::repository::tree::Tree;

#[derive(Default)]
struct Inner {
    places: ContentTable,
    lengths: Lengths,
    archives: Vec<Id>,
    numbers: HashMap<Id, u32>,
}

impl Inner {
    fn number(&mut self, archive: Id) -> u32 {
        *self.numbers.entry(archive).or_insert_with(|| {
            self.archives.push(archive);
            self.archives.len() as u32 - 1
        })
    }

    fn add(&mut self, archive: Id, key: ContentKey, piece: Piece) {
        let archive = self.number(archive);
        self.places.add(key, Piece { archive, ..piece });
        self.lengths.add(piece.length);
    }
}

/// The contents that are known.
#[derive(Default)]
pub(super) struct KnownContents(Mutex<Inner>);

/// By the first half of the digest: 128 bits are enough for nobody to make two contents that share them.
pub(super) fn key(digest: &Digest) -> ContentKey {
    let mut key = [0; 16];
    key.copy_from_slice(digest.0.first_chunk::<16>().unwrap_or(&[0; 16]));
    key
}

impl KnownContents {
    /// The contents of a state.
    pub fn of(tree: &Tree) -> Self {
        let this = Self::default();
        contents_of(tree, |archive, key, piece| this.add_stored(archive, key, piece));
        this
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a content that was stored before this run.
    pub fn add_stored(&self, archive: Id, key: ContentKey, piece: Piece) {
        self.inner().add(archive, key, piece);
    }

    /// Whether a known content may have this length, so that it is worth hashing one before it is stored.
    pub fn has_length(&self, length: u64) -> bool {
        self.inner().lengths.may_have(length)
    }

    /// Where a content is stored.
    pub fn find(&self, sha256: Digest, length: u64) -> Option<Located> {
        let inner = self.inner();
        let stored = inner.places.find(&key(&sha256)).filter(|stored| stored.length == length)?;
        let archive = inner.archives.get(stored.archive as usize).copied()?;
        Some(Located { sha256, archive: Some(archive), frame: stored.frame, offset: stored.offset, length, short: false, part: None })
    }

    /// Notes a content that this run has stored in `archive`.
    pub fn add(&self, archive: Id, located: &Located) {
        if located.short || located.length == 0 {
            return;
        }
        let piece = Piece { archive: 0, frame: located.frame, offset: located.offset, length: located.length };
        self.inner().add(archive, key(&located.sha256), piece);
    }

    /// The contents in `archives`.
    pub fn of_archives(&self, archives: &HashSet<Id>) -> Vec<(Id, ContentKey, Piece)> {
        let inner = self.inner();
        let numbers: HashMap<u32, Id> = archives.iter().filter_map(|id| Some((*inner.numbers.get(id)?, *id))).collect();
        inner.places.iter().filter_map(|(key, piece)| Some((*numbers.get(&piece.archive)?, key, piece))).collect()
    }
}

/// Hands the contents of a state that are stored whole to `each`.
pub(super) fn contents_of(tree: &Tree, mut each: impl FnMut(Id, ContentKey, Piece)) {
    for (_, entry) in tree.iter().filter(|(_, entry)| !entry.short && entry.size > 0) {
        for place in entry.places().unwrap_or_default() {
            if let Some(record) = tree.archives.get(place.archive as usize) {
                let piece = Piece { archive: place.archive, frame: place.frame, offset: place.offset, length: place.length };
                each(record.id, key(&place.sha256), piece);
            }
        }
    }
}
