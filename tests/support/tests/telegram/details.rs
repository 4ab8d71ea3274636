//! What chats and the account have beside histories, asked for by a client that is not ours.

use grammers_tl_types::{enums, functions as f};
use tgvault_test_support::telegram::{Kind, Mutation, Options, Peer, TelegramServer};

use crate::client::{input_peer, log_in, messages_of, rpc_error};

fn small() -> Options {
    Options { messages: 200, chats: 12, files: 0, media_bytes: 0, gallery: false, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_gifts_albums_and_ready_answers() {
    let server = TelegramServer::start(small()).expect("starts");
    let client = log_in(&server).await;
    let enums::Updates::Updates(drafts) = client.invoke(&f::messages::GetAllDrafts {}).await.expect("drafts") else { panic!("updates") };
    assert_eq!(drafts.updates.len(), 3);
    let mut gifts = f::payments::GetSavedStarGifts {
        exclude_unsaved: false,
        exclude_saved: false,
        exclude_unlimited: false,
        exclude_unique: false,
        sort_by_value: false,
        exclude_upgradable: false,
        exclude_unupgradable: false,
        peer_color_available: false,
        exclude_hosted: false,
        peer: enums::InputPeer::PeerSelf,
        collection_id: None,
        offset: String::new(),
        limit: 100,
    };
    let enums::payments::SavedStarGifts::Gifts(first) = client.invoke(&gifts).await.expect("gifts");
    gifts.offset = first.next_offset.expect("more");
    let enums::payments::SavedStarGifts::Gifts(last) = client.invoke(&gifts).await.expect("gifts");
    assert_eq!((first.gifts.len() + last.gifts.len(), last.next_offset), (first.count as usize, None));
    let albums = f::stories::GetAlbums { peer: enums::InputPeer::PeerSelf, hash: 0 };
    let enums::stories::Albums::Albums(albums) = client.invoke(&albums).await.expect("albums") else { panic!("albums") };
    assert_eq!(albums.albums.len(), 2);
    let replies = client.invoke(&f::messages::GetQuickReplies { hash: 0 }).await.expect("answers");
    let enums::messages::QuickReplies::Replies(replies) = replies else { panic!("answers") };
    for enums::QuickReply::Reply(reply) in replies.quick_replies {
        let request = f::messages::GetQuickReplyMessages { shortcut_id: reply.shortcut_id, id: None, hash: 0 };
        assert_eq!(messages_of(client.invoke(&request).await.expect("messages")).len(), reply.count as usize);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_chats_say_of_themselves_and_what_is_done_there() {
    let server = TelegramServer::start(small()).expect("starts");
    let client = log_in(&server).await;
    let group = server.chats().into_iter().find(|chat| chat.kind == Kind::Supergroup { forum: false }).expect("a group");
    let describe = Mutation::Describe { peer: group.peer, about: "new".into(), pinned: Some(3) };
    server.mutate(&describe).expect("described");
    let Peer::Channel(channel_id) = group.peer else { panic!("no channel") };
    let channel: enums::InputChannel = grammers_tl_types::types::InputChannel { channel_id, access_hash: group.access_hash }.into();
    let full = client.invoke(&f::channels::GetFullChannel { channel: channel.clone() }).await.expect("described");
    let enums::messages::ChatFull::Full(full) = full;
    let enums::ChatFull::ChannelFull(full) = full.full_chat else { panic!("no channel") };
    assert_eq!((full.about.as_str(), full.pinned_msg_id), ("new", Some(3)));
    let log = |max_id: i64, min_id: i64| f::channels::GetAdminLog {
        channel: channel.clone(),
        q: String::new(),
        events_filter: None,
        admins: None,
        max_id,
        min_id,
        limit: 100,
    };
    let ids = |answer: enums::channels::AdminLogResults| -> Vec<i64> {
        let enums::channels::AdminLogResults::Results(page) = answer;
        page.events.into_iter().map(|enums::ChannelAdminLogEvent::Event(event)| event.id).collect()
    };
    assert_eq!(ids(client.invoke(&log(0, 0)).await.expect("a page")), (21..=120).rev().collect::<Vec<_>>());
    assert_eq!(ids(client.invoke(&log(21, 18)).await.expect("a page")), [20, 19]);
    let saved = server.chats().into_iter().find(|chat| chat.kind == Kind::Saved).expect("saved messages");
    let later = f::messages::GetScheduledHistory { peer: enums::InputPeer::PeerSelf, hash: 0 };
    assert_eq!(messages_of(client.invoke(&later).await.expect("messages")).len(), 2, "{saved:?}");
    let id = server.message_ids(group.peer)[0];
    let votes = f::messages::GetPollVotes { peer: input_peer(&group), id, option: None, offset: None, limit: 10 };
    assert_eq!(rpc_error(client.invoke(&votes).await), "MESSAGE_ID_INVALID");
}
