//! The target folder and everything that is made in it but the content of files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{
    AtFlags, FileType, Mode, RenameFlags, fchmod, fstat, fsync, linkat, readlinkat, renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::commit::{Committer, Failure, Temporary, sync_all};
use super::direct::Buffers;
use super::folders::{Folders, OpenFolder, c_name, look, look_at};
use super::staging::Staging;
use super::{FileWriter, TargetError};
use crate::fs::{dir, limit, stat};
use crate::model::entry::{EntryPath, Kind, Metadata, Timestamp};

/// So few changed folders are synced one by one, and otherwise the file system as a whole.
const FEW_FOLDERS: usize = 8;

/// What to do with entries that exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Replace them.
    Always,
    /// Replace files whose size or time differs, and links that lead elsewhere.
    IfChanged,
    /// Keep them.
    Never,
}

/// How to restore.
#[derive(Clone, Copy, Debug)]
pub struct TargetOptions {
    /// Waits for the disk before a file gets its final name; without it only a crash of the program, not of the machine, is
    /// survived whole.
    pub sync: bool,
}

impl Default for TargetOptions {
    fn default() -> Self {
        Self { sync: true }
    }
}

/// What a finished restore did.
#[derive(Debug, Default)]
pub struct Restored {
    /// Files that have their final names.
    pub files: u64,
    /// Files, hard links and folders that failed after they had been accepted.
    pub failures: Vec<Failure>,
    /// Further names of files that became copies, because hard links cannot be made here.
    pub copies: u64,
    /// Owners that could not be set although the program runs as the superuser.
    pub owners_refused: u64,
    /// Extended attributes that could not be set, or are of a kind that is not restored.
    pub xattrs_refused: u64,
}

/// A file that stands in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAt {
    /// Which file it is: two names with the same are one file.
    pub id: (u64, u64),
    /// Whether it has the size and time that were asked for.
    pub fits: bool,
}

/// A folder that a restore writes into; several threads may use it at once.
pub struct TargetFolder {
    shared: Arc<Shared>,
}

/// What the threads of one restore share.
pub(super) struct Shared {
    /// The target as the user named it, for messages.
    path: PathBuf,
    pub(super) overwrite: Overwrite,
    pub(super) options: TargetOptions,
    pub(super) committer: Committer,
    pub(super) staging: Staging,
    pub(super) attributes: Attributes,
    pub(super) buffers: Buffers,
    folders: Folders,
    last: Mutex<Last>,
    /// The target's mode, where it was made accessible for the time of the restore.
    root_mode: Option<Mode>,
    /// Where the root's own name must be synced, when it is new.
    above: Option<PathBuf>,
}

/// What is done at the end.
#[derive(Default)]
struct Last {
    /// Folders get their attributes when nothing more is written into them.
    folders: BTreeMap<EntryPath, Metadata>,
    /// Folders that were made accessible for the time of the restore, with the mode they had.
    opened_up: BTreeMap<EntryPath, Mode>,
    /// Attributes of the target itself.
    top: Option<Metadata>,
    /// Hard links, once the files they share have their names.
    links: Vec<(EntryPath, EntryPath)>,
    /// The folders whose entries changed (`None`: the root), as long as they are few.
    touched: BTreeSet<Option<EntryPath>>,
}

impl Shared {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: impl Into<io::Error>) -> TargetError {
        TargetError::Root { path: self.path.clone(), source: source.into() }
    }

    /// Notes that the folder of `path` changed.
    pub(super) fn touched(&self, path: &EntryPath) {
        let mut last = self.last();
        if last.touched.len() <= FEW_FOLDERS {
            last.touched.insert(path.parent());
        }
    }
}

impl TargetFolder {
    /// At most `wanted` threads may write here at the same time, so that the files that they have open are not too many.
    pub fn threads(&self, wanted: usize) -> usize {
        limit::threads(wanted)
    }

    /// Opens the folder at `path`, made with mode 0700 where it is missing; only here a symbolic link is followed, because it
    /// is what the user named. Remains of restores that died are removed.
    ///
    /// # Errors
    /// When there can be no folder at `path`, or it cannot be written to.
    pub fn open(path: &Path, overwrite: Overwrite, options: TargetOptions) -> Result<Self, TargetError> {
        let failed = |source: io::Error| TargetError::Root { path: path.to_owned(), source };
        let is_new = !path.exists();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let root = dir::open_root(path).map_err(failed)?;
        let root_mode = open_up_root(&root).map_err(|error| failed(error.into()))?;
        let root = Arc::new(OpenFolder::new(root).map_err(|error| failed(error.into()))?);
        let staging = Staging::new(&root).map_err(failed)?;
        let shared = Shared {
            path: path.to_owned(),
            overwrite,
            options,
            committer: Committer::start(overwrite, options.sync).map_err(failed)?,
            staging,
            attributes: Attributes::new(),
            buffers: Buffers::default(),
            folders: Folders::new(root),
            last: Mutex::default(),
            root_mode,
            above: is_new.then(|| std::path::absolute(path).ok()?.parent().map(Path::to_owned)).flatten(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether an entry should be restored, as far as what exists already and the choice of [`Overwrite`] say.
    ///
    /// For folders this is always so: they are reused and get their attributes, unless existing entries are kept.
    ///
    /// # Errors
    /// When a link or file stands where a folder on the way must be, or the place cannot be looked at.
    pub fn wants(&self, path: &EntryPath, kind: &Kind, size: u64, mtime: Timestamp) -> Result<bool, TargetError> {
        let folders = &self.shared.folders;
        let parent = match folders.parent(path, false) {
            Ok(parent) => parent,
            Err(TargetError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        let name = c_name(path.file_name());
        let Some(found) = look_at(&parent, &name, path)? else { return Ok(true) };
        let found_type = stat::file_type(&found);
        match self.shared.overwrite {
            Overwrite::Always => Ok(true),
            Overwrite::Never => Ok(*kind == Kind::Dir && found_type == FileType::Directory),
            Overwrite::IfChanged => Ok(match kind {
                Kind::File => found_type != FileType::RegularFile || stat::size(&found) != size || !same_time(stat::mtime(&found), mtime),
                Kind::Dir => true,
                Kind::Symlink { target } => {
                    found_type != FileType::Symlink
                        || !readlinkat(&parent.fd, &*name, Vec::new()).is_ok_and(|link| link.as_bytes() == target.as_slice())
                }
                Kind::Hardlink { target } => {
                    let first = folders.parent(target, false).ok();
                    let first = first.and_then(|folder| look(&folder, target.file_name()).ok().flatten());
                    first.is_none_or(|first| stat::id(&first) != stat::id(&found))
                }
            }),
        }
    }

    /// What file stands at `path`, and whether it has this size and time; `None` where there is none.
    ///
    /// # Errors
    /// When a link or file stands where a folder on the way must be, or the place cannot be looked at.
    pub fn file_at(&self, path: &EntryPath, size: u64, mtime: Timestamp) -> Result<Option<FileAt>, TargetError> {
        let parent = match self.shared.folders.parent(path, false) {
            Ok(parent) => parent,
            Err(TargetError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = look_at(&parent, &c_name(path.file_name()), path)?.filter(|found| stat::file_type(found) == FileType::RegularFile);
        let fits = |found: &_| stat::size(found) == size && same_time(stat::mtime(found), mtime);
        Ok(found.map(|found| FileAt { id: stat::id(&found), fits: fits(&found) }))
    }

    /// Whether this restore made the target.
    pub fn is_new(&self) -> bool {
        self.shared.above.is_some()
    }

    /// The names in the target itself, but for what belongs to restores.
    pub fn names(&self) -> Vec<Vec<u8>> {
        let (names, _) = dir::read_sorted(&self.shared.folders.root().fd);
        names.iter().map(|name| name.to_bytes().to_vec()).filter(|name| !super::staging::is_staging_name(name)).collect()
    }

    /// Whether the target's file system takes two names of one folder for the same, as those do that fold upper and lower case.
    pub fn falls_together(&self, one: &[u8], other: &[u8]) -> bool {
        self.shared.staging.falls_together(one, other)
    }

    /// Gives the target itself attributes, at the end.
    pub fn top(&self, meta: &Metadata) {
        self.shared.last().top = Some(meta.clone());
    }

    /// Makes the folder at `path`, or takes the one that is there; its attributes are set at the end.
    ///
    /// # Errors
    /// When something else stands there (with [`Overwrite::Always`] a file or link is replaced by the folder), or on the way.
    pub fn dir(&self, path: &EntryPath, meta: &Metadata) -> Result<(), TargetError> {
        let folders = &self.shared.folders;
        let parent = folders.parent(path, true)?;
        let name = c_name(path.file_name());
        let mut found = look_at(&parent, &name, path)?;
        if let Some(other) = found
            && stat::file_type(&other) != FileType::Directory
        {
            if self.shared.overwrite != Overwrite::Always {
                return Err(TargetError::InTheWay { path: path.clone(), found: stat::kind_name(stat::file_type(&other)) });
            }
            unlinkat(&parent.fd, &*name, AtFlags::empty()).map_err(|error| TargetError::system(path, "replace", error))?;
            found = None;
        }
        if let Some(existing) = found {
            if !folders.is_made(path) {
                if self.shared.overwrite == Overwrite::Never {
                    return Ok(());
                }
                self.open_up(path, &parent, &name, &existing)?;
            }
        } else {
            folders.make(&parent, path.file_name(), path)?;
            self.shared.touched(path);
        }
        self.shared.last().folders.insert(path.clone(), meta.clone());
        Ok(())
    }

    /// Lets the owner write into an existing folder until the end of the restore.
    fn open_up(&self, path: &EntryPath, parent: &OpenFolder, name: &std::ffi::CStr, found: &rustix::fs::Stat) -> Result<(), TargetError> {
        let mode = Mode::from_raw_mode(found.st_mode);
        if mode.contains(Mode::RWXU) || found.st_uid != rustix::process::geteuid().as_raw() || !mode.contains(Mode::RUSR) {
            return Ok(());
        }
        let failed = |error: Errno| TargetError::system(path, "open the folder", error);
        let folder = dir::open_folder(&parent.fd, name).map_err(failed)?;
        fchmod(&folder, mode | Mode::RWXU).map_err(failed)?;
        self.shared.last().opened_up.insert(path.clone(), mode);
        Ok(())
    }

    /// Begins the file at `path`, whose content will have exactly `size` bytes; with `sparse` stretches of zeros become holes.
    ///
    /// # Errors
    /// When a folder or, on the way, anything but a folder is in the way, when existing entries are kept and there is one, or
    /// when the file cannot be created.
    pub fn file(&self, path: &EntryPath, meta: &Metadata, size: u64, sparse: bool) -> Result<FileWriter, TargetError> {
        let parent = self.make_room(path)?;
        FileWriter::create(&self.shared, parent, path, meta, Some(size), sparse)
    }

    /// As [`TargetFolder::file`], for a content whose length nobody knows before its end.
    ///
    /// # Errors
    /// As [`TargetFolder::file`].
    pub fn open_ended(&self, path: &EntryPath, meta: &Metadata) -> Result<FileWriter, TargetError> {
        let parent = self.make_room(path)?;
        FileWriter::create(&self.shared, parent, path, meta, None, false)
    }

    /// Makes the symbolic link at `path`; what it leads to is never looked at.
    ///
    /// # Errors
    /// As [`TargetFolder::file`].
    pub fn symlink(&self, path: &EntryPath, target: &[u8], meta: &Metadata) -> Result<(), TargetError> {
        let parent = self.make_room(path)?;
        let failed = |error: Errno| TargetError::system(path, "create the symbolic link", error);
        let place = self.shared.staging.place(&parent);
        symlinkat(target, &place.0.fd, &*place.1).map_err(failed)?;
        let mut temporary = Temporary::new(place);
        self.shared.attributes.apply_to_link(&temporary.folder.fd, &temporary.name, meta).map_err(failed)?;
        rename(&mut temporary, &parent, path, self.shared.overwrite)?;
        self.shared.touched(path);
        Ok(())
    }

    /// Notes that `path` shall be a further name of the restored file `target`; the link is made in [`TargetFolder::finish`],
    /// when that file has its own name.
    ///
    /// # Errors
    /// As [`TargetFolder::file`].
    pub fn hardlink(&self, path: &EntryPath, target: &EntryPath) -> Result<(), TargetError> {
        self.make_room(path)?;
        self.shared.last().links.push((path.clone(), target.clone()));
        Ok(())
    }

    /// Gives an entry that was kept the attributes in `meta`.
    ///
    /// # Errors
    /// When it is not there any more as `kind`, or the system refuses.
    pub fn attributes(&self, path: &EntryPath, kind: &Kind, meta: &Metadata) -> Result<(), TargetError> {
        let failed = |error: Errno| TargetError::system(path, "set the attributes of", error);
        let parent = self.shared.folders.parent(path, false)?;
        let name = c_name(path.file_name());
        let found = look_at(&parent, &name, path)?.ok_or_else(|| failed(Errno::NOENT))?;
        let in_the_way = |found| TargetError::InTheWay { path: path.clone(), found: stat::kind_name(stat::file_type(&found)) };
        match (kind, stat::file_type(&found)) {
            (Kind::Dir, FileType::Directory) => self.dir(path, meta),
            (Kind::Symlink { .. }, FileType::Symlink) => self.shared.attributes.apply_to_link(&parent.fd, &name, meta).map_err(failed),
            (Kind::File | Kind::Hardlink { .. }, FileType::RegularFile) => {
                let file = dir::open_file(&parent.fd, &*name).map_err(failed)?;
                let opened = fstat(&file).map_err(failed)?;
                if stat::file_type(&opened) != FileType::RegularFile {
                    return Err(in_the_way(opened));
                }
                self.shared.attributes.apply(&file, meta, false, false).map_err(failed)
            }
            _ => Err(in_the_way(found)),
        }
    }

    /// Removes the file, link or empty folder at `path`; that nothing is there is no error.
    ///
    /// # Errors
    /// When existing entries are kept, a folder is not empty, or the system refuses.
    pub fn remove(&self, path: &EntryPath) -> Result<(), TargetError> {
        let parent = match self.shared.folders.parent(path, false) {
            Ok(parent) => parent,
            Err(TargetError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let name = c_name(path.file_name());
        let Some(found) = look_at(&parent, &name, path)? else { return Ok(()) };
        if self.shared.overwrite == Overwrite::Never {
            return Err(TargetError::Exists { path: path.clone() });
        }
        self.shared.touched(path);
        if stat::file_type(&found) == FileType::Directory {
            self.remove_empty(path, &parent, &name)
        } else {
            unlinkat(&parent.fd, &*name, AtFlags::empty()).map_err(|error| TargetError::system(path, "remove", error))
        }
    }

    fn remove_empty(&self, path: &EntryPath, parent: &OpenFolder, name: &std::ffi::CStr) -> Result<(), TargetError> {
        match unlinkat(&parent.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                self.shared.folders.forget(path);
                let mut last = self.shared.last();
                last.folders.remove(path);
                last.opened_up.remove(path);
                Ok(())
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) => Err(TargetError::InTheWay { path: path.clone(), found: "folder with entries" }),
            Err(error) => Err(TargetError::system(path, "remove", error)),
        }
    }

    /// The folder that `path` lies in, when something that is no folder may be put at `path`.
    fn make_room(&self, path: &EntryPath) -> Result<Arc<OpenFolder>, TargetError> {
        let parent = self.shared.folders.parent(path, true)?;
        let name = c_name(path.file_name());
        let Some(found) = look_at(&parent, &name, path)? else { return Ok(parent) };
        let is_folder = stat::file_type(&found) == FileType::Directory;
        match self.shared.overwrite {
            Overwrite::Never => return Err(TargetError::Exists { path: path.clone() }),
            Overwrite::Always if is_folder => self.remove_empty(path, &parent, &name)?,
            _ if is_folder => return Err(TargetError::InTheWay { path: path.clone(), found: "folder" }),
            _ => {}
        }
        Ok(parent)
    }

    /// Brings what is left to the disk and under its name, makes the hard links and sets the folders' attributes, deepest first.
    ///
    /// # Errors
    /// When the folder as a whole failed; what failed by itself is in [`Restored::failures`].
    pub fn finish(self) -> Result<Restored, TargetError> {
        let shared = &self.shared;
        let ended = || shared.failed(io::Error::other("the thread that commits files has failed"));
        let committed = shared.committer.finish().ok_or_else(ended)?;
        let mut failures = committed.failures;
        let failed: BTreeSet<EntryPath> = failures.iter().map(|failure| failure.path.clone()).collect();
        let last = std::mem::take(&mut *shared.last());
        let mut copies = 0;
        for (path, target) in &last.links {
            let linked = match failed.contains(target) {
                true => Err(TargetError::LinkTarget { path: path.clone(), target: target.clone() }),
                false => self.link(path, target),
            };
            match linked {
                Ok(is_copy) => copies += u64::from(is_copy),
                Err(error) => failures.push(Failure { path: path.clone(), bytes: 0, error }),
            }
            shared.touched(path);
        }
        let mut folders: Vec<(&EntryPath, Option<&Metadata>)> = last.folders.iter().map(|(path, meta)| (path, Some(meta))).collect();
        folders.extend(last.opened_up.keys().filter(|path| !last.folders.contains_key(path)).map(|path| (path, None)));
        folders.sort_by_cached_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, meta) in folders {
            let done = shared.folders.get(path, false).and_then(|folder| {
                let set = match (meta, last.opened_up.get(path)) {
                    (Some(meta), _) => shared.attributes.apply(&folder.fd, meta, shared.folders.is_made(path), true),
                    (None, Some(mode)) => fchmod(&folder.fd, *mode),
                    (None, None) => Ok(()),
                };
                set.map_err(|error| TargetError::system(path, "set the attributes of", error))
            });
            if let Err(error) = done {
                failures.push(Failure { path: path.clone(), bytes: 0, error });
            }
        }
        // Its removal changes the time of the target.
        shared.staging.end();
        let root = &shared.folders.root().fd;
        match (&last.top, shared.root_mode) {
            (Some(top), _) => shared.attributes.apply(root, top, false, true),
            (None, Some(mode)) => fchmod(root, mode),
            (None, None) => Ok(()),
        }
        .map_err(|error| shared.failed(error))?;
        if shared.options.sync {
            let touched = shared.last().touched.iter().chain(&last.touched).cloned().collect();
            self.sync_folders(&touched, last.folders.len())?;
        }
        Ok(Restored {
            files: committed.files,
            failures,
            copies,
            owners_refused: shared.attributes.owners_refused.load(Ordering::Relaxed),
            xattrs_refused: shared.attributes.xattrs_refused.load(Ordering::Relaxed),
        })
    }

    /// Brings the names to the disk.
    fn sync_folders(&self, touched: &BTreeSet<Option<EntryPath>>, changed: usize) -> Result<(), TargetError> {
        let folders = &self.shared.folders;
        let root = folders.root();
        let one_by_one = || -> Result<(), TargetError> {
            let failed = |error: io::Error| self.shared.failed(error);
            for path in touched.iter().flatten() {
                let folder = folders.get(path, false)?;
                fsync(&folder.fd).map_err(|error| failed(error.into()))?;
            }
            fsync(&root.fd).map_err(|error| failed(error.into()))?;
            if let Some(above) = &self.shared.above {
                fsync(dir::open_root(above).map_err(failed)?).map_err(|error| failed(error.into()))?;
            }
            Ok(())
        };
        if touched.len() <= FEW_FOLDERS && changed <= FEW_FOLDERS && one_by_one().is_ok() {
            return Ok(());
        }
        sync_all(std::iter::once(root)).map_err(|error| self.shared.failed(error))
    }

    /// Makes one hard link, or a copy where there can be none, and says whether it did; both ends are found below the root without
    /// following links.
    fn link(&self, path: &EntryPath, target: &EntryPath) -> Result<bool, TargetError> {
        let folders = &self.shared.folders;
        let refused = || TargetError::LinkTarget { path: path.clone(), target: target.clone() };
        let failed = |error: Errno| TargetError::system(path, "create the hard link", error);
        let first = folders.parent(target, false)?;
        let first_name = c_name(target.file_name());
        let found = look_at(&first, &first_name, target)?.ok_or_else(refused)?;
        if stat::file_type(&found) != FileType::RegularFile {
            return Err(refused());
        }
        let parent = folders.parent(path, true)?;
        let place = self.shared.staging.place(&first);
        match linkat(&first.fd, &*first_name, &place.0.fd, &*place.1, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK | Errno::XDEV) => {
                return self.copy(path, parent, &first, &first_name).map(|()| true);
            }
            Err(error) => return Err(failed(error)),
        }
        let mut temporary = Temporary::new(place);
        rename(&mut temporary, &parent, path, self.shared.overwrite)?;
        // Renaming one name of a file onto another name of the same file does nothing, and leaves both.
        temporary.is_renamed = false;
        Ok(false)
    }

    /// Makes a copy of the file `name` in `folder`, with its attributes.
    fn copy(&self, path: &EntryPath, parent: Arc<OpenFolder>, folder: &OpenFolder, name: &std::ffi::CStr) -> Result<(), TargetError> {
        let failed = |error: Errno| TargetError::system(path, "copy", error);
        let from = dir::open_file(&folder.fd, name).map_err(failed)?;
        let found = fstat(&from).map_err(failed)?;
        let meta = Metadata { xattrs: self.shared.attributes.xattrs(&from), ..stat::metadata(&found) };
        let mut writer = FileWriter::create(&self.shared, parent, path, &meta, Some(stat::size(&found)), stat::is_sparse(&found))?;
        io::copy(&mut std::fs::File::from(from), &mut writer).map_err(|error| TargetError::from_write(path, error))?;
        writer.commit_now()
    }
}

/// Lets the owner write into the target; gives the mode that it had, if it had to be changed.
fn open_up_root(root: &std::os::fd::OwnedFd) -> Result<Option<Mode>, Errno> {
    let found = fstat(root)?;
    let mode = Mode::from_raw_mode(found.st_mode);
    if mode.contains(Mode::RWXU) || found.st_uid != rustix::process::geteuid().as_raw() || found.st_uid == 0 {
        return Ok(None);
    }
    fchmod(root, mode | Mode::RWXU)?;
    Ok(Some(mode))
}

/// Gives a temporary its final name.
pub(super) fn rename(temporary: &mut Temporary, parent: &OpenFolder, path: &EntryPath, overwrite: Overwrite) -> Result<(), TargetError> {
    let (from, old) = (&temporary.folder.fd, &*temporary.name);
    let (to, new) = (&parent.fd, &*c_name(path.file_name()));
    let done = if overwrite == Overwrite::Never {
        match renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
            // A file system without this kind of rename: a look before it must do.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match look_at(parent, new, path)? {
                Some(_) => Err(Errno::EXIST),
                None => renameat(from, old, to, new),
            },
            other => other,
        }
    } else {
        renameat(from, old, to, new)
    };
    match done {
        Ok(()) => {
            temporary.is_renamed = true;
            Ok(())
        }
        Err(Errno::EXIST) if overwrite == Overwrite::Never => Err(TargetError::Exists { path: path.clone() }),
        Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => Err(TargetError::InTheWay { path: path.clone(), found: "folder" }),
        Err(error) => Err(TargetError::system(path, "rename", error)),
    }
}

/// Whether two times are the same as far as the file system can tell: some keep whole seconds only.
fn same_time(found: Timestamp, wanted: Timestamp) -> bool {
    found.seconds == wanted.seconds && (found.nanos == wanted.nanos || found.nanos == 0)
}
