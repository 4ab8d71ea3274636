//! What all parts of one run share, and how messages become batches of a chat's log.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream;
use grammers_tl_types::{enums, functions, types};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::history::Mode;
use crate::model::chat::SeenPeer;
use crate::model::entry::EntryPath;
use crate::model::media::{MediaRole, MediaStatus, SkipReason};
use crate::model::paths::{self, RunId};
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{MessageRecord, Record};
use crate::source::telegram::account::Api;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::events::Event;
use crate::source::telegram::files::{Fetcher, Outbox, emoji_of, messages_by_id};
use crate::source::telegram::options::ExportOptions;
use crate::source::telegram::stored::{Effect, LeftFile, LogEffect, Print, Seen, StateStore};
use crate::source::telegram::tl::{Context, FileKey, Fingerprints, Outcomes, PeerBook, Want, document_want, record, wants};

/// A batch is handed over at this length: an eighth of what a reader must be ready for, because many are filled at once.
const BATCH_BYTES: usize = paths::MAX_BATCH_BYTES / 8;
/// Custom emoji asked for at once.
const EMOJI_PAGE: usize = 100;
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
    /// Whether the account is a bot: it has no list of chats and no history, only what comes in.
    pub(super) bot: bool,
    /// All chats that Telegram lists, where the list was read as a whole and nothing of it is left out.
    pub(super) listed: Option<HashSet<Peer>>,
    /// Whether this run read the list of chats with a takeout.
    pub(super) taken_out: bool,
    /// Whether no takeout is owed any more when this run comes to its end.
    pub(super) settles_takeout: bool,
    /// The account's message ranges; empty where there is one.
    pub(super) ranges: Vec<types::MessageRange>,
    /// Stretches of history that are read at once.
    pub(super) stretches: Semaphore,
    /// All marks of this run's items that the account's update counters wait for.
    pub(super) private_marks: Mutex<Vec<u64>>,
    /// Whether something could not be read that the counters must not move past.
    pub(super) private_incomplete: AtomicBool,
    /// The newest messages of private chats and basic groups that updates told of: the list of chats may be older.
    pub(super) newest: Mutex<HashMap<Peer, i32>>,
    /// Basic groups that became supergroups, found on the way.
    pub(super) migrated: Mutex<Vec<(Peer, Peer)>>,
    /// Custom emoji that were resolved; `None` for those that Telegram does not know.
    pub(super) emoji: tokio::sync::Mutex<HashMap<i64, Option<Want>>>,
    pub(super) peers_batches: AtomicU32,
    /// Chats of which something could not be read.
    pub(super) chats_failed: AtomicU64,
    /// Parts of the account that were asked for in this run; with the reason why they could not be had.
    pub(super) parts: Mutex<BTreeMap<&'static str, Option<String>>>,
    /// Files of which a chat's messages say by now that they could not be had after all, by digest.
    pub(super) corrected: Mutex<HashSet<(Peer, u64)>>,
    /// The logs of this run, one a chat, whoever adds to it.
    pub(super) logs: Mutex<HashMap<Peer, Arc<ChatLog>>>,
}

/// The log of one chat as this run adds to it.
pub(super) struct ChatLog {
    pub(super) peer: Peer,
    batches: AtomicU32,
    marks: Mutex<Vec<u64>>,
}

impl ChatLog {
    fn new(peer: Peer) -> Self {
        Self { peer, batches: AtomicU32::new(0), marks: Mutex::default() }
    }

    pub(super) fn marks(&self) -> Vec<u64> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lines on their way into a batch.
#[derive(Default)]
pub(super) struct Batch {
    lines: Vec<u8>,
    effect: LogEffect,
}

/// The path of a model's file, whose building cannot fail for peers and runs of ours.
pub(super) fn path(path: Result<EntryPath, crate::model::entry::PathError>) -> Result<EntryPath, TelegramError> {
    path.map_err(|error| TelegramError::Invalid(error.to_string()))
}

/// The file of a custom emoji.
fn emoji_key(id: i64) -> FileKey {
    FileKey { photo: false, id, variant: "full".into() }
}

impl Run {
    fn context<'a>(&'a self, chat: Peer, emoji: &'a dyn Fn(i64) -> Option<String>) -> Context<'a> {
        Context { chat, names: &self.peers, observed: self.observed, run: &self.id, emoji }
    }

    /// The log of a chat.
    pub(super) fn log(&self, peer: Peer) -> Arc<ChatLog> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.entry(peer).or_insert_with(|| Arc::new(ChatLog::new(peer))).clone()
    }

    /// Takes note of everybody who came with an answer.
    pub(super) fn learn(&self, users: &[enums::User], chats: &[enums::Chat]) {
        self.peers.learn(users, chats, self.observed, &self.id);
    }

    /// Sees to the files of messages; says what became of each, with the messages' wants.
    async fn files(&self, chat: Peer, messages: &[enums::Message]) -> Result<(Vec<Vec<Want>>, Outcomes), TelegramError> {
        let emoji = self.resolve_emoji(messages).await?;
        let mut all: Vec<Vec<Want>> = messages.iter().map(wants).collect();
        let mut jobs: Vec<(Want, Seen)> = Vec::new();
        let mut known: HashSet<FileKey> = HashSet::new();
        let mut add = |want: &Want, seen: Seen| {
            if known.insert(want.key.clone()) {
                jobs.push((want.clone(), seen));
            }
        };
        for (message, wants) in messages.iter().zip(&mut all) {
            for want in wants.iter() {
                add(want, Seen::Message(chat, message.id()));
            }
            for id in emoji_of(std::slice::from_ref(message)) {
                if let Some(want) = emoji.get(&id) {
                    add(want, Seen::Emoji(id));
                    if !wants.iter().any(|known| known.key == want.key) {
                        wants.push(want.clone());
                    }
                }
            }
        }
        let mut outcomes = Outcomes::new();
        let mut fetches = stream::iter(in_turns(jobs, |(want, _)| (want.dc(), want.size)))
            .map(|(want, seen)| async move {
                let status = self.fetcher.fetch(&want, seen).await?;
                Ok::<_, TelegramError>((want.key, status))
            })
            .buffer_unordered(FILES_AT_ONCE);
        while let Some(result) = fetches.next().await {
            let (key, status) = result?;
            outcomes.insert(key, status);
        }
        drop(fetches);
        for (message, want) in messages.iter().zip(&all).flat_map(|(message, wants)| wants.iter().map(move |want| (message, want))) {
            if outcomes.get(&want.key) == Some(&MediaStatus::Stored)
                && let Some(failed) = self.fetcher.promise(&want.key, chat, message.id())
            {
                outcomes.insert(want.key.clone(), failed);
            }
        }
        Ok((all, outcomes))
    }

    async fn resolve_emoji(&self, messages: &[enums::Message]) -> Result<HashMap<i64, Want>, TelegramError> {
        let ids = emoji_of(messages);
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut known = self.emoji.lock().await;
        let new: Vec<i64> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        for page in new.chunks(EMOJI_PAGE) {
            let request = functions::messages::GetCustomEmojiDocuments { document_id: page.to_vec() };
            match self.api.ask(&request).await {
                Ok(documents) => {
                    for document in &documents {
                        if let enums::Document::Document(document) = document {
                            known.insert(document.id, document_want(document, MediaRole::CustomEmoji));
                        }
                    }
                }
                Err(error) => {
                    let reason = self.api.or_reason("asking for custom emoji", error)?;
                    tracing::warn!(reason, "custom emoji cannot be resolved");
                    for &id in page {
                        self.fetcher.missing(&emoji_key(id), Seen::Emoji(id), &reason);
                    }
                }
            }
            for id in page {
                known.entry(*id).or_insert(None);
            }
        }
        Ok(ids.into_iter().filter_map(|id| Some((id, known.get(&id)?.clone()?))).collect())
    }

    /// Tries again to get files that earlier runs could not have, of chats that are `wanted` in this one, and those that the options of
    /// earlier runs left out and those of this one do not. Gives the chats that have more of theirs now.
    pub(super) async fn retry_missing(&self, wanted: &impl Fn(Peer) -> bool) -> Result<BTreeSet<Peer>, TelegramError> {
        /// A file that failed in so many runs is left alone.
        const MAX_TRIES: u32 = 20;
        let (mut by_chat, mut emoji): (BTreeMap<Peer, BTreeSet<i32>>, Vec<i64>) = Default::default();
        {
            let state = self.state.read();
            // Without the messages themselves nothing tells whether they are of the period that was asked for.
            if self.options.from.is_none() && self.options.till.is_none() {
                for (peer, chat) in state.chats.iter().filter(|(peer, _)| wanted(**peer)) {
                    let left = chat.left_out.wanted(&self.options);
                    if !left.is_empty() {
                        by_chat.insert(*peer, left);
                    }
                }
            }
            for missing in state.missing.values().filter(|missing| missing.tries < MAX_TRIES) {
                for peer in missing.chats().into_iter().filter(|peer| wanted(*peer)) {
                    by_chat.entry(peer).or_default().extend(missing.shown_in(peer));
                }
                // Stories and profile pictures are listed in every run.
                if let Seen::Emoji(id) = missing.seen {
                    emoji.push(id);
                }
            }
        }
        let mut found = BTreeSet::new();
        for (peer, ids) in by_chat {
            let log = self.log(peer);
            let mut batch = Batch::default();
            for page in ids.into_iter().collect::<Vec<_>>().chunks(EMOJI_PAGE) {
                let messages = match messages_by_id(&self.api, &self.peers, peer, page).await {
                    Ok(messages) => messages,
                    Err(error) => {
                        let reason = self.api.or_reason("asking for messages with missing files", error)?;
                        tracing::warn!(%peer, reason, "missing files cannot be asked for");
                        continue;
                    }
                };
                let were_missing: HashSet<FileKey> =
                    messages.iter().flat_map(wants).map(|want| want.key).filter(|key| self.fetcher.was_missing(key)).collect();
                let left: BTreeSet<i32> = {
                    let state = self.state.read();
                    let left = |id: &i32| state.chats.get(&peer).is_some_and(|chat| chat.left_out.of(*id) > 0);
                    messages.iter().map(enums::Message::id).filter(left).collect()
                };
                let keys = messages.iter().flat_map(wants).map(|want| want.key).chain(emoji_of(&messages).into_iter().map(emoji_key));
                let failed: HashSet<FileKey> = keys.filter(|key| self.fetcher.failed_before(key)).collect();
                let (wants, outcomes) = self.files(peer, &messages).await?;
                let came = wants
                    .iter()
                    .flatten()
                    .filter(|want| were_missing.contains(&want.key) && outcomes.get(&want.key) == Some(&MediaStatus::Stored));
                batch.effect.media.stored += came.count() as u64;
                let had = |message: &enums::Message, wants: &[Want]| {
                    let mut stored = wants.iter().filter(|want| outcomes.get(&want.key) == Some(&MediaStatus::Stored));
                    stored.any(|want| left.contains(&message.id()) || failed.contains(&want.key))
                };
                let pairs = messages.into_iter().zip(&wants);
                let better: Vec<enums::Message> =
                    pairs.filter(|(message, wants)| had(message, wants)).map(|(message, _)| message).collect();
                if !better.is_empty() {
                    found.insert(peer);
                }
                // Their records say that a file is missing: the new ones say where it is.
                self.add_messages(&log, &mut batch, &better).await?;
            }
            self.flush(&log, &mut batch).await?;
        }
        for page in emoji.chunks(EMOJI_PAGE) {
            let request = functions::messages::GetCustomEmojiDocuments { document_id: page.to_vec() };
            match self.api.ask(&request).await {
                Ok(documents) => {
                    let known: HashSet<i64> =
                        documents.iter().filter(|found| matches!(found, enums::Document::Document(_))).map(enums::Document::id).collect();
                    for id in page.iter().filter(|id| !known.contains(id)) {
                        self.fetcher.not_there(&emoji_key(*id));
                    }
                    for document in documents {
                        if let enums::Document::Document(document) = document
                            && let Some(want) = document_want(&document, MediaRole::CustomEmoji)
                        {
                            self.fetcher.fetch(&want, Seen::Emoji(document.id)).await?;
                        }
                    }
                }
                Err(error) => {
                    self.api.or_reason("asking for custom emoji", error)?;
                }
            }
        }
        Ok(found)
    }

    /// Appends messages of a chat to a batch, their files first.
    pub(super) async fn add_messages(&self, log: &ChatLog, batch: &mut Batch, messages: &[enums::Message]) -> Result<(), TelegramError> {
        self.append(log, batch, messages, true).await.map(drop)
    }

    /// Writes messages again that say of a file that it is stored, after it turned out not to be had.
    pub(super) async fn correct(&self, peer: Peer) -> Result<(), TelegramError> {
        let mut mistaken = self.state.read().mistaken(peer);
        {
            // What was written and is not stored yet need not be written again.
            let mut corrected = self.corrected.lock().unwrap_or_else(PoisonError::into_inner);
            mistaken.retain(|digest, _| corrected.insert((peer, *digest)));
        }
        let ids: Vec<i32> = mistaken.into_values().flatten().collect::<BTreeSet<_>>().into_iter().collect();
        let log = self.log(peer);
        let (mut batch, mut told, mut all) = (Batch::default(), HashSet::new(), true);
        for page in ids.chunks(EMOJI_PAGE) {
            match messages_by_id(&self.api, &self.peers, peer, page).await {
                Ok(messages) => {
                    let outcomes = self.append(&log, &mut batch, &messages, false).await?;
                    let failed = outcomes.iter().filter(|(_, status)| matches!(status, MediaStatus::Failed(_)));
                    told.extend(failed.map(|(key, _)| self.fetcher.digest(key)));
                }
                Err(error) => {
                    let reason = self.api.or_reason("asking for messages with missing files", error)?;
                    tracing::warn!(%peer, reason, "messages with missing files cannot be asked for");
                    all = false;
                }
            }
        }
        if all {
            batch.effect.told.extend(told);
        }
        self.flush(&log, &mut batch).await
    }

    /// Appends messages, and counts their files or not: gives what became of these.
    async fn append(&self, log: &ChatLog, batch: &mut Batch, messages: &[enums::Message], count: bool) -> Result<Outcomes, TelegramError> {
        let (wants, outcomes) = self.files(log.peer, messages).await?;
        for (message, wants) in messages.iter().zip(&wants) {
            let paths: HashMap<i64, String> = wants
                .iter()
                .filter(|want| want.role == MediaRole::CustomEmoji && outcomes.get(&want.key) == Some(&MediaStatus::Stored))
                .map(|want| (want.key.id, want.path.to_string()))
                .collect();
            let emoji = |id: i64| paths.get(&id).cloned();
            let Some(record) = record(message, &self.context(log.peer, &emoji), wants, &outcomes) else { continue };
            if count {
                let state = self.state.read();
                let chat = state.chats.get(&log.peer);
                let before = chat.map_or((false, 0), |chat| (chat.messages.contains(message.id()), chat.left_out.of(message.id())));
                batch.count(message.id(), &record, &left_out(wants, &outcomes), before);
            }
            if let Some(group) = self.migration(log.peer, message) {
                batch.effect.migrated_from = Some(group);
                let mut migrated = self.migrated.lock().unwrap_or_else(PoisonError::into_inner);
                // Of two that claim the same group only one reads it.
                if !migrated.iter().any(|(from, _)| *from == group) {
                    migrated.push((group, log.peer));
                }
            }
            batch.push(Record::Message(record), message.id(), Some(self.prints.of(message)))?;
            if batch.lines.len() >= BATCH_BYTES {
                self.flush(log, batch).await?;
            }
        }
        Ok(outcomes)
    }

    /// The basic group that a supergroup says it was: with its first message, or where the group says so too. The same words elsewhere
    /// are somebody's, and lead to chats that are none.
    fn migration(&self, peer: Peer, message: &enums::Message) -> Option<Peer> {
        let enums::Message::Service(service) = message else { return None };
        let enums::MessageAction::ChannelMigrateFrom(from) = &service.action else { return None };
        if peer.kind != PeerKind::Channel || from.chat_id < 0 {
            return None;
        }
        let group = Peer::chat(from.chat_id);
        self.peers.migrated_to(group).map_or(service.id == 1, |to| to == peer).then_some(group)
    }

    /// Appends another record of a chat.
    pub(super) async fn add_record(
        &self,
        log: &ChatLog,
        batch: &mut Batch,
        record: Record,
        gone: Option<i32>,
    ) -> Result<(), TelegramError> {
        match gone {
            Some(id) => batch.push(record, id, None)?,
            None => record.write_line(&mut batch.lines).map_err(|error| TelegramError::Invalid(error.to_string()))?,
        }
        if batch.lines.len() >= BATCH_BYTES { self.flush(log, batch).await } else { Ok(()) }
    }

    /// Hands a batch over.
    pub(super) async fn flush(&self, log: &ChatLog, batch: &mut Batch) -> Result<(), TelegramError> {
        let Batch { lines, mut effect } = std::mem::take(batch);
        // It stays until the batch is stored for good, with those of many others.
        effect.messages.shrink_to_fit();
        let effect = Effect::Log(log.peer, Box::new(effect));
        if lines.is_empty() {
            // Nothing was there: that needs no item to be true.
            self.state.when_all(&[], effect);
            return Ok(());
        }
        let mark = self.state.mark(effect);
        log.marks.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
        let seq = log.batches.fetch_add(1, Ordering::Relaxed) + 1;
        let path = path(paths::log_batch(log.peer, &self.id, seq))?;
        self.outbox.file(path, lines, self.observed, mark).await
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
        let seq = self.peers_batches.fetch_add(1, Ordering::Relaxed) + 1;
        let mark = self.state.mark(Effect::Peers(digests));
        self.outbox.file(path(paths::peers_batch(&self.id, seq))?, lines, self.observed, mark).await
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

impl Batch {
    /// Counts the media of a message. `before` says whether it was held already, and how many of its files were left out: what was
    /// counted once is not counted again.
    fn count(&mut self, id: i32, record: &MessageRecord, left: &[LeftFile], before: (bool, usize)) {
        let (held, left_before) = before;
        if !left.is_empty() || left_before > 0 {
            self.effect.left_out.push((id, left.to_vec()));
        }
        if held {
            let failed = record.media.iter().filter(|media| matches!(media.status, MediaStatus::Failed(_))).count();
            self.effect.media.stored += left_before.saturating_sub(left.len() + failed) as u64;
            return;
        }
        for media in &record.media {
            self.effect.media.wanted += 1;
            match &media.status {
                MediaStatus::Stored => self.effect.media.stored += 1,
                MediaStatus::Skipped(SkipReason::TooLarge | SkipReason::TypeNotChosen) | MediaStatus::Failed(_) => {}
                MediaStatus::Skipped(reason) => *self.effect.media.skipped.entry(reason.word()).or_default() += 1,
            }
        }
    }

    fn push(&mut self, record: Record, id: i32, print: Option<u64>) -> Result<(), TelegramError> {
        record.write_line(&mut self.lines).map_err(|error| TelegramError::Invalid(error.to_string()))?;
        self.effect.messages.push((id, print.map(Print::from)));
        Ok(())
    }

    /// Takes note that these ids were paged over, and that everything that was there is in the batch or before it.
    pub(super) fn cover(&mut self, mode: Mode, first: i64, last: i64) {
        match mode {
            Mode::All => self.effect.covered.add(first, last),
            Mode::Own => self.effect.own.add(first, last),
        }
    }
}

/// The same in an order in which each kind comes as early as its weight allows: fetched in this order, no data centre has nothing to do
/// for long.
fn in_turns<T, K: Ord + Copy>(all: Vec<T>, kind_and_weight: impl Fn(&T) -> (K, u64)) -> Vec<T> {
    let mut weights: BTreeMap<K, u64> = BTreeMap::new();
    let mut placed: Vec<(u64, T)> = all
        .into_iter()
        .map(|one| {
            let (kind, weight) = kind_and_weight(&one);
            let before = weights.entry(kind).or_default();
            let place = *before;
            *before += weight;
            (place, one)
        })
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, one)| one).collect()
}

/// The files of a message that the options leave out.
fn left_out(wants: &[Want], outcomes: &Outcomes) -> Vec<LeftFile> {
    let left = |want: &Want| match outcomes.get(&want.key) {
        Some(MediaStatus::Skipped(reason @ (SkipReason::TooLarge | SkipReason::TypeNotChosen))) => {
            Some(LeftFile { kind: want.kind, bytes: u32::try_from(want.judged_size).unwrap_or(u32::MAX), reason: *reason })
        }
        _ => None,
    };
    wants.iter().filter_map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_turn() {
        let all = vec![(1, 4, 'a'), (1, 4, 'b'), (2, 1, 'c'), (1, 1, 'd'), (2, 5, 'e'), (2, 1, 'f'), (3, 1, 'g')];
        let order: String = in_turns(all, |(kind, weight, _)| (*kind, *weight)).into_iter().map(|(.., name)| name).collect();
        assert_eq!(order, "acgebfd");
        assert!(in_turns(Vec::<u8>::new(), |one| (*one, 1)).is_empty());
    }
}
