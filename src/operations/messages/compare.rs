//! What came, changed and went in the chats between two snapshots.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Folding, Unreadable, fold, lines, pass};
use crate::model::json;
use crate::model::peer::Peer;
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::stop::Stop;
use crate::operations::{OperationError, default_lanes};

/// Keys of a message whose change is a change for who reads it. The others tell the same anew (names, local times), or where a
/// file lies, which differs between exports and live backups.
const TELLING: [&str; 10] = [
    "text",
    "edited_unixtime",
    "reactions",
    "poll",
    "media_type",
    "location_information",
    "contact_information",
    "game_title",
    "invoice_information",
    "todo_list",
];

/// What happened to a chat's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatChange {
    /// Messages that only the later snapshot has.
    pub came: u64,
    /// Messages that read otherwise.
    pub changed: u64,
    /// Messages that were found to be deleted, or that only the earlier snapshot has.
    pub went: u64,
}

/// A message of a snapshot: id, a hash of what it says, whether it is deleted.
type State = (i64, u64, bool);

#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

struct Looked {
    folding: Folding,
    /// One for each message of `folding`.
    says: Vec<u64>,
}

fn look(hasher: &RandomState, batch: &[u8]) -> Looked {
    let mut looked = Looked { folding: Folding::default(), says: Vec::new() };
    for (offset, line) in lines(batch) {
        if looked.folding.add(offset, line) {
            let seen = serde_json::from_slice::<Seen<'_>>(line);
            let telling = |seen: Seen<'_>| {
                let members = json::members(seen.message.get()).filter(|(key, _)| TELLING.contains(key));
                let mut members: Vec<(&str, &str)> = members.collect();
                members.sort_unstable();
                hasher.hash_one(members)
            };
            looked.says.push(seen.map_or(0, telling));
        }
    }
    looked
}

/// The messages of each chat of `wanted`.
fn states(
    chats: &OpenChats,
    wanted: &[Chat],
    hasher: &RandomState,
    stop: &Stop,
    unreadable: &mut Unreadable,
    mut each: impl FnMut(&Chat, Vec<State>) -> Result<(), OperationError>,
) -> Result<(), OperationError> {
    pass(
        chats,
        wanted,
        default_lanes(),
        stop,
        |_, batch| look(hasher, batch),
        &mut |failed| unreadable.batch(&failed),
        |chat, batches| {
            let foldings = batches.iter().map(|looked| looked.as_ref().map(|looked| &looked.folding));
            let mut state = Vec::new();
            fold(chat, foldings, &|_| true, &mut |message| {
                let looked = batches.get(message.current.batch as usize).and_then(Option::as_ref);
                let says = looked.and_then(|looked| looked.says.get(looked.folding.number_at(message.current.offset)?).copied());
                state.push((message.id, says.unwrap_or_default(), message.deleted.is_some()));
            });
            each(chat, state)
        },
    )
}

/// Compares the chats of two snapshots, and hands those in which messages differ to `each`, sorted by peer. Gives what could not be
/// read.
///
/// # Errors
/// When the store fails, or the run is stopped; otherwise what `each` says.
pub fn compare(
    (earlier, earlier_chats): (&OpenChats, Vec<Chat>),
    (later, later_chats): (&OpenChats, Vec<Chat>),
    stop: &Stop,
    mut each: impl FnMut(&Chat, ChatChange) -> std::io::Result<()>,
) -> Result<Unreadable, OperationError> {
    let digests = |chats: &OpenChats, chat: &Chat| -> Vec<_> {
        chat.batches.iter().map(|path| (path.clone(), chats.opened().tree().get(path).and_then(|entry| entry.sha256()))).collect()
    };
    let logs: BTreeMap<Peer, _> = earlier_chats.iter().map(|chat| (chat.peer, digests(earlier, chat))).collect();
    // Logs are only ever added to: a chat with the same batches has the same messages.
    let same: Vec<Peer> =
        later_chats.iter().filter(|chat| logs.get(&chat.peer) == Some(&digests(later, chat))).map(|chat| chat.peer).collect();
    let differing = |chats: Vec<Chat>| -> Vec<Chat> { chats.into_iter().filter(|chat| same.binary_search(&chat.peer).is_err()).collect() };
    let (earlier_chats, later_chats) = (differing(earlier_chats), differing(later_chats));
    let hasher = RandomState::new();
    let mut unreadable = Unreadable::default();
    let mut before: BTreeMap<Peer, Vec<State>> = BTreeMap::new();
    states(earlier, &earlier_chats, &hasher, stop, &mut unreadable, |chat, state| {
        before.insert(chat.peer, state);
        Ok(())
    })?;
    let mut tell = |chat: &Chat, change: ChatChange| {
        if change == ChatChange::default() { Ok(()) } else { each(chat, change).map_err(OperationError::Output) }
    };
    states(later, &later_chats, &hasher, stop, &mut unreadable, |chat, after| {
        tell(chat, change(&before.remove(&chat.peer).unwrap_or_default(), &after))
    })?;
    for chat in earlier_chats.iter() {
        if let Some(before) = before.remove(&chat.peer) {
            tell(chat, change(&before, &[]))?;
        }
    }
    Ok(unreadable)
}

/// What differs between two states of a chat, both ascending by id.
fn change(before: &[State], after: &[State]) -> ChatChange {
    let mut change = ChatChange::default();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let (is_old, is_new) = match (old.peek(), new.peek()) {
            (None, None) => return change,
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
            (Some((a, ..)), Some((b, ..))) => (a <= b, b <= a),
        };
        let was = if is_old { old.next().filter(|(_, _, deleted)| !deleted) } else { None };
        let is = if is_new { new.next().filter(|(_, _, deleted)| !deleted) } else { None };
        match (was, is) {
            (None, Some(_)) => change.came += 1,
            (Some(_), None) => change.went += 1,
            (Some((_, a, _)), Some((_, b, _))) if a != b => change.changed += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_changed_and_went_is_counted() {
        let before = [(1, 10, false), (2, 20, false), (3, 30, false), (5, 50, true), (6, 60, false)];
        let after = [(1, 10, false), (2, 21, false), (3, 30, true), (4, 40, false), (5, 50, false), (7, 70, true)];
        assert_eq!(change(&before, &after), ChatChange { came: 2, changed: 1, went: 2 });
        assert_eq!(change(&before, &before), ChatChange::default());
        assert_eq!(change(&[], &after), ChatChange { came: 4, changed: 0, went: 0 });
    }
}
