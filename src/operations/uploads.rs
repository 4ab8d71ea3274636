//! Uploads of this machine that are under way: what a killed run left is removed by the next one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::OperationError;
use crate::state::SealedFolder;
use crate::storage::{Storage, UploadNotes};

const FILE: &str = "uploads.age";

/// The uploads of one source's runs, in the folder that its lock guards.
pub(super) struct Uploads {
    folder: SealedFolder,
    /// The store's name for each, by the object's name.
    under_way: Mutex<BTreeMap<String, String>>,
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl Uploads {
    /// Removes what earlier runs left at the store, and notes in `folder` what is begun from now on; gives the store that does so.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) async fn resume(folder: &SealedFolder, storage: &Storage) -> Result<Storage, OperationError> {
        let mut left = read(folder)?;
        for (name, id) in left.clone() {
            match storage.abandon(&name, &id).await {
                Ok(()) => drop(left.remove(&name)),
                // It may cost a little, and the next run tries again.
                Err(error) => tracing::warn!(name, %error, "an unfinished upload of an earlier run could not be removed"),
            }
        }
        let uploads = Self { folder: folder.clone(), under_way: Mutex::new(left) };
        uploads.write(&uploads.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(storage.with_upload_notes(Arc::new(uploads)))
    }

    fn write(&self, under_way: &BTreeMap<String, String>) {
        let is_there = self.folder.path().join(FILE).exists();
        if (is_there || !under_way.is_empty())
            && let Err(error) = self.folder.write_json(FILE, under_way)
        {
            tracing::warn!(%error, "unfinished uploads are not noted");
        }
    }
}

impl UploadNotes for Uploads {
    fn begun(&self, name: &str, id: &str) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(name.to_owned(), id.to_owned());
        self.write(&under_way);
    }

    fn ended(&self, name: &str) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.remove(name).is_some() {
            self.write(&under_way);
        }
    }
}

fn read(folder: &SealedFolder) -> Result<BTreeMap<String, String>, OperationError> {
    Ok(folder.read_json(FILE)?.unwrap_or_default())
}

/// How many uploads of this machine are unfinished, those of runs in progress included.
///
/// # Errors
/// When the state cannot be read.
pub(super) fn count(repository: &SealedFolder) -> Result<u64, OperationError> {
    let mut count = 0;
    for name in repository.folders()?.iter().filter(|name| name.starts_with("chain-")) {
        count += read(&repository.folder(name)?)?.len() as u64;
    }
    Ok(count)
}
