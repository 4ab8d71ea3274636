//! Ending a run early, cleanly: Ctrl-C in the program, a word in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A wish to end the run; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody wishes to end yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wishes the run to end.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run should end.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
