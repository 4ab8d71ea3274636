//! What can go wrong with a repository as a whole.

use crate::archive::ArchiveError;
use crate::crypt::CryptError;
use crate::model::digest::Id;
use crate::storage::StorageError;

/// Why a repository could not be used. Each variant names its object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is no repository at the place.
    #[error("there is no vault at {address}")]
    Absent {
        /// The place.
        address: String,
    },
    /// `init` met a repository, or what may be one.
    #[error("there is already a vault, or part of one, at {address}")]
    Occupied {
        /// The place.
        address: String,
    },
    /// The repository was written by a later program.
    #[error("the vault has format {found}; this version of tgvault reads {readable}")]
    Newer {
        /// Its format.
        found: String,
        /// What is readable.
        readable: String,
    },
    /// No passphrase or identity given opens any key slot.
    #[error("this passphrase or identity opens none of the vault's {slots} key slots")]
    WrongKey {
        /// How many slots were tried.
        slots: usize,
    },
    /// The key given opens a slot that was removed from the repository, and no other.
    #[error("this passphrase or identity was removed from the vault (key slot {slot})")]
    RemovedSlot {
        /// The slot.
        slot: Id,
    },
    /// The key given holds only identities of the time before a rotation.
    #[error("this key was copied before the vault's keys were rotated: it does not read what has been stored since")]
    Rotated,
    /// The trust statements do not fit what this machine, the sheet or the identity says.
    #[error("the vault cannot be trusted: {0}")]
    Trust(String),
    /// This machine has no writer key that the repository accepts.
    #[error("this machine is not authorised to write to the vault: {0}")]
    NotAWriter(String),
    /// Two statements of trust name different recipients for new archives.
    #[error("the vault has {} current recipients instead of one: {}", recipients.len(), recipients.join(", "))]
    Divided {
        /// The recipients.
        recipients: Vec<String>,
    },
    /// An object is missing, also its second copy where it has one.
    #[error("'{name}' is missing")]
    Missing {
        /// The object.
        name: String,
    },
    /// An object is not what it was, also its second copy where it has one.
    #[error("'{name}' is damaged: {why}")]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A snapshot that is not signed by an accepted writer.
    #[error("snapshot '{stem}' is not trusted: {why}")]
    Untrusted {
        /// The snapshot's stem.
        stem: String,
        /// What is wrong.
        why: String,
    },
    /// The last snapshot of a chain that this machine has seen is no longer there.
    #[error("snapshot '{stem}', number {sequence} of its chain, was here before and is gone, and there is no record of its deletion")]
    Gone {
        /// The snapshot's stem.
        stem: String,
        /// Its number in its chain.
        sequence: u64,
    },
    /// Another run holds the lock of those who delete.
    #[error("the vault is locked by {holder} ('{object}')")]
    Locked {
        /// Who holds it, since when.
        holder: String,
        /// The lock.
        object: String,
    },
    /// The store does not show what was just written.
    #[error("the store does not show '{name}', which was just written")]
    Stale {
        /// The object.
        name: String,
    },
    /// Deleting would be unsafe.
    #[error("nothing was deleted: {why}")]
    Unsafe {
        /// Why.
        why: String,
    },
    /// No snapshot fits what was asked for.
    #[error("no snapshot matches '{wanted}'")]
    NoSnapshot {
        /// What was asked for.
        wanted: String,
    },
    /// More than one snapshot fits.
    #[error("'{wanted}' matches {count} snapshots")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many fit.
        count: usize,
    },
    /// An archive that a snapshot names cannot be read.
    #[error("archive {id}")]
    Archive {
        /// The archive.
        id: Id,
        /// Why.
        source: ArchiveError,
    },
    /// Encrypting or signing failed.
    #[error(transparent)]
    Crypt(#[from] CryptError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl RepositoryError {
    /// Says that an object is damaged.
    pub(crate) fn damaged(name: &str, why: impl ToString) -> Self {
        Self::Damaged { name: name.to_owned(), why: why.to_string() }
    }

    /// Whether stored data is missing, changed or forged (exit code 15).
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Trust(_)
            | Self::Gone { .. }
            | Self::Missing { .. }
            | Self::Damaged { .. }
            | Self::Untrusted { .. }
            | Self::Unsafe { .. } => true,
            Self::Archive { source, .. } => source.is_integrity(),
            Self::Storage(StorageError::WrongLength { .. } | StorageError::NotFound { .. }) => true,
            _ => false,
        }
    }
}
