//! Folders: made with the disk in mind, synced, walked without losing anything.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::storage::backend::{ObjectInfo, name_fault};

/// Deeper than any layout of ours; more is a loop of symbolic links.
const DEPTH_LIMIT: usize = 16;

/// The folders below the root that are known to be on the disk.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// Entries of these survive a power cut: this process has synced the folder above each.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, durable: Mutex::default() }
    }

    /// Makes `folder` and what is missing between it and the root, and syncs each folder above.
    ///
    /// The root itself is never made here: behind an absent root there is most often a disk that is not mounted, and the
    /// backup would land below the empty mount point.
    pub(super) fn make(&self, folder: &Path) -> io::Result<()> {
        if folder == self.root {
            return if folder.is_dir() { Ok(()) } else { Err(ErrorKind::NotFound.into()) };
        }
        if self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(folder) && folder.is_dir() {
            return Ok(());
        }
        let parent = folder.parent().ok_or(ErrorKind::NotFound)?;
        self.make(parent)?;
        make_private(folder)?;
        // Also when another process made it a moment ago: it may not have got to the sync yet.
        sync(parent)?;
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
        Ok(())
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Removes a folder and those in it as far as they are empty.
pub(super) fn remove_empty(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
        }
    }
    match std::fs::remove_dir(folder) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other,
    }
}

/// Makes the root and all that is missing above it.
pub(super) fn make_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_root(parent)?;
        make_private(root)?;
        sync(parent)
    } else {
        make_private(root)?;
        sync(Path::new("."))
    }
}

/// Brings a folder's entries to the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network and FUSE file systems cannot sync a folder; there is nothing better to do there.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

/// Every object below `folder`, whose name is `name`. What no store of ours would name is left out; a link to a folder is
/// followed, since people move `archives` to another disk.
pub(super) fn walk(folder: &Path, name: &str) -> io::Result<Vec<ObjectInfo>> {
    let mut found = Vec::new();
    match walk_into(folder, name, 0, &mut found) {
        Err(error) if error.kind() == ErrorKind::NotFound && folder.symlink_metadata().is_err() => Ok(Vec::new()),
        other => other.map(|()| found),
    }
}

fn walk_into(folder: &Path, name: &str, depth: usize, found: &mut Vec<ObjectInfo>) -> io::Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("folders too deep at '{}': a loop of links?", folder.display())));
    }
    for entry in folder.read_dir()? {
        let entry = entry?;
        let Some(child) = entry.file_name().to_str().map(|last| if name.is_empty() { last.to_owned() } else { format!("{name}/{last}") })
        else {
            continue;
        };
        if name_fault(&child).is_some() {
            continue;
        }
        let path = entry.path();
        let metadata = match path.symlink_metadata() {
            // Deleted between the two calls.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        let leads_to_folder = metadata.is_symlink() && path.metadata()?.is_dir();
        if metadata.is_dir() || leads_to_folder {
            walk_into(&path, &child, depth + 1, found)?;
        } else if metadata.is_file() {
            found.push(object_info(child, &metadata)?);
        }
    }
    Ok(())
}

pub(super) fn object_info(name: String, metadata: &Metadata) -> io::Result<ObjectInfo> {
    let modified = Timestamp::try_from(metadata.modified()?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(ObjectInfo { name, size_bytes: metadata.len(), modified })
}
