//! Content that is made while an export is read, and how much of it waits to be stored.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::source::{Body, Content};

/// Bytes that may wait: an export can be read faster than it is stored.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Counts the bytes that wait.
#[derive(Default)]
pub(super) struct Budget {
    waiting: Mutex<usize>,
    freed: Condvar,
}

impl Budget {
    /// Makes content of `bytes`, as soon as there is room for it; alone, also what is longer than all the room.
    pub(super) fn content(self: &Arc<Self>, bytes: Vec<u8>) -> Memory {
        let length = bytes.len();
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |waiting: &mut usize| *waiting > 0 && *waiting + length > WAITING_BYTES;
        let mut waiting = self.freed.wait_while(waiting, is_full).unwrap_or_else(PoisonError::into_inner);
        *waiting += length;
        Memory { bytes: bytes.into(), budget: Arc::clone(self) }
    }
}

/// Content in memory; it counts until it is dropped, which happens when it is stored.
pub(super) struct Memory {
    bytes: Arc<[u8]>,
    budget: Arc<Budget>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        *self.budget.waiting.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes.len();
        self.budget.freed.notify_all();
    }
}

impl Content for Memory {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut cursor = Cursor::new(Arc::clone(&self.bytes));
        cursor.set_position(from);
        Ok(Box::new(MemoryBody(cursor)))
    }
}

struct MemoryBody(Cursor<Arc<[u8]>>);

impl Read for MemoryBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
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
        assert_eq!(*budget.waiting.lock().unwrap(), 0);
    }
}
