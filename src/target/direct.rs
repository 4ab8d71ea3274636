//! Writing past the page cache, where the system lets us.
//!
//! A restore writes everything once and reads nothing back. Through the page cache that costs a copy into fresh memory, which
//! has to be found first, pushes out what other programs keep there, and leaves the disk's work for the sync at the end. All but
//! small files therefore go straight to the disk from one aligned buffer, with `O_DIRECT`; file systems without it are written to as
//! usual.

use std::sync::{Mutex, PoisonError};

/// Addresses, offsets and lengths are multiples of this: enough for every disk with blocks of up to 4 KiB.
pub(super) const ALIGNMENT: usize = 4096;

/// One write to the disk.
pub(super) const BUFFER_BYTES: usize = 1024 * 1024;

/// Smaller files go through the page cache: the disk takes many of them at once at the next sync.
pub(super) const DIRECT_FROM: u64 = 64 * 1024;

/// Memory at an aligned address, of which a part is filled.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Buffer {
    fn new() -> Self {
        let memory = vec![0; BUFFER_BYTES + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, start, filled: 0 }
    }

    /// Takes as much of `bytes` as there is room for; gives how much that was.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let from = self.start + self.filled;
        let taken = bytes.len().min(BUFFER_BYTES - self.filled);
        if let (Some(room), Some(bytes)) = (self.memory.get_mut(from..from + taken), bytes.get(..taken)) {
            room.copy_from_slice(bytes);
            self.filled += taken;
        }
        taken
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == BUFFER_BYTES
    }

    /// Bytes that were filled in.
    pub(super) fn length(&self) -> usize {
        self.filled
    }

    /// What was filled in, with zeros up to the next multiple of [`ALIGNMENT`].
    pub(super) fn blocks(&mut self) -> &[u8] {
        let end = self.filled.next_multiple_of(ALIGNMENT);
        if let Some(rest) = self.memory.get_mut(self.start + self.filled..self.start + end) {
            rest.fill(0);
        }
        self.memory.get(self.start..self.start + end).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }
}

/// Buffers that are free, so that their memory is used again.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Buffer>>);

impl Buffers {
    pub(super) fn take(&self) -> Buffer {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(Buffer::new)
    }

    pub(super) fn put(&self, mut buffer: Buffer) {
        buffer.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
