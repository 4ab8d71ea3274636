//! Chats and peers as Telegram described them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::paths::RunId;
use super::peer::{Peer, PeerKind};
use super::record::Raw;

/// The name of somebody whose account does not exist any more, wherever people read it.
pub const DELETED_ACCOUNT: &str = "Deleted Account";

/// The `type` of a chat in Telegram Desktop's exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatType {
    /// The account's own Saved Messages.
    SavedMessages,
    /// The chat that collects replies to comments.
    Replies,
    /// The chat that shows verification codes.
    VerificationCodes,
    /// A person.
    PersonalChat,
    /// A bot.
    BotChat,
    /// A basic group.
    PrivateGroup,
    /// A supergroup without a public name.
    PrivateSupergroup,
    /// A supergroup with a public name.
    PublicSupergroup,
    /// A channel without a public name.
    PrivateChannel,
    /// A channel with a public name.
    PublicChannel,
}

impl ChatType {
    /// The word in the exports.
    pub fn key(self) -> &'static str {
        match self {
            Self::SavedMessages => "saved_messages",
            Self::Replies => "replies",
            Self::VerificationCodes => "verification_codes",
            Self::PersonalChat => "personal_chat",
            Self::BotChat => "bot_chat",
            Self::PrivateGroup => "private_group",
            Self::PrivateSupergroup => "private_supergroup",
            Self::PublicSupergroup => "public_supergroup",
            Self::PrivateChannel => "private_channel",
            Self::PublicChannel => "public_channel",
        }
    }

    /// The type with this word; `None` for a word that this version does not know.
    pub fn from_key(key: &str) -> Option<Self> {
        use ChatType::*;
        [
            SavedMessages,
            Replies,
            VerificationCodes,
            PersonalChat,
            BotChat,
            PrivateGroup,
            PrivateSupergroup,
            PublicSupergroup,
            PrivateChannel,
            PublicChannel,
        ]
        .into_iter()
        .find(|kind| kind.key() == key)
    }

    /// What a chat of this type is called where it has no name: accounts and groups lose theirs when they are deleted.
    pub fn stand_in(self) -> &'static str {
        match self {
            Self::SavedMessages => "Saved Messages",
            Self::Replies => "Replies",
            Self::VerificationCodes => "Verification Codes",
            Self::PersonalChat | Self::BotChat => DELETED_ACCOUNT,
            Self::PrivateChannel | Self::PublicChannel => "Deleted Channel",
            Self::PrivateGroup | Self::PrivateSupergroup | Self::PublicSupergroup => "Deleted Group",
        }
    }

    /// What people call a chat of this type that has no name.
    pub fn stand_ins(self) -> Vec<&'static str> {
        let short = (self == Self::SavedMessages).then_some("saved");
        std::iter::once(self.stand_in()).chain(short).collect()
    }

    /// What it is, in a word or two.
    pub fn in_a_word(self) -> &'static str {
        match self {
            Self::SavedMessages => "saved messages",
            Self::Replies => "replies",
            Self::VerificationCodes => "verification codes",
            Self::PersonalChat => "person",
            Self::BotChat => "bot",
            Self::PrivateGroup | Self::PrivateSupergroup | Self::PublicSupergroup => "group",
            Self::PrivateChannel | Self::PublicChannel => "channel",
        }
    }

    /// Whether the exports leave out the name of such a chat.
    pub fn is_nameless(self) -> bool {
        matches!(self, Self::SavedMessages | Self::Replies | Self::VerificationCodes)
    }
}

/// One topic of a forum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// The id of the message that began the topic; 1 for "General".
    pub id: i64,
    /// Its name.
    pub title: String,
    /// The custom emoji of its icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_emoji_id: Option<i64>,
    /// Whether it is closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// `chats/<peer>/topics/<id>.json`: a topic as an export of it alone told of it. Such exports know nothing else of the chat, and each has a
/// file of its own so that the next one hides none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopicInfo {
    /// Version of the form, [`super::record::VERSION`].
    pub v: u32,
    /// The chat.
    pub peer: Peer,
    /// The topic.
    pub topic: Topic,
    /// When it was described, Unix seconds.
    pub observed: i64,
    /// By which run.
    pub run: RunId,
}

/// `chats/<peer>/chat.json`: a chat as the dialog list described it last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChatInfo {
    /// Version of the form, [`super::record::VERSION`].
    pub v: u32,
    /// The chat.
    pub peer: Peer,
    /// The name as Telegram Desktop's exports have it (a user's first name only); `None` for a deleted account.
    pub name: Option<String>,
    /// Its type; `None` where Telegram did not tell.
    #[serde(rename = "type")]
    pub kind: Option<ChatType>,
    /// The word for a type that this version does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_kind: Option<String>,
    /// Whether its source shows part of what a chat is: pages do, and the export of a single topic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
    /// A longer name for people where there is one (first and last name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Public name without `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether the account has left it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// Whether the backup was asked for the account's own messages only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_my_messages: bool,
    /// The basic group that this supergroup was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated_from: Option<Peer>,
    /// The supergroup that this basic group became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated_to: Option<Peer>,
    /// A forum's topics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Topic>,
    /// When it was described, Unix seconds.
    pub observed: i64,
    /// By which run.
    pub run: RunId,
    /// What else the dialog list said: a JSON object, pinned, folder, unread counts, theme….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialog: Option<Box<RawValue>>,
    /// Keys of an imported export's chat object that this version does not know: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_keys: Option<Box<RawValue>>,
    /// The server's own bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

impl ChatInfo {
    /// Adds topics that were told of alone; of one that is known already, what was seen later counts.
    pub fn add_topics(&mut self, told: impl IntoIterator<Item = TopicInfo>) {
        for TopicInfo { topic, observed, .. } in told {
            match self.topics.iter_mut().find(|known| known.id == topic.id) {
                Some(known) if observed > self.observed => *known = topic,
                Some(_) => {}
                None => self.topics.push(topic),
            }
        }
        self.topics.sort_by_key(|topic| topic.id);
    }

    /// The word for its type in the exports. Readers of these die of a chat without one: where it is not known, the peer tells as much
    /// as it can.
    pub fn kind_word(&self) -> &str {
        let otherwise = match self.peer.kind {
            PeerKind::User => ChatType::PersonalChat,
            PeerKind::Chat => ChatType::PrivateGroup,
            PeerKind::Channel => ChatType::PrivateSupergroup,
        };
        self.other_kind.as_deref().unwrap_or_else(|| self.kind.unwrap_or(otherwise).key())
    }

    /// What people read as the chat's name: its longest one, or what stands for a name that it lost. `None` for a chat of which
    /// nothing is known.
    pub fn title(&self) -> Option<&str> {
        let names = [&self.full_name, &self.name];
        let named = names.into_iter().flatten().map(String::as_str).find(|name| !name.is_empty());
        let topic = || self.topics.first().filter(|_| self.is_partial).map(|topic| topic.title.as_str());
        named.or_else(topic).or_else(|| self.kind.map(ChatType::stand_in))
    }
}

/// What a user or chat turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerType {
    /// A person.
    User,
    /// A bot.
    Bot,
    /// An account that does not exist any more.
    Deleted,
    /// A basic group.
    Group,
    /// A supergroup.
    Supergroup,
    /// A channel.
    Channel,
    /// A group or channel that the account may not see.
    Forbidden,
}

/// A line of `peers.jsonl`: a user or chat as seen at some time. Names change, and raw messages carry ids only, so a later line
/// for the same peer is added, never put in place of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPeer {
    /// Version of the form, [`super::record::VERSION`].
    pub v: u32,
    /// Who or what.
    pub peer: Peer,
    /// What it turned out to be.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PeerType>,
    /// Title, or "First Last"; `None` for a deleted account.
    pub name: Option<String>,
    /// A person's first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// A person's last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Public names without `@`, the main one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usernames: Vec<String>,
    /// Phone number as the server gives it: digits with the country code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The index of the peer's colour, where the server gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<u32>,
    /// When, Unix seconds.
    pub observed: i64,
    /// By which run.
    pub run: RunId,
    /// The server's own bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_types_are_the_exports_words() {
        for key in ["saved_messages", "personal_chat", "bot_chat", "private_group", "public_supergroup", "private_channel"] {
            let kind = ChatType::from_key(key).unwrap();
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{key}\""));
            assert_eq!(kind.key(), key);
        }
        assert_eq!(ChatType::from_key("secret_chat"), None);
    }

    #[test]
    fn chat_info_survives_json() {
        let json = r#"{"v":1,"peer":"channel9","name":"Hikers","type":"private_supergroup","migrated_from":"chat4","topics":[{"id":1,"title":"General"}],"observed":5,"run":"r1","dialog":{"pinned":true}}"#;
        let chat: ChatInfo = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&chat).unwrap(), json);
    }
}
