//! The folders below the target: found and made one component at a time, and kept open while they are in use.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, mkdirat, statat};
use rustix::io::Errno;

use super::TargetError;
use crate::fs::{dir, limit, stat};
use crate::model::entry::EntryPath;

/// How many folders are kept open beside those that files in progress need.
const KEPT_OPEN: usize = 64;

/// So many of the folders above one that was looked for are kept open as well: its neighbours are looked for next.
const KEPT_ABOVE: usize = 32;

/// Which mounted file system something lies on; a rename works only within one.
pub(super) type Mount = (u64, u64);

/// A folder below the target that is open.
#[derive(Debug)]
pub(super) struct OpenFolder {
    pub(super) fd: OwnedFd,
    pub(super) mount: Mount,
}

impl OpenFolder {
    pub(super) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let mount = mount_of(&fd)?;
        Ok(Self { fd, mount })
    }
}

#[cfg(target_os = "linux")]
fn mount_of(folder: &OwnedFd) -> Result<Mount, Errno> {
    use rustix::fs::{StatxFlags, statx};
    let found = match statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID) {
        // A kernel before 4.11 or a sandbox without the call.
        Err(Errno::NOSYS | Errno::PERM) => return Ok((stat::id(&rustix::fs::fstat(folder)?).0, 0)),
        other => other?,
    };
    // The mount's number is 0 on kernels before 5.8.
    Ok(((u64::from(found.stx_dev_major) << 32) | u64::from(found.stx_dev_minor), found.stx_mnt_id))
}

#[cfg(not(target_os = "linux"))]
fn mount_of(folder: &OwnedFd) -> Result<Mount, Errno> {
    Ok((stat::id(&rustix::fs::fstat(folder)?).0, 0))
}

/// Finds, makes and keeps folders; shared by all threads of a restore.
#[derive(Debug)]
pub(super) struct Folders {
    root: Arc<OpenFolder>,
    kept_open: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By path.
    open: HashMap<Vec<u8>, (Arc<OpenFolder>, u64)>,
    uses: u64,
    /// Folders that this restore made.
    made: HashSet<EntryPath>,
}

impl Folders {
    pub(super) fn new(root: Arc<OpenFolder>) -> Self {
        Self { root, kept_open: limit::descriptors(KEPT_OPEN), state: Mutex::default() }
    }

    pub(super) fn root(&self) -> &Arc<OpenFolder> {
        &self.root
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder that `path` lies in, made with mode 0700 where it is missing.
    pub(super) fn parent(&self, path: &EntryPath, make: bool) -> Result<Arc<OpenFolder>, TargetError> {
        match path.parent() {
            Some(parent) => self.get(&parent, make),
            None => Ok(Arc::clone(&self.root)),
        }
    }

    /// The folder at `path`.
    pub(super) fn get(&self, path: &EntryPath, make: bool) -> Result<Arc<OpenFolder>, TargetError> {
        let (mut folder, known) = self.nearest(path);
        let bytes = path.as_bytes();
        let mut start = known;
        while start < bytes.len() {
            let rest = bytes.get(start..).unwrap_or_default();
            let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let name = rest.get(..length).unwrap_or_default();
            let end = start + length;
            let here = || bytes.get(..end).and_then(|bytes| EntryPath::new(bytes).ok()).unwrap_or_else(|| path.clone());
            let fd = match dir::open_folder(&folder.fd, name) {
                Err(Errno::NOENT) if make => {
                    self.make(&folder, name, &here())?;
                    dir::open_folder(&folder.fd, name)
                }
                other => other,
            };
            folder = match fd.and_then(OpenFolder::new) {
                Ok(opened) => Arc::new(opened),
                Err(error) => return Err(refused(&folder, name, &here(), error)),
            };
            start = end + 1;
            let left = bytes.get(start..).map_or(0, |rest| rest.iter().filter(|&&byte| byte == b'/').count() + 1);
            if start < bytes.len() && left <= KEPT_ABOVE.min(self.kept_open / 2) {
                self.keep(&here(), &folder);
            }
        }
        self.keep(path, &folder);
        Ok(folder)
    }

    /// The deepest folder on the way to `path` that is open, and where in `path` the rest begins.
    fn nearest(&self, path: &EntryPath) -> (Arc<OpenFolder>, usize) {
        let mut state = self.state();
        state.uses += 1;
        let uses = state.uses;
        let mut at = Some(path.as_bytes());
        while let Some(path) = at {
            if let Some((folder, used)) = state.open.get_mut(path) {
                *used = uses;
                return (Arc::clone(folder), path.len() + 1);
            }
            at = path.iter().rposition(|&byte| byte == b'/').and_then(|cut| path.get(..cut));
        }
        (Arc::clone(&self.root), 0)
    }

    fn keep(&self, path: &EntryPath, folder: &Arc<OpenFolder>) {
        let mut state = self.state();
        if state.open.contains_key(path.as_bytes()) {
            return;
        }
        if state.open.len() >= self.kept_open {
            let oldest = state.open.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            if let Some(oldest) = oldest {
                state.open.remove(&oldest);
            }
        }
        let uses = state.uses;
        state.open.insert(path.as_bytes().to_vec(), (Arc::clone(folder), uses));
    }

    /// Makes the folder `name`; that another thread was faster is no error.
    pub(super) fn make(&self, parent: &OpenFolder, name: &[u8], path: &EntryPath) -> Result<(), TargetError> {
        match mkdirat(&parent.fd, name, Mode::RWXU) {
            Ok(()) => {
                self.state().made.insert(path.clone());
                Ok(())
            }
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(TargetError::system(path, "create the folder", error)),
        }
    }

    /// Whether this restore made the folder at `path`.
    pub(super) fn is_made(&self, path: &EntryPath) -> bool {
        self.state().made.contains(path)
    }

    /// Closes what is open at `path` and below, because it is about to be replaced.
    pub(super) fn forget(&self, path: &EntryPath) {
        let mut state = self.state();
        let is_at_or_below =
            |other: &Vec<u8>| other.strip_prefix(path.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        state.open.retain(|other, _| !is_at_or_below(other));
        state.made.remove(path);
    }
}

/// What stands at `name`, without following a link; `None` for nothing.
pub(super) fn look(folder: &OpenFolder, name: impl rustix::path::Arg) -> Result<Option<rustix::fs::Stat>, Errno> {
    match statat(&folder.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says why `name` could not be opened as a folder.
fn refused(folder: &OpenFolder, name: &[u8], path: &EntryPath, error: Errno) -> TargetError {
    if let Errno::NOTDIR | Errno::LOOP = error
        && let Ok(Some(found)) = look(folder, name)
        && stat::file_type(&found) != FileType::Directory
    {
        return TargetError::InTheWay { path: path.clone(), found: stat::kind_name(stat::file_type(&found)) };
    }
    TargetError::system(path, "open the folder", error)
}

/// A name for the system calls.
pub(super) fn c_name(name: &[u8]) -> std::ffi::CString {
    // An entry path has no NUL byte.
    std::ffi::CString::new(name).unwrap_or_default()
}

/// As [`look`], for a path whose folder is known.
pub(super) fn look_at(folder: &OpenFolder, name: &CStr, path: &EntryPath) -> Result<Option<rustix::fs::Stat>, TargetError> {
    look(folder, name).map_err(|error| TargetError::system(path, "look at", error))
}
