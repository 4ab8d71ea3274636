//! Snapshots as a file system, for whatever shows one to the system's kernel:
//!
//! ```text
//! latest/                        the latest snapshot, with what other machines stored of the account
//! snapshots/<time>_<id>/         each snapshot
//!   …                            of a folder: what was backed up
//!   chats/<chat>/<month>/<file>  of an account or export: the files of a chat by their own names
//!   stored/…                     and everything as it is stored
//! ```
//!
//! Read-only. A snapshot is opened when it is looked at, of a file only the frames that are wanted are read, and nothing is on disk.
//! Everything but opening blocks and must not be called on the runtime's own threads.

mod chats;
mod kept;
mod node;
mod volume;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use self::chats::ChatFolders;
use self::kept::Kept;
use self::node::{MAX_VOLUME, Node};
use self::volume::Volume;
use super::OperationError;
use super::session::{Opened, Session};
use super::snapshot::OpenSnapshot;
use super::snapshot::choice::{Selection, SnapshotChoice};
use crate::model::causes::with_causes;
use crate::model::digest::Id;
use crate::model::entry::Timestamp;

/// Snapshots that are held open: each has its tree in memory.
const OPEN_SNAPSHOTS: usize = 4;

/// What of a long file is read at once, in bytes.
const BLOCK_BYTES: u64 = 1024 * 1024;

/// Blocks that are kept, for readers that take a file in small steps, many side by side.
const KEPT_BLOCKS: usize = 48;

/// How long a list of the snapshots is good for.
const LISTED_FOR: Duration = Duration::from_secs(60);

/// What somebody is told who asks for what cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is nothing of that name.
    Missing,
    /// A file where a folder is needed.
    NotAFolder,
    /// A folder where a file is needed.
    IsAFolder,
    /// No symbolic link.
    NotALink,
    /// It cannot be read; what is wrong was told.
    Failed,
}

/// What a file or folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// What is known of a file or folder.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// Its number, which no other has and which never changes; 1 is the root's.
    pub number: u64,
    /// What it is.
    pub form: Form,
    /// Length in bytes; of a link, that of its target.
    pub bytes: u64,
    /// Permissions.
    pub mode: u32,
    /// User and group as they were stored; `None` where nobody's are.
    pub owner: Option<(u32, u32)>,
    /// When it was changed last.
    pub time: Timestamp,
    /// How many names it has.
    pub names: u32,
}

impl Attributes {
    fn folder(number: u64, mode: u32, time: Timestamp) -> Self {
        Self { number, form: Form::Folder, bytes: 0, mode, owner: None, time, names: 2 }
    }
}

/// Something in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its number.
    pub number: u64,
    /// What it is.
    pub form: Form,
}

/// What could not be read, in words, and whether the vault has lost or changed it.
pub type Tell = Box<dyn Fn(&str, bool) + Send + Sync>;

/// A snapshot that is shown.
#[derive(Clone)]
struct Listed {
    /// The name of its folder.
    name: String,
    choice: SnapshotChoice,
    time: Timestamp,
}

/// What is shown, by the numbers of volumes: what was listed once keeps its number.
#[derive(Clone, Default)]
struct Listing {
    volumes: Vec<Listed>,
    /// The snapshots, oldest first.
    snapshots: Vec<u16>,
    latest: Option<(Id, u16)>,
    at: Option<Instant>,
}

/// The snapshots of a vault as files and folders.
pub struct Mounted {
    opened: Opened,
    among: Selection,
    runtime: Handle,
    began: Timestamp,
    listing: Mutex<Listing>,
    open: Kept<u16, Arc<Volume>>,
    /// What each volume was when it was opened first: its snapshot, and how many entries it has.
    states: Mutex<HashMap<u16, (Id, usize)>>,
    chats: Mutex<HashMap<u16, Arc<ChatFolders>>>,
    blocks: Kept<(u16, u32, u64), Arc<[u8]>>,
    tell: Tell,
}

impl Mounted {
    /// Opens the vault and lists the snapshots of a selection. `tell` hears of what cannot be read, now and later.
    ///
    /// # Errors
    /// When no key fits, or the store fails.
    pub async fn open(session: &Session, among: &Selection, tell: Tell) -> Result<Self, OperationError> {
        let mut opened = session.open().await?;
        // A backup of this machine may end in the next minute, and a listing from before it would look like a loss.
        opened.repository.storage = opened.repository.storage.without_listing();
        let mounted = Self {
            opened,
            among: among.clone(),
            runtime: Handle::current(),
            began: Timestamp { seconds: jiff::Timestamp::now().as_second(), nanos: 0 },
            listing: Mutex::default(),
            open: Kept::new(OPEN_SNAPSHOTS),
            states: Mutex::default(),
            chats: Mutex::default(),
            blocks: Kept::new(KEPT_BLOCKS),
            tell,
        };
        let listing = mounted.list(Listing::default()).await?;
        *mounted.listing.lock().unwrap_or_else(PoisonError::into_inner) = listing;
        Ok(mounted)
    }

    /// How many snapshots are shown.
    pub fn snapshot_count(&self) -> usize {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner).snapshots.len()
    }

    async fn list(&self, mut listing: Listing) -> Result<Listing, OperationError> {
        // In the order of their names, which know milliseconds where `time` may not.
        let mut found: Vec<(jiff::Timestamp, Id)> = Vec::new();
        let each = |_, snapshot: crate::repository::format::snapshot::Snapshot| {
            if snapshot.complete && self.among.takes(&snapshot) {
                found.push((snapshot.time, snapshot.id));
            }
        };
        let listed = self.opened.repository.each_snapshot(&self.opened.identity()?.identities, each).await?;
        for error in &listed.broken {
            (self.tell)(&with_causes(error), true);
        }
        listing.snapshots.clear();
        for (time, id) in &found {
            let wanted = id.to_string();
            let known = listing.volumes.iter().position(|volume| volume.choice.wanted == wanted);
            let number = match known {
                Some(number) => number,
                None => {
                    let name = format!("{}_{}", time.strftime("%Y-%m-%dT%H-%M-%SZ"), wanted.get(..8).unwrap_or(&wanted));
                    // Two with the same digits in the same second are told apart by all of theirs.
                    let is_taken = listing.volumes.iter().any(|volume| volume.name == name);
                    let name = if is_taken { format!("{}_{wanted}", time.strftime("%Y-%m-%dT%H-%M-%SZ")) } else { name };
                    let choice = SnapshotChoice { wanted, among: Selection::default() };
                    listing.volumes.push(Listed { name, choice, time: Timestamp { seconds: time.as_second(), nanos: 0 } });
                    listing.volumes.len() - 1
                }
            };
            // There is room for 65,000; what comes after them is not shown.
            if let Some(number) = u16::try_from(number).ok().filter(|number| *number <= MAX_VOLUME) {
                listing.snapshots.push(number);
            }
        }
        if let Some((time, id)) = found.last()
            && listing.latest.is_none_or(|(known, _)| known != *id)
            && let Some(number) = u16::try_from(listing.volumes.len()).ok().filter(|number| *number <= MAX_VOLUME)
        {
            let choice = SnapshotChoice { wanted: "latest".to_owned(), among: self.among.clone() };
            let time = Timestamp { seconds: time.as_second(), nanos: 0 };
            listing.volumes.push(Listed { name: "latest".to_owned(), choice, time });
            listing.latest = Some((*id, number));
        } else if found.is_empty() {
            listing.latest = None;
        }
        listing.at = Some(Instant::now());
        Ok(listing)
    }

    /// Asks `what` of the list of snapshots, read again where it is old.
    fn listed<T>(&self, what: impl FnOnce(&Listing) -> T) -> T {
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if listing.at.is_none_or(|at| at.elapsed() > LISTED_FOR) {
            match self.runtime.block_on(self.list(listing.clone())) {
                Ok(new) => *listing = new,
                // What was listed before is still there when the store cannot be asked.
                Err(error) => {
                    (self.tell)(&with_causes(&error), error.is_damage());
                    listing.at = Some(Instant::now());
                }
            }
        }
        what(&listing)
    }

    fn volume(&self, number: u16) -> Result<Arc<Volume>, Refusal> {
        self.open.get(number, || {
            let listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
            let choice = listing.volumes.get(usize::from(number)).map(|listed| listed.choice.clone()).ok_or(Refusal::Missing)?;
            drop(listing);
            let opened = self.runtime.block_on(OpenSnapshot::open_in(&self.opened, &choice)).map_err(|error| self.failed("", &error))?;
            for what in opened.lost() {
                (self.tell)(what, true);
            }
            // `latest` may be another one by now, and numbers that were given out must not stand for something else.
            let state = (opened.snapshot().id, opened.tree().len());
            let first = *self.states.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(state);
            if first != state {
                return Err(Refusal::Missing);
            }
            Ok(Arc::new(Volume::new(number, opened)))
        })
    }

    fn failed(&self, what: &str, error: &OperationError) -> Refusal {
        let of = if what.is_empty() { String::new() } else { format!("'{what}': ") };
        (self.tell)(&format!("{of}{}", with_causes(error)), error.is_damage());
        Refusal::Failed
    }

    /// The folders of a snapshot's chats, which are remembered for as long as this is: their numbers were given out.
    fn chat_folders(&self, volume: &Volume, number: u16) -> Result<Arc<ChatFolders>, Refusal> {
        let folders = Arc::clone(self.chats.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default());
        folders.list(volume, &self.tell).map_err(|error| self.failed("", &error))?;
        Ok(folders)
    }

    /// What is known of a file or folder.
    ///
    /// # Errors
    /// Why not.
    pub fn attributes(&self, number: u64) -> Result<Attributes, Refusal> {
        let node = Node::of(number).ok_or(Refusal::Missing)?;
        match node {
            Node::Root | Node::Snapshots => Ok(Attributes::folder(number, 0o755, self.began)),
            Node::Volume(volume) => {
                let listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
                let listed = listing.volumes.get(usize::from(volume)).ok_or(Refusal::Missing)?;
                Ok(Attributes::folder(number, 0o755, listed.time))
            }
            Node::Stored(of) | Node::Chats(of) => Ok(self.volume(of)?.folder(node)),
            Node::Entry(of, _) | Node::Implied(of, ..) => self.volume(of)?.attributes(node),
            Node::OfChat(of, part) => {
                let volume = self.volume(of)?;
                self.chat_folders(&volume, of)?.attributes(&volume, of, part)
            }
        }
    }

    /// What a folder has under a name.
    ///
    /// # Errors
    /// Why not.
    pub fn find(&self, folder: u64, name: &[u8]) -> Result<Attributes, Refusal> {
        let node = Node::of(folder).ok_or(Refusal::Missing)?;
        let of_volume = |number: Option<u16>| self.attributes(Node::Volume(number.ok_or(Refusal::Missing)?).number());
        match node {
            Node::Root if name == b"snapshots" => self.attributes(Node::Snapshots.number()),
            Node::Root if name == b"latest" => of_volume(self.listed(|listing| listing.latest.map(|(_, number)| number))),
            Node::Root => Err(Refusal::Missing),
            Node::Snapshots => of_volume(self.listed(|listing| {
                let is_it = |number: &&u16| listing.volumes.get(usize::from(**number)).is_some_and(|listed| listed.name.as_bytes() == name);
                listing.snapshots.iter().find(is_it).copied()
            })),
            Node::Volume(of) => {
                let volume = self.volume(of)?;
                match (volume.has_chats, name) {
                    (false, _) => volume.find(node, name),
                    (true, b"chats") => Ok(volume.folder(Node::Chats(of))),
                    (true, b"stored") => Ok(volume.folder(Node::Stored(of))),
                    (true, _) => Err(Refusal::Missing),
                }
            }
            Node::Stored(of) | Node::Entry(of, _) | Node::Implied(of, ..) => self.volume(of)?.find(node, name),
            Node::Chats(of) => self.find_of_chats(of, 0, name),
            Node::OfChat(of, part) => self.find_of_chats(of, part, name),
        }
    }

    fn find_of_chats(&self, of: u16, part: u32, name: &[u8]) -> Result<Attributes, Refusal> {
        let volume = self.volume(of)?;
        let folders = self.chat_folders(&volume, of)?;
        let found = folders.find(&volume, part, name, &self.tell).map_err(|error| self.failed("", &error))?;
        folders.attributes(&volume, of, found?)
    }

    /// Hands what is in a folder to `each`, until it gives false; `from` is 0 at first, and else what `each` got with the last one
    /// that it took.
    ///
    /// # Errors
    /// Why not.
    pub fn children(&self, folder: u64, from: u64, each: &mut dyn FnMut(Child<'_>, u64) -> bool) -> Result<(), Refusal> {
        let node = Node::of(folder).ok_or(Refusal::Missing)?;
        let mut folders = |names: &[(String, u64)]| {
            let start = usize::try_from(from).unwrap_or(usize::MAX);
            for (index, (name, number)) in names.iter().enumerate().skip(start) {
                if !each(Child { name: name.as_bytes(), number: *number, form: Form::Folder }, index as u64 + 1) {
                    break;
                }
            }
        };
        match node {
            Node::Root => {
                let latest = self.listed(|listing| listing.latest);
                let latest = latest.map(|(_, number)| ("latest".to_owned(), Node::Volume(number).number()));
                let names: Vec<_> = std::iter::once(("snapshots".to_owned(), Node::Snapshots.number())).chain(latest).collect();
                folders(&names);
            }
            Node::Snapshots => {
                let names: Vec<_> = self.listed(|listing| {
                    let named = |number: &u16| {
                        let name = listing.volumes.get(usize::from(*number))?.name.clone();
                        Some((name, Node::Volume(*number).number()))
                    };
                    listing.snapshots.iter().filter_map(named).collect()
                });
                folders(&names);
            }
            Node::Volume(of) => {
                let volume = self.volume(of)?;
                if volume.has_chats {
                    folders(&[("chats".to_owned(), Node::Chats(of).number()), ("stored".to_owned(), Node::Stored(of).number())]);
                } else {
                    volume.children(node, from, each)?;
                }
            }
            Node::Stored(of) | Node::Entry(of, _) | Node::Implied(of, ..) => self.volume(of)?.children(node, from, each)?,
            Node::Chats(of) => self.children_of_chats(of, 0, from, each)?,
            Node::OfChat(of, part) => self.children_of_chats(of, part, from, each)?,
        }
        Ok(())
    }

    fn children_of_chats(&self, of: u16, part: u32, from: u64, each: &mut dyn FnMut(Child<'_>, u64) -> bool) -> Result<(), Refusal> {
        let volume = self.volume(of)?;
        let folders = self.chat_folders(&volume, of)?;
        folders.children(&volume, of, part, from, &self.tell, each).map_err(|error| self.failed("", &error))?
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// Why not.
    pub fn link(&self, number: u64) -> Result<Vec<u8>, Refusal> {
        match Node::of(number).ok_or(Refusal::Missing)? {
            node @ Node::Entry(of, _) => self.volume(of)?.link(node),
            _ => Err(Refusal::NotALink),
        }
    }

    /// Up to `count` bytes of a file from byte `from` on: fewer only at its end. age vouches for all of them, and files of up to
    /// 1 MiB are held against their SHA-256.
    ///
    /// # Errors
    /// Why not.
    pub fn read(&self, number: u64, from: u64, count: u32) -> Result<Vec<u8>, Refusal> {
        let (of, entry_number) = match Node::of(number).ok_or(Refusal::Missing)? {
            Node::Entry(of, entry) => (of, entry),
            Node::OfChat(of, part) => {
                let volume = self.volume(of)?;
                (of, self.chat_folders(&volume, of)?.entry(part)?)
            }
            _ => return Err(Refusal::IsAFolder),
        };
        let volume = self.volume(of)?;
        let (path, entry) = volume.file(entry_number)?;
        let opened = volume.chats().opened();
        // An older version is never given out under the right name.
        if volume.tree().is_unproven_entry(&entry) {
            let lost = OperationError::NoSuchPath { path: path.to_string(), snapshot: opened.snapshot().id.to_string() };
            return Err(self.failed("", &opened.missing(lost)));
        }
        let length = entry.stored_size();
        let end = from.saturating_add(count.into()).min(length);
        let mut bytes = Vec::with_capacity(end.saturating_sub(from) as usize);
        let mut at = from;
        while at < end {
            let block = at / BLOCK_BYTES;
            let start = block * BLOCK_BYTES;
            let content = self.blocks.get((of, entry_number, block), || {
                let mut content = Vec::with_capacity(BLOCK_BYTES.min(length - start) as usize);
                let read = if length <= BLOCK_BYTES {
                    opened.read(&path).map(|whole| content = whole)
                } else {
                    opened.read_range(&path, &entry, start, (start + BLOCK_BYTES).min(length), &mut |piece| {
                        content.extend_from_slice(piece);
                        Ok(())
                    })
                };
                read.map_err(|error| self.failed(&path.to_string(), &error))?;
                Ok(Arc::from(content))
            })?;
            let rest = content.get((at - start) as usize..).unwrap_or_default();
            let piece = rest.get(..usize::try_from(end - at).unwrap_or(usize::MAX)).unwrap_or(rest);
            if piece.is_empty() {
                return Err(self.failed(&path.to_string(), &OperationError::Content { path: path.to_string() }));
            }
            bytes.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        Ok(bytes)
    }
}
