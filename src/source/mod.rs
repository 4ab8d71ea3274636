//! Where a backup comes from: the [`Source`] trait and its implementations.
//!
//! A source lists its entries cheaply and hands out the content only when asked, so that what is stored already is skipped
//! before a byte of it is read or fetched. Everything here is plain blocking code: a source that talks to a network runs its
//! own runtime behind [`Source::list`] and [`Content::open`].

pub mod desktop;
pub mod folder;
pub mod telegram;

use std::io::{self, Read};
use std::sync::Arc;

use self::telegram::TelegramError;
use crate::model::digest::Digest;
use crate::model::entry::{EntryPath, Kind, Metadata, Stamp, Timestamp};
pub use crate::model::source::SourceName;

/// One entry as a source lists it.
pub struct Item {
    /// Where it belongs in the backup.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Mode, owner, times, attributes.
    pub meta: Metadata,
    /// The content's length in bytes as far as the source knows it now, also of a further name of a file; 0 for anything else.
    pub size: u64,
    /// Whether the file has holes that a restore should make again.
    pub sparse: bool,
    /// What tells an unchanged file without reading it; `None` where the source has no such thing, or not now: it is read again.
    pub stamp: Option<Stamp>,
    /// The content; `Some` for files, and for further names of a file that could be read by that name as well.
    pub content: Option<Arc<dyn Content>>,
    /// A number of the source's own that comes back in [`Source::committed`]; 0 for none.
    pub mark: u64,
}

/// The content of one file, opened when it is needed and possibly more than once.
pub trait Content: Send + Sync {
    /// Opens the content at byte `from`.
    ///
    /// # Errors
    /// When the content cannot be had (any more).
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>>;

    /// Whether reading it twice costs little. Where it does, a content of a known length is hashed first, and stored only if it is
    /// new; otherwise it is stored as it comes.
    fn is_near(&self) -> bool {
        true
    }

    /// Whether the listed length is what somebody said rather than what there is: then the content ends where reading it ends, if
    /// [`Body::changed`] does not say otherwise.
    fn may_say_a_wrong_length(&self) -> bool {
        false
    }
}

/// A stream of content that can say whether it was the content of one moment.
pub trait Body: Read + Send {
    /// Whether the file changed since it was listed; asked after the last byte was read.
    ///
    /// # Errors
    /// When the file cannot be looked at any more.
    fn changed(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// Something that could not be listed or read; the run goes on and ends with exit code 3.
#[derive(Debug)]
pub struct Problem {
    /// The entry concerned.
    pub path: EntryPath,
    /// What happened, in words.
    pub what: String,
}

/// A file as the snapshot before has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// Length in bytes.
    pub size: u64,
    /// When its content last changed, as it was listed then.
    pub mtime: Timestamp,
    /// SHA-256 of its content; `None` where it is stored in parts.
    pub sha256: Option<Digest>,
}

/// Takes what a source lists, and says what the snapshot before has.
pub trait Sink {
    /// Takes one item.
    ///
    /// # Errors
    /// [`Stopped`] when the run is ending: the source returns at once.
    fn item(&mut self, item: Item) -> Result<(), Stopped>;

    /// Takes note of an entry that could not be listed; whatever the parent snapshot holds at and below its path is kept.
    fn problem(&mut self, problem: Problem);

    /// Takes note of an entry that was there when its folder was read and had lost its name a moment later: deleted, or moved to where
    /// the listing had been already. Whatever the parent snapshot holds of it stays until the next backup.
    fn vanished(&mut self, _path: &EntryPath) {}

    /// Takes note of something that backups leave out by their nature (a socket, a named pipe, a device, oversized
    /// attributes); no failure.
    fn skipped(&mut self, _path: &EntryPath, _why: &str) {}

    /// Tells the user something.
    fn note(&mut self, _text: &str) {}

    /// The file that the snapshot before has at `path`, if it is there to its end.
    fn before(&self, _path: &EntryPath) -> Option<Before> {
        None
    }

    /// The paths of the files that the snapshot before has below `folder`, sorted.
    fn files_before(&self, _folder: &EntryPath) -> Vec<EntryPath> {
        Vec::new()
    }

    /// The content of a file of the snapshot before; `None` where no key is at hand. For small files.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was stored.
    fn read_before(&self, _path: &EntryPath) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Whether the run is ending, for a source that has nothing to hand over just now and would wait for it.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// The receiver takes no more items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run was stopped")]
pub struct Stopped;

/// Why a listing ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The receiver stopped the run.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The source as a whole cannot be read.
    #[error("cannot read {what}")]
    Unreadable {
        /// The folder or account.
        what: String,
        /// The system's word.
        source: io::Error,
    },
    /// Telegram did not serve, or what it served could not be taken.
    #[error("cannot read Telegram account '{account}'")]
    Telegram {
        /// The account's name on this machine.
        account: String,
        /// What Telegram said, or wants first.
        source: TelegramError,
    },
    /// There is no export in a folder.
    #[error("'{folder}' is not a Telegram Desktop export")]
    NoExport {
        /// The folder.
        folder: String,
    },
    /// An export is of somebody else than what is stored under the name of its account.
    #[error("the export belongs to user {told}, but account '{account}' in the vault belongs to user {known}")]
    OtherAccount {
        /// The name that was given to the account.
        account: String,
        /// Whose the account is.
        known: i64,
        /// Whose the export is.
        told: i64,
    },
}

/// Something that can be backed up.
pub trait Source: Send + Sync {
    /// Says what this source is.
    fn name(&self) -> SourceName;

    /// What else this source may be called in snapshots of earlier versions of the program, or of people who spelled it otherwise.
    fn other_names(&self) -> Vec<SourceName> {
        Vec::new()
    }

    /// Mode, owner, time and attributes of the folder that holds it all, as the last listing found it.
    fn top(&self) -> Option<Metadata> {
        None
    }

    /// Whether [`Source::list`] names everything there is, so that what it does not name has been deleted.
    fn lists_everything(&self) -> bool;

    /// How many entries the last listing left out because the options say so, each folder counted as one.
    fn left_out(&self) -> u64 {
        0
    }

    /// Tells, before a listing, the name of what this machine remembers of its backups of this source. A source that remembers what was
    /// [`Source::committed`] keeps the name with it, and starts anew under another name, or when `anew` is wanted: then something is
    /// not in the vault any more that once was, or it is another vault.
    fn continues(&self, _memory: &str, _anew: bool) {}

    /// Hands every item to `sink`, a folder before what is in it; the order is the same in each run.
    ///
    /// # Errors
    /// When the source as a whole cannot be read, or `sink` stopped.
    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError>;

    /// Whether the listing would make use of [`Sink::read_before`]: a key that was given is used only then.
    fn wants_key(&self) -> bool {
        false
    }

    /// Tells that the items with these marks are stored for good: in a snapshot, or in archives that the next snapshot will name, for as
    /// long as [`Source::continues`] gives the same name.
    fn committed(&self, _marks: &[u64]) {}
}
