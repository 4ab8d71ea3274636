//! Bytes of stored objects that are at hand already: out of a pack, or kept by this machine from an earlier run.
//!
//! They are a faster way to the same bytes and nothing more: whoever uses a piece checks it just as if the store had given it, and asks
//! the store where it fails.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes that are remembered in one process where nothing is kept on the machine.
const MAX_REMEMBERED_BYTES: usize = 32 * 1024 * 1024;

/// Where a machine keeps pieces from one run to the next.
pub trait Shelf: Send + Sync {
    /// Whether there is a piece of this name.
    fn has(&self, name: &str) -> bool;
    /// The piece of this name.
    fn get(&self, name: &str) -> Option<Bytes>;
    /// Keeps a piece that was checked.
    fn keep(&self, name: &str, bytes: &Bytes);
    /// Forgets a piece.
    fn forget(&self, name: &str);
    /// Forgets all of them, for good.
    fn clear(&self);
}

/// The pieces at hand. Clones share them.
#[derive(Clone, Default)]
pub struct Pieces(Arc<Inner>);

#[derive(Default)]
struct Inner {
    shelf: Option<Arc<dyn Shelf>>,
    fetched: Mutex<Fetched>,
}

#[derive(Default)]
struct Fetched {
    /// Not checked yet.
    offered: HashMap<String, Bytes>,
    /// Checked.
    remembered: HashMap<String, Bytes>,
    remembered_bytes: usize,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("has_shelf", &self.0.shelf.is_some()).finish_non_exhaustive()
    }
}

impl Pieces {
    /// Pieces that outlast the process.
    pub fn on(shelf: Arc<dyn Shelf>) -> Self {
        Self(Arc::new(Inner { shelf: Some(shelf), ..Inner::default() }))
    }

    fn fetched(&self) -> MutexGuard<'_, Fetched> {
        self.0.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a piece is at hand.
    pub fn has(&self, name: &str) -> bool {
        let fetched = self.fetched();
        fetched.offered.contains_key(name)
            || fetched.remembered.contains_key(name)
            || self.0.shelf.as_ref().is_some_and(|shelf| shelf.has(name))
    }

    /// A piece, to be checked by whoever asks.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        let found = {
            let fetched = self.fetched();
            fetched.offered.get(name).or_else(|| fetched.remembered.get(name)).cloned()
        };
        found.or_else(|| self.0.shelf.as_ref()?.get(name))
    }

    /// Takes in a piece that nobody has checked yet: it is there for this process alone until [`Self::keep`].
    pub fn offer(&self, name: &str, bytes: Bytes) {
        self.fetched().offered.insert(name.to_owned(), bytes);
    }

    /// Keeps a piece that has passed its check.
    pub fn keep(&self, name: &str, bytes: &Bytes) {
        let mut fetched = self.fetched();
        fetched.offered.remove(name);
        match &self.0.shelf {
            Some(shelf) if shelf.has(name) => {}
            Some(shelf) => shelf.keep(name, bytes),
            None => {
                let fits = fetched.remembered_bytes + bytes.len() <= MAX_REMEMBERED_BYTES;
                if fits && fetched.remembered.insert(name.to_owned(), bytes.clone()).is_none() {
                    fetched.remembered_bytes += bytes.len();
                }
            }
        }
    }

    /// Whether they outlast the process.
    pub fn are_kept(&self) -> bool {
        self.0.shelf.is_some()
    }

    /// Forgets all pieces, for good.
    pub fn clear(&self) {
        *self.fetched() = Fetched::default();
        if let Some(shelf) = &self.0.shelf {
            shelf.clear();
        }
    }

    /// Forgets a piece that did not pass its check.
    pub fn refuse(&self, name: &str) {
        tracing::debug!(name, "a kept or packed copy is not what it should be; the store is asked");
        let mut fetched = self.fetched();
        fetched.offered.remove(name);
        if let Some(bytes) = fetched.remembered.remove(name) {
            fetched.remembered_bytes -= bytes.len();
        }
        if let Some(shelf) = &self.0.shelf {
            shelf.forget(name);
        }
    }
}
