//! What all parts of one run share: what does not change while it runs, and the ledger of what is found out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use grammers_tl_types::{enums, types};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::ledger::Ledger;
use crate::model::chat::SeenPeer;
use crate::model::entry::EntryPath;
use crate::model::paths::{self, RunId};
use crate::model::peer::Peer;
use crate::source::telegram::account::Api;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::events::Event;
use crate::source::telegram::files::{Fetcher, Outbox};
use crate::source::telegram::heard::Heard;
use crate::source::telegram::options::ExportOptions;
use crate::source::telegram::stored::{Effect, StateStore};
use crate::source::telegram::tl::{Context, Fingerprints, PeerBook, Want};

/// A batch is handed over at this length: an eighth of what a reader must be ready for, because many are filled at once.
pub(super) const BATCH_BYTES: usize = paths::MAX_BATCH_BYTES / 8;
/// Messages, or custom emoji, asked for by id at once.
pub(super) const BY_ID: usize = 100;
/// Files of one page that are looked after at once.
pub(super) const FILES_AT_ONCE: usize = 32;
/// Descriptions of users and chats that make a batch.
const PEERS_BATCH: usize = 5_000;

/// One run.
pub(super) struct Run {
    pub(super) api: Arc<Api>,
    pub(super) peers: Arc<PeerBook>,
    pub(super) prints: Arc<Fingerprints>,
    pub(super) outbox: Outbox,
    pub(super) fetcher: Fetcher,
    pub(super) state: Arc<StateStore>,
    pub(super) options: Arc<ExportOptions>,
    pub(super) id: RunId,
    /// When the run began, Unix seconds.
    pub(super) observed: i64,
    /// That of the run before.
    pub(super) before: i64,
    /// Whether the account is a bot: it has no list of chats and no history, only what comes in.
    pub(super) bot: bool,
    /// What the list of chats and the takeout decided.
    pub(super) plan: Plan,
    /// Stretches of history that are read at once.
    pub(super) stretches: Semaphore,
    /// Custom emoji that were resolved; `None` for those that Telegram does not know.
    pub(super) emoji: tokio::sync::Mutex<HashMap<i64, Option<Want>>>,
    pub(super) ledger: Ledger,
    /// What updates told before the run, where somebody listened: then the run only looks at what is new.
    pub(super) heard: Option<Heard>,
    /// Whether it is such a run.
    pub(super) follows: bool,
}

/// What the list of chats and the takeout decided, before the first chat is read.
#[derive(Default)]
pub(super) struct Plan {
    /// All chats that Telegram lists, where the list was read as a whole and nothing of it is left out.
    pub(super) listed: Option<HashSet<Peer>>,
    /// Whether this run read the list of chats with a takeout.
    pub(super) taken_out: bool,
    /// Whether no takeout is owed any more when this run comes to its end.
    pub(super) settles_takeout: bool,
    /// The account's message ranges; empty where there is one.
    pub(super) ranges: Vec<types::MessageRange>,
}

/// The path of a model's file, whose building cannot fail for peers and runs of ours.
pub(super) fn path(path: Result<EntryPath, crate::model::entry::PathError>) -> Result<EntryPath, TelegramError> {
    path.map_err(|error| TelegramError::Invalid(error.to_string()))
}

impl Run {
    pub(super) fn context<'a>(&'a self, chat: Peer, emoji: &'a dyn Fn(i64) -> Option<String>) -> Context<'a> {
        Context { chat, names: &self.peers, observed: self.observed, run: &self.id, emoji }
    }

    /// Takes note of everybody who came with an answer.
    pub(super) fn learn(&self, users: &[enums::User], chats: &[enums::Chat]) {
        self.peers.learn(users, chats, self.observed, &self.id);
    }

    /// Writes a file that describes something, unless the last one had the same digest.
    pub(super) async fn describe<T: Serialize>(&self, path: EntryPath, value: &T, effect: Effect) -> Result<u64, TelegramError> {
        let mut content = serde_json::to_vec(value).map_err(|error| TelegramError::Invalid(error.to_string()))?;
        content.push(b'\n');
        let mark = self.state.mark(effect);
        self.outbox.file(path, content, self.observed, mark).await?;
        Ok(mark)
    }

    /// Writes the users and chats that were described since the last time, when they are many or `all` are asked for.
    pub(super) async fn flush_peers(&self, all: bool) -> Result<(), TelegramError> {
        if !all && self.peers.fresh_count() < PEERS_BATCH {
            return Ok(());
        }
        let fresh = self.peers.take_fresh();
        let (mut lines, mut digests) = (Vec::new(), Vec::new());
        for seen in fresh {
            let digest = self.peer_digest(&seen);
            if self.state.read().peers.0.contains(&digest) {
                continue;
            }
            serde_json::to_writer(&mut lines, &seen).map_err(|error| TelegramError::Invalid(error.to_string()))?;
            lines.push(b'\n');
            digests.push(digest);
            if lines.len() >= BATCH_BYTES {
                self.write_peers(std::mem::take(&mut lines), std::mem::take(&mut digests)).await?;
            }
        }
        if lines.is_empty() { Ok(()) } else { self.write_peers(lines, digests).await }
    }

    async fn write_peers(&self, lines: Vec<u8>, digests: Vec<u64>) -> Result<(), TelegramError> {
        let mark = self.state.mark(Effect::Peers(digests));
        self.outbox.file(path(paths::peers_batch(&self.id, self.ledger.next_peers_batch()))?, lines, self.observed, mark).await
    }

    /// Names, numbers and kind: what makes a new line worth writing.
    fn peer_digest(&self, seen: &SeenPeer) -> u64 {
        let known = (&seen.peer, &seen.kind, &seen.name, &seen.usernames, &seen.phone);
        self.prints.of_bytes(&serde_json::to_vec(&known).unwrap_or_default())
    }

    pub(super) fn tell(&self, event: Event) {
        self.api.observer.event(event);
    }
}
