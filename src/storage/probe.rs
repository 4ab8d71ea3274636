//! What a store does with a name that is taken: tried on objects of `doctor`'s own, the only ones that are ever overwritten.

use bytes::Bytes;

use super::backend::{Taken, check_name};
use super::error::{Result, StorageError};
use super::store::Storage;

/// The folder with objects that may be overwritten; none of a vault is in it.
pub const PROBES: &str = "doctor/";

impl Storage {
    /// Creates an object once more under a name of [`PROBES`] that is taken, without a look beforehand; nothing is tried twice.
    ///
    /// # Errors
    /// [`StorageError::Name`] for any other name, and the store's failures.
    pub async fn probe_taken(&self, name: &str, body: Bytes) -> Result<Taken> {
        check_probe(name)?;
        self.backend().create_again(name, body).await
    }

    /// Removes the folders of [`PROBES`] that are empty, where the store is one that has folders.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn probe_remove_folders(&self) -> Result<()> {
        match self.backend().remove_empty(PROBES.trim_end_matches('/')).await {
            Err(StorageError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// Overwrites an object of [`PROBES`]: whether these credentials may. `None` where that is not asked of a store, as of a folder.
    ///
    /// # Errors
    /// [`StorageError::Name`] for any other name, and the store's failures other than the refusal.
    pub async fn probe_overwrite(&self, name: &str, body: Bytes) -> Result<Option<bool>> {
        check_probe(name)?;
        match self.backend().overwrite(name, body).await {
            Ok(done) => Ok(done.map(|()| true)),
            Err(StorageError::PermissionDenied { .. } | StorageError::Exists { .. }) => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }
}

fn check_probe(name: &str) -> Result<()> {
    check_name(name)?;
    if name.starts_with(PROBES) { Ok(()) } else { Err(StorageError::Name { name: name.into(), reason: "it may not be overwritten" }) }
}
