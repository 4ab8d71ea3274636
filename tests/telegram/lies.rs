//! Servers whose own numbers disagree: every lie is named in the coverage, the run ends with code 3, and the next run comes back to it
//! first, whatever its budget for reading again is.

use grammers_tl_types::{Deserializable, Serializable, enums, types};
use tgvault::model::coverage::Verdict;
use tgvault::model::reason::Reason;
use tgvault::model::record::Raw;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, Peer, When};

use crate::export::{assert_all_of, assert_bytes_of, readable};
use crate::harness::{Vault, peer};
use crate::program::Program;

const PLAIN: [&str; 2] = ["--takeout", "never"];

fn small() -> Options {
    Options { messages: 400, chats: 12, files: 0, media_bytes: 0, gallery: false, ..Options::default() }
}

fn of_peer(method: &str, peer: Peer) -> When {
    let id = match peer {
        Peer::User(id) | Peer::Group(id) | Peer::Channel(id) => id,
    };
    When { peer: Some(id), ..When::method(method) }
}

fn chat(program: &Program, kind: Kind) -> Peer {
    let chats = readable(&program.server).into_iter().filter(|chat| chat.kind == kind && chat.messages > 8);
    chats.max_by_key(|chat| chat.messages).unwrap_or_else(|| panic!("no {kind:?}")).peer
}

fn reasons(vault: &Vault, of: Peer) -> Vec<Reason> {
    match vault.coverage(peer(of)).verdict {
        Verdict::Incomplete(reasons) => reasons,
        verdict => panic!("{of:?} is {verdict}"),
    }
}

fn pages_of(program: &Program, peer: Peer) -> usize {
    let id = of_peer("", peer).peer;
    program.server.requests().iter().filter(|request| request.method == "messages.getHistory" && request.peer == id).count()
}

#[test]
fn a_list_of_chats_that_breaks_off_by_an_empty_page_is_told() {
    let program = Program::logged_in(Options { page_dialogs: 5, ..small() });
    let empty = enums::messages::Dialogs::Slice(types::messages::DialogsSlice {
        count: 150,
        dialogs: vec![],
        messages: vec![],
        chats: vec![],
        users: vec![],
    });
    let when = When { from: 3, ..When::method("messages.getDialogs") };
    program.server.add_fault(Fault { when, then: Effect::Answer(empty.to_bytes()) });
    let run = program.backup(&PLAIN, 3);
    assert!(run.stderr.contains("Telegram counts 150 chats"), "{}", run.stderr);
    let told = program.unlocked(&["coverage"]).stdout;
    assert!(told.contains("chat list") && told.contains("of the chats in the list could not be read"), "{told}");
    program.server.clear_faults();
    program.backup(&PLAIN, 0);
    assert_bytes_of(&program.server, &program.restored());
}

#[test]
fn a_history_that_was_served_empty_is_read_as_a_whole_by_the_next_run() {
    for kind in [Kind::Private, Kind::Supergroup { forum: false }, Kind::Broadcast] {
        let program = Program::logged_in(small());
        let emptied = chat(&program, kind);
        let when = of_peer("messages.getHistory", emptied);
        program.server.add_fault(Fault { when, then: Effect::HideNewest(usize::MAX) });
        program.backup(&PLAIN, 3);
        let vault = program.restored();
        assert!(vault.messages(peer(emptied)).is_empty());
        let because = reasons(&vault, emptied);
        assert!(because.iter().any(|reason| matches!(reason, Reason::NewestNotServed { .. })), "{because:?}");
        program.server.clear_faults();
        // Without any budget for reading again.
        program.backup(&PLAIN, 0);
        let vault = program.restored();
        assert_all_of(&program.server, &vault);
        assert_eq!(vault.coverage(peer(emptied)).verdict, Verdict::Complete);
        // And that was it.
        program.server.forget_requests();
        program.backup(&PLAIN, 0);
        assert_eq!(pages_of(&program, emptied), 0);
    }
}

#[test]
fn newest_messages_that_are_withheld_are_told_in_every_run_and_read_again_once() {
    let program = Program::logged_in(small());
    let cut = chat(&program, Kind::Private);
    let newest = *program.server.message_ids(cut).last().unwrap();
    let when = of_peer("messages.getHistory", cut);
    program.server.add_fault(Fault { when, then: Effect::HideNewest(3) });
    program.backup(&PLAIN, 3);
    assert_eq!(reasons(&program.restored(), cut), [Reason::NewestNotServed { id: newest.into() }]);
    let mut pages = Vec::new();
    for _ in 0..3 {
        program.server.forget_requests();
        let run = program.backup(&PLAIN, 3);
        assert!(run.stderr.contains("1 chat could not be read"), "{}", run.stderr);
        pages.push(pages_of(&program, cut));
    }
    // All of it once; after that only what should be its end, from both sides.
    assert!(pages[0] > pages[1] && pages[1] <= 2 && pages[2] <= 2, "{pages:?}");
    program.backup(&["--takeout", "never", "--quiet"], 3);
    program.server.clear_faults();
    program.backup(&PLAIN, 0);
    let vault = program.restored();
    assert_all_of(&program.server, &vault);
    assert_eq!(vault.coverage(peer(cut)).verdict, Verdict::Complete);
}

#[test]
fn long_messages_that_come_in_part_are_fetched_whole() {
    let program = Program::logged_in(Options { messages: 60, chats: 4, gallery: true, ..small() });
    program.server.add_fault(Fault { when: When::method("messages.getHistory"), then: Effect::InPart });
    program.server.add_fault(Fault { when: When::method("messages.getRichMessage"), then: Effect::rpc(400, "METHOD_INVALID") });
    let in_part = |vault: &Vault| -> usize {
        let chats = readable(&program.server).into_iter();
        let records = chats.flat_map(|chat| vault.messages(peer(chat.peer)).into_values());
        let rich = records.filter_map(|record| match record.raw {
            Some(Raw::Tl { bytes, .. }) => match enums::Message::from_bytes(&bytes).unwrap() {
                enums::Message::Message(message) => message.rich_message,
                _ => None,
            },
            _ => None,
        });
        rich.filter(|enums::RichMessage::Message(rich)| rich.part).count()
    };
    program.backup(&PLAIN, 3);
    let vault = program.restored();
    let held = in_part(&vault);
    assert!(held > 5, "{held}");
    let told: u64 = readable(&program.server)
        .into_iter()
        .filter_map(|chat| match vault.coverage(peer(chat.peer)).verdict {
            Verdict::Incomplete(reasons) => reasons.into_iter().find_map(|reason| match reason {
                Reason::InPart { count } => Some(count),
                _ => None,
            }),
            _ => None,
        })
        .sum();
    assert_eq!(told, held as u64);
    // Once Telegram gives the rest, it is fetched, and that is all.
    program.server.clear_faults();
    program.server.add_fault(Fault { when: When::method("messages.getHistory"), then: Effect::InPart });
    program.backup(&PLAIN, 0);
    let vault = program.restored();
    assert_eq!(in_part(&vault), 0);
    assert_bytes_of(&program.server, &vault);
    program.server.forget_requests();
    let again = program.run(&["backup", "telegram", "--no-account-data", "--takeout", "never", "--recheck-budget", "500"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(!program.server.methods().contains_key("messages.getRichMessage"), "what is whole is fetched again");
}

#[test]
fn a_count_that_stays_too_high_is_the_servers_after_two_more_readings() {
    let program = Program::logged_in(small());
    let miscounted = chat(&program, Kind::Supergroup { forum: false });
    program.server.add_fault(Fault { when: of_peer("messages.getHistory", miscounted), then: Effect::CountOff(3) });
    let run = program.backup(&PLAIN, 3);
    assert!(run.stderr.contains("1 chat could not be read"), "{}", run.stderr);
    assert_eq!(reasons(&program.restored(), miscounted), [Reason::NotReturned { count: 3 }]);
    let all = program.server.message_ids(miscounted).len().div_ceil(100);
    let again = || {
        program.server.forget_requests();
        program.backup(&["--takeout", "never", "--quiet"], 3);
        pages_of(&program, miscounted)
    };
    assert!(again() >= all);
    program.server.forget_requests();
    program.backup(&PLAIN, 0);
    assert!(pages_of(&program, miscounted) >= all);
    // From now on it is told, and costs nothing.
    program.server.forget_requests();
    program.backup(&PLAIN, 0);
    assert_eq!(pages_of(&program, miscounted), 0);
    assert_eq!(reasons(&program.restored(), miscounted), [Reason::NotReturned { count: 3 }]);
    // Another number is another matter.
    program.server.clear_faults();
    program.server.add_fault(Fault { when: of_peer("messages.getHistory", miscounted), then: Effect::CountOff(8) });
    let send = Mutation::Send { peer: miscounted, text: "news".into(), out: false, reply_to: None, file: None };
    program.server.mutate(&send).unwrap();
    program.backup(&PLAIN, 3);
    program.server.clear_faults();
    program.backup(&PLAIN, 0);
    assert_eq!(program.restored().coverage(peer(miscounted)).verdict, Verdict::Complete);
}

#[test]
fn a_count_that_is_too_low_is_told_though_every_message_was_served() {
    for (kind, off) in [(Kind::Private, -3), (Kind::Supergroup { forum: false }, -5), (Kind::Broadcast, -1_000)] {
        let program = Program::logged_in(small());
        let miscounted = chat(&program, kind);
        program.server.add_fault(Fault { when: of_peer("messages.getHistory", miscounted), then: Effect::CountOff(off) });
        let run = program.backup(&PLAIN, 3);
        assert!(run.stderr.contains("1 chat could not be read"), "{}", run.stderr);
        let vault = program.restored();
        assert_all_of(&program.server, &vault);
        let all = program.server.message_ids(miscounted).len() as u64;
        let told = [Reason::CountedFewer { count: all.min(u64::from(off.unsigned_abs())) }];
        assert_eq!(reasons(&vault, miscounted), told);
        assert!(program.unlocked(&["coverage"]).stdout.contains("fewer than it returned"));
        // Twice more as a whole; from then on it is told, and costs nothing.
        for code in [3, 0] {
            program.server.forget_requests();
            program.backup(&PLAIN, code);
            assert!(pages_of(&program, miscounted) >= all.div_ceil(100) as usize);
        }
        program.server.forget_requests();
        program.backup(&PLAIN, 0);
        assert_eq!((pages_of(&program, miscounted), reasons(&program.restored(), miscounted)), (0, told.to_vec()));
        // A count that is right again is seen with the next message.
        program.server.clear_faults();
        let send = Mutation::Send { peer: miscounted, text: "news".into(), out: false, reply_to: None, file: None };
        program.server.mutate(&send).unwrap();
        program.backup(&PLAIN, 0);
        assert_eq!(program.restored().coverage(peer(miscounted)).verdict, Verdict::Complete);
    }
}

#[test]
fn a_run_whose_chats_are_all_incomplete_ends_with_3() {
    for quiet in [&[][..], &["--quiet"]] {
        let program = Program::logged_in(small());
        program.server.add_fault(Fault { when: When::method("messages.getHistory"), then: Effect::CountOff(1) });
        program.backup(&[&PLAIN[..], quiet].concat(), 3);
        program.server.clear_faults();
        program.server.add_fault(Fault { when: When::method("messages.getHistory"), then: Effect::rpc(400, "CHANNEL_PRIVATE") });
        program.backup(&[&PLAIN[..], quiet].concat(), 3);
    }
}

#[test]
fn lists_of_the_account_that_are_shorter_than_their_count_are_told() {
    let program = Program::logged_in(Options { messages: 60, chats: 4, ..small() });
    let stories = enums::stories::Stories::Stories(types::stories::Stories {
        count: 40,
        stories: vec![],
        pinned_to_top: None,
        chats: vec![],
        users: vec![],
    });
    let gifts = enums::payments::SavedStarGifts::Gifts(types::payments::SavedStarGifts {
        count: 9,
        chat_notifications_enabled: None,
        gifts: vec![],
        next_offset: None,
        chats: vec![],
        users: vec![],
    });
    program.server.add_fault(Fault { when: When::method("stories.getStoriesArchive"), then: Effect::Answer(stories.to_bytes()) });
    program.server.add_fault(Fault { when: When::method("payments.getSavedStarGifts"), then: Effect::Answer(gifts.to_bytes()) });
    let run = program.run(&["backup", "telegram", "--takeout", "never"]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(run.stderr.contains("2 lists could not be read"), "{}", run.stderr);
    let told = program.unlocked(&["coverage"]).stdout;
    assert!(told.contains("the server counts 40 entries more than it listed") && told.contains("counts 9 entries more"), "{told}");
    program.server.clear_faults();
    let run = program.run(&["backup", "telegram", "--takeout", "never"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn media_that_this_version_cannot_read_are_counted() {
    let program = Program::logged_in(Options { messages: 60, chats: 4, gallery: true, ..small() });
    program.backup(&PLAIN, 0);
    let vault = program.restored();
    let notes: Vec<Reason> = readable(&program.server).into_iter().flat_map(|chat| vault.coverage(peer(chat.peer)).notes.0).collect();
    assert!(notes.iter().any(|note| matches!(note, Reason::UnsupportedMedia { count: 1.. })), "{notes:?}");
}

#[test]
fn a_takeout_that_fails_for_the_moment_is_told_and_asked_for_by_the_next_run() {
    let program = Program::logged_in(small());
    let failing = Fault { when: When::method("account.initTakeoutSession"), then: Effect::rpc(500, "INTERNAL") };
    program.server.add_fault(failing);
    let run = program.backup(&[], 0);
    assert!(run.stderr.contains("cannot begin a takeout at the moment (INTERNAL (500))"), "{}", run.stderr);
    assert!(program.server.methods()["account.initTakeoutSession"] <= 3);
    assert_all_of(&program.server, &program.restored());
    program.server.clear_faults();
    program.server.forget_requests();
    program.backup(&[], 0);
    assert_eq!(program.server.methods().get("account.finishTakeoutSession"), Some(&1));
}
