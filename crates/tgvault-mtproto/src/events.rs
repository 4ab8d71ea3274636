//! What the client tells of its connections.

use std::sync::Arc;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request has to wait because Telegram says so.
    Waiting {
        /// The method's name.
        method: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// A data centre does not answer, or the connection to it is lost or cannot be made; it is asked again.
    Disconnected {
        /// Which one.
        dc: i32,
        /// Why, in words.
        why: String,
        /// Seconds until the next attempt, or until this one is given up.
        seconds: u64,
    },
    /// A data centre that did not answer does so again.
    Connected {
        /// Which one.
        dc: i32,
    },
}

/// Takes events; called from several threads, and expected to return at once.
pub trait Observer: Send + Sync {
    /// Takes note of one event.
    fn event(&self, event: Event);
}

/// Shares an observer.
pub type Observing = Arc<dyn Observer>;
