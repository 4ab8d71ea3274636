//! Key slots: the repository's identity file, encrypted once for each passphrase or recipient that opens it.
//!
//! ```text
//! # tgvault identity of repository 0123…
//! # root secret key: RWQ…
//! AGE-SECRET-KEY-1…
//! ```
//! Comments are skipped by `age`, so the decrypted slot serves as its identity file: `age -d keys/x.age > id; age -d -i id …`. After
//! rotations there is a secret key for each identity that the vault has had, the newest first.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::format::names;
use super::format::root::{Root, Slot, SlotKind};
use super::mirrored;
use super::pieces::Pieces;
use super::{Machine, RepositoryError};
use crate::crypt::digest::sha256;
use crate::crypt::keys::{Identities, Recipients, generate, secrets_of};
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
    /// What new archives are encrypted for, as far as this file knows.
    pub recipient: String,
    /// Those of all secret keys in the file, the newest first.
    recipients: Vec<String>,
    /// The slot that gave it, where it was none of the repository's own identity file.
    slot: Option<Id>,
    /// What opened that slot.
    given: Option<Unlock>,
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
        let recipients: Vec<String> = secrets_of(text.expose_secret())?.into_iter().map(|(_, recipient)| recipient).collect();
        let recipient = recipients.first().cloned().ok_or_else(|| missing("secret key"))?;
        Ok(Self { repository, identities, root_key, recipient, recipients, slot: None, given: None, text })
    }

    /// The secrets of the same repository with a fresh identity in front. Those of `others`, which are of the same repository, are kept
    /// beside its own: nothing that any of them reads is lost.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn rotated(&self, others: &[Self]) -> Result<Self, RepositoryError> {
        let (fresh, _) = generate();
        let mut secrets = vec![fresh];
        let mut named = BTreeSet::new();
        for identity in std::iter::once(self).chain(others) {
            for (secret, recipient) in secrets_of(identity.text.expose_secret())? {
                if named.insert(recipient) {
                    secrets.push(secret);
                }
            }
        }
        let lines: usize = secrets.iter().map(|secret| secret.expose_secret().len() + 1).sum();
        // Room for everything, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(512 + lines));
        let root_key = self.root_key.secret_line().expose_secret();
        let head = [REPOSITORY_LINE, &self.repository.to_string(), "\n", ROOT_KEY_LINE, root_key, "\n"];
        let keys = secrets.iter().flat_map(|secret| [secret.expose_secret(), "\n"]);
        head.into_iter().chain(keys).for_each(|piece| text.push_str(piece));
        Self::parse(SecretString::from(text.as_str())).map_err(Into::into)
    }

    /// Whether it reads what is encrypted for `recipient`.
    pub fn opens(&self, recipient: &str) -> bool {
        self.recipients.iter().any(|own| own == recipient)
    }

    /// Whether it reads what is written now, by these statements of trust. One that was copied before a rotation does not.
    pub fn is_current(&self, root: &Root) -> bool {
        self.newest_of(root).is_some()
    }

    /// The newest of its recipients that new archives are encrypted for, by these statements of trust.
    pub fn newest_of<'a>(&'a self, root: &Root) -> Option<&'a str> {
        self.recipients.iter().map(String::as_str).find(|own| root.current_recipients().any(|current| current == *own))
    }

    /// What opened the slot that it came from.
    pub fn given(&self) -> Option<&Unlock> {
        self.given.as_ref()
    }

    /// The passphrase that opened the slot that it came from.
    pub fn passphrase(&self) -> Option<&SecretString> {
        match &self.given {
            Some(Unlock::Passphrase(passphrase)) => Some(passphrase),
            _ => None,
        }
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
        Self { slot: Slot::new(id, kind, sha256(&sealed)), sealed }
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
    unlock_except(storage, pieces, repository, unlock, &BTreeSet::new()).await
}

/// As [`unlock_with`], with another slot than these: the same key may open several.
///
/// # Errors
/// As [`unlock`].
pub async fn unlock_except(
    storage: &Storage,
    pieces: &Pieces,
    repository: Id,
    unlock: &Unlock,
    except: &BTreeSet<Id>,
) -> Result<Arc<Identity>, RepositoryError> {
    let none = Pieces::default();
    let by_passphrase = async |passphrase: &SecretString| {
        let opened = open_any_slot(storage, &none, repository, &Identities::passphrase(passphrase), except).await?;
        Ok::<_, RepositoryError>(Identity { given: Some(Unlock::Passphrase(passphrase.clone())), ..opened })
    };
    let opened = match unlock {
        Unlock::Opened(identity) if identity.repository == repository => return Ok(Arc::clone(identity)),
        Unlock::Opened(_) => return Err(CryptError::Key(format!("the secrets are not those of {repository}")).into()),
        Unlock::Passphrase(passphrase) => match (by_passphrase(passphrase).await, as_generated(passphrase)) {
            (Err(RepositoryError::WrongKey { .. }), Some(meant)) => by_passphrase(&meant).await,
            (typed, _) => typed,
        },
        Unlock::IdentityFile(text) if text.expose_secret().contains(ROOT_KEY_LINE) => {
            of_repository(Identity::parse(text.clone())?, repository)
        }
        Unlock::IdentityFile(text) => {
            let opened = open_any_slot(storage, pieces, repository, &Identities::parse(text.expose_secret())?, except).await;
            opened.map(|opened| Identity { given: Some(Unlock::IdentityFile(text.clone())), ..opened })
        }
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

/// What the key that opened `identity` opens of these slots; each copy that is not what the statements of trust name is passed over.
///
/// # Errors
/// When the store fails, or the system does not give the memory that a passphrase takes.
pub async fn open_all(storage: &Storage, identity: &Identity, slots: &[Slot]) -> Result<Vec<(Id, Identity)>, RepositoryError> {
    let identities = match &identity.given {
        Some(Unlock::Passphrase(passphrase)) => Identities::passphrase(passphrase),
        Some(Unlock::IdentityFile(text)) => Identities::parse(text.expose_secret())?,
        Some(Unlock::Opened(_)) | None => return Ok(Vec::new()),
    };
    let mut opened = Vec::new();
    for slot in slots {
        let name = names::key_slot(slot.id);
        let check = |bytes: &Bytes| {
            let is_it = sha256(bytes) == slot.sha256;
            if is_it { Ok(bytes.clone()) } else { Err(RepositoryError::damaged(&name, "it is not what the root names")) }
        };
        let bytes = match mirrored::get(storage, &name, names::MAX_SMALL_BYTES, check).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_integrity() => continue,
            Err(error) => return Err(error),
        };
        match blob::open(&bytes, &identities, MAX_IDENTITY_BYTES) {
            Ok(text) => opened.push((slot.id, identity_of(&text, &name, identity.repository)?)),
            Err(error @ CryptError::Memory { .. }) => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(opened)
}

async fn open_any_slot(
    storage: &Storage,
    pieces: &Pieces,
    repository: Id,
    identities: &Identities,
    except: &BTreeSet<Id>,
) -> Result<Identity, RepositoryError> {
    let mut slots = mirrored::list(storage, names::KEYS).await?;
    slots.retain(|name| names::parse_key_slot(name).is_none_or(|id| !except.contains(&id)));
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
