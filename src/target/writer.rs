//! Writing one file.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ftruncate, openat};
use rustix::io::{Errno, pwrite};

use super::TargetError;
use super::commit::{Finished, Temporary, commit_one};
use super::direct::{Buffer, DIRECT_FROM};
use super::folder::Shared;
use super::folders::OpenFolder;
use crate::model::entry::{EntryPath, Metadata};

/// Holes are made in units of this; the block size of most file systems.
const BLOCK_BYTES: u64 = 4096;

/// A file of a restore while it is written, under a temporary name that is removed again unless [`FileWriter::commit`] is called.
pub struct FileWriter {
    // Dropped first: the temporary must go before the folder it lies in.
    temporary: Temporary,
    file: OwnedFd,
    parent: Arc<OpenFolder>,
    path: EntryPath,
    meta: Metadata,
    /// `None` where the end is not known before.
    size: Option<u64>,
    written: u64,
    sparse: bool,
    /// `Some` for a file that is written past the page cache.
    direct: Option<Buffer>,
    shared: Arc<Shared>,
}

impl FileWriter {
    pub(super) fn create(
        shared: &Arc<Shared>,
        parent: Arc<OpenFolder>,
        path: &EntryPath,
        meta: &Metadata,
        size: Option<u64>,
        sparse: bool,
    ) -> Result<Self, TargetError> {
        let (folder, name) = shared.staging.place(&parent);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            openat(&folder.fd, &*name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| TargetError::system(path, "create", error))?;
        let direct =
            (size.is_some_and(|size| size >= DIRECT_FROM) && !sparse && set_direct(&file, true).is_ok()).then(|| shared.buffers.take());
        let temporary = Temporary::new((folder, name));
        let (path, meta) = (path.clone(), meta.clone());
        Ok(Self { temporary, file, parent, path, meta, size, written: 0, sparse, direct, shared: Arc::clone(shared) })
    }

    /// The path that the file will have.
    pub fn path(&self) -> &EntryPath {
        &self.path
    }

    /// How many bytes have been written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Ends the file: sets its attributes and queues it for the disk and its final name.
    ///
    /// The name appears with a whole batch of files, at the latest in [`finish`](super::TargetFolder::finish), which also reports
    /// the files that failed on the last stretch.
    ///
    /// # Errors
    /// When the content is not complete or the attributes cannot be set; the temporary is removed then.
    pub fn commit(self) -> Result<(), TargetError> {
        let shared = Arc::clone(&self.shared);
        let finished = self.complete()?;
        let path = finished.path.clone();
        if shared.committer.add(finished) {
            Ok(())
        } else {
            Err(TargetError::system(&path, "commit", io::Error::other("the restore has ended")))
        }
    }

    /// As [`Self::commit`], with the name at once.
    pub(super) fn commit_now(self) -> Result<(), TargetError> {
        let shared = Arc::clone(&self.shared);
        commit_one(&mut self.complete()?, shared.overwrite, shared.options.sync)
    }

    /// Brings the file to its end but for its name.
    fn complete(mut self) -> Result<Finished, TargetError> {
        self.write_buffered().map_err(|error| TargetError::from_write(&self.path, error))?;
        // In this order, so that the temporary goes first when this returns early.
        let Self { shared, parent, path, meta, size, written, sparse, direct, file, temporary } = self;
        if let Some(expected) = size.filter(|&size| size != written) {
            return Err(TargetError::Size { path, expected, found: written });
        }
        if let Some(buffer) = direct {
            shared.buffers.put(buffer);
        }
        if sparse {
            // A hole at the end is made by the length alone.
            ftruncate(&file, written).map_err(|error| TargetError::system(&path, "write", error))?;
        }
        shared.attributes.apply(&file, &meta, true, false).map_err(|error| TargetError::system(&path, "set the attributes of", error))?;
        shared.touched(&path);
        Ok(Finished { temporary, file: Some(file), parent, path, bytes: written })
    }

    /// Writes `bytes` at `offset`, all of them.
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match pwrite(&self.file, bytes, offset) {
                Ok(0) => return Err(self.failed(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed(error.into())),
            }
        }
        Ok(())
    }

    /// Takes `bytes` into the buffer and writes it whenever it is full.
    fn write_direct(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(buffer) = &mut self.direct
            && !bytes.is_empty()
        {
            let taken = buffer.fill(bytes);
            self.written += taken as u64;
            bytes = bytes.get(taken..).unwrap_or_default();
            if buffer.is_full() {
                self.write_buffered()?;
            }
        }
        Ok(())
    }

    /// Writes what the buffer holds. Only at the end of the file is that no whole number of blocks: then the last one is filled
    /// up with zeros, which are cut off again.
    fn write_buffered(&mut self) -> io::Result<()> {
        let Some(mut buffer) = self.direct.take() else { return Ok(()) };
        let length = buffer.length();
        let start = self.written - length as u64;
        let blocks = buffer.blocks();
        match self.write_at(blocks, start) {
            Ok(()) if blocks.len() > length => ftruncate(&self.file, self.written).map_err(|error| self.failed(error.into()))?,
            // A file system that took the flag but not the write, or wants a larger alignment.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                set_direct(&self.file, false).map_err(|error| self.failed(error.into()))?;
                self.write_at(blocks.get(..length).unwrap_or_default(), start)?;
            }
            other => other?,
        }
        buffer.clear();
        self.direct = Some(buffer);
        Ok(())
    }

    /// Writes what is not zero; the file is new, so that what is left out reads as zeros.
    fn write_sparse(&self, bytes: &[u8]) -> io::Result<()> {
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            let offset = self.written + at as u64;
            let to_border = usize::try_from(BLOCK_BYTES - offset % BLOCK_BYTES).unwrap_or(usize::MAX);
            let end = at.saturating_add(to_border).min(bytes.len());
            if bytes.get(at..end).is_some_and(|block| block.iter().all(|&byte| byte == 0)) {
                self.write_at(bytes.get(start..at).unwrap_or_default(), self.written + start as u64)?;
                start = end;
            }
            at = end;
        }
        self.write_at(bytes.get(start..).unwrap_or_default(), self.written + start as u64)
    }

    /// The error with the path in it, of a kind that callers can still tell.
    fn failed(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        io::Error::new(kind, TargetError::system(&self.path, "write", error))
    }
}

/// Errors carry a [`TargetError`]: [`TargetError::from_write`] gives it back.
impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let total = self.written.saturating_add(bytes.len() as u64);
        if let Some(expected) = self.size.filter(|&size| total > size) {
            let error = TargetError::Size { path: self.path.clone(), expected, found: total };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if self.direct.is_some() {
            self.write_direct(bytes)?;
        } else if self.sparse {
            self.write_sparse(bytes)?;
        } else {
            self.write_at(bytes, self.written)?;
        }
        self.written = total;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sets or takes away `O_DIRECT`.
#[cfg(target_os = "linux")]
fn set_direct(file: &OwnedFd, direct: bool) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    rustix::fs::fcntl_setfl(file, if direct { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT })
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_: &OwnedFd, _: bool) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

impl TargetError {
    /// Gives back the error that writing to the file at `path` ended with.
    pub fn from_write(path: &EntryPath, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::system(path, "write", error),
        }
    }
}
