//! What is below a folder, to be compared with what was there before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Everything below `root`: relative path to kind, mode, time, number of names and SHA-256 of the content.
///
/// # Errors
/// When something cannot be read.
pub fn tree(root: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let meta = path.symlink_metadata()?;
            let common = format!("{:o} {}.{:09}", meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec());
            let said = if meta.is_symlink() {
                format!("link {}", fs::read_link(&path)?.display())
            } else if meta.is_dir() {
                folders.push(path.clone());
                format!("folder {common}")
            } else {
                let digest: String = Sha256::digest(fs::read(&path)?).iter().map(|byte| format!("{byte:02x}")).collect();
                format!("file {common} {} bytes {} names {digest}", meta.len(), meta.nlink())
            };
            found.insert(path.strip_prefix(root).map_err(io::Error::other)?.to_owned(), said);
        }
    }
    Ok(found)
}
