//! Everything of an account besides its histories.

use std::collections::BTreeSet;

use grammers_client::Client;
use grammers_tl_types::{enums, functions as f, types};
use tgvault_test_support::telegram::{ChatInfo, Kind, Mutation, Options, Peer, SELF, TelegramServer};

use crate::client::{history, input_peer, log_in, messages_of, rpc_error};

async fn start(options: Options) -> (TelegramServer, Client) {
    let server = TelegramServer::start(options).expect("starts");
    let client = log_in(&server).await;
    (server, client)
}

fn find(server: &TelegramServer, want: impl Fn(&ChatInfo) -> bool) -> ChatInfo {
    server.chats().into_iter().find(want).expect("there is such a chat")
}

fn me() -> enums::InputUser {
    enums::InputUser::UserSelf
}

/// All dialogs by pages of this size, with the folder asked for.
async fn dialogs(client: &Client, folder_id: Option<i32>, limit: i32) -> Vec<Peer> {
    let (mut all, mut place) = (Vec::new(), (0, 0, enums::InputPeer::Empty));
    loop {
        let request = f::messages::GetDialogs {
            exclude_pinned: false,
            folder_id,
            offset_date: place.0,
            offset_id: place.1,
            offset_peer: place.2.clone(),
            limit,
            hash: 0,
        };
        let (page, messages, chats, users, whole) = match client.invoke(&request).await.expect("a page") {
            enums::messages::Dialogs::Dialogs(d) => (d.dialogs, d.messages, d.chats, d.users, true),
            enums::messages::Dialogs::Slice(d) => (d.dialogs, d.messages, d.chats, d.users, false),
            enums::messages::Dialogs::NotModified(_) => panic!("not asked for"),
        };
        let Some(enums::Dialog::Dialog(last)) = page.last() else { return all };
        let peer = Peer::from_tl(&last.peer);
        let date = messages.iter().find_map(|message| match message {
            enums::Message::Message(m) if m.id == last.top_message && Peer::from_tl(&m.peer_id) == peer => Some(m.date),
            enums::Message::Service(m) if m.id == last.top_message && Peer::from_tl(&m.peer_id) == peer => Some(m.date),
            _ => None,
        });
        let hash = |id: i64| match (peer, users.iter().find(|u| u.id() == id), chats.iter().find(|c| c.id() == id)) {
            (Peer::User(_), Some(enums::User::User(user)), _) => user.access_hash.unwrap_or(0),
            (Peer::Channel(_), _, Some(enums::Chat::Channel(channel))) => channel.access_hash.unwrap_or(0),
            _ => 0,
        };
        let input = match peer {
            Peer::User(user_id) => types::InputPeerUser { user_id, access_hash: hash(user_id) }.into(),
            Peer::Group(chat_id) => types::InputPeerChat { chat_id }.into(),
            Peer::Channel(channel_id) => types::InputPeerChannel { channel_id, access_hash: hash(channel_id) }.into(),
        };
        place = (date.expect("the last message comes along"), last.top_message, input);
        all.extend(page.iter().map(|dialog| match dialog {
            enums::Dialog::Dialog(d) => Peer::from_tl(&d.peer),
            other => panic!("unexpected {other:?}"),
        }));
        if whole {
            return all;
        }
    }
}

#[tokio::test]
async fn dialogs_come_once_whatever_the_page() {
    let (server, client) = start(Options { chats: 250, messages: 4_000, ..Options::default() }).await;
    let of =
        |want: fn(&ChatInfo) -> bool| -> BTreeSet<Peer> { server.chats().iter().filter(|c| c.listed && want(c)).map(|c| c.peer).collect() };
    let (all, main, archive) = (of(|_| true), of(|c| !c.archived), of(|c| c.archived));
    assert!(archive.len() > 10 && main.len() > 150);
    for (folder, expected) in [(None, &all), (Some(0), &main), (Some(1), &archive)] {
        for limit in [7, 100] {
            let got = dialogs(&client, folder, limit).await;
            assert_eq!(got.len(), expected.len(), "folder {folder:?}, pages of {limit}");
            assert_eq!(&got.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
    let enums::messages::PeerDialogs::Dialogs(pinned) =
        client.invoke(&f::messages::GetPinnedDialogs { folder_id: 0 }).await.expect("pinned");
    assert_eq!(pinned.dialogs.len(), 3);
    let enums::messages::DialogFilters::Filters(filters) = client.invoke(&f::messages::GetDialogFilters {}).await.expect("filters");
    assert_eq!(filters.filters.len(), 3);
}

#[tokio::test]
async fn users_that_are_empty_or_deleted() {
    let (server, client) = start(Options { empty_users: 2, ..Options::default() }).await;
    let page = client
        .invoke(&f::messages::GetDialogs {
            exclude_pinned: false,
            folder_id: None,
            offset_date: 0,
            offset_id: 0,
            offset_peer: enums::InputPeer::Empty,
            limit: 100,
            hash: 0,
        })
        .await
        .expect("a page");
    let enums::messages::Dialogs::Dialogs(page) = page else { panic!("all fit on a page") };
    let empty = page.users.iter().filter(|user| matches!(user, enums::User::Empty(_))).count();
    let deleted = page.users.iter().filter(|user| matches!(user, enums::User::User(u) if u.deleted)).count();
    assert_eq!((empty, deleted), (2, 1));
    assert_eq!(find(&server, |chat| chat.kind == Kind::Deleted).title, "");
}

#[tokio::test]
async fn searches_find_what_is_there() {
    let (server, client) = start(Options { messages: 4_000, chats: 30, files: 400, ..Options::default() }).await;
    let chat = server
        .chats()
        .into_iter()
        .filter(|c| c.listed && c.kind == Kind::Supergroup { forum: false })
        .max_by_key(|c| c.messages)
        .expect("one");
    let truth: Vec<enums::Message> = server.message_ids(chat.peer).into_iter().filter_map(|id| server.message(chat.peer, id)).collect();
    let ask = |from_id, filter, min_date, max_date, offset_id| f::messages::Search {
        peer: input_peer(&chat),
        q: String::new(),
        from_id,
        saved_peer_id: None,
        saved_reaction: None,
        top_msg_id: None,
        filter,
        min_date,
        max_date,
        offset_id,
        add_offset: -100,
        limit: 100,
        max_id: 0,
        min_id: 0,
        hash: 0,
    };
    let ids = |messages: Vec<enums::Message>| messages.iter().rev().map(enums::Message::id).collect::<Vec<_>>();
    let expected = |want: &dyn Fn(&types::Message) -> bool| -> Vec<i32> {
        truth.iter().filter_map(|m| if let enums::Message::Message(m) = m { want(m).then_some(m.id) } else { None }).take(100).collect()
    };
    let photos = ask(None, enums::MessagesFilter::InputMessagesFilterPhotos, 0, 0, 1);
    let found = ids(messages_of(client.invoke(&photos).await.expect("found")));
    assert_eq!(found, expected(&|m| matches!(m.media, Some(enums::MessageMedia::Photo(_)))));
    assert!(!found.is_empty());
    let dates = ask(None, enums::MessagesFilter::InputMessagesFilterEmpty, 1_700_000_000, 1_750_000_000, 1);
    let found = ids(messages_of(client.invoke(&dates).await.expect("found")));
    let between: Vec<i32> = truth
        .iter()
        .filter(|m| {
            let date = match m {
                enums::Message::Message(m) => m.date,
                enums::Message::Service(m) => m.date,
                enums::Message::Empty(_) => 0,
            };
            date > 1_700_000_000 && date < 1_750_000_000
        })
        .map(enums::Message::id)
        .take(100)
        .collect();
    assert_eq!(found, between);
    assert!(!between.is_empty());

    // One's own messages, after leaving: history is closed, search is not.
    let Peer::Channel(channel) = chat.peer else { panic!("a channel") };
    server.mutate(&Mutation::Leave { channel }).expect("left");
    assert_eq!(rpc_error(client.invoke(&history(input_peer(&chat), 0, 0, 10)).await), "CHANNEL_PRIVATE");
    let own = messages_of(
        client
            .invoke(&ask(Some(enums::InputPeer::PeerSelf), enums::MessagesFilter::InputMessagesFilterEmpty, 0, 0, 1))
            .await
            .expect("found"),
    );
    assert!(!own.is_empty());
    assert!(own.iter().all(|m| match m {
        enums::Message::Message(m) => m.out,
        enums::Message::Service(m) => m.out,
        enums::Message::Empty(_) => false,
    }));
    assert_eq!(rpc_error(client.invoke(&ask(None, enums::MessagesFilter::InputMessagesFilterEmpty, 0, 0, 1)).await), "CHANNEL_PRIVATE");
}

#[tokio::test]
async fn forums_have_topics() {
    let (server, client) = start(Options::default()).await;
    let chat = find(&server, |chat| chat.kind == Kind::Supergroup { forum: true } && chat.messages > 100);
    let Peer::Channel(channel) = chat.peer else { panic!("a channel") };
    let new = server.mutate(&Mutation::NewTopic { channel, title: "Neues Thema".into() }).expect("begun").ids[0];
    let inside = Mutation::Send { peer: chat.peer, text: "first!".into(), out: true, reply_to: Some(new), file: None };
    let inside = server.mutate(&inside).expect("sent").ids[0];
    let ask = |offset_topic, limit| f::messages::GetForumTopics {
        peer: input_peer(&chat),
        q: None,
        offset_date: 0,
        offset_id: 0,
        offset_topic,
        limit,
    };
    let mut topics = Vec::new();
    loop {
        let after = topics.last().map_or(0, |topic: &types::ForumTopic| topic.id);
        let enums::messages::ForumTopics::Topics(page) = client.invoke(&ask(after, 3)).await.expect("topics");
        assert_eq!(page.count, 7);
        if page.topics.is_empty() {
            break;
        }
        topics.extend(page.topics.into_iter().map(|topic| match topic {
            enums::ForumTopic::Topic(topic) => topic,
            enums::ForumTopic::Deleted(_) => panic!("none is deleted"),
        }));
    }
    assert_eq!(topics.iter().map(|topic| topic.id).collect::<BTreeSet<_>>().len(), 7);
    assert_eq!((topics[0].id, topics[0].top_message, topics[0].title.as_str()), (new, inside, "Neues Thema"));
    let Some(enums::Message::Message(message)) = server.message(chat.peer, inside) else { panic!("a message") };
    let Some(enums::MessageReplyHeader::Header(header)) = message.reply_to else { panic!("a header") };
    assert!(header.forum_topic && header.reply_to_msg_id == Some(new));
}

#[tokio::test]
async fn profile_contacts_sessions_and_stories() {
    let (server, client) = start(Options::default()).await;
    let enums::users::UserFull::Full(full) = client.invoke(&f::users::GetFullUser { id: me() }).await.expect("me");
    let enums::UserFull::Full(full) = full.full_user;
    assert_eq!((full.id, full.birthday.is_some(), full.profile_photo.is_some()), (SELF, true, true));

    let photos = |max_id, limit| f::photos::GetUserPhotos { user_id: me(), offset: 0, max_id, limit };
    let enums::photos::Photos::Slice(count) = client.invoke(&photos(0, 0)).await.expect("a count") else { panic!("a slice") };
    assert_eq!((count.count, count.photos.len()), (5, 0));
    let enums::photos::Photos::Slice(first) = client.invoke(&photos(0, 2)).await.expect("photos") else { panic!("a slice") };
    let enums::photos::Photos::Slice(rest) = client.invoke(&photos(first.photos[1].id(), 100)).await.expect("photos") else {
        panic!("a slice")
    };
    assert_eq!(first.photos.iter().chain(&rest.photos).map(enums::Photo::id).collect::<BTreeSet<_>>().len(), 5);

    let enums::contacts::Contacts::Contacts(contacts) = client.invoke(&f::contacts::GetContacts { hash: 0 }).await.expect("contacts")
    else {
        panic!("contacts")
    };
    assert!(!contacts.contacts.is_empty());
    assert_eq!(contacts.users.len(), contacts.contacts.len());
    let top = f::contacts::GetTopPeers {
        correspondents: true,
        bots_pm: false,
        bots_inline: true,
        phone_calls: true,
        forward_users: false,
        forward_chats: false,
        groups: false,
        channels: false,
        bots_app: false,
        bots_guestchat: false,
        offset: 0,
        limit: 100,
        hash: 0,
    };
    let enums::contacts::TopPeers::Peers(top) = client.invoke(&top).await.expect("top peers") else { panic!("top peers") };
    assert_eq!(top.categories.len(), 3);

    let enums::account::Authorizations::Authorizations(sessions) =
        client.invoke(&f::account::GetAuthorizations {}).await.expect("sessions");
    assert_eq!(sessions.authorizations.len(), 3);
    let enums::account::WebAuthorizations::Authorizations(sites) =
        client.invoke(&f::account::GetWebAuthorizations {}).await.expect("sites");
    assert_eq!(sites.authorizations.len(), 2);

    let archive = |offset_id, limit| f::stories::GetStoriesArchive { peer: enums::InputPeer::PeerSelf, offset_id, limit };
    let enums::stories::Stories::Stories(first) = client.invoke(&archive(0, 5)).await.expect("stories");
    assert_eq!((first.count, first.stories.len()), (12, 5));
    let enums::stories::Stories::Stories(rest) = client.invoke(&archive(first.stories[4].id(), 100)).await.expect("stories");
    assert_eq!(rest.stories.len(), 7);

    let channel = find(&server, |chat| chat.kind == Kind::Broadcast && chat.listed);
    let resolve = f::contacts::ResolveUsername { username: format!("channel{}", channel.peer.id()), referer: None };
    let enums::contacts::ResolvedPeer::Peer(found) = client.invoke(&resolve).await.expect("found");
    assert_eq!(Peer::from_tl(&found.peer), channel.peer);
    let nobody = f::contacts::ResolveUsername { username: "user99999".into(), referer: None };
    assert_eq!(rpc_error(client.invoke(&nobody).await), "USERNAME_NOT_OCCUPIED");
}

#[tokio::test]
async fn reactions_can_be_listed() {
    let (server, client) = start(Options::default()).await;
    let chat = find(&server, |chat| chat.kind == Kind::Supergroup { forum: false } && chat.listed && chat.messages > 20);
    let sent = Mutation::Send { peer: chat.peer, text: "look".into(), out: true, reply_to: None, file: None };
    let id = server.mutate(&sent).expect("sent").ids[0];
    for _ in 0..3 {
        server.mutate(&Mutation::React { peer: chat.peer, id, emoji: "👍".into() }).expect("reacted");
    }
    let enums::Updates::Updates(updates) =
        client.invoke(&f::messages::GetMessagesReactions { peer: input_peer(&chat), id: vec![id] }).await.expect("reactions")
    else {
        panic!("updates")
    };
    let [enums::Update::MessageReactions(update)] = &updates.updates[..] else { panic!("one update") };
    let enums::MessageReactions::Reactions(reactions) = &update.reactions;
    assert!(matches!(&reactions.results[..], [enums::ReactionCount::Count(c)] if c.count == 3));
    let list = f::messages::GetMessageReactionsList { peer: input_peer(&chat), id, reaction: None, offset: None, limit: 2 };
    let enums::messages::MessageReactionsList::List(page) = client.invoke(&list).await.expect("a page");
    assert_eq!((page.count, page.reactions.len()), (3, 2));
    let list = f::messages::GetMessageReactionsList { offset: page.next_offset, ..list };
    let enums::messages::MessageReactionsList::List(page) = client.invoke(&list).await.expect("a page");
    assert_eq!((page.reactions.len(), page.next_offset), (1, None));
}

#[tokio::test]
async fn custom_emoji_and_single_messages() {
    let (server, client) = start(Options::default()).await;
    let gallery =
        server.chats().into_iter().filter(|chat| chat.kind == Kind::Private).max_by_key(|chat| chat.messages).expect("the gallery");
    let ids = server.message_ids(gallery.peer);
    let emoji: Vec<i64> = ids
        .iter()
        .filter_map(|id| server.message(gallery.peer, *id))
        .filter_map(|m| if let enums::Message::Message(m) = m { m.entities } else { None })
        .flatten()
        .filter_map(|entity| if let enums::MessageEntity::CustomEmoji(e) = entity { Some(e.document_id) } else { None })
        .collect();
    let found = client.invoke(&f::messages::GetCustomEmojiDocuments { document_id: emoji.clone() }).await.expect("documents");
    assert!(!emoji.is_empty());
    assert_eq!(found.iter().map(enums::Document::id).collect::<Vec<_>>(), emoji);

    let wanted: Vec<i32> = vec![ids[3], i32::MAX, ids[0]];
    let request = f::messages::GetMessages { id: wanted.iter().map(|id| types::InputMessageId { id: *id }.into()).collect() };
    let got = messages_of(client.invoke(&request).await.expect("messages"));
    assert_eq!(got.iter().map(enums::Message::id).collect::<Vec<_>>(), wanted);
    assert!(matches!(got[1], enums::Message::Empty(_)));
    assert_eq!(got[0], server.message(gallery.peer, ids[3]).expect("a message"));
}
