//! The built program and what the user chose: which chats, which messages, and how they are named.

use std::collections::BTreeSet;

use serde_json::Value;
use tgvault::model::coverage::Verdict;
use tgvault::model::paths::{Place, place};
use tgvault::model::peer::{Peer, PeerKind};
use tgvault::model::reason::Reason;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, When};

use crate::export::{assert_all_of, readable};
use crate::harness::{Vault, peer};
use crate::program::Program;

fn small() -> Options {
    Options { messages: 600, chats: 24, files: 20, media_bytes: 4_000_000, gallery: false, ..Options::default() }
}

/// Chats of which anything is stored.
fn held(vault: &Vault) -> BTreeSet<Peer> {
    let chat = |path: &_| match place(path) {
        Some(Place::Log { peer, .. } | Place::ChatInfo(peer) | Place::Coverage(peer)) => Some(peer),
        _ => None,
    };
    vault.files.keys().filter_map(chat).collect()
}

fn logs_of(vault: &Vault, wanted: Peer) -> Vec<String> {
    let is_log = |path: &&_| matches!(place(path), Some(Place::Log { peer, .. }) if peer == wanted);
    vault.files.keys().filter(is_log).map(ToString::to_string).collect()
}

fn of_kind(program: &Program, wanted: impl Fn(Kind) -> bool) -> BTreeSet<Peer> {
    readable(&program.server).into_iter().filter(|chat| wanted(chat.kind)).map(|chat| peer(chat.peer)).collect()
}

/// Lines of JSON with this `message_type`.
fn lines(text: &str, kind: &str) -> Vec<Value> {
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["message_type"] == kind).collect()
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let program = Program::logged_in(small());
    let bots = of_kind(&program, |kind| kind == Kind::Bot);
    assert!(!bots.is_empty());
    let before = program.remembered();
    program.backup(&["--dry-run"], 0);
    program.backup(&["--dry-run", "--chats", "personal,private-groups"], 0);
    assert_eq!(program.remembered(), before, "a dry run changed what this machine remembers of the account");
    program.backup(&["--takeout", "never", "--chats", "bots"], 0);
    assert_eq!(held(&program.restored()), bots);
    // Nor does it after a backup, and it tells again what would be stored.
    let before = program.remembered();
    let first = program.backup(&["--dry-run", "--json"], 0);
    let second = program.backup(&["--dry-run", "--json"], 0);
    assert_eq!(program.remembered(), before);
    let new = |text: &str| lines(text, "summary")[0]["new_entries"].as_u64().unwrap();
    assert!(new(&first.stdout) > 20 && new(&first.stdout) == new(&second.stdout), "{}", first.stdout);
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn a_chat_that_is_named_comes_alone() {
    let program = Program::logged_in(small());
    let chats = readable(&program.server);
    let group = of_kind(&program, |kind| matches!(kind, Kind::Supergroup { .. })).into_iter().next().unwrap();
    let in_group = chats.iter().find(|chat| peer(chat.peer) == group).unwrap().peer;
    let send = Mutation::Send { peer: in_group, text: "with a file".into(), out: false, reply_to: None, file: Some(100_000) };
    program.server.mutate(&send).unwrap();
    let listed = lines(&program.run(&["chats", "--quick", "--json"]).stdout, "chat");
    let told = |wanted: &dyn Fn(&Value) -> bool| listed.iter().find(|chat| wanted(chat)).unwrap();
    let named = told(&|chat| chat["type"] == "public_channel" && chat["username"].is_string());
    let titled = told(&|chat| chat["type"] == "private_group");
    let person = told(&|chat| chat["type"] == "personal_chat" && chat["name"].is_string());
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    // What is left behind by a run that could not have files must not bring its chat into another's.
    program.server.add_fault(Fault { when: When::method("upload.getFile"), then: Effect::rpc(400, "LOCATION_INVALID") });
    program.backup(&["--takeout", "never", "--chat", &group.to_string()], 3);
    program.server.clear_faults();
    let mut expected = BTreeSet::from([group]);
    let alone = logs_of(&program.restored(), group);
    for (name, chat) in [
        (format!("@{}", text(named, "username").to_uppercase()), named),
        (text(titled, "name"), titled),
        (text(person, "chat").trim_start_matches("user").to_owned(), person),
    ] {
        program.backup(&["--takeout", "never", "--chat", &name], 0);
        expected.insert(text(chat, "chat").parse().unwrap());
        let vault = program.restored();
        let more: BTreeSet<Peer> = held(&vault).difference(&expected).copied().collect();
        // A supergroup comes with the group that it was before; that is all that may come along.
        assert!(
            more.iter().all(|peer| peer.kind == PeerKind::Chat && !chats.iter().any(|chat| crate::harness::peer(chat.peer) == *peer)),
            "{name}: {more:?}"
        );
        expected.extend(more);
        assert_eq!(logs_of(&vault, group), alone, "{name} touched {group}");
    }
    let username = text(named, "username");
    let links = [format!("https://t.me/{username}/5"), format!("tg://resolve?domain={username}"), username];
    let id = format!("-100{}", group.id);
    for link in links {
        program.backup(&["--takeout", "never", "--chat", &id, "--chat", &link], 0);
    }
    let saved = told(&|chat| chat["type"] == "saved_messages");
    expected.insert(text(saved, "chat").parse().unwrap());
    program.backup(&["--takeout", "never", "--chat", "saved messages"], 0);
    let vault = program.restored();
    assert_eq!(held(&vault), expected);
    assert!(logs_of(&vault, group).len() > alone.len(), "the files that were missing are there now");
}

/// What messages say of other chats, and who else stands in the list, does not come along.
#[test]
fn nothing_but_the_chat_comes_with_it() {
    let program = Program::logged_in(Options { gallery: true, ..small() });
    // The one that has a message of every kind, one that tells of a group that was before among them.
    let chats = readable(&program.server);
    let gallery = chats.iter().filter(|chat| chat.kind == Kind::Private).max_by_key(|chat| chat.messages).unwrap();
    program.backup(&["--takeout", "never", "--chat", &peer(gallery.peer).to_string()], 0);
    let vault = program.restored();
    assert_eq!(held(&vault), BTreeSet::from([peer(gallery.peer)]));
    let said = |vault: &Vault| {
        let lines = vault.files.iter().filter(|(path, _)| path.to_string().starts_with("peers/"));
        let lines = lines.flat_map(|(_, content)| content.split(|&byte| byte == b'\n')).filter(|line| !line.is_empty());
        let peers = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()["peer"].as_str().unwrap().parse().unwrap());
        peers.collect::<BTreeSet<Peer>>()
    };
    let described = said(&vault);
    assert!(described.contains(&peer(gallery.peer)));
    let others: Vec<Peer> = of_kind(&program, |_| true).into_iter().filter(|chat| !described.contains(chat)).collect();
    assert!(others.len() > 10, "all chats of the list are described: {described:?}");
    // They are, once they are stored.
    program.backup(&["--takeout", "never"], 0);
    let described = said(&program.restored());
    assert!(others.iter().all(|chat| described.contains(chat)));
}

#[test]
fn what_is_not_there_is_told_with_what_there_is() {
    let program = Program::logged_in(small());
    let chat = program.run(&["backup", "telegram", "--chat", "Nobody's"]);
    assert_eq!(chat.code, Some(2), "{}", chat.stderr);
    assert!(
        chat.stderr.contains("no chat 'Nobody's'") && chat.stderr.contains("hint: list the chats with `tgvault chats`"),
        "{}",
        chat.stderr
    );
    let folder = program.run(&["backup", "telegram", "--folder", "No such"]);
    assert_eq!(folder.code, Some(2), "{}", folder.stderr);
    assert!(folder.stderr.contains("no folder called 'No such'"), "{}", folder.stderr);
    assert!(folder.stderr.to_lowercase().contains("hint: name a folder by its name or number: '"), "{}", folder.stderr);
    assert!(folder.stderr.to_lowercase().contains("'groups' ("), "{}", folder.stderr);
    // A chat to leave out may have gone away since the profile was written: the backup is made, and the user told.
    let excluded = program.backup(&["--takeout", "never", "--exclude-chat", "@nobody", "--exclude-chat", "user5000000000"], 0);
    let told: Vec<&str> = excluded.stderr.lines().filter(|line| line.contains("--exclude-chat '")).collect();
    assert!(matches!(told.as_slice(), [one] if one.contains("'@nobody'")), "{}", excluded.stderr);
    assert!(!held(&program.restored()).contains(&Peer::user(5_000_000_000)));
}

#[test]
fn a_chat_of_which_only_the_own_messages_are_held_is_called_so() {
    let program = Program::logged_in(small());
    let line = program.backup(&["--takeout", "never", "--only-my-messages"], 0).stdout;
    let (people, groups): (BTreeSet<Peer>, BTreeSet<Peer>) =
        of_kind(&program, |_| true).into_iter().partition(|peer| peer.kind == PeerKind::User);
    let vault = program.restored();
    for group in &groups {
        let coverage = vault.coverage(*group);
        assert!(coverage.only_my_messages, "{coverage:?}");
        let Verdict::Incomplete(because) = coverage.verdict else { panic!("{group} counts as complete") };
        assert_eq!(because, [Reason::OwnOnly], "{group}");
    }
    assert!(people.iter().all(|person| vault.coverage(*person).verdict == Verdict::Complete));
    assert!(line.contains(&format!("{} chats complete as served, {} incomplete, 0 unknown", people.len(), groups.len())), "{line}");
    let table = program.unlocked(&["coverage"]).stdout;
    assert!(table.lines().filter(|line| line.contains("only the account's own messages are held")).count() == groups.len(), "{table}");
    // Asked for everything, the rest comes, and what is held is not fetched again.
    program.backup(&["--takeout", "never"], 0);
    let vault = program.restored();
    assert_all_of(&program.server, &vault);
    for group in &groups {
        assert_eq!(vault.coverage(*group).verdict, Verdict::Complete, "{group}");
    }
    // And what is complete stays so, whatever a later run asks for.
    program.backup(&["--takeout", "never", "--only-my-messages"], 0);
    assert!(groups.iter().all(|group| program.restored().coverage(*group).verdict == Verdict::Complete));
}

#[test]
fn what_a_backup_would_find_is_said_before_it_begins() {
    let program = Program::logged_in(small());
    let chats = readable(&program.server);
    let person = chats.iter().filter(|chat| chat.kind == Kind::Private).max_by_key(|chat| chat.messages).unwrap();
    let chosen = peer(person.peer).to_string();
    let told = program.run(&["backup", "telegram", "--estimate", "--chat", &chosen, "--json"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let told = lines(&told.stdout, "chat");
    assert!(matches!(told.as_slice(), [one] if one["chat"] == chosen && one["messages"] == person.messages), "{told:?}");
    assert!(told[0]["bytes_estimated"].is_u64());
    let all = program.run(&["backup", "telegram", "--estimate", "--chats", "personal,bots", "--exclude-chat", &chosen]);
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    assert!(
        all.stdout.contains("user") && !all.stdout.contains("channel") && !all.stdout.contains(&format!("{chosen} ")),
        "{}",
        all.stdout
    );
    // A chat that is not in the list is found by its public name, as the backup finds it.
    let listed = lines(&program.run(&["chats", "--json"]).stdout, "chat");
    let public = chats.iter().filter(|chat| chat.kind == Kind::Private).find_map(|chat| {
        let line = listed.iter().find(|line| line["chat"] == peer(chat.peer).to_string())?;
        Some((chat.peer, line["username"].as_str()?))
    });
    let (public, name) = public.unwrap();
    program.server.mutate(&Mutation::ClearHistory { peer: public }).unwrap();
    let found = program.run(&["backup", "telegram", "--estimate", "--chat", &format!("@{name}"), "--json"]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    assert_eq!(lines(&found.stdout, "chat")[0]["chat"], peer(public).to_string());
    let wrong = program.run(&["backup", "telegram", "--estimate", "--chat", "Nobody's"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert_eq!(program.archives(), 0);
    assert!(!program.server.methods().contains_key("account.initTakeoutSession"));
}

#[test]
fn stored_chats_go_by_the_same_names_as_those_of_the_account() {
    let program = Program::logged_in(small());
    program.backup(&["--takeout", "never"], 0);
    let private = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Private && chat.messages > 3).unwrap();
    let channel = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Broadcast && chat.messages > 3).unwrap();
    let channel_id = peer(channel.peer).id;
    let listed = lines(&program.unlocked(&["ls", "latest", "--chats", "--json"]).stdout, "chat");
    let public = listed.iter().find(|chat| chat["username"].is_string()).unwrap();
    let username = public["username"].as_str().unwrap();
    let snapshot = lines(&program.unlocked(&["snapshots", "--json"]).stdout, "snapshot")[0]["id"].as_str().unwrap().to_owned();
    program.server.mutate(&Mutation::Send { peer: channel.peer, text: "one more".into(), out: false, reply_to: None, file: None }).unwrap();
    program.backup(&["--takeout", "never"], 0);
    for (name, wanted) in [
        (format!("-100{channel_id}"), peer(channel.peer).to_string()),
        (format!("https://t.me/c/{channel_id}/2"), peer(channel.peer).to_string()),
        (peer(private.peer).id.to_string(), peer(private.peer).to_string()),
        (format!("@{username}"), public["chat"].as_str().unwrap().to_owned()),
        (format!("t.me/{username}"), public["chat"].as_str().unwrap().to_owned()),
        (channel.title.to_uppercase(), peer(channel.peer).to_string()),
    ] {
        let ls = lines(&program.unlocked(&["--json", "ls", "latest", "--chat", &name]).stdout, "chat");
        assert!(matches!(ls.as_slice(), [one] if one["chat"] == wanted), "{name}: {ls:?}");
        let cat = lines(&program.unlocked(&["--json", "cat", "latest", "--chat", &name, "--last", "2"]).stdout, "message");
        assert!(cat.len() == 2 && cat.iter().all(|line| line["chat"] == wanted), "{name}: {cat:?}");
        let found = lines(&program.unlocked(&["--json", "search", "--chat", &name]).stdout, "found");
        assert!(!found.is_empty() && found.iter().all(|line| line["chat"] == wanted), "{name}");
        let diff = program.unlocked(&["--json", "diff", &snapshot, "latest", "--chat", &name]).stdout;
        let changes = lines(&diff, "chat_change");
        let changed = usize::from(wanted == peer(channel.peer).to_string());
        assert!(changes.len() == changed && changes.iter().all(|line| line["chat"] == wanted && line["came"] == 1), "{name}: {diff}");
        let to = tempfile::tempdir_in(program.sandbox.folder()).unwrap();
        let to = to.path().join("one").to_string_lossy().into_owned();
        let restored = program.unlocked(&["--json", "restore", "latest", "--chat", &name, "--format", "json", "--to", &to]);
        assert_eq!(lines(&restored.stdout, "summary")[0]["chats"], 1, "{name}");
    }
    for command in
        [&["ls", "latest"][..], &["search", "x"], &["cat", "latest"], &["diff", &snapshot, "latest"], &["restore", "latest", "--to", "x"]]
    {
        let passphrase = program.file("passphrase").to_string_lossy().into_owned();
        let unknown = program.run(&[&["--passphrase-file", passphrase.as_str()], command, &["--chat", "-100999"]].concat());
        assert_eq!(unknown.code, Some(1), "{command:?} {}", unknown.stderr);
        assert!(unknown.stderr.contains("-100999") && unknown.stderr.contains("tgvault ls"), "{command:?} {}", unknown.stderr);
    }
}

#[test]
fn sources_are_shown_as_they_are_chosen() {
    let program = Program::logged_in(Options::empty());
    program.backup(&["--takeout", "never"], 0);
    let folder = program.file("work/some files");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(program.run(&["backup", "folder", &folder.to_string_lossy()]).code, Some(0));
    let shown = program.unlocked(&["snapshots"]).stdout;
    let sources: Vec<&str> =
        shown.lines().filter_map(|line| line.split_once("  /").map(|(_, path)| path).or(line.split(' ').next_back())).collect();
    assert_eq!(sources[1], "telegram:main", "{shown}");
    let path = folder.to_string_lossy().into_owned();
    assert!(shown.lines().nth(2).unwrap().ends_with(&path), "{shown}");
    for (source, count) in [("telegram:main", 1), (path.as_str(), 1), ("telegram", 1), ("main", 1), ("folder", 1), ("telegram:other", 0)] {
        let chosen = program.unlocked(&["--json", "snapshots", "--source", source]).stdout;
        assert_eq!(lines(&chosen, "snapshot").len(), count, "{source}");
    }
}

#[test]
fn contacts_that_only_a_takeout_knows_stay() {
    let program = Program::logged_in(Options { gallery: false, messages: 200, files: 0, ..Options::default() });
    let contacts = |more: &[&str]| {
        let to = tempfile::tempdir_in(program.sandbox.folder()).unwrap();
        let to = to.path().join("read");
        program.unlocked(&[&["restore", "latest", "--format", "json", "--to", &to.to_string_lossy()], more].concat());
        let result: Value = serde_json::from_slice(&std::fs::read(to.join("result.json")).unwrap()).unwrap();
        assert!(result.get("telegram_contacts").is_none());
        let name = |contact: &Value| format!("{} {}", contact["first_name"].as_str().unwrap(), contact["last_name"].as_str().unwrap());
        result["contacts"]["list"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    // Without a takeout there are those that are on Telegram.
    let run = |takeout: &str| assert_eq!(program.run(&["backup", "telegram", "--takeout", takeout, "--no-left-chats"]).code, Some(0));
    run("never");
    let on_telegram = contacts(&[]);
    assert!(!on_telegram.is_empty() && !on_telegram.contains(&"Nobody Here".to_owned()));
    run("always");
    let all = contacts(&[]);
    assert!(all.contains(&"Nobody Here".to_owned()) && all.contains(&"Großmutter 👵".to_owned()), "{all:?}");
    assert_eq!(all.len(), on_telegram.len() + 2);
    run("never");
    assert_eq!(contacts(&[]), all);
}

#[test]
fn coverage_says_how_old_reactions_are() {
    let program = Program::logged_in(small());
    let ages = || {
        let told = lines(&program.unlocked(&["--json", "coverage"]).stdout, "chat_coverage");
        told.into_iter()
            .map(|line| (line["chat"].as_str().unwrap().to_owned(), line["details"]["reactions_read"].as_i64()))
            .collect::<Vec<_>>()
    };
    program.backup(&["--takeout", "never"], 0);
    let first = ages();
    assert!(first.iter().all(|(_, age)| age.is_some()), "{first:?}");
    // A second later at least: times are told in seconds.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    program.backup(&["--takeout", "never"], 0);
    assert_eq!(ages(), first, "nothing was read again");
    let run = program.run(&["backup", "telegram", "--takeout", "never", "--no-account-data", "--recheck-budget", "5"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let newer = ages().iter().zip(&first).filter(|(now, before)| now.1 > before.1).count();
    assert!((1..=5).contains(&newer), "{newer} chats were read again");
    let run = program.run(&["backup", "telegram", "--takeout", "never", "--no-account-data", "--recheck-budget", "500"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    // A group that became a supergroup is in the list of chats no more, and does not change any more.
    let chats = of_kind(&program, |_| true);
    let old: Vec<_> = ages().into_iter().zip(&first).filter(|(now, before)| now.1 <= before.1).map(|(now, _)| now.0).collect();
    assert!(old.iter().all(|chat| !chats.contains(&chat.parse().unwrap())), "{old:?}");
    assert_all_of(&program.server, &program.restored());
    let table = program.unlocked(&["coverage"]).stdout;
    assert!(table.lines().nth(1).unwrap().contains("complete as served (reactions as of 20"), "{table}");
}
