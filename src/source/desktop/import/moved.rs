//! Basic groups that became supergroups: exports made before and after that name their messages in two ways.
//!
//! After it, the messages of the basic group stand in the supergroup with ids that have [`MIGRATED_ID_OFFSET`] subtracted. Which basic
//! group it was no export says. A message that an earlier import stored of the other chat, and that says the same with its ids moved
//! (sender, time and text included), proves it: from then on, messages are filed where that import has them.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::model::json;
use crate::model::paths::RunId;
use crate::model::peer::{MIGRATED_ID_OFFSET, Peer, PeerKind};
use crate::model::record::MessageRecord;
use crate::source::desktop::content::content;
use crate::source::desktop::known::{Look, Remembered};

/// Ids below this are those of messages from before.
const MOVED_BELOW: i64 = -MIGRATED_ID_OFFSET / 2;

/// How many messages of a chat are tried.
const TRIED: u32 = 5_000;

/// What is known of each chat: the other one, and how many messages were tried in vain.
#[derive(Default)]
pub(super) struct Moved(HashMap<Peer, (Option<Peer>, u32)>);

impl Moved {
    /// The other chat, where that is proven.
    pub(super) fn other(&self, peer: Peer) -> Option<Peer> {
        self.0.get(&peer).and_then(|(other, _)| *other)
    }

    /// Files a message where earlier imports have the chat that it belongs to.
    pub(super) fn file(&mut self, record: &mut MessageRecord, run: &RunId, known: &Remembered) {
        let (to, shift) = match record.peer.kind {
            PeerKind::Channel if record.id < MOVED_BELOW => (PeerKind::Chat, MIGRATED_ID_OFFSET),
            PeerKind::Chat if record.id > 0 => (PeerKind::Channel, -MIGRATED_ID_OFFSET),
            _ => return,
        };
        let peer = record.peer;
        let (other, tried) = self.0.entry(peer).or_default();
        if other.is_none() && *tried < TRIED {
            *tried += 1;
            *other = known.chats_with(to, record.id.saturating_add(shift)).into_iter().find(|&candidate| {
                let Some(moved) = moved(record, candidate, shift) else { return false };
                let mut says = Vec::new();
                content(&moved, &mut says);
                // Of an export as old as this, any version will do.
                known.look(run, i64::MIN, moved.peer, moved.id, &says, &[]) != Look::New
            });
        }
        if let Some(moved) = other.and_then(|other| moved(record, other, shift)) {
            *record = moved;
        }
    }
}

/// The message under the other chat, its ids and those that it names moved.
fn moved(record: &MessageRecord, peer: Peer, shift: i64) -> Option<MessageRecord> {
    let message = record.message.get();
    let in_other_chat = json::get(message, "reply_to_peer_id").is_some();
    let is_id = |key: &str| match key {
        "id" | "message_id" | "game_message_id" | "invoice_message_id" | "giveaway_msg_id" => true,
        "reply_to_message_id" => !in_other_chat,
        _ => false,
    };
    let members: Option<Vec<String>> = json::members(message)
        .map(|(key, value)| match json::integer(value).filter(|_| is_id(key)) {
            Some(id) => Some(format!("\"{key}\":{}", id.checked_add(shift)?)),
            None => Some(format!("\"{key}\":{value}")),
        })
        .collect();
    let message = RawValue::from_string(format!("{{{}}}", members?.join(","))).ok()?;
    Some(MessageRecord { peer, id: record.id.checked_add(shift)?, message, ..record.clone() })
}
