//! Files that were handed over and are not read to their end yet: only then is it known whether they are whole.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::model::peer::Peer;

/// How many there are of each chat.
pub(super) struct Unread(watch::Sender<HashMap<Peer, usize>>);

/// What is held until a file is read to its end.
pub(super) struct Unsettled {
    /// Its chat's coverage waits for it.
    pub(super) _file: Option<UnreadFile>,
    /// Its data centre's next file waits for it.
    pub(super) _turn: Option<OwnedSemaphorePermit>,
}

/// One of them; dropping it says that it is read, or never will be.
pub(super) struct UnreadFile {
    unread: Arc<Unread>,
    peer: Peer,
}

impl Unread {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(HashMap::new())))
    }

    /// Takes note of a file of a chat's.
    pub(super) fn file(self: &Arc<Self>, peer: Peer) -> UnreadFile {
        self.0.send_modify(|counts| *counts.entry(peer).or_default() += 1);
        UnreadFile { unread: self.clone(), peer }
    }

    /// Waits until the chat has none, or with `None` until no chat has.
    pub(super) async fn none_of(&self, peer: Option<Peer>) {
        let done = |counts: &HashMap<Peer, usize>| peer.map_or(counts.is_empty(), |peer| !counts.contains_key(&peer));
        // It ends with an error only when the sender is gone, and that is here.
        let _ = self.0.subscribe().wait_for(done).await;
    }
}

impl Drop for UnreadFile {
    fn drop(&mut self) {
        self.unread.0.send_modify(|counts| {
            if let Some(count) = counts.get_mut(&self.peer) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&self.peer);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_chat_waits_for_its_own_files_only() {
        let unread = Unread::new();
        let (first, second) = (Peer::user(1), Peer::channel(2));
        let files = [unread.file(first), unread.file(first)];
        let other = unread.file(second);
        let done = |peer| unread.none_of(peer).now_or_never().is_some();
        assert_eq!([done(Some(first)), done(Some(second)), done(Some(Peer::chat(3))), done(None)], [false, false, true, false]);
        let [one, two] = files;
        drop(one);
        assert!(!done(Some(first)));
        drop(two);
        assert_eq!([done(Some(first)), done(None)], [true, false]);
        drop(other);
        assert!(done(None));
    }
}
