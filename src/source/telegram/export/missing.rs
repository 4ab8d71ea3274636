//! Files that earlier runs could not have, or left out: asked for again, and what is held says what became of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use grammers_tl_types::{enums, functions};

use super::batch::Batch;
use super::chat_log::ChatLog;
use super::message_files::emoji_key;
use super::run::{BY_ID, Run};
use crate::model::media::{MediaRole, MediaStatus};
use crate::model::peer::Peer;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::files::{emoji_of, messages_by_id};
use crate::source::telegram::stored::Seen;
use crate::source::telegram::tl::{FileKey, Want, document_want, wants};

/// A file that failed in so many runs is left alone.
pub(super) const MAX_TRIES: u32 = 20;

/// What is worth asking for again.
#[derive(Default)]
struct Again {
    /// Messages with such files, by chat.
    messages: BTreeMap<Peer, BTreeSet<i32>>,
    /// Custom emoji. Stories and profile pictures are listed in every run.
    emoji: Vec<i64>,
}

impl Run {
    /// Tries again to get files that earlier runs could not have, of chats that are `wanted` in this one, and those that the options of
    /// earlier runs left out and those of this one do not. Gives the chats that have more of theirs now.
    pub(super) async fn retry_missing(&self, wanted: &impl Fn(Peer) -> bool) -> Result<BTreeSet<Peer>, TelegramError> {
        let Again { messages, emoji } = self.worth_another_try(wanted);
        let mut found = BTreeSet::new();
        for (peer, ids) in messages {
            let log = self.ledger.log(peer);
            let mut batch = Batch::default();
            for page in ids.into_iter().collect::<Vec<_>>().chunks(BY_ID) {
                match messages_by_id(&self.api, &self.peers, peer, page).await {
                    Ok(messages) => {
                        if self.retry_messages(&log, &mut batch, messages).await? {
                            found.insert(peer);
                        }
                    }
                    Err(error) => {
                        let reason = self.api.or_reason("asking for messages with missing files", error)?;
                        tracing::warn!(%peer, reason, "missing files cannot be asked for");
                    }
                }
            }
            self.flush(&log, &mut batch).await?;
        }
        for page in emoji.chunks(BY_ID) {
            self.retry_emoji(page).await?;
        }
        Ok(found)
    }

    fn worth_another_try(&self, wanted: &impl Fn(Peer) -> bool) -> Again {
        let mut again = Again::default();
        let state = self.state.read();
        // Without the messages themselves nothing tells whether they are of the period that was asked for.
        if self.options.from.is_none() && self.options.till.is_none() {
            for (peer, chat) in state.chats.iter().filter(|(peer, _)| wanted(**peer)) {
                let left = chat.left_out.wanted(&self.options);
                if !left.is_empty() {
                    again.messages.insert(*peer, left);
                }
            }
        }
        for missing in state.missing.values().filter(|missing| missing.tries < MAX_TRIES) {
            for peer in missing.chats().into_iter().filter(|peer| wanted(*peer)) {
                again.messages.entry(peer).or_default().extend(missing.shown_in(peer));
            }
            if let Seen::Emoji(id) = missing.seen {
                again.emoji.push(id);
            }
        }
        again
    }

    /// Fetches the files of messages again, and writes those anew of which some came. Says whether there were any.
    async fn retry_messages(&self, log: &ChatLog, batch: &mut Batch, messages: Vec<enums::Message>) -> Result<bool, TelegramError> {
        let keys = || messages.iter().flat_map(wants).map(|want| want.key);
        let were_missing: HashSet<FileKey> = keys().filter(|key| self.fetcher.was_missing(key)).collect();
        let failed = keys().chain(emoji_of(&messages).into_iter().map(emoji_key)).filter(|key| self.fetcher.failed_before(key));
        let failed: HashSet<FileKey> = failed.collect();
        let left: BTreeSet<i32> = {
            let state = self.state.read();
            let left = |id: &i32| state.chats.get(&log.peer).is_some_and(|chat| chat.left_out.of(*id) > 0);
            messages.iter().map(enums::Message::id).filter(left).collect()
        };
        let (wants, outcomes) = self.files(log.peer, &messages).await?;
        let is_stored = |want: &&Want| outcomes.get(&want.key) == Some(&MediaStatus::Stored);
        let came = wants.iter().flatten().filter(|want| were_missing.contains(&want.key)).filter(is_stored);
        batch.effect.media.stored += came.count() as u64;
        let has_more = |message: &enums::Message, wants: &[Want]| {
            wants.iter().filter(is_stored).any(|want| left.contains(&message.id()) || failed.contains(&want.key))
        };
        let pairs = messages.into_iter().zip(&wants);
        let better: Vec<enums::Message> = pairs.filter(|(message, wants)| has_more(message, wants)).map(|(message, _)| message).collect();
        // Their records say that a file is missing: the new ones say where it is.
        self.add_messages(log, batch, &better).await?;
        Ok(!better.is_empty())
    }

    async fn retry_emoji(&self, ids: &[i64]) -> Result<(), TelegramError> {
        let documents = match self.api.ask(&functions::messages::GetCustomEmojiDocuments { document_id: ids.to_vec() }).await {
            Ok(documents) => documents,
            Err(error) => return self.api.or_reason("asking for custom emoji", error).map(drop),
        };
        let is_known = |found: &&enums::Document| matches!(found, enums::Document::Document(_));
        let known: HashSet<i64> = documents.iter().filter(is_known).map(enums::Document::id).collect();
        for id in ids.iter().filter(|id| !known.contains(id)) {
            self.fetcher.not_there(&emoji_key(*id));
        }
        for document in documents {
            if let enums::Document::Document(document) = document
                && let Some(want) = document_want(&document, MediaRole::CustomEmoji)
            {
                self.fetcher.fetch(&want, Seen::Emoji(document.id)).await?;
            }
        }
        Ok(())
    }

    /// Writes messages again that say of a file that it is stored, after it turned out not to be had.
    pub(super) async fn correct(&self, peer: Peer) -> Result<(), TelegramError> {
        let mut mistaken = self.state.read().mistaken(peer);
        // What was written and is not stored yet need not be written again.
        mistaken.retain(|digest, _| self.ledger.corrects(peer, *digest));
        let ids: Vec<i32> = mistaken.into_values().flatten().collect::<BTreeSet<_>>().into_iter().collect();
        let log = self.ledger.log(peer);
        let (mut batch, mut told, mut all) = (Batch::default(), HashSet::new(), true);
        for page in ids.chunks(BY_ID) {
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
}
