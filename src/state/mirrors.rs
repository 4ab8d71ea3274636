//! The mirrors of a repository that this machine knows, and what it has seen of each: a mirror may lag behind the vault it mirrors, but
//! never behind itself. Which place is one says this machine, and nothing that a store shows.

use serde::{Deserialize, Serialize};

use super::{SealedFolder, StateError};
use crate::crypt::digest::sha256;

/// The note in a mirror's folder.
const FILE: &str = "mirror.age";

/// Where backups of this machine go.
const WRITTEN: &str = "written.age";

/// What the names of mirrors' folders begin with.
pub const FOLDERS: &str = "mirror-";

/// A mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Where it is.
    pub address: String,
    /// What it was copied from; unknown where a profile says that it is a mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

fn folder_of(address: &str) -> String {
    let name = sha256(address.as_bytes()).to_string();
    format!("{FOLDERS}{}", name.get(..32).unwrap_or(&name))
}

impl Mirror {
    /// The mirror at an address, and what is kept of it; `None` where this machine knows of none.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn find(repository: &SealedFolder, address: &str) -> Result<Option<(Self, SealedFolder)>, StateError> {
        if !repository.path().join(folder_of(address)).is_dir() {
            return Ok(None);
        }
        let folder = repository.folder(&folder_of(address))?;
        Ok(folder.read_json(FILE)?.map(|mirror| (mirror, folder)))
    }

    /// Notes that there is a mirror; gives the folder for what is kept of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, repository: &SealedFolder) -> Result<SealedFolder, StateError> {
        let folder = repository.folder(&folder_of(&self.address))?;
        if folder.read_json::<Self>(FILE)?.as_ref() != Some(self) {
            folder.write_json(FILE, self)?;
        }
        Ok(folder)
    }

    /// All mirrors that this machine knows.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn all(repository: &SealedFolder) -> Result<Vec<Self>, StateError> {
        let mut found = Vec::new();
        for name in repository.folders()?.iter().filter(|name| name.starts_with(FOLDERS)) {
            found.extend(repository.folder(name)?.read_json(FILE)?);
        }
        Ok(found)
    }
}

/// Notes that backups of this machine go to an address, so that it is never taken for a mirror.
///
/// # Errors
/// When it cannot be written.
pub fn note_written(repository: &SealedFolder, address: &str) -> Result<(), StateError> {
    let mut written: Vec<String> = repository.read_json(WRITTEN)?.unwrap_or_default();
    if written.iter().any(|known| known == address) {
        return Ok(());
    }
    written.push(address.to_owned());
    repository.write_json(WRITTEN, &written)
}

/// Whether backups of this machine went to an address.
///
/// # Errors
/// When what is kept cannot be read.
pub fn is_written(repository: &SealedFolder, address: &str) -> Result<bool, StateError> {
    Ok(repository.read_json::<Vec<String>>(WRITTEN)?.unwrap_or_default().iter().any(|known| known == address))
}
