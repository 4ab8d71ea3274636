//! Getting finished files onto the disk and under their final names, many at a time.
//!
//! A sync per file would make the disk wait for each; so finished temporaries are gathered, a thread of its own syncs a whole
//! batch in one go while the next one is being written, and only then renames them.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{AtFlags, fsync, unlinkat};
use rustix::io::Errno;

use super::TargetError;
use super::folder::{Overwrite, rename};
use super::folders::{Mount, OpenFolder};
use crate::fs::limit;
use crate::model::entry::EntryPath;

/// A batch is complete at this many bytes, files or folders; the last bounds the descriptors held open.
const BATCH_BYTES: u64 = 256 * 1024 * 1024;
const BATCH_FILES: usize = 4096;
const BATCH_FOLDERS: usize = 96;

/// So few files are synced one by one: a sync of the whole file system would wait for everything else that is being written.
const FEW: usize = if SYNCS_ALL { 8 } else { 64 };

/// Whether the system can sync one file system as a whole.
pub(super) const SYNCS_ALL: bool = cfg!(target_os = "linux");

/// A file under its temporary name, removed when dropped unless it was renamed.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) folder: Arc<OpenFolder>,
    pub(super) name: CString,
    pub(super) is_renamed: bool,
}

impl Temporary {
    pub(super) fn new((folder, name): (Arc<OpenFolder>, CString)) -> Self {
        Self { folder, name, is_renamed: false }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            // It is gone already, or the next restore removes it.
            let _ = unlinkat(&self.folder.fd, &*self.name, AtFlags::empty());
        }
    }
}

/// A file that is complete but for its sync and its name.
pub(super) struct Finished {
    pub(super) temporary: Temporary,
    /// Kept open for the first few of a batch only.
    pub(super) file: Option<OwnedFd>,
    pub(super) parent: Arc<OpenFolder>,
    pub(super) path: EntryPath,
    pub(super) bytes: u64,
}

#[derive(Default)]
struct Batch {
    files: Vec<Finished>,
    bytes: u64,
    folders: usize,
}

impl Batch {
    fn add(&mut self, mut finished: Finished) {
        if self.files.len() >= FEW {
            finished.file = None;
        }
        if !self.files.last().is_some_and(|last| Arc::ptr_eq(&last.parent, &finished.parent)) {
            self.folders += 1;
        }
        self.bytes = self.bytes.saturating_add(finished.bytes);
        self.files.push(finished);
    }

    fn is_full(&self) -> bool {
        let files = if SYNCS_ALL { BATCH_FILES } else { FEW };
        self.bytes >= BATCH_BYTES || self.files.len() >= files || self.folders >= limit::descriptors(BATCH_FOLDERS)
    }
}

/// What became of the files.
#[derive(Debug, Default)]
pub(super) struct Committed {
    pub(super) files: u64,
    pub(super) failures: Vec<Failure>,
}

/// An entry that failed after it had been accepted.
#[derive(Debug)]
pub struct Failure {
    /// Which.
    pub path: EntryPath,
    /// Bytes of its content.
    pub bytes: u64,
    /// Why.
    pub error: TargetError,
}

/// Gathers finished files and hands them to the thread that commits them.
pub(super) struct Committer {
    filling: Mutex<Option<(Batch, SyncSender<Batch>)>>,
    worker: Mutex<Option<JoinHandle<Committed>>>,
}

impl Committer {
    /// Starts the thread; without `sync` files get their names without waiting for the disk.
    pub(super) fn start(overwrite: Overwrite, sync: bool) -> std::io::Result<Self> {
        // No room in the channel: one batch is on its way to the disk, one is being filled, and then writers wait.
        let (sender, receiver) = sync_channel::<Batch>(0);
        let worker = std::thread::Builder::new().name("restore-commit".to_owned()).spawn(move || {
            let mut committed = Committed::default();
            for batch in receiver {
                commit(batch, overwrite, sync, &mut committed);
            }
            committed
        })?;
        Ok(Self { filling: Mutex::new(Some((Batch::default(), sender))), worker: Mutex::new(Some(worker)) })
    }

    /// Takes one finished file; `false` when the restore has ended.
    pub(super) fn add(&self, finished: Finished) -> bool {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((batch, sender)) = &mut *filling else { return false };
        batch.add(finished);
        // The lock is held while the thread is behind: so are the others that would add.
        !batch.is_full() || sender.send(std::mem::take(batch)).is_ok()
    }

    /// Commits what is left and ends the thread. `None` when it had ended badly.
    pub(super) fn finish(&self) -> Option<Committed> {
        let filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((batch, sender)) = filling
            && !batch.files.is_empty()
        {
            // A thread that ended is found out below.
            let _ = sender.send(batch);
        }
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).take()?.join().ok()
    }
}

impl Drop for Committer {
    /// A restore that ends early keeps what was complete.
    fn drop(&mut self) {
        self.finish();
    }
}

fn commit(batch: Batch, overwrite: Overwrite, sync: bool, committed: &mut Committed) {
    let sync_each = sync && (batch.files.len() <= FEW || sync_all(batch.files.iter().map(|file| &file.temporary.folder)).is_err());
    for mut file in batch.files {
        match commit_one(&mut file, overwrite, sync_each) {
            Ok(()) => committed.files += 1,
            Err(error) => committed.failures.push(Failure { path: file.path.clone(), bytes: file.bytes, error }),
        }
    }
}

/// Gives one file its name, with `sync` once the disk has it.
pub(super) fn commit_one(file: &mut Finished, overwrite: Overwrite, sync: bool) -> Result<(), TargetError> {
    if sync {
        sync_one(file).map_err(|error| TargetError::system(&file.path, "write to the disk", error))?;
    }
    rename(&mut file.temporary, &file.parent, &file.path, overwrite)
}

/// Syncs the file systems that these folders lie on, each once.
pub(super) fn sync_all<'a>(folders: impl Iterator<Item = &'a Arc<OpenFolder>>) -> Result<(), Errno> {
    let mut done: HashSet<Mount> = HashSet::new();
    for folder in folders {
        if done.insert(folder.mount) {
            #[cfg(target_os = "linux")]
            rustix::fs::syncfs(&folder.fd)?;
            #[cfg(not(target_os = "linux"))]
            rustix::fs::sync();
        }
    }
    Ok(())
}

fn sync_one(file: &Finished) -> Result<(), Errno> {
    match &file.file {
        Some(open) => fsync(open),
        None => fsync(crate::fs::dir::open_file(&file.temporary.folder.fd, &*file.temporary.name)?),
    }
}
