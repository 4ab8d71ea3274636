//! What a run tells while it works: numbers and kinds, never titles or texts.

use std::sync::Arc;

use super::wire;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A section of the account begins: `chats`, `contacts`, `stories`…
    Section(&'static str),
    /// So many chats will be looked at.
    Chats {
        /// All of them.
        total: u64,
    },
    /// One more chat will be looked at: a group from before it became a supergroup.
    ChatFound,
    /// One more chat is finished.
    ChatDone,
    /// Messages were fetched.
    Messages {
        /// How many, since the last such event.
        count: u64,
    },
    /// A file will be fetched.
    MediaFound {
        /// Its size as Telegram says, in bytes.
        bytes: u64,
    },
    /// Bytes of files arrived.
    MediaBytes {
        /// How many, since the last such event.
        count: u64,
    },
    /// Something about the connections.
    Connection(wire::Event),
    /// Something worth a line to the user: a takeout that is delayed, a way that was chosen instead of another.
    Note(String),
}

/// Takes events; called from several threads, and expected to return at once.
pub trait Observer: Send + Sync {
    /// Takes note of one event.
    fn event(&self, event: Event);
}

/// An observer that looks away.
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&self, _event: Event) {}
}

/// Shares an observer.
pub type Observing = Arc<dyn Observer>;

/// Hands what happens on the wire on to the observer of a run.
pub(super) struct OfConnections(pub(super) Observing);

impl wire::Observer for OfConnections {
    fn event(&self, event: wire::Event) {
        self.0.event(Event::Connection(event));
    }
}
