//! What is below a folder, to be compared with what was there before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Everything below `root`: relative path, with escapes where it is no ASCII, to kind, mode, time, number of names and SHA-256 of
/// the content.
///
/// # Errors
/// When something cannot be read.
pub fn tree(root: &Path) -> io::Result<BTreeMap<String, String>> {
    tree_with(root, |_| String::new())
}

/// As [`tree`], with what `more` says of each path behind its time; links have neither.
///
/// # Errors
/// When something cannot be read.
pub fn tree_with(root: &Path, more: impl Fn(&Path) -> String) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let meta = path.symlink_metadata()?;
            let common = || format!("{:o} {}.{:09}{}", meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec(), more(&path));
            let said = if meta.is_symlink() {
                format!("link {}", fs::read_link(&path)?.display())
            } else if meta.is_dir() {
                folders.push(path.clone());
                format!("dir {}", common())
            } else {
                let content = fs::read(&path)?;
                let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
                format!("file {} {} {digest} links {}", common(), content.len(), meta.nlink())
            };
            let name = path.strip_prefix(root).map_err(io::Error::other)?.as_os_str().as_bytes().escape_ascii().to_string();
            found.insert(name, said);
        }
    }
    Ok(found)
}
