//! The account's own sections, and what the options choose.

use std::collections::HashSet;

use serde_json::Value;
use tgvault::model::account::Section;
use tgvault::model::kinds::{FileKind, KindChoice};
use tgvault::model::media::{MediaRole, MediaStatus};
use tgvault::model::paths::{self, Place, place};
use tgvault::source::telegram::{ChatClass, ExportOptions, ListingDetail, TakeoutUse};
use tgvault_test_support::telegram::{Kind, Options};

use crate::export::readable;
use crate::harness::{Setup, Vault, peer, plain};

#[test]
fn every_section_is_there_and_comes_again_only_when_it_changed() {
    let setup = Setup::new(Options { messages: 200, ..Options::default() });
    let mut vault = Vault::default();
    let takeout = || ExportOptions { recheck_budget: 0, takeout: TakeoutUse::Always, ..ExportOptions::default() };
    setup.run(&mut vault, takeout());
    assert!(vault.problems.is_empty(), "{:?}", vault.problems);
    for section in Section::ALL.into_iter().filter(|section| *section != Section::UnknownKeys) {
        let path = paths::account_section(section).unwrap();
        let value: Value = serde_json::from_slice(vault.files.get(&path).unwrap_or_else(|| panic!("no {path}"))).unwrap();
        let value = &value["value"];
        match section {
            Section::PersonalInformation => assert!(value["user_id"].is_i64() && value["first_name"].is_string(), "{value}"),
            Section::OtherData => assert!(value["about"].is_string(), "{value}"),
            Section::ProfilePictures => {
                let first = value[0]["photo"].as_str().unwrap();
                assert!(vault.files.keys().any(|path| path.to_string() == first), "{first}");
            }
            Section::Stories => assert!(value[0]["media"].as_str().is_some_and(|media| media.starts_with("media/")), "{value}"),
            _ => {
                let list = value["list"].as_array().or(value.as_array());
                assert!(list.is_some_and(|list| !list.is_empty()), "{section:?} {value}");
            }
        }
    }
    setup.run(&mut vault, takeout());
    // When a session was last active changes by itself.
    let steady = |section: Section| !matches!(section, Section::Sessions | Section::WebSessions);
    let again: Vec<_> =
        vault.last_run.iter().filter(|path| matches!(place(path), Some(Place::Account(section)) if steady(section))).collect();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn chats_can_be_chosen_by_type_and_name() {
    let setup = Setup::new(Options { messages: 600, gallery: false, files: 0, ..Options::default() });
    let all = readable(&setup.server);
    let chats = |vault: &Vault| {
        let mut found: Vec<_> = vault
            .files
            .keys()
            .filter_map(|path| match place(path) {
                Some(Place::ChatInfo(peer)) => Some(peer),
                _ => None,
            })
            .collect();
        found.sort();
        found
    };
    let run = |options: ExportOptions| {
        let mut vault = Vault::default();
        let fresh = Setup { folder: tempfile::tempdir().unwrap(), ..Setup::new(setup.server.options().clone()) };
        fresh.run(&mut vault, ExportOptions { account: false, ..options });
        chats(&vault)
    };
    let groups = run(ExportOptions { classes: vec![ChatClass::PrivateGroups, ChatClass::PublicGroups], ..plain() });
    let expected: Vec<_> =
        all.iter().filter(|chat| matches!(chat.kind, Kind::Group | Kind::Supergroup { .. })).map(|chat| peer(chat.peer)).collect();
    assert!(expected.iter().all(|peer| groups.contains(peer)), "{groups:?} {expected:?}");
    let titled = all.iter().find(|chat| !chat.title.is_empty()).unwrap();
    assert!(run(ExportOptions { chats: vec![titled.title.clone()], ..plain() }).contains(&peer(titled.peer)));
    let one = run(ExportOptions { chats: vec![peer(all[1].peer).to_string()], ..plain() });
    assert_eq!(one, [peer(all[1].peer)]);
    let without = run(ExportOptions { exclude_chats: vec![peer(all[1].peer).to_string()], ..plain() });
    assert!(!without.contains(&peer(all[1].peer)) && without.len() + 1 >= all.len());
}

#[test]
fn a_period_is_asked_for_by_date_and_not_by_reading_everything() {
    let setup = Setup::new(Options { messages: 4_000, chats: 3, files: 0, gallery: false, ..Options::default() });
    let (from, till) = (1_700_000_000, 1_720_000_000);
    let mut vault = Vault::default();
    setup.run(&mut vault, ExportOptions { account: false, from: Some(from), till: Some(till), ..plain() });
    let (mut inside, mut all) = (0, 0);
    for chat in readable(&setup.server) {
        let messages = vault.messages(peer(chat.peer));
        assert!(messages.values().all(|message| (from..till).contains(&message.date.unwrap())));
        inside += messages.len();
        all += chat.messages;
        let truth = setup.server.message_ids(chat.peer).into_iter().filter(|&id| {
            let date = match setup.server.message(chat.peer, id).unwrap() {
                grammers_tl_types::enums::Message::Message(message) => message.date,
                grammers_tl_types::enums::Message::Service(message) => message.date,
                grammers_tl_types::enums::Message::Empty(_) => 0,
            };
            (from..till).contains(&i64::from(date))
        });
        assert_eq!(messages.len(), truth.count(), "{:?}", chat.peer);
    }
    assert!(inside > 50 && inside < all / 2, "{inside} of {all}");
    let pages = setup.server.methods()["messages.getHistory"];
    assert!(pages < all / 100, "{pages} pages for {inside} of {all} messages");
    // The rest comes when it is asked for.
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    crate::export::assert_complete(&setup, &vault);
}

#[test]
fn a_takeout_is_granted_for_files_of_no_bytes_too() {
    let setup = Setup::new(Options { messages: 100, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, ExportOptions { recheck_budget: 0, takeout: TakeoutUse::Always, max_file_size: 0, ..ExportOptions::default() });
    assert_eq!(setup.server.methods().get("account.finishTakeoutSession"), Some(&1));
}

#[test]
fn media_can_be_left_out_by_type_and_size() {
    let setup = Setup::new(Options { messages: 600, files: 60, media_bytes: 6_000_000, ..Options::default() });
    let mut vault = Vault::default();
    let options = ExportOptions { media: vec![KindChoice::Photos], max_file_size: 100_000, account: false, ..plain() };
    setup.run(&mut vault, options);
    let (mut skipped, mut large) = (0, 0);
    for chat in readable(&setup.server) {
        let coverage = vault.coverage(peer(chat.peer));
        for reason in coverage.media.skipped {
            match reason.reason.as_str() {
                "type_not_chosen" => skipped += reason.count,
                "too_large" => large += reason.count,
                _ => {}
            }
        }
    }
    assert!(skipped > 0 && large > 0, "{skipped} {large}");
    assert!(vault.media().all(|(path, content)| path.to_string().starts_with("media/inline")
        || content.len() <= 100_000
        || path.to_string().starts_with("media/document")));
}

#[test]
fn music_can_be_chosen_apart_from_other_files() {
    let kinds_of = |choice: KindChoice| {
        let setup = Setup::new(Options { messages: 600, files: 60, media_bytes: 6_000_000, ..Options::default() });
        let mut vault = Vault::default();
        setup.run(&mut vault, ExportOptions { media: vec![choice], account: false, ..plain() });
        let messages = readable(&setup.server).into_iter().flat_map(|chat| vault.messages(peer(chat.peer)).into_values());
        let stored = messages.flat_map(|record| record.media.clone().into_iter().map(move |media| (media, record.message.clone())));
        let files = stored.filter(|(media, _)| media.role == MediaRole::File && media.status == MediaStatus::Stored);
        files.filter_map(|(media, message)| FileKind::of_stored(&media, message.get())).collect::<HashSet<_>>()
    };
    assert_eq!(kinds_of(KindChoice::Music), HashSet::from([FileKind::Music]));
    assert_eq!(kinds_of(KindChoice::Files), HashSet::from([FileKind::Music, FileKind::File]));
    assert_eq!(kinds_of(KindChoice::None), HashSet::new());
    assert!(kinds_of(KindChoice::Any).len() > 5);
}

#[test]
fn topics_have_their_names_and_messages_their_topic() {
    let setup = Setup::new(Options { messages: 1_000, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let forum = readable(&setup.server).into_iter().find(|chat| chat.kind == Kind::Supergroup { forum: true }).unwrap();
    let info = &vault.files[&paths::chat_info(peer(forum.peer)).unwrap()];
    let info: Value = serde_json::from_slice(info).unwrap();
    assert!(info["topics"].as_array().unwrap().len() > 1, "{info}");
    let with_topic = vault
        .messages(peer(forum.peer))
        .into_values()
        .filter(|message| message.extra.as_ref().is_some_and(|extra| extra.get().contains("topic_id")));
    assert!(with_topic.count() > 3);
}

#[test]
fn chats_are_listed_with_their_sizes() {
    let setup = Setup::new(Options { gallery: false, ..Options::default() });
    let account = setup.account();
    let plainly = account.chats(ListingDetail::Names).unwrap();
    assert!(plainly.iter().all(|chat| chat.size.is_none()));
    let listed = account.chats(ListingDetail::Estimate).unwrap();
    for chat in readable(&setup.server) {
        let summary = listed.iter().find(|summary| summary.peer == peer(chat.peer)).unwrap();
        assert_eq!(summary.size.unwrap().messages, chat.messages as u64);
        assert_eq!(summary.archived, chat.archived);
    }
    assert!(listed.iter().map(|chat| chat.size.unwrap_or_default().photos).sum::<u64>() > 0);
}

#[test]
fn a_bot_keeps_what_comes_in() {
    let setup = Setup::new(Options { gallery: false, ..Options::default() });
    let token = setup.server.options().bot_token.clone();
    let mut answers = crate::harness::Answers::new(setup.server.options());
    let way = tgvault::source::telegram::LoginWay::Bot(token.into());
    let account = setup.log_in_with("main", way, &mut answers).unwrap();
    drop(account);
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert!(vault.files.is_empty(), "{:?}", vault.files.keys());
    let chat = readable(&setup.server).into_iter().find(|chat| chat.kind == Kind::Private).unwrap();
    let send = tgvault_test_support::telegram::Mutation::Send {
        peer: chat.peer,
        text: "for the bot".into(),
        out: false,
        reply_to: None,
        file: None,
    };
    let id = setup.server.mutate(&send).unwrap().ids[0];
    setup.run(&mut vault, plain());
    assert_eq!(vault.messages(peer(chat.peer)).keys().copied().collect::<Vec<_>>(), [i64::from(id)]);
}
