//! Why an operation ended without its result.

use crate::archive::ArchiveError;
use crate::crypt::CryptError;
use crate::render::log::LogError;
use crate::repository::RepositoryError;
use crate::source::SourceError;
use crate::state::StateError;
use crate::storage::StorageError;
use crate::target::TargetError;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The repository could not be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Local state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The target of a restore could not be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// An archive could not be written.
    #[error("could not write an archive")]
    Archive(#[from] ArchiveError),
    /// Deleting at once was asked for, while others may write.
    #[error("{others} other machines may write to this vault: what they are about to rely on must not be deleted at once")]
    NotAlone {
        /// How many.
        others: usize,
    },
    /// A key is needed, and none was given.
    #[error("reading this vault needs a passphrase or an identity, and none was given")]
    KeyNeeded,
    /// A path is not in the snapshot.
    #[error("'{path}' is not in snapshot {snapshot}")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The snapshot.
        snapshot: String,
    },
    /// A file was to be taken out of snapshots in which a hard link to it stays.
    #[error("'{path}' is a hard link to '{target}', which is to be taken out: the content of both would be gone")]
    LinkedTo {
        /// The link.
        path: String,
        /// What it points at.
        target: String,
    },
    /// What was asked for is not a regular file.
    #[error("'{path}' is not a regular file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// A content is not what was recorded when it was stored.
    #[error("the content of '{path}' is not what was stored: its SHA-256 does not match")]
    Content {
        /// The path.
        path: String,
    },
    /// A chat is not in the snapshot.
    #[error("snapshot {snapshot} has no chat called '{chat}'")]
    NoSuchChat {
        /// Chats with similar names, for people.
        near: Vec<String>,
        /// Other accounts in the vault that have such a chat.
        of: Vec<String>,
        /// What the user called it.
        chat: String,
        /// The snapshot.
        snapshot: String,
    },
    /// Several chats go by one name.
    #[error("several chats match '{chat}': {}", peers.join(", "))]
    SeveralChats {
        /// What the user called them.
        chat: String,
        /// What they are called unmistakably.
        peers: Vec<String>,
    },
    /// The snapshot is one of files.
    #[error("snapshot {snapshot} has no chats: it was not made from a Telegram account or export")]
    NoChats {
        /// The snapshot.
        snapshot: String,
    },
    /// What was asked for is not there, and a part of the snapshot is lost.
    #[error("part of the snapshot is lost and may include {wanted}: {lost}")]
    Lost {
        /// What is not there, in words.
        wanted: String,
        /// What is lost, in words.
        lost: String,
    },
    /// The snapshot has no import, or not the one that was asked for.
    #[error("snapshot {snapshot} has no such import; it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    NoImport {
        /// The snapshot.
        snapshot: String,
        /// The imports it has.
        known: Vec<String>,
    },
    /// Something in the snapshot has a form that this program does not understand.
    #[error("cannot read '{path}': {why}")]
    Form {
        /// Its path in the snapshot.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Most of what a source had is gone: it may not be there at all.
    #[error("{gone} of the {had} entries that the last snapshot of {source_name} has are gone, so no snapshot was made")]
    Emptied {
        /// The source.
        source_name: String,
        /// Entries that are gone.
        gone: u64,
        /// Entries that there were.
        had: u64,
    },
    /// What the options exclude is all that a source has.
    #[error("the exclude patterns or limits exclude everything in {source_name}, so no snapshot was made")]
    AllExcluded {
        /// The source.
        source_name: String,
    },
    /// Not exactly one key slot is meant.
    #[error("no key slot, or more than one, matches '{wanted}'")]
    NoSuchKey {
        /// What was asked for.
        wanted: String,
    },
    /// Without this key slot, nobody could read the vault.
    #[error("key slot {slot} is the only one that works: without it, nobody could read the vault")]
    LastKey {
        /// The slot.
        slot: String,
    },
    /// Key slots that cannot be encrypted again.
    #[error("key {} cannot be encrypted again: what opens it is not known here", slots.join(", "))]
    NotRenewed {
        /// The slots.
        slots: Vec<String>,
    },
    /// A key that does not hold all identities that the vault has had.
    #[error("the key lacks an identity of the vault, that of {recipient}")]
    PartialKey {
        /// What was encrypted for it.
        recipient: String,
    },
    /// Not exactly one writer is meant.
    #[error("no writer, or more than one, matches '{wanted}'")]
    NoSuchWriter {
        /// What was asked for.
        wanted: String,
    },
    /// This machine writes to the vault already, by another name.
    #[error("this machine is authorised to write to the vault already, as writer {writer}")]
    IsWriter {
        /// Its name.
        writer: String,
    },
    /// A mirror is written by copying only.
    #[error("{address} is a mirror{}", of.as_ref().map_or_else(String::new, |of| format!(" of {of}")))]
    IsMirror {
        /// Where it is.
        address: String,
        /// What it mirrors, where that is known.
        of: Option<String>,
    },
    /// There is no copying from one place to the other.
    #[error("cannot copy from {from} to {to}: {why}")]
    NoCopy {
        /// The source.
        from: String,
        /// The target.
        to: String,
        /// Why not.
        why: String,
    },
    /// The user ended the run.
    #[error("interrupted; everything stored so far is kept, and the same command resumes from there")]
    Interrupted,
    /// Output could not be written.
    #[error("could not write the output")]
    Output(#[source] std::io::Error),
    /// A thread of ours ended without its result.
    #[error("an internal task ended unexpectedly: {0}")]
    Internal(String),
}

impl OperationError {
    /// Whether the way to the vault failed, rather than one thing in it: there is no use in trying the next.
    pub(super) fn is_of_the_store(&self) -> bool {
        matches!(self, Self::Repository(error) if !error.is_integrity())
    }

    /// Whether the vault has lost or changed what was asked for.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Repository(error) => error.is_integrity(),
            Self::Archive(error) => error.is_integrity(),
            Self::Content { .. } | Self::Lost { .. } => true,
            _ => false,
        }
    }

    /// What a log could not be read for.
    pub(super) fn of_log(error: LogError<Self>) -> Self {
        match error {
            LogError::Batch { source, .. } => source,
            other => Self::Form { path: "a chat's log".into(), why: crate::model::causes::with_causes(&other) },
        }
    }
}

impl From<StorageError> for OperationError {
    fn from(error: StorageError) -> Self {
        Self::Repository(error.into())
    }
}

impl From<CryptError> for OperationError {
    fn from(error: CryptError) -> Self {
        Self::Repository(error.into())
    }
}

impl From<tokio::task::JoinError> for OperationError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Internal(error.to_string())
    }
}
