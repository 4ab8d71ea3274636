//! What people do with a vault when they look for something: search, cat, ls, stats, diff, and restores of parts.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use serde_json::Value;
use tgvault::Vault;
use tgvault::model::entry::Kind;
use tgvault::operations::Stop;
use tgvault::operations::chats::{Chat, OpenChats};
use tgvault::operations::messages::search::{KEPT_BYTES, Search, Writing, search};
use tgvault::operations::render::Form;
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::render::search::{FoundLine, Query};

use crate::chats::data;
use crate::imports::{chat, export, found, import, message, read, run};
use crate::restore_as::{files, tgvault};
use crate::support::{Log, World};

fn said(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let output = tgvault(world, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_however_they_were_typed() {
    let world = World::new().await;
    let texts =
        ["Cafe\u{301} um acht", "Goethestraße 5", "ＴＯＫＹＯ", "قال مُحَمَّد", "İstanbul'da", "η ΟΔΟΣ", "plain reser\u{AD}vation", "ดื่มน้ำเย็น"];
    let messages: Vec<String> = (1..).zip(texts).map(|(id, text)| message(id, text, "")).collect();
    import(&world, &export(&world, "export", &chat(&messages)), &[]);
    for (words, id) in [
        ("CAFÉ", 1),
        ("goethestrasse", 2),
        ("Tokyo", 3),
        ("محمد", 4),
        ("istanbul", 5),
        ("οδος", 6),
        ("reservation", 7),
        ("น\u{e49}\u{e4d}\u{e32}", 8),
    ] {
        let ids: Vec<i64> = found(&world, &[words]).iter().map(|(_, id, _)| *id).collect();
        assert_eq!(ids, [id], "{words}");
    }
    assert_eq!(found(&world, &["cafe"]), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_contradict_each_other_are_refused_everywhere() {
    let world = World::new().await;
    import(&world, &data("sample-export"), &[]);
    for command in
        [&["search", "x"][..], &["restore", "latest", "--to", "out"], &["cat", "latest", "--chat", "Mara"], &["backup", "telegram"]]
    {
        for (times, told) in
            [(["2024-05-04", "2024-05-03"], "--till is earlier than --from"), (["2999-01-01", "2999-01-02"], "in the future")]
        {
            let (code, _, err) = said(&world, &[command, &["--from", times[0], "--till", times[1]]].concat());
            assert!(code == 2 && err.contains(told) && err.contains("hint: "), "{command:?}: {err}");
        }
        if command[0] == "restore" || command[0] == "cat" {
            let (code, _, err) = said(&world, &[command, &["--at", "2999-01-01"]].concat());
            assert!(code == 2 && err.contains("--at is in the future"), "{err}");
        }
    }
    assert!(!world.root.path().join("out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_written_and_writes_nothing() {
    let world = World::new().await;
    import(&world, &data("sample-export"), &[]);
    for part in [
        &[][..],
        &["--chat", "Mara", "--media", "photos"],
        &["--chat", "Mara", "--from", "2024-01-01", "--format", "json"],
        &["--as", "raw"],
        &["--as", "raw", "--chat", "Mara"],
        &["--as", "original"],
        &["--as", "files"],
    ] {
        let line = |dry: &[&str]| {
            let output = tgvault(&world, &[&["--json", "restore", "latest", "--to", "out"], part, dry].concat());
            assert_eq!(output.status.code(), Some(0), "{part:?}: {output:?}");
            let lines = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let planned: u64 =
                lines.iter().filter(|line| line["message_type"] == "planned").map(|line| line["bytes"].as_u64().unwrap()).sum();
            (lines.last().unwrap().clone(), planned)
        };
        let (would, planned) = line(&["--dry-run"]);
        assert!(!world.root.path().join("out").exists(), "{part:?}");
        let (did, _) = line(&[]);
        for key in ["chats", "messages", "entries", "bytes"] {
            assert_eq!(would[key], did[key], "{part:?}: {key}");
        }
        assert_eq!(planned, did["bytes"].as_u64().unwrap(), "{part:?}");
        let written: usize = files(&world.root.path().join("out")).values().map(Vec::len).sum();
        assert_eq!(written as u64, planned, "{part:?}");
        fs::remove_dir_all(world.root.path().join("out")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_restores_count_their_messages() {
    let world = World::new().await;
    import(&world, &data("sample-export"), &[]);
    let told: u64 = read(&world, "chat_stats", &["stats"]).iter().map(|chat| chat["messages"].as_u64().unwrap()).sum();
    assert!(told > 10);
    let summary = read(&world, "summary", &["restore", "latest", "--as", "raw", "--to", "all"]);
    assert_eq!(summary[0]["messages"], told);
    let mara = read(&world, "chat_stats", &["stats"]).into_iter().find(|chat| chat["name"] == "Mara").unwrap();
    let summary = read(&world, "summary", &["restore", "latest", "--as", "raw", "--to", "mara", "--chat", "Mara"]);
    assert_eq!(summary[0]["messages"], mara["messages"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_of_media_have_the_same_words_everywhere() {
    let world = World::new().await;
    import(&world, &data("sample-export"), &[]);
    let words = ["photos", "videos", "voice-messages", "video-messages", "stickers", "gifs", "files", "music", "any", "none"];
    let mut some = 0;
    for word in words {
        let ids = found(&world, &["--media", word]);
        some += usize::from(!ids.is_empty());
        let (code, _, err) = said(&world, &["restore", "latest", "--to", "out", "--dry-run", "--media", word]);
        assert_eq!(code, 0, "{word}: {err}");
        let (code, _, err) = said(&world, &["backup", "telegram", "--media", word]);
        assert!(code == 13 || err.contains("api_id"), "{word}: {code} {err}");
    }
    assert!(some > 4, "{some}");
    let all = found(&world, &[]).len();
    assert_eq!(found(&world, &["--media", "any"]).len() + found(&world, &["--media", "none"]).len(), all);
    assert!(found(&world, &["--media", "photos,videos"]).len() >= found(&world, &["--media", "photos"]).len());
    for command in [&["search"][..], &["restore", "latest", "--to", "out"], &["backup", "telegram"]] {
        let (code, _, err) = said(&world, &[command, &["--media", "smell"]].concat());
        assert!(code == 2 && err.contains("'smell' is none of photos, videos, voice-messages"), "{command:?}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_may_be_named_by_its_file_and_a_target_may_not() {
    let world = World::new().await;
    let folder = export(&world, "export", &chat(&[message(1, "harbour", "")]));
    fs::write(world.root.path().join("photo.jpg"), b"a photo").unwrap();
    let ran = run(&world, &["backup", "desktop-export", "photo.jpg"]);
    assert!(ran.code == 2 && ran.err.contains("hint: give the folder that contains result.json"), "{}", ran.err);
    import(&world, &folder.join("result.json"), &[]);
    assert_eq!(found(&world, &["harbour"]).len(), 1);
    let (code, _, err) = said(&world, &["restore", "latest", "--to", "photo.jpg"]);
    assert!(code != 0 && err.contains("cannot restore into 'photo.jpg'") && err.contains("hint: --to needs a folder"), "{err}");
    assert_eq!(fs::read(world.root.path().join("photo.jpg")).unwrap(), b"a photo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_backed_up_last_hides_no_chats() {
    let world = World::new().await;
    let with = |name: &str, messages: &[String]| export(&world, name, &chat(messages));
    import(&world, &with("first", &[message(1, "harbour", "")]), &[]);
    import(&world, &with("second", &[message(1, "harbour", ""), message(2, "tickets", "")]), &[]);
    world.write("notes.txt", b"notes");
    world.backup().await;
    for (arguments, wanted) in [
        (&["search", "harbour"][..], "harbour"),
        (&["ls", "latest", "--chats"], "Bo (user5)"),
        (&["cat", "latest", "--chat", "Bo"], "harbour"),
        (&["ls", "latest", "--chat", "Bo"], "Bo (user5)"),
        (&["coverage"], "?  Bo    unknown"),
        (&["stats"], "Bo (user5)"),
        (&["restore", "latest", "--to", "out", "--chat", "Bo"], "1 chat with 2 messages"),
    ] {
        let (code, out, err) = said(&world, arguments);
        assert!(code == 0 && out.contains(wanted), "{arguments:?}: {out}{err}");
        assert!(err.contains("the latest snapshot has no chats") && err.contains("telegram:main"), "{arguments:?}: {err}");
    }
    // What is asked of files is answered by the latest.
    let (code, out, _) = said(&world, &["ls", "latest"]);
    assert!(code == 0 && out.contains("notes.txt") && !out.contains("user5"), "{out}");
    let first = read(&world, "snapshot", &["snapshots"]).into_iter().find(|snapshot| snapshot["source_kind"] == "telegram").unwrap();
    let (code, out, err) = said(&world, &["diff", first["id"].as_str().unwrap(), "latest", "--chats"]);
    assert!(code == 0 && out.contains("Bo (user5): 1 came"), "{out}{err}");
    // Of two accounts nobody knows which is meant.
    import(&world, &export(&world, "other", &chat(&[message(1, "ferry", "")])), &["--account", "work"]);
    world.write("more.txt", b"more");
    world.backup().await;
    let (code, _, err) = said(&world, &["search", "harbour"]);
    assert!(code == 1 && err.contains("has no chats") && err.contains("--source telegram:NAME"), "{err}");
    assert_eq!(found(&world, &["ferry", "--source", "telegram:work"]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_people_wrote_reaches_a_terminal_raw() {
    let world = World::new().await;
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}evil\r\u{200f}";
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let name = json(&format!("Bo{hostile}"));
    let text = message(1, &format!("harbour {hostile}"), &format!(r#""file":"(File not included)","file_name":{name},"#));
    let edited = text.replace(r#""from":"Ada""#, &format!(r#""from":{name}"#));
    let chat = |messages: &str| format!(r#"{{"name":{name},"type":"personal_chat","id":5,"messages":[{messages}]}}"#);
    import(&world, &export(&world, "first", &chat(&edited)), &[]);
    let first = read(&world, "snapshot", &["snapshots"])[0]["id"].as_str().unwrap().to_owned();
    import(&world, &export(&world, "second", &chat(&format!("{edited},{}", message(2, hostile, "")))), &[]);
    for arguments in [
        &["search", "harbour"][..],
        &["search"],
        &["ls", "latest", "--chats"],
        &["ls", "latest"],
        &["cat", "latest", "--chat", "user5"],
        &["cat", "latest", "--chat", "user5", "--history"],
        &["stats"],
        &["diff", &first, "latest"],
        &["snapshots"],
        &["coverage"],
        &["cat", "latest", "--chat", hostile],
        &["search", "x", "--chat", hostile],
        &["restore", "latest", "--to", "out", "--chat", hostile],
    ] {
        let (_, out, err) = said(&world, arguments);
        assert!(
            !format!("{out}{err}").chars().any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200f}')),
            "{arguments:?}: {out:?} {err:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_told_by_every_command_and_the_rest_is_shown() {
    let world = World::new().await;
    let archives = || files(&world.root.path().join("vault/archives")).into_keys().collect::<BTreeSet<_>>();
    let one = [message(1, "harbour", "")];
    import(&world, &export(&world, "first", &chat(&one)), &[]);
    let (first, before) = (read(&world, "snapshot", &["snapshots"])[0]["id"].as_str().unwrap().to_owned(), archives());
    import(&world, &export(&world, "second", &chat(&[&one[..], &[message(2, "ferry", "")]].concat())), &[]);
    for lost in archives().difference(&before) {
        fs::remove_file(world.root.path().join("vault/archives").join(lost)).unwrap();
    }
    for (arguments, shown) in [
        (&["ls", "latest"][..], "chats/user5/chat.json"),
        (&["ls", "latest", "--chats"], "Bo (user5)"),
        (&["ls", "latest", "--chat", "Bo"], "Bo (user5)"),
        (&["find", "*.jsonl"], "chats/user5/"),
        (&["find", "*.jsonl", "--snapshot", "latest"], "chats/user5/"),
        (&["search", "harbour"], "harbour"),
        (&["diff", &first, "latest", "--chats"], ""),
        (&["coverage"], "Bo"),
        (&["cat", "latest", "--chat", "Bo"], "harbour"),
        (&["stats"], ""),
        (&["restore", "latest", "--to", "out"], "1 chat with 1 message"),
    ] {
        let (code, out, err) = said(&world, arguments);
        // What there is stands in the snapshot's copies of the indexes, too; what it says is lost with the archive.
        let needs_content = !matches!(arguments[0], "ls" | "find" | "coverage");
        assert!(code == if needs_content { 15 } else { 0 } && out.contains(shown), "{arguments:?}: {code} {out}{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_repeats_what_people_wrote() {
    let world = World::in_memory().await;
    let chat = r#"{"v":1,"peer":"user5","name":"Bo","type":"personal_chat","observed":1,"run":"r1"}"#;
    world.write("chats/user5/chat.json", chat.as_bytes());
    world.write("chats/user6/chat.json", chat.replace("\"observed\":1", "\"observed\":\"between us\"").as_bytes());
    world.write("chats/user5/r1-000001.jsonl", br#"{"v":1,"record":"message","peer":"user5","id":"between us","observed":1,"run":"r1"}"#);
    world.write("imports/r1/files.jsonl", br#"{"path":["between us"]}"#);
    world.backup().await;
    let session = world.session(&world.storage, Some(world.unlock()));
    let chats = OpenChats::open(&session, &SnapshotChoice::latest()).await.unwrap();
    let log = Arc::new(Log::default());
    tokio::task::spawn_blocking(move || chats.chats(&mut |_, error| assert!(!error.to_string().contains("between"), "{error}")).unwrap())
        .await
        .unwrap();
    for form in [Form::TelegramDesktop { json: true, html: true }, Form::Original { import: None }] {
        let options = crate::fetch::options(&world.root.path().join("out"), form, vec![], &[]);
        let ended = Vault::from(session.clone()).render(SnapshotChoice::latest(), options).events(log.clone()).await;
        assert!(!format!("{ended:?}").contains("between"), "{ended:?}");
    }
    let told = log.0.lock().unwrap();
    assert!(told.iter().any(|told| told.contains("cannot be understood")) && !told.iter().any(|told| told.contains("between")), "{told:?}");
}

/// Finds as their ids and texts.
struct AsText;

impl Writing for AsText {
    fn write(&self, _: &Chat, found: &FoundLine<'_>, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(format!("{} ", found.id).as_bytes());
        let mark = out.len();
        out.extend_from_slice(format!("{}\n", found.message).as_bytes());
        mark
    }

    fn earlier(&self) -> &'static str {
        "earlier"
    }

    fn mark(&self, deleted: i64) -> String {
        format!("(deleted {deleted}) ")
    }
}

/// A log whose runs overlap: messages are edited, deleted and seen again.
fn write_runs(world: &World) {
    let chat = br#"{"v":1,"peer":"user5","name":"Bo","type":"personal_chat","observed":1,"run":"r1"}"#;
    world.write("chats/user5/chat.json", chat);
    let line = |run: u64, id: u64, text: &str, more: &str| {
        format!(
            "{{\"v\":1,\"record\":\"message\",\"peer\":\"user5\",\"id\":{id},\"observed\":{run}000,\"run\":\"r{run}\",\"date\":{id}{more},\"message\":{{\"id\":{id},\"text\":\"{text} {id}\"}}}}\n"
        )
    };
    let event = |run: u64, what: &str| format!("{{\"v\":1,{what},\"peer\":\"user5\",\"observed\":{run}000,\"run\":\"r{run}\"}}\n");
    for batch in 0..4 {
        let lines: String = (1..=500).map(|n| line(1, batch * 1000 + n, "harbour", "")).collect();
        world.write(&format!("chats/user5/r1-{:06}.jsonl", batch + 1), lines.as_bytes());
    }
    let mut second: String = (1..=50).map(|n| line(2, n * 10, "moved", ",\"edited\":1900")).collect();
    second += &event(2, r#""record":"deletion","id":1003,"evidence":{"by":"update"}"#);
    second += &event(2, r#""record":"deletion","id":1004,"evidence":{"by":"update"}"#);
    second += &line(2, 2007, "harbour again", ",\"edited\":1901");
    world.write("chats/user5/r2-000001.jsonl", second.as_bytes());
    world.write("chats/user5/r3-000001.jsonl", line(3, 1004, "harbour", "").as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_that_counts_is_found_whatever_fits_in_memory() {
    let world = World::in_memory().await;
    write_runs(&world);
    world.backup().await;
    let session = world.session(&world.storage, Some(world.unlock()));
    let chats = OpenChats::open(&session, &SnapshotChoice::latest()).await.unwrap();
    assert!(chats.opened().tree().iter().filter(|(_, entry)| entry.kind == Kind::File).count() > 6);
    tokio::task::spawn_blocking(move || {
        let all = chats.chats(&mut |path, error| panic!("{path}: {error}")).unwrap();
        let run = |words: &str, kept_bytes: usize| {
            let query = Query::new(words).unwrap();
            let mut out = String::new();
            let wanted = Search { chats: &all, query: &query, writing: &AsText, history: false, kept_bytes };
            let searched = search(&chats, &wanted, &Stop::new(), |_, text| {
                out.push_str(std::str::from_utf8(text).unwrap());
                Ok(())
            });
            (searched.unwrap(), out)
        };
        for (words, count) in [("harbour", 1950), ("moved", 50), ("again", 1), ("1003", 1), ("", 2000), ("zebra", 0)] {
            let (searched, out) = run(words, KEPT_BYTES);
            assert_eq!((searched.found, searched.unreadable.count, out.lines().count()), (count, 0, count as usize), "{words}");
            assert_eq!(run(words, 0), (searched.clone(), out.clone()), "{words}");
            assert_eq!(run(words, 20_000), (searched, out), "{words}");
        }
        let (_, out) = run("harbour", KEPT_BYTES);
        assert!(
            out.contains("\n1003 (deleted 2000) {")
                && out.contains("\n1004 {")
                && out.contains("harbour again 2007")
                && !out.contains("harbour 2007")
        );
    })
    .await
    .unwrap();
}
