//! Reading files piece by piece.
//!
//! What is not in the page cache is read past it where the file system allows it, in large pieces: a backup is read once, and to
//! find memory for it in the cache, which pushes out what other programs keep there, costs more than to decrypt it. For the same
//! reason pieces use their memory again and again.

use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::ReadWriteFlags;

use super::file::{ALIGNMENT, DIRECT_FROM};

/// The most that is read in one go: large enough that the hop to a blocking thread costs nothing, and that what a restore reads
/// at a time (4 MiB of frames, sealed) is one piece.
pub(super) const READ_BYTES: usize = (4 * 1024 + 256) * 1024;

/// Free memory that is kept.
const KEPT: usize = 4;

/// Smaller pieces have memory of their own, for they may be kept long.
const POOLED_FROM: usize = READ_BYTES / 4;

/// A file that is read.
#[derive(Debug)]
pub(super) struct ReadFile {
    file: File,
    /// The same file, read past the page cache.
    direct: Option<File>,
    takes_direct: AtomicBool,
}

impl ReadFile {
    /// Opens the file at `path`, of which `bytes` bytes will be read: no symlink, no pipe that would block. Gives its length too.
    pub(super) fn open(path: &Path, bytes: Option<u64>) -> io::Result<(Self, u64)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidData, "not a regular file"));
        }
        let is_large = bytes.unwrap_or(metadata.len()) >= DIRECT_FROM as u64;
        let direct = if is_large { open_direct(&file) } else { None };
        Ok((Self { file, direct, takes_direct: AtomicBool::new(true) }, metadata.len()))
    }
}

#[cfg(target_os = "linux")]
fn open_direct(file: &File) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT;
    rustix::fs::open(super::file::descriptor_path(file), flags, Mode::empty()).ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &File) -> Option<File> {
    None
}

/// Free memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

/// A piece that gives its memory back.
struct Piece {
    memory: Vec<u8>,
    filled: Range<usize>,
    free: Pieces,
}

impl Pieces {
    /// Reads `length` bytes at `place`, or what there is of them; at most [`READ_BYTES`].
    pub(super) fn read(&self, file: &ReadFile, place: u64, length: usize) -> io::Result<Bytes> {
        let length = length.min(READ_BYTES);
        if length < POOLED_FROM {
            let mut memory = vec![0; length];
            let got = fill(&file.file, &mut memory, place)?;
            memory.truncate(got);
            return Ok(memory.into());
        }
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = free.unwrap_or_else(|| vec![0; READ_BYTES + 3 * ALIGNMENT]);
        let cached = fill_cached(&file.file, memory.get_mut(..length).unwrap_or_default(), place).map(|got| 0..got);
        let filled = match &file.direct {
            _ if cached.is_some() => cached,
            Some(direct) if file.takes_direct.load(Ordering::Relaxed) => match read_direct(direct, &mut memory, place, length) {
                // A file system that took the flag but not the read, or wants a larger alignment.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    file.takes_direct.store(false, Ordering::Relaxed);
                    None
                }
                other => Some(other?),
            },
            _ => None,
        };
        let filled = match filled {
            Some(filled) => filled,
            None => 0..fill(&file.file, memory.get_mut(..length).unwrap_or_default(), place)?,
        };
        Ok(Bytes::from_owner(Piece { memory, filled, free: self.clone() }))
    }
}

/// Fills `memory` with what the page cache has; `None` where that is not all of it.
#[cfg(target_os = "linux")]
fn fill_cached(file: &File, memory: &mut [u8], place: u64) -> Option<usize> {
    let mut filled = 0;
    while let Some(room) = memory.get_mut(filled..).filter(|room| !room.is_empty()) {
        let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(room)], place + filled as u64, ReadWriteFlags::NOWAIT);
        match read.ok()? {
            0 => break,
            got => filled += got,
        }
    }
    Some(filled)
}

#[cfg(not(target_os = "linux"))]
fn fill_cached(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

/// Reads whole blocks around what is wanted into aligned memory; gives where in it the wanted bytes lie.
fn read_direct(file: &File, memory: &mut [u8], place: u64, length: usize) -> io::Result<Range<usize>> {
    let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let before = (place % ALIGNMENT as u64) as usize;
    let blocks = (before + length).next_multiple_of(ALIGNMENT);
    let room = memory.get_mut(start..start + blocks).unwrap_or_default();
    let got = fill(file, room, place - before as u64)?.min(before + length);
    Ok(start + before.min(got)..start + got)
}

/// Reads until `memory` is full or the file ends; gives how much that was.
fn fill(file: &File, memory: &mut [u8], place: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = memory.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, place + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Behind the end of a file that is no whole number of blocks there is no aligned place to ask at.
            Err(error) if error.kind() == ErrorKind::InvalidInput && filled > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(self.filled.clone()).unwrap_or_default()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut free = self.free.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_comes_back_whole_by_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..3 * DIRECT_FROM + 777).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let pieces = Pieces::default();
        for bytes in [Some(1), None] {
            let (file, length) = ReadFile::open(&path, bytes).unwrap();
            assert_eq!(length, content.len() as u64);
            assert!(bytes.is_none() || file.direct.is_none());
            for (from, to) in [(0, content.len()), (1, content.len()), (4095, 4097), (5, DIRECT_FROM), (4096, 4096 + DIRECT_FROM)] {
                assert_eq!(pieces.read(&file, from as u64, to - from).unwrap(), content[from..to], "{from}..{to}");
            }
            // Less than was asked for, where the file ends.
            let from = content.len() - DIRECT_FROM;
            assert_eq!(pieces.read(&file, from as u64, 2 * DIRECT_FROM).unwrap(), content[from..]);
            assert!(pieces.read(&file, length + 9, DIRECT_FROM).unwrap().is_empty());
        }
    }

    #[test]
    fn memory_comes_back_and_no_piece_sees_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [vec![1; POOLED_FROM], vec![2; POOLED_FROM]].concat()).unwrap();
        let (file, _) = ReadFile::open(&path, None).unwrap();
        let pieces = Pieces::default();
        let first = pieces.read(&file, 0, POOLED_FROM).unwrap();
        let second = pieces.read(&file, POOLED_FROM as u64, POOLED_FROM).unwrap();
        assert!(first.iter().all(|&byte| byte == 1) && second.iter().all(|&byte| byte == 2));
        drop(first);
        assert_eq!(pieces.0.lock().unwrap().len(), 1);
        assert_eq!(pieces.read(&file, 2 * POOLED_FROM as u64 - 3, POOLED_FROM).unwrap(), [2; 3].as_slice());
        assert!(second.iter().all(|&byte| byte == 2));
    }
}
