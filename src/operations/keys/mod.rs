//! Who can read a vault and who may write to it: looked at, and changed by further statements of trust. [`rotate()`] gives the vault a new
//! identity.

mod rotate;

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::SecretString;

pub use rotate::{Rotated, rotate};

use super::OperationError;
use super::init::InitReport;
use super::session::{self, Opened, Session};
use crate::crypt::digest::sha256;
use crate::crypt::keys::Recipients;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;
use crate::repository::RepositoryError;
use crate::repository::format::names;
use crate::repository::format::root::{Revocation, Root, RootRecipient, Slot, SlotKind, Writer};
use crate::repository::format::snapshot::Snapshot;
use crate::repository::keys::Identity;
use crate::state::Pins;
use crate::state::pins::PinnedWriter;
use crate::storage::StorageError;

/// Who can read a vault and who may write to it.
#[derive(Debug)]
pub struct Access {
    /// The repository.
    pub repository: Id,
    /// What statements of trust are signed with.
    pub root_key: VerifyingKey,
    /// The vault's own recipients, present and former.
    pub recipients: Vec<RootRecipient>,
    /// The key slots.
    pub slots: Vec<SlotState>,
    /// The machines that may write, or could once.
    pub writers: Vec<WriterState>,
    /// Snapshots that cannot be read, in words: whose they are is not known.
    pub broken: Vec<String>,
}

/// A key slot.
#[derive(Debug)]
pub struct SlotState {
    /// What the statements of trust say of it.
    pub slot: Slot,
    /// Whether a copy of it is what they say.
    pub is_sound: bool,
    /// Whether the key that was given opened this one.
    pub is_given: bool,
}

/// A machine that may write, or could once.
#[derive(Debug)]
pub struct WriterState {
    /// Its name as a writer.
    pub id: Id,
    /// Whether it is this machine.
    pub is_this: bool,
    /// Whether it may no longer write.
    pub is_revoked: bool,
    /// Snapshots that it made.
    pub snapshots: u64,
    /// When it made the last one.
    pub last: Option<Timestamp>,
    /// Its host name in the last one, where a key that reads was given.
    pub host: Option<String>,
}

/// Says who can read and who may write. Without a key, host names are missing.
///
/// # Errors
/// When the vault cannot be opened, or the store fails.
pub async fn access(session: &Session) -> Result<Access, OperationError> {
    let opened = session.open().await?;
    let (repository, own) = (&opened.repository, opened.own_writer());
    let given = opened.identity.as_ref().and_then(|identity| identity.slot());
    let mut slots = Vec::new();
    for slot in &repository.root.slots {
        slots.push(SlotState { is_sound: is_sound(&opened, slot).await?, is_given: given == Some(slot.id), slot: slot.clone() });
    }
    let state = |writer: &Writer| WriterState {
        id: writer.id,
        is_this: own == Some(writer.id),
        is_revoked: repository.root.is_revoked(writer.id),
        snapshots: 0,
        last: None,
        host: None,
    };
    let mut writers: BTreeMap<Id, WriterState> = repository.root.writers.iter().map(|writer| (writer.id, state(writer))).collect();
    let mut broken = Vec::new();
    // Oldest first, so that the last one's words stay.
    match &opened.identity {
        Some(identity) => {
            let listed = repository.snapshots(&identity.identities).await?;
            for (found, snapshot) in &listed.snapshots {
                if let Some(writer) = writers.get_mut(&found.signed.writer) {
                    writer.snapshots += 1;
                    writer.last = Some(snapshot.time);
                    writer.host = Some(snapshot.host.clone());
                }
            }
            broken.extend(listed.broken.iter().map(ToString::to_string));
        }
        None => {
            for (stem, found) in repository.snapshot_refs().await? {
                match found {
                    Ok(found) => {
                        if let Some(writer) = writers.get_mut(&found.signed.writer) {
                            writer.snapshots += 1;
                            writer.last = names::stem_time(&stem);
                        }
                    }
                    Err(error) if error.is_integrity() => broken.push(error.to_string()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    let Root { root_key, recipients, .. } = repository.root.clone();
    Ok(Access { repository: repository.id, root_key, recipients, slots, writers: writers.into_values().collect(), broken })
}

/// Whether either copy of a slot is what the statements of trust name.
async fn is_sound(opened: &Opened, slot: &Slot) -> Result<bool, OperationError> {
    let name = names::key_slot(slot.id);
    // It may be newer than what was listed.
    let storage = opened.repository.storage.without_listing();
    for copy in [names::mirror(&name), name] {
        let read = storage.get(&copy, names::MAX_SMALL_BYTES).await.map_err(RepositoryError::from)?;
        if read.is_some_and(|bytes| sha256(&bytes) == slot.sha256) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a key was tried on.
pub struct TriedOut {
    /// The slot that it opened; `None` for the vault's own identity.
    pub slot: Option<Id>,
    /// The newest snapshot, which it reads.
    pub newest: Option<Snapshot>,
}

/// Tries a key: opens the vault with it, and the newest snapshot.
///
/// # Errors
/// [`OperationError::KeyNeeded`] when none is given; when it opens nothing, or the newest snapshot cannot be read.
pub async fn try_out(session: &Session) -> Result<TriedOut, OperationError> {
    let opened = session.open().await?;
    let identity = opened.identity()?;
    let newest = match opened.repository.snapshot_stems().await?.last() {
        Some(stem) => Some(opened.repository.read_snapshot(stem, &identity.identities).await?.1),
        None => None,
    };
    Ok(TriedOut { slot: identity.slot(), newest })
}

/// What the recovery sheet says of the vault.
///
/// # Errors
/// When the vault cannot be opened, or the store fails.
pub async fn sheet(session: &Session) -> Result<InitReport, OperationError> {
    let opened = session.open().await?;
    facts(&opened, &*opened.identity()?).await
}

async fn facts(opened: &Opened, identity: &Identity) -> Result<InitReport, OperationError> {
    let recovery = opened.repository.put_recovery(&identity.root_key).await?;
    let Root { root_key, slots, .. } = opened.repository.root.clone();
    Ok(InitReport { repository: opened.repository.id, root_key, recipient: identity.recipient.clone(), recovery, slots })
}

/// Who is to be able to read, in addition.
pub enum NewKey {
    /// Who knows this passphrase.
    Passphrase(SecretString),
    /// Who has the identity of this age recipient.
    Recipient(String),
}

/// What changed, and what the recovery sheet says now.
pub struct Changed {
    /// New key slots.
    pub added: Vec<Slot>,
    /// The slot that one of them took the place of.
    pub removed: Option<Removed>,
    /// For the sheet.
    pub sheet: InitReport,
}

/// Lets somebody else open the vault: one key slot each, and one statement of trust. What opens it already is left out.
///
/// # Errors
/// [`OperationError::KeyNeeded`] without a key of the vault; when a recipient cannot be used, or the store fails.
pub async fn add(session: &Session, keys: &[NewKey]) -> Result<Changed, OperationError> {
    for key in keys {
        if let NewKey::Recipient(recipient) = key {
            Recipients::parse([recipient.as_str()])?;
        }
    }
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    let mut added = Vec::new();
    for key in keys {
        let slot = match key {
            NewKey::Passphrase(passphrase) => identity.passphrase_slot(passphrase, &session.machine)?,
            NewKey::Recipient(recipient) => {
                let is_known = |slot: &Slot| matches!(&slot.kind, SlotKind::Recipient(known) if known == recipient);
                if opened.repository.root.slots.iter().chain(&added).any(is_known) {
                    continue;
                }
                identity.recipient_slot(recipient, &session.machine)?
            }
        };
        added.push(slot.put(&opened.repository.storage).await?);
    }
    if !added.is_empty() {
        change(&mut opened, &identity, |root| root.slots.extend(added.iter().cloned())).await?;
    }
    Ok(Changed { added, removed: None, sheet: facts(&opened, &identity).await? })
}

/// A key slot that was removed.
#[derive(Debug)]
pub struct Removed {
    /// The slot.
    pub slot: Slot,
    /// Why its object is still there: the store does not let this machine delete it.
    pub kept: Option<StorageError>,
}

/// Removes the key slot whose id begins with `wanted`, or that belongs to the recipient `wanted`. Programs no longer accept it, and its
/// object is deleted where the store allows that. It takes back nothing from somebody who has a copy of it.
///
/// # Errors
/// [`OperationError::NoSuchKey`] when not exactly one is meant, [`OperationError::LastKey`] when no other sound slot is left,
/// [`OperationError::KeyNeeded`] without a key of the vault; when the store fails.
pub async fn remove(session: &Session, wanted: &str) -> Result<Removed, OperationError> {
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    let slots = opened.repository.root.slots.clone();
    let slot = find_slot(&slots, wanted)?;
    remove_slot(&mut opened, &identity, slot).await
}

/// The slot whose id begins with `wanted`, or that belongs to the recipient `wanted`.
fn find_slot<'a>(slots: &'a [Slot], wanted: &str) -> Result<&'a Slot, OperationError> {
    let is_meant =
        |slot: &&Slot| slot.id.to_string().starts_with(wanted) || matches!(&slot.kind, SlotKind::Recipient(name) if name == wanted);
    let mut meant = slots.iter().filter(is_meant);
    match (meant.next(), meant.next(), wanted.is_empty()) {
        (Some(slot), None, false) => Ok(slot),
        _ => Err(OperationError::NoSuchKey { wanted: wanted.to_owned() }),
    }
}

async fn remove_slot(opened: &mut Opened, identity: &Identity, slot: &Slot) -> Result<Removed, OperationError> {
    let mut is_last = true;
    for other in opened.repository.root.slots.iter().filter(|other| other.id != slot.id) {
        is_last = is_last && (matches!(other.kind, SlotKind::Other(_)) || !is_sound(opened, other).await?);
    }
    if is_last {
        return Err(OperationError::LastKey { slot: slot.id.to_string() });
    }
    change(opened, identity, |root| {
        root.slots.retain(|other| other.id != slot.id);
        root.removed_slots.push(slot.id);
    })
    .await?;
    Ok(delete_slot(opened, slot).await)
}

/// Deletes the objects of a slot that no longer counts.
async fn delete_slot(opened: &Opened, slot: &Slot) -> Removed {
    let name = names::key_slot(slot.id);
    let mut kept = None;
    for copy in [name.clone(), names::mirror(&name)] {
        if let Err(error) = opened.repository.storage.delete(&copy).await {
            kept.get_or_insert(error);
        }
    }
    Removed { slot: slot.clone(), kept }
}

/// Replaces a passphrase: the one whose slot the key that was given opened, or, with another key, the only one there is.
///
/// # Errors
/// [`OperationError::NoSuchKey`] when it is not clear which passphrase is meant; otherwise as [`add`] and [`remove`].
pub async fn replace_passphrase(session: &Session, passphrase: SecretString) -> Result<Changed, OperationError> {
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    let passphrases: Vec<Slot> = opened.repository.root.slots.iter().filter(|slot| slot.kind == SlotKind::Passphrase).cloned().collect();
    let old = match (passphrases.iter().find(|slot| identity.slot() == Some(slot.id)), passphrases.as_slice()) {
        (Some(given), _) => given.clone(),
        (None, [only]) => only.clone(),
        (None, _) => return Err(OperationError::NoSuchKey { wanted: "the passphrase".into() }),
    };
    // The new one is there before the old one goes.
    let new = identity.passphrase_slot(&passphrase, &session.machine)?.put(&opened.repository.storage).await?;
    change(&mut opened, &identity, |root| root.slots.push(new.clone())).await?;
    let removed = remove_slot(&mut opened, &identity, &old).await?;
    Ok(Changed { added: vec![new], removed: Some(removed), sheet: facts(&opened, &identity).await? })
}

/// A machine that may no longer write.
#[derive(Debug)]
pub struct Revoked {
    /// Its name as a writer.
    pub writer: Id,
    /// How many of its snapshots are still accepted.
    pub accepted: u64,
    /// How many are no longer.
    pub refused: u64,
}

/// Ends the permission to write of the machine whose id begins with `wanted`. Its snapshots up to number `last` of each chain are still
/// accepted; without it, all that the store has.
///
/// # Errors
/// [`OperationError::NoSuchWriter`] when not exactly one is meant, [`OperationError::KeyNeeded`] without a key of the vault; when the store
/// fails.
pub async fn revoke(session: &Session, wanted: &str, last: Option<u64>) -> Result<Revoked, OperationError> {
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    let mut meant =
        opened.repository.root.writers.iter().filter(|writer| writer.id.to_string().starts_with(wanted)).map(|writer| writer.id);
    let (Some(writer), None, false) = (meant.next(), meant.next(), wanted.is_empty()) else {
        return Err(OperationError::NoSuchWriter { wanted: wanted.to_owned() });
    };
    let mut chains: BTreeMap<Id, u64> = BTreeMap::new();
    let mut sequences = Vec::new();
    for (_, found) in opened.repository.snapshot_refs().await? {
        if let Ok(found) = found
            && found.signed.writer == writer
        {
            sequences.push(found.signed.sequence);
            let highest = chains.entry(found.signed.chain).or_default();
            *highest = found.signed.sequence.max(*highest);
        }
    }
    let most = last.unwrap_or(u64::MAX);
    let last_sequence = chains.into_iter().map(|(chain, highest)| (chain, highest.min(most))).collect();
    change(&mut opened, &identity, |root| root.revoked.push(Revocation::new(writer, last_sequence))).await?;
    let accepted = sequences.iter().filter(|sequence| **sequence <= most).count() as u64;
    Ok(Revoked { writer, accepted, refused: sequences.len() as u64 - accepted })
}

/// All that a machine needs to write to a vault and to read nothing of it.
pub struct WriterPass {
    /// The repository.
    pub repository: Id,
    /// What its statements of trust are signed with.
    pub root_key: VerifyingKey,
    /// Whom archives are encrypted for.
    pub recipient: String,
    /// The machine's name as a writer.
    pub writer: Id,
    /// What it signs with.
    pub key: SigningKey,
}

/// Lets a further machine write, and gives what it needs to.
///
/// # Errors
/// [`OperationError::KeyNeeded`] without a key of the vault; when the store fails.
pub async fn export_writer(session: &Session) -> Result<WriterPass, OperationError> {
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    let (writer, key) = (session.machine.id()?, SigningKey::generate()?);
    let new = Writer::new(writer, key.public().clone());
    change(&mut opened, &identity, |root| root.writers.push(new)).await?;
    let root = &opened.repository.root;
    let recipient = session::only_recipient(root)?.to_owned();
    Ok(WriterPass { repository: opened.repository.id, root_key: root.root_key.clone(), recipient, writer, key })
}

/// Makes this machine the writer of a pass. Nothing of the store is believed that the pass says otherwise.
///
/// # Errors
/// [`RepositoryError::Trust`] inside when the store has another vault, root key or recipient than the pass,
/// [`RepositoryError::NotAWriter`] when the writer is not named or was revoked, [`OperationError::IsWriter`] when this machine writes to the
/// vault already.
pub async fn import_writer(session: &Session, pass: &WriterPass) -> Result<(), OperationError> {
    let session = Session { unlock: None, root_key: Some(pass.root_key.clone()), ..session.clone() };
    let opened = session.open().await?;
    let root = &opened.repository.root;
    if opened.repository.id != pass.repository {
        return Err(RepositoryError::Trust(format!("it is {}, not {} as the file says", opened.repository.id, pass.repository)).into());
    }
    match opened.own_writer() {
        Some(own) if own == pass.writer => return Ok(()),
        Some(own) => return Err(OperationError::IsWriter { writer: own.to_string() }),
        None => {}
    }
    // One that was current when the file was written leads to the one that took its place: the root key of the file has signed that.
    let recipient = session::only_recipient(root)?;
    if !root.recipients.iter().any(|named| named.recipient == pass.recipient) {
        let why = format!("it names the recipient {recipient}, not {} as the file says", pass.recipient);
        return Err(RepositoryError::Trust(why).into());
    }
    match root.writer(pass.writer) {
        Some(writer) if writer.key != *pass.key.public() => {
            return Err(RepositoryError::Trust(format!("it names another key for writer {} than the file", pass.writer)).into());
        }
        None => return Err(RepositoryError::NotAWriter(format!("no statement of trust names writer {}", pass.writer)).into()),
        Some(_) if root.is_revoked(pass.writer) => {
            return Err(RepositoryError::NotAWriter(format!("writer {} was revoked", pass.writer)).into());
        }
        Some(_) => {}
    }
    session::pin(&opened.repository, &opened.folder, recipient, PinnedWriter::new(pass.writer, &pass.key))
}

/// Makes a statement of trust, on top of all that there are now, and notes on this machine that it was made.
async fn change(opened: &mut Opened, identity: &Identity, change: impl FnOnce(&mut Root)) -> Result<(), OperationError> {
    opened.repository.amend(identity, change).await?;
    if let Some(mut pins) = Pins::read(&opened.folder)? {
        session::raise(&mut pins, &opened.repository, &opened.folder)?;
    }
    Ok(())
}
