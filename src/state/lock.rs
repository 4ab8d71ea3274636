//! Locks that the system frees when a process dies.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StateError;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock whose file is `path`.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process holds it.
    pub fn take(path: &Path) -> Result<Self, StateError> {
        Self::with(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the lock as one of several that may hold it at a time, as long as nobody has taken it for himself.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn share(path: &Path) -> Result<Self, StateError> {
        Self::with(path, FlockOperation::NonBlockingLockShared)
    }

    fn with(path: &Path, operation: FlockOperation) -> Result<Self, StateError> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(StateError::file("open", path))?;
        match flock(&file, operation) {
            Ok(()) => Ok(Self { file }),
            Err(Errno::WOULDBLOCK) => Err(StateError::Locked { path: path.to_owned() }),
            Err(error) => Err(StateError::file("lock", path)(error.into())),
        }
    }
}

impl Drop for Lock {
    /// Closing the file alone would leave the lock with a process that is just being started and has not closed its copy yet.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
