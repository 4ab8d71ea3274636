//! What this machine keeps of a repository from one run to the next: the repository's pieces, in the cache of this machine's state.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::digest::Id;
use crate::repository::pieces::{Pieces, Shelf};
use crate::state::{Cache, CacheUse, SealedFolder};
use crate::storage::Storage;

/// Whether anything is kept.
pub(super) fn is_used(wanted: CacheUse, storage: &Storage) -> bool {
    match wanted {
        CacheUse::Never => false,
        CacheUse::Remote => !storage.is_local(),
        CacheUse::Always => true,
    }
}

/// The pieces that are kept of a repository, whose state is in `folder`.
pub(super) fn pieces(folder: &SealedFolder, repository: Id) -> Pieces {
    Pieces::on(Arc::new(Kept(Cache::open(folder, repository))))
}

struct Kept(Cache);

impl Shelf for Kept {
    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        self.0.get(name)
    }

    fn keep(&self, name: &str, bytes: &Bytes) {
        self.0.keep(name, bytes);
    }

    fn forget(&self, name: &str) {
        self.0.forget(name);
    }

    fn clear(&self) {
        if let Err(error) = self.0.clean() {
            tracing::warn!(%error, "what this machine keeps of the vault cannot be deleted; `tgvault cache clean` tries again");
        }
    }
}
