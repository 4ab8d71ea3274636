//! This machine's own state: whether it is there, private, and can be written.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Check, Report};
use crate::state::StateFolder;

/// Looks at the state folder.
pub fn machine(state: &StateFolder, report: &mut dyn Report) {
    let path = state.path();
    let mut open: Vec<String> = Vec::new();
    for (path, allowed) in [(path.to_owned(), 0o700), (path.join("machine.key"), 0o600)] {
        // The key may be in the keyring.
        if let Ok(meta) = fs::metadata(&path)
            && meta.mode() & 0o777 & !allowed != 0
        {
            open.push(format!("'{}' (mode {:04o})", path.display(), meta.mode() & 0o7777));
        }
    }
    report.check(if open.is_empty() {
        Check::passed("state folder", format!("'{}', private", path.display()))
    } else {
        Check::warned("state folder", format!("other users can open {}", open.join(", ")), "run chmod go-rwx on it")
    });
    report.check(match write(path) {
        Ok(()) => Check::passed("state writable", "yes"),
        Err(error) => Check::failed("state writable", error.to_string(), Some("fix its permissions, or use --state-dir DIR")),
    });
}

fn write(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!("doctor-{}.tmp", std::process::id()));
    let written = fs::write(&path, b"tgvault doctor");
    let removed = fs::remove_file(&path);
    written.and(removed)
}
