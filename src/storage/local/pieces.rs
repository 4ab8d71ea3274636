//! Memory for what is read of files, used again and again: to find fresh memory for each piece costs about as much as to copy it.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Free memory that is kept.
const KEPT: usize = 4;

/// Smaller pieces are not worth it.
const POOLED_BYTES: usize = 256 * 1024;

/// Free memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

/// A piece that gives its memory back.
struct Piece {
    memory: Vec<u8>,
    free: Pieces,
}

impl Pieces {
    /// Reads `input` to its end, which is to come after at most `expected` bytes.
    pub(super) fn read(&self, mut input: impl Read, expected: u64) -> io::Result<Bytes> {
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        if expected < POOLED_BYTES {
            let mut memory = Vec::with_capacity(expected);
            input.read_to_end(&mut memory)?;
            return Ok(memory.into());
        }
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        memory.reserve(expected);
        input.read_to_end(&mut memory)?;
        Ok(Bytes::from_owner(Piece { memory, free: self.clone() }))
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.memory);
        memory.clear();
        let mut free = self.free.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_no_piece_sees_another() {
        let pieces = Pieces::default();
        let big = vec![1; POOLED_BYTES];
        let first = pieces.read(big.as_slice(), POOLED_BYTES as u64).unwrap();
        let second = pieces.read([2; 3].as_slice(), POOLED_BYTES as u64).unwrap();
        assert_eq!((first.as_ref(), second.as_ref()), (big.as_slice(), [2; 3].as_slice()));
        drop(first);
        assert_eq!(pieces.0.lock().unwrap().len(), 1);
        assert_eq!(pieces.read([3; 2].as_slice(), POOLED_BYTES as u64).unwrap().as_ref(), [3; 2]);
        assert_eq!(second.as_ref(), [2; 3]);
    }
}
