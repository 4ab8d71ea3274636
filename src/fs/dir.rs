//! Opening folders and files below a descriptor, never through a symbolic link.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the folder that the user named; here alone a symbolic link is followed, because the user asked for what it leads to.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens the folder `name` in `parent`.
pub(crate) fn open_folder(parent: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(parent, name, FOLDER, Mode::empty())
}

/// Opens the folder that `components` lead to from `root`; only one descriptor is held at a time.
pub(crate) fn open_folder_beneath<'a>(root: impl AsFd, components: impl IntoIterator<Item = &'a [u8]>) -> Result<OwnedFd, Errno> {
    let mut folder = open_folder(root, c".")?;
    for component in components {
        folder = open_folder(&folder, component)?;
    }
    Ok(folder)
}

/// Opens the regular file `name` in `parent` for reading, without a change to its access time where the system lets us.
///
/// `O_NONBLOCK` keeps the call from hanging when a named pipe has taken the file's place; the caller checks what it got.
pub(crate) fn open_file(parent: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    match openat(parent.as_fd(), name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner may leave the access time alone.
        Err(Errno::PERM) => {}
        other => return other,
    }
    openat(parent, name, flags, Mode::empty())
}

/// A folder's entries in bytewise order, without `.` and `..`.
///
/// When the folder cannot be read to its end, what was read so far comes with the error.
pub(crate) fn read_sorted(folder: impl AsFd) -> (Vec<Box<CStr>>, Option<io::Error>) {
    let mut names = Vec::new();
    let mut failed = None;
    // A duplicate: to open the folder once more, it would have to be searchable, not only readable.
    let duplicate = folder.as_fd().try_clone_to_owned().and_then(|folder| Ok(rustix::fs::Dir::new(folder)?));
    match duplicate {
        Err(error) => failed = Some(error),
        Ok(mut dir) => {
            dir.rewind();
            while let Some(entry) = dir.read() {
                match entry {
                    Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                    Ok(entry) => names.push(entry.file_name().into()),
                    Err(error) => {
                        failed = Some(error.into());
                        break;
                    }
                }
            }
        }
    }
    names.sort_unstable();
    (names, failed)
}
