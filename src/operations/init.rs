//! Making a new repository, with this machine as its first writer.

use secrecy::SecretString;

use super::OperationError;
use super::session::{Session, pin};
use crate::crypt::keys::Recipients;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;
use crate::repository::format::root;
use crate::repository::keys::Identity;
use crate::repository::{Repository, random_id};
use crate::state::pins::PinnedWriter;

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

/// Makes a new repository in the session's store.
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
    session.storage.prepare().await?;
    Repository::ensure_vacant(&session.storage).await?;
    let identity = Identity::generate(random_id()?)?;
    let mut slots = Vec::new();
    if let Some(passphrase) = &options.passphrase {
        slots.push(identity.add_passphrase_slot(&session.storage, passphrase).await?);
    }
    for recipient in &options.recipients {
        slots.push(identity.add_recipient_slot(&session.storage, recipient).await?);
    }
    let key = SigningKey::generate()?;
    let id = random_id()?;
    let writer = root::Writer { id, key: key.public().clone() };
    let repository = Repository::init(session.storage.clone(), &identity, slots, writer).await?;
    let recovery = repository.put_recovery(&identity.root_key).await?;
    let folder = session.state.repository(repository.id)?;
    pin(&repository, &folder, &identity, PinnedWriter::new(id, &key))?;
    let root::Root { root_key, slots, .. } = repository.root;
    Ok(InitReport { repository: repository.id, root_key, recipient: identity.recipient.clone(), recovery, slots })
}
