//! Setting owner, attributes, mode and time, in the order in which one does not undo the other.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, Gid, Mode, RawMode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, fremovexattr, fstat, futimens,
    utimensat,
};
use rustix::io::Errno;

use crate::fs::stat;
use crate::fs::xattr::{self, XattrReader};
use crate::model::entry::{Metadata, Timestamp, Xattr};

/// Sets attributes and counts what could not be set.
#[derive(Debug)]
pub(super) struct Attributes {
    /// Whether owners are set: only the superuser may give files away.
    privileged: bool,
    /// Owners that the system refused to set although we are the superuser (user namespaces, some file systems).
    pub(super) owners_refused: AtomicU64,
    /// Extended attributes that were not set.
    pub(super) xattrs_refused: AtomicU64,
    reader: Mutex<XattrReader>,
}

impl Attributes {
    pub(super) fn new() -> Self {
        Self {
            privileged: rustix::process::geteuid().is_root(),
            owners_refused: AtomicU64::new(0),
            xattrs_refused: AtomicU64::new(0),
            reader: Mutex::new(XattrReader::new()),
        }
    }

    /// The extended attributes of an open file that a backup would keep.
    pub(super) fn xattrs(&self, file: &OwnedFd) -> Vec<Xattr> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).read_open(file).unwrap_or_default()
    }

    /// Gives an open file or folder the attributes in `meta`; what is as it should be is not touched.
    pub(super) fn apply(&self, file: &OwnedFd, meta: &Metadata, is_new: bool, is_folder: bool) -> Result<(), Errno> {
        if !is_new {
            let (found, xattrs) = (fstat(file)?, self.xattrs(file));
            if self.fits(&found, meta) && xattrs == meta.xattrs {
                return Ok(());
            }
            for other in xattrs.iter().filter(|found| !meta.xattrs.iter().any(|wanted| wanted.name == found.name)) {
                if fremovexattr(file, other.name.as_slice()).is_err() {
                    self.xattrs_refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        let owned = self.chown(|uid, gid| fchown(file, Some(uid), Some(gid)), meta);
        if is_new && is_folder {
            // What a folder above gave it unasked.
            for name in [c"system.posix_acl_access", c"system.posix_acl_default"] {
                // Most have none; where lists are unknown there is nothing to remove.
                let _ = fremovexattr(file, name);
            }
        }
        for attribute in &meta.xattrs {
            // A capability is as good as the owner's rights, so it needs the owner; changing the owner would drop it.
            let allowed = xattr::is_kept(&attribute.name) && (owned || !xattr::is_capability(&attribute.name));
            if !allowed || xattr::set(file, attribute).is_err() {
                self.xattrs_refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        fchmod(file, mode_of(meta, owned || is_owner(file, meta)))?;
        futimens(file, &times(meta.mtime))
    }

    /// Whether mode, owner and time are already those in `meta`, as far as this process could set them.
    fn fits(&self, found: &Stat, meta: &Metadata) -> bool {
        let is = stat::metadata(found);
        let is_owned = (is.uid, is.gid) == (meta.uid, meta.gid);
        let mode = meta.mode & if is_owned { 0o7777 } else { 0o1777 };
        is.mode == mode && is.mtime == meta.mtime && (is_owned || !self.privileged)
    }

    /// Gives the symbolic link `name` in `folder` owner and time; it has nothing else.
    pub(super) fn apply_to_link(&self, folder: impl AsFd, name: &std::ffi::CStr, meta: &Metadata) -> Result<(), Errno> {
        let folder = folder.as_fd();
        self.chown(|uid, gid| chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW), meta);
        match utimensat(folder, name, &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW) {
            // Some file systems keep no times of links.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => other,
        }
    }

    /// Whether the owner was set.
    fn chown(&self, set: impl Fn(Uid, Gid) -> Result<(), Errno>, meta: &Metadata) -> bool {
        // The highest number means "leave as it is" to the system.
        if !self.privileged || meta.uid == u32::MAX || meta.gid == u32::MAX {
            return false;
        }
        let done = set(Uid::from_raw(meta.uid), Gid::from_raw(meta.gid)).is_ok();
        if !done {
            self.owners_refused.fetch_add(1, Ordering::Relaxed);
        }
        done
    }
}

/// Whether the file belongs to the owner in `meta` anyway; asked only where it matters.
fn is_owner(file: &OwnedFd, meta: &Metadata) -> bool {
    meta.mode & 0o6000 != 0 && fstat(file).is_ok_and(|found| found.st_uid == meta.uid && found.st_gid == meta.gid)
}

/// The mode to set: without its owner, a set-user-id program would lend another user's rights.
fn mode_of(meta: &Metadata, owned: bool) -> Mode {
    let bits = meta.mode & if owned { 0o7777 } else { 0o1777 };
    Mode::from_raw_mode(bits as RawMode)
}

fn times(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.min(999_999_999).into() },
    }
}
