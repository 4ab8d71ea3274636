//! Which chats are wanted, and in which order they come.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::joined::group_before;
use super::{Chat, OpenChats};
use crate::model::json;
use crate::model::peer::Peer;
use crate::operations::OperationError;

/// A chat to show.
#[derive(Clone, Debug)]
pub(in crate::operations) struct Chosen {
    /// The chat.
    pub chat: Chat,
    /// The basic group that it was before, whose messages are shown with it.
    pub before: Option<Chat>,
}

impl Chosen {
    /// It, and the group that it was before.
    pub fn all(&self) -> impl Iterator<Item = &Chat> {
        std::iter::once(&self.chat).chain(&self.before)
    }
}

/// Picks the chats that `wanted` names; all of them when it is empty. They come in the order of the export that they were taken
/// from where it is known, then those that were written to last; chats that the account has left come last of all.
///
/// # Errors
/// When a name fits no chat.
pub(in crate::operations) fn choose(chats: &OpenChats, all: Vec<Chat>, wanted: &[String]) -> Result<Vec<Chosen>, OperationError> {
    let called = chats.called(&all, wanted)?;
    let is_wanted = |chat: &Chat| wanted.is_empty() || called.contains(&chat.peer);
    let chosen_of = |chat: &Chat| Chosen { chat: chat.clone(), before: group_before(&all, chat).cloned() };
    let mut chosen: Vec<Chosen> = all.iter().filter(|chat| is_wanted(chat)).map(chosen_of).collect();
    // A basic group is shown inside the supergroup that it became.
    let inside: HashSet<Peer> = chosen.iter().filter_map(|chosen| chosen.before.as_ref().map(|before| before.peer)).collect();
    chosen.retain(|chosen| !inside.contains(&chosen.chat.peer));
    let position = |chat: &Chat| {
        let dialog = chat.info.dialog.as_ref()?;
        json::get(dialog.get(), "position").and_then(json::integer)
    };
    chosen.sort_by_cached_key(|Chosen { chat, .. }| {
        let last = chat.batches.last().map(|path| path.file_name().to_vec());
        (chat.info.left, position(chat).unwrap_or(i64::MAX), Reverse(last), chat.peer)
    });
    Ok(chosen)
}
