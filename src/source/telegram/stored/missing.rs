//! Files that were wanted and are not stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::account::Section;
use crate::model::part::Part;
use crate::model::peer::Peer;

/// Where a file was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::source::telegram) enum Seen {
    /// In a message of a chat.
    Message(Peer, i32),
    /// In a story of the account.
    Story(i32),
    /// Among the account's own pictures.
    Userpic(i64),
    /// As a custom emoji.
    Emoji(i64),
    /// In another section of the account.
    Section(Section, i64),
    /// In a part of a chat.
    Part(Peer, Part, i64),
}

/// A file that was wanted and is not stored (yet).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source::telegram) struct Missing {
    /// Where it was seen.
    pub(in crate::source::telegram) seen: Seen,
    /// Why it could not be had, in words; `None` while it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::source::telegram) reason: Option<String>,
    /// In how many runs it could not be had.
    #[serde(default)]
    pub(in crate::source::telegram) tries: u32,
    /// Whether it failed while it was being stored, when its message counted it as stored already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::source::telegram) late: bool,
    /// Other messages that counted it as stored while it was on its way, by chat: of many thousand files hardly any has some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::source::telegram) promised: BTreeMap<Peer, BTreeSet<i32>>,
    /// The chats whose messages say by now that it is not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(in crate::source::telegram) told: BTreeSet<Peer>,
}

impl Missing {
    pub(super) fn new(seen: Seen) -> Self {
        Self { seen, reason: None, tries: 0, late: false, promised: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// Messages of a chat that show it, as far as that matters: the first one, and those that counted it as stored.
    pub(in crate::source::telegram) fn shown_in(&self, chat: Peer) -> BTreeSet<i32> {
        let mut ids = self.promised.get(&chat).cloned().unwrap_or_default();
        match self.seen {
            Seen::Message(peer, id) if peer == chat => ids.extend([id]),
            _ => {}
        }
        ids
    }

    pub(super) fn is_mistaken_in(&self, chat: Peer) -> bool {
        self.late && self.reason.is_some() && !self.told.contains(&chat)
    }

    /// The chats with such messages.
    pub(in crate::source::telegram) fn chats(&self) -> BTreeSet<Peer> {
        let first = match self.seen {
            Seen::Message(peer, _) => Some(peer),
            _ => None,
        };
        self.promised.keys().copied().chain(first).collect()
    }
}
