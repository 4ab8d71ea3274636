//! Where files are while they are being written: one private folder at the top of the target.
//!
//! One folder rather than a temporary name beside each file, so that what a killed restore leaves behind is found and removed by
//! the next one without a walk through everything, and so that nothing unfinished inherits access from the folders it goes to.
//! Below another mount point, where a rename out of that folder is impossible, temporaries lie beside the final name.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, flock, fremovexattr, fstat, mkdirat, statat, unlinkat};

use super::folders::OpenFolder;
use crate::fs::{dir, stat};

/// Begins the name of a staging folder; 32 hexadecimal digits follow.
const FOLDER_PREFIX: &str = ".tgvault-restore-";
/// Begins the name of a temporary.
const FILE_PREFIX: &str = ".tgvault-";

/// The staging folder of one restore; removed when dropped.
#[derive(Debug)]
pub(super) struct Staging {
    root: Arc<OpenFolder>,
    /// Holds the lock that tells a living restore from a dead one.
    folder: Arc<OpenFolder>,
    name: String,
    run: String,
    next: AtomicU64,
}

impl Staging {
    /// Makes the folder, after removing those of restores that died.
    pub(super) fn new(root: &Arc<OpenFolder>) -> io::Result<Self> {
        remove_dead(root);
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let run = format!("{:032x}", u128::from_le_bytes(random));
        let name = format!("{FOLDER_PREFIX}{run}");
        mkdirat(&root.fd, name.as_str(), Mode::RWXU)?;
        let fd = dir::open_folder(&root.fd, name.as_str())?;
        // Without locks (some network file systems) nobody removes what others leave behind, which is safe.
        let _ = flock(&fd, FlockOperation::NonBlockingLockExclusive);
        // A default access list of the target must not reach the files made here.
        let _ = fremovexattr(&fd, c"system.posix_acl_default");
        let folder = Arc::new(OpenFolder::new(fd)?);
        Ok(Self { root: Arc::clone(root), folder, name, run, next: AtomicU64::new(0) })
    }

    /// The folder for a temporary that will be renamed into `parent`, and a name that is free in it.
    pub(super) fn place(&self, parent: &Arc<OpenFolder>) -> (Arc<OpenFolder>, CString) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = super::folders::c_name(format!("{FILE_PREFIX}{}-{number}", self.run).as_bytes());
        let folder = if parent.mount == self.folder.mount { &self.folder } else { parent };
        (Arc::clone(folder), name)
    }
}

impl Staging {
    /// Removes the folder, when nothing more is written.
    pub(super) fn end(&self) {
        let _ = unlinkat(&self.root.fd, self.name.as_str(), AtFlags::REMOVEDIR);
    }

    /// Whether the file system takes two names of one folder for the same.
    pub(super) fn falls_together(&self, one: &[u8], other: &[u8]) -> bool {
        let probe = format!("{FILE_PREFIX}{}-{}", self.run, self.next.fetch_add(1, Ordering::Relaxed));
        if mkdirat(&self.folder.fd, probe.as_str(), Mode::RWXU).is_err() {
            return false;
        }
        let found = dir::open_folder(&self.folder.fd, probe.as_str()).is_ok_and(|folder| {
            let made = mkdirat(&folder, one, Mode::RWXU).is_ok();
            let found = made && statat(&folder, other, AtFlags::SYMLINK_NOFOLLOW).is_ok();
            let _ = unlinkat(&folder, one, AtFlags::REMOVEDIR);
            found
        });
        let _ = unlinkat(&self.folder.fd, probe.as_str(), AtFlags::REMOVEDIR);
        found
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Every temporary removes itself; what a failing disk left makes this fail, and the next restore tries again.
        self.end();
    }
}

pub(super) fn is_staging_name(name: &[u8]) -> bool {
    name.strip_prefix(FOLDER_PREFIX.as_bytes())
        .is_some_and(|rest| rest.len() == 32 && rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// Removes the staging folders of restores that died; whatever cannot be removed stays.
fn remove_dead(root: &OpenFolder) {
    let (names, _) = dir::read_sorted(&root.fd);
    for name in names.iter().filter(|name| is_staging_name(name.to_bytes())) {
        let Ok(folder) = dir::open_folder(&root.fd, &**name) else { continue };
        if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() || !is_ours(&folder) {
            continue;
        }
        let still_there = statat(&root.fd, &**name, AtFlags::SYMLINK_NOFOLLOW).map(|found| stat::id(&found));
        if still_there.ok() != fstat(&folder).map(|found| stat::id(&found)).ok() {
            continue;
        }
        let (files, _) = dir::read_sorted(&folder);
        for file in files.iter().filter(|file| file.to_bytes().starts_with(FILE_PREFIX.as_bytes())) {
            let _ = unlinkat(&folder, &**file, AtFlags::empty());
        }
        let _ = unlinkat(&root.fd, &**name, AtFlags::REMOVEDIR);
    }
}

fn is_ours(folder: &OwnedFd) -> bool {
    fstat(folder).is_ok_and(|found| found.st_uid == rustix::process::geteuid().as_raw())
}
