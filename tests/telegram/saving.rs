//! `save`: messages forwarded into Saved Messages, as the server has them then.

use grammers_tl_types::enums;
use serde_json::Value;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Options, Peer, TelegramServer, When};

use crate::export::readable;
use crate::harness::peer;
use crate::program::Program;

/// What was forwarded from this chat into Saved Messages: the old id, and the new album.
fn saved(server: &TelegramServer, from: Peer) -> Vec<(i32, Option<i64>)> {
    let own = readable(server).into_iter().find(|chat| chat.kind == Kind::Saved).unwrap().peer;
    let of = |id: i32| {
        let Some(enums::Message::Message(message)) = server.message(own, id) else { return None };
        let Some(enums::MessageFwdHeader::Header(header)) = message.fwd_from else { return None };
        let is_from = header.saved_from_peer.as_ref().is_some_and(|peer| Peer::from_tl(peer) == from);
        Some((header.saved_from_msg_id.filter(|_| is_from)?, message.grouped_id))
    };
    server.message_ids(own).into_iter().filter_map(of).collect()
}

#[test]
fn messages_are_forwarded_with_their_albums_and_once() {
    let program = Program::logged_in(Options { messages: 1_500, chats: 6, gallery: false, ..Options::default() });
    let server = &program.server;
    // A chat with an album.
    let album_in = |chat: Peer| {
        let ids = server.message_ids(chat);
        let of = |id: &i32| match server.message(chat, *id) {
            Some(enums::Message::Message(message)) => message.grouped_id,
            _ => None,
        };
        let album = ids.iter().find_map(of)?;
        Some(ids.iter().copied().filter(|id| of(id) == Some(album)).collect::<Vec<i32>>()).filter(|album| album.len() > 1)
    };
    let chats = readable(server).into_iter().filter(|chat| chat.kind != Kind::Saved && !message_is_protected(server, chat.peer));
    let (chat, album) = chats.filter_map(|chat| Some((chat.peer, album_in(chat.peer)?))).next().unwrap();
    let plain = server.message_ids(chat).into_iter().filter(|id| !album.contains(id));
    let plain: Vec<i32> = plain
        .filter(|id| matches!(server.message(chat, *id), Some(enums::Message::Message(m)) if m.grouped_id.is_none()))
        .take(2)
        .collect();
    let name = peer(chat).to_string();
    let ids: Vec<String> = [album[0], plain[1], plain[0]].iter().map(i32::to_string).collect();
    // The answer is lost on the way: the same request again forwards nothing twice.
    let lost = When { times: Some(1), ..When::method("messages.forwardMessages") };
    server.add_fault(Fault { when: lost, then: Effect::CutAfter(0) });
    let run = program.run(&[&["save", &name, "2000000000"], &ids.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--json"]].concat());
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    let summary: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    let whole = album.len() + 2;
    assert_eq!((&summary["messages"], &summary["with_albums"]), (&whole.into(), &(album.len() - 1).into()), "{summary}");
    assert_eq!(summary["missing"], serde_json::json!([2_000_000_000]));
    let found = saved(server, chat);
    let mut wanted: Vec<i32> = album.iter().chain(&plain).copied().collect();
    wanted.sort_unstable();
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), wanted);
    let albums: Vec<Option<i64>> = found.iter().filter(|(id, _)| album.contains(id)).map(|(_, album)| *album).collect();
    assert!(albums[0].is_some() && albums.iter().all(|other| *other == albums[0]), "{found:?}");
    // Saved Messages are a chat like any other.
    program.backup(&["--chat", "saved", "--takeout", "never"], 0);
    let vault = program.restored();
    let own = readable(server).into_iter().find(|chat| chat.kind == Kind::Saved).unwrap().peer;
    assert_eq!(vault.messages(peer(own)).len(), server.message_ids(own).len());
}

fn message_is_protected(server: &TelegramServer, chat: Peer) -> bool {
    let is_protected = |id| matches!(server.message(chat, id), Some(enums::Message::Message(message)) if message.noforwards);
    server.message_ids(chat).into_iter().any(is_protected)
}

#[test]
fn what_cannot_be_forwarded_is_named() {
    let program = Program::logged_in(Options { messages: 600, chats: 40, gallery: false, files: 0, ..Options::default() });
    let server = &program.server;
    let chats: Vec<Peer> = readable(server).into_iter().map(|chat| chat.peer).collect();
    let protected = chats.iter().copied().find(|chat| message_is_protected(server, *chat)).unwrap();
    let id = server.message_ids(protected).into_iter().find(|id| message_of(server, protected, *id)).unwrap();
    let run = program.run(&["save", &peer(protected).to_string(), &id.to_string()]);
    assert!(run.code == Some(3) && run.stderr.contains(&format!("cannot be forwarded: #{id}")), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("forwarded 0 messages"), "{}", run.stdout);
    let run = program.run(&["save", "nobody at all", "5"]);
    assert!(run.code == Some(2) && run.stderr.contains("no chat 'nobody at all'"), "{}", run.stderr);
    let run = program.run(&["save", "nobody at all", "five"]);
    assert!(run.code == Some(2) && run.stderr.contains("a message ID is a number"), "{}", run.stderr);
}

fn message_of(server: &TelegramServer, chat: Peer, id: i32) -> bool {
    matches!(server.message(chat, id), Some(enums::Message::Message(_)))
}
