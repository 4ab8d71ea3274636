//! What an operation reports while it runs. The library never writes to a terminal: `commands` turns events into bars or lines.

use crate::model::entry::EntryPath;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries dealt with.
    pub entries_done: u64,
    /// Entries there are; `None` while they are still being listed.
    pub entries_total: Option<u64>,
    /// Bytes of content dealt with.
    pub bytes_done: u64,
    /// Bytes of content there are; `None` while they are still being listed.
    pub bytes_total: Option<u64>,
    /// Bytes that are in the store for good (backup) or were read from it (restore, verify).
    pub stored_bytes: u64,
}

/// One thing to report.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// How far the run is; comes often.
    Progress(Progress),
    /// An entry could not be read or written; the run goes on and ends with exit code 3.
    Problem {
        /// The entry.
        path: &'a EntryPath,
        /// What happened.
        what: &'a str,
    },
    /// Something is left out by its nature; no failure.
    Skipped {
        /// The entry.
        path: &'a EntryPath,
        /// Why.
        why: &'a str,
    },
    /// An archive is stored.
    ArchiveStored {
        /// The object.
        name: &'a str,
        /// Stored bytes.
        bytes: u64,
    },
    /// A snapshot is stored.
    SnapshotStored {
        /// Its name.
        id: &'a str,
        /// Whether it is complete, and no checkpoint.
        complete: bool,
    },
    /// An entry that `--dry-run` would store or restore.
    Planned {
        /// The entry.
        path: &'a EntryPath,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A restore ended before its end; so far it had done this.
    RestoreEnded {
        /// The snapshot.
        snapshot: &'a str,
        /// Entries restored.
        entries: u64,
        /// Bytes of content restored.
        bytes: u64,
        /// Entries that were there already.
        kept: u64,
        /// Entries that could not be restored.
        problems: u64,
        /// Contents that are damaged in the vault.
        damaged: u64,
    },
    /// An object was checked.
    Checked {
        /// The object.
        name: &'a str,
        /// What is wrong with it; `None` when it is sound.
        wrong: Option<&'a str>,
    },
    /// Something that the user should know.
    Note(&'a str),
}

/// Takes events; called from several threads.
pub trait Events: Send + Sync {
    /// Takes one.
    fn event(&self, event: &Event<'_>);
}

/// Takes no notice.
pub struct Silent;

impl Events for Silent {
    fn event(&self, _: &Event<'_>) {}
}
