//! Content that is made while an export is read, and how much of it waits to be stored.

use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::model::paths::MAX_BATCH_BYTES;
use crate::source::{Body, Content};

/// Bytes that may wait: an export can be read faster than it is stored.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Room for a batch that is being made, and the message that makes it too long.
const BUFFER_BYTES: usize = MAX_BATCH_BYTES + 256 * 1024;

/// Counts the bytes that wait, and keeps buffers for use again: batches come and go all the time, and fresh memory for each would
/// be scattered among what stays.
#[derive(Default)]
pub(super) struct Budget {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    kept: Vec<Vec<u8>>,
}

impl Budget {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer with room for a batch.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let kept = self.state().kept.pop();
        kept.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Makes content of `bytes`, as soon as there is room for it; alone, also what is longer than all the room.
    pub(super) fn content(self: &Arc<Self>, bytes: Vec<u8>) -> Memory {
        let length = bytes.len();
        let is_full = |state: &mut State| state.waiting > 0 && state.waiting + length > WAITING_BYTES;
        let mut state = self.freed.wait_while(self.state(), is_full).unwrap_or_else(PoisonError::into_inner);
        state.waiting += length;
        Memory(Arc::new(Waiting { bytes, budget: Arc::clone(self) }))
    }

    /// As [`Self::content`], of what a buffer holds; it is empty then, with room for a batch.
    pub(super) fn content_of(self: &Arc<Self>, buffer: &mut Vec<u8>) -> Memory {
        // What waits takes little more memory than what counts.
        let bytes = if buffer.len() < buffer.capacity() / 2 { buffer.to_vec() } else { std::mem::take(buffer) };
        let content = self.content(bytes);
        buffer.clear();
        if !is_buffer(buffer) {
            *buffer = self.buffer();
        }
        content
    }
}

fn is_buffer(bytes: &Vec<u8>) -> bool {
    (BUFFER_BYTES..2 * BUFFER_BYTES).contains(&bytes.capacity())
}

/// Bytes that count until they are dropped, which happens when they are stored.
struct Waiting {
    bytes: Vec<u8>,
    budget: Arc<Budget>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut state = self.budget.state();
        state.waiting -= bytes.len();
        if is_buffer(&bytes) && state.kept.len() < WAITING_BYTES / MAX_BATCH_BYTES {
            bytes.clear();
            state.kept.push(bytes);
        }
        drop(state);
        self.budget.freed.notify_all();
    }
}

/// Content in memory.
pub(super) struct Memory(Arc<Waiting>);

impl Memory {
    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.0.bytes.len()
    }
}

impl Content for Memory {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let position = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(Box::new(MemoryBody { content: Arc::clone(&self.0), position }))
    }
}

struct MemoryBody {
    content: Arc<Waiting>,
    position: usize,
}

impl Read for MemoryBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.bytes.get(self.position..).unwrap_or_default().read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

impl Body for MemoryBody {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_a_bound() {
        let budget = Arc::new(Budget::default());
        let first = budget.content(vec![1; WAITING_BYTES + 5]);
        let (sender, receiver) = std::sync::mpsc::channel();
        let behind = Arc::clone(&budget);
        let thread = std::thread::spawn(move || {
            let _second = behind.content(vec![2; 10]);
            sender.send(()).unwrap();
        });
        assert!(receiver.try_recv().is_err(), "there is no room yet");
        drop(first);
        receiver.recv().unwrap();
        thread.join().unwrap();
        assert_eq!(budget.state().waiting, 0);
    }

    #[test]
    fn buffers_of_batches_are_used_again_and_short_ones_take_little() {
        let budget = Arc::new(Budget::default());
        let mut buffer = budget.buffer();
        buffer.extend_from_slice(&[1; 100]);
        let short = budget.content_of(&mut buffer);
        assert!(buffer.is_empty() && buffer.capacity() == BUFFER_BYTES && short.0.bytes.capacity() < 200);

        buffer.resize(MAX_BATCH_BYTES, 2);
        let address = buffer.as_ptr();
        let long = budget.content_of(&mut buffer);
        assert!(buffer.is_empty() && buffer.capacity() == BUFFER_BYTES && buffer.as_ptr() != address);
        assert_eq!((long.len(), short.len()), (MAX_BATCH_BYTES, 100));
        let mut read = Vec::new();
        let mut body = long.open(MAX_BATCH_BYTES as u64 - 3).unwrap();
        drop(long);
        assert_eq!(budget.state().waiting, MAX_BATCH_BYTES + 100);
        body.read_to_end(&mut read).unwrap();
        drop(body);
        let kept = budget.buffer();
        assert_eq!((read, kept.as_ptr()), (vec![2; 3], address));
        drop(short);
        assert_eq!(budget.state().waiting, 0);
    }

    #[test]
    fn a_buffer_that_one_message_made_far_too_long_is_not_kept() {
        let budget = Arc::new(Budget::default());
        let mut buffer = vec![3; 3 * BUFFER_BYTES];
        drop(budget.content_of(&mut buffer));
        assert!(budget.state().kept.is_empty() && is_buffer(&buffer));
    }
}
