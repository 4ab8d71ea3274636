//! One object on its way to the disk: invisible until it is whole and synced, then made visible without overwriting.
//!
//! The best way is a file that has no name until it is linked (`O_TMPFILE`): whatever happens, nothing is left behind.
//! Where the system has none of that, a file with a hidden name is renamed without replacing; without such a rename it is
//! linked; and on a file system with neither (exFAT sticks) existence is checked and the file renamed, which leaves a
//! moment for two writers of the same name to overtake each other.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::folder;

/// What unfinished files are called; names of objects cannot begin with a dot.
const PARTIAL_PREFIX: &str = ".tgvault-partial-";

/// Reads and writes past the page cache have addresses, places and lengths that are multiples of this.
pub(super) const ALIGNMENT: usize = 4096;

/// Smaller reads and writes go through the page cache.
pub(super) const DIRECT_FROM: usize = 1024 * 1024;

/// What the file system under a store can do; what fails once is not tried again.
#[derive(Debug)]
pub(super) struct Features {
    /// Found out at the first write, in the folder that is written to.
    unnamed: OnceLock<bool>,
    rename_no_replace: AtomicBool,
    hard_links: AtomicBool,
}

impl Features {
    /// Whatever the file system turns out to be able to do.
    pub(super) fn all() -> Self {
        Self { unnamed: OnceLock::new(), rename_no_replace: AtomicBool::new(true), hard_links: AtomicBool::new(true) }
    }

    /// Without unnamed files, and with these at most; for tests.
    #[cfg(test)]
    pub(super) fn named(rename_no_replace: bool, hard_links: bool) -> Self {
        Self {
            unnamed: OnceLock::from(false),
            rename_no_replace: AtomicBool::new(rename_no_replace),
            hard_links: AtomicBool::new(hard_links),
        }
    }

    fn unnamed(&self, folder: &Path) -> bool {
        *self.unnamed.get_or_init(|| links_unnamed_files(folder).unwrap_or(false))
    }
}

/// Tries whether an unnamed file can be made and then named: some file systems do the one without the other, and naming
/// goes through /proc, which a chroot or container may lack.
fn links_unnamed_files(folder: &Path) -> io::Result<bool> {
    let probe = Partial::create_unnamed(folder)?;
    let name = hidden_name(folder)?;
    rustix::fs::linkat(CWD, descriptor_path(&probe.file), CWD, &name, AtFlags::SYMLINK_FOLLOW)?;
    std::fs::remove_file(&name)?;
    Ok(true)
}

/// A file that is not an object yet. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    /// The same file, written past the page cache; found out at the first large write.
    direct: OnceLock<Option<File>>,
    /// Where it stands under its hidden name, if it needs one.
    path: Option<PathBuf>,
}

impl Partial {
    /// Makes an empty file in `folder`.
    pub(super) fn create(folder: &Path, features: &Features) -> io::Result<Self> {
        if features.unnamed(folder) {
            return Self::create_unnamed(folder);
        }
        remove_stale(folder)?;
        let path = hidden_name(folder)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))?);
        let partial = Self { file, direct: OnceLock::new(), path: Some(path) };
        // Held for as long as the file is open: it tells a file in work from one that a dead process left.
        match rustix::fs::flock(&partial.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOLCK) => Ok(partial),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(target_os = "linux")]
    fn create_unnamed(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o600))?);
        Ok(Self { file, direct: OnceLock::new(), path: None })
    }

    #[cfg(not(target_os = "linux"))]
    fn create_unnamed(_folder: &Path) -> io::Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Writes all of `bytes` at `offset`: what is large goes past the page cache where memory, place and file system allow,
    /// because it is written once and not read back, and the copy would cost as much as encrypting it.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let is_aligned = bytes.as_ptr().align_offset(ALIGNMENT) == 0 && offset.is_multiple_of(ALIGNMENT as u64);
        let whole = bytes.len() / ALIGNMENT * ALIGNMENT;
        let (whole, rest) = bytes.split_at(if is_aligned && bytes.len() >= DIRECT_FROM { whole } else { 0 });
        if let (false, Some(direct)) = (whole.is_empty(), self.direct()) {
            match direct.write_all_at(whole, offset) {
                Ok(()) => return self.file.write_all_at(rest, offset + whole.len() as u64),
                // A file system that took the flag but not the write, or wants a larger alignment.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        self.file.write_all_at(bytes, offset)
    }

    fn direct(&self) -> Option<&File> {
        let open = || {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::DIRECT;
            rustix::fs::open(descriptor_path(&self.file), flags, Mode::empty()).ok().map(File::from)
        };
        self.direct.get_or_init(open).as_ref()
    }

    /// Fails unless the file has just this length.
    pub(super) fn check_len(&self, len_bytes: u64) -> io::Result<()> {
        let written = self.file.metadata()?.len();
        if written == len_bytes {
            Ok(())
        } else {
            Err(io::Error::new(ErrorKind::InvalidData, format!("{written} bytes were written instead of {len_bytes}")))
        }
    }

    /// Brings the bytes to the disk, makes them visible at `path`, and brings the folder to the disk.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; nothing is overwritten then.
    pub(super) fn commit(&self, path: &Path, features: &Features) -> io::Result<()> {
        self.file.sync_all()?;
        match &self.path {
            None => rustix::fs::linkat(CWD, descriptor_path(&self.file), CWD, path, AtFlags::SYMLINK_FOLLOW)?,
            Some(hidden) => reveal(hidden, path, features)?,
        }
        match path.parent() {
            Some(parent) => folder::sync(parent),
            None => Ok(()),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // After a rename there is nothing left to remove.
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(super) fn descriptor_path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn hidden_name(folder: &Path) -> io::Result<PathBuf> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    Ok(folder.join(format!("{PARTIAL_PREFIX}{random:016x}")))
}

/// Gives the hidden file its name, by the safest way that the file system knows.
fn reveal(hidden: &Path, path: &Path, features: &Features) -> io::Result<()> {
    if features.rename_no_replace.load(Ordering::Relaxed) {
        match rustix::fs::renameat_with(CWD, hidden, CWD, path, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => features.rename_no_replace.store(false, Ordering::Relaxed),
            other => return other.map_err(io::Error::from),
        }
    }
    if features.hard_links.load(Ordering::Relaxed) {
        match rustix::fs::link(hidden, path) {
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP | Errno::MLINK) => features.hard_links.store(false, Ordering::Relaxed),
            other => return other.map_err(io::Error::from),
        }
    }
    match path.symlink_metadata() {
        Ok(_) => Err(ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => std::fs::rename(hidden, path),
        Err(error) => Err(error),
    }
}

/// Removes what killed processes left in `folder`: hidden files that nobody holds open.
fn remove_stale(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if !is_partial(&entry.file_name()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(entry.path(), flags, Mode::empty()) else { continue };
        if is_old(&file) && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            tracing::info!(file = %entry.path().display(), "removing an unfinished object that an interrupted run left");
            // Losing a race for it against another process is as good.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn is_partial(name: &OsStr) -> bool {
    name.as_bytes().starts_with(PARTIAL_PREFIX.as_bytes())
}

/// Between making a hidden file and locking it there is a moment, and over network shares locks may not reach other
/// machines: what was touched within the last day is left alone.
fn is_old(file: &impl std::os::fd::AsFd) -> bool {
    const DAY_S: i64 = 24 * 60 * 60;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    rustix::fs::fstat(file).is_ok_and(|stat| now.saturating_sub(stat.st_mtime) > DAY_S)
}
