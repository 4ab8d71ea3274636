//! Refusals of every kind, on every method: once they cost nothing, for ever they cost one thing, and that is told.

use std::time::Duration;

use grammers_tl_types::enums;
use tgvault::model::coverage::Verdict;
use tgvault::source::telegram::{ConnectionEvent, Event, ExportOptions, TakeoutUse, TelegramSource};
use tgvault_test_support::telegram::{Effect, Fault, Mutation, Options, When};

use crate::export::{assert_all_there, assert_complete, readable};
use crate::harness::{Setup, Vault, peer, plain};
use crate::program::Program;

/// Everything that a first run asks.
pub const METHODS: [&str; 22] = [
    "account.getAuthorizations",
    "account.getWebAuthorizations",
    "account.initTakeoutSession",
    "account.finishTakeoutSession",
    "auth.exportAuthorization",
    "auth.importAuthorization",
    "channels.getLeftChannels",
    "channels.getMessages",
    "contacts.getContacts",
    "contacts.getSaved",
    "contacts.getTopPeers",
    "help.getConfig",
    "messages.getCustomEmojiDocuments",
    "messages.getForumTopics",
    "messages.getHistory",
    "messages.getMessages",
    "messages.getSplitRanges",
    "photos.getUserPhotos",
    "stories.getStoriesArchive",
    "updates.getState",
    "upload.getFile",
    "users.getFullUser",
];

/// Refusals that no documentation has, or that say "not now".
const REFUSALS: [(i32, &str); 14] = [
    (-500, "No workers running"),
    (500, "INTERNAL"),
    (-503, "Timeout"),
    (503, "BUSY_7"),
    (303, "ELSEWHERE_5"),
    (303, "FILE_MIGRATE_77"),
    (400, "SOMETHING"),
    (400, ""),
    (406, "UPDATE_APP_TO_LOGIN"),
    (420, "P0ISON"),
    (420, "SLOW_DOWN_3"),
    (420, "FLOOD_WAIT_0"),
    (420, "FLOOD_PREMIUM_WAIT_0"),
    (0, "NOTHING\u{1b}[2J"),
];

fn small() -> Options {
    Options { messages: 60, chats: 5, files: 4, media_bytes: 200_000, ..Options::default() }
}

fn all() -> ExportOptions {
    ExportOptions { recheck_budget: 0, ..ExportOptions::default() }
}

fn setup() -> Setup {
    let mut setup = Setup::new(small());
    setup.limits.pause = Duration::from_millis(2);
    setup.account();
    setup
}

fn strike(setup: &Setup, when: When, (code, name): (i32, &str)) {
    setup.server.add_fault(Fault { when, then: Effect::rpc(code, name) });
}

/// Whether a run says that something is missing or was not to be had.
fn is_told(setup: &Setup, vault: &Vault, source: &TelegramSource) -> bool {
    let outcome = source.outcome();
    let incomplete = source.coverage().incomplete > 0 || outcome.chats_failed + outcome.files_failed > 0;
    incomplete || !vault.problems.is_empty() || !setup.events.notes().is_empty()
}

#[test]
fn once_they_cost_nothing() {
    for refusal in REFUSALS {
        let setup = setup();
        for method in METHODS {
            strike(&setup, When { times: Some(1), ..When::method(method) }, refusal);
        }
        let mut vault = Vault::default();
        let source = setup.run(&mut vault, all());
        assert_complete(&setup, &vault);
        let (outcome, counts) = (source.outcome(), source.coverage());
        assert_eq!((outcome.chats_failed, outcome.files_failed, counts.incomplete), (0, 0, 0), "{refusal:?}");
        assert!(vault.problems.is_empty() && vault.broken.is_empty(), "{refusal:?}: {:?}", vault.problems);
    }
}

#[test]
fn for_ever_they_cost_one_thing_each() {
    for (round, refusal) in REFUSALS.into_iter().enumerate() {
        // Each method has its turn with each refusal; those without which there are no messages and files have a run of their own.
        for methods in [&METHODS[..10], &METHODS[10..12], &METHODS[12..16], &METHODS[16..]] {
            let setup = setup();
            for method in methods {
                strike(&setup, When::method(method), refusal);
            }
            let mut vault = Vault::default();
            let source = setup.run(&mut vault, all());
            assert!(is_told(&setup, &vault, &source), "{refusal:?} {methods:?}");
            if round % 5 == 0 {
                drop(source);
                setup.server.clear_faults();
                setup.run(&mut vault, all());
                assert_complete(&setup, &vault);
            }
        }
    }
}

#[test]
fn without_the_list_of_chats_there_is_no_run_and_that_is_told() {
    for refusal in REFUSALS {
        let setup = setup();
        strike(&setup, When::method("messages.getDialogs"), refusal);
        let error = Vault::default().take(&setup.source(all())).unwrap_err();
        let words = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(words.contains("the list of chats cannot be read"), "{refusal:?}: {error} {words}");
    }
}

#[test]
fn later_runs_are_refused_something_too() {
    const METHODS: [&str; 4] = ["updates.getDifference", "updates.getChannelDifference", "messages.getHistory", "messages.search"];
    for refusal in REFUSALS {
        let setup = setup();
        let mut vault = Vault::default();
        let options = || ExportOptions { takeout: TakeoutUse::Never, recheck_budget: 50, ..ExportOptions::default() };
        setup.run(&mut vault, options());
        for chat in readable(&setup.server) {
            let text = "one more".to_owned();
            setup.server.mutate(&Mutation::Send { peer: chat.peer, text, out: true, reply_to: None, file: None }).unwrap();
        }
        for method in METHODS {
            strike(&setup, When::method(method), refusal);
        }
        let source = setup.run(&mut vault, options());
        assert!(is_told(&setup, &vault, &source), "{refusal:?}");
        drop(source);
        setup.server.clear_faults();
        setup.run(&mut vault, options());
        assert_all_there(&setup, &vault);
    }
}

/// One chat is refused for ever with a wait that passes; all others are whole, and the next run has it.
#[test]
fn a_wait_that_comes_again_without_end_costs_one_chat() {
    for wait in ["FLOOD_WAIT_0", "FLOOD_WAIT_1", "FLOOD_PREMIUM_WAIT_0"] {
        let setup = setup();
        let lost = readable(&setup.server)[1].peer;
        let (tgvault_test_support::telegram::Peer::User(id)
        | tgvault_test_support::telegram::Peer::Group(id)
        | tgvault_test_support::telegram::Peer::Channel(id)) = lost;
        strike(&setup, When { peer: Some(id), ..When::method("messages.getHistory") }, (420, wait));
        let mut vault = Vault::default();
        let source = setup.run(&mut vault, plain());
        assert_eq!(source.outcome().chats_failed, 1, "{wait}");
        drop(source);
        for chat in readable(&setup.server).into_iter().filter(|chat| chat.peer != lost) {
            assert_eq!(vault.messages(peer(chat.peer)).len(), chat.messages, "{wait}");
        }
        let Verdict::Incomplete(because) = vault.coverage(peer(lost)).verdict else { panic!("{wait} is not told") };
        assert!(
            because.iter().any(|reason| {
                let words = reason.to_string();
                words.contains(wait) && words.contains("however long we wait")
            }),
            "{because:?}"
        );
        let waits =
            setup.events.all().into_iter().filter(|event| matches!(event, Event::Connection(ConnectionEvent::Waiting { .. }))).count();
        assert!((10..80).contains(&waits), "{waits}");
        setup.server.clear_faults();
        setup.run(&mut vault, plain());
        assert_complete(&setup, &vault);
    }
}

#[test]
fn a_long_series_of_waits_that_ends_costs_nothing() {
    for (method, wait, times) in [
        ("messages.getHistory", "FLOOD_WAIT_0", 28),
        ("users.getFullUser", "FLOOD_WAIT_0", 28),
        ("messages.getDialogs", "FLOOD_WAIT_1", 7),
        ("upload.getFile", "FLOOD_PREMIUM_WAIT_0", 28),
    ] {
        let setup = setup();
        strike(&setup, When { times: Some(times), ..When::method(method) }, (420, wait));
        let mut vault = Vault::default();
        let source = setup.run(&mut vault, all());
        assert_complete(&setup, &vault);
        let outcome = source.outcome();
        assert_eq!((outcome.chats_failed, outcome.files_failed), (0, 0), "{method}");
        assert!(vault.problems.is_empty(), "{:?}", vault.problems);
    }
}

#[test]
fn many_files_that_are_refused_for_ever_are_not_asked_for_one_by_one() {
    for refusal in [(420, "FLOOD_WAIT_0"), (500, "INTERNAL")] {
        let options = Options { files: 300, media_bytes: 3_000_000, messages: 600, chats: 5, dcs: vec![2], ..Options::default() };
        let mut setup = Setup::new(options);
        setup.limits.pause = Duration::from_millis(2);
        setup.account();
        strike(&setup, When::method("upload.getFile"), refusal);
        let mut vault = Vault::default();
        let source = setup.run(&mut vault, plain());
        assert!(source.outcome().files_failed > 250, "{}", source.outcome().files_failed);
        drop(source);
        let asked = setup.server.methods()["upload.getFile"];
        assert!(asked < 600, "{refusal:?}: {asked}");
        assert_all_there(&setup, &vault);
        setup.server.clear_faults();
        setup.run(&mut vault, plain());
        assert_complete(&setup, &vault);
        assert!(vault.media().count() > 250, "{}", vault.media().count());
    }
}

#[test]
fn the_program_ends_with_3_and_says_what_is_missing() {
    let program = Program::logged_in(small());
    let chat = readable(&program.server)[0].peer;
    let text = "the file".to_owned();
    let sent = program.server.mutate(&Mutation::Send { peer: chat, text, out: false, reply_to: None, file: Some(90_000) }).unwrap();
    let Some(enums::Message::Message(message)) = program.server.message(chat, sent.ids[0]) else { panic!("no message") };
    let Some(enums::MessageMedia::Document(media)) = message.media else { panic!("no file") };
    let when = When { peer: Some(media.document.unwrap().id()), ..When::method("upload.getFile") };
    program.server.add_fault(Fault { when, then: Effect::rpc(406, "SOMETHING") });
    program.server.add_fault(Fault { when: When::method("channels.getLeftChannels"), then: Effect::rpc(0, "") });
    let run = program.backup(&["--takeout", "always"], 3);
    assert!(run.stderr.contains("that you left cannot be listed"), "{}", run.stderr);
    let told = program.unlocked(&["coverage"]);
    assert!(told.stdout.contains("SOMETHING"), "{}", told.stdout);
}
