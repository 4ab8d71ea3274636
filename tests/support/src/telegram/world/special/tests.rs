use std::collections::BTreeSet;

use grammers_tl_types::Serializable;

use super::*;
use crate::telegram::options::Options;
use crate::telegram::world::Peer;

fn gallery(world: &World) -> impl Iterator<Item = enums::Message> {
    let chats = world.chats.iter().filter(|chat| chat.gallery);
    chats.flat_map(|chat| chat.ids().iter().filter_map(|id| world.message(chat, *id)))
}

/// The constructor numbers that begin the parts of these messages.
fn ids(parts: impl Iterator<Item = Vec<u8>>) -> BTreeSet<u32> {
    parts.filter_map(|bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?))).collect()
}

fn all_of(name: &str) -> BTreeSet<u32> {
    SCHEMA.constructors(name).iter().map(|constructor| constructor.id).collect()
}

#[test]
fn the_gallery_has_every_kind() {
    let world = World::generate(&Options::default());
    let messages: Vec<enums::Message> = gallery(&world).collect();
    let plain = || messages.iter().filter_map(|m| if let enums::Message::Message(m) = m { Some(m) } else { None });
    let actions = messages.iter().filter_map(|m| if let enums::Message::Service(m) = m { Some(m.action.to_bytes()) } else { None });
    assert_eq!(ids(actions), all_of("MessageAction"));
    assert_eq!(ids(plain().filter_map(|m| m.media.as_ref().map(Serializable::to_bytes))), all_of("MessageMedia"));
    assert_eq!(ids(plain().flat_map(|m| m.entities.iter().flatten()).map(Serializable::to_bytes)), all_of("MessageEntity"));
    assert_eq!(ids(plain().filter_map(|m| m.reply_markup.as_ref().map(Serializable::to_bytes))), all_of("ReplyMarkup"));
    assert_eq!(all_of("MessageAction").len(), 71);
    assert_eq!(all_of("MessageMedia").len(), 19);
}

#[test]
fn nested_kinds_occur_too() {
    let world = World::generate(&Options::default());
    let bytes: Vec<u8> = gallery(&world).flat_map(|message| message.to_bytes()).collect();
    // Objects begin at multiples of four.
    let words: BTreeSet<u32> = bytes.chunks_exact(4).filter_map(|word| Some(u32::from_le_bytes(*word.first_chunk()?))).collect();
    for name in [
        "PageBlock",
        "RichText",
        "InlineButtonType",
        "ButtonType",
        "WebPage",
        "Reaction",
        "StarGift",
        "MessageReplyHeader",
        "PhoneCallDiscardReason",
    ] {
        let missing: Vec<u32> = all_of(name).difference(&words).copied().collect();
        assert!(missing.is_empty(), "{name}: {missing:x?}");
    }
}

/// The reader of tl-types and the schema here agree about every special kind, in a user's chat and in a forum.
#[test]
fn every_special_reads_back() {
    let world = World::generate(&Options { seed: 7, ..Options::default() });
    for chat in world.chats.iter().filter(|chat| chat.gallery) {
        for (n, special) in Special::all().into_iter().enumerate() {
            let dice = Dice::new(&[n as u64]);
            let mut maker = Maker { world: &world, chat, dice, date: 1, force: None, full: n % 2 == 0 };
            match special {
                Special::Action(n, _) => {
                    assert!(read::<enums::MessageAction>(&maker.object("MessageAction", Some(n))).is_some(), "{special:?}")
                }
                Special::Media(n, _) => {
                    assert!(read::<enums::MessageMedia>(&maker.object("MessageMedia", Some(n))).is_some(), "{special:?}")
                }
                Special::Whole(_) => assert!(read::<enums::Message>(&maker.object("Message", Some(1))).is_some(), "{special:?}"),
                Special::Rich(name, n) => {
                    maker.force = Some((name, n));
                    assert!(read::<enums::RichMessage>(&maker.object("RichMessage", None)).is_some(), "{special:?}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn messages_follow_from_the_seed() {
    let one = World::generate(&Options::default());
    let same = World::generate(&Options::default());
    let other = World::generate(&Options { seed: 2, ..Options::default() });
    let bytes = |world: &World| -> Vec<Vec<u8>> { gallery(world).map(|message| message.to_bytes()).collect() };
    assert_eq!(bytes(&one), bytes(&same));
    assert_ne!(bytes(&one), bytes(&other));
    assert!(one.chat(Peer::User(crate::telegram::world::SELF)).is_some());
}
