//! The built program and its options, as far as the server can witness them: takeouts, periods, sizes, paces, folders, several accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tgvault::model::coverage::Verdict;
use tgvault::model::paths::{Place, place};
use tgvault::model::peer::Peer;
use tgvault::model::reason::Reason;
use tgvault::source::telegram::Pace;
use tgvault_test_support::sandbox::Run;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, When};

use crate::export::{assert_all_of, readable};
use crate::harness::{Vault, peer};
use crate::program::Program;

fn small() -> Options {
    Options { messages: 600, chats: 12, files: 20, media_bytes: 4_000_000, gallery: false, ..Options::default() }
}

fn lines(run: &Run, kind: &str) -> Vec<Value> {
    let all = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["message_type"] == kind).collect()
}

fn count(program: &Program, method: &str) -> usize {
    program.server.methods().get(method).copied().unwrap_or_default()
}

fn send(program: &Program, peer: tgvault_test_support::telegram::Peer, text: &str) -> i32 {
    let send = Mutation::Send { peer, text: text.into(), out: false, reply_to: None, file: None };
    program.server.mutate(&send).unwrap().ids[0]
}

fn held(vault: &Vault) -> BTreeSet<Peer> {
    let log = |path: &_| if let Some(Place::Log { peer, .. }) = place(path) { Some(peer) } else { None };
    vault.files.keys().filter_map(log).collect()
}

#[test]
fn a_takeout_is_used_when_the_option_says_so() {
    let program = Program::logged_in(small());
    let begun = |takeout: &[&str], code: i32| {
        program.server.forget_requests();
        program.backup(&[takeout, &["--no-left-chats"]].concat(), code);
        let wrapped = program.server.requests().iter().filter(|request| request.method == "messages.getHistory" && request.takeout).count();
        let plain = count(&program, "messages.getHistory") - wrapped;
        assert_eq!(count(&program, "account.initTakeoutSession"), count(&program, "account.finishTakeoutSession"));
        (count(&program, "account.initTakeoutSession"), wrapped > 0, plain > 0)
    };
    let one = readable(&program.server)[0].peer;
    assert_eq!(begun(&["--takeout", "never", "--chat", &peer(one).to_string()], 0), (0, false, true));
    // Chats that were never read.
    assert_eq!(begun(&["--takeout", "auto"], 0), (1, true, false));
    let private = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Private).unwrap().peer;
    send(&program, private, "a little");
    assert_eq!(begun(&[], 0), (0, false, true));
    send(&program, private, "a little more");
    assert_eq!(begun(&["--takeout", "always"], 0), (1, true, false));
    // 20,000 new messages, and then more than that.
    let channel = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Broadcast).unwrap().peer;
    let much = |count: u32| {
        for _ in 0..count {
            send(&program, channel, "much");
        }
    };
    much(20_000);
    assert_eq!(begun(&[], 0), (0, false, true));
    much(20_001);
    assert_eq!(begun(&[], 0), (1, true, false));
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn a_takeout_is_begun_for_what_was_chosen_and_nothing_else() {
    let program =
        Program::logged_in(Options { messages: 60, chats: 6, files: 2, media_bytes: 50_000, gallery: false, ..Options::default() });
    let one = peer(readable(&program.server)[0].peer).to_string();
    let largest = Some(4000 << 20);
    // Contacts; messages of users, groups, supergroups, channels; the size of files, where any are asked for.
    let table: [(&[&str], [bool; 5], Option<i64>); 11] = [
        (&[], [true; 5], largest),
        (&["--no-account-data"], [false, true, true, true, true], largest),
        (&["--media", "none"], [true; 5], largest),
        (&["--no-account-data", "--media", "none"], [false, true, true, true, true], None),
        (&["--no-account-data", "--max-file-size", "1000000"], [false, true, true, true, true], Some(1_000_000)),
        (&["--no-account-data", "--chats", "personal"], [false, true, false, false, false], largest),
        (&["--no-account-data", "--chats", "bots"], [false, true, false, false, false], largest),
        (&["--no-account-data", "--chats", "private-groups"], [false, false, true, true, false], largest),
        (&["--no-account-data", "--chats", "public-groups"], [false, false, false, true, false], largest),
        (&["--no-account-data", "--chats", "private-channels,public-channels"], [false, false, false, false, true], largest),
        (&["--no-account-data", "--chat", &one], [false, true, true, true, true], largest),
    ];
    for (number, (options, expected, size)) in table.into_iter().enumerate() {
        let fixed = ["backup", "telegram", "--takeout", "always", "--no-left-chats", "--recheck-budget", "0"];
        let run = program.run(&[&fixed, options].concat());
        assert_eq!(run.code, Some(0), "{options:?}: {}", run.stderr);
        let begun = program.server.takeouts();
        assert_eq!(begun.len(), number + 1, "{options:?}");
        let last = begun.last().unwrap();
        let has = [last.contacts, last.message_users, last.message_chats, last.message_megagroups, last.message_channels];
        assert_eq!((has, last.files, last.file_max_size), (expected, size.is_some(), size), "{options:?}");
    }
}

#[test]
fn a_delayed_takeout_is_waited_out_or_told_with_its_date() {
    let program = Program::logged_in(small());
    let known = readable(&program.server)[0].peer;
    let only = peer(known).to_string();
    program.backup(&["--takeout", "never", "--chat", &only], 0);
    let new = send(&program, known, "meanwhile");
    let delay = |text: &str, times: Option<u64>| {
        program.server.clear_faults();
        let when = When { times, ..When::method("account.initTakeoutSession") };
        program.server.add_fault(Fault { when, then: Effect::rpc(420, text) });
    };
    delay("TAKEOUT_INIT_DELAY_7200", None);
    let before = jiff::Timestamp::now();
    let run = program.backup(&["--json"], 14);
    let coverage = &lines(&run, "coverage")[0];
    assert_eq!(coverage["chats_waiting"].as_u64().unwrap(), readable(&program.server).len() as u64 - 1, "{coverage}");
    let at: jiff::Timestamp = coverage["takeout_at"].as_str().unwrap().parse().unwrap();
    let wait = before.duration_until(at).as_secs();
    assert!((7_195..7_300).contains(&wait), "{wait}");
    // What needs no takeout is done all the same.
    let vault = program.restored();
    assert_eq!(held(&vault), BTreeSet::from([peer(known)]));
    assert!(vault.messages(peer(known)).contains_key(&i64::from(new)));
    // Where Telegram does not repeat the time, the date is remembered.
    delay("TAKEOUT_INIT_DELAY", None);
    let again = program.backup(&["--json"], 14);
    let later: jiff::Timestamp = lines(&again, "coverage")[0]["takeout_at"].as_str().unwrap().parse().unwrap();
    assert!(at.duration_until(later).abs() <= jiff::SignedDuration::from_secs(2), "{at} and then {later}");
    delay("TAKEOUT_INIT_DELAY_1", Some(2));
    let run = program.backup(&["--wait"], 0);
    assert_eq!(run.stderr.matches("Telegram grants the export in 1 s").count(), 2, "{}", run.stderr);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn a_period_is_asked_for_by_its_dates() {
    let options = Options { messages: 9_000, chats: 8, files: 0, gallery: false, ..Options::default() };
    let program = Program::logged_in(options);
    let (from, till) = ("2024-03-01", "2024-05-31");
    let inside = 1_709_251_200..1_717_200_000; // midnight, in UTC, to midnight after the last day
    let date = |chat, id| match program.server.message(chat, id).unwrap() {
        grammers_tl_types::enums::Message::Message(message) => i64::from(message.date),
        grammers_tl_types::enums::Message::Service(message) => i64::from(message.date),
        grammers_tl_types::enums::Message::Empty(_) => 0,
    };
    let wanted = |chat| -> Vec<i64> {
        let ids = program.server.message_ids(chat).into_iter().filter(|&id| inside.contains(&date(chat, id)));
        ids.map(i64::from).collect()
    };
    // One chat, the longest: two requests find its ends, the rest are pages of what lies between.
    let longest = readable(&program.server).into_iter().max_by_key(|chat| chat.messages).unwrap();
    let expected = wanted(longest.peer);
    assert!(expected.len() > 20 && expected.len() < longest.messages / 4, "{} of {}", expected.len(), longest.messages);
    program.server.forget_requests();
    program.backup(&["--takeout", "never", "--chat", &peer(longest.peer).to_string(), "--from", from, "--till", till], 0);
    let vault = program.restored();
    assert_eq!(vault.messages(peer(longest.peer)).into_keys().collect::<Vec<_>>(), expected);
    let pages = count(&program, "messages.getHistory");
    assert!(pages <= expected.len().div_ceil(100) + 4, "{pages} pages for {} of {} messages", expected.len(), longest.messages);
    let Verdict::Incomplete(because) = vault.coverage(peer(longest.peer)).verdict else { panic!("a period counts as everything") };
    assert_eq!(because, [Reason::PeriodOnly]);
    // The whole account.
    program.server.forget_requests();
    program.backup(&["--takeout", "never", "--from", from, "--till", till], 0);
    let vault = program.restored();
    let mut most = 0;
    for chat in readable(&program.server) {
        let expected = wanted(chat.peer);
        assert_eq!(vault.messages(peer(chat.peer)).into_keys().collect::<Vec<_>>(), expected, "{:?}", chat.peer);
        most += expected.len().div_ceil(100) + 4;
    }
    let pages = count(&program, "messages.getHistory");
    assert!(pages <= most && pages < 9_000 / 100, "{pages} pages, where {most} are enough");
    // And then everything.
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn no_file_is_larger_than_was_asked_for() {
    let program = Program::logged_in(small());
    let chat = readable(&program.server)[0].peer;
    for length in [300_000, 3_000_000] {
        program.server.mutate(&Mutation::Send { peer: chat, text: "file".into(), out: false, reply_to: None, file: Some(length) }).unwrap();
    }
    program.server.forget_requests();
    program.backup(&["--takeout", "never", "--max-file-size", "1M"], 0);
    let vault = program.restored();
    assert!(vault.media().count() > 0 && vault.media().all(|(_, content)| content.len() <= 1_000_000));
    let asked: BTreeSet<i64> =
        program.server.requests().iter().filter(|request| request.method == "upload.getFile").filter_map(|r| r.peer).collect();
    assert!(asked.iter().all(|&id| program.server.file_size(id, "").is_none_or(|size| size <= 1_000_000)), "a larger file was asked for");
    let coverage = vault.coverage(peer(chat));
    assert!(coverage.media.skipped.iter().any(|reason| reason.reason == "too_large" && reason.count >= 1), "{coverage:?}");
}

#[test]
fn the_pace_that_is_given_keeps_its_caps() {
    let docs = include_str!("../../docs/guide/telegram.md");
    for (word, pace) in [("gentle", Pace::Gentle), ("normal", Pace::Normal), ("fast", Pace::Fast)] {
        let caps = pace.caps();
        let interval = caps.interval.as_millis();
        let row = format!(
            "| {word} | {} | {} | {} | {} | {interval} ms |",
            caps.message_connections, caps.message_requests, caps.file_connections, caps.file_requests
        );
        assert!(docs.contains(&row), "the guide does not say: {row}");
        let gentle = pace == Pace::Gentle;
        let program = Program::logged_in(Options {
            messages: if gentle { 100 } else { 3_000 },
            chats: if gentle { 3 } else { 20 },
            files: if gentle { 3 } else { 40 },
            media_bytes: if gentle { 1_000_000 } else { 30_000_000 },
            gallery: false,
            latency: Duration::from_millis(10),
            ..Options::default()
        });
        program.server.forget_requests();
        program.backup(&["--takeout", "never", "--pace", word], 0);
        for (dc, load) in program.server.loads() {
            let home = dc == program.server.home_dc();
            // A getConfig introduces each connection; the login's own may still be closing.
            let connections = caps.file_connections + if home { caps.message_connections + 1 } else { 0 };
            let requests = caps.file_requests + connections + if home { caps.message_requests } else { 1 };
            assert!(load.most_connections <= connections, "{word} DC {dc}: {} connections", load.most_connections);
            assert!(load.most_in_flight <= requests, "{word} DC {dc}: {} requests at once", load.most_in_flight);
        }
        assert_all_of(&program.server, &program.restored());
    }
}

#[test]
fn folders_are_chosen_by_name_and_number() {
    let program = Program::logged_in(Options { chats: 40, ..small() });
    let people: Vec<Peer> =
        readable(&program.server).into_iter().filter(|chat| chat.kind == Kind::Private).map(|chat| peer(chat.peer)).collect();
    program.backup(&["--takeout", "never", "--folder", "семья 👪"], 0);
    let family = held(&program.restored());
    assert!(!family.is_empty() && family.len() <= 5 && family.iter().all(|peer| people.contains(peer)), "{family:?}");
    let left_out = family.first().unwrap().to_string();
    program.backup(&["--takeout", "never", "--folder", "2", "--exclude-chat", &left_out], 0);
    let both = held(&program.restored());
    let groups: BTreeSet<Peer> = both.difference(&family).copied().collect();
    assert!(!groups.is_empty() && groups.iter().all(|peer| !people.contains(peer)), "{groups:?}");
}

#[test]
fn left_chats_are_listed_and_said_to_be_incomplete() {
    let program = Program::logged_in(Options { chats: 80, messages: 2_000, ..small() });
    let left: BTreeSet<Peer> = program.server.chats().into_iter().filter(|chat| chat.left).map(|chat| peer(chat.peer)).collect();
    assert!(!left.is_empty());
    program.backup(&["--takeout", "always", "--no-left-chats"], 0);
    assert_eq!(count(&program, "channels.getLeftChannels"), 0);
    let without = program.restored();
    let run = program.run(&["backup", "telegram", "--takeout", "always", "--no-account-data", "--recheck-budget", "0"]);
    assert!(matches!(run.code, Some(0 | 3)), "{}", run.stderr);
    assert!(count(&program, "channels.getLeftChannels") > 0);
    let vault = program.restored();
    let described = |vault: &Vault, peer: Peer| vault.files.get(&tgvault::model::paths::chat_info(peer).unwrap()).cloned();
    for chat in left {
        assert!(described(&without, chat).is_none());
        let info: Value = serde_json::from_slice(&described(&vault, chat).unwrap()).unwrap();
        assert_eq!(info["left"], true, "{chat}");
        assert!(matches!(vault.coverage(chat).verdict, Verdict::Incomplete(_)), "{chat}: {:?}", vault.coverage(chat));
    }
    let to = program.file("read");
    program.unlocked(&["restore", "latest", "--format", "json", "--to", &to.to_string_lossy()]);
    let result: Value = serde_json::from_slice(&std::fs::read(to.join("result.json")).unwrap()).unwrap();
    assert!(!result["left_chats"]["list"].as_array().unwrap().is_empty());
}

#[test]
fn several_accounts_share_a_vault_by_their_names() {
    let program = Program::logged_in(small());
    let phone = program.server.options().phone.clone();
    let second = program.with_input(&["login", "--phone", &phone, "--account", "work"], "22222\n");
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let token = program.server.options().bot_token.clone();
    let bot = program.with_input(&["login", "--bot", "--account", "robot"], &format!("{token}\n"));
    assert_eq!(bot.code, Some(0), "{}", bot.stderr);
    let accounts = program.run(&["accounts", "--json"]);
    let names: Vec<String> = lines(&accounts, "account").iter().map(|line| line["account"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["main", "robot", "work"]);
    let chats = readable(&program.server);
    let (one, other) = (peer(chats[0].peer), peer(chats[1].peer));
    program.backup(&["--takeout", "never", "--account", "main", "--chat", &one.to_string()], 0);
    program.backup(&["--takeout", "never", "--account", "work", "--chat", &other.to_string()], 0);
    program.backup(&["--account", "robot"], 0);
    let private = chats.iter().find(|chat| chat.kind == Kind::Private).unwrap().peer;
    let id = send(&program, private, "for the bot");
    program.backup(&["--account", "robot"], 0);
    let restored = |source: &str| {
        let to = tempfile::tempdir_in(program.sandbox.folder()).unwrap();
        let path = to.path().join("restored");
        program.unlocked(&["restore", "latest", "--source", source, "--as", "files", "--to", &path.to_string_lossy()]);
        let mut vault = Vault::default();
        crate::program::collect(&path, &path, &mut vault);
        vault
    };
    assert_eq!(held(&restored("telegram:main")), BTreeSet::from([one]));
    assert_eq!(held(&restored("telegram:work")), BTreeSet::from([other]));
    let bots = restored("telegram:robot");
    assert_eq!(held(&bots), BTreeSet::from([peer(private)]));
    assert_eq!(bots.messages(peer(private)).into_keys().collect::<Vec<_>>(), [i64::from(id)]);
    // Which is meant has to be said.
    let unclear = program.run(&["backup", "telegram"]);
    assert_eq!(unclear.code, Some(2), "{}", unclear.stderr);
}

/// Every line that Telegram's commands print with `--json` is in the guide, with each of its keys.
#[test]
fn what_a_run_waits_for_is_told_while_it_waits_and_how_far_it_came_at_its_end() {
    let program = Program::logged_in(small());
    let when = When { from: 3, times: Some(1), ..When::method("messages.getHistory") };
    program.server.add_fault(Fault { when, then: Effect::rpc(420, "FLOOD_WAIT_4") });
    let run = program.backup(&["--takeout", "never", "--pace", "gentle", "--json"], 0);
    let told = lines(&run, "telegram_status");
    let waits: BTreeSet<u64> = told
        .iter()
        .filter(|line| line["waiting"]["method"] == "messages.getHistory")
        .map(|line| line["waiting"]["seconds"].as_u64().unwrap())
        .collect();
    assert!(waits.len() > 1, "the wait is told once: {told:?}");
    let (last, coverage) = (told.last().unwrap(), &lines(&run, "coverage")[0]);
    assert!(last["waiting"].is_null() && last["chats_done"] == last["chats_total"], "{last}");
    assert_eq!(last["messages"], coverage["messages"]);
}

#[test]
fn json_lines_are_documented() {
    let program = Program::new(Options { accept_login_tokens: true, ..small() });
    let docs = include_str!("../../docs/guide/json.md");
    let mut kinds = BTreeSet::new();
    let mut check = |run: Run| {
        assert!(matches!(run.code, Some(0 | 3)), "{}", run.stderr);
        let summary = run.stdout.lines().position(|line| line.contains(r#""message_type":"summary""#));
        assert!(summary.is_none_or(|at| at + 1 == run.stdout.lines().count()), "the summary is not the last line: {}", run.stdout);
        for line in run.stdout.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let line = line.as_object().unwrap();
            let kind = line["message_type"].as_str().unwrap();
            let (row, name) = match line.get("command").filter(|_| kind == "summary").and_then(Value::as_str) {
                Some(command) => (format!("| `{command}` |"), format!("summary of {command}")),
                None => (format!("`{kind}`"), kind.to_owned()),
            };
            let rows: Vec<&str> = docs
                .lines()
                .filter(|text| {
                    text.starts_with('|')
                        && text.split('|').nth(1).is_some_and(|cell| format!("|{cell}|").contains(&row) || cell.contains(&row))
                })
                .collect();
            assert!(!rows.is_empty(), "no row for {name}");
            for key in line.keys().filter(|key| !["message_type", "command"].contains(&key.as_str())) {
                assert!(rows.iter().any(|row| row.contains(&format!("`{key}`"))), "{name} does not name `{key}`");
            }
            kinds.insert(name);
        }
        run.stdout
    };
    let passphrase = program.file("passphrase").to_string_lossy().into_owned();
    let run = |words: &[&str]| program.run(&[&["--json", "--passphrase-file", passphrase.as_str()], words].concat());
    check(run(&["login", "--qr"]));
    check(run(&["accounts"]));
    check(run(&["chats", "--estimate"]));
    // It warns, too.
    let told = check(run(&["backup", "telegram", "--exclude-chat", "nobody at all"]));
    let snapshot =
        told.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).unwrap()["snapshot"].as_str().map(str::to_owned)).unwrap();
    let chat = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Private && chat.messages > 5).unwrap();
    let ids = program.server.message_ids(chat.peer);
    program.server.mutate(&Mutation::Edit { peer: chat.peer, id: ids[1], text: "changed".into() }).unwrap();
    program.server.mutate(&Mutation::Delete { peer: chat.peer, ids: vec![ids[2]] }).unwrap();
    send(&program, chat.peer, "new");
    let when = When { times: Some(1), ..When::method("updates.getDifference") };
    program.server.add_fault(Fault { when, then: Effect::rpc(420, "FLOOD_WAIT_2") });
    check(run(&["backup", "telegram", "--takeout", "never"]));
    check(run(&["backup", "telegram", "--takeout", "never", "--dry-run"]));
    check(run(&["coverage"]));
    check(run(&["snapshots"]));
    check(run(&["ls", "latest"]));
    check(run(&["search", "changed"]));
    check(run(&["cat", "latest", "--chat", &peer(chat.peer).to_string(), "--history"]));
    check(run(&["diff", &snapshot, "latest"]));
    check(run(&["stats"]));
    check(run(&["verify"]));
    check(run(&["restore", "latest", "--to", &program.file("read").to_string_lossy()]));
    check(run(&["logout"]));
    for kind in [
        "login_qr",
        "account",
        "chat",
        "telegram_status",
        "archive",
        "snapshot_stored",
        "coverage",
        "chat_coverage",
        "summary of backup",
        "summary of logout",
        "message",
        "found",
        "chat_change",
    ] {
        assert!(kinds.contains(kind), "{kind} was never printed: {kinds:?}");
    }
}
