//! What the tests of sources and targets share.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_gid, set_thread_uid};

/// The user that owns nothing.
pub(crate) const NOBODY: u32 = 65534;

/// Runs `act` as a user that permissions apply to, and who may enter `root`.
pub(crate) fn as_nobody(root: &Path, act: impl FnOnce() + Send) {
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
    }
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            if is_root {
                // The calls of this thread only; the process stays who it is.
                set_thread_gid(Gid::from_raw(NOBODY)).unwrap();
                set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
            }
            act();
        });
        done.join().unwrap();
    });
}
