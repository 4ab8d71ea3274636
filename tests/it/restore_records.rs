//! What a restore makes of records that no export would give: edits, deletions, groups that moved, and hostile ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use serde_json::{Value, json};
use tgvault::model::entry::{EntryPath, Kind, Metadata};
use tgvault::source::{Body, Content, Item, Sink, Source, SourceError, SourceName};

use crate::chats::{data, import};
use crate::desktop_html::check_written;
use crate::restore_as::{files, known, restored, tgvault};
use crate::support::{World, noise};

/// An account whose entries are written here.
#[derive(Default)]
struct Handmade(BTreeMap<String, Vec<u8>>);

struct Bytes(Vec<u8>);
struct Reading(Cursor<Vec<u8>>);

impl Content for Bytes {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut cursor = Cursor::new(self.0.clone());
        cursor.set_position(from);
        Ok(Box::new(Reading(cursor)))
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Body for Reading {}

impl Source for Handmade {
    fn name(&self) -> SourceName {
        SourceName { kind: "telegram".into(), name: "account".into() }
    }

    fn lists_everything(&self) -> bool {
        true
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        for (path, bytes) in &self.0 {
            sink.item(Item {
                path: EntryPath::new(path.as_str()).unwrap(),
                kind: Kind::File,
                meta: Metadata { mode: 0o600, ..Metadata::default() },
                size: bytes.len() as u64,
                sparse: false,
                stamp: None,
                content: Some(Arc::new(Bytes(bytes.clone()))),
                mark: 0,
            })?;
        }
        Ok(())
    }
}

impl Handmade {
    fn chat(&mut self, peer: &str, name: &str, kind: &str, more: Value) {
        let mut chat = json!({"v": 1, "peer": peer, "name": name, "type": kind, "observed": 1, "run": "r1"});
        chat.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.0.insert(format!("chats/{peer}/chat.json"), chat.to_string().into_bytes());
    }

    fn batch(&mut self, peer: &str, run: &str, lines: &[String]) {
        self.0.insert(format!("chats/{peer}/{run}-000001.jsonl"), (lines.join("\n") + "\n").into_bytes());
    }

    async fn backup(self, world: &World) {
        let session = world.session(&world.storage, None);
        world.backup_in(&session, Arc::new(self)).await.unwrap();
    }
}

/// The moment that dates of these messages count from: 2026-02-01 12:00:00 UTC.
const NOON: i64 = 1_769_947_200;

fn message(peer: &str, id: i64, observed: i64, edited: Option<i64>, text: &str) -> String {
    let date = NOON + id * 60;
    let entities = json!([{"type": "plain", "text": text}]);
    let mut inner = json!({"id": id, "type": "message", "date": "", "date_unixtime": date.to_string(), "from": "Ada", "from_id": "user2"});
    let members = inner.as_object_mut().unwrap();
    if let Some(edited) = edited {
        members.insert("edited".into(), "".into());
        members.insert("edited_unixtime".into(), edited.to_string().into());
    }
    members.insert("text".into(), text.into());
    members.insert("text_entities".into(), entities);
    let mut line =
        json!({"v": 1, "record": "message", "peer": peer, "id": id, "observed": observed, "run": "r1", "date": date, "message": inner});
    if let Some(edited) = edited {
        line.as_object_mut().unwrap().insert("edited".into(), edited.into());
    }
    line.to_string()
}

fn deletion(peer: &str, id: i64, observed: i64) -> String {
    json!({"v": 1, "record": "deletion", "peer": peer, "id": id, "observed": observed, "run": "r2", "evidence": {"by": "update"}})
        .to_string()
}

fn result(world: &World, to: &str, arguments: &[&str]) -> Value {
    serde_json::from_slice(&fs::read(restored(world, to, arguments).join("result.json")).unwrap()).unwrap()
}

/// Ids and texts of the messages of a single chat.
fn texts(chat: &Value) -> Vec<(i64, String)> {
    let messages = chat["messages"].as_array().unwrap();
    messages.iter().map(|message| (message["id"].as_i64().unwrap(), message["text"].as_str().unwrap_or("?").to_owned())).collect()
}

fn said(ids: &[(i64, &str)]) -> Vec<(i64, String)> {
    ids.iter().map(|(id, text)| (*id, (*text).to_owned())).collect()
}

const DAY: i64 = 24 * 60 * 60;

async fn edited_world() -> World {
    let world = World::new().await;
    let mut account = Handmade::default();
    account.chat("user2", "Ada", "personal_chat", json!({"username": "ada"}));
    account.batch("user2", "r1", &[message("user2", 1, NOON + 100, None, "hello"), message("user2", 2, NOON + 200, None, "gone")]);
    let later = NOON + 10 * DAY;
    account.batch("user2", "r2", &[message("user2", 1, later, Some(later - 50), "hello again"), deletion("user2", 2, later)]);
    account.batch("user2", "r3", &[message("user2", 3, later + DAY, None, "last")]);
    account.backup(&world).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_has_a_past() {
    let world = edited_world().await;
    // What is gone from Telegram is restored all the same, and marked.
    let now = result(&world, "now", &[]);
    assert_eq!(texts(&now), said(&[(1, "hello again"), (2, "gone"), (3, "last")]));
    assert_eq!(now["messages"][1]["deleted_unixtime"], (NOON + 10 * DAY).to_string());
    assert!(now["messages"][0].get("history").is_none());
    let page = fs::read_to_string(world.root.path().join("now/messages.html")).unwrap();
    assert!(page.contains("clearfix joined deleted") || page.contains("clearfix deleted"), "{page}");

    let history = result(&world, "history", &["--history"]);
    assert_eq!(history["messages"][0]["history"][0]["text"], "hello");
    let page = fs::read_to_string(world.root.path().join("history/messages.html")).unwrap();
    assert!(page.contains("hello again") && page.contains(">hello<"), "{page}");

    assert_eq!(texts(&result(&world, "then", &["--at", "2026-02-05"])), said(&[(1, "hello"), (2, "gone"), (3, "last")]));
    assert_eq!(texts(&result(&world, "later", &["--at", "2026-02-11T13:00"])), said(&[(1, "hello again"), (3, "last")]));
    let at = result(&world, "both", &["--at", "2026-02-11T13:00", "--history"]);
    assert_eq!(texts(&at), said(&[(1, "hello again"), (2, "gone"), (3, "last")]));
    assert_eq!(
        texts(&result(&world, "from", &["--chat", "@ADA", "--from", "2026-02-01T13:02", "--till", "2026-02-01T13:02:59"])),
        said(&[(2, "gone")])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_that_an_import_told_is_shown_like_any_other() {
    let world = edited_world().await;
    let export = restored(&world, "export", &["--history"]);
    let copy = World::new().await;
    import(&copy, &export, "r1", &known()).await;
    let page = |arguments: &[&str], to: &str| {
        let json = result(&copy, to, arguments);
        let page = fs::read_to_string(copy.root.path().join(to).join("messages.html")).unwrap();
        assert_eq!(json["messages"][0]["history"][0]["text"], "hello");
        assert!(page.contains("Earlier versions: 1") && page.contains(">hello<") && page.contains("found missing"), "{page}");
        page
    };
    // As in result.json, with and without asking for what this backup itself has seen.
    assert_eq!(page(&[], "plain"), page(&["--history"], "history"));
    let printed = |arguments: &[&str]| {
        let output = tgvault(&copy, &[&["cat", "latest", "--chat", "Ada"], arguments].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(printed(&["--history"]).contains("(before: hello)") && !printed(&[]).contains("(before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_printed() {
    let world = edited_world().await;
    let print = |arguments: &[&str]| {
        let output = tgvault(&world, &[&["cat", "latest", "--chat", "Ada"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = print(&[]);
    assert!(all.contains("--- 1 February 2026 ---") && all.contains("13:01  Ada  #1\n       hello again\n"), "{all}");
    assert!(all.contains("(deleted; found missing") && !all.contains("(before"), "{all}");
    let last = print(&["--last", "1"]);
    assert!(last.contains("last") && !last.contains("gone"), "{last}");
    assert!(print(&["--history"]).contains("(before: hello)"));
    assert!(!print(&["--at", "2026-02-05"]).contains("again"));
    let lines = print(&["--json", "--history"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["message"]["text"], &lines[0]["earlier"][0]["message"]["text"]), (&"hello again".into(), &"hello".into()));
    assert_eq!((&lines[1]["deleted"], &lines[1]["chat"]), (&(NOON + 10 * DAY).into(), &"user2".into()));

    let output = tgvault(&world, &["cat", "latest", "--chat", "Bob"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("has no chat called 'Bob'") && error.contains("hint: "), "{error}");
    for arguments in [&["cat", "latest"][..], &["cat", "latest", "x", "--chat", "Ada"], &["cat", "latest", "x", "--from", "2026-01-01"]] {
        assert_eq!(tgvault(&world, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_moved_is_one_chat() {
    let world = World::new().await;
    let mut account = Handmade::default();
    account.chat("chat5", "Hikers", "private_group", json!({"migrated_to": "channel6"}));
    account.chat("channel6", "Hikers", "private_supergroup", json!({"migrated_from": "chat5"}));
    account.batch("chat5", "r1", &[message("chat5", 10, 1, None, "old"), message("chat5", 11, 1, None, "older")]);
    account.batch("channel6", "r1", &[message("channel6", 2, 1, None, "new")]);
    account.backup(&world).await;
    let chat = result(&world, "out", &["--chat", "hikers"]);
    assert_eq!(texts(&chat), said(&[(-999_999_990, "old"), (-999_999_989, "older"), (2, "new")]));
    let alone = result(&world, "alone", &["--chat", "chat5", "--format", "json"]);
    assert_eq!(texts(&alone), said(&[(10, "old"), (11, "older")]));
    let printed = String::from_utf8(tgvault(&world, &["cat", "latest", "--chat", "Hikers"]).stdout).unwrap();
    assert!(printed.contains("#-999999990") && printed.contains("#2"), "{printed}");
    // Also where only the group knows of the other, and only the other is named.
    let half = World::new().await;
    let mut account = Handmade::default();
    account.chat("chat5", "Hikers", "private_group", json!({"migrated_to": "channel6"}));
    account.chat("channel6", "Hikers", "private_supergroup", json!({}));
    account.batch("chat5", "r1", &[message("chat5", 10, 1, None, "old")]);
    account.batch("channel6", "r1", &[message("channel6", 2, 1, None, "new")]);
    account.backup(&half).await;
    assert_eq!(texts(&result(&half, "out", &["--chat", "channel6"])), said(&[(-999_999_990, "old"), (2, "new")]));
    // What is found, counted and listed is the same one chat.
    let said = |arguments: &[&str]| {
        let output = tgvault(&world, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let found = said(&["search", "old"]);
    assert_eq!(found.matches("Hikers").count(), 1, "{found}");
    assert!(found.contains("#-999999990") && found.contains("--chat channel6 --message -999999990"), "{found}");
    assert!(found.contains("in 1 chat"), "{found}");
    let shown = said(&["cat", "latest", "--chat", "channel6", "--message", "-999999990"]);
    assert!(shown.contains("old") && !shown.contains("older"), "{shown}");
    // By a name that only one of them has, too.
    assert!(said(&["search", "old", "--chat", "channel6"]).contains("#-999999990"));
    assert!(said(&["search", "old", "--chat", "chat5"]).contains("#10 "));
    let json = said(&["--json", "search", "old"]);
    let line: Value = serde_json::from_str(json.lines().find(|line| line.contains("\"found\"")).unwrap()).unwrap();
    assert_eq!((&line["chat"], &line["id"]), (&json!("channel6"), &json!(-999_999_990)), "{json}");
    let stats = said(&["stats"]);
    assert!(stats.contains("3 messages in 1 chat") && stats.matches("Hikers").count() == 1, "{stats}");
    let listed = said(&["ls", "latest", "--chats"]);
    assert!(listed.lines().filter(|line| line.contains("Hikers")).count() == 1 && listed.contains("before: chat5"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_two_claim_is_shown_in_one_and_counted_there() {
    for named in [json!({}), json!({"migrated_to": "channel7"})] {
        let world = World::new().await;
        let mut account = Handmade::default();
        let owner = if named == json!({}) { "channel6" } else { "channel7" };
        account.chat("chat5", "Hikers", "private_group", named);
        account.batch("chat5", "r1", &[message("chat5", 10, 1, None, "old")]);
        for (peer, name) in [("channel6", "Hikers"), ("channel7", "Climbers")] {
            account.chat(peer, name, "private_supergroup", json!({"migrated_from": "chat5"}));
            account.batch(peer, "r1", &[message(peer, 2, 1, None, "new")]);
        }
        account.backup(&world).await;
        for peer in ["channel6", "channel7"] {
            let shown = String::from_utf8(tgvault(&world, &["cat", "latest", "--chat", peer]).stdout).unwrap();
            assert!(shown.contains("new") && shown.contains("old") == (peer == owner), "{owner}, {peer}: {shown}");
        }
        let found = String::from_utf8(tgvault(&world, &["search", "old"]).stdout).unwrap();
        assert!(found.contains(&format!("({owner})")) && found.contains("#-999999990"), "{owner}: {found}");
        let stats = String::from_utf8(tgvault(&world, &["stats", "--json"]).stdout).unwrap();
        assert!(stats.contains("\"messages\":3"), "{stats}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_chats_is_an_account() {
    let world = World::new().await;
    let mut account = Handmade::default();
    let value = json!({"user_id": 2, "first_name": "Ada", "last_name": "", "phone_number": "+44 7400 000000"});
    let section = json!({"v": 1, "section": "personal_information", "observed": 1, "run": "r1", "value": value});
    account.0.insert("account/personal_information.json".into(), section.to_string().into_bytes());
    account.backup(&world).await;
    let made = files(&restored(&world, "out", &[]));
    let json: Value = serde_json::from_slice(&made["result.json"]).unwrap();
    assert_eq!(json["personal_information"]["first_name"], "Ada");
    check_written(&made);
}

#[tokio::test(flavor = "multi_thread")]
async fn media_that_are_missing_get_a_placeholder_and_are_told() {
    let world = World::new().await;
    let mut account = Handmade::default();
    account.chat("user2", "Ada", "personal_chat", json!({}));
    let mut lines = Vec::new();
    for (id, stored) in [(1, "media/photo/1-full.jpg"), (2, "media/photo/2-full.jpg")] {
        let mut line: Value = serde_json::from_str(&message("user2", id, 1, None, "look")).unwrap();
        line["message"]["photo"] = stored.into();
        line["media"] = json!([{"role": "photo", "path": stored, "status": "stored"}]);
        lines.push(line.to_string());
    }
    account.batch("user2", "r1", &lines);
    account.0.insert("media/photo/1-full.jpg".into(), b"a photo".to_vec());
    account.backup(&world).await;
    let output = tgvault(&world, &["restore", "latest", "--to", "out"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("media/photo/2-full.jpg") && error.contains("a placeholder stands for it"), "{error}");
    let made = files(&world.root.path().join("out"));
    let json: Value = serde_json::from_slice(&made["result.json"]).unwrap();
    assert_eq!(json["messages"][0]["photo"], "photos/photo_1@01-02-2026_13-01-00.jpg");
    assert_eq!(json["messages"][1]["photo"], "(File unavailable, please try again later)");
    assert!(made["photos/photo_1@01-02-2026_13-01-00.jpg"] == b"a photo");
    check_written(&made);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_records_write_nothing_outside_and_end_nothing() {
    let world = World::new().await;
    let mut account = Handmade::default();
    account.chat("user2", "../../../etc/\u{1b}[31m<script>alert(1)</script>", "personal_chat", json!({"full_name": "\u{202E}\0"}));
    account.chat("user3", "Mallory", "no_such_type", json!({}));
    account.chat("channel6", "x", "private_supergroup", json!({"migrated_from": "channel6", "migrated_to": "channel6"}));
    let mut lines = Vec::new();
    let names = ["../../../../escaped.txt", "/etc/escaped.txt", "..", "a\0b", "C:\\escaped", "\u{1b}[2J", "", "CON", "x\ny/../z"];
    for (id, name) in names.iter().enumerate() {
        let stored = format!("media/document/{id}-full.bin");
        let mut line: Value = serde_json::from_str(&message("user2", id as i64 + 1, 1, None, "<img src=x onerror=alert(1)>")).unwrap();
        line["message"]["file"] = stored.as_str().into();
        line["message"]["file_name"] = (*name).into();
        line["media"] = json!([{"role": "file", "path": stored, "name": name, "exported_as": name, "status": "stored"}]);
        lines.push(line.to_string());
        account.0.insert(stored, format!("content {id}").into_bytes());
    }
    // Paths that are none, and keys that point anywhere.
    let mut line: Value = serde_json::from_str(&message("user2", 50, 1, None, "?")).unwrap();
    line["message"]["photo"] = "../../escaped.jpg".into();
    line["message"]["text_entities"] = json!([{"type": "text_link", "text": "x", "href": "javascript:alert(1)"}, 5, null, {"type": 7}]);
    line["message"]["reply_to_message_id"] = i64::MIN.into();
    lines.push(line.to_string());
    let nested = format!("{}{}", "[".repeat(120), "]".repeat(120));
    lines.push(format!(r#"{{"v":1,"record":"message","peer":"user2","id":60,"observed":1,"run":"r1","message":{{"id":60,"poll":{nested},"text":{nested}}}}}"#));
    lines.push(r#"{"v":1,"record":"message","peer":"user2","id":9223372036854775807,"observed":1,"run":"r1","date":9223372036854775807,"message":[]}"#.into());
    lines.push(r#"{"v":1,"record":"message","peer":"user2","id":-9223372036854775808,"observed":1,"run":"r1","date":-9223372036854775808,"message":7}"#.into());
    let good = lines.len();
    lines.push(r#"{"v":2,"record":"message","peer":"user2","id":1,"observed":1,"run":"r1","message":{}}"#.into());
    lines.push(r#"{"v":1,"record":"message","peer":"../x","id":1,"observed":1,"run":"r1","message":{}}"#.into());
    lines.push(r#"{"v":1,"record":"message","peer":"user2","id":70,"observed":1,"run":"r1"}"#.into());
    lines.push("{\"v\":1,".into());
    lines.push("\u{FEFF}\u{0}not a record".into());
    account.batch("user2", "r1", &lines);
    account.0.insert("chats/user2/r2-000001.jsonl".into(), noise(1, 100_000));
    account.0.insert("chats/user2/r3-000001.jsonl".into(), Vec::new());
    account.0.insert("chats/user4/chat.json".into(), b"{\"v\":1,\"peer\":\"user5\"".to_vec());
    account.0.insert("account/contacts.json".into(), b"[]".to_vec());
    account.0.insert(
        "account/stories.json".into(),
        br#"{"v":1,"section":"contacts","observed":1,"run":"r1","value":[[],5,{"photo":"../x"}]}"#.to_vec(),
    );
    account.backup(&world).await;

    let before: Vec<String> = files(world.root.path()).into_keys().filter(|path| !path.starts_with("reader/")).collect();
    for (to, arguments) in [
        ("plain", &["--as", "telegram-desktop"][..]),
        ("history", &["--history"]),
        ("raw", &["--as", "raw"]),
        ("at", &["--at", "2026-02-01"]),
    ] {
        let output = tgvault(&world, &[&["restore", "latest", "--to", &format!("deep/{to}/in")], arguments].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        assert!(code == Some(3), "{to}: {code:?} {error}");
        assert!(!error.contains("panicked") && !error.contains('\u{1b}'), "{error}");
    }
    let output = tgvault(&world, &["cat", "latest", "--chat", "user2"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(3) && printed.contains("onerror=alert(1)") && !printed.contains('\u{1b}'), "{printed}");

    let after = files(world.root.path());
    let made = |folder: &str| -> BTreeMap<String, Vec<u8>> {
        let inside = after.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(folder)?.to_owned(), bytes.clone())));
        inside.collect()
    };
    let outside: Vec<&String> = after.keys().filter(|path| !path.starts_with("deep/") && !path.starts_with("reader/")).collect();
    assert_eq!(
        outside,
        before.iter().chain(["identity.txt".to_owned()].iter()).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    let plain = made("deep/plain/in/");
    assert!(
        plain.len() + made("deep/history/in/").len() + made("deep/raw/in/").len() + made("deep/at/in/").len()
            == after.keys().filter(|path| path.starts_with("deep/")).count()
    );
    check_written(&plain);
    let json: Value = serde_json::from_slice(&plain["result.json"]).unwrap();
    let chat = json["chats"]["list"].as_array().unwrap().iter().find(|chat| chat["id"] == 2).unwrap().clone();
    assert_eq!(chat["messages"].as_array().unwrap().len(), good);
    let stored: Vec<&Vec<u8>> = plain.iter().filter(|(path, _)| path.contains("/files/")).map(|(_, bytes)| bytes).collect();
    assert_eq!(stored.len(), names.len());
    let page = String::from_utf8(plain.iter().find(|(path, _)| path.ends_with("messages.html")).unwrap().1.clone()).unwrap();
    assert!(!page.contains("<img src=x") && !page.contains("<script>alert") && !page.contains("javascript:"), "markup");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_costs_its_own_messages_and_is_told() {
    let world = World::new().await;
    let mut account = Handmade::default();
    account.chat("user2", "Ada", "personal_chat", json!({}));
    account.batch("user2", "r1", &[message("user2", 1, 1, None, "sound")]);
    let mut grown = Handmade(account.0.clone());
    account.backup(&world).await;
    let before = world.archives();
    grown.chat("user3", "Bo", "personal_chat", json!({}));
    // Text that does not compress: the batch takes many chunks of its archive.
    let text: String = noise(3, 3_000_000).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    let lines = [message("user3", 1, 1, None, &text), message("user3", 2, 1, None, "lost, too")];
    grown.batch("user3", "r2", &lines);
    grown.batch("user2", "r2", &[message("user2", 2, 1, None, "sound, too")]);
    grown.backup(&world).await;
    let new: Vec<String> = world.archives().into_iter().filter(|name| !before.contains(name)).collect();
    let archive =
        new.iter().map(|name| world.root.path().join("vault").join(name)).max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();

    let output = tgvault(&world, &["restore", "latest", "--to", "out"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(15), "{error}");
    assert!(error.contains("chats/user3/r2-000001.jsonl") && error.contains("the messages in it are lost"), "{error}");
    let made: Value = serde_json::from_slice(&fs::read(world.root.path().join("out/result.json")).unwrap()).unwrap();
    let list = made["chats"]["list"].as_array().unwrap();
    let ada = list.iter().find(|chat| chat["id"] == 2).unwrap();
    assert_eq!(texts(ada)[0], (1, "sound".into()));
    let bo = list.iter().find(|chat| chat["id"] == 3).unwrap();
    assert_eq!(texts(bo), []);
    check_written(&files(&world.root.path().join("out")));
    let output = tgvault(&world, &["cat", "latest", "--chat", "user3"]);
    assert_eq!(output.status.code(), Some(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_can_be_taken_in_again() {
    let world = edited_world().await;
    let out = restored(&world, "out", &["--history"]);
    let first: Value = serde_json::from_slice(&fs::read(out.join("result.json")).unwrap()).unwrap();
    let other = World::new().await;
    import(&other, &out, "r1", &known()).await;
    let second = result(&other, "again", &["--as", "telegram-desktop"]);
    assert_eq!(texts(&second), texts(&first));
    // And byte for byte, pages included.
    assert!(files(&restored(&other, "original", &["--as", "original"])) == files(&out));

    // An account of every kind of message stays what it is, however often it goes round.
    let world = World::new().await;
    import(&world, &data("sample-export"), "r1", &known()).await;
    let first = restored(&world, "out", &[]);
    let other = World::new().await;
    import(&other, &first, "r1", &known()).await;
    let second = restored(&other, "out", &[]);
    assert!(files(&second) == files(&first));
}
