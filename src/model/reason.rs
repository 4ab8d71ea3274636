//! Why something is missing, and what else was met on the way: data with a tag, of which a sentence is made when it is shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Why something of a chat or an account is missing. `error` is always the server's own word, or that of the connection.
///
/// Stored as an object whose `reason` is the tag. Records of before have sentences in its place ([`Reason::Words`]), and later versions may
/// have tags that this one does not know ([`Reason::Unknown`]): both are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
#[non_exhaustive]
pub enum Reason {
    /// The list of chats names a chat without describing it.
    NotDescribed,
    /// The history was refused.
    HistoryNotRead {
        /// Why.
        error: String,
    },
    /// Messages that had to be read again were refused.
    RecentNotRead {
        /// Why.
        error: String,
    },
    /// The topics of a forum were refused.
    TopicsNotRead {
        /// Why.
        error: String,
    },
    /// A part of the chat beside its messages was not read.
    PartNotRead {
        /// Its key.
        part: String,
        /// Why.
        error: String,
    },
    /// A message of a later schema lies somewhere here.
    Unreadable {
        /// The lowest id that it may have.
        first: i64,
        /// The highest.
        last: i64,
    },
    /// Stretches of history that nobody paged over.
    Gaps {
        /// How many.
        count: u64,
    },
    /// Only messages of a period were asked for.
    PeriodOnly,
    /// Only the account's own messages are held.
    OwnOnly,
    /// The server's count of messages is higher than what it returned.
    NotReturned {
        /// By how many.
        count: u64,
    },
    /// The server's count of messages is lower than what it returned.
    CountedFewer {
        /// By how many.
        count: u64,
    },
    /// The list of chats names a newer message than the history has.
    NewestNotServed {
        /// Which one.
        id: i64,
    },
    /// Long messages of which only the beginning is held.
    InPart {
        /// How many.
        count: u64,
    },
    /// A list is shorter than the server's count of what is in it.
    ListShort {
        /// By how many.
        count: u64,
    },
    /// Files could not be fetched.
    FilesNotFetched {
        /// How many.
        count: u64,
        /// Why.
        error: String,
    },
    /// Telegram ended the takeout without which it does not give this part.
    TakeoutEnded,
    /// Telegram refused this part.
    NotGiven {
        /// Why.
        error: String,
    },
    /// The channels and groups that were left could not be listed.
    LeftChatsNotListed {
        /// Why.
        error: String,
    },
    /// Chats of the list that could not be read from it.
    ChatsNotRead {
        /// How many.
        count: u64,
    },
    /// Telegram no longer lists the chat.
    NotListed,
    /// The chat is closed to the account, so only its own messages were asked for.
    NoAccess,
    /// A forum without topics, says the server.
    NoTopics,
    /// The server does not list the changes since the last run, so recent messages were read again.
    TooManyChanges,
    /// Messages are no longer shown, and the server does not say whether they were deleted.
    MaybeDeleted,
    /// Messages that went while the chat was read, before their turn came.
    DeletedMeanwhile {
        /// How many.
        count: u64,
    },
    /// Media of a kind that this version cannot read.
    UnsupportedMedia {
        /// In how many messages.
        count: u64,
    },
    /// Messages of which it could not be read who else reacted.
    ReactorsNotRead {
        /// How many.
        count: u64,
        /// Why.
        error: String,
    },
    /// Polls of which it could not be read who voted.
    VotersNotRead {
        /// How many.
        count: u64,
        /// Why.
        error: String,
    },
    /// A sentence, as versions before this form wrote it.
    #[serde(untagged)]
    Words(String),
    /// A reason of a later version, as it is stored.
    #[serde(untagged)]
    Unknown(Map<String, Value>),
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl Reason {
    /// Whether numbers of the server's own disagree with what it served.
    pub fn is_disagreement(&self) -> bool {
        matches!(self, Self::NotReturned { .. } | Self::CountedFewer { .. } | Self::NewestNotServed { .. } | Self::ListShort { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDescribed => f.write_str("Telegram lists this chat without saying what it is"),
            Self::HistoryNotRead { error } => write!(f, "its history cannot be read ({error})"),
            Self::RecentNotRead { error } => write!(f, "its recent messages cannot be read again ({error})"),
            Self::TopicsNotRead { error } => write!(f, "its topics cannot be read ({error})"),
            Self::PartNotRead { part, error } => write!(f, "its {} cannot be read ({error})", part.replace('_', " ")),
            Self::Unreadable { first, last } => {
                write!(f, "a message between the ids {first} and {last} cannot be read by this version")
            }
            Self::Gaps { count } => {
                let were = if *count == 1 { "was" } else { "were" };
                write!(f, "{} of its history {were} not read", counted(*count, "stretch", "stretches"))
            }
            Self::PeriodOnly => f.write_str("only messages of a period were asked for"),
            Self::OwnOnly => f.write_str("only the account's own messages are held"),
            Self::NotReturned { count } => write!(f, "the server counts {} more than it returned", counted(*count, "message", "messages")),
            Self::CountedFewer { count } => {
                write!(f, "the server counts {} fewer than it returned", counted(*count, "message", "messages"))
            }
            Self::NewestNotServed { id } => {
                write!(f, "the list of chats names message {id} as the newest, which its history does not have")
            }
            Self::InPart { count } => write!(f, "{} held in part", counted(*count, "long message is", "long messages are")),
            Self::ListShort { count } => write!(f, "the server counts {} more than it listed", counted(*count, "entry", "entries")),
            Self::FilesNotFetched { count, error } => {
                write!(f, "{} could not be fetched ({error})", counted(*count, "file", "files"))
            }
            Self::TakeoutEnded => f.write_str("Telegram ended the takeout, without which it does not give it"),
            Self::NotGiven { error } => write!(f, "Telegram does not give it ({error})"),
            Self::LeftChatsNotListed { error } => write!(f, "the channels and groups that you left cannot be listed ({error})"),
            Self::ChatsNotRead { count } => write!(f, "{count} of the chats in the list could not be read"),
            Self::NotListed => f.write_str("it is no longer in the chat list"),
            Self::NoAccess => f.write_str("no access to this chat: only your own messages are requested"),
            Self::NoTopics => f.write_str("Telegram says that it has no topics"),
            Self::TooManyChanges => f.write_str("too many changes since the last run: recent messages were reread"),
            Self::MaybeDeleted => f.write_str("some messages are no longer shown, and Telegram does not say whether they were deleted"),
            Self::DeletedMeanwhile { count } => {
                write!(f, "{} deleted while it was read, before their turn came", counted(*count, "message was", "messages were"))
            }
            Self::UnsupportedMedia { count } => {
                let have = counted(*count, "message has", "messages have");
                write!(f, "{have} media that this version cannot read; a later one asks again")
            }
            Self::ReactorsNotRead { count, error } => {
                write!(f, "who reacted could not be read for {} ({error})", counted(*count, "message", "messages"))
            }
            Self::VotersNotRead { count, error } => {
                write!(f, "who voted could not be read for {} ({error})", counted(*count, "poll", "polls"))
            }
            Self::Words(words) => f.write_str(words),
            Self::Unknown(fields) => {
                let tag = fields.get("reason").and_then(Value::as_str).unwrap_or("unknown");
                write!(f, "{} (a newer tgvault knows more)", tag.replace('_', " "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_objects_and_those_of_before_and_after_are_kept() {
        let files = Reason::FilesNotFetched { count: 2, error: "FILE_ID_INVALID".into() };
        let json = r#"{"reason":"files_not_fetched","count":2,"error":"FILE_ID_INVALID"}"#;
        assert_eq!(serde_json::to_string(&files).unwrap(), json);
        assert_eq!(files.to_string(), "2 files could not be fetched (FILE_ID_INVALID)");
        assert_eq!(serde_json::to_string(&Reason::OwnOnly).unwrap(), r#"{"reason":"own_only"}"#);
        let later = r#"{"degrees":900,"reason":"server_on_fire"}"#;
        for stored in [json, r#"{"reason":"own_only"}"#, "\"2 files failed\"", later] {
            let reason: Reason = serde_json::from_str(stored).unwrap();
            assert_eq!(serde_json::to_string(&reason).unwrap(), stored);
        }
        let later: Reason = serde_json::from_str(later).unwrap();
        assert_eq!(later.to_string(), "server on fire (a newer tgvault knows more)");
        assert_eq!(Reason::Words("2 files failed".into()).to_string(), "2 files failed");
        assert_eq!(Reason::NotReturned { count: 1 }.to_string(), "the server counts 1 message more than it returned");
    }
}
