//! The state folder and the machine's key.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use zeroize::Zeroizing;

use super::StateError;
use super::sealed::{self, SealedFolder};
use crate::crypt::header::{self, MAX_HEADER_BYTES};
use crate::crypt::keys::{Identities, Recipients, generate, recipient_of};
use crate::crypt::payload::{PayloadReader, PayloadWriter};
use crate::crypt::{CryptError, blob};
use crate::model::digest::Id;

/// The file with the version of the state; state of before this file has version 1.
const VERSION_FILE: &str = "version";

/// The version of the state that this program writes; 1 is read. A change of what older programs would misread raises it.
pub const VERSION: u32 = 2;

/// The file of a [`ProtectedKey`].
const PROTECTED_KEY: &str = "key.age";

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
    pub fn parse(secret: &SecretString) -> Result<Self, CryptError> {
        let identities = Identities::parse(secret.expose_secret())?;
        let recipients = Recipients::parse([recipient_of(secret.expose_secret())?.as_str()])?;
        Ok(Self { identities, recipients })
    }

    /// Begins to encrypt into `out`, for this key alone.
    ///
    /// # Errors
    /// When the system has no randomness, and those of `out`.
    pub fn seal<W: Write>(&self, mut out: W) -> Result<PayloadWriter<W>, CryptError> {
        let (head, key) = header::seal(&self.recipients)?;
        out.write_all(&head)?;
        Ok(PayloadWriter::new(key, out))
    }

    /// Begins to decrypt what [`Self::seal`] wrote. Reading fails at what was changed, and at the end where it is not whole.
    ///
    /// # Errors
    /// When it was sealed with another key, is none such, or cannot be read.
    pub fn open<R: Read>(&self, mut sealed: R) -> Result<PayloadReader<impl Read + use<R>>, CryptError> {
        let mut head = Vec::new();
        sealed.by_ref().take(MAX_HEADER_BYTES as u64).read_to_end(&mut head)?;
        let (length, key) = header::open(&head, &self.identities)?;
        let rest = io::Cursor::new(head.split_off(length)).chain(sealed);
        Ok(PayloadReader::new(key, rest))
    }

    /// A fresh secret for [`Self::parse`].
    pub fn generate() -> SecretString {
        generate().0
    }
}

/// When what was read of a vault is kept on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// Never.
    Never,
    /// Where the vault is in a bucket: a folder is as close as the cache would be.
    #[default]
    Remote,
    /// Of every vault.
    Always,
}

/// Everything that this machine keeps.
#[derive(Clone)]
pub struct StateFolder {
    root: PathBuf,
    key: Arc<MachineKey>,
    cache: CacheUse,
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
        let version = Self::check_version(&root)?;
        make_private(&root)?;
        let key = match key {
            Some(key) => key,
            None => Self::key_from_file(&root.join("machine.key"))?,
        };
        if version != Some(VERSION) {
            sealed::replace_plain(&root.join(VERSION_FILE), format!("{VERSION}\n").as_bytes())?;
        }
        Ok(Self { root, key: Arc::new(key), cache: CacheUse::default() })
    }

    /// The version that the state says it has; `None` where it says nothing.
    fn check_version(root: &Path) -> Result<Option<u32>, StateError> {
        let path = root.join(VERSION_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::file("read", &path)(error)),
        };
        match text.trim().parse() {
            Ok(version @ ..=VERSION) => Ok(Some(version)),
            Ok(version) => Err(StateError::Newer { path, version, known: VERSION }),
            Err(_) => Err(StateError::Damaged { path, why: "it is no number".into() }),
        }
    }

    fn key_from_file(path: &Path) -> Result<MachineKey, StateError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => SecretString::from(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret = MachineKey::generate();
                let line = Zeroizing::new(format!("{}\n", secret.expose_secret()));
                // Another process may be first: what is in the file then counts.
                if sealed::write_new(path, line.as_bytes())? { secret } else { return Self::key_from_file(path) }
            }
            Err(error) => return Err(StateError::file("read", path)(error)),
        };
        MachineKey::parse(&text).map_err(|error| StateError::Damaged { path: path.to_owned(), why: error.to_string() })
    }

    /// The same, with another rule for what was read.
    pub fn with_cache(self, cache: CacheUse) -> Self {
        Self { cache, ..self }
    }

    /// When what was read is kept.
    pub fn cache_use(&self) -> CacheUse {
        self.cache
    }

    /// Whether nothing is kept of any repository.
    pub fn is_new(&self) -> bool {
        let mut entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        !entries.any(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<Id>().is_ok()))
    }

    /// Whether anything is kept of a repository.
    pub fn knows(&self, id: Id) -> bool {
        self.root.join(id.to_string()).is_dir()
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The key that everything here is sealed with.
    pub fn key(&self) -> Arc<MachineKey> {
        Arc::clone(&self.key)
    }

    /// A key of its own for what lies in the folder `name` below this one, which only a passphrase opens.
    pub fn protected_key(&self, name: &str) -> ProtectedKey {
        ProtectedKey { path: self.root.join(name).join(PROTECTED_KEY) }
    }

    /// What is kept of one repository.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn repository(&self, id: Id) -> Result<SealedFolder, StateError> {
        self.sealed(&id.to_string())
    }

    /// Sealed files below this folder, for those who keep something; with `key` in place of the machine's.
    pub fn kept(&self, name: &str, key: Option<MachineKey>) -> SealedFolder {
        SealedFolder::at(self.root.join(name), key.map_or_else(|| self.key(), Arc::new))
    }

    /// A sealed folder below this one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn sealed(&self, name: &str) -> Result<SealedFolder, StateError> {
        SealedFolder::open(self.root.join(name), Arc::clone(&self.key))
    }
}

/// A key that lies on the disk behind a passphrase.
pub struct ProtectedKey {
    path: PathBuf,
}

impl ProtectedKey {
    /// Whether there is one.
    ///
    /// # Errors
    /// When the folder cannot be looked at.
    pub fn exists(&self) -> Result<bool, StateError> {
        self.path.try_exists().map_err(StateError::file("look for", &self.path))
    }

    /// Makes the key.
    ///
    /// # Errors
    /// When there is one already, or it cannot be written.
    pub fn create(&self, passphrase: &SecretString) -> Result<MachineKey, StateError> {
        let secret = MachineKey::generate();
        let sealed = |source| StateError::Sealed { path: self.path.clone(), source };
        let stored = blob::seal_with_passphrase(secret.expose_secret().as_bytes(), passphrase).map_err(sealed)?;
        if let Some(folder) = self.path.parent() {
            make_private(folder)?;
        }
        if !sealed::write_new(&self.path, &stored)? {
            return Err(StateError::Damaged { path: self.path.clone(), why: "there is a key already".into() });
        }
        MachineKey::parse(&secret).map_err(sealed)
    }

    /// Opens the key.
    ///
    /// # Errors
    /// [`StateError::Sealed`] when the passphrase is another.
    pub fn open(&self, passphrase: &SecretString) -> Result<MachineKey, StateError> {
        /// More than any key has.
        const MAX_BYTES: u64 = 4096;
        let sealed = |source| StateError::Sealed { path: self.path.clone(), source };
        let stored = fs::read(&self.path).map_err(StateError::file("read", &self.path))?;
        let text = blob::open(&stored, &Identities::passphrase(passphrase), MAX_BYTES).map_err(sealed)?;
        let text = std::str::from_utf8(&text).map_err(|_| StateError::Damaged { path: self.path.clone(), why: "no text".into() })?;
        MachineKey::parse(&SecretString::from(text)).map_err(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_a_later_version_is_refused_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("state");
        drop(StateFolder::open(root.clone(), None).unwrap());
        assert_eq!(fs::read_to_string(root.join(VERSION_FILE)).unwrap(), format!("{VERSION}\n"));
        // State of before there was a version is taken over.
        fs::remove_file(root.join(VERSION_FILE)).unwrap();
        drop(StateFolder::open(root.clone(), None).unwrap());
        assert!(root.join(VERSION_FILE).exists());

        fs::remove_file(root.join("machine.key")).unwrap();
        fs::write(root.join(VERSION_FILE), "99\n").unwrap();
        let refused = StateFolder::open(root.clone(), None).err().unwrap();
        assert!(matches!(refused, StateError::Newer { version: 99, known: VERSION, .. }), "{refused}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }
}
