//! Making a new repository, with this machine as its first writer.

use secrecy::SecretString;

use super::OperationError;
use super::session::{Session, pin};
use crate::crypt::digest::sha256;
use crate::crypt::keys::Recipients;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;
use crate::repository::Repository;
use crate::repository::format::root;
use crate::repository::keys::Identity;
use crate::state::pins::PinnedWriter;
use crate::state::{Lock, SealedFolder};
use crate::storage::Storage;

/// Who is to be able to read the new repository; at least one of the two.
#[derive(Default)]
pub struct InitOptions {
    /// A passphrase.
    pub passphrase: Option<SecretString>,
    /// age recipients, each of which opens the repository with its own identity.
    pub recipients: Vec<String>,
}

/// What the recovery sheet says of a new repository.
#[derive(Clone, Debug)]
pub struct InitReport {
    /// The repository's name.
    pub repository: Id,
    /// The public half of the root key.
    pub root_key: VerifyingKey,
    /// The recipient that archives are encrypted for.
    pub recipient: String,
    /// Where the vault keeps page and script for recovery without this program.
    pub recovery: String,
    /// The key slots, in the order in which the options name who opens them.
    pub slots: Vec<root::Slot>,
}

/// What this machine began to make at a place and may not have finished: nobody has the key to what is there of it.
struct Begun {
    notes: SealedFolder,
    name: String,
    _lock: Lock,
}

impl Begun {
    /// The note about the session's store.
    fn at(session: &Session) -> Result<Self, OperationError> {
        let notes = session.state.sealed("unfinished")?;
        let name = sha256(session.storage.address().as_bytes()).to_string();
        let lock = notes.lock(&format!("{name}.lock"))?;
        Ok(Self { notes, name, _lock: lock })
    }

    /// Removes what an earlier run left, so that this one can begin.
    async fn remove_unfinished(&self, storage: &Storage) -> Result<(), OperationError> {
        match self.notes.read_json::<Vec<String>>(&self.name)? {
            Some(objects) => Ok(Repository::remove_unfinished(storage, &objects).await?),
            None => Ok(()),
        }
    }

    /// Notes which objects are about to be made.
    fn note(&self, objects: &[String]) -> Result<(), OperationError> {
        Ok(self.notes.write_json(&self.name, &objects)?)
    }

    /// Forgets them: the repository is whole.
    fn forget(&self) -> Result<(), OperationError> {
        Ok(self.notes.retain(|name| name != self.name)?)
    }
}

/// Makes a new repository in the session's store. What this machine left there when it did not finish doing so is removed first.
///
/// # Errors
/// [`OperationError::KeyNeeded`] when nobody is to read it; when the place is taken, or the store or the state fails.
pub async fn init(session: &Session, options: &InitOptions) -> Result<InitReport, OperationError> {
    if options.passphrase.is_none() && options.recipients.is_empty() {
        return Err(OperationError::KeyNeeded);
    }
    // A recipient that cannot be used is found before anything is written.
    for recipient in &options.recipients {
        Recipients::parse([recipient.as_str()])?;
    }
    let machine = &session.machine;
    session.storage.prepare().await?;
    let begun = Begun::at(session)?;
    begun.remove_unfinished(&session.storage).await?;
    Repository::ensure_vacant(&session.storage).await?;
    let identity = Identity::generate(machine.id()?)?;
    let mut new_slots = Vec::new();
    if let Some(passphrase) = &options.passphrase {
        new_slots.push(identity.passphrase_slot(passphrase, machine)?);
    }
    for recipient in &options.recipients {
        new_slots.push(identity.recipient_slot(recipient, machine)?);
    }
    begun.note(&Repository::first_objects(&new_slots))?;
    let mut slots = Vec::new();
    for slot in new_slots {
        slots.push(slot.put(&session.storage).await?);
    }
    let key = SigningKey::generate()?;
    let id = machine.id()?;
    let writer = root::Writer::new(id, key.public().clone());
    let repository = Repository::init(session.storage.clone(), &identity, slots, writer, machine).await?;
    let recovery = repository.put_recovery(&identity.root_key).await?;
    let folder = session.state.repository(repository.id)?;
    pin(&repository, &folder, &identity.recipient, PinnedWriter::new(id, &key))?;
    begun.forget()?;
    let root::Root { root_key, slots, .. } = repository.root;
    Ok(InitReport { repository: repository.id, root_key, recipient: identity.recipient.clone(), recovery, slots })
}
