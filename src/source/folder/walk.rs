//! Listing a folder: depth first, bytewise by name, a folder before what is in it.

use rustix::fs::{AtFlags, FileType, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::FolderSource;
use super::content::{FileContent, Ignored};
use crate::fs::manner::Manner;
use crate::fs::xattr::XattrReader;
use crate::fs::{dir, limit, stat};
use crate::model::entry::{EntryPath, Kind, PathError, Stamp, Timestamp};
use crate::model::harmless::printable;
use crate::source::{Content, Item, Problem, Sink, SourceError, Stopped};

/// How many folders on the way down stay open; those above are found again through `..` and checked.
const OPEN_FOLDERS: usize = 32;

/// How often a listing waits for a tick of the file system's clock to pass, at most: one second in all.
const MAX_WAITS: u32 = 50;

/// How often a folder that changes while it is listed is read again.
const MAX_READINGS: u32 = 3;

/// The beginning of a `CACHEDIR.TAG`, from <https://bford.info/cachedir/>.
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
const CACHE_TAG: &CStr = c"CACHEDIR.TAG";

/// A folder that is being listed.
struct Level {
    /// `None` when it was closed for the sake of the ones below.
    folder: Option<OwnedFd>,
    id: stat::FileId,
    /// `None` for the root.
    path: Option<EntryPath>,
    /// All names that were found so far, sorted in each reading.
    names: Vec<Box<CStr>>,
    /// How many of them are listed.
    done: usize,
    /// When the folder had changed last before it was read.
    changed: (Timestamp, Timestamp),
    readings: u32,
}

impl Level {
    fn new(folder: OwnedFd, found: &Stat, path: Option<EntryPath>, names: Vec<Box<CStr>>) -> Self {
        let changed = (stat::mtime(found), stat::ctime(found));
        Self { folder: Some(folder), id: stat::id(found), path, names, done: 0, changed, readings: 1 }
    }
}

/// The first name of a file that has more.
struct FirstName {
    path: EntryPath,
    /// How many names are still to come.
    left: u64,
    /// What the file looked like: two files that merely share a number differ in it.
    looks: (u64, Timestamp, Timestamp),
}

/// One listing of a [`FolderSource`].
pub(super) struct Walk<'a> {
    source: &'a FolderSource,
    sink: &'a mut dyn Sink,
    levels: Vec<Level>,
    links: HashMap<stat::FileId, FirstName>,
    /// Of each device that was met.
    manners: HashMap<u64, Numbers>,
    xattrs: XattrReader,
    open_folders: usize,
    waits: u32,
    /// What was handed over so far.
    has_folders: bool,
    has_files: bool,
}

/// How a file system numbers its files.
#[derive(Clone, Copy)]
struct Numbers {
    manner: Manner,
    /// Looked at twice in a row, a file had two numbers.
    change: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(source: &'a FolderSource, sink: &'a mut dyn Sink) -> Self {
        let (links, manners) = (HashMap::new(), HashMap::new());
        let open_folders = limit::descriptors(OPEN_FOLDERS);
        Self {
            source,
            sink,
            levels: Vec::new(),
            links,
            manners,
            xattrs: XattrReader::new(),
            open_folders,
            waits: 0,
            has_folders: false,
            has_files: false,
        }
    }

    /// Lists everything.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let unreadable = |source: io::Error| SourceError::Unreadable { what: self.source.name.clone(), source };
        let root = dir::open_folder(&self.source.root, c".").map_err(|error| unreadable(error.into()))?;
        let found = fstat(&root).map_err(|error| unreadable(error.into()))?;
        // Half of a root would look like the deletion of the other half.
        let (names, failed) = dir::read_sorted(&root);
        if let Some(error) = failed {
            return Err(unreadable(error));
        }
        let names = self.without_cached(&root, names);
        self.note_top(&root, &found);
        self.levels.push(Level::new(root, &found, None, names));

        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.get(level.done).cloned() else {
                if !self.read_again() {
                    self.leave()?;
                }
                continue;
            };
            level.done += 1;
            let path = match &level.path {
                Some(parent) => parent.join(name.to_bytes()),
                None => EntryPath::new(name.to_bytes()),
            };
            match path {
                Ok(path) => self.entry(&name, path)?,
                Err(error) => self.unnameable(&error),
            }
        }
        for pattern in self.source.options.filter.unmatched() {
            let hint = if pattern.contains('\\') { "; a backslash takes the next character as it is, and '/' divides folders" } else { "" };
            self.sink.note(&format!("nothing matches the pattern '{}': it left nothing out{hint}", printable(pattern)));
        }
        if self.has_folders && !self.has_files && self.source.has_left_out() {
            self.sink.note("the exclude options leave no files, only folders");
        }
        Ok(())
    }

    /// Notes what the folder itself looks like.
    fn note_top(&mut self, root: &OwnedFd, found: &Stat) {
        let mut top = stat::metadata(found);
        // Where they cannot be read, the folder comes back without them.
        top.xattrs = self.xattrs.read_open(root).unwrap_or_default();
        self.source.note_top(top);
    }

    /// Looks for names that came while the deepest folder was listed: what was moved within it is not to be missed. Says whether
    /// there are any.
    fn read_again(&mut self) -> bool {
        let Some(level) = self.levels.last_mut() else { return false };
        let Some(folder) = &level.folder else { return false };
        let Ok(now) = fstat(folder) else { return false };
        let changed = (stat::mtime(&now), stat::ctime(&now));
        if changed == level.changed || level.readings >= MAX_READINGS {
            return false;
        }
        (level.changed, level.readings) = (changed, level.readings + 1);
        // A failure was reported when it was read first; half of its names are as good as none here.
        let (names, _) = dir::read_sorted(folder);
        let known: HashSet<&Box<CStr>> = level.names.iter().collect();
        let new: Vec<Box<CStr>> = names.iter().filter(|name| !known.contains(name)).cloned().collect();
        let is_cache = self.source.options.exclude_caches && has_cache_signature(folder).unwrap_or(false);
        if is_cache || new.is_empty() {
            return false;
        }
        level.names.extend(new);
        true
    }

    /// Lists one entry of the deepest open folder and, when it is a folder, opens it.
    fn entry(&mut self, name: &CStr, path: EntryPath) -> Result<(), SourceError> {
        if self.source.options.filter.excludes(&path) {
            self.source.note_left_out();
            return Ok(());
        }
        let Some(level) = self.levels.last() else { return Ok(()) };
        let Some(folder) = &level.folder else { return Ok(()) };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let found = match statat(folder, name, flags) {
            Ok(found) => found,
            Err(Errno::NOENT) => {
                self.sink.vanished(&path);
                return Ok(());
            }
            Err(error) => {
                self.problem(path, "cannot be looked at", error);
                return Ok(());
            }
        };
        if self.source.options.one_file_system && stat::id(&found).0 != self.source.id.0 && stat::file_type(&found) != FileType::Directory {
            return Ok(());
        }
        match stat::file_type(&found) {
            FileType::Directory => self.folder(name, path, found),
            FileType::RegularFile => self.file(name, path, found),
            FileType::Symlink => self.symlink(name, path, found),
            other => {
                self.sink.skipped(&path, &format!("a {} is not backed up", stat::kind_name(other)));
                Ok(())
            }
        }
    }

    fn folder(&mut self, name: &CStr, path: EntryPath, found: Stat) -> Result<(), SourceError> {
        let options = &self.source.options;
        if options.never.contains(&stat::id(&found)) {
            return Ok(());
        }
        let Some(parent) = self.levels.last().and_then(|level| level.folder.as_ref()) else { return Ok(()) };
        let opened = match dir::open_folder(parent, name) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => {
                self.sink.vanished(&path);
                return Ok(());
            }
            Err(error) => {
                self.item(name, path.clone(), Kind::Dir, &found)?;
                self.problem(path, "cannot be opened", error);
                return Ok(());
            }
        };
        let found = match fstat(&opened) {
            Ok(found) => found,
            Err(error) => {
                self.problem(path, "cannot be looked at", error);
                return Ok(());
            }
        };
        let id = stat::id(&found);
        if options.never.contains(&id) {
            return Ok(());
        }
        self.item(name, path.clone(), Kind::Dir, &found)?;
        if options.one_file_system && id.0 != self.source.id.0 {
            return Ok(());
        }
        let (names, failed) = dir::read_sorted(&opened);
        if let Some(error) = failed {
            self.problem(path.clone(), "cannot be read to its end", error);
        }
        let names = self.without_cached(&opened, names);
        if let Some(above) = self.levels.len().checked_sub(self.open_folders).and_then(|at| self.levels.get_mut(at)) {
            above.folder = None;
        }
        self.levels.push(Level::new(opened, &found, Some(path), names));
        Ok(())
    }

    fn file(&mut self, name: &CStr, path: EntryPath, found: Stat) -> Result<(), SourceError> {
        if self.source.options.exclude_larger_than.is_some_and(|limit| stat::size(&found) > limit) {
            self.source.note_left_out();
            return Ok(());
        }
        let Some(folder) = self.levels.last().and_then(|level| level.folder.as_ref()) else { return Ok(()) };
        let numbers = numbers(&mut self.manners, self.sink, folder, name, &found);
        let mut kind = Kind::File;
        if found.st_nlink > 1 && !numbers.change {
            let (id, looks) = (stat::id(&found), (stat::size(&found), stat::mtime(&found), stat::ctime(&found)));
            match self.links.get_mut(&id).filter(|first| first.looks == looks || numbers.manner.durable_inodes) {
                Some(first) => {
                    kind = Kind::Hardlink { target: first.path.clone() };
                    first.left = first.left.saturating_sub(1);
                    if first.left == 0 {
                        self.links.remove(&id);
                    }
                }
                None => {
                    #[allow(clippy::unnecessary_cast, reason = "the width of the field differs between platforms")]
                    let left = found.st_nlink as u64 - 1;
                    self.links.insert(id, FirstName { path: path.clone(), left, looks });
                }
            }
        }
        self.item(name, path, kind, &found)?;
        Ok(())
    }

    fn symlink(&mut self, name: &CStr, path: EntryPath, found: Stat) -> Result<(), SourceError> {
        let Some(folder) = self.levels.last().and_then(|level| level.folder.as_ref()) else { return Ok(()) };
        match readlinkat(folder, name, Vec::new()) {
            Ok(target) => Ok(self.item(name, path, Kind::Symlink { target: target.into_bytes() }, &found)?),
            Err(Errno::NOENT) => {
                self.sink.vanished(&path);
                Ok(())
            }
            Err(error) => {
                self.problem(path, "cannot be read", error);
                Ok(())
            }
        }
    }

    /// Hands one item over.
    fn item(&mut self, name: &CStr, path: EntryPath, kind: Kind, found: &Stat) -> Result<(), Stopped> {
        let Some(folder) = self.levels.last().and_then(|level| level.folder.as_ref()) else { return Ok(()) };
        let mut found = *found;
        let is_folder = matches!(kind, Kind::Dir);
        self.has_folders |= is_folder;
        self.has_files |= !is_folder;
        let is_file = matches!(kind, Kind::File | Kind::Hardlink { .. });
        let numbers = self.manners.get(&stat::id(&found).0).copied().filter(|_| is_file);
        let numbers = numbers.unwrap_or(Numbers { manner: Manner::DISK, change: false });
        let (manner, tick) = (numbers.manner, numbers.manner.tick);
        // Who makes up lengths may have content where it says that there is none.
        let mut settled = manner.true_sizes || stat::size(&found) > 0 || !is_file;
        if is_file && settled && is_fresh(&found, tick) {
            settled = self.waits < MAX_WAITS && tick <= Manner::DISK.tick;
            if settled {
                self.waits += 1;
                std::thread::sleep(tick);
                match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
                    Ok(again) if stat::id(&again) == stat::id(&found) && stat::file_type(&again) == FileType::RegularFile => {
                        settled = !is_fresh(&again, tick);
                        found = again;
                    }
                    // Replaced or deleted meanwhile: opening it will tell.
                    _ => settled = false,
                }
            }
        }
        let mut meta = stat::metadata(&found);
        if !matches!(kind, Kind::Symlink { .. }) {
            match self.xattrs.read(folder.as_fd(), name) {
                Ok(xattrs) => meta.xattrs = xattrs,
                Err(error) => self.sink.skipped(&path, &error.to_string()),
            }
        }
        let options = &self.source.options;
        let ignored = Ignored { inode: options.ignore_inode || numbers.change, ctime: options.ignore_ctime };
        let content = is_file.then(|| {
            let content = FileContent::new(Arc::clone(&self.source.root), path.clone(), &found, ignored);
            Arc::new(content) as Arc<dyn Content>
        });
        let mut stamp = stat::stamp(&found);
        if ignored.inode || !manner.durable_inodes {
            stamp.inode = Stamp::ANY_INODE;
        }
        if ignored.ctime {
            stamp.ctime = Stamp::ANY_TIME;
        }
        self.sink.item(Item {
            path,
            kind,
            meta,
            size: if is_file { stat::size(&found) } else { 0 },
            sparse: is_file && stat::is_sparse(&found),
            stamp: settled.then_some(stamp),
            content,
            mark: 0,
        })
    }

    /// Goes back up to the folder above, which may have to be opened again.
    fn leave(&mut self) -> Result<(), SourceError> {
        let Some(left) = self.levels.pop() else { return Ok(()) };
        let Some(above) = self.levels.last_mut() else { return Ok(()) };
        if above.folder.is_some() {
            return Ok(());
        }
        let is_above = |folder: &OwnedFd| fstat(folder).is_ok_and(|found| stat::id(&found) == above.id);
        // Where numbers change, the way from the top is the only one that is sure to lead there.
        let change = self.manners.get(&above.id.0).is_some_and(|numbers| numbers.change);
        let through_child = left.folder.and_then(|folder| dir::open_folder(&folder, c"..").ok()).filter(is_above);
        let reopened = match through_child {
            Some(folder) => Ok(folder),
            // Something was moved: look for the folder where it was.
            None => dir::open_folder_beneath(&self.source.root, above.path.iter().flat_map(EntryPath::components)),
        };
        let why = match reopened {
            Ok(folder) if change || is_above(&folder) => {
                above.folder = Some(folder);
                return Ok(());
            }
            Ok(_) => Errno::STALE,
            Err(error) => error,
        };
        above.done = above.names.len();
        above.readings = MAX_READINGS;
        match above.path.clone() {
            Some(path) => self.problem(path, "was moved while it was listed", why),
            None => return Err(SourceError::Unreadable { what: self.source.name.clone(), source: why.into() }),
        }
        Ok(())
    }

    /// Of a cache's names, the tag only.
    fn without_cached(&self, folder: &OwnedFd, names: Vec<Box<CStr>>) -> Vec<Box<CStr>> {
        let tagged = self.source.options.exclude_caches
            && names.binary_search_by(|name| (**name).cmp(CACHE_TAG)).is_ok()
            && has_cache_signature(folder).unwrap_or(false);
        if tagged { names.into_iter().filter(|name| **name == *CACHE_TAG).collect() } else { names }
    }

    /// Reports an entry of the deepest open folder whose path is longer than a backup takes.
    fn unnameable(&mut self, error: &PathError) {
        // At the root no name can be too long: the system's limit is 255 bytes.
        if let Some(path) = self.levels.last().and_then(|level| level.path.clone()) {
            self.sink.problem(Problem { path, what: format!("something in it cannot be backed up: {error}") });
        }
    }

    fn problem(&mut self, path: EntryPath, what: &str, error: impl Into<io::Error>) {
        self.sink.problem(Problem { path, what: format!("{what}: {}", error.into()) });
    }
}

/// How the file system numbers the file `name` in `folder`; said once when its numbers are of no use.
fn numbers(known: &mut HashMap<u64, Numbers>, sink: &mut dyn Sink, folder: &OwnedFd, name: &CStr, found: &Stat) -> Numbers {
    let device = stat::id(found).0;
    if let Some(numbers) = known.get(&device) {
        return *numbers;
    }
    let again = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT);
    let looks = |stat: &Stat| (stat::size(stat), stat::mtime(stat), stat::ctime(stat));
    let change = again.is_ok_and(|again| stat::id(&again) != stat::id(found) && looks(&again) == looks(found));
    let numbers = Numbers { manner: Manner::of(folder), change };
    if change && !known.values().any(|numbers| numbers.change) {
        sink.note("this file system gives its files other inode numbers each time: length and times alone tell what changed");
    }
    known.insert(device, numbers);
    numbers
}

fn has_cache_signature(folder: &OwnedFd) -> io::Result<bool> {
    let tag = dir::open_file(folder, CACHE_TAG)?;
    if stat::file_type(&fstat(&tag)?) != FileType::RegularFile {
        return Ok(false);
    }
    let mut start = Vec::with_capacity(CACHE_SIGNATURE.len());
    std::fs::File::from(tag).take(CACHE_SIGNATURE.len() as u64).read_to_end(&mut start)?;
    Ok(start == CACHE_SIGNATURE)
}

/// Whether the file changed so lately that a further change could carry the same time.
///
/// A time in the future comes from another machine's clock, about which waiting says nothing.
fn is_fresh(found: &Stat, tick: Duration) -> bool {
    let Ok(now) = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) else { return false };
    let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
    let Timestamp { seconds, nanos } = stat::ctime(found);
    let age = now - (i128::from(seconds) * 1_000_000_000 + i128::from(nanos));
    (0..tick.as_nanos() as i128).contains(&age)
}
