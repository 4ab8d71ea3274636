//! What a machine keeps for itself, sealed: all of it can be rebuilt from the repository and the identity, logins excepted.
//!
//! - [`folder`]: the state folder and the machine's own key, with which everything below is sealed.
//! - [`sealed`]: files that are replaced whole or not at all.
//! - [`cache`]: what was read of a repository before, so that it is not read again.
//! - [`pins`]: what this machine knows of a repository since its first use.
//! - [`heads`]: the last snapshots that were seen, so that a store that was set back is noticed.
//! - [`lock`]: one run at a time for one purpose.
//! - [`mirrors`]: which places are mirrors, and what was seen there.

pub mod cache;
pub mod folder;
pub mod heads;
pub mod lock;
pub mod mirrors;
pub mod pins;
pub mod sealed;

use std::path::{Path, PathBuf};

pub use cache::{Cache, CacheSize};
pub use folder::{CacheUse, MachineKey, ProtectedKey, StateFolder};
pub use heads::{Head, Heads};
pub use lock::Lock;
pub use mirrors::Mirror;
pub use pins::Pins;
pub use sealed::SealedFolder;

use crate::crypt::CryptError;

/// Why local state could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file or folder could not be read or written.
    #[error("cannot {operation} '{}'", path.display())]
    File {
        /// The verb.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Another run holds the lock.
    #[error("another run is in progress: '{}' is locked", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A sealed file does not open with this machine's key.
    #[error("this machine's key does not open '{}'", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CryptError,
    },
    /// A file's content is not what it should be.
    #[error("'{}' is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A later version of the program wrote the state.
    #[error("'{}' has version {version}, and this program reads up to {known}: a newer tgvault is needed", path.display())]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// The version there.
        version: u32,
        /// The latest that this program reads.
        known: u32,
    },
}

impl StateError {
    pub(crate) fn file(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }
}
