//! A new identity for everything that is written from now on. What was written before stays as it is, and readable: the identity file in
//! each key slot has the secret keys of all identities that the vault has had.

use std::collections::BTreeSet;

use super::super::OperationError;
use super::super::init::InitReport;
use super::super::session::{Session, only_recipient};
use super::{Removed, change, delete_slot, facts, find_slot};
use crate::repository::format::root::{Slot, SlotKind};
use crate::repository::keys::open_all;

/// What changed.
pub struct Rotated {
    /// What archives are encrypted for from now on.
    pub recipient: String,
    /// How many recipients there were before.
    pub former: u64,
    /// The new key slots, each for a key that opened the vault before.
    pub renewed: Vec<Slot>,
    /// The old slots, those that were left out among them.
    pub removed: Vec<Removed>,
    /// Those of `removed` that no new slot takes the place of.
    pub left_out: Vec<Slot>,
    /// Slots that somebody else added at the same moment: they open what was stored before and no more.
    pub missed: Vec<Slot>,
    /// For the sheet.
    pub sheet: InitReport,
}

/// Gives the vault a new identity: encrypts the identity file again for each key but those of `without`, and makes one statement of trust
/// that names the new recipient. Machines that write take it from there with their next backup, because the root key that they have
/// pinned signed it. It takes back nothing from somebody who has a copy of the old identity.
///
/// # Errors
/// [`OperationError::NotRenewed`] when a slot is opened by something that is not known here, [`OperationError::PartialKey`] when the key does
/// not read all that the vault has, [`OperationError::NoSuchKey`] when one of `without` is not exactly one slot,
/// [`OperationError::LastKey`] when no slot would be left, [`OperationError::KeyNeeded`] without a key of the vault; when the store fails.
/// Nothing is changed until all new slots are stored.
pub async fn rotate(session: &Session, without: &[String]) -> Result<Rotated, OperationError> {
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    let slots = opened.repository.root.slots.clone();
    let left_out = without.iter().map(|wanted| find_slot(&slots, wanted).cloned()).collect::<Result<Vec<Slot>, _>>()?;
    let kept: Vec<&Slot> = slots.iter().filter(|slot| !left_out.contains(slot)).collect();

    // Two rotations at once leave slots that hold different identities: all that this key opens is kept.
    let opens = open_all(&opened.repository.storage, &identity, &slots).await?;
    let known: BTreeSet<_> = opens.iter().map(|(id, _)| *id).collect();
    let others: Vec<_> = opens.into_iter().map(|(_, identity)| identity).collect();
    let new = identity.rotated(&others)?;
    if let Some(lost) = opened.repository.root.recipients.iter().find(|named| !new.opens(&named.recipient)) {
        return Err(OperationError::PartialKey { recipient: lost.recipient.clone() });
    }

    let (mut renewed, mut unknown, mut has_passphrase) = (Vec::new(), Vec::new(), false);
    for slot in &kept {
        match (&slot.kind, identity.passphrase()) {
            (SlotKind::Recipient(recipient), _) => renewed.push(new.recipient_slot(recipient, &session.machine)?),
            (SlotKind::Passphrase, Some(passphrase)) if known.contains(&slot.id) => {
                if !std::mem::replace(&mut has_passphrase, true) {
                    renewed.push(new.passphrase_slot(passphrase, &session.machine)?);
                }
            }
            _ => unknown.push(slot.id.to_string()),
        }
    }
    if !unknown.is_empty() {
        return Err(OperationError::NotRenewed { slots: unknown });
    }
    if renewed.is_empty() {
        return Err(OperationError::LastKey { slot: left_out.last().map(|slot| slot.id.to_string()).unwrap_or_default() });
    }

    let mut stored = Vec::new();
    for slot in renewed {
        stored.push(slot.put(&opened.repository.storage).await?);
    }
    let former = opened.repository.root.recipients.len() as u64;
    change(&mut opened, &identity, |root| {
        root.exchange_recipient(&new.recipient);
        root.slots.retain(|slot| !slots.iter().any(|old| old.id == slot.id));
        root.removed_slots.extend(slots.iter().map(|slot| slot.id));
        root.slots.extend(stored.iter().cloned());
    })
    .await?;
    // Only now that the statement counts.
    let mut removed = Vec::new();
    for slot in &slots {
        removed.push(delete_slot(&opened, slot).await);
    }
    only_recipient(&opened.repository.root)?;
    let missed = opened.repository.root.slots.iter().filter(|slot| !stored.contains(slot)).cloned().collect();
    let sheet = facts(&opened, &new).await?;
    Ok(Rotated { recipient: new.recipient.clone(), former, renewed: stored, removed, left_out, missed, sheet })
}
