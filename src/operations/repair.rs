//! A way back when statements of trust are damaged or name several recipients: a new statement that stands on all that hold.
//! Nothing is overwritten and nothing deleted.

use super::OperationError;
use super::session::{self, Session};
use crate::model::digest::Id;
use crate::repository::keys;
use crate::repository::{self, Repository, RepositoryError, trust};
use crate::state::Pins;

/// What was found and done.
#[derive(Debug)]
pub struct RepairReport {
    /// The repository.
    pub repository: Id,
    /// What is damaged among the statements of trust, in words: nothing of it is needed any longer.
    pub lost: Vec<String>,
    /// The new statement; `None` where the old ones will do.
    pub statement: Option<String>,
    /// The machines that may write now.
    pub writers: usize,
    /// Recipients that new archives are no longer encrypted for, because the key that was given does not read them.
    pub ended_recipients: Vec<String>,
    /// Second copies that were missing and are written.
    pub copies: u64,
}

/// Makes one sound statement of trust out of all that can be read, and writes missing second copies.
///
/// # Errors
/// [`OperationError::KeyNeeded`] when no key is given; when none fits, no statement can be read, or the store fails.
pub async fn repair(session: &Session) -> Result<RepairReport, OperationError> {
    let id = repository::find(&session.storage).await?;
    let folder = session.state.repository(id)?;
    session.refuse_mirror(&folder)?;
    let unlock = session.unlock.as_ref().ok_or(OperationError::KeyNeeded)?;
    let identity = keys::unlock(&session.storage, id, unlock).await?;
    let found = trust::salvage(&session.storage, id, identity.root_key.public()).await?;
    if let Some(wanted) = &session.root_key
        && *wanted != found.root.root_key
    {
        return Err(RepositoryError::Trust(format!("its root key is {}, not {}", found.root.root_key.as_str(), wanted.as_str())).into());
    }
    let mut ended_recipients = Vec::new();
    let amended = trust::amend(&session.storage, &found, &identity.root_key, session.machine.now(), |root| {
        // A key of the time before a rotation cannot say which of them it is to be.
        let kept = identity.newest_of(root).map(str::to_owned);
        if let (2.., Some(kept)) = (root.current_recipients().count(), kept) {
            for recipient in root.recipients.iter_mut().filter(|recipient| recipient.current && recipient.recipient != kept) {
                recipient.current = false;
                ended_recipients.push(recipient.recipient.clone());
            }
        }
    })
    .await?;
    let statement = (amended.names != found.names).then(|| amended.names.first().cloned()).flatten();
    let repository = Repository::trusted(session.storage.clone(), id, amended, &session.machine);
    if let Some(mut pins) = Pins::read(&folder)? {
        session::raise(&mut pins, &repository, &folder)?;
    }
    let copies = repository.complete_copies().await?;
    Ok(RepairReport { repository: id, lost: found.lost, statement, writers: repository.root.writers.len(), ended_recipients, copies })
}
