//! Basic groups that are shown inside the supergroups that they became, wherever messages are shown, found or counted.

use std::collections::HashMap;

use super::Chat;
use crate::model::peer::{MIGRATED_ID_OFFSET, Peer, PeerKind};

/// The basic group that a supergroup was before.
pub(super) fn group_before<'a>(all: &'a [Chat], chat: &Chat) -> Option<&'a Chat> {
    if chat.peer.kind != PeerKind::Channel {
        return None;
    }
    let from = chat.info.migrated_from.filter(|from| from.kind == PeerKind::Chat);
    // Either of them may know of the other.
    let is_before = |other: &&Chat| other.peer.kind == PeerKind::Chat && other.info.migrated_to == Some(chat.peer);
    let group = all.iter().find(|other| from == Some(other.peer)).or_else(|| all.iter().find(is_before))?;
    (supergroup_of(all, group) == Some(chat.peer)).then_some(group)
}

/// The one supergroup that a basic group became: the one that it names, or else the first of those that name it.
fn supergroup_of(all: &[Chat], group: &Chat) -> Option<Peer> {
    let supergroups = || all.iter().filter(|chat| chat.peer.kind == PeerKind::Channel);
    let named = supergroups().map(|chat| chat.peer).find(|peer| group.info.migrated_to == Some(*peer));
    named.or_else(|| supergroups().filter(|chat| chat.info.migrated_from == Some(group.peer)).map(|chat| chat.peer).min())
}

/// Which of some chats are shown inside others of them.
#[derive(Clone, Debug, Default)]
pub struct Joined(HashMap<Peer, Peer>);

impl Joined {
    /// Of these chats; each group then stands directly before its supergroup.
    pub fn order(chats: &mut Vec<Chat>) -> Self {
        let inside: HashMap<Peer, Peer> =
            chats.iter().filter_map(|chat| group_before(chats, chat).map(|before| (before.peer, chat.peer))).collect();
        let mut groups: HashMap<Peer, Vec<Chat>> = HashMap::new();
        let mut others = Vec::with_capacity(chats.len());
        for chat in chats.drain(..) {
            match inside.get(&chat.peer) {
                Some(supergroup) => groups.entry(*supergroup).or_default().push(chat),
                None => others.push(chat),
            }
        }
        for chat in others {
            chats.extend(groups.remove(&chat.peer).unwrap_or_default());
            chats.push(chat);
        }
        Self(inside)
    }

    /// The chat in which messages of this one are shown, where that is another one.
    pub fn inside(&self, peer: Peer) -> Option<Peer> {
        self.0.get(&peer).copied()
    }

    /// The id with which a message of a chat is shown.
    pub fn shown_id(&self, peer: Peer, id: i64) -> i64 {
        if self.0.contains_key(&peer) { id.saturating_sub(MIGRATED_ID_OFFSET) } else { id }
    }

    /// How many chats are shown inside others.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }
}
