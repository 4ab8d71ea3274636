//! Key slots: the repository's identity file, encrypted once for each passphrase or recipient that opens it.
//!
//! ```text
//! # tgvault identity of repository 0123…
//! # root secret key: RWQ…
//! AGE-SECRET-KEY-1…
//! ```
//! Comments are skipped by `age`, so the decrypted slot serves as its identity file: `age -d keys/x.age > id; age -d -i id …`.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::format::names;
use super::format::root::{Slot, SlotKind};
use super::mirrored;
use super::pieces::Pieces;
use super::{Machine, RepositoryError};
use crate::crypt::digest::sha256;
use crate::crypt::keys::{Identities, Recipients, generate, recipient_of};
use crate::crypt::signature::SigningKey;
use crate::crypt::{CryptError, blob};
use crate::model::digest::Id;
use crate::storage::{Storage, StorageError};

const REPOSITORY_LINE: &str = "# tgvault identity of repository ";
const ROOT_KEY_LINE: &str = "# root secret key: ";

/// The largest identity file in a slot.
const MAX_IDENTITY_BYTES: u64 = 64 * 1024;

/// The most slots that are tried: each passphrase slot costs a second.
const MAX_SLOTS: usize = 64;

/// How many slots are asked for at a time.
const PARALLEL: usize = 16;

/// What opens a repository.
#[derive(Clone)]
#[non_exhaustive]
pub enum Unlock {
    /// A passphrase.
    Passphrase(SecretString),
    /// The text of an identity file: one that opens a slot, or the repository's own.
    IdentityFile(SecretString),
    /// The secrets themselves, unlocked before.
    Opened(Arc<Identity>),
}

/// The repository's secrets, in memory for as long as they are needed.
pub struct Identity {
    text: SecretString,
    repository: Id,
    /// Opens what is stored.
    pub identities: Arc<Identities>,
    /// Signs statements of trust.
    pub root_key: SigningKey,
    /// What new archives are encrypted for.
    pub recipient: String,
    /// The slot that gave it, where it was none of the repository's own identity file.
    slot: Option<Id>,
}

impl Identity {
    /// Makes the secrets of a new repository.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(repository: Id) -> Result<Self, RepositoryError> {
        let (secret, _) = generate();
        let root_key = SigningKey::generate()?;
        let text = Zeroizing::new(format!(
            "{REPOSITORY_LINE}{repository}\n{ROOT_KEY_LINE}{}\n{}\n",
            root_key.secret_line().expose_secret(),
            secret.expose_secret()
        ));
        Self::parse(SecretString::from(text.as_str())).map_err(Into::into)
    }

    /// Reads the repository's own identity file.
    ///
    /// # Errors
    /// When it lacks a line or one is malformed.
    pub fn parse(text: SecretString) -> Result<Self, CryptError> {
        let lines = || text.expose_secret().lines();
        let field = |prefix: &str| lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim);
        let missing = |what: &str| CryptError::Key(format!("the identity file has no {what}"));
        let repository = field(REPOSITORY_LINE).and_then(|id| id.parse().ok()).ok_or_else(|| missing("repository"))?;
        let root_key = SigningKey::parse(field(ROOT_KEY_LINE).ok_or_else(|| missing("root key"))?)?;
        let identities = Arc::new(Identities::parse(text.expose_secret())?);
        let recipient = recipient_of(text.expose_secret())?;
        Ok(Self { repository, identities, root_key, recipient, slot: None, text })
    }

    /// The repository that it belongs to.
    pub fn repository(&self) -> Id {
        self.repository
    }

    /// The key slot that it came from; `None` where it is new, or the repository's own identity file was given.
    pub fn slot(&self) -> Option<Id> {
        self.slot
    }

    /// Encrypts the identity file for a passphrase, as a slot that is still to be stored.
    ///
    /// # Errors
    /// When encrypting fails.
    pub fn passphrase_slot(&self, passphrase: &SecretString, machine: &Machine) -> Result<NewSlot, RepositoryError> {
        let sealed = blob::seal_with_passphrase(self.text.expose_secret().as_bytes(), passphrase)?;
        Ok(NewSlot::new(machine.id()?, sealed, SlotKind::Passphrase))
    }

    /// Encrypts the identity file for a recipient, as a slot that is still to be stored.
    ///
    /// # Errors
    /// When the recipient cannot be read.
    pub fn recipient_slot(&self, recipient: &str, machine: &Machine) -> Result<NewSlot, RepositoryError> {
        let recipients = Recipients::parse([recipient])?;
        let sealed = blob::seal(self.text.expose_secret().as_bytes(), &recipients)?;
        Ok(NewSlot::new(machine.id()?, sealed, SlotKind::Recipient(recipient.to_owned())))
    }
}

/// A key slot that is not stored yet.
pub struct NewSlot {
    /// What statements of trust say of it.
    pub slot: Slot,
    sealed: Vec<u8>,
}

impl NewSlot {
    fn new(id: Id, sealed: Vec<u8>, kind: SlotKind) -> Self {
        Self { slot: Slot { id, kind, sha256: sha256(&sealed) }, sealed }
    }

    /// The name of its object.
    pub fn object(&self) -> String {
        names::key_slot(self.slot.id)
    }

    /// Stores it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put(self, storage: &Storage) -> Result<Slot, RepositoryError> {
        let object = self.object();
        mirrored::put(storage, &object, Bytes::from(self.sealed)).await?;
        Ok(self.slot)
    }
}

/// Finds the slot that `unlock` opens, and opens it.
///
/// # Errors
/// [`RepositoryError::WrongKey`] when none does; otherwise when the store fails or the slot's content is damaged.
pub async fn unlock(storage: &Storage, repository: Id, unlock: &Unlock) -> Result<Arc<Identity>, RepositoryError> {
    unlock_with(storage, &Pieces::default(), repository, unlock).await
}

/// As [`unlock`]; a slot that an identity file opens is taken from what is at hand as long as the store lists it, and is kept. One
/// for a passphrase never is: whoever takes the machine could try passphrases on it.
///
/// # Errors
/// As [`unlock`].
pub async fn unlock_with(storage: &Storage, pieces: &Pieces, repository: Id, unlock: &Unlock) -> Result<Arc<Identity>, RepositoryError> {
    let none = Pieces::default();
    let opened = match unlock {
        Unlock::Opened(identity) if identity.repository == repository => return Ok(Arc::clone(identity)),
        Unlock::Opened(_) => return Err(CryptError::Key(format!("the secrets are not those of {repository}")).into()),
        Unlock::Passphrase(passphrase) => {
            let typed = open_any_slot(storage, &none, repository, &Identities::passphrase(passphrase)).await;
            match (typed, as_generated(passphrase)) {
                (Err(RepositoryError::WrongKey { .. }), Some(meant)) => {
                    open_any_slot(storage, &none, repository, &Identities::passphrase(&meant)).await
                }
                (typed, _) => typed,
            }
        }
        Unlock::IdentityFile(text) if text.expose_secret().contains(ROOT_KEY_LINE) => {
            of_repository(Identity::parse(text.clone())?, repository)
        }
        Unlock::IdentityFile(text) => open_any_slot(storage, pieces, repository, &Identities::parse(text.expose_secret())?).await,
    };
    opened.map(Arc::new)
}

/// The passphrase as `init` writes those that it makes, where it has their ten words in another way: capitals, hyphens, line
/// breaks, more spaces. `None` when it is written so already, or is none of those.
fn as_generated(passphrase: &SecretString) -> Option<SecretString> {
    const WORDS: usize = 10;
    let text = passphrase.expose_secret();
    let mut meant = Zeroizing::new(String::with_capacity(text.len()));
    let mut words = 0;
    for word in text.split(|c: char| c.is_whitespace() || "-_,.;".contains(c)).filter(|word| !word.is_empty()) {
        if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        if words > 0 {
            meant.push(' ');
        }
        meant.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        words += 1;
    }
    (words == WORDS && meant.as_str() != text).then(|| SecretString::from(meant.as_str()))
}

async fn open_any_slot(storage: &Storage, pieces: &Pieces, repository: Id, identities: &Identities) -> Result<Identity, RepositoryError> {
    let slots = mirrored::list(storage, names::KEYS).await?;
    if slots.is_empty() {
        return Err(RepositoryError::Missing { name: format!("{}*", names::KEYS) });
    }
    let mut attempts: Vec<Attempt<'_>> = slots.iter().take(MAX_SLOTS).map(|name| Attempt { name, tried: None, failed: None }).collect();
    for attempt in &attempts {
        if let Some(text) = pieces.get(attempt.name).and_then(|kept| blob::open(&kept, identities, MAX_IDENTITY_BYTES).ok()) {
            return identity_of(&text, attempt.name, repository);
        }
    }
    // A changed recipient in a header looks like a wrong key, so the second copies are asked as well.
    for copy in [str::to_owned as fn(&str) -> String, names::mirror] {
        let wanted = attempts.iter().map(|attempt| {
            let name = copy(attempt.name);
            async move { storage.get(&name, names::MAX_SMALL_BYTES).await }.boxed()
        });
        let read = futures::stream::iter(wanted.collect::<Vec<_>>()).buffered(PARALLEL).collect::<Vec<_>>().await;
        for (attempt, read) in attempts.iter_mut().zip(read) {
            if let Some((text, bytes)) = attempt.open(read, identities) {
                pieces.keep(attempt.name, &bytes);
                return identity_of(&text, attempt.name, repository);
            }
        }
    }
    let mut damaged = None;
    for Attempt { name, tried, failed } in attempts {
        match failed.or_else(|| tried.is_none().then(|| RepositoryError::Missing { name: name.to_owned() })) {
            Some(error @ (RepositoryError::Damaged { .. } | RepositoryError::Missing { .. })) => {
                damaged.get_or_insert(error);
            }
            Some(error) => return Err(error),
            None => {}
        }
    }
    // A damaged slot may have been the one that the user has the key to.
    match damaged {
        Some(error) => Err(error),
        None => Err(changed_slot(storage, repository).await.unwrap_or(RepositoryError::WrongKey { slots: slots.len() })),
    }
}

fn identity_of(text: &[u8], slot: &str, repository: Id) -> Result<Identity, RepositoryError> {
    let text = std::str::from_utf8(text).map_err(|_| RepositoryError::damaged(slot, "it is not text"))?;
    let identity = Identity::parse(SecretString::from(text)).map_err(|error| RepositoryError::damaged(slot, error))?;
    of_repository(Identity { slot: names::parse_key_slot(slot), ..identity }, repository)
}

/// What came of a slot so far.
struct Attempt<'a> {
    name: &'a str,
    /// Bytes that the key does not fit: a passphrase costs a second each time, so the same are not tried again.
    tried: Option<Bytes>,
    failed: Option<RepositoryError>,
}

impl Attempt<'_> {
    /// Opens one of the slot's copies, as it was read; gives what it holds, and its bytes.
    fn open(&mut self, read: Result<Option<Bytes>, StorageError>, identities: &Identities) -> Option<(Zeroizing<Vec<u8>>, Bytes)> {
        let bytes = match read {
            Ok(Some(bytes)) if self.tried.as_ref() != Some(&bytes) => bytes,
            Ok(_) => return None,
            Err(error) => {
                self.failed.get_or_insert(error.into());
                return None;
            }
        };
        let opened = blob::open(&bytes, identities, MAX_IDENTITY_BYTES);
        self.tried = Some(bytes.clone());
        match opened {
            Ok(text) => Some((text, bytes)),
            Err(CryptError::WrongKey) => None,
            // No fault of the slot's.
            Err(error @ CryptError::Memory { .. }) => {
                self.failed = Some(error.into());
                None
            }
            Err(error) => {
                self.failed.get_or_insert(RepositoryError::damaged(self.name, error));
                None
            }
        }
    }
}

/// Finds a slot of which no copy is what the root names, for the user whose key is right and fits nothing.
async fn changed_slot(storage: &Storage, repository: Id) -> Option<RepositoryError> {
    let root = super::trust::load(storage, repository, &super::trust::Anchor::AsFound).await.ok()?.root;
    for slot in root.slots {
        let name = names::key_slot(slot.id);
        let check = |bytes: &Bytes| {
            if sha256(bytes) == slot.sha256 { Ok(()) } else { Err(RepositoryError::damaged(&name, "it is not what the root names")) }
        };
        match mirrored::get(storage, &name, names::MAX_SMALL_BYTES, check).await {
            Err(error) if error.is_integrity() => return Some(error),
            _ => {}
        }
    }
    None
}

fn of_repository(identity: Identity, repository: Id) -> Result<Identity, RepositoryError> {
    if identity.repository == repository {
        Ok(identity)
    } else {
        Err(RepositoryError::Trust(format!("the identity belongs to repository {}, not to {repository}", identity.repository)))
    }
}
