//! Uploads of this machine that are under way: what a killed run left is removed by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::OperationError;
use crate::state::{SealedFolder, mirrors};
use crate::storage::{Storage, UploadNotes};

const FILE: &str = "uploads.age";

const LOST_FILE: &str = "lost-uploads.age";

/// Whether a file of this name says which uploads are unfinished.
pub(super) fn is_note(name: &str) -> bool {
    [FILE, LOST_FILE].contains(&name)
}

/// The uploads of one source's runs, in the folder that its lock guards.
pub(super) struct Uploads {
    folder: SealedFolder,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// The store's name for each, by the object's name.
    under_way: BTreeMap<String, String>,
    /// Objects of which there may be an upload whose beginning was not answered.
    lost: BTreeSet<String>,
}

impl Noted {
    fn read(folder: &SealedFolder) -> Result<Self, OperationError> {
        let (under_way, lost) = (folder.read_json(FILE)?.unwrap_or_default(), folder.read_json(LOST_FILE)?.unwrap_or_default());
        Ok(Self { under_way, lost })
    }

    fn count(&self) -> usize {
        self.under_way.len() + self.lost.iter().filter(|name| !self.under_way.contains_key(*name)).count()
    }
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
        let mut left = Noted::read(folder)?;
        for (name, id) in left.under_way.clone() {
            match storage.abandon(&name, &id).await {
                Ok(()) => drop(left.under_way.remove(&name)),
                // It may cost a little, and the next run tries again.
                Err(error) => tracing::warn!(name, %error, "an unfinished upload of an earlier run could not be removed"),
            }
        }
        for name in left.lost.clone() {
            match storage.abandon_lost(&name).await {
                Ok(true) => drop(left.lost.remove(&name)),
                Ok(false) => {}
                Err(error) => tracing::warn!(name, %error, "an upload that was begun without an answer could not be looked for"),
            }
        }
        let uploads = Self { folder: folder.clone(), noted: Mutex::new(left) };
        uploads.write(FILE, &uploads.noted().under_way);
        uploads.write(LOST_FILE, &uploads.noted().lost);
        Ok(storage.with_upload_notes(Arc::new(uploads)))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T: Serialize + Default + PartialEq>(&self, file: &str, noted: &T) {
        let is_there = self.folder.path().join(file).exists();
        if (is_there || *noted != T::default())
            && let Err(error) = self.folder.write_json(file, noted)
        {
            tracing::warn!(%error, "unfinished uploads are not noted");
        }
    }
}

impl UploadNotes for Uploads {
    fn beginning(&self, name: &str) {
        let mut noted = self.noted();
        noted.lost.insert(name.to_owned());
        self.write(LOST_FILE, &noted.lost);
    }

    fn answered(&self, name: &str) {
        let mut noted = self.noted();
        if noted.lost.remove(name) {
            self.write(LOST_FILE, &noted.lost);
        }
    }

    fn begun(&self, name: &str, id: &str) {
        let mut noted = self.noted();
        noted.under_way.insert(name.to_owned(), id.to_owned());
        self.write(FILE, &noted.under_way);
    }

    fn ended(&self, name: &str) {
        let mut noted = self.noted();
        if noted.under_way.remove(name).is_some() {
            self.write(FILE, &noted.under_way);
        }
    }
}

/// How many uploads of this machine are unfinished, those of runs in progress included.
///
/// # Errors
/// When the state cannot be read.
pub(super) fn count(repository: &SealedFolder) -> Result<u64, OperationError> {
    let mut count = 0;
    let is_of_runs = |name: &&String| ["chain-", "copy-", mirrors::FOLDERS].iter().any(|start| name.starts_with(start));
    for name in repository.folders()?.iter().filter(is_of_runs) {
        count += Noted::read(&repository.folder(name)?)?.count() as u64;
    }
    Ok(count)
}
