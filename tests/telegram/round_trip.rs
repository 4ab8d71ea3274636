//! The account at the server, backed up, restored as Telegram Desktop would export it, and taken in again: the same log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tgvault::model::paths::{Place, place};
use tgvault::model::peer::{MIGRATED_ID_OFFSET, Peer, PeerKind};
use tgvault::model::record::MessageRecord;
use tgvault_test_support::telegram::{Mutation, Options};

use crate::harness::{Vault, peer};
use crate::program::{Program, collect};

fn restore(program: &Program, account: &str, to: &str, arguments: &[&str]) -> Vault {
    let source = format!("telegram:{account}");
    let folder = program.file(to);
    let command = ["restore", "latest", "--source", &source, "--to", &folder.to_string_lossy()];
    program.unlocked(&[&command[..], arguments].concat());
    let mut vault = Vault::default();
    collect(&folder, &folder, &mut vault);
    vault
}

fn take_in(program: &Program, folder: &str) {
    let folder = program.file(folder);
    let run = program.run(&["backup", "desktop-export", &folder.to_string_lossy(), "--account", "copy"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
}

/// The files by name; JSON without the white space between its tokens where Telegram Desktop does not say how it is laid out.
fn files(vault: &Vault) -> BTreeMap<String, Vec<u8>> {
    let plain = |path: String, bytes: &Vec<u8>| match &*path {
        "lists/other_data.json" => (path, serde_json::from_slice::<Value>(bytes).unwrap().to_string().into_bytes()),
        _ => (path, bytes.clone()),
    };
    vault.files.iter().map(|(path, bytes)| plain(path.to_string(), bytes)).collect()
}

fn chats(vault: &Vault) -> BTreeSet<Peer> {
    let logs = vault.files.keys().filter_map(|path| match place(path) {
        Some(Place::Log { peer, .. }) => Some(peer),
        _ => None,
    });
    logs.collect()
}

/// What a record says, with the bytes of files in the place of their paths, and no local time.
fn says(vault: &Vault, record: &MessageRecord, shift: i64) -> Value {
    fn files(value: &mut Value, vault: &Vault) {
        match value {
            Value::Array(all) => all.iter_mut().for_each(|value| files(value, vault)),
            Value::Object(members) => members.values_mut().for_each(|value| files(value, vault)),
            Value::String(text) if text.starts_with("media/") => {
                let path = tgvault::model::entry::EntryPath::new(text.as_str()).unwrap();
                *text = tgvault::crypt::digest::sha256(&vault.files[&path]).to_string();
            }
            _ => {}
        }
    }
    let mut message: Value = serde_json::from_str(record.message.get()).unwrap();
    files(&mut message, vault);
    let members = message.as_object_mut().unwrap();
    // A rich message that is rendered has its plain text, too, and of two texts the first.
    let rich = members.contains_key("rich_message") || members.get("action").is_some_and(|action| action == "send_webview_data");
    members.retain(|key, _| !(matches!(&**key, "date" | "edited") || rich && key.starts_with("text")));
    // Of messages that Telegram Desktop cannot export an id and a type is all that it says; ours says the date, too.
    members.insert("date_unixtime".into(), record.date.unwrap().to_string().into());
    let other_chat = members.contains_key("reply_to_peer_id");
    for key in ["id", "message_id", "game_message_id", "invoice_message_id", "giveaway_msg_id", "reply_to_message_id"] {
        if let Some(id) = members.get_mut(key).filter(|_| !(other_chat && key == "reply_to_message_id")) {
            *id = (id.as_i64().unwrap() - shift).into();
        }
    }
    let mut extra: Value = record.extra.as_ref().map_or(Value::Null, |extra| serde_json::from_str(extra.get()).unwrap());
    files(&mut extra, vault);
    let media: BTreeSet<String> =
        record.media.iter().filter_map(|media| media.path.as_ref()).map(|path| vault.files[path].len().to_string()).collect();
    serde_json::json!({"message": message, "extra": extra, "media": media, "edited": record.edited, "date": record.date})
}

#[test]
fn an_account_that_is_restored_and_taken_in_again_is_the_same() {
    let program = Program::logged_in(Options::default());
    let backup = |code: i32| assert_eq!(program.run(&["backup", "telegram", "--recheck-budget", "0"]).code, Some(code));
    backup(0);
    let first = restore(&program, "main", "first", &["--format", "both"]);
    take_in(&program, "first");
    let second = restore(&program, "copy", "second", &["--format", "both"]);
    let (one, two) = (files(&first), files(&second));
    let differ: Vec<&String> = one.keys().chain(two.keys()).filter(|path| one.get(*path) != two.get(*path)).collect();
    assert_eq!(differ, Vec::<&String>::new());
    assert!(one.len() > 200 && one.keys().filter(|path| path.contains("/files/")).count() > 10, "{:?}", one.keys());

    // Programs that read exports want a text of each message, and break on keys that stand twice.
    let json: Value = serde_json::from_slice(&one["result.json"]).unwrap();
    for message in json["chats"]["list"].as_array().unwrap().iter().flat_map(|chat| chat["messages"].as_array().unwrap()) {
        assert!(message["date"].is_string() && message["date_unixtime"].is_string(), "{message}");
        assert!(message["type"] == "unsupported" || message.get("text").is_some(), "{message}");
    }
    let whole = String::from_utf8_lossy(&one["result.json"]).into_owned();
    assert!(whole.contains("send_webview_data"));
    for message in whole.split("\n     {\n") {
        assert!(message.matches("\n      \"text\": ").count() < 2, "{message}");
    }

    // The logs, record by record.
    let (live, copy) = (restore(&program, "main", "live", &["--as", "raw"]), restore(&program, "copy", "copy", &["--as", "raw"]));
    let (mut compared, mut shifted, mut keys) = (0, 0, BTreeSet::new());
    let copied = chats(&copy);
    for chat in chats(&live) {
        let ours = live.messages(chat);
        // A basic group is shown in the supergroup that it became.
        let (shown, shift) = match copied.contains(&chat) {
            true => (chat, 0),
            false => {
                assert_eq!(chat.kind, PeerKind::Chat);
                let became = |peer: &Peer| {
                    let description = tgvault::model::paths::chat_info(*peer).unwrap();
                    let info: Value = serde_json::from_slice(&live.files[&description]).unwrap();
                    info["migrated_from"] == chat.to_string()
                };
                (copied.iter().copied().find(became).unwrap(), MIGRATED_ID_OFFSET)
            }
        };
        let theirs = copy.messages(shown);
        for (id, record) in &ours {
            let other = theirs.get(&(id - shift)).unwrap_or_else(|| panic!("{chat} {id} is not there"));
            let (one, two) = (says(&live, record, shift), says(&copy, other, 0));
            assert_eq!(one, two, "{chat} {id}");
            keys.extend(one["message"].as_object().unwrap().keys().cloned());
            keys.extend(one["message"]["action"].as_str().map(str::to_owned));
            compared += 1;
            shifted += usize::from(shift > 0);
        }
        if shift == 0 {
            let own = theirs.keys().filter(|id| **id > 0).count();
            assert_eq!(own, ours.len(), "{chat}");
        }
    }
    assert!(compared > 1000 && shifted > 0, "{compared} {shifted}");
    // The account has every kind of message: keys and actions.
    assert!(keys.len() > 120, "{} {keys:?}", keys.len());

    // Later: an edit, a deletion, something new.
    let chat = program.server.chats().into_iter().find(|chat| chat.listed && !chat.left && chat.messages > 20).unwrap();
    let ids = program.server.message_ids(chat.peer);
    let sent = Mutation::Send { peer: chat.peer, text: "before".into(), out: true, reply_to: None, file: Some(5000) };
    program.server.mutate(&sent).unwrap();
    backup(0);
    let last = *program.server.message_ids(chat.peer).last().unwrap();
    program.server.mutate(&Mutation::Delete { peer: chat.peer, ids: vec![ids[5]] }).unwrap();
    program.server.mutate(&Mutation::Edit { peer: chat.peer, id: last, text: "after".into() }).unwrap();
    backup(0);
    let wanted = peer(chat.peer).to_string();
    let third = restore(&program, "main", "third", &["--format", "both", "--chat", &wanted, "--history"]);
    take_in(&program, "third");
    let fourth = restore(&program, "copy", "fourth", &["--format", "both", "--chat", &wanted]);
    let (one, two) = (files(&third), files(&fourth));
    assert_eq!(String::from_utf8_lossy(&one["result.json"]), String::from_utf8_lossy(&two["result.json"]));
    assert!(String::from_utf8_lossy(&one["result.json"]).contains("deleted_unixtime"));
    assert!(String::from_utf8_lossy(&one["result.json"]).contains("\"history\""));
    assert_eq!(String::from_utf8_lossy(&one["messages.html"]), String::from_utf8_lossy(&two["messages.html"]));
    for part in ["Deleted; found missing", "Earlier versions: "] {
        assert!(String::from_utf8_lossy(&one["messages.html"]).contains(part), "{part}");
    }
}
