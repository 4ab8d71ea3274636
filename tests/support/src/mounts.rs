//! Folders mounted as file systems show them that are unlike a disk: by FUSE, in a process of their own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::stores::program::install;

/// How long mounting may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What is unlike a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new inode number with each look.
    Inodes,
    /// Every file says to be empty.
    Sizes,
    /// Names that differ in case only are one, and there are no hard links.
    Folded,
    /// Names that Unicode composes in different ways are one.
    Unfolded,
}

/// A mounted folder; dropping it unmounts it.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
    server: Child,
}

impl Mount {
    /// Mounts `folder` at `at`, which is made.
    ///
    /// # Errors
    /// If what does so cannot be installed or started.
    pub fn start(kind: Kind, folder: &Path, at: &Path) -> io::Result<Self> {
        let python = install("fuse")?.join("venv/bin/python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/fuse/mount.py");
        std::fs::create_dir_all(at)?;
        let name = format!("{kind:?}").to_lowercase();
        let mut server = Command::new(python).arg(script).arg(name).args([folder, at]).stdin(Stdio::null()).spawn()?;
        let started = Instant::now();
        while !is_mounted(at)? {
            if started.elapsed() > LIMIT || server.try_wait()?.is_some() {
                let _ = server.kill();
                return Err(io::Error::other("the folder could not be mounted"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { at: at.to_owned(), server })
    }
}

fn is_mounted(at: &Path) -> io::Result<bool> {
    let at = at.display().to_string();
    Ok(std::fs::read_to_string("/proc/self/mounts")?.lines().any(|line| line.split(' ').nth(1) == Some(at.as_str())))
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: what a failed test left open must not keep it.
        let _ = Command::new("fusermount").arg("-uz").arg(&self.at).status();
        let ended = Instant::now();
        while self.server.try_wait().is_ok_and(|status| status.is_none()) {
            if ended.elapsed() > Duration::from_secs(5) {
                let _ = self.server.kill();
                let _ = self.server.wait();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
