//! Cuts a stream into parts of one size for a store's multipart upload, hashing it on the way.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::crypt::digest::Hasher;
use crate::model::digest::Digest;

/// Bytes in a part: the same for every store and object (S3-compatible stores want at least 5 MiB and equal parts).
pub const PART_BYTES: usize = 8 * 1024 * 1024;

/// Parts begin at addresses that are multiples of this, the largest unit of common disks.
const ALIGNMENT: usize = 4096;

/// Takes the parts of one object, in order.
pub trait PartSink {
    /// Takes the next part; waits while too many are under way.
    ///
    /// # Errors
    /// When the upload has failed; writing stops.
    fn part(&mut self, part: PartBuffer) -> io::Result<()>;
}

impl PartSink for Vec<u8> {
    fn part(&mut self, part: PartBuffer) -> io::Result<()> {
        self.extend_from_slice(part.as_ref());
        Ok(())
    }
}

/// Keeps part buffers for use again: fresh memory for each would cost a page fault for each 4 KiB.
/// Its clones share a bound on all parts that are filled or under way; whoever needs one more waits.
#[derive(Clone)]
pub struct PartPool(Arc<Pool>);

struct Pool {
    max: usize,
    state: Mutex<PoolState>,
    freed: Condvar,
}

#[derive(Default)]
struct PoolState {
    kept: Vec<Vec<u8>>,
    out: usize,
}

impl PartPool {
    /// A pool of at most `max` parts. Each archive being written needs two at least: one that is filled, and one that its
    /// upload may hold back.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Pool { max, state: Mutex::default(), freed: Condvar::new() }))
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> PartBuffer {
        let wait = self.0.freed.wait_while(self.state(), |state| state.out >= self.0.max);
        let mut state = wait.unwrap_or_else(PoisonError::into_inner);
        state.out += 1;
        let mut bytes = state.kept.pop().unwrap_or_else(|| Vec::with_capacity(PART_BYTES + ALIGNMENT));
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        bytes.resize(start, 0);
        PartBuffer { bytes, start, pool: self.clone() }
    }
}

/// One part; its memory goes back to the pool when it is dropped.
pub struct PartBuffer {
    bytes: Vec<u8>,
    /// Where the part begins: at an aligned address, so that a store on a local disk can write it past the page cache.
    start: usize,
    pool: PartPool,
}

impl PartBuffer {
    /// Bytes in it.
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }
}

impl AsRef<[u8]> for PartBuffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl Drop for PartBuffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut state = self.pool.state();
        state.kept.push(bytes);
        state.out -= 1;
        drop(state);
        self.pool.0.freed.notify_one();
    }
}

/// Writes into parts of [`PART_BYTES`] and hashes all of it.
pub struct PartsWriter<S> {
    sink: S,
    pool: PartPool,
    part: PartBuffer,
    hasher: Hasher,
    length: u64,
}

impl<S: PartSink> PartsWriter<S> {
    /// Sends parts to `sink`, with memory from `pool`.
    pub fn new(sink: S, pool: PartPool) -> Self {
        let part = pool.take();
        Self { sink, pool, part, hasher: Hasher::new(), length: 0 }
    }

    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Sends the last part: the sink, the digest and the length of everything.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(mut self) -> io::Result<(S, Digest, u64)> {
        if self.part.len() > 0 {
            self.sink.part(self.part)?;
        }
        Ok((self.sink, self.hasher.finish(), self.length))
    }
}

impl<S: PartSink> Write for PartsWriter<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == PART_BYTES {
            let next = self.pool.take();
            self.sink.part(std::mem::replace(&mut self.part, next))?;
        }
        let taken = bytes.len().min(PART_BYTES - self.part.len());
        let piece = bytes.get(..taken).unwrap_or_default();
        self.hasher.update(piece);
        self.part.bytes.extend_from_slice(piece);
        self.length += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
