//! Exports of Telegram Desktop taken in by the built program, and what it then finds in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tgvault::model::entry::{EntryPath, Kind, Metadata, Timestamp};
use tgvault::source::{Body, Content, Item, Sink, Source, SourceError, SourceName};

use crate::chats::data;
use crate::restore_as::{files, tgvault};
use crate::support::{World, noise};

/// What a run of the program left.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the program with the state of the machine that made the vault, and without a key.
pub fn run(world: &World, arguments: &[&str]) -> Ran {
    let root = world.root.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tgvault"));
    command.env_clear().env("HOME", root).env("TZ", "UTC").env("PATH", "/nowhere").current_dir(root);
    command.arg("--repo").arg(root.join("vault")).arg("--state-dir").arg(root.join("state")).args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let ran = Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran
}

/// Takes an export in, and gives the summary.
pub fn import(world: &World, folder: &Path, more: &[&str]) -> Value {
    let ran = run(world, &[&["--json", "backup", "desktop-export", folder.to_str().unwrap()], more].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    summary(&ran.out)
}

fn summary(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// The lines of a command that reads, by their type.
pub fn read(world: &World, kind: &str, arguments: &[&str]) -> Vec<Value> {
    let output = tgvault(world, &[&["--json"], arguments].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message_type"] == kind).collect()
}

pub fn found(world: &World, arguments: &[&str]) -> Vec<(String, i64, String)> {
    let hits = read(world, "found", &[&["search"], arguments].concat());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    hits.iter().map(|hit| (text(&hit["chat"]), hit["id"].as_i64().unwrap(), text(&hit["text"]))).collect()
}

/// Restores the last import as it was, and compares.
pub fn comes_back(world: &World, export: &Path, to: &str) {
    let output = tgvault(world, &["restore", "latest", "--as", "original", "--to", to]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(files(&world.root.path().join(to)) == files(export), "{to}");
}

pub fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub fn export(world: &World, name: &str, json: &str) -> PathBuf {
    let folder = world.root.path().join(name);
    write(&folder, "result.json", json.as_bytes());
    folder
}

fn copy(world: &World, from: &Path, name: &str) -> PathBuf {
    let to = world.root.path().join(name);
    files(from).iter().for_each(|(path, bytes)| write(&to, path, bytes));
    to
}

pub fn message(id: i64, text: &str, more: &str) -> String {
    let unix = 1_600_000_000 + id * 60;
    format!(
        r#"{{"id":{id},"type":"message","date":"2020-09-13T12:00:00","date_unixtime":"{unix}","from":"Ada","from_id":"user77",{more}"text":{},"text_entities":[]}}"#,
        serde_json::to_string(text).unwrap()
    )
}

pub fn chat(messages: &[String]) -> String {
    format!(r#"{{"name":"Bo","type":"personal_chat","id":5,"messages":[{}]}}"#, messages.join(",\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_of_every_kind_are_taken_in_and_come_back() {
    let world = World::new().await;
    import(&world, &data("sample-export"), &[]);
    comes_back(&world, &data("sample-export"), "account");
    for (n, name) in ["age-1.3.json", "age-2.7.2.json", "age-4.1.json", "age-4.15.json", "age-6.1.json"].into_iter().enumerate() {
        let folder = world.root.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(data("desktop-export").join(name), folder.join("result.json")).unwrap();
        let account = format!("a{n}");
        import(&world, &folder, &["--account", &account, "--time-zone", "Europe/Lisbon", "--made", "2024-06-01"]);
        comes_back(&world, &folder, &format!("out-{name}"));
        let source = format!("telegram:{account}");
        assert!(!read(&world, "found", &["search", "--source", &source]).is_empty(), "{name}");
    }
    let pages = world.root.path().join("pages");
    write(&pages, "messages.html", &fs::read(data("desktop-export/messages.html")).unwrap());
    write(&pages, "photos/photo_1@12-01-2024_09-06-00.jpg", b"a photo");
    import(&world, &pages, &["--account", "html", "--chat", "channel900"]);
    comes_back(&world, &pages, "pages-out");
    let hits = found(&world, &["forwarded", "--source", "telegram:html"]);
    assert_eq!(hits, [("channel900".into(), 5, "forwarded text".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grown_export_costs_what_is_new() {
    let world = World::new().await;
    let folder = world.root.path().join("first");
    let texts: Vec<String> = (1..=5000).map(|id| message(id, &format!("unlike any other: {:?}", noise(id as u64, 24)), "")).collect();
    let with_photo = message(5001, "", r#""photo":"photos/1.jpg","#);
    write(&folder, "photos/1.jpg", &noise(1, 60_000));
    write(&folder, "result.json", chat(&[texts.clone(), vec![with_photo.clone()]].concat()).as_bytes());
    let first = import(&world, &folder, &[]);
    let stored = |summary: &Value| summary["stored_bytes"].as_u64().unwrap();
    assert!(stored(&first) > 150_000, "{first}");
    let again = import(&world, &folder, &[]);
    assert!(stored(&again) < 4_000, "nothing is new: {again}");

    let grown = copy(&world, &folder, "second");
    write(&grown, "photos/2.jpg", &noise(2, 60_000));
    let new = [message(5002, "good news", ""), message(5003, "", r#""photo":"photos/2.jpg","#)];
    write(&grown, "result.json", chat(&[texts, vec![with_photo], new.into()].concat()).as_bytes());
    let second = import(&world, &grown, &[]);
    assert!((60_000..66_000).contains(&stored(&second)), "one photo and two messages: {second}");
    assert_eq!(found(&world, &["good news"]), [("user5".into(), 5002, "good news".into())]);
    assert_eq!(read(&world, "summary", &["stats"])[0]["messages"], 5003);
    comes_back(&world, &grown, "out");
    let snapshots = read(&world, "snapshot", &["snapshots"]);
    let ids: Vec<&str> = snapshots.iter().map(|snapshot| snapshot["id"].as_str().unwrap()).collect();
    let changes = read(&world, "chat_change", &["diff", ids[0], ids[2]]);
    assert_eq!((changes.len(), &changes[0]["came"], &changes[0]["changed"], &changes[0]["went"]), (1, &2.into(), &0.into(), &0.into()));
    let chats = read(&world, "chat", &["ls", "latest"]);
    assert_eq!((chats.len(), &chats[0]["chat"], &chats[0]["name"]), (1, &"user5".into(), &"Bo".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_is_made_anew_with_a_key_and_told_without() {
    let world = World::new().await;
    let texts: Vec<String> = (1..=3000).map(|id| message(id, &format!("unlike any other: {:?}", noise(id as u64, 24)), "")).collect();
    let folder = export(&world, "export", &chat(&texts));
    let first = import(&world, &folder, &[])["stored_bytes"].as_u64().unwrap();
    let forget = || {
        let state = world.root.path().join("state").join(world.report.repository.to_string());
        let folders = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
        let imports: Vec<PathBuf> = folders.filter(|path| path.to_string_lossy().contains("imports-")).collect();
        assert_eq!(imports.len(), 1);
        fs::remove_dir_all(&imports[0]).unwrap();
    };
    forget();
    let root = world.root.path();
    // Makes the identity file.
    read(&world, "snapshot", &["snapshots"]);
    let identity = root.join("identity.txt");
    let ran = run(&world, &["--json", "-i", identity.to_str().unwrap(), "backup", "desktop-export", folder.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("read the list of imported messages from the vault"), "{}", ran.out);
    assert!(summary(&ran.out)["stored_bytes"].as_u64().unwrap() < first / 10, "{}", ran.out);
    comes_back(&world, &folder, "out");

    forget();
    let ran = run(&world, &["--json", "backup", "desktop-export", folder.to_str().unwrap()]);
    assert!(ran.out.contains("is stored again"), "{}", ran.out);
    assert!(summary(&ran.out)["stored_bytes"].as_u64().unwrap() > first / 2, "{}", ran.out);
    assert_eq!(read(&world, "summary", &["stats"])[0]["messages"], 3000);
    assert!(import(&world, &folder, &[])["stored_bytes"].as_u64().unwrap() < 4_000);
    comes_back(&world, &folder, "out2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_found_where_a_folder_holds_one() {
    let world = World::new().await;
    let folder = export(&world, "export", &chat(&[message(1, "hello", "")]));
    let path = folder.to_str().unwrap();
    let sources = || -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        read(&world, "snapshot", &["snapshots"]).iter().map(|one| (text(&one["source_kind"]), text(&one["source"]))).collect()
    };
    let ran = run(&world, &["backup", "folder", path]);
    assert_eq!((ran.code, ran.err.matches("importing its chats").count()), (0, 1), "{}", ran.err);
    assert_eq!(sources(), [("telegram".into(), "main".into())]);
    for (arguments, told) in [(vec!["backup", path, "--exclude", "x"], "parts of it are excluded"), (vec!["backup", path, "--plain"], "")] {
        let ran = run(&world, &arguments);
        assert!(ran.code == 0 && ran.err.contains(told) && !ran.err.contains("importing its chats"), "{}", ran.err);
        assert_eq!(sources().last().unwrap().0, "folder");
    }
    // Whose chats they are is said in the same three ways as everywhere else.
    let second = export(&world, "second", &chat(&[message(2, "hello", "")]));
    let second = second.to_str().unwrap();
    let ran = run(&world, &["backup", second, "--account", "anna"]);
    assert!(ran.code == 0 && ran.err.contains("account 'anna'"), "{}", ran.err);
    assert_eq!(sources().last().unwrap(), &("telegram".into(), "anna".into()));
    let ran = run(&world, &["backup", second, "--account", "anna", "--plain"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    // What was a folder in earlier backups stays one.
    let ran = run(&world, &["backup", path]);
    assert!(ran.err.contains("stored it as an ordinary folder"), "{}", ran.err);
    assert_eq!(sources().last().unwrap().0, "folder");
    // A file of that name is not enough.
    for (name, content) in [("a", "{}"), ("b", r#"{"type":"report","id":5,"results":[]}"#), ("c", "\0\u{1}"), ("d", "")] {
        let folder = export(&world, name, content);
        assert_eq!(run(&world, &["backup", folder.to_str().unwrap()]).code, 0);
        assert_eq!(sources().last().unwrap(), &("folder".into(), folder.to_str().unwrap().to_owned()));
    }
}

/// A source of items that exist in memory: what a live backup of an account leaves.
pub struct Scripted(pub Vec<(String, String)>);

struct Text(Arc<[u8]>);

struct Reader(Cursor<Arc<[u8]>>);

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Body for Reader {}

impl Content for Text {
    fn open(&self, _: u64) -> io::Result<Box<dyn Body>> {
        Ok(Box::new(Reader(Cursor::new(Arc::clone(&self.0)))))
    }
}

impl Source for Scripted {
    fn name(&self) -> SourceName {
        SourceName { kind: "telegram".into(), name: "main".into() }
    }

    fn lists_everything(&self) -> bool {
        false
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        for (path, text) in &self.0 {
            let meta = Metadata { mode: 0o600, mtime: Timestamp { seconds: 1_790_000_000, nanos: 0 }, ..Metadata::default() };
            let (path, size) = (EntryPath::new(path.as_str()).unwrap(), text.len() as u64);
            let content: Option<Arc<dyn Content>> = Some(Arc::new(Text(text.as_bytes().into())));
            sink.item(Item { path, kind: Kind::File, meta, size, sparse: false, stamp: None, content, mark: 0 })?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_live_backups_are_one_history() {
    let world = World::new().await;
    let first =
        export(&world, "ChatExport_2021-01-01", &chat(&[message(1, "kept", ""), message(2, "before", ""), message(3, "gone later", "")]));
    import(&world, &first, &[]);
    // Live: message 2 was edited, 3 is gone, 4 is new.
    let line = |id: i64, text: &str, edited: &str| {
        let message = message(id, text, "");
        format!(
            "{{\"v\":1,\"record\":\"message\",\"peer\":\"user5\",\"id\":{id},\"observed\":1790000000,\"run\":\"L1\",\"date\":{}{edited},\"message\":{message}}}\n",
            1_600_000_000 + id * 60
        )
    };
    let gone = "{\"v\":1,\"record\":\"deletion\",\"peer\":\"user5\",\"id\":3,\"observed\":1790000000,\"run\":\"L1\",\"evidence\":{\"by\":\"update\"}}\n";
    let log = [line(1, "kept", ""), line(2, "after", ",\"edited\":1700000000"), line(4, "live only", ""), gone.to_owned()].concat();
    let described = r#"{"v":1,"peer":"user5","name":"Bo","type":"personal_chat","full_name":"Bo Live","username":"bo","observed":1790000000,"run":"L1"}"#;
    let live = Scripted(vec![("chats/user5/L1-000001.jsonl".into(), log), ("chats/user5/chat.json".into(), described.into())]);
    world.backup_in(&world.session(&world.storage, None), Arc::new(live)).await.unwrap();
    // A grown export of 2023 comes last, and is older than what the live backup saw.
    let second = export(
        &world,
        "ChatExport_2023-01-01",
        &chat(&[message(1, "kept", ""), message(2, "before", ""), message(3, "gone later", ""), message(6, "of 2023", "")]),
    );
    import(&world, &second, &[]);

    let all = found(&world, &[]);
    let told: Vec<(i64, &str)> = all.iter().map(|(_, id, text)| (*id, text.as_str())).collect();
    let mut sorted = told.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [(1, "kept"), (2, "after"), (3, "gone later"), (4, "live only"), (6, "of 2023")], "each message once");
    let hit = &read(&world, "found", &["search", "gone later"])[0];
    assert!(hit["deleted"].is_string() && hit["name"] == "Bo", "{hit}");
    assert_eq!(found(&world, &["before"]), [], "an earlier version is history, and not found");
    let chats = read(&world, "chat", &["ls", "latest"]);
    assert_eq!((chats.len(), &chats[0]["username"]), (1, &"bo".into()), "the better description stays");
    let stats = read(&world, "chat_stats", &["stats"]);
    assert_eq!((&stats[0]["messages"], &stats[0]["deleted"]), (&5.into(), &1.into()));
    comes_back(&world, &second, "out");
    assert_eq!(read(&world, "summary", &["search"])[0]["found"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chats_of_two_people_are_not_taken_for_one() {
    let world = World::new().await;
    import(&world, &export(&world, "mine", &chat(&[message(1, "mine", "")])), &[]);
    let other = export(&world, "other", &chat(&[message(1, "theirs", "")]).replace("user77", "user88"));
    let ran = run(&world, &["backup", "desktop-export", other.to_str().unwrap()]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("the export belongs to user 88") && ran.err.contains("hint: use --account NAME"), "{}", ran.err);
    import(&world, &other, &["--account", "theirs"]);
    assert_eq!(found(&world, &["theirs", "--source", "telegram:theirs"]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_may_say_late_what_they_are() {
    let world = World::new().await;
    let messages = |id: i64| format!(r#"[{},{}]"#, message(id, "one", ""), message(id + 1, "two", ""));
    let json = format!(
        r#"{{"chats":{{"list":[{{"id":9,"messages":{},"name":"Crew","type":"private_supergroup"}},{{"messages":{},"id":7,"name":"Trio","type":"private_group"}}]}}}}"#,
        messages(1),
        messages(10)
    );
    let folder = export(&world, "sorted", &json);
    import(&world, &folder, &[]);
    let peers: Vec<String> = read(&world, "chat", &["ls", "latest"]).iter().map(|chat| chat["chat"].as_str().unwrap().to_owned()).collect();
    assert_eq!(peers, ["chat7", "channel9"]);
    assert_eq!(found(&world, &["two", "--chat", "crew"]), [("channel9".into(), 2, "two".into())]);
    comes_back(&world, &folder, "out");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_in_any_script() {
    let world = World::new().await;
    let texts = ["Привет, мир", "مرحبا بالعالم", "今日は天気がいい", "see you 🏔️ soon", "ẞtraße und Café", "plain words"];
    let messages: Vec<String> = (1..).zip(texts).map(|(id, text)| message(id, text, "")).collect();
    import(&world, &export(&world, "export", &chat(&messages)), &[]);
    for (words, id) in
        [("ПРИВЕТ", 1), ("بالعالم", 2), ("天気", 3), ("🏔️", 4), ("STRASSE", 5), ("café", 5), ("\"plain words\"", 6), ("plain words", 6)]
    {
        let ids: Vec<i64> = found(&world, &[words]).iter().map(|(_, id, _)| *id).collect();
        assert_eq!(ids, [id], "{words}");
    }
    assert_eq!(found(&world, &["--from", "2020-09-14"]), []);
    assert_eq!(found(&world, &["--till", "2020-09-13T12:28:00Z"]).len(), 1);
    assert_eq!(found(&world, &["--media", "photo"]), []);
    let output = tgvault(&world, &["search", "мир"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Bo (user5)\n  2020-09-13 14:27  #1        Ada: Привет, мир\n"), "{output:?}");
    for (arguments, code, told) in [
        (vec!["search", "x", "--chat", "nobody"], 1, "has no chat called 'nobody'"),
        (vec!["search", "x", "--from", "yesterday"], 2, "is not a date"),
        (vec!["search", "x", "--media", "smell"], 2, "none of photos, videos"),
    ] {
        let output = tgvault(&world, &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_exports_read_nothing_outside_and_end_with_a_word() {
    let world = World::new().await;
    let secret = world.root.path().join("secret.txt");
    fs::write(&secret, "the secret outside").unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = chat(&[message(1, "x", &format!(r#""a":{deep},"#))]);
    let path = |to: &str| chat(&[message(1, "x", &format!(r#""photo":"{to}","#))]);
    let absolute = secret.to_str().unwrap().to_owned();
    let cases: Vec<(&str, Vec<u8>, i32)> = vec![
        ("dots", path("../secret.txt").into(), 0),
        ("absolute", path(&absolute).into(), 0),
        ("link", path("photos/link.jpg").into(), 0),
        ("nul", path("a\\u0000b").into(), 0),
        ("deep", nested.into(), 0),
        ("cut", chat(&[message(1, "x", ""), message(2, "y", "")]).into_bytes()[..250].to_vec(), 3),
        ("bytes", [chat(&[message(1, "x", "")]).into_bytes(), b"\0\0\xff garbage".to_vec()].concat(), 3),
        ("ids", chat(&[message(1, "x", "").replace("\"id\":1", "\"id\":99999999999999999999")]).into(), 3),
        ("no-ids", chat(&["{\"type\":\"message\"}".into(), "7".into(), "null".into()]).into(), 3),
        ("not", b"{\"result\": 1}".to_vec(), 2),
        ("empty", Vec::new(), 2),
        ("nul-file", vec![0; 5000], 2),
    ];
    for (name, json, code) in &cases {
        let folder = world.root.path().join(name);
        write(&folder, "result.json", json);
        if *name == "link" {
            fs::create_dir(folder.join("photos")).unwrap();
            symlink(&secret, folder.join("photos/link.jpg")).unwrap();
        }
        let ran = run(&world, &["backup", "desktop-export", folder.to_str().unwrap(), "--account", name]);
        assert_eq!(ran.code, *code, "{name}: {}{}", ran.out, ran.err);
        if *code == 2 {
            assert!(ran.err.contains("is not a Telegram Desktop export") && ran.err.contains("hint: "), "{name}: {}", ran.err);
            continue;
        }
        let source = format!("telegram:{name}");
        let output = tgvault(&world, &["restore", "latest", "--source", &source, "--as", "original", "--to", &format!("out-{name}")]);
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        assert_eq!(fs::read(world.root.path().join(format!("out-{name}/result.json"))).unwrap(), *json, "{name} is kept as it is");
        // Nothing outside of the folder has become an entry.
        let sizes = read(&world, "entry", &["ls", "latest", "--source", &source]);
        assert!(!sizes.iter().any(|entry| entry["size"] == 18), "{name}: {sizes:?}");
    }
    // A result.json that leads elsewhere is none.
    let folder = world.root.path().join("link-json");
    fs::create_dir(&folder).unwrap();
    symlink(world.root.path().join("dots/result.json"), folder.join("result.json")).unwrap();
    assert_eq!(run(&world, &["backup", "desktop-export", folder.to_str().unwrap()]).code, 2);
    let nowhere = run(&world, &["backup", "desktop-export", "/nowhere/at/all"]);
    assert!(nowhere.code == 1 && nowhere.err.contains("cannot read /nowhere/at/all"), "{}", nowhere.err);
    for arguments in [["--made", "yesterday"], ["--time-zone", "Moon/Base"], ["--chat", "bo"], ["--account", "a/b"]] {
        let ran = run(&world, &[&["backup", "desktop-export", "dots"], &arguments[..]].concat());
        assert_eq!(ran.code, 2, "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_never_noted_goes_on_under_its_own_name() {
    let world = World::new().await;
    let texts: Vec<String> = (1..=2000).map(|id| message(id, &format!("unlike any other: {:?}", noise(id as u64, 24)), "")).collect();
    let folder = export(&world, "export", &chat(&texts));
    let state = world.root.path().join("state").join(world.report.repository.to_string());
    let kept = || -> BTreeMap<PathBuf, Vec<u8>> {
        let folders = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        let imports = folders.filter(|path| path.to_string_lossy().contains("imports-"));
        imports.map(|path| (path.join("imported.age"), fs::read(path.join("imported.age")).unwrap())).collect()
    };
    // As after a kill between the commit and the note of it: a dry run begins an import, and stores nothing.
    assert_eq!(run(&world, &["backup", "desktop-export", "export", "--dry-run"]).code, 0);
    let begun = kept();
    assert_eq!(begun.len(), 1);
    let first = import(&world, &folder, &[]);
    begun.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    let again = import(&world, &folder, &[]);
    let stored = |summary: &Value| summary["stored_bytes"].as_u64().unwrap();
    assert!(stored(&again) < stored(&first) / 20, "{first} {again}");
    let imports = read(&world, "entry", &["ls", "latest", "imports"]);
    assert_eq!(imports.iter().filter(|entry| entry["path"].as_str().unwrap().ends_with("/files.jsonl")).count(), 1, "{imports:?}");
    // Now it is noted: a third run refers to what the first stored.
    assert!(stored(&import(&world, &folder, &[])) < 4_000);
    assert_eq!(read(&world, "summary", &["stats"])[0]["messages"], 2000);
    comes_back(&world, &folder, "out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_of_several_sources_says_so_and_is_restored_whole() {
    let world = World::new().await;
    let anna = export(&world, "anna", &chat(&[message(1, "hello from Anna", "")]));
    let ben = export(&world, "ben", &chat(&[message(2, "hello from Ben", "")]));
    import(&world, &anna, &["--account", "anna"]);
    let plain = world.root.path().join("photos");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("a.txt"), "a photo").unwrap();
    assert_eq!(run(&world, &["backup", plain.to_str().unwrap()]).code, 0);
    import(&world, &ben, &["--account", "ben"]);
    let to = world.root.path().join("restored");
    let restore = |more: &[&str]| {
        let output = tgvault(&world, &[&["restore", "latest", "--to", to.to_str().unwrap()], more].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = restore(&["--format", "json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("of telegram:ben from"), "{out}");
    assert!(err.contains("telegram:anna (") && err.contains("photos (") && err.contains("--all-sources"), "{err}");
    assert!(!err.contains("telegram:ben ("), "{err}");
    let (code, out, err) = restore(&["--all-sources"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let read = |path: &str| fs::read_to_string(to.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(read("telegram-anna/result.json").contains("hello from Anna"));
    assert!(read("telegram-ben/result.json").contains("hello from Ben"));
    let folder = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.join("a.txt").is_file());
    assert!(folder.is_some(), "{out}");
    let (code, _, err) = restore(&["--all-sources", "--source", "telegram:ben"]);
    assert_eq!(code, Some(2), "{err}");
    // Nothing that matches is no success.
    let (code, _, err) = restore(&["--source", "folder", "--include", "*.nothing"]);
    assert_eq!(code, Some(3), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_found_by_what_people_remember_of_their_names() {
    let world = World::new().await;
    import(&world, &export(&world, "export", &chat(&[message(1, "hello", ""), message(2, "bye", "")])), &[]);
    let name = read(&world, "chat", &["ls", "latest", "--chats"])[0]["name"].as_str().unwrap().to_owned();
    let cat = |chat: &str, more: &[&str]| {
        let output = tgvault(&world, &[&["cat", "latest", "--chat", chat], more].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for known in [name.clone(), name.to_uppercase(), format!("\u{1f525} {name}!"), name.chars().take(2).collect()] {
        assert_eq!(cat(&known, &[]).0, Some(0), "{known}");
    }
    let (code, _, err) = cat(&format!("{name}q"), &[]);
    assert!(code == Some(1) && err.contains("did you mean") && err.contains(&name), "{err}");
    let (code, out, err) = cat(&name, &["--message", "2"]);
    assert!(code == Some(0) && out.contains("bye") && !out.contains("hello"), "{out}{err}");
    // The account that has a chat is named, for every command that looks for one.
    let zoe = chat(&[message(1, "hello", "")]).replace("\"name\":\"Bo\"", "\"name\":\"Zoe\"");
    import(&world, &export(&world, "work", &zoe), &["--account", "work"]);
    for arguments in [&["cat", "latest"][..], &["search", "hello"], &["restore", "latest", "--to", "out"], &["ls", "latest"]] {
        let output = tgvault(&world, &[arguments, &["--chat", &name]].concat());
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && err.contains("telegram:main has such a chat: add --source telegram:main"), "{err}");
        let output = tgvault(&world, &[arguments, &["--chat", &name, "--source", "telegram:main"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
