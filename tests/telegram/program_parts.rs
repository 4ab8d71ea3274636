//! The built program and parts of an account that a server does not give: each costs itself, with a line in the coverage.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, types};
use serde_json::Value;
use tgvault::model::coverage::Verdict;
use tgvault::model::peer::{Peer, PeerKind};
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, When, blank_message};

use crate::export::readable;
use crate::harness::peer;
use crate::program::Program;

fn small() -> Options {
    Options { messages: 300, chats: 8, files: 4, media_bytes: 200_000, gallery: false, ..Options::default() }
}

fn refuse(program: &Program, method: &str, error: &str) {
    program.server.add_fault(Fault { when: When::method(method), then: Effect::rpc(400, error) });
}

fn lines(text: &str, kind: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message_type"] == kind).collect()
}

/// What `coverage` says is missing of the account: part and reason.
fn missing(program: &Program) -> Vec<(String, String)> {
    let told = program.unlocked(&["--json", "coverage"]).stdout;
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let parts: Vec<_> = lines(&told, "account_coverage").iter().map(|line| (text(line, "part"), text(line, "because"))).collect();
    assert_eq!(lines(&told, "summary")[0]["parts_missing"], parts.len());
    parts
}

#[test]
fn what_a_server_refuses_is_a_line_in_the_coverage_until_it_comes() {
    let program = Program::logged_in(Options { chats: 40, messages: 600, ..small() });
    refuse(&program, "channels.getLeftChannels", "METHOD_INVALID");
    refuse(&program, "contacts.getTopPeers", "METHOD_INVALID");
    let backup = |takeout: &str| program.run(&["backup", "telegram", "--takeout", takeout, "--recheck-budget", "0"]);
    let first = backup("always");
    assert_eq!(first.code, Some(3), "{}{}", first.stdout, first.stderr);
    assert!(first.stdout.contains("2 other parts of the account missing"), "{}", first.stdout);
    assert!(first.stderr.contains("the channels and groups that you left cannot be listed (METHOD_INVALID)"), "{}", first.stderr);
    let told = missing(&program);
    let parts: Vec<&str> = told.iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["frequent_contacts", "left_chats"]);
    assert!(told.iter().all(|(_, because)| because.contains("METHOD_INVALID")), "{told:?}");
    let table = program.unlocked(&["coverage"]).stdout;
    assert!(table.lines().any(|line| line.starts_with("account") && line.contains("left chats")), "{table}");
    // What is not asked for again stays as it was, and goes when it comes.
    program.server.clear_faults();
    let ordinary = backup("never");
    assert_eq!(ordinary.code, Some(0), "{}{}", ordinary.stdout, ordinary.stderr);
    assert!(ordinary.stdout.contains("1 other part of the account missing"), "{}", ordinary.stdout);
    let whole = backup("always");
    assert!(!whole.stdout.contains("other part"), "{}", whole.stdout);
    assert_eq!(missing(&program), []);
}

#[test]
fn a_forum_that_has_no_topics_any_more_misses_nothing() {
    let program = Program::logged_in(Options { messages: 1_000, chats: 20, ..small() });
    let forum = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Supergroup { forum: true }).unwrap();
    let alone = ["--takeout", "never", "--chat", &peer(forum.peer).to_string()];
    refuse(&program, "messages.getForumTopics", "CHANNEL_FORUM_MISSING");
    for text in ["one", "two"] {
        let send = Mutation::Send { peer: forum.peer, text: text.into(), out: false, reply_to: None, file: None };
        program.server.mutate(&send).unwrap();
        program.backup(&alone, 0);
    }
    assert_eq!(program.restored().coverage(peer(forum.peer)).verdict, Verdict::Complete);
    // Any other refusal is a loss, and does not take the names that are stored.
    let topics = || {
        let path = tgvault::model::paths::chat_info(peer(forum.peer)).unwrap();
        let info: Value = serde_json::from_slice(&program.restored().files[&path]).unwrap();
        info["topics"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(topics(), 0);
    program.server.clear_faults();
    let send = || program.server.mutate(&Mutation::Send { peer: forum.peer, text: "x".into(), out: false, reply_to: None, file: None });
    send().unwrap();
    program.backup(&alone, 0);
    let named = topics();
    assert!(named > 1);
    refuse(&program, "messages.getForumTopics", "METHOD_INVALID");
    send().unwrap();
    program.backup(&alone, 3);
    assert_eq!(topics(), named);
    assert!(matches!(program.restored().coverage(peer(forum.peer)).verdict, Verdict::Incomplete(_)));
    // Whoever wants the own messages only has the names of their topics, too.
    program.server.clear_faults();
    let program = Program::logged_in(Options { messages: 1_000, chats: 20, ..small() });
    program.backup(&[&alone[..], &["--only-my-messages"]].concat(), 0);
    let path = tgvault::model::paths::chat_info(peer(forum.peer)).unwrap();
    let info: Value = serde_json::from_slice(&program.restored().files[&path]).unwrap();
    assert_eq!(info["topics"].as_array().map_or(0, Vec::len), named);
}

/// Only a takeout lists them; a chat that was left can be named like any other all the same.
#[test]
fn a_chat_that_was_left_can_be_named() {
    let program = Program::logged_in(Options { chats: 80, messages: 2_000, ..small() });
    let left = program.server.chats().into_iter().find(|chat| chat.left && peer(chat.peer).kind == PeerKind::Channel).unwrap();
    let title = left.title.as_str();
    program.backup(&["--chat", title], 0);
    let vault = program.restored();
    let held: BTreeSet<Peer> = vault
        .files
        .keys()
        .filter_map(|path| match tgvault::model::paths::place(path) {
            Some(tgvault::model::paths::Place::ChatInfo(peer)) => Some(peer),
            _ => None,
        })
        .collect();
    assert!(held.contains(&peer(left.peer)) && held.len() <= 2, "{held:?}");
    // A mistake is told all the same, and the takeout does not stay open.
    let wrong = Program::logged_in(small());
    let run = wrong.run(&["backup", "telegram", "--chat", "No such chat"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("no chat 'No such chat'"), "{}", run.stderr);
    let methods = wrong.server.methods();
    assert_eq!(methods.get("account.initTakeoutSession"), methods.get("account.finishTakeoutSession"));
}

/// A rich message brings its files beside its text.
#[test]
fn files_of_a_rich_message_are_stored() {
    let program = Program::logged_in(small());
    let chat = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Private).unwrap().peer;
    let send = Mutation::Send { peer: chat, text: "with a file".into(), out: false, reply_to: None, file: Some(70_000) };
    let sent = program.server.mutate(&send).unwrap().ids[0];
    let Some(enums::Message::Message(mut sent)) = program.server.message(chat, sent) else { panic!("no message") };
    let Some(enums::MessageMedia::Document(media)) = sent.media.take() else { panic!("no file") };
    let mut message = blank_message();
    (message.message, message.date) = ("rich".into(), sent.date);
    let rich =
        types::RichMessage { rtl: false, part: false, blocks: vec![], photos: vec![], documents: media.document.into_iter().collect() };
    message.rich_message = Some(rich.into());
    let id = program.server.post(chat, message).unwrap();
    program.backup(&["--takeout", "never", "--chat", &peer(chat).to_string()], 0);
    let vault = program.restored();
    let record = &vault.messages(peer(chat))[&i64::from(id)];
    let path = record.media.iter().find_map(|media| media.path.clone()).expect("the record names no file");
    assert_eq!(vault.files[&path].len(), 70_000);
}

/// A rich message whose text stands in its blocks only has that text, with its links, wherever messages are shown.
#[test]
fn the_text_of_a_rich_message_is_restored_and_found() {
    let program = Program::logged_in(small());
    let chat = program.server.chats().into_iter().find(|chat| chat.kind == Kind::Private).unwrap().peer;
    let plain = |text: &str| enums::RichText::TextPlain(types::TextPlain { text: text.into() });
    let link = types::TextUrl { text: plain("kingfisher"), url: "https://example.org/birds".into(), webpage_id: 0 };
    let item = |text| types::PageListItemText { checkbox: false, checked: false, text }.into();
    let texts = vec![plain("the "), link.into(), types::TextBold { text: plain(" dives") }.into()];
    let blocks = vec![
        types::PageBlockHeading2 { text: plain("Seen 👀 today") }.into(),
        enums::PageBlock::Divider,
        types::PageBlockList { items: vec![item(types::TextConcat { texts }.into()), item(plain("an otter"))] }.into(),
    ];
    let rich = types::RichMessage { rtl: false, part: false, blocks, photos: vec![], documents: vec![] };
    let mut message = blank_message();
    message.rich_message = Some(rich.into());
    let id = program.server.post(chat, message).unwrap();
    let name = peer(chat).to_string();
    program.backup(&["--takeout", "never", "--chat", &name], 0);
    let to = program.file("restored");
    program.unlocked(&["restore", "latest", "--as", "telegram-desktop", "--format", "json", "--to", &to.to_string_lossy()]);
    let json: Value = serde_json::from_slice(&std::fs::read(to.join("result.json")).unwrap()).unwrap();
    let found = json["messages"].as_array().unwrap().iter().find(|message| message["id"] == id).unwrap();
    let parts = serde_json::json!([
        {"type": "bold", "text": "Seen 👀 today"},
        {"type": "plain", "text": "\n• the "},
        {"type": "text_link", "text": "kingfisher", "href": "https://example.org/birds"},
        {"type": "bold", "text": " dives"},
        {"type": "plain", "text": "\n• an otter"},
    ]);
    assert_eq!(found["text_entities"], parts);
    assert_eq!(crate::truth::text_of(&found["text"]), "Seen 👀 today\n• the kingfisher dives\n• an otter");
    let search = program.unlocked(&["--json", "search", "kingfisher"]);
    assert!(search.stdout.contains(&format!("\"id\":{id}")), "{}", search.stdout);
    let cat = program.unlocked(&["cat", "latest", "--chat", &name, "--last", "1"]);
    assert!(cat.stdout.contains("otter"), "{}", cat.stdout);
}
