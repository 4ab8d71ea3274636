//! The state folder and the machine's key.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::StateError;
use super::sealed::{self, SealedFolder};
use crate::crypt::keys::{Identities, Recipients, generate, recipient_of};
use crate::model::digest::Id;

/// The key that this machine seals its state with.
pub struct MachineKey {
    pub(super) identities: Identities,
    pub(super) recipients: Recipients,
}

impl MachineKey {
    /// Takes an age secret key (from the system's keyring, say).
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(secret: &SecretString) -> Result<Self, crate::crypt::CryptError> {
        let identities = Identities::parse(secret.expose_secret())?;
        let recipients = Recipients::parse([recipient_of(secret.expose_secret())?.as_str()])?;
        Ok(Self { identities, recipients })
    }

    /// A fresh secret for [`Self::parse`].
    pub fn generate() -> SecretString {
        generate().0
    }
}

/// Everything that this machine keeps.
pub struct StateFolder {
    root: PathBuf,
    key: std::sync::Arc<MachineKey>,
}

/// Makes a folder and those above it, private to the user.
pub(super) fn make_private(path: &Path) -> Result<(), StateError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StateError::file("make", path))
}

impl StateFolder {
    /// Opens (or makes) the folder at `root` with a machine key from elsewhere, or with the one in its file `machine.key`,
    /// which is made on first use with mode 0600.
    ///
    /// # Errors
    /// When the folder cannot be made, or the key cannot be read or is none.
    pub fn open(root: PathBuf, key: Option<MachineKey>) -> Result<Self, StateError> {
        make_private(&root)?;
        let key = match key {
            Some(key) => key,
            None => Self::key_from_file(&root.join("machine.key"))?,
        };
        Ok(Self { root, key: std::sync::Arc::new(key) })
    }

    fn key_from_file(path: &Path) -> Result<MachineKey, StateError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => SecretString::from(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = MachineKey::generate();
                let line = zeroize::Zeroizing::new(format!("{}\n", secret.expose_secret()));
                // Another process may be first: what is in the file then counts.
                if sealed::write_new(path, line.as_bytes())? { secret } else { return Self::key_from_file(path) }
            }
            Err(error) => return Err(StateError::file("read", path)(error)),
        };
        MachineKey::parse(&text).map_err(|error| StateError::Damaged { path: path.to_owned(), why: error.to_string() })
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What is kept of one repository.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn repository(&self, id: Id) -> Result<SealedFolder, StateError> {
        self.sealed(&id.to_string())
    }

    /// A sealed folder below this one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn sealed(&self, name: &str) -> Result<SealedFolder, StateError> {
        SealedFolder::open(self.root.join(name), std::sync::Arc::clone(&self.key))
    }
}
