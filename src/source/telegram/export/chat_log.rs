//! The log of one chat as a run adds to it: how many batches it has, and the marks of their items.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::peer::Peer;

/// The log of one chat as this run adds to it.
pub(super) struct ChatLog {
    pub(super) peer: Peer,
    batches: AtomicU32,
    marks: Mutex<Vec<u64>>,
}

impl ChatLog {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, batches: AtomicU32::new(0), marks: Mutex::default() }
    }

    pub(super) fn marks(&self) -> Vec<u64> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of the next batch, whose item has this mark.
    pub(super) fn next_batch(&self, mark: u64) -> u32 {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
        self.batches.fetch_add(1, Ordering::Relaxed) + 1
    }
}
