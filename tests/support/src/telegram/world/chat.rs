//! A chat of the account: who it is with, which messages it has, what changed since it was generated.

use std::collections::BTreeMap;

use grammers_tl_types::{enums, types};
use serde::{Deserialize, Serialize};

/// Who a chat is with, by bare id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// A user; the account's own id means Saved Messages.
    User(i64),
    /// A basic group.
    Group(i64),
    /// A channel or supergroup.
    Channel(i64),
}

impl Peer {
    /// The id without its kind.
    pub fn id(self) -> i64 {
        match self {
            Self::User(id) | Self::Group(id) | Self::Channel(id) => id,
        }
    }

    pub(crate) fn is_channel(self) -> bool {
        matches!(self, Self::Channel(_))
    }

    /// The schema's form.
    pub fn to_tl(self) -> enums::Peer {
        match self {
            Self::User(user_id) => types::PeerUser { user_id }.into(),
            Self::Group(chat_id) => types::PeerChat { chat_id }.into(),
            Self::Channel(channel_id) => types::PeerChannel { channel_id }.into(),
        }
    }

    /// From the schema's form.
    pub fn from_tl(peer: &enums::Peer) -> Self {
        match peer {
            enums::Peer::User(p) => Self::User(p.user_id),
            enums::Peer::Chat(p) => Self::Group(p.chat_id),
            enums::Peer::Channel(p) => Self::Channel(p.channel_id),
        }
    }
}

/// The kinds of chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Saved Messages.
    Saved,
    /// With a user.
    Private,
    /// With a bot.
    Bot,
    /// With a user who deleted the account.
    Deleted,
    /// A basic group.
    Group,
    /// A supergroup.
    Supergroup {
        /// Has topics.
        forum: bool,
    },
    /// A channel in which only admins post.
    Broadcast,
}

/// One chat.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) peer: Peer,
    pub(crate) kind: Kind,
    /// Ids the chat was generated with, ascending. Kept as they were, since a message's place here decides what it is.
    pub(crate) born: Vec<i32>,
    /// Ids it has now, once they differ.
    pub(crate) live: Option<Vec<i32>>,
    /// Messages that are not as generated: new, edited, scripted.
    pub(crate) changed: BTreeMap<i32, enums::Message>,
    /// Number of its first generated message over all chats.
    pub(crate) first_ordinal: u64,
    /// Has one message of every kind.
    pub(crate) gallery: bool,
    pub(crate) title: Option<String>,
    pub(crate) members: u32,
    pub(crate) left: bool,
    /// Taken away from the account: requests about it are answered with an error.
    pub(crate) gone: bool,
    pub(crate) archived: bool,
    pub(crate) protected: bool,
    pub(crate) public: bool,
    /// Place among the pinned chats.
    pub(crate) pinned: Option<u32>,
    /// Its user is told as `userEmpty`.
    pub(crate) empty_user: bool,
    pub(crate) migrated_to: Option<usize>,
    pub(crate) migrated_from: Option<usize>,
    /// Of channels: number of the last event.
    pub(crate) pts: i32,
    /// The number before the first event that is still known.
    pub(crate) known_from: i32,
    /// Last id given in a channel.
    pub(crate) last_id: i32,
    /// A bot whose chat has topics.
    pub(crate) bot_forum: bool,
    /// What it says of itself, where that changed.
    pub(crate) about: Option<String>,
    /// The message that is pinned to it.
    pub(crate) pinned_message: Option<i32>,
    /// Lines of its administrators' log that came since it was generated.
    pub(crate) log_lines: i64,
    /// Topics that were given another name.
    pub(crate) topic_titles: BTreeMap<i32, String>,
    /// Of channels: events since the server started, with the pts after each.
    pub(crate) events: Vec<(i32, enums::Update)>,
    /// Of channels: when the last event was.
    pub(crate) changed_at: i32,
}

impl Chat {
    pub(crate) fn new(peer: Peer, kind: Kind) -> Self {
        Self {
            peer,
            kind,
            born: Vec::new(),
            live: None,
            changed: BTreeMap::new(),
            first_ordinal: 0,
            gallery: false,
            title: None,
            members: 2,
            left: false,
            gone: false,
            archived: false,
            protected: false,
            public: false,
            pinned: None,
            empty_user: false,
            migrated_to: None,
            migrated_from: None,
            pts: 1,
            known_from: 1,
            last_id: 0,
            bot_forum: false,
            about: None,
            pinned_message: None,
            log_lines: 0,
            topic_titles: BTreeMap::new(),
            events: Vec::new(),
            changed_at: 0,
        }
    }

    /// Ids of its messages, ascending.
    pub(crate) fn ids(&self) -> &[i32] {
        self.live.as_deref().unwrap_or(&self.born)
    }

    /// The same for writing.
    pub(crate) fn ids_mut(&mut self) -> &mut Vec<i32> {
        self.live.get_or_insert_with(|| self.born.clone())
    }

    /// Whether it stands in the dialog list.
    pub(crate) fn listed(&self) -> bool {
        !self.left && !self.gone && self.migrated_to.is_none() && (!self.ids().is_empty() || self.peer.is_channel())
    }

    pub(crate) fn forum(&self) -> bool {
        self.kind == Kind::Supergroup { forum: true }
    }

    /// A place where members write in their own name.
    pub(crate) fn is_group(&self) -> bool {
        matches!(self.kind, Kind::Group | Kind::Supergroup { .. })
    }
}
