//! Each misfortune by its name: it ends with a complete backup, or with an honest word about what is missing.

use std::time::Duration;

use grammers_tl_types::enums;
use tgvault::model::coverage::Verdict;
use tgvault::model::media::MediaStatus;
use tgvault::model::record::Record;
use tgvault::source::telegram::{ConnectionEvent, Event, ExportOptions, Pace, TakeoutUse, TelegramError};
use tgvault::source::{Source, SourceError};
use tgvault_test_support::telegram::{Effect, Fault, Mutation, Options, When};

use crate::export::{assert_all_there, assert_complete, readable};
use crate::harness::{Setup, Vault, peer, plain};
use crate::program::Program;

fn small() -> Options {
    Options { messages: 600, chats: 12, files: 24, media_bytes: 6_000_000, gallery: false, ..Options::default() }
}

fn strike(when: When, then: Effect) -> Fault {
    Fault { when, then }
}

/// One run over a server with these faults, which must have struck, ends complete.
fn survives(options: Options, faults: Vec<Fault>) -> (Setup, Vault) {
    survives_with(options, faults, plain())
}

fn survives_with(options: Options, faults: Vec<Fault>, export: ExportOptions) -> (Setup, Vault) {
    let setup = Setup::new(options);
    setup.account();
    let count = faults.len();
    for fault in faults {
        setup.server.add_fault(fault);
    }
    let mut vault = Vault::default();
    setup.run(&mut vault, export);
    assert_complete(&setup, &vault);
    assert!(vault.broken.is_empty(), "{:?}", vault.broken);
    for chat in readable(&setup.server) {
        assert_eq!(vault.coverage(peer(chat.peer)).verdict, Verdict::Complete, "{:?}", chat.peer);
    }
    let struck = setup.server.struck();
    assert!(struck.len() == count && struck.iter().all(|&times| times > 0), "{struck:?}");
    (setup, vault)
}

#[test]
fn flood_wait_in_the_middle_of_the_history() {
    let when = When { from: 3, times: Some(2), ..When::method("messages.getHistory") };
    let (setup, _) = survives(small(), vec![strike(when, Effect::rpc(420, "FLOOD_WAIT_1"))]);
    let waits = setup.events.all().into_iter().filter(|event| matches!(event, Event::Connection(ConnectionEvent::Waiting { .. }))).count();
    assert!(waits >= 1, "the wait was not told");
}

#[test]
fn flood_wait_in_the_dialog_list_goes_on_with_the_same_page() {
    let options = Options { chats: 250, messages: 500, files: 0, gallery: false, ..Options::default() };
    let when = When { from: 2, times: Some(1), ..When::method("messages.getDialogs") };
    let (setup, _) = survives(options, vec![strike(when, Effect::rpc(420, "FLOOD_WAIT_1"))]);
    let pages = setup.server.methods()["messages.getDialogs"];
    assert!(pages <= 7, "{pages} requests for 3 pages");
}

#[test]
fn a_flood_wait_that_is_too_long_ends_the_run_and_is_told() {
    let mut setup = Setup::new(small());
    setup.max_wait = Duration::from_secs(5);
    setup.account();
    let when = When { from: 4, ..When::method("messages.getHistory") };
    setup.server.add_fault(strike(when, Effect::rpc(420, "FLOOD_WAIT_7200")));
    let mut vault = Vault::default();
    let Err(SourceError::Telegram { source: error, .. }) = vault.take(&setup.source(plain())) else { panic!("the run went on") };
    assert!(matches!(error, TelegramError::TryLater { seconds: 7200, .. }), "{error}");
    // What came before is kept, and the next run goes on from there.
    setup.server.clear_faults();
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
}

#[test]
fn flood_premium_wait_on_files() {
    let when = When { every: 5, times: Some(3), ..When::method("upload.getFile") };
    survives(small(), vec![strike(when, Effect::rpc(420, "FLOOD_PREMIUM_WAIT_1"))]);
}

#[test]
fn internal_errors_and_timeouts_are_asked_again() {
    survives(
        small(),
        vec![
            strike(When { every: 7, times: Some(4), ..When::method("messages.getHistory") }, Effect::rpc(500, "INTERNAL")),
            strike(When { from: 2, times: Some(1), ..When::method("messages.getHistory") }, Effect::rpc(-503, "Timeout")),
            strike(When { every: 6, times: Some(3), ..When::method("upload.getFile") }, Effect::rpc(500, "INTERNAL")),
        ],
    );
}

#[test]
fn cut_connections() {
    survives(
        small(),
        vec![
            strike(When { every: 9, times: Some(3), ..When::method("messages.getHistory") }, Effect::Cut),
            strike(When { every: 8, times: Some(3), ..When::method("upload.getFile") }, Effect::CutAfter(100_000)),
        ],
    );
}

#[test]
fn silent_requests_and_silent_connections() {
    survives(
        small(),
        vec![
            strike(When { from: 4, times: Some(1), ..When::method("messages.getHistory") }, Effect::Silent),
            strike(When { from: 3, times: Some(1), ..When::method("upload.getFile") }, Effect::Silent),
            strike(When { dc: Some(4), times: Some(1), ..When::method("connect") }, Effect::Silent),
        ],
    );
}

#[test]
fn transport_errors() {
    survives(
        small(),
        vec![
            strike(When { from: 5, times: Some(1), ..When::method("messages.getHistory") }, Effect::Transport(-429)),
            strike(When { dc: Some(4), from: 3, times: Some(1), ..When::method("upload.getFile") }, Effect::Transport(-404)),
        ],
    );
}

#[test]
fn new_salts_in_mid_run() {
    let every = |method| When { every: 5, times: Some(4), ..When::method(method) };
    survives(small(), vec![strike(every("messages.getHistory"), Effect::NewSalt), strike(every("upload.getFile"), Effect::NewSalt)]);
}

#[test]
fn file_references_that_expire() {
    let when = When { every: 6, times: Some(4), ..When::method("upload.getFile") };
    let options = ExportOptions { account: false, ..plain() };
    let (setup, _) = survives_with(small(), vec![strike(when, Effect::ExpireReferences)], options);
    let asked = setup.server.methods();
    assert!(asked.contains_key("messages.getMessages") || asked.contains_key("channels.getMessages"), "{asked:?}");
}

#[test]
fn files_elsewhere_cost_one_detour_each() {
    let (setup, vault) = survives(small(), vec![]);
    assert!(vault.media().count() >= 24);
    let requests = setup.server.requests();
    let elsewhere = requests.iter().filter(|r| r.dc == 4 && r.method == "upload.getFile").count();
    assert!(elsewhere > 0, "no file was on another data centre");
    let imports = requests.iter().filter(|r| r.method == "auth.importAuthorization" && r.error.is_none()).count();
    assert_eq!(imports, 1, "the login was carried over once");
    let detours = requests.iter().filter(|r| r.error.as_deref().is_some_and(|error| error.starts_with("FILE_MIGRATE"))).count();
    assert!(detours <= 24, "{detours}");
}

#[test]
fn an_authorization_that_is_lost_elsewhere_is_carried_over_again() {
    let when = When { dc: Some(4), from: 4, times: Some(1), ..When::method("upload.getFile") };
    survives(small(), vec![strike(when, Effect::rpc(401, "AUTH_KEY_UNREGISTERED"))]);
}

#[test]
fn a_session_that_telegram_ended_asks_for_a_login() {
    let setup = Setup::new(small());
    setup.account();
    let when = When { from: 4, times: Some(1), ..When::method("messages.getHistory") };
    setup.server.add_fault(strike(when, Effect::LogOut));
    let mut vault = Vault::default();
    let Err(SourceError::Telegram { source: error, .. }) = vault.take(&setup.source(plain())) else { panic!("the run went on") };
    assert!(matches!(error, TelegramError::LoginNeeded { .. }), "{error}");
}

#[test]
fn parts_of_the_wrong_length() {
    survives(
        small(),
        vec![
            strike(When { every: 5, times: Some(3), ..When::method("upload.getFile") }, Effect::PartLength(-100)),
            strike(When { from: 2, every: 7, times: Some(2), ..When::method("upload.getFile") }, Effect::PartLength(64)),
        ],
    );
}

#[test]
fn a_stray_cdn_redirect() {
    survives(small(), vec![strike(When { from: 3, times: Some(2), ..When::method("upload.getFile") }, Effect::CdnRedirect)]);
}

/// One file that fails whatever is tried costs itself: the others come, coverage says why, and the next run has it.
fn one_file_fails(then: Effect, why: &str) {
    let setup = Setup::new(Options { dcs: vec![2], ..small() });
    setup.account();
    let chat = readable(&setup.server)[0].peer;
    let send = Mutation::Send { peer: chat, text: "the file".into(), out: false, reply_to: None, file: Some(1_500_000) };
    let id = setup.server.mutate(&send).unwrap().ids[0];
    let Some(enums::Message::Message(message)) = setup.server.message(chat, id) else { panic!("no message") };
    let Some(enums::MessageMedia::Document(media)) = message.media else { panic!("no file") };
    let when = When { peer: Some(media.document.unwrap().id()), ..When::method("upload.getFile") };
    setup.server.add_fault(strike(when, then));
    // The file is read when everything else is done.
    let mut vault = Vault { hesitates: Duration::from_millis(300), ..Vault::default() };
    let run = |vault: &mut Vault| {
        let source = setup.run(vault, ExportOptions { account: false, ..plain() });
        let counts = source.coverage();
        (counts.incomplete, counts.files_missing)
    };
    let mut written_so_far = Vec::new();
    // Each of them tells, also of what shows only while the file is being stored.
    for _ in 0..3 {
        assert_eq!(run(&mut vault), (1, 1));
        assert_all_there(&setup, &vault);
        assert!(vault.media().count() >= 24, "{}", vault.media().count());
        let told = vault.coverage(peer(chat));
        assert!(matches!(told.verdict, Verdict::Incomplete(_)), "{told:?}");
        assert!(told.media.failed.len() == 1 && told.media.failed[0].reason.contains(why), "{told:?}");
        assert_eq!(told.media.wanted, told.media.stored + 1, "{told:?}");
        // The message says so too, whenever it was found out, and is not written again in every run.
        let record = vault.messages(peer(chat)).remove(&i64::from(id)).unwrap();
        assert!(
            record.media.iter().any(|media| matches!(&media.status, MediaStatus::Failed(reason) if reason.contains(why))),
            "{record:?}"
        );
        let records = vault.records(peer(chat));
        let written = records.iter().filter(|record| matches!(record, Record::Message(own) if own.id == i64::from(id)));
        written_so_far.push(written.count());
    }
    assert!(written_so_far[2] <= 2 * 3, "{written_so_far:?}");
    setup.server.clear_faults();
    assert_eq!(run(&mut vault), (0, 0));
    let told = vault.coverage(peer(chat));
    assert_eq!((told.verdict, told.media.stored), (Verdict::Complete, told.media.wanted));
    assert!(vault.media().any(|(_, content)| content.len() == 1_500_000));
}

#[test]
fn a_cdn_redirect_that_stays() {
    one_file_fails(Effect::CdnRedirect, "CDN");
}

#[test]
fn parts_that_keep_coming_with_the_wrong_length() {
    one_file_fails(Effect::PartLength(-100), "it ended before its declared length");
}

#[test]
fn timeouts_of_files_and_of_the_dialog_list() {
    survives(
        small(),
        vec![
            strike(When { every: 5, times: Some(3), ..When::method("upload.getFile") }, Effect::rpc(-503, "Timeout")),
            strike(When { times: Some(1), ..When::method("messages.getDialogs") }, Effect::rpc(-503, "Timeout")),
            strike(When { times: Some(1), ..When::method("updates.getState") }, Effect::rpc(500, "INTERNAL")),
        ],
    );
}

#[test]
fn narrow_connections_far_away() {
    let options = Options { bandwidth: Some(400_000), latency: Duration::from_millis(40), files: 8, media_bytes: 1_500_000, ..small() };
    let (setup, vault) = survives(options, vec![]);
    assert!(vault.media().count() >= 8 && setup.server.methods()["upload.getFile"] >= 8);
}

#[test]
fn a_file_that_cannot_be_had_is_recorded_and_tried_again() {
    let setup = Setup::new(small());
    setup.account();
    setup.server.add_fault(strike(When::method("upload.getFile"), Effect::rpc(400, "LOCATION_INVALID")));
    let mut vault = Vault::default();
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    assert_all_there(&setup, &vault);
    let failed = |vault: &Vault| {
        let chats = readable(&setup.server);
        let media = chats.iter().flat_map(|chat| vault.messages(peer(chat.peer)).into_values().flat_map(|message| message.media));
        media.filter(|media| matches!(media.status, MediaStatus::Failed(_))).count()
    };
    assert!(failed(&vault) >= 24, "{}", failed(&vault));
    let honest = readable(&setup.server).iter().any(|chat| {
        let coverage = vault.coverage(peer(chat.peer));
        matches!(coverage.verdict, Verdict::Incomplete(_)) && coverage.media.failed.iter().any(|f| f.reason == "LOCATION_INVALID")
    });
    assert!(honest, "coverage does not tell");
    setup.server.clear_faults();
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    assert_eq!(failed(&vault), 0);
    assert!(vault.media().count() >= 24);
}

#[test]
fn a_dead_data_centre_holds_up_its_files_only() {
    let mut setup = Setup::new(small());
    setup.account();
    setup.limits.exchange = Duration::from_millis(150);
    setup.server.add_fault(strike(When { dc: Some(4), ..When::method("connect") }, Effect::Silent));
    let mut vault = Vault::default();
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    assert_all_there(&setup, &vault);
    assert!(vault.media().count() > 0, "the files of the living one are there");
    let told = readable(&setup.server).iter().any(|chat| !vault.coverage(peer(chat.peer)).media.failed.is_empty());
    assert!(told, "coverage does not tell of the others");
    // All its files together try as often as one would.
    let tries =
        setup.events.all().iter().filter(|event| matches!(event, Event::Connection(ConnectionEvent::Disconnected { dc: 4, .. }))).count();
    assert!((1..8).contains(&tries), "{tries}");
}

#[test]
fn a_network_that_is_gone_ends_the_run() {
    let setup = Setup::new(small());
    let account = setup.account();
    drop(account);
    let mut vault = Vault::default();
    let source = setup.source(plain());
    // A server that accepts nobody any more stands for all of Telegram being out of reach.
    setup.server.add_fault(strike(When { from: 2, ..When::method("messages.getHistory") }, Effect::Cut));
    setup.server.add_fault(strike(When { from: 2, ..When::method("connect") }, Effect::Cut));
    let Err(SourceError::Telegram { source: error, .. }) = vault.take(&source) else { panic!("the run went on") };
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    setup.server.clear_faults();
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
}

#[test]
fn users_without_a_description_do_not_stop_the_list() {
    let setup = Setup::new(Options { empty_users: 3, ..small() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    // All others are there, whole.
    let unknown: Vec<String> = vault.problems.iter().map(|problem| problem.path.to_string()).collect();
    for chat in readable(&setup.server).into_iter().filter(|chat| !unknown.contains(&format!("chats/{}", peer(chat.peer)))) {
        let ids: Vec<i64> = setup.server.message_ids(chat.peer).into_iter().map(i64::from).collect();
        assert_eq!(vault.messages(peer(chat.peer)).into_keys().collect::<Vec<_>>(), ids, "{:?}", chat.peer);
    }
    assert!(vault.problems.iter().filter(|problem| problem.path.to_string().starts_with("chats/user")).count() >= 3);
}

#[test]
fn a_takeout_that_ends_in_mid_run_is_renewed() {
    let when = |method| When { from: 5, times: Some(1), takeout: Some(true), ..When::method(method) };
    let options = ExportOptions { recheck_budget: 0, takeout: TakeoutUse::Always, ..ExportOptions::default() };
    let (setup, _) = survives_with(small(), vec![strike(when("messages.getHistory"), Effect::EndTakeout)], options);
    let methods = setup.server.methods();
    assert_eq!((methods["account.initTakeoutSession"], methods["account.finishTakeoutSession"]), (2, 1));
}

#[test]
fn a_delayed_takeout_is_told_remembered_and_does_not_stop_ordinary_work() {
    let setup = Setup::new(small());
    let mut vault = Vault::default();
    let one = readable(&setup.server)[0].clone();
    let name = peer(one.peer).to_string();
    setup.run(&mut vault, ExportOptions { chats: vec![name], ..plain() });
    setup.server.add_fault(strike(When::method("account.initTakeoutSession"), Effect::rpc(420, "TAKEOUT_INIT_DELAY_86400")));
    let options = || ExportOptions { recheck_budget: 0, ..ExportOptions::default() };
    let source = setup.run(&mut vault, options());
    let (waiting, seconds) = source.outcome().takeout_delayed.unwrap();
    assert_eq!((waiting as usize, seconds), (readable(&setup.server).len() - 1, 86_400));
    assert!(setup.events.notes().iter().any(|note| note.contains("24 h")), "{:?}", setup.events.notes());
    drop(source);
    setup.server.clear_faults();
    let source = setup.run(&mut vault, options());
    assert!(source.outcome().takeout_delayed.is_none());
    assert_complete(&setup, &vault);
}

#[test]
fn a_delayed_takeout_can_be_waited_out() {
    let when = When { times: Some(2), ..When::method("account.initTakeoutSession") };
    let options = ExportOptions { recheck_budget: 0, wait_for_takeout: true, ..ExportOptions::default() };
    survives_with(small(), vec![strike(when, Effect::rpc(420, "TAKEOUT_INIT_DELAY_1"))], options);
}

#[test]
fn methods_that_a_server_does_not_know_cost_one_section_each() {
    let setup = Setup::new(small());
    setup.account();
    let unknown = ["stories.getStoriesArchive", "account.getWebAuthorizations", "contacts.getTopPeers", "messages.getForumTopics"];
    for method in unknown {
        setup.server.add_fault(strike(When::method(method), Effect::rpc(400, "METHOD_INVALID")));
    }
    setup.server.add_fault(strike(When::method("updates.getState"), Effect::rpc(400, "METHOD_INVALID")));
    setup.server.add_fault(strike(When::method("account.initTakeoutSession"), Effect::rpc(400, "METHOD_INVALID")));
    let mut vault = Vault::default();
    setup.run(&mut vault, ExportOptions { recheck_budget: 0, ..ExportOptions::default() });
    assert_complete(&setup, &vault);
    assert_eq!(vault.problems.len(), 3, "{:?}", vault.problems);
    assert!(setup.events.notes().iter().any(|note| note.contains("does not offer a takeout here")));
}

#[test]
fn slow_answers_are_waited_for_at_every_pace() {
    for pace in [Pace::Gentle, Pace::Fast] {
        let mut setup =
            Setup::new(Options { messages: 120, chats: 3, files: 2, media_bytes: 700_000, gallery: false, ..Options::default() });
        setup.pace = pace;
        setup.account();
        setup.server.add_fault(strike(When { every: 3, ..When::method("messages.getHistory") }, Effect::Delay(400)));
        let mut vault = Vault::default();
        let source = setup.source(ExportOptions { account: false, ..plain() });
        vault.take(&source).unwrap();
        assert!(!source.lists_everything());
        assert_complete(&setup, &vault);
    }
}

#[test]
fn a_restored_message_names_no_file_that_failed_on_its_way() {
    let program = Program::logged_in(Options { dcs: vec![2], ..small() });
    let chat = readable(&program.server)[0].peer;
    let send = Mutation::Send { peer: chat, text: "the file".into(), out: false, reply_to: None, file: Some(1_500_000) };
    let id = program.server.mutate(&send).unwrap().ids[0];
    let Some(enums::Message::Message(message)) = program.server.message(chat, id) else { panic!("no message") };
    let Some(enums::MessageMedia::Document(media)) = message.media else { panic!("no file") };
    let when = When { peer: Some(media.document.unwrap().id()), ..When::method("upload.getFile") };
    program.server.add_fault(strike(when, Effect::PartLength(-100)));
    let shown = |code| {
        program.backup(&["--takeout", "never"], code);
        let to = tempfile::tempdir_in(program.sandbox.folder()).unwrap();
        let folder = to.path().join("out");
        // Nothing that the snapshot names is missing in it.
        let run = program.unlocked(&["restore", "latest", "--as", "telegram-desktop", "--to", &folder.to_string_lossy()]);
        assert!(!run.stderr.contains("the snapshot does not"), "{}", run.stderr);
        let json = std::fs::read(folder.join("result.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let chats = json["chats"]["list"].as_array().unwrap();
        let all = chats.iter().flat_map(|chat| chat["messages"].as_array().unwrap());
        let message = all.clone().find(|message| message["text"] == "the file").unwrap();
        let file = message["file"].as_str().unwrap().to_owned();
        let there = folder.join(&file).is_file();
        let vault = program.restored();
        let record = vault.messages(peer(chat)).remove(&i64::from(id)).unwrap();
        for media in record.media {
            let held = media.path.is_some_and(|path| vault.files.contains_key(&path));
            assert_eq!(held, media.status == MediaStatus::Stored, "{:?}", media.status);
        }
        (file, there)
    };
    for _ in 0..2 {
        let (file, there) = shown(3);
        assert!(file.starts_with('(') && !there, "{file}");
    }
    program.server.clear_faults();
    let (file, there) = shown(0);
    assert!(there, "{file}");
}

/// Only the first of the messages that show a file asks for it; all of them promised it.
#[test]
fn all_messages_that_show_a_file_say_that_it_failed_on_its_way() {
    let program = Program::logged_in(Options { dcs: vec![2], latency: Duration::from_millis(30), ..small() });
    let chats: Vec<_> = readable(&program.server).into_iter().map(|chat| chat.peer).take(2).collect();
    let send = Mutation::Send { peer: chats[0], text: "the file".into(), out: false, reply_to: None, file: Some(1_500_000) };
    let first = program.server.mutate(&send).unwrap().ids[0];
    let Some(enums::Message::Message(sent)) = program.server.message(chats[0], first) else { panic!("no message") };
    let mut places = vec![(chats[0], first)];
    for chat in chats {
        let mut again = tgvault_test_support::telegram::blank_message();
        (again.message, again.media, again.date) = ("the same".into(), sent.media.clone(), sent.date);
        places.push((chat, program.server.post(chat, again).unwrap()));
    }
    let Some(enums::MessageMedia::Document(media)) = sent.media else { panic!("no file") };
    // Its end comes when all messages are read.
    let when = When { peer: Some(media.document.unwrap().id()), from: 3, ..When::method("upload.getFile") };
    let shown = |code: i32| {
        let run = program.backup(&["--takeout", "never"], code);
        let to = tempfile::tempdir_in(program.sandbox.folder()).unwrap();
        let folder = to.path().join("out");
        program.unlocked(&["restore", "latest", "--as", "telegram-desktop", "--to", &folder.to_string_lossy()]);
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap();
        let chats = json["chats"]["list"].as_array().unwrap();
        let all = chats.iter().flat_map(|chat| chat["messages"].as_array().unwrap());
        let files: Vec<bool> = all
            .filter(|message| message["text"] == "the file" || message["text"] == "the same")
            .map(|message| message["file"].as_str().unwrap())
            .map(|file| (file, folder.join(file).is_file()))
            .inspect(|(file, there)| assert_ne!(file.starts_with('('), *there, "{file} {}", run.stderr))
            .map(|(_, there)| there)
            .collect();
        let vault = program.restored();
        let mut records = Vec::new();
        for (chat, id) in &places {
            let media = vault.messages(peer(*chat)).remove(&i64::from(*id)).unwrap().media;
            let held = media[0].path.as_ref().is_some_and(|path| vault.files.contains_key(path));
            assert_eq!(held, media[0].status == MediaStatus::Stored, "{chat:?} {id}: {:?}", media[0].status);
            let log = vault.records(peer(*chat));
            records.push(log.iter().filter(|record| matches!(record, Record::Message(one) if one.id == i64::from(*id))).count());
        }
        (files, records)
    };
    program.server.add_fault(strike(when, Effect::PartLength(-100)));
    let (files, records) = shown(3);
    assert_eq!(files, [false; 3]);
    // Each is corrected once.
    assert!(records.iter().all(|count| *count <= 2), "{records:?}");
    assert_eq!(shown(3).0, [false; 3]);
    program.server.clear_faults();
    assert_eq!(shown(0).0, [true; 3]);
}
