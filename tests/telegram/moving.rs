//! What moves while a run looks at it: the list of chats, the newest messages, groups that become something else, takeouts that end.

use std::thread::sleep;
use std::time::Duration;

use grammers_tl_types::{Serializable, enums, types};
use tgvault::model::coverage::Verdict;
use tgvault::model::reason::Reason;
use tgvault::model::record::Record;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, Peer, When};

use crate::export::{assert_all_of, readable};
use crate::harness::peer;
use crate::program::Program;

fn small() -> Options {
    Options { messages: 1_500, chats: 30, files: 20, media_bytes: 2_000_000, gallery: false, ..Options::default() }
}

fn strike(program: &Program, when: When, then: Effect) {
    program.server.add_fault(Fault { when, then });
}

fn method(program: &Program, name: &str) -> usize {
    program.server.methods().get(name).copied().unwrap_or_default()
}

fn of_kind(program: &Program, kind: Kind) -> Peer {
    let mut found: Vec<_> = readable(&program.server).into_iter().filter(|chat| chat.kind == kind).collect();
    found.sort_by_key(|chat| std::cmp::Reverse(chat.messages));
    found[0].peer
}

fn says(peer: Peer, text: &str) -> Mutation {
    Mutation::Send { peer, text: text.into(), out: false, reply_to: None, file: None }
}

fn date(message: &enums::Message) -> i32 {
    match message {
        enums::Message::Message(message) => message.date,
        enums::Message::Service(message) => message.date,
        enums::Message::Empty(_) => 0,
    }
}

/// A line of the list names its chat and, right after it, the newest message: this replaces the latter.
fn stale(program: &Program, chat: Peer, back: usize) -> Effect {
    let peer: enums::Peer = match chat {
        Peer::User(user_id) => types::PeerUser { user_id }.into(),
        Peer::Group(chat_id) => types::PeerChat { chat_id }.into(),
        Peer::Channel(channel_id) => types::PeerChannel { channel_id }.into(),
    };
    let ids = program.server.message_ids(chat);
    let line = |top: i32| [peer.to_bytes(), top.to_le_bytes().to_vec()].concat();
    Effect::Replace(line(*ids.last().unwrap()), line(ids[ids.len() - 1 - back]))
}

#[test]
fn a_chat_that_moves_up_while_the_list_is_read_is_not_missed() {
    let program = Program::logged_in(Options { messages: 1_500, chats: 260, files: 0, gallery: false, ..Options::default() });
    let newest = |chat: Peer| date(&program.server.message(chat, *program.server.message_ids(chat).last().unwrap()).unwrap());
    let last = readable(&program.server).into_iter().map(|chat| chat.peer).min_by_key(|&chat| newest(chat)).unwrap();
    // When the second page is asked for, the last chat of the list is written to, and stands on the first page from then on.
    strike(&program, When { from: 2, times: Some(1), ..When::method("messages.getDialogs") }, Effect::Mutate(says(last, "me too")));
    program.backup(&["--takeout", "never"], 0);
    assert_eq!(program.server.struck(), [1]);
    assert!(method(&program, "messages.getDialogs") <= 8, "{:?}", program.server.methods());
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn what_comes_in_while_a_chat_is_read_is_read_with_it() {
    let program = Program::logged_in(small());
    for kind in [Kind::Private, Kind::Group, Kind::Broadcast] {
        let chat = of_kind(&program, kind);
        let (Peer::User(id) | Peer::Group(id) | Peer::Channel(id)) = chat;
        let when = When { peer: Some(id), times: Some(1), ..When::method("messages.getHistory") };
        strike(&program, when, Effect::Mutate(says(chat, "just now")));
    }
    program.backup(&["--takeout", "never"], 0);
    assert_eq!(program.server.struck(), [1, 1, 1]);
    let vault = program.restored();
    assert_all_of(&program.server, &vault);
    for chat in readable(&program.server) {
        assert_eq!(vault.coverage(peer(chat.peer)).verdict, Verdict::Complete, "{:?}", chat.peer);
    }
}

#[test]
fn a_list_that_is_older_than_its_chats_hides_nothing() {
    let program = Program::logged_in(small());
    let chats = [of_kind(&program, Kind::Private), of_kind(&program, Kind::Group), of_kind(&program, Kind::Supergroup { forum: false })];
    for (chat, back) in chats.into_iter().zip([5, 1, 60]) {
        strike(&program, When::method("messages.getDialogs"), stale(&program, chat, back));
    }
    program.backup(&["--takeout", "never"], 0);
    let vault = program.restored();
    assert_all_of(&program.server, &vault);
    for chat in chats {
        assert_eq!(vault.coverage(peer(chat)).verdict, Verdict::Complete, "{chat:?}");
    }
    // Later, what the list does not have yet comes by the updates that tell of it.
    program.server.clear_faults();
    for chat in chats {
        program.server.mutate(&says(chat, "one")).unwrap();
        program.server.mutate(&says(chat, "two")).unwrap();
    }
    strike(&program, When::method("messages.getDialogs"), stale(&program, chats[0], 2));
    strike(&program, When::method("messages.getDialogs"), stale(&program, chats[1], 1));
    strike(&program, When::method("messages.getDialogs"), stale(&program, chats[2], 2));
    program.backup(&[], 0);
    assert_all_of(&program.server, &program.restored());
    // None of this costs an account anything in which nothing happens.
    program.server.clear_faults();
    program.server.forget_requests();
    program.backup(&[], 0);
    assert_eq!(method(&program, "messages.getHistory"), 0, "{:?}", program.server.methods());
}

#[test]
fn what_was_written_before_a_group_became_a_supergroup_is_read() {
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never"], 0);
    let group = of_kind(&program, Kind::Group);
    let Peer::Group(id) = group else { panic!("not a group") };
    for text in ["the last", "words", "here"] {
        program.server.mutate(&says(group, text)).unwrap();
    }
    // The list has the supergroup in the group's place.
    let moved = program.server.mutate(&Mutation::Migrate { group: id }).unwrap().peer.unwrap();
    program.server.mutate(&says(moved, "the first words there")).unwrap();
    let run = program.backup(&["--takeout", "never"], 0);
    assert!(!run.stderr.contains("no longer in the chat list"), "{}", run.stderr);
    let vault = program.restored();
    assert_all_of(&program.server, &vault);
    let ids: Vec<i64> = program.server.message_ids(group).into_iter().map(i64::from).collect();
    assert_eq!(vault.messages(peer(group)).into_keys().collect::<Vec<_>>(), ids);
    assert_eq!(vault.coverage(peer(group)).verdict, Verdict::Complete);
}

#[test]
fn a_group_from_before_is_read_though_the_first_run_ended_on_the_way() {
    let program = Program::logged_in(small());
    let group = of_kind(&program, Kind::Group);
    let Peer::Group(id) = group else { panic!("not a group") };
    program.server.mutate(&Mutation::Migrate { group: id }).unwrap();
    let when = When { peer: Some(id), ..When::method("messages.getHistory") };
    strike(&program, when, Effect::rpc(420, "FLOOD_WAIT_5000"));
    program.backup(&["--takeout", "never"], 14);
    program.server.clear_faults();
    program.backup(&["--takeout", "never"], 0);
    let ids: Vec<i64> = program.server.message_ids(group).into_iter().map(i64::from).collect();
    assert_eq!(program.restored().messages(peer(group)).into_keys().collect::<Vec<_>>(), ids);
}

#[test]
fn a_deletion_makes_no_chat_incomplete() {
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never"], 0);
    let chat = of_kind(&program, Kind::Private);
    let id = program.server.message_ids(chat)[1];
    program.server.mutate(&Mutation::Delete { peer: chat, ids: vec![id] }).unwrap();
    let run = program.run(&["backup", "telegram", "--no-account-data", "--recheck-budget", "500"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let vault = program.restored();
    assert_all_of(&program.server, &vault);
    assert_eq!(vault.coverage(peer(chat)).verdict, Verdict::Complete);
    assert!(run.stdout.contains(" 0 incomplete"), "{}", run.stdout);
}

#[test]
fn a_takeout_that_ends_again_and_again_is_given_up_and_told() {
    let program = Program::logged_in(small());
    for method in ["messages.getHistory", "upload.getFile"] {
        strike(&program, When { takeout: Some(true), ..When::method(method) }, Effect::EndTakeout);
    }
    let run = program.backup(&["--takeout", "always", "--no-left-chats"], 0);
    assert!(run.stderr.contains("again and again: going on with ordinary requests"), "{}", run.stderr);
    // Each request has three renewals, and the run ten: how many of them are made side by side is anybody's.
    assert!(method(&program, "account.initTakeoutSession") <= 11, "{:?}", program.server.methods());
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn a_renewal_that_has_to_wait_is_told_and_the_run_goes_on() {
    let program = Program::logged_in(small());
    strike(&program, When { from: 3, times: Some(1), takeout: Some(true), ..When::method("messages.getHistory") }, Effect::EndTakeout);
    let later = When { from: 2, ..When::method("account.initTakeoutSession") };
    strike(&program, later, Effect::rpc(420, "TAKEOUT_INIT_DELAY_86400"));
    let run = program.backup(&["--takeout", "always", "--no-left-chats"], 0);
    assert!(run.stderr.contains("grants no new one"), "{}", run.stderr);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn a_takeout_that_cannot_be_ended_is_ended_by_the_next_run() {
    let program = Program::logged_in(small());
    strike(&program, When::method("account.finishTakeoutSession"), Effect::Silent);
    let mut child = program.command(&["backup", "telegram", "--takeout", "always"]).spawn().unwrap();
    while method(&program, "account.finishTakeoutSession") == 0 && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    program.server.clear_faults();
    program.server.forget_requests();
    program.backup(&["--no-left-chats"], 0);
    let methods = program.server.methods();
    assert_eq!((method(&program, "account.initTakeoutSession"), method(&program, "account.finishTakeoutSession")), (0, 1), "{methods:?}");
    // There is none open any more.
    program.server.forget_requests();
    program.backup(&[], 0);
    assert_eq!(method(&program, "account.finishTakeoutSession"), 0);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn a_takeout_of_all_chats_waits_for_the_next_run_over_all_of_them() {
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never"], 0);
    let chat = of_kind(&program, Kind::Private);
    program.server.mutate(&says(chat, "news")).unwrap();
    strike(&program, When { takeout: Some(true), ..When::method("messages.getHistory") }, Effect::Silent);
    let mut child = program.command(&["backup", "telegram", "--takeout", "always", "--no-account-data"]).spawn().unwrap();
    while method(&program, "messages.getHistory") < 1 || program.server.struck() == [0] {
        assert!(child.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    program.server.clear_faults();
    program.server.forget_requests();
    let one = peer(chat).to_string();
    program.run(&["backup", "telegram", "--dry-run"]);
    program.backup(&["--chat", &one, "--no-left-chats"], 0);
    program.backup(&["--chat", "Nobody's"], 2);
    program.backup(&["--chat", &one, "--takeout", "always", "--no-left-chats"], 0);
    let asked = || (method(&program, "account.initTakeoutSession"), method(&program, "account.finishTakeoutSession"));
    assert_eq!(asked(), (0, 0), "{:?}", program.server.methods());
    program.backup(&["--no-left-chats"], 0);
    assert_eq!(asked(), (0, 1), "{:?}", program.server.methods());
    // And it is owed no more.
    program.backup(&[], 0);
    assert_eq!(asked(), (0, 1), "{:?}", program.server.methods());
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn what_only_a_takeout_tells_is_missing_where_it_ended_before() {
    let program = Program::logged_in(small());
    strike(&program, When { takeout: Some(true), times: Some(1), ..When::method("messages.getSplitRanges") }, Effect::EndTakeout);
    strike(&program, When { from: 2, ..When::method("account.initTakeoutSession") }, Effect::rpc(420, "TAKEOUT_INIT_DELAY_86400"));
    let backup = |code: i32| {
        let run = program.run(&["backup", "telegram", "--no-left-chats", "--recheck-budget", "0"]);
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        run
    };
    let run = backup(3);
    assert!(run.stdout.contains("2 other parts of the account missing"), "{}{}", run.stdout, run.stderr);
    // It is asked for again, for as long as it is owed.
    program.server.clear_faults();
    let run = backup(0);
    assert!(!run.stdout.contains("missing"), "{}", run.stdout);
    program.server.forget_requests();
    backup(0);
    assert_eq!(method(&program, "account.initTakeoutSession"), 0);
}

#[test]
fn a_channel_that_was_left_is_not_joined_again_when_a_takeout_lists_it() {
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never"], 0);
    let chat = of_kind(&program, Kind::Broadcast);
    let Peer::Channel(channel) = chat else { panic!("not a channel") };
    program.server.mutate(&Mutation::Leave { channel }).unwrap();
    let told = "1 of the chats in the backup are no longer in the chat list";
    assert!(program.backup(&[], 0).stderr.contains(told));
    program.backup(&["--takeout", "always"], 0);
    assert!(!program.backup(&[], 0).stderr.contains(told), "told twice");
    let records = program.restored().records(peer(chat));
    assert!(!records.iter().any(|record| matches!(record, Record::Event(_))), "{records:?}");
}

#[test]
fn a_forum_that_stays_closed_is_told_of_once() {
    let program = Program::logged_in(small());
    let chat = of_kind(&program, Kind::Supergroup { forum: true });
    let Peer::Channel(id) = chat else { panic!("not a channel") };
    for method in ["messages.getHistory", "messages.search", "messages.getForumTopics", "updates.getChannelDifference"] {
        strike(&program, When { peer: Some(id), ..When::method(method) }, Effect::rpc(400, "USER_BANNED_IN_CHANNEL"));
    }
    program.backup(&["--takeout", "never"], 3);
    program.backup(&["--takeout", "never"], 0);
    assert!(matches!(program.restored().coverage(peer(chat)).verdict, Verdict::Incomplete(_)));
}

/// Only a takeout tells of chats that were left, and they come last: a first run that ends before them owes them.
#[test]
fn chats_that_were_left_are_read_though_the_first_run_ended_on_the_way() {
    let program = Program::logged_in(Options::default());
    strike(&program, When::method("messages.search"), Effect::rpc(420, "FLOOD_WAIT_5000"));
    program.backup(&[], 14);
    // All chats of the list are read without them.
    program.backup(&["--takeout", "never"], 0);
    program.server.clear_faults();
    program.server.forget_requests();
    let run = program.run(&["backup", "telegram", "--no-account-data", "--recheck-budget", "0"]);
    assert!(matches!(run.code, Some(0 | 3)), "{}", run.stderr);
    let vault = program.restored();
    let left: Vec<_> = program.server.chats().into_iter().filter(|chat| chat.left).collect();
    assert!(!left.is_empty());
    let shown: usize = left.iter().map(|chat| vault.messages(peer(chat.peer)).len()).sum();
    assert!(shown > 0, "{:?}", program.server.methods());
    // Then it owes nothing.
    program.server.forget_requests();
    program.backup(&[], 0);
    assert_eq!(method(&program, "account.initTakeoutSession"), 0);
}

#[test]
fn a_chat_that_is_not_listed_any_more_is_told_of_once_and_kept() {
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never"], 0);
    let chat = of_kind(&program, Kind::Private);
    let ids: Vec<i64> = program.server.message_ids(chat).into_iter().map(i64::from).collect();
    program.server.mutate(&Mutation::Remove { peer: chat }).unwrap();
    program.server.forget_requests();
    let told = "1 of the chats in the backup are no longer in the chat list";
    let run = program.backup(&[], 0);
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert_eq!(method(&program, "messages.getHistory"), 0, "{:?}", program.server.methods());
    let run = program.backup(&[], 0);
    assert!(!run.stderr.contains(told), "{}", run.stderr);
    let vault = program.restored();
    assert_eq!(vault.messages(peer(chat)).into_keys().collect::<Vec<_>>(), ids);
    let coverage = vault.coverage(peer(chat));
    assert_eq!((coverage.verdict, coverage.notes.0.len()), (Verdict::Complete, 1), "{:?}", coverage.notes);
}

#[test]
fn messages_that_go_while_a_chat_is_read_are_told_of() {
    let program = Program::logged_in(Options { messages: 4_000, chats: 6, files: 0, gallery: false, ..Options::default() });
    let chat = readable(&program.server).into_iter().max_by_key(|chat| chat.messages).unwrap().peer;
    let (Peer::User(id) | Peer::Group(id) | Peer::Channel(id)) = chat;
    let ids = program.server.message_ids(chat);
    assert!(ids.len() > 300, "{}", ids.len());
    let when = When { peer: Some(id), from: 2, times: Some(1), ..When::method("messages.getHistory") };
    strike(&program, when, Effect::Mutate(Mutation::Delete { peer: chat, ids: ids[ids.len() - 60..].to_vec() }));
    let run = program.backup(&["--takeout", "never"], 0);
    assert!(run.stderr.contains("60 messages were deleted while it was read"), "{}", run.stderr);
    let coverage = program.restored().coverage(peer(chat));
    assert!(coverage.notes.0.contains(&Reason::DeletedMeanwhile { count: 60 }), "{:?}", coverage.notes);
}
