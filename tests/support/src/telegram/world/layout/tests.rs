use std::collections::BTreeSet;

use grammers_tl_types::{enums, types};

use super::*;

fn options() -> Options {
    Options { messages: 20_000, chats: 400, files: 3_000, media_bytes: 3_000_000_000, gallery: false, ..Options::default() }
}

#[test]
fn there_is_as_much_as_was_asked_for() {
    let world = generate(&options());
    // Saved Messages comes on top.
    assert_eq!(world.chats.len(), 401);
    assert_eq!(world.chats.iter().map(|chat| chat.born.len()).sum::<usize>(), 20_000);
    assert!(world.chats.iter().all(|chat| !chat.born.is_empty() && chat.born.is_sorted()));
    let mut files = BTreeSet::new();
    let mut bytes = 0;
    for chat in &world.chats {
        for message in chat.ids().iter().filter_map(|id| world.message(chat, *id)) {
            let enums::Message::Message(message) = message else { continue };
            let (id, variant) = match message.media {
                Some(enums::MessageMedia::Photo(types::MessageMediaPhoto { photo: Some(photo), .. })) => (photo.id(), "y"),
                Some(enums::MessageMedia::Document(types::MessageMediaDocument { document: Some(document), .. })) => (document.id(), ""),
                _ => continue,
            };
            if files.insert(id) && (id & ((1 << 56) - 1)) < crate::telegram::files::EXTRA as i64 {
                bytes += world.files.size(id, variant).expect("a size");
            }
        }
    }
    // A chat's first message is never a file, so some are missing.
    assert!((2_800..3_200).contains(&files.len()), "{}", files.len());
    assert!((2_500_000_000..3_500_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn an_account_of_full_size_comes_from_a_seed() {
    let options = || Options { messages: 1_000_000, chats: 5_000, files: 200_000, media_bytes: 100_000_000_000, ..options() };
    let (world, again) = (generate(&options()), generate(&options()));
    assert_eq!(world.chats.len(), 5_001);
    assert_eq!(world.chats.iter().map(|chat| chat.born.len()).sum::<usize>(), 1_000_000);
    assert!(world.chats.iter().zip(&again.chats).all(|(one, other)| one.peer == other.peer && one.born == other.born));
    // Every hundredth message of each of the two is the same, and about one in five shows a file.
    let (mut looked, mut files) = (0, 0);
    for (chat, same) in world.chats.iter().zip(&again.chats) {
        for id in chat.ids().iter().filter(|id| *id % 100 == 7) {
            let message = world.message(chat, *id);
            assert_eq!(message, again.message(same, *id));
            let Some(enums::Message::Message(message)) = message else { continue };
            looked += 1;
            files += usize::from(matches!(message.media, Some(enums::MessageMedia::Photo(_) | enums::MessageMedia::Document(_))));
        }
    }
    assert!(looked > 5_000 && (looked / 7..looked / 4).contains(&files), "{files} of {looked}");
}

#[test]
fn common_ids_belong_to_one_chat_and_grow_with_time() {
    let world = generate(&options());
    for (no, chat) in world.chats.iter().enumerate() {
        let dates: Vec<i32> = chat.ids().iter().map(|id| world.date(chat, *id)).collect();
        assert!(dates.is_sorted() && dates.iter().all(|date| (world.start..=world.until).contains(date)));
        if !chat.peer.is_channel() {
            assert!(chat.ids().iter().all(|id| world.owner(*id).is_some_and(|(owner, _)| owner == no)));
        }
    }
    let holes = world.common_owner.iter().skip(1).filter(|owner| **owner == 0).count();
    assert!(holes > 100, "{holes}");
}

#[test]
fn migrated_groups_end_where_their_supergroups_begin() {
    let world = generate(&options());
    let mut pairs = 0;
    for chat in &world.chats {
        let Some(group) = chat.migrated_from.and_then(|no| world.chats.get(no)) else { continue };
        let (last, first) = (group.born.last().expect("messages"), chat.born.first().expect("messages"));
        assert!(world.date(group, *last) <= world.date(chat, *first));
        assert!(
            matches!(world.message(group, *last), Some(enums::Message::Service(m)) if matches!(m.action, enums::MessageAction::ChatMigrateTo(_)))
                || group.born.len() == 1
        );
        pairs += 1;
    }
    assert!(pairs > 10);
}

#[test]
fn every_kind_of_chat_is_there() {
    let world = generate(&options());
    let has = |want: &dyn Fn(&Chat) -> bool| world.chats.iter().any(want);
    for kind in [
        Kind::Saved,
        Kind::Private,
        Kind::Bot,
        Kind::Deleted,
        Kind::Group,
        Kind::Broadcast,
        Kind::Supergroup { forum: true },
        Kind::Supergroup { forum: false },
    ] {
        assert!(has(&|chat| chat.kind == kind && chat.listed()), "{kind:?}");
    }
    assert!(
        has(&|chat| chat.left)
            && has(&|chat| chat.archived)
            && has(&|chat| chat.protected)
            && has(&|chat| chat.public)
            && has(&|chat| chat.pinned.is_some())
    );
}

#[test]
fn few_messages_and_none_are_dealt_with() {
    for (messages, chats) in [(0, 0), (0, 5), (3, 30), (1, 1)] {
        let world = generate(&Options { messages, chats, files: 2, gallery: false, ..Options::default() });
        assert_eq!(world.chats.iter().map(|chat| chat.born.len() as u64).sum::<u64>(), messages);
    }
}
