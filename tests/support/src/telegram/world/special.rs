//! The rare kinds of messages: every constructor of the schema that a message may hold, once each in the gallery.

use grammers_tl_types::{Deserializable, enums, types};

use super::World;
use super::dice::Dice;
use super::maker::{MADE_TEXT, Maker};
use super::media::{FLAVOURS, Flavour};
use super::message::Head;
use super::schema::SCHEMA;
use crate::telegram::files::{EXTRA, FileKind, file_id};

/// What is special about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// The media with this number in the schema; with all its fields, or some.
    Media(usize, bool),
    /// The action with this number in the schema; with all its fields, or some.
    Action(usize, bool),
    /// The entity with this number in the schema.
    Entity(usize),
    /// A document of this flavour.
    Document(Flavour),
    /// A photo.
    Photo,
    /// Below the text, one constructor of this type.
    Markup(&'static str, usize),
    /// A message of blocks, one of them this constructor of this type.
    Rich(&'static str, usize),
    /// A message in which every constructor of these types occurs somewhere.
    Holds(&'static str, &'static str, usize),
    /// All fields that a message may have, or some of them.
    Whole(bool),
    /// A custom emoji, and nothing else.
    Emoji,
    /// A text of the greatest length.
    Long,
    /// No text at all.
    Bare,
}

impl Special {
    /// One of every kind.
    pub(crate) fn all() -> Vec<Self> {
        let count = |name: &str| SCHEMA.constructors(name).len();
        let mut all = vec![Self::Photo, Self::Emoji, Self::Long, Self::Bare, Self::Whole(true), Self::Whole(false)];
        all.extend(FLAVOURS.map(Self::Document));
        for full in [true, false] {
            all.extend((0..count("MessageMedia")).map(|n| Self::Media(n, full)));
            all.extend((0..count("MessageAction")).map(|n| Self::Action(n, full)));
        }
        all.extend((0..count("MessageEntity")).map(Self::Entity));
        for name in ["ReplyMarkup", "InlineButtonType", "ButtonType"] {
            all.extend((0..count(name)).map(|n| Self::Markup(name, n)));
        }
        for name in ["PageBlock", "RichText"] {
            all.extend((0..count(name)).map(|n| Self::Rich(name, n)));
        }
        for (within, name) in [
            ("MessageMedia", "WebPage"),
            ("MessageMedia", "WebPageAttribute"),
            ("MessageMedia", "MessageExtendedMedia"),
            ("MessageAction", "PhoneCallDiscardReason"),
            ("MessageAction", "StarGift"),
            ("MessageAction", "StarGiftAttribute"),
            ("MessageReactions", "Reaction"),
            ("MessageReplyHeader", "MessageReplyHeader"),
        ] {
            all.extend((0..count(name)).map(|n| Self::Holds(within, name, n)));
        }
        all
    }

    /// Those that may stand anywhere: not what speaks of the chat's own fate, which has to be true.
    pub(crate) fn anywhere() -> Vec<Self> {
        let fateful = [
            "messageActionEmpty",
            "messageActionChatCreate",
            "messageActionChannelCreate",
            "messageActionChatMigrateTo",
            "messageActionChannelMigrateFrom",
            "messageActionTopicCreate",
            "messageActionHistoryClear",
        ];
        let actions = SCHEMA.constructors("MessageAction");
        let is_fateful = |n: usize| actions.get(n).is_some_and(|action| fateful.contains(&action.name.as_str()));
        Self::all().into_iter().filter(|special| !matches!(special, Self::Action(n, _) if is_fateful(*n))).collect()
    }
}

/// Where a forced type is found: the constructor around it.
fn around(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "WebPage" | "WebPageAttribute" => ("MessageMedia", "messageMediaWebPage"),
        "MessageExtendedMedia" => ("MessageMedia", "messageMediaPaidMedia"),
        "PhoneCallDiscardReason" => ("MessageAction", "messageActionPhoneCall"),
        "StarGift" => ("MessageAction", "messageActionStarGift"),
        "StarGiftAttribute" => ("MessageAction", "messageActionStarGiftUnique"),
        _ => return None,
    })
}

fn number(name: &str, constructor: &str) -> Option<usize> {
    SCHEMA.constructors(name).iter().position(|known| known.name == constructor)
}

impl World {
    /// The message of a special kind. Everything in it is made from the schema; what does not read back is left out,
    /// and a test holds that this never happens.
    pub(crate) fn special(&self, special: Special, head: Head<'_>, dice: Dice) -> enums::Message {
        let (date, chat) = (head.date, head.chat);
        let serial = EXTRA + 2000 + head.id as u64 % 10_000;
        let mut maker = Maker { world: self, chat, dice, date, force: None, full: false };
        let message = match special {
            Special::Action(n, full) => {
                maker.full = full;
                let bytes = maker.object("MessageAction", Some(n));
                return head.service(read(&bytes).unwrap_or(enums::MessageAction::Empty));
            }
            Special::Holds("MessageAction", name, n) => {
                maker.force = Some((name, n));
                maker.full = true;
                let constructor = around(name).and_then(|(within, constructor)| number(within, constructor));
                let bytes = maker.object("MessageAction", constructor);
                return head.service(read(&bytes).unwrap_or(enums::MessageAction::Empty));
            }
            Special::Whole(full) => {
                maker.full = full;
                let bytes = maker.object("Message", number("Message", "message"));
                let Some(enums::Message::Message(mut whole)) = read(&bytes) else { return head.text().into() };
                let head = head.text();
                (whole.id, whole.date, whole.out) = (head.id, head.date, head.out);
                (whole.peer_id, whole.from_id) = (head.peer_id, head.from_id);
                make_whole(&mut whole);
                return whole.into();
            }
            Special::Media(n, full) => {
                maker.full = full;
                let mut message = head.text();
                message.media = read(&maker.object("MessageMedia", Some(n)));
                message
            }
            Special::Holds("MessageMedia", name, n) => {
                maker.force = Some((name, n));
                maker.full = true;
                let constructor = around(name).and_then(|(within, constructor)| number(within, constructor));
                let mut message = head.text();
                message.message = MADE_TEXT.into();
                message.media = read(&maker.object("MessageMedia", constructor));
                message
            }
            Special::Holds(within, name, n) => {
                maker.force = Some((name, n));
                maker.full = true;
                let mut message = head.text();
                message.message = MADE_TEXT.into();
                match within {
                    "MessageReactions" => message.reactions = read(&maker.object(within, Some(0))),
                    _ => message.reply_to = read(&maker.object(within, Some(n))),
                }
                message
            }
            Special::Entity(n) => {
                let mut message = head.text();
                message.message = MADE_TEXT.into();
                message.entities = read(&maker.object("MessageEntity", Some(n))).map(|entity| vec![entity]);
                message
            }
            Special::Markup(name, n) => {
                let (constructor, force) = match name {
                    "InlineButtonType" => (number("ReplyMarkup", "replyInlineMarkup"), Some((name, n))),
                    "ButtonType" => (number("ReplyMarkup", "replyKeyboardMarkup"), Some((name, n))),
                    _ => (Some(n), None),
                };
                maker.force = force;
                let mut message = head.text();
                message.message = MADE_TEXT.into();
                message.reply_markup = read(&maker.object("ReplyMarkup", constructor));
                message
            }
            Special::Rich(name, n) => {
                maker.force = Some((name, n));
                let mut message = head.text();
                message.message = MADE_TEXT.into();
                message.rich_message = read(&maker.object("RichMessage", Some(0)));
                make_whole(&mut message);
                message
            }
            Special::Document(flavour) => {
                let mut message = head.text();
                message.media = Some(self.document_media(file_id(FileKind::Document, serial), flavour, date));
                message
            }
            Special::Photo => {
                let mut message = head.text();
                message.message = "A caption".into();
                message.media = Some(self.photo_media(file_id(FileKind::Photo, serial), date));
                message
            }
            Special::Emoji => {
                let mut message = head.text();
                message.message = "🦀".into();
                let entity = types::MessageEntityCustomEmoji { offset: 0, length: 2, document_id: file_id(FileKind::Emoji, serial % 200) };
                message.entities = Some(vec![entity.into()]);
                message
            }
            Special::Long => {
                let mut message = head.text();
                message.message = "0123456789abcde ".repeat(256);
                message
            }
            Special::Bare => head.text(),
        };
        message.into()
    }
}

fn read<T: Deserializable>(bytes: &[u8]) -> Option<T> {
    T::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests;

/// Takes the mark of a part from a rich message: whether it comes in part is the request's matter.
fn make_whole(message: &mut types::Message) {
    if let Some(enums::RichMessage::Message(rich)) = &mut message.rich_message {
        rich.part = false;
    }
}
