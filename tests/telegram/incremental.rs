//! The second run: what is new, what changed, what went, and nothing else.

use std::collections::BTreeMap;

use grammers_tl_types::Serializable;
use tgvault::model::coverage::Verdict;
use tgvault::model::kinds::KindChoice;
use tgvault::model::paths::{Place, place};
use tgvault::model::record::{ChatEvent, Evidence, Raw, Record};
use tgvault::source::Source;
use tgvault::source::telegram::ExportOptions;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, Peer, When};

use crate::export::{assert_all_there, readable};
use crate::harness::{Setup, Vault, peer, plain};

fn logs(vault: &Vault) -> Vec<String> {
    let is_log = |path: &&_| matches!(place(path), Some(Place::Log { .. }));
    vault.last_run.iter().filter(is_log).map(ToString::to_string).collect()
}

/// Chats of a kind that a message can be sent to, deepest first.
fn chats(setup: &Setup, wanted: impl Fn(Kind) -> bool) -> Vec<Peer> {
    let mut found: Vec<_> = readable(&setup.server).into_iter().filter(|chat| wanted(chat.kind) && chat.migrated_to.is_none()).collect();
    found.sort_by_key(|chat| std::cmp::Reverse(chat.messages));
    found.into_iter().map(|chat| chat.peer).collect()
}

fn send(setup: &Setup, peer: Peer, text: &str) -> i32 {
    let send = Mutation::Send { peer, text: text.into(), out: false, reply_to: None, file: None };
    setup.server.mutate(&send).unwrap().ids[0]
}

#[test]
fn an_unchanged_account_costs_its_dialog_list() {
    let setup = Setup::new(Options { messages: 3_000, chats: 450, files: 0, gallery: false, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    setup.server.forget_requests();
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    assert!(logs(&vault).is_empty(), "{:?}", logs(&vault));
    let methods = setup.server.methods();
    assert!(!methods.contains_key("messages.getHistory"), "{methods:?}");
    let pages = methods["messages.getDialogs"];
    assert!(pages <= 450_usize.div_ceil(100) + 3, "{pages} pages of dialogs");
    assert!(setup.server.requests().len() <= pages + 4, "{methods:?}");
}

#[test]
fn new_messages_are_fetched_and_old_ones_are_not() {
    let setup = Setup::new(Options { gallery: false, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let private = chats(&setup, |kind| kind == Kind::Private)[0];
    let channel = chats(&setup, |kind| kind == Kind::Broadcast)[0];
    let ids = [send(&setup, private, "one"), send(&setup, private, "two")];
    let posted = send(&setup, channel, "three");
    setup.server.forget_requests();
    setup.run(&mut vault, plain());
    assert_all_there(&setup, &vault);
    let records: Vec<i64> = vault.records(peer(private)).iter().filter_map(message_id).collect();
    assert_eq!(records.iter().filter(|id| **id == i64::from(ids[0])).count(), 1);
    assert!(vault.messages(peer(channel)).contains_key(&posted.into()));
    assert_eq!(logs(&vault).len(), 2, "{:?}", logs(&vault));
    assert_eq!(setup.server.methods()["messages.getHistory"], 2);
    assert!(!setup.server.methods().contains_key("upload.getFile"));
    assert_eq!(vault.coverage(peer(private)).verdict, Verdict::Complete);
}

fn message_id(record: &Record) -> Option<i64> {
    match record {
        Record::Message(message) => Some(message.id),
        _ => None,
    }
}

#[test]
fn edits_and_deletions_become_records_of_their_own() {
    let setup = Setup::new(Options { gallery: false, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let private = chats(&setup, |kind| kind == Kind::Private)[0];
    let channel = chats(&setup, |kind| matches!(kind, Kind::Supergroup { .. }))[0];
    let mut expected = BTreeMap::new();
    for chat in [private, channel] {
        let (edited, deleted) = (send(&setup, chat, "before"), send(&setup, chat, "soon gone"));
        expected.insert(chat_key(chat), (edited, deleted));
    }
    setup.run(&mut vault, plain());
    for chat in [private, channel] {
        let (edited, deleted) = expected[&chat_key(chat)];
        setup.server.mutate(&Mutation::Edit { peer: chat, id: edited, text: "after".into() }).unwrap();
        setup.server.mutate(&Mutation::Delete { peer: chat, ids: vec![deleted] }).unwrap();
    }
    setup.server.forget_requests();
    setup.run(&mut vault, plain());
    for chat in [private, channel] {
        let (edited, deleted) = expected[&chat_key(chat)];
        let versions: Vec<String> = vault
            .records(peer(chat))
            .iter()
            .filter_map(|record| match record {
                Record::Message(message) if message.id == i64::from(edited) => Some(message.message.get().to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(versions.len(), 2, "{versions:?}");
        assert!(versions[0].contains("before") && versions[1].contains("after"));
        let gone = vault.records(peer(chat)).into_iter().any(|record| {
            matches!(record, Record::Deletion(deletion) if deletion.id == i64::from(deleted) && deletion.evidence == Evidence::Update)
        });
        assert!(gone, "the deletion in {chat:?} was not found");
    }
    assert_all_there(&setup, &vault);
    assert!(!setup.server.methods().contains_key("messages.getHistory"), "{:?}", setup.server.methods());
}

fn chat_key(peer: Peer) -> String {
    format!("{peer:?}")
}

#[test]
fn one_old_message_changed_in_each_of_many_channels() {
    let setup = Setup::new(Options { messages: 6_000, chats: 120, files: 0, gallery: false, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    let changed: Vec<(Peer, i32)> = chats(&setup, |kind| matches!(kind, Kind::Broadcast | Kind::Supergroup { .. }))
        .into_iter()
        .filter_map(|chat| {
            let id = setup
                .server
                .message_ids(chat)
                .into_iter()
                .find(|&id| setup.server.mutate(&Mutation::Edit { peer: chat, id, text: "rewritten".into() }).is_ok())?;
            Some((chat, id))
        })
        .collect();
    assert!(changed.len() >= 20, "{}", changed.len());
    setup.server.forget_requests();
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    assert_all_there(&setup, &vault);
    for (chat, id) in &changed {
        assert!(vault.messages(peer(*chat))[&i64::from(*id)].message.get().contains("rewritten"));
    }
    let requests = setup.server.requests().len();
    assert!(requests <= changed.len() * 2 + 10, "{requests} requests for {} changes: {:?}", changed.len(), setup.server.methods());
}

#[test]
fn after_a_difference_that_is_too_long_the_recent_window_is_read_again() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i32;
    let setup = Setup::new(Options { until: now, gallery: false, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let private = chats(&setup, |kind| kind == Kind::Private)[0];
    let channel = chats(&setup, |kind| kind == Kind::Broadcast)[0];
    let mut sent = vec![];
    for chat in [private, channel] {
        sent.push((chat, send(&setup, chat, "first"), send(&setup, chat, "second"), send(&setup, chat, "third")));
    }
    setup.run(&mut vault, plain());
    for (chat, edited, deleted, _) in &sent {
        setup.server.mutate(&Mutation::Edit { peer: *chat, id: *edited, text: "changed".into() }).unwrap();
        setup.server.mutate(&Mutation::Delete { peer: *chat, ids: vec![*deleted] }).unwrap();
    }
    setup.server.mutate(&Mutation::ForgetEvents).unwrap();
    setup.run(&mut vault, plain());
    assert_all_there(&setup, &vault);
    for (chat, edited, deleted, _) in &sent {
        assert!(vault.messages(peer(*chat))[&i64::from(*edited)].message.get().contains("changed"), "{chat:?}");
        let absent = vault.records(peer(*chat)).into_iter().any(|record| {
            matches!(record, Record::Deletion(deletion)
                if deletion.id == i64::from(*deleted) && matches!(deletion.evidence, Evidence::Absence { .. }))
        });
        assert!(absent, "{chat:?}");
    }
}

#[test]
fn reactions_are_found_in_rotation() {
    let setup = Setup::new(Options { messages: 400, files: 0, gallery: false, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let private = chats(&setup, |kind| kind == Kind::Private)[0];
    let id = send(&setup, private, "how is this?");
    setup.run(&mut vault, plain());
    setup.server.mutate(&Mutation::React { peer: private, id, emoji: "👍".into() }).unwrap();
    setup.run(&mut vault, plain());
    assert!(!vault.messages(peer(private))[&i64::from(id)].message.get().contains("👍"), "no event tells of reactions");
    // Within a small budget a run looks at some chats, the next ones go on from there.
    for _ in 0..12 {
        setup.server.forget_requests();
        setup.run(&mut vault, ExportOptions { recheck_budget: 10, ..plain() });
        assert!(setup.server.methods().get("messages.getHistory").copied().unwrap_or_default() <= 10);
    }
    assert!(vault.messages(peer(private))[&i64::from(id)].message.get().contains("👍"));
}

#[test]
fn a_group_that_became_a_supergroup_is_followed() {
    let setup = Setup::new(Options { gallery: false, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let group = chats(&setup, |kind| kind == Kind::Group)[0];
    let Peer::Group(id) = group else { panic!("not a group") };
    let before = vault.messages(peer(group)).len();
    let moved = setup.server.mutate(&Mutation::Migrate { group: id }).unwrap().peer.unwrap();
    send(&setup, moved, "hello from the new place");
    setup.run(&mut vault, plain());
    assert!(vault.messages(peer(group)).len() >= before, "what was there stays");
    assert!(vault.messages(peer(moved)).values().any(|message| message.message.get().contains("new place")));
    let info = tgvault::model::paths::chat_info(peer(moved)).unwrap();
    let info: serde_json::Value = serde_json::from_slice(&vault.files[&info]).unwrap();
    assert_eq!(info["migrated_from"], peer(group).to_string());
}

#[test]
fn a_chat_that_goes_away_keeps_what_is_there_and_is_reported() {
    let setup = Setup::new(Options { gallery: false, ..Options::default() });
    let channel = chats(&setup, |kind| matches!(kind, Kind::Supergroup { .. }))[0];
    let Peer::Channel(id) = channel else { panic!("not a channel") };
    setup.server.add_fault(Fault {
        when: When { peer: Some(id), from: 2, ..When::method("messages.getHistory") },
        then: Effect::rpc(400, "CHANNEL_PRIVATE"),
    });
    setup
        .server
        .add_fault(Fault { when: When { peer: Some(id), ..When::method("messages.search") }, then: Effect::rpc(400, "CHANNEL_PRIVATE") });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let own = peer(channel);
    assert!(!vault.messages(own).is_empty(), "the first page was there");
    let told = |record: &Record| matches!(record, Record::Event(event) if matches!(event.event, ChatEvent::Gone { .. }));
    assert_eq!(vault.records(own).iter().filter(|record| told(record)).count(), 1);
    assert!(matches!(vault.coverage(own).verdict, Verdict::Incomplete(_)));
    // When it comes back, the hole is filled.
    setup.server.clear_faults();
    setup.run(&mut vault, plain());
    assert_all_there(&setup, &vault);
    assert_eq!(vault.coverage(own).verdict, Verdict::Complete);
}

#[test]
fn a_run_that_is_stopped_anywhere_is_completed_by_the_next() {
    let options = || Options { messages: 1_500, chats: 12, files: 30, media_bytes: 4_000_000, ..Options::default() };
    for stop_after in [1, 7, 23, 60] {
        let setup = Setup::new(options());
        let mut vault = Vault { stop_after, ..Vault::default() };
        let source = setup.source(plain());
        assert!(vault.take(&source).is_err());
        drop(source);
        let first = vault.files.len();
        vault.stop_after = 0;
        setup.run(&mut vault, plain());
        crate::export::assert_complete(&setup, &vault);
        assert!(first <= stop_after);
        for chat in readable(&setup.server) {
            assert_eq!(vault.coverage(peer(chat.peer)).verdict, Verdict::Complete, "{:?} after {stop_after}", chat.peer);
        }
        // What was stored for good did not come again.
        let media: Vec<_> = vault.last_run.iter().filter(|path| matches!(place(path), Some(Place::Media))).collect();
        assert!(media.iter().all(|path| vault.files.contains_key(*path)));
    }
}

#[test]
fn what_options_left_out_comes_with_wider_ones() {
    let setup = Setup::new(Options { messages: 600, chats: 8, files: 60, media_bytes: 6_000_000, ..Options::default() });
    let mut vault = Vault::default();
    let counted = |vault: &Vault, reason: &str| -> u64 {
        let chats = readable(&setup.server).into_iter().map(|chat| vault.coverage(peer(chat.peer)).media);
        chats.flat_map(|media| media.skipped).filter(|skipped| skipped.reason == reason).map(|skipped| skipped.count).sum()
    };
    let wanted = |vault: &Vault| -> u64 { readable(&setup.server).iter().map(|chat| vault.coverage(peer(chat.peer)).media.wanted).sum() };
    let narrow = ExportOptions { media: vec![KindChoice::Photos], max_file_size: 50_000, ..plain() };
    let source = setup.run(&mut vault, narrow.clone());
    let (types, sizes, all) = (counted(&vault, "type_not_chosen"), counted(&vault, "too_large"), wanted(&vault));
    assert!(types > 10 && sizes > 0, "{types} {sizes}");
    assert_eq!(source.coverage().files_left_out, types + sizes);

    setup.server.forget_requests();
    setup.run(&mut vault, narrow);
    assert_eq!(setup.server.methods().get("upload.getFile"), None, "the same options take nothing more");

    let source = setup.run(&mut vault, ExportOptions { media: vec![KindChoice::Photos], ..plain() });
    assert_eq!((counted(&vault, "type_not_chosen"), counted(&vault, "too_large")), (types, 0));
    assert_eq!(source.coverage().files_left_out, types);

    let source = setup.run(&mut vault, plain());
    assert_eq!((counted(&vault, "type_not_chosen"), wanted(&vault)), (0, all));
    assert_eq!(source.coverage().files_left_out, 0);
    crate::export::assert_complete(&setup, &vault);
}

#[test]
fn what_was_not_committed_comes_again() {
    let setup = Setup::new(Options { messages: 500, files: 20, media_bytes: 2_000_000, ..Options::default() });
    struct Forgetful(usize);
    impl tgvault::source::Sink for Forgetful {
        fn item(&mut self, _: tgvault::source::Item) -> Result<(), tgvault::source::Stopped> {
            self.0 += 1;
            Ok(())
        }
        fn problem(&mut self, _: tgvault::source::Problem) {}
    }
    let mut lost = Forgetful(0);
    setup.source(plain()).list(&mut lost).unwrap();
    assert!(lost.0 > 50);
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert_all_there(&setup, &vault);
    assert!(vault.media().count() >= 20);
}

#[test]
fn a_message_that_is_posted_as_it_is_comes_back_as_it_is() {
    let setup = Setup::new(Options::empty());
    let mut message = tgvault_test_support::telegram::blank_message();
    message.message = "a\u{1}b\u{2028}c 👋 <b>".into();
    message.date = 1_700_000_000;
    let id = setup.server.post(Peer::User(tgvault_test_support::telegram::SELF), message).unwrap();
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let own = peer(Peer::User(tgvault_test_support::telegram::SELF));
    let record = vault.messages(own).remove(&i64::from(id)).unwrap();
    let json: serde_json::Value = serde_json::from_str(record.message.get()).unwrap();
    assert_eq!(json["text"], "a\u{1}b\u{2028}c 👋 <b>");
    assert_eq!((json["date"].as_str(), json["date_unixtime"].as_str()), (Some("2023-11-14T22:13:20"), Some("1700000000")));
    let Some(Raw::Tl { bytes, .. }) = record.raw else { panic!("no bytes") };
    let truth = setup.server.message(Peer::User(tgvault_test_support::telegram::SELF), id).unwrap();
    assert_eq!(bytes, truth.to_bytes());
}
