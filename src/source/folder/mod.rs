//! A folder of the local file system as a source.
//!
//! [`FolderSource::open`] holds the folder open; `walk` lists what is in it, relative to descriptors, so that a folder swapped
//! for a link in the middle of it leads nowhere else; `content` opens a listed file again and says whether it changed.

mod content;
mod walk;

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Sink, Source, SourceError, SourceName};
use crate::fs::dir;
use crate::fs::stat;
use crate::model::entry::Metadata;
use crate::model::filter::PathFilter;

/// What of a folder is backed up.
#[derive(Clone, Debug, Default)]
pub struct FolderOptions {
    /// Leaves out what its exclude patterns match; folders that match are not entered.
    pub filter: PathFilter,
    /// Of a folder marked by a `CACHEDIR.TAG` file, keeps only itself and the tag.
    pub exclude_caches: bool,
    /// Leaves out files of more bytes than this.
    pub exclude_larger_than: Option<u64>,
    /// Leaves out what lies on other file systems than the folder itself; a mount point is kept as an empty folder.
    pub one_file_system: bool,
    /// Tells changed files without their inode numbers.
    pub ignore_inode: bool,
    /// Tells changed files without the time of their inode's last change.
    pub ignore_ctime: bool,
    /// Device and inode of folders that are never listed: the vault itself, the local state.
    pub never: Vec<(u64, u64)>,
}

/// A folder as a [`Source`].
pub struct FolderSource {
    root: Arc<OwnedFd>,
    id: stat::FileId,
    name: String,
    /// Other paths that lead here.
    other_names: Vec<String>,
    options: FolderOptions,
    top: Mutex<Option<Metadata>>,
    left_out: AtomicU64,
}

impl FolderSource {
    /// Opens the folder at `path`; a symbolic link there is followed, those below never are.
    ///
    /// # Errors
    /// When there is no folder that can be read at `path`, or it is one that `options` say is never listed.
    pub fn open(path: &Path, options: FolderOptions) -> Result<Self, SourceError> {
        let unreadable = |source| SourceError::Unreadable { what: shown(path), source };
        let absolute = std::path::absolute(path).map_err(unreadable)?;
        let root = dir::open_root(path).map_err(unreadable)?;
        // One folder is one source, however it is spelled. Where the way there cannot be read, it is called as it was typed.
        let resolved = std::fs::canonicalize(path).unwrap_or_else(|_| lexical(&absolute));
        let id = stat::id(&rustix::fs::fstat(&root).map_err(|error| unreadable(error.into()))?);
        if options.never.contains(&id) {
            return Err(unreadable(std::io::Error::other("it is the vault, or a folder that belongs to tgvault itself")));
        }
        let name = shown(&resolved);
        let mut other_names: Vec<String> = Vec::new();
        for spelled in [shown(&absolute), shown(&lexical(&absolute)), name.clone()] {
            let bare = spelled.trim_end_matches('/');
            other_names.extend([bare.to_owned(), format!("{bare}/")].into_iter().filter(|other| !other.is_empty() && *other != name));
        }
        other_names.sort_unstable();
        other_names.dedup();
        Ok(Self { root: Arc::new(root), id, name, other_names, options, top: Mutex::default(), left_out: AtomicU64::new(0) })
    }

    fn note_top(&self, top: Metadata) {
        *self.top.lock().unwrap_or_else(PoisonError::into_inner) = Some(top);
    }

    fn note_left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    fn has_left_out(&self) -> bool {
        self.left_out.load(Ordering::Relaxed) > 0
    }

    /// Device and inode of the folder, for [`FolderOptions::never`] of others.
    pub fn id(&self) -> (u64, u64) {
        self.id
    }
}

impl Source for FolderSource {
    fn name(&self) -> SourceName {
        SourceName { kind: "folder".to_owned(), name: self.name.clone() }
    }

    fn other_names(&self) -> Vec<SourceName> {
        self.other_names.iter().map(|name| SourceName { kind: "folder".to_owned(), name: name.clone() }).collect()
    }

    fn top(&self) -> Option<Metadata> {
        self.top.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lists_everything(&self) -> bool {
        true
    }

    fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        self.left_out.store(0, Ordering::Relaxed);
        walk::Walk::new(self, sink).run()
    }
}

/// An absolute path without `.`, `..` and doubled slashes, as far as that can be said without looking.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// A path as text, one to one: bytes that are no UTF-8 become `\x..`.
fn shown(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
