//! The files of messages: fetched before the messages are written, because these say what became of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::StreamExt;
use futures::stream;
use grammers_tl_types::{enums, functions};

use super::run::{BY_ID, FILES_AT_ONCE, Run};
use crate::model::media::{MediaRole, MediaStatus};
use crate::model::peer::Peer;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::files::emoji_of;
use crate::source::telegram::stored::Seen;
use crate::source::telegram::tl::{FileKey, Outcomes, Want, document_want, wants};

/// The file of a custom emoji.
pub(super) fn emoji_key(id: i64) -> FileKey {
    FileKey { photo: false, id, variant: "full".into(), extension: String::new() }
}

impl Run {
    /// Sees to the files of messages; says what became of each, with the messages' wants.
    pub(super) async fn files(&self, chat: Peer, messages: &[enums::Message]) -> Result<(Vec<Vec<Want>>, Outcomes), TelegramError> {
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

    /// The files of the custom emoji of messages.
    pub(super) async fn resolve_emoji(&self, messages: &[enums::Message]) -> Result<HashMap<i64, Want>, TelegramError> {
        let ids = emoji_of(messages);
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut known = self.emoji.lock().await;
        let new: Vec<i64> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        for page in new.chunks(BY_ID) {
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
