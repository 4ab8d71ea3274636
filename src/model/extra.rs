//! What a message has and Telegram Desktop's JSON has no key for.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::peer::Peer;
use super::record::RecordError;

/// A 64-bit number written as a string of digits, as Telegram Desktop writes its `_unixtime` keys, so that readers in
/// JavaScript keep all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digits(pub i64);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// The part of another message that a reply quotes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quote {
    /// The quoted text.
    pub text: String,
    /// Its entities, in the form of `text_entities`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_entities: Option<Box<RawValue>>,
    /// Where it begins in the other message, in UTF-16 units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i32>,
}

/// A dice-like message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dice {
    /// Which kind of dice.
    pub emoji: String,
    /// What it showed.
    pub value: i32,
}

/// What a message has and Telegram Desktop's JSON has no key for. Rendering adds these keys at the end of the message's object,
/// so no name here is one of Telegram Desktop's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// The forum topic: id of the message that began it, 1 for "General".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<i64>,
    /// The album that the message belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grouped_id: Option<Digits>,
    /// How often it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<i32>,
    /// How often it was forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwards: Option<i32>,
    /// How many replies or comments it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies_count: Option<i32>,
    /// Whether the account sent it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outgoing: bool,
    /// Whether it is pinned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Whether it was sent without a sound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// Whether its edit is not shown as one (`edit_hide`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub edit_hide: bool,
    /// Whether it was sent by schedule.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_scheduled: bool,
    /// Whether forwarding it is forbidden.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_forwards: bool,
    /// Whether the media is shown below the text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invert_media: bool,
    /// Whether it has media that were not listened to or seen yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub media_unread: bool,
    /// What a reply quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_quote: Option<Quote>,
    /// The story that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to_story_id: Option<i32>,
    /// When the forwarded message was first sent, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_date_unixtime: Option<Digits>,
    /// Id of the forwarded message in its channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_message_id: Option<i64>,
    /// The author's signature at the forwarded message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_author: Option<String>,
    /// The chat that a saved message was saved from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_from_id: Option<Peer>,
    /// Its id there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_from_message_id: Option<i64>,
    /// The chat inside Saved Messages that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_peer_id: Option<Peer>,
    /// Seconds after which it destroys itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_period_seconds: Option<i32>,
    /// The business bot that sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via_business_bot_id: Option<Peer>,
    /// The animated effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect_id: Option<Digits>,
    /// How many boosts its sender gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_boosts: Option<i32>,
    /// Stars paid to send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_message_stars: Option<i64>,
    /// A die, dart, slot machine….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dice: Option<Dice>,
    /// All entities in the server's order as `[{type, offset, length, …}]`, in UTF-16 units, where they overlap:
    /// `text_entities` keeps only those that do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_entities: Option<Box<RawValue>>,
    /// The preview of a link: `{url, site_name?, title?, description?, …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_page: Option<Box<RawValue>>,
    /// The story that was shared: `{peer, id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<Box<RawValue>>,
    /// A bot's reply keyboard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_keyboard: Option<Box<RawValue>>,
    /// The reactions that the account itself gave, as `[{type, emoji | document_id}]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_reactions: Option<Box<RawValue>>,
    /// Who voted in the poll, as `[{from, from_id, date, date_unixtime, answers: [text]}]`, where that is public and was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_votes: Option<Box<RawValue>>,
    /// Name of the media's or action's TL constructor, where Telegram Desktop's JSON shows nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constructor: Option<String>,
    /// A `date` that an import holds without zone was read in the zone that this names (an assumption, not a fact).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_zone: Option<String>,
    /// The date is the earliest that fits, between the messages around it: service messages of HTML exports tell the day only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approximate_date: bool,
}

impl Extra {
    /// The keys, and those that rendering adds for files without a key, deletions and histories: what a reader of our own exports
    /// takes out again.
    pub const KEYS: [&str; 39] = [
        "topic_id",
        "grouped_id",
        "views",
        "forwards",
        "replies_count",
        "outgoing",
        "pinned",
        "silent",
        "edit_hide",
        "from_scheduled",
        "no_forwards",
        "invert_media",
        "media_unread",
        "reply_quote",
        "reply_to_story_id",
        "forwarded_date_unixtime",
        "forwarded_message_id",
        "forwarded_author",
        "saved_from_id",
        "saved_from_message_id",
        "saved_peer_id",
        "ttl_period_seconds",
        "via_business_bot_id",
        "effect_id",
        "sender_boosts",
        "paid_message_stars",
        "dice",
        "all_entities",
        "web_page",
        "story",
        "reply_keyboard",
        "own_reactions",
        "poll_votes",
        "constructor",
        "assumed_zone",
        "approximate_date",
        "attachments",
        "deleted_unixtime",
        "history",
    ];

    /// The JSON object, or `None` when there is nothing in it.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn to_raw(&self) -> Result<Option<Box<RawValue>>, RecordError> {
        let raw = serde_json::value::to_raw_value(self).map_err(RecordError::Form)?;
        Ok((raw.get() != "{}").then_some(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_extra_is_known_to_readers() {
        let source = include_str!("extra.rs");
        let body = source.split("pub struct Extra {").nth(1).unwrap().split("\n}\n").next().unwrap();
        let fields: Vec<&str> = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next()).collect();
        assert_eq!(fields, Extra::KEYS[..Extra::KEYS.len() - 3]);
    }

    #[test]
    fn extra_is_left_out_when_empty() {
        assert!(Extra::default().to_raw().unwrap().is_none());
        let extra = Extra { grouped_id: Some(Digits(i64::MAX)), outgoing: true, ..Extra::default() };
        assert_eq!(extra.to_raw().unwrap().unwrap().get(), r#"{"grouped_id":"9223372036854775807","outgoing":true}"#);
    }
}
