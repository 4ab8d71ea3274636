//! What a chat has beside its messages.

use serde::{Deserialize, Serialize};

/// A part of a chat that is no message of its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// What the chat says of itself: `{description?, pinned_message_id?, linked_chat_id?, …}`.
    About,
    /// Who is in it: `[{id, name, role, …}]`.
    Members,
    /// The pictures that it has, or that a person has shown: `[{date, date_unixtime, photo}]`, newest first.
    ProfilePictures,
    /// Stories on its page: `[{date, date_unixtime, media, …}]`.
    Stories,
    /// Messages that are to be sent later: `[…]`, as messages of an export.
    ScheduledMessages,
    /// What its administrators did: `[{id, date, date_unixtime, actor, actor_id, action, …}]`. Telegram keeps it for two days.
    AdminLog,
}

impl Part {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::About, Self::Members, Self::ProfilePictures, Self::Stories, Self::ScheduledMessages, Self::AdminLog];

    /// Its key in a restored chat, and the name of its file in the backup.
    pub fn key(self) -> &'static str {
        match self {
            Self::About => "about",
            Self::Members => "members",
            Self::ProfilePictures => "profile_pictures",
            Self::Stories => "stories",
            Self::ScheduledMessages => "scheduled_messages",
            Self::AdminLog => "admin_log",
        }
    }

    /// The part with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.key() == key)
    }
}
