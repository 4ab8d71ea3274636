//! Which contents are stored, by their SHA-256: the parent's and this run's.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::archive::index::Located;
use crate::model::digest::{Digest, Id};
use crate::repository::tree::Tree;

/// Where a content is. Kept small: there may be hundreds of thousands.
#[derive(Clone, Copy)]
struct Stored {
    archive: u32,
    frame: u32,
    offset: u64,
    length: u64,
}

#[derive(Default)]
struct Inner {
    /// By the first half of the digest: 128 bits are enough for nobody to make two contents that share them.
    places: HashMap<[u8; 16], Stored>,
    sizes: HashSet<u64>,
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
}

/// The contents that are known.
#[derive(Default)]
pub(super) struct KnownContents(Mutex<Inner>);

fn key(digest: &Digest) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(digest.0.first_chunk::<16>().unwrap_or(&[0; 16]));
    key
}

impl KnownContents {
    /// The contents of a state.
    pub fn of(tree: &Tree) -> Self {
        let mut inner = Inner::default();
        for (_, entry) in tree.iter().filter(|(_, entry)| !entry.short && entry.size > 0) {
            for place in entry.places().unwrap_or_default() {
                if let Some(record) = tree.archives.get(place.archive as usize) {
                    let archive = inner.number(record.id);
                    let stored = Stored { archive, frame: place.frame, offset: place.offset, length: place.length };
                    inner.places.insert(key(&place.sha256), stored);
                    inner.sizes.insert(place.length);
                }
            }
        }
        Self(Mutex::new(inner))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any known content has this length, so that it is worth hashing one before it is stored.
    pub fn has_length(&self, length: u64) -> bool {
        self.inner().sizes.contains(&length)
    }

    /// Where a content is stored.
    pub fn find(&self, sha256: Digest, length: u64) -> Option<Located> {
        let inner = self.inner();
        let stored = inner.places.get(&key(&sha256)).filter(|stored| stored.length == length)?;
        let archive = inner.archives.get(stored.archive as usize).copied()?;
        Some(Located { sha256, archive: Some(archive), frame: stored.frame, offset: stored.offset, length, short: false, part: None })
    }

    /// Notes a content that was stored in `archive`.
    pub fn add(&self, archive: Id, located: &Located) {
        if located.short || located.length == 0 {
            return;
        }
        let mut inner = self.inner();
        let archive = inner.number(archive);
        let stored = Stored { archive, frame: located.frame, offset: located.offset, length: located.length };
        inner.places.entry(key(&located.sha256)).or_insert(stored);
        inner.sizes.insert(located.length);
    }
}
