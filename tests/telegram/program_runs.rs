//! The built program against the server: backups that are killed, resumed, delayed and refused, and what comes back of them.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use grammers_tl_types::{Serializable, enums};
use tgvault::model::coverage::Verdict;
use tgvault::model::reason::Reason;
use tgvault::model::record::Record;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, Peer, When, file_bytes};

use crate::comparison::assert_same_fields;
use crate::export::{assert_all_of, assert_bytes_of, readable};
use crate::harness::{Vault, peer};
use crate::program::{Program, fall_silent_after};

fn small() -> Options {
    Options { messages: 600, chats: 12, files: 20, media_bytes: 4_000_000, gallery: false, ..Options::default() }
}

fn send(program: &Program, peer: Peer, text: &str, file: Option<u64>) -> i32 {
    let send = Mutation::Send { peer, text: text.into(), out: false, reply_to: None, file };
    program.server.mutate(&send).unwrap().ids[0]
}

/// Each message is in the logs once, whatever happened on the way.
fn assert_once(vault: &Vault, peer: tgvault::model::peer::Peer) {
    let mut seen = BTreeSet::new();
    for record in vault.records(peer) {
        if let Record::Message(message) = record {
            assert!(seen.insert(message.id), "{peer} {} was stored twice", message.id);
        }
    }
}

/// Every file that a message shows is there with its bytes.
fn assert_files(program: &Program, vault: &Vault) {
    let mut files = 0;
    for (path, content) in vault.media() {
        let name = path.to_string();
        let (_, name) = name.rsplit_once('/').unwrap();
        let (stem, _) = name.split_once('.').unwrap();
        let Some((id, "full")) = stem.rsplit_once('-') else { continue };
        // What a message carries itself is named by its digest.
        let Ok(id) = id.parse::<i64>() else { continue };
        assert_eq!(program.server.file_size(id, ""), Some(content.len() as u64), "{name}");
        assert!(*content == file_bytes(id, "", 0, content.len()), "{name} differs");
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn a_whole_account_there_and_back_and_what_is_new_after_that() {
    let program = Program::logged_in(Options { split_ranges: 2, ..Options::default() });
    let first = program.run(&["backup", "telegram"]);
    // Left channels show the account's own messages, and a group that only a message speaks of is not looked for.
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(first.stdout.lines().filter(|line| line.starts_with("coverage: ")).count(), 1, "{}", first.stdout);
    assert_eq!(program.server.methods()["account.initTakeoutSession"], 1);
    let vault = program.restored();
    assert_bytes_of(&program.server, &vault);
    assert_same_fields(&program.server, &vault);
    assert_files(&program, &vault);
    // The second run: what is new, from a machine that cannot read the vault, without a takeout.
    let chat = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Private).unwrap().peer;
    let old = program.server.message_ids(chat)[0];
    let new = send(&program, chat, "new", Some(700_000));
    program.server.mutate(&Mutation::Edit { peer: chat, id: old, text: "edited".into() }).unwrap();
    program.server.forget_requests();
    let second = program.backup(&[], 0);
    let methods = program.server.methods();
    assert!(!methods.contains_key("account.initTakeoutSession"), "{methods:?}");
    assert!(methods["upload.getFile"] <= 3 && methods["messages.getHistory"] <= 2, "{methods:?}");
    assert!(second.stdout.contains("coverage: "), "{}", second.stdout);
    let vault = program.restored();
    assert_all_of(&program.server, &vault);
    let messages = vault.messages(peer(chat));
    assert!(messages[&i64::from(new)].message.get().contains("new"));
    assert!(messages[&i64::from(old)].message.get().contains("edited"));
    // Nothing of it is in a log or in plain text on this disk.
    let coverage = program.unlocked(&["coverage", "--json"]);
    assert!(coverage.stdout.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn kill_9_in_mid_run_loses_nothing_and_stores_nothing_twice() {
    let program = Program::logged_in(Options { latency: Duration::from_millis(3), ..small() });
    for kill in 1..=4_u64 {
        program.server.forget_requests();
        fall_silent_after(&program, kill * 12 + 10);
        let mut child = program.command(&["backup", "telegram", "--takeout", "never"]).spawn().unwrap();
        // After so many requests, wherever that is.
        while program.server.requests().len() < usize::try_from(kill * 12).unwrap() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its kill");
        child.kill().unwrap();
        child.wait().unwrap();
        program.server.clear_faults();
    }
    program.backup(&["--takeout", "never"], 0);
    let vault = program.restored();
    assert_bytes_of(&program.server, &vault);
    for chat in readable(&program.server) {
        assert_once(&vault, peer(chat.peer));
        assert_eq!(vault.coverage(peer(chat.peer)).verdict, Verdict::Complete, "{:?}", chat.peer);
    }
    assert_files(&program, &vault);
}

/// Files are told apart by Telegram's ids; that their lengths are the same is no reason to fetch one to see whether it is known.
#[test]
fn files_of_one_length_are_fetched_once_each() {
    const LENGTH: u64 = 3 << 20;
    let program = Program::logged_in(Options { chats: 3, messages: 60, files: 0, media_bytes: 0, gallery: false, ..Options::default() });
    let chat = readable(&program.server)[0].peer;
    for number in 0..6 {
        send(&program, chat, &format!("file {number}"), Some(LENGTH));
    }
    program.server.forget_requests();
    program.backup(&["--takeout", "never"], 0);
    let requests = program.server.requests();
    let answered = requests.iter().filter(|request| request.method == "upload.getFile" && request.error.is_none());
    let parts: Vec<(Option<i64>, i64)> = answered.filter_map(|request| Some((request.peer, request.offset?))).collect();
    // Other messages have small files.
    let large: BTreeSet<Option<i64>> = parts.iter().filter(|(_, offset)| *offset > 0).map(|(file, _)| *file).collect();
    let asked = parts.iter().filter(|(file, _)| large.contains(file)).count();
    assert_eq!((large.len(), asked), (6, 36));
}

/// A file of more than 512 MiB: its first part fills an archive, after which the run is killed.
#[test]
fn a_killed_run_goes_on_after_its_last_archive_in_the_middle_of_a_file() {
    const LENGTH: u64 = (512 << 20) + 30_000_000;
    const PART: i64 = 512 << 10;
    let program = Program::logged_in(Options { chats: 3, messages: 60, files: 0, media_bytes: 0, gallery: false, ..Options::default() });
    let chat = readable(&program.server)[0].peer;
    let message = send(&program, chat, "long", Some(LENGTH));
    let Some(enums::Message::Message(message)) = program.server.message(chat, message) else { panic!("no message") };
    let Some(enums::MessageMedia::Document(media)) = message.media else { panic!("no file") };
    let file = media.document.unwrap().id();
    // Behind the first part of 512 MiB the server falls silent, so that the run is not over before it is killed; of the requests before,
    // as many as may be in flight are allowed to come late.
    let when = When { peer: Some(file), from: 1_024 + 40, ..When::method("upload.getFile") };
    program.server.add_fault(Fault { when, then: Effect::Silent });
    let mut child = program.command(&["backup", "telegram", "--no-account-data", "--takeout", "never"]).spawn().unwrap();
    while program.archives() < 1 && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(5));
    }
    // The archive is in the store; the journal has it a moment later.
    while !is_noted(&program.file("state")) && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(5));
    }
    assert!(child.try_wait().unwrap().is_none(), "the run ended before its kill");
    child.kill().unwrap();
    child.wait().unwrap();
    program.server.clear_faults();
    program.server.forget_requests();
    program.backup(&["--takeout", "never"], 0);
    let parts: Vec<i64> = program
        .server
        .requests()
        .iter()
        .filter(|request| request.method == "upload.getFile")
        .filter_map(|request| request.offset)
        .collect();
    // The first part of the file is looked at before it is known how much of it is stored; beyond that, nothing is fetched again.
    let early = parts.iter().filter(|&&offset| offset < 512 << 20).count();
    let late: BTreeSet<i64> = parts.iter().copied().filter(|&offset| offset >= 512 << 20).collect();
    assert_eq!(late.len() as u64, (LENGTH - (512 << 20)).div_ceil(PART as u64));
    assert!(early <= 80, "{early} parts were fetched again that are stored");
    let to = program.file("long");
    program.unlocked(&["restore", "latest", "--as", "files", "--to", &to.to_string_lossy()]);
    let restored = std::fs::read_dir(to.join("media/document")).or_else(|_| std::fs::read_dir(to.join("media/documents")));
    let file = restored.unwrap().map(|entry| entry.unwrap().path()).find(|path| path.metadata().unwrap().len() == LENGTH).unwrap();
    let id: i64 = file.file_name().unwrap().to_string_lossy().split('-').find_map(|word| word.parse().ok()).unwrap();
    let mut reader = std::io::BufReader::new(std::fs::File::open(file).unwrap());
    let mut at = 0;
    while at < LENGTH {
        let length = (LENGTH - at).min(8 << 20);
        let mut piece = vec![0; usize::try_from(length).unwrap()];
        std::io::Read::read_exact(&mut reader, &mut piece).unwrap();
        assert!(piece == file_bytes(id, "", at, piece.len()), "differs near byte {at}");
        at += length;
    }
}

/// Whether a journal below this folder has noted an archive: a layer, and a head that is newer.
fn is_noted(folder: &std::path::Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let modified = |wanted: &dyn Fn(&str) -> bool| {
        let path = paths.iter().find(|path| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())))?;
        path.metadata().ok()?.modified().ok()
    };
    let (layer, head) = (modified(&|name| name.starts_with("layer-") && name.ends_with(".age")), modified(&|name| name == "head.age"));
    matches!((layer, head), (Some(layer), Some(head)) if head > layer) || paths.iter().any(|path| is_noted(path))
}

#[test]
fn a_cut_connection_continues_a_file_where_it_was() {
    let program = Program::logged_in(Options { chats: 2, messages: 20, files: 0, gallery: false, ..Options::default() });
    let chat = readable(&program.server)[0].peer;
    send(&program, chat, "long", Some(30 << 20));
    for from in [8, 20, 40] {
        let when = When { from, times: Some(1), ..When::method("upload.getFile") };
        program.server.add_fault(Fault { when, then: Effect::CutAfter(300_000) });
    }
    program.backup(&["--takeout", "never"], 0);
    assert_eq!(program.server.struck(), [1, 1, 1]);
    let mut asked: BTreeMap<i64, usize> = BTreeMap::new();
    for request in program.server.requests().iter().filter(|request| request.method == "upload.getFile") {
        *asked.entry(request.offset.unwrap()).or_default() += 1;
    }
    assert_eq!(asked.len(), 60);
    // Only what was in flight over a connection that broke is asked for again.
    let again: usize = asked.values().map(|times| times - 1).sum();
    assert!((3..=3 * 12).contains(&again), "{again} parts were asked for again");
    assert_files(&program, &program.restored());
}

#[test]
fn a_delayed_takeout_ends_with_14_and_does_the_ordinary_work() {
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never", "--exclude-chat", "@nobody"], 0);
    let known = readable(&program.server)[0].peer;
    let new = send(&program, known, "ordinary", None);
    program
        .server
        .add_fault(Fault { when: When::method("account.initTakeoutSession"), then: Effect::rpc(420, "TAKEOUT_INIT_DELAY_86400") });
    // A chat seen for the first time asks for a takeout.
    let fresh = Program::logged_in(small());
    fresh.server.add_fault(Fault { when: When::method("account.initTakeoutSession"), then: Effect::rpc(420, "TAKEOUT_INIT_DELAY_86400") });
    let run = fresh.backup(&[], 14);
    assert!(run.stderr.contains("need a takeout, which Telegram allows from 20"), "{}", run.stderr);
    assert!(!fresh.server.methods().contains_key("messages.getHistory"));
    // Where all chats are known, nothing has to wait, though a takeout was wanted.
    program.backup(&["--takeout", "always"], 0);
    assert!(program.restored().messages(peer(known)).contains_key(&i64::from(new)));
    fresh.server.clear_faults();
    fresh.backup(&[], 0);
    assert_all_of(&fresh.server, &fresh.restored());
}

#[test]
fn a_session_that_telegram_ended_ends_with_13_and_keeps_what_there_is() {
    let program = Program::logged_in(small());
    let when = When { from: 6, times: Some(1), ..When::method("messages.getHistory") };
    program.server.add_fault(Fault { when, then: Effect::LogOut });
    let run = program.backup(&["--takeout", "never"], 13);
    assert!(run.stderr.contains("AUTH_KEY_UNREGISTERED") && run.stderr.contains("tgvault login"), "{}", run.stderr);
    let phone = program.server.options().phone.clone();
    assert_eq!(program.with_input(&["login", "--phone", &phone], "22222\n").code, Some(0));
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn a_long_flood_wait_ends_with_14_and_the_next_run_goes_on() {
    let program = Program::logged_in(small());
    let when = When { from: 5, ..When::method("messages.getHistory") };
    program.server.add_fault(Fault { when, then: Effect::rpc(420, "FLOOD_WAIT_7200") });
    let run = program.backup(&["--takeout", "never"], 14);
    assert!(run.stderr.contains("a wait of 2 h 0 min"), "{}", run.stderr);
    let line = run.stdout.lines().last().unwrap();
    assert!(line.starts_with("coverage: ") && line.ends_with("; the run did not finish"), "{}", run.stdout);
    program.server.clear_faults();
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn an_unchanged_account_costs_its_dialog_list_and_changed_chats_cost_themselves() {
    let program = Program::logged_in(Options { messages: 10_000, chats: 5_000, files: 0, gallery: false, ..Options::default() });
    program.backup(&["--takeout", "never", "--details", "none"], 0);
    program.server.forget_requests();
    program.backup(&["--details", "none"], 0);
    let pages = 5_000_usize.div_ceil(100) + 3;
    let methods = program.server.methods();
    assert!(methods["messages.getDialogs"] <= pages, "{methods:?}");
    // A few more for the connection itself.
    assert!(program.server.requests().len() <= pages + 6, "{methods:?}");
    assert!(!methods.contains_key("messages.getHistory"), "{methods:?}");
    let changed: Vec<(Peer, i32)> = readable(&program.server)
        .into_iter()
        .filter_map(|chat| {
            let edit = |&id: &i32| program.server.mutate(&Mutation::Edit { peer: chat.peer, id, text: "rewritten".into() }).is_ok();
            Some((chat.peer, program.server.message_ids(chat.peer).into_iter().find(edit)?))
        })
        .take(50)
        .collect();
    assert_eq!(changed.len(), 50);
    program.server.forget_requests();
    program.backup(&["--details", "none"], 0);
    let requests = program.server.requests().len();
    assert!(requests <= pages + 6 + 3 * 50, "{requests}: {:?}", program.server.methods());
    let vault = program.restored();
    for (chat, id) in changed {
        assert!(vault.messages(peer(chat))[&i64::from(id)].message.get().contains("rewritten"), "{chat:?} {id}");
    }
}

#[test]
fn what_is_chosen_is_what_is_stored() {
    let program = Program::logged_in(small());
    // A folder of Telegram by rules: groups that are not archived.
    program.backup(&["--takeout", "never", "--folder", "groups", "--media", "none"], 0);
    let vault = program.restored();
    let chats = readable(&program.server);
    let is_group = |kind: Kind| matches!(kind, Kind::Group | Kind::Supergroup { .. });
    for chat in &chats {
        let held = !vault.records(peer(chat.peer)).is_empty();
        if !is_group(chat.kind) {
            assert!(!held, "{:?} is no group", chat.peer);
        }
    }
    assert!(chats.iter().any(|chat| is_group(chat.kind) && !vault.records(peer(chat.peer)).is_empty()));
    assert_eq!(vault.media().count(), 0);
    assert!(!program.server.methods().contains_key("upload.getFile"));
    let unknown = program.run(&["backup", "telegram", "--folder", "No such folder"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);

    // Only what the account itself wrote in groups.
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never", "--only-my-messages"], 0);
    let vault = program.restored();
    let mut own = 0;
    for chat in readable(&program.server).into_iter().filter(|chat| !matches!(chat.kind, Kind::Private | Kind::Bot | Kind::Saved)) {
        for (id, record) in vault.messages(peer(chat.peer)) {
            let extra: serde_json::Value = serde_json::from_str(record.extra.as_ref().unwrap().get()).unwrap();
            assert_eq!(extra["outgoing"], true, "{:?} {id}", chat.peer);
            own += 1;
        }
    }
    assert!(own > 0);
}

#[test]
fn one_message_that_cannot_be_read_costs_itself_only() {
    let program = Program::logged_in(small());
    let chat = readable(&program.server).into_iter().filter(|chat| chat.messages > 30).max_by_key(|chat| chat.messages).unwrap().peer;
    let ids = program.server.message_ids(chat);
    let lost = ids[ids.len() / 2];
    let bytes = program.server.message(chat, lost).unwrap().to_bytes();
    for method in ["messages.getHistory", "messages.getMessages", "channels.getMessages"] {
        program.server.add_fault(Fault { when: When::method(method), then: Effect::Garble(bytes.clone()) });
    }
    program.backup(&["--takeout", "never"], 3);
    let vault = program.restored();
    let held: Vec<i64> = vault.messages(peer(chat)).into_keys().collect();
    let expected: Vec<i64> = ids.iter().filter(|&&id| id != lost).map(|&id| id.into()).collect();
    assert_eq!(held, expected);
    let Verdict::Incomplete(because) = vault.coverage(peer(chat)).verdict else { panic!("complete") };
    assert!(because.iter().any(|reason| matches!(reason, Reason::Unreadable { .. })), "{because:?}");
    // Tried again next time.
    program.server.clear_faults();
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn neither_logs_nor_the_disk_show_what_people_wrote() {
    let program = Program::logged_in(small());
    let chat = readable(&program.server)[0].peer;
    let text = "a sentence that nobody else says";
    send(&program, chat, text, None);
    let run = program.backup(&["--takeout", "never", "-vvv"], 0);
    let titles: Vec<String> = readable(&program.server).into_iter().map(|chat| chat.title).filter(|title| title.len() > 4).collect();
    assert!(titles.len() > 3);
    let said = format!("{}{}", run.stdout, run.stderr);
    for secret in titles.iter().map(String::as_str).chain([text]) {
        assert!(!said.contains(secret), "'{secret}' is in the log");
    }
    let mut disk = Vault::default();
    for folder in ["vault", "state", "home", "work", "tmp"] {
        crate::program::collect(&program.file(folder), &program.file(folder), &mut disk);
    }
    assert!(disk.files.len() > 10);
    for (path, content) in &disk.files {
        for secret in titles.iter().map(String::as_str).chain([text]) {
            assert!(!content.windows(secret.len()).any(|window| window == secret.as_bytes()), "'{secret}' is in {path}");
        }
    }
    assert!(program.restored().messages(peer(chat)).values().any(|message| message.message.get().contains(text)));
}

#[test]
fn a_run_that_waits_for_telegram_ends_when_it_is_asked_to() {
    let program = Program::logged_in(small());
    let when = When { from: 2, ..When::method("messages.getHistory") };
    program.server.add_fault(Fault { when, then: Effect::rpc(420, "FLOOD_WAIT_600") });
    let mut child = program.command(&["backup", "telegram", "--takeout", "never"]).spawn().unwrap();
    while program.server.struck()[0] == 0 {
        assert!(child.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(5));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    program.server.clear_faults();
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn two_vaults_have_the_whole_account_each() {
    let mut program = Program::logged_in(small());
    program.backup(&["--takeout", "never"], 0);
    program.sandbox.env([("TGVAULT_REPO", program.file("other").to_string_lossy().into_owned())]);
    program.unlocked(&["init"]);
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
}
