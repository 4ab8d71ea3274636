//! What can go wrong with one entry of a restore.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::model::entry::EntryPath;

/// Says what could not be restored, and why; the rest of a restore can go on unless [`TargetError::ends_the_run`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The target folder as a whole cannot be used.
    #[error("cannot restore into '{}'", path.display())]
    Root {
        /// The folder as the user named it.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Something stands where a folder must be, or a folder where something else must be; a link is never followed.
    #[error("a {found} is in the way at '{path}'; it was left as it is")]
    InTheWay {
        /// Where it stands.
        path: EntryPath,
        /// What it is: `symbolic link`, `file`, `folder`, ….
        found: &'static str,
    },
    /// There is an entry already, and existing ones are never overwritten.
    #[error("'{path}' exists already and was kept")]
    Exists {
        /// The entry concerned.
        path: EntryPath,
    },
    /// The disk, or the user's share of it, is full.
    #[error("the disk is full: '{path}' could not be written")]
    Full {
        /// The entry concerned.
        path: EntryPath,
        /// The system's word.
        source: io::Error,
    },
    /// The file system of the target does not take such a name.
    #[error("the target's file system refuses the name '{path}'")]
    Name {
        /// The entry concerned.
        path: EntryPath,
        /// The system's word.
        source: io::Error,
    },
    /// The content was shorter or longer than announced.
    #[error("'{path}' should have {expected} bytes of content but came with {found}")]
    Size {
        /// The entry concerned.
        path: EntryPath,
        /// Bytes announced.
        expected: u64,
        /// Bytes that came, at least.
        found: u64,
    },
    /// A hard link whose first name is not a restored file.
    #[error("'{path}' is a hard link to '{target}', which is no regular file in the target folder")]
    LinkTarget {
        /// The link.
        path: EntryPath,
        /// The name it should share the file of.
        target: EntryPath,
    },
    /// The system refused something else.
    #[error("cannot {doing} '{path}'")]
    System {
        /// The entry concerned.
        path: EntryPath,
        /// What was tried, as a verb: `create`, `rename`, ….
        doing: &'static str,
        /// The system's word.
        source: io::Error,
    },
}

impl TargetError {
    /// Sorts what the system said when it was asked to do `doing` with `path`.
    pub(super) fn system(path: &EntryPath, doing: &'static str, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let path = path.clone();
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full { path, source },
            Some(Errno::NAMETOOLONG | Errno::ILSEQ) => Self::Name { path, source },
            _ => Self::System { path, doing, source },
        }
    }

    /// Whether there is no use in trying the next entry: the disk is full or the target is gone.
    pub fn ends_the_run(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Root { .. })
    }
}
