//! Field by field: what the records say about messages of every kind is what the server has.

use std::collections::BTreeSet;

use grammers_tl_types::enums::{self, Message, MessageMedia};
use serde_json::Value;
use tgvault_test_support::telegram::{Options, TelegramServer};

use crate::export::readable;
use crate::harness::{Setup, Vault, peer, plain};
use crate::truth::{Seen, says_all};

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| part.as_str().or(part["text"].as_str()).unwrap()).collect(),
        other => panic!("not a text: {other}"),
    }
}

fn typed(peer: &enums::Peer) -> String {
    match peer {
        enums::Peer::User(user) => format!("user{}", user.user_id),
        enums::Peer::Chat(chat) => format!("chat{}", chat.chat_id),
        enums::Peer::Channel(channel) => format!("channel{}", channel.channel_id),
    }
}

#[test]
fn every_kind_of_message_says_what_the_server_has() {
    let setup = Setup::new(Options::default());
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert_same_fields(&setup.server, &vault);
}

/// Every field of every message is the server's; the account has messages of all kinds.
pub fn assert_same_fields(server: &TelegramServer, vault: &Vault) {
    let (mut kinds, mut actions) = (BTreeSet::new(), BTreeSet::new());
    for chat in readable(server) {
        for (id, record) in vault.messages(peer(chat.peer)) {
            let json: Value = serde_json::from_str(record.message.get()).unwrap();
            let extra: Value = record.extra.as_ref().map_or(Value::Null, |extra| serde_json::from_str(extra.get()).unwrap());
            assert_eq!(json["id"], id);
            match server.message(chat.peer, id as i32).unwrap() {
                Message::Message(truth) => {
                    if matches!(truth.media, Some(MessageMedia::Unsupported)) {
                        assert_eq!(json["type"], "unsupported");
                        kinds.insert("unsupported".to_owned());
                        continue;
                    }
                    assert_eq!(json["type"], "message");
                    assert_eq!(json["date_unixtime"], truth.date.to_string());
                    assert_eq!(json.get("edited_unixtime").map(|v| v.as_str().unwrap().to_owned()), truth.edit_date.map(|d| d.to_string()));
                    let text = text_of(&json["text"]);
                    assert_eq!(text_of(&json["text_entities"]), text);
                    match &truth.rich_message {
                        Some(enums::RichMessage::Message(rich)) => says_all(&text, &truth.message, rich, &mut Seen::default()),
                        None => assert_eq!(text, truth.message, "{json}"),
                    }
                    let sender = truth.from_id.as_ref().map_or(peer(chat.peer).to_string(), typed);
                    assert_eq!(json["from_id"], sender.as_str());
                    assert_eq!(extra["outgoing"].as_bool().unwrap_or_default(), truth.out);
                    assert_eq!(extra["views"].as_i64(), truth.views.map(i64::from));
                    assert_eq!(extra["grouped_id"].as_str().map(str::to_owned), truth.grouped_id.map(|id| id.to_string()));
                    assert_eq!(json["forwarded_from"].is_null() && json.get("forwarded_from").is_none(), truth.fwd_from.is_none());
                    assert_eq!(json.get("via_bot").is_some(), truth.via_bot_id.is_some());
                    let reactions = |reactions: &enums::MessageReactions| {
                        let enums::MessageReactions::Reactions(reactions) = reactions;
                        !reactions.results.is_empty() || reactions.recent_reactions.as_ref().is_some_and(|recent| !recent.is_empty())
                    };
                    assert_eq!(json.get("reactions").is_some(), truth.reactions.as_ref().is_some_and(reactions));
                    if let Some(media) = &truth.media {
                        let (key, present) = media_key(media);
                        assert_eq!(present, key.is_empty() || json.get(key).is_some(), "{key} {json}");
                        kinds.insert(format!("{media:?}").split('(').next().unwrap().to_owned());
                    }
                }
                Message::Service(truth) => {
                    assert_eq!(json["date_unixtime"], truth.date.to_string());
                    let word = json["action"].as_str().unwrap_or_else(|| {
                        let known = json.get("information_text").is_some() || extra["constructor"].is_string();
                        assert!(known, "{json} {extra}");
                        "without a word"
                    });
                    actions.insert(word.to_owned());
                }
                Message::Empty(_) => panic!("an empty message was stored"),
            }
        }
    }
    assert!(kinds.len() >= 15, "{kinds:?}");
    assert!(actions.len() >= 50, "{} {actions:?}", actions.len());
}

/// The key by which a kind of media shows, empty for those that show nowhere.
fn media_key(media: &MessageMedia) -> (&'static str, bool) {
    let key = match media {
        MessageMedia::Photo(_) => "photo",
        MessageMedia::Document(_) => "file",
        MessageMedia::Contact(_) => "contact_information",
        MessageMedia::Geo(_) | MessageMedia::GeoLive(_) => "location_information",
        MessageMedia::Invoice(_) => "invoice_information",
        MessageMedia::Poll(_) => "poll",
        MessageMedia::ToDo(_) => "todo_list",
        MessageMedia::Giveaway(_) => "giveaway_information",
        MessageMedia::GiveawayResults(_) => "giveaway_results",
        MessageMedia::PaidMedia(_) => "paid_stars_amount",
        _ => "",
    };
    (key, true)
}

#[test]
fn names_are_kept_with_their_numbers() {
    let setup = Setup::new(Options { messages: 300, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let peers: Vec<tgvault::model::chat::SeenPeer> = vault
        .files
        .iter()
        .filter(|(path, _)| path.to_string().starts_with("peers/"))
        .flat_map(|(_, content)| content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()))
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    for chat in readable(&setup.server).into_iter().filter(|chat| !chat.title.is_empty()) {
        let seen = peers.iter().find(|seen| seen.peer == peer(chat.peer)).unwrap_or_else(|| panic!("{:?}", chat.peer));
        assert_eq!(seen.name.as_deref(), Some(chat.title.as_str()));
        assert!(seen.raw.is_some());
    }
    // A new name is a new line; the same names are not written again.
    let chat = readable(&setup.server).into_iter().find(|chat| !chat.title.is_empty()).unwrap();
    setup.server.mutate(&tgvault_test_support::telegram::Mutation::Rename { peer: chat.peer, title: "Renamed".into() }).unwrap();
    setup.run(&mut vault, plain());
    let fresh: Vec<_> = vault.last_run.iter().filter(|path| path.to_string().starts_with("peers/")).collect();
    assert_eq!(fresh.len(), 1);
    let lines = vault.files[fresh[0]].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!(lines, 1);
}
