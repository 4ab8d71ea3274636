//! Extended attributes: which ones a backup keeps, reading and setting them.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

use super::dir;
use crate::model::entry::Xattr;

/// Linux' own limits, `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`.
const LIST_MAX: usize = 64 * 1024;
const VALUE_MAX: usize = 64 * 1024;

/// The most bytes of attributes that are kept of one file, names included.
pub(crate) const TOTAL_MAX: usize = 1024 * 1024;

/// Whether an attribute belongs to the file rather than to the machine it lies on.
///
/// `user.*` is the user's own, access control lists and file capabilities are permissions; `security.selinux`, `trusted.*` and
/// the like say something about this system only.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") || is_acl(name) || is_capability(name)
}

/// Whether the attribute is a POSIX access control list.
pub(crate) fn is_acl(name: &[u8]) -> bool {
    matches!(name, b"system.posix_acl_access" | b"system.posix_acl_default")
}

/// Whether the attribute gives a program capabilities.
pub(crate) fn is_capability(name: &[u8]) -> bool {
    name == b"security.capability"
}

/// Why the attributes of a file could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum XattrError {
    #[error("its extended attributes are larger than {TOTAL_MAX} bytes and were not kept")]
    TooLarge,
    #[error("its extended attributes could not be read: {0}")]
    System(#[from] Errno),
}

/// Reads attributes of files in open folders, with buffers of its own.
#[derive(Debug)]
pub(crate) struct XattrReader {
    /// `/proc/self/fd` leads from a descriptor to a name in one call, without opening the file.
    proc: bool,
    list: Vec<u8>,
    value: Vec<u8>,
}

impl XattrReader {
    /// A reader; looks once whether `/proc` is there.
    pub(crate) fn new() -> Self {
        let proc = cfg!(target_os = "linux") && std::path::Path::new("/proc/self/fd").is_dir();
        Self { proc, list: vec![0; LIST_MAX], value: vec![0; VALUE_MAX] }
    }

    /// The kept attributes of `name` in `folder`, sorted by name; `name` is a regular file or a folder.
    pub(crate) fn read(&mut self, folder: BorrowedFd<'_>, name: &CStr) -> Result<Vec<Xattr>, XattrError> {
        if self.proc {
            let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
            path.extend_from_slice(name.to_bytes());
            let path = std::ffi::CString::new(path).unwrap_or_default();
            self.read_with(|list| llistxattr(path.as_c_str(), list), |attribute, value| lgetxattr(path.as_c_str(), attribute, value))
        } else {
            let file = dir::open_file(folder, name)?;
            self.read_open(&file)
        }
    }

    /// The kept attributes of an open file or folder, sorted by name.
    pub(crate) fn read_open(&mut self, file: &OwnedFd) -> Result<Vec<Xattr>, XattrError> {
        self.read_with(|list| flistxattr(file, list), |attribute, value| fgetxattr(file, attribute, value))
    }

    fn read_with(
        &mut self,
        list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
        get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
    ) -> Result<Vec<Xattr>, XattrError> {
        let length = match list(&mut self.list) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut kept = Vec::new();
        let mut total = 0;
        for name in self.list.get(..length).unwrap_or_default().split(|&byte| byte == 0).filter(|name| is_kept(name)) {
            match get(name, &mut self.value) {
                Ok(length) => {
                    total += name.len() + length;
                    if total > TOTAL_MAX {
                        return Err(XattrError::TooLarge);
                    }
                    let value = self.value.get(..length).unwrap_or_default().to_vec();
                    kept.push(Xattr { name: name.to_vec(), value });
                }
                // Removed since the list was read.
                Err(Errno::NODATA) => {}
                Err(error) => return Err(error.into()),
            }
        }
        kept.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(kept)
    }
}

/// Sets one attribute of an open file.
pub(crate) fn set(file: impl AsFd, attribute: &Xattr) -> Result<(), Errno> {
    fsetxattr(file, attribute.name.as_slice(), &attribute.value, XattrFlags::empty())
}
