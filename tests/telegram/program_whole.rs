//! The whole way with the built program: log in, back up, kill, resume, back up again, restore; and what is restored is what the server
//! has, field by field, as Telegram Desktop would have written it and in the logs as they are stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use grammers_tl_types::{Deserializable, enums};
use serde_json::Value;
use tgvault::model::record::Raw;
use tgvault_test_support::telegram::{Kind, Mutation, Options, Peer};

use crate::export::{readable, strip};
use crate::harness::{Vault, peer};
use crate::program::{Program, collect, fall_silent_after};
use crate::truth::{Place, Seen};

/// Messages as they are at the server, by chat and id.
type Truth = BTreeMap<(String, i32), enums::Message>;

fn key(chat: Peer, id: i32) -> (String, i32) {
    (peer(chat).to_string(), id)
}

fn truth_of(program: &Program) -> Truth {
    let mut truth = Truth::new();
    for chat in program.server.chats() {
        for id in program.server.message_ids(chat.peer) {
            truth.insert(key(chat.peer, id), program.server.message(chat.peer, id).unwrap());
        }
    }
    truth
}

#[test]
fn what_is_restored_is_what_the_server_has() {
    let program = Program::logged_in(Options { latency: Duration::from_millis(2), ..Options::default() });
    // Killed in mid-run, twice, with a takeout of its own; then to the end.
    for after in [15_u64, 60] {
        program.server.forget_requests();
        fall_silent_after(&program, after + 10);
        let mut child = program.command(&["backup", "telegram", "--takeout", "always"]).spawn().unwrap();
        while program.server.requests().len() < usize::try_from(after).unwrap() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its kill");
        child.kill().unwrap();
        child.wait().unwrap();
        program.server.clear_faults();
    }
    // A channel that the account has left shows its own messages only, and cannot be looked into: that is said.
    let run = program.run(&["backup", "telegram", "--takeout", "always"]);
    assert!(matches!(run.code, Some(0 | 3)), "{}", run.stderr);
    let mut truth = truth_of(&program);
    let chat = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Private && chat.messages > 5).unwrap().peer;
    let (edited, deleted) = (program.server.message_ids(chat)[1], program.server.message_ids(chat)[2]);
    let edit = Mutation::Edit { peer: chat, id: edited, text: "changed since".into() };
    program.server.mutate(&edit).unwrap();
    let send = Mutation::Send { peer: chat, text: "new since".into(), out: true, reply_to: Some(edited), file: Some(200_000) };
    let new = program.server.mutate(&send).unwrap().ids[0];
    program.server.mutate(&Mutation::Delete { peer: chat, ids: vec![deleted] }).unwrap();
    // Posting moves the dates of generated messages in this server, which no account does: the rest stays as it was served.
    let before = truth.remove(&key(chat, edited)).unwrap();
    let enums::Message::Message(mut now) = program.server.message(chat, edited).unwrap() else { panic!("no message") };
    now.date = match before {
        enums::Message::Message(before) => before.date,
        _ => panic!("no message"),
    };
    truth.insert(key(chat, edited), enums::Message::Message(now));
    truth.insert(key(chat, new), program.server.message(chat, new).unwrap());
    program.backup(&["--no-left-chats"], 0);

    let folder = |form: &str| {
        let to = program.file(&format!("restored-{form}"));
        program.unlocked(&["restore", "latest", "--as", form, "--to", &to.to_string_lossy()]);
        to
    };
    records(&program, &truth, &folder("raw"));
    exported(&program, &truth, &folder("telegram-desktop"), key(chat, deleted));
}

/// The logs hold the server's own bytes, and say of them what Telegram Desktop would.
fn records(program: &Program, truth: &Truth, folder: &Path) {
    let mut vault = Vault::default();
    collect(folder, folder, &mut vault);
    let file = |path: &str| std::fs::read(folder.join(path)).ok();
    let mut seen = Seen::default();
    let mut compared = 0;
    for chat in readable(&program.server) {
        let own = peer(chat.peer);
        let place = Place { server: &program.server, chat: own.to_string(), shift: 0, file: &file };
        let messages = vault.messages(own);
        let ids: Vec<i64> = program.server.message_ids(chat.peer).into_iter().map(i64::from).collect();
        assert_eq!(messages.keys().copied().collect::<Vec<_>>(), ids, "{own}");
        for (id, record) in messages {
            let truth = &truth[&(own.to_string(), id as i32)];
            place.compare(truth, &serde_json::from_str(record.message.get()).unwrap(), &mut seen);
            let Some(Raw::Tl { layer: 230, bytes }) = &record.raw else { panic!("{own} {id} has no bytes") };
            // Dates of the chat that was written to moved; what was stored must be what was served.
            let stored = enums::Message::from_bytes(bytes).unwrap();
            assert_eq!(strip(&stored), strip(truth), "{own} {id}");
            compared += 1;
        }
    }
    assert!(compared > 2_000, "{compared}");
    assert_saw_everything(&seen);
}

/// `result.json` and the media beside it.
fn exported(program: &Program, truth: &Truth, folder: &Path, deleted: (String, i32)) {
    /// What is taken from the ids of a group that became a supergroup.
    const BEFORE: i64 = 1_000_000_000;
    let file = |path: &str| std::fs::read(folder.join(path)).ok();
    let result: Value = serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap();
    let chats = program.server.chats();
    let mut found: BTreeMap<(String, i32), Value> = BTreeMap::new();
    let mut seen = Seen::default();
    for told in ["chats", "left_chats"].iter().filter_map(|list| result[list]["list"].as_array()).flatten() {
        let kind = told["type"].as_str().unwrap();
        let prefix = match kind {
            "saved_messages" | "replies" | "verification_codes" | "personal_chat" | "bot_chat" => "user",
            "private_group" => "chat",
            _ => "channel",
        };
        let own = format!("{prefix}{}", told["id"]);
        let before = chats
            .iter()
            .find(|chat| chat.migrated_to.is_some_and(|to| peer(to).to_string() == own))
            .map(|chat| peer(chat.peer).to_string());
        let mut last = i64::MIN;
        for message in told["messages"].as_array().unwrap() {
            let id = message["id"].as_i64().unwrap();
            assert!(id > last, "{own}: {id} after {last}");
            last = id;
            let (chat, shift) = if id < 0 { (before.clone().unwrap(), -BEFORE) } else { (own.clone(), 0) };
            let at = (chat.clone(), i32::try_from(id - shift).unwrap());
            let place = Place { server: &program.server, chat, shift, file: &file };
            if at != deleted {
                place.compare(truth.get(&at).unwrap_or_else(|| panic!("{at:?} is no message")), message, &mut seen);
            }
            assert!(found.insert(at, message.clone()).is_none(), "{own} {id} is there twice");
        }
    }
    for chat in readable(&program.server) {
        let own = peer(chat.peer).to_string();
        for id in program.server.message_ids(chat.peer) {
            assert!(found.contains_key(&(own.clone(), id)), "{own} {id} is missing");
        }
    }
    assert_saw_everything(&seen);
}

fn assert_saw_everything(seen: &Seen) {
    assert!(seen.media.len() >= 18, "{} {:?}", seen.media.len(), seen.media);
    assert!(seen.actions.len() >= 60, "{} {:?}", seen.actions.len(), seen.actions);
    assert!(seen.entities.len() >= 20, "{} {:?}", seen.entities.len(), seen.entities);
    assert!(seen.files >= 100, "{}", seen.files);
    assert!(seen.rich >= 70, "{}", seen.rich);
}
