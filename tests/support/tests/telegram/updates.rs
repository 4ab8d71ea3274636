use grammers_tl_types::{enums, functions as f, types};
use tgvault_test_support::telegram::{Kind, Mutation, Options, Peer, SELF, TelegramServer};

use crate::client::{history, input_peer, log_in, messages_of, rpc_error};

fn difference(pts: i32, date: i32) -> f::updates::GetDifference {
    f::updates::GetDifference { pts, pts_limit: None, pts_total_limit: None, date, qts: 0, qts_limit: None }
}

fn send(peer: Peer, text: &str) -> Mutation {
    Mutation::Send { peer, text: text.into(), out: false, reply_to: None, file: None }
}

struct Told {
    new: Vec<i32>,
    edited: Vec<i32>,
    deleted: Vec<i32>,
    channels: Vec<i64>,
    pts: i32,
    last: bool,
}

fn told(answer: enums::updates::Difference) -> Told {
    let (new, other, state, last) = match answer {
        enums::updates::Difference::Difference(d) => (d.new_messages, d.other_updates, d.state, true),
        enums::updates::Difference::Slice(d) => (d.new_messages, d.other_updates, d.intermediate_state, false),
        other => panic!("a difference was due: {other:?}"),
    };
    let enums::updates::State::State(state) = state;
    let mut told =
        Told { new: new.iter().map(enums::Message::id).collect(), edited: vec![], deleted: vec![], channels: vec![], pts: state.pts, last };
    for update in other {
        match update {
            enums::Update::EditMessage(u) => told.edited.push(u.message.id()),
            enums::Update::DeleteMessages(u) => told.deleted.extend(u.messages),
            enums::Update::ChannelTooLong(u) => told.channels.push(u.channel_id),
            other => panic!("unexpected {other:?}"),
        }
    }
    told
}

#[tokio::test]
async fn private_chats_and_groups_share_one_difference() {
    let server = TelegramServer::start(Options::default()).expect("starts");
    let client = log_in(&server).await;
    let enums::updates::State::State(state) = client.invoke(&f::updates::GetState {}).await.expect("a state");
    let empty = client.invoke(&difference(state.pts, state.date)).await.expect("an answer");
    assert!(matches!(empty, enums::updates::Difference::Empty(_)), "{empty:?}");

    let chats = server.chats();
    let user = chats.iter().find(|chat| chat.kind == Kind::Private && chat.messages > 3).expect("a private chat").peer;
    let group = chats.iter().find(|chat| chat.kind == Kind::Group && chat.listed).expect("a group").peer;
    let channel = chats.iter().find(|chat| chat.kind == Kind::Broadcast && chat.listed).expect("a channel").peer;
    let first = server.mutate(&send(user, "one")).expect("sent").ids[0];
    let second = server.mutate(&send(group, "two")).expect("sent").ids[0];
    let gone = server.mutate(&send(user, "gone")).expect("sent").ids[0];
    assert!(first < second && second < gone, "one count for all of them");
    server.mutate(&Mutation::Edit { peer: user, id: first, text: "ONE".into() }).expect("edited");
    server.mutate(&Mutation::Delete { peer: user, ids: vec![gone] }).expect("deleted");
    server.mutate(&send(channel, "post")).expect("sent");
    assert!(server.mutate(&Mutation::Edit { peer: user, id: gone, text: "?".into() }).is_err());

    let told = told(client.invoke(&difference(state.pts, state.date)).await.expect("a difference"));
    assert!(told.last);
    assert_eq!(told.new, [first, second]);
    assert_eq!((told.edited, told.deleted), (vec![first], vec![gone]));
    assert_eq!(told.channels, [channel.id()]);
    assert_eq!(told.pts, state.pts + 5);
    let Some(enums::Message::Message(edited)) = server.message(user, first) else { panic!("a message") };
    assert_eq!(edited.message, "ONE");
    assert!(edited.edit_date.is_some());
}

#[tokio::test]
async fn long_differences_come_in_slices_and_too_long_ones_not_at_all() {
    let server = TelegramServer::start(Options { difference_limit: 250, ..Options::empty() }).expect("starts");
    let client = log_in(&server).await;
    let enums::updates::State::State(state) = client.invoke(&f::updates::GetState {}).await.expect("a state");
    let ids: Vec<i32> = (0..230).map(|n| server.mutate(&send(Peer::User(SELF), &n.to_string())).expect("sent").ids[0]).collect();
    let (mut pts, mut seen, mut answers) = (state.pts, Vec::new(), 0);
    loop {
        let part = told(client.invoke(&difference(pts, state.date)).await.expect("a difference"));
        (pts, answers) = (part.pts, answers + 1);
        seen.extend(part.new);
        if part.last {
            break;
        }
    }
    assert_eq!((seen, answers), (ids, 3));
    for n in 0..30 {
        server.mutate(&send(Peer::User(SELF), &n.to_string())).expect("sent");
    }
    let long = client.invoke(&difference(state.pts, state.date)).await.expect("an answer");
    assert!(matches!(long, enums::updates::Difference::TooLong(types::updates::DifferenceTooLong { pts }) if pts == state.pts + 260));
    let now = state.pts + 260;
    server.mutate(&Mutation::ForgetEvents).expect("forgotten");
    assert!(matches!(client.invoke(&difference(now, state.date)).await.expect("an answer"), enums::updates::Difference::TooLong(_)));
}

#[tokio::test]
async fn channels_have_their_own_difference() {
    let server = TelegramServer::start(Options { channel_difference_limit: 20, ..Options::default() }).expect("starts");
    let client = log_in(&server).await;
    let chat = server.chats().into_iter().find(|chat| chat.kind == Kind::Broadcast && chat.listed).expect("a channel");
    let enums::InputPeer::Channel(peer) = input_peer(&chat) else { panic!("a channel") };
    let channel: enums::InputChannel = types::InputChannel { channel_id: peer.channel_id, access_hash: peer.access_hash }.into();
    let ask = |pts| f::updates::GetChannelDifference {
        force: false,
        channel: channel.clone(),
        filter: enums::ChannelMessagesFilter::Empty,
        pts,
        limit: 100,
    };
    let enums::messages::ChatFull::Full(full) =
        client.invoke(&f::channels::GetFullChannel { channel: channel.clone() }).await.expect("the channel");
    let enums::ChatFull::ChannelFull(full) = full.full_chat else { panic!("a channel") };
    assert!(matches!(client.invoke(&ask(full.pts)).await.expect("an answer"), enums::updates::ChannelDifference::Empty(_)));

    let id = server.mutate(&send(chat.peer, "post")).expect("sent").ids[0];
    let victim = server.message_ids(chat.peer)[1];
    server.mutate(&Mutation::Delete { peer: chat.peer, ids: vec![victim] }).expect("deleted");
    server.mutate(&Mutation::React { peer: chat.peer, id, emoji: "🔥".into() }).expect("reacted");
    let enums::updates::ChannelDifference::Difference(d) = client.invoke(&ask(full.pts)).await.expect("an answer") else {
        panic!("a difference")
    };
    assert_eq!(d.pts, full.pts + 2, "reactions are not counted");
    let enums::Message::Message(new) = &d.new_messages[0] else { panic!("a message") };
    assert_eq!((new.id, d.new_messages.len()), (id, 1));
    assert!(new.reactions.is_some());
    assert!(matches!(&d.other_updates[..], [enums::Update::DeleteChannelMessages(u)] if u.messages == [victim]));

    for n in 0..20 {
        server.mutate(&send(chat.peer, &n.to_string())).expect("sent");
    }
    assert!(matches!(client.invoke(&ask(full.pts)).await.expect("an answer"), enums::updates::ChannelDifference::TooLong(_)));
    server.mutate(&Mutation::Leave { channel: chat.peer.id() }).expect("left");
    let private = server.chats().into_iter().find(|known| known.peer == chat.peer).expect("still known");
    assert!(private.left && !private.listed);
}

#[tokio::test]
async fn a_group_becomes_a_supergroup() {
    let server = TelegramServer::start(Options::empty()).expect("starts");
    let client = log_in(&server).await;
    let group = server.mutate(&Mutation::NewChat { kind: Kind::Group, title: "Team".into() }).expect("begun").peer.expect("a chat");
    for n in 0..5 {
        server.mutate(&send(group, &n.to_string())).expect("sent");
    }
    let supergroup = server.mutate(&Mutation::Migrate { group: group.id() }).expect("migrated").peer.expect("a chat");
    server.mutate(&send(supergroup, "after")).expect("sent");
    let chats = server.chats();
    let info = |peer: Peer| chats.iter().find(|chat| chat.peer == peer).expect("a chat");
    assert_eq!((info(group).migrated_to, info(group).listed, info(supergroup).listed), (Some(supergroup), false, true));
    let page = async |chat| client.invoke(&history(input_peer(info(chat)), 0, 0, 10)).await;
    let (old, new) = (messages_of(page(group).await.expect("a page")), messages_of(page(supergroup).await.expect("a page")));
    assert_eq!((old.len(), new.len()), (7, 2));
    assert!(matches!(&old[0], enums::Message::Service(m) if matches!(m.action, enums::MessageAction::ChatMigrateTo(_))));
    assert!(matches!(&new[1], enums::Message::Service(m) if matches!(m.action, enums::MessageAction::ChannelMigrateFrom(_))));
    let enums::InputPeer::Channel(peer) = input_peer(info(supergroup)) else { panic!("a channel") };
    let channel = types::InputChannel { channel_id: peer.channel_id, access_hash: peer.access_hash }.into();
    let enums::messages::ChatFull::Full(full) = client.invoke(&f::channels::GetFullChannel { channel }).await.expect("the channel");
    let enums::ChatFull::ChannelFull(full) = full.full_chat else { panic!("a channel") };
    assert_eq!(full.migrated_from_chat_id, Some(group.id()));

    server.mutate(&Mutation::ClearHistory { peer: group }).expect("cleared");
    assert!(messages_of(page(group).await.expect("a page")).is_empty());
    server.mutate(&Mutation::Remove { peer: supergroup }).expect("removed");
    assert_eq!(rpc_error(page(supergroup).await), "CHANNEL_PRIVATE");
}

/// A connected client hears of events without asking.
#[tokio::test]
async fn events_are_pushed() {
    let server = TelegramServer::start(Options::empty()).expect("starts");
    let (client, mut updates) = crate::client::log_in_with_updates(&server).await;
    client.invoke(&f::updates::GetState {}).await.expect("a state");
    server.mutate(&send(Peer::User(SELF), "news")).expect("sent");
    loop {
        let update = updates.recv().await.expect("an update");
        if format!("{update:?}").contains("news") {
            break;
        }
    }
}
