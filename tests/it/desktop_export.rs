//! Telegram Desktop's exports: what is read and rendered again is what was there.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use tgvault::model::account::AccountSection;
use tgvault::model::chat::ChatInfo;
use tgvault::model::entry::EntryPath;
use tgvault::model::json;
use tgvault::model::media::Media;
use tgvault::model::media::{MediaKind, MediaStatus, SkipReason, media_path};
use tgvault::model::peer::Peer;
use tgvault::model::record::{MessageRecord, Raw, Record};
use tgvault::render::desktop_json::{About, ChatHead, DesktopJson, Options};
use tgvault::render::media_names::{MediaNamer, chat_folder};
use tgvault::render::shown::Shown;
use tgvault::source::desktop::content::content;
use tgvault::source::desktop::convert::Files;
use tgvault::source::desktop::layout::{LayoutWriter, rebuild};
use tgvault::source::desktop::read::{Circumstances, Receiver, Summary, read_json};

/// Names every file that an export could have after its path, so that equal paths are equal files.
struct AnyFile;

/// Whether this is a path as exports have them.
pub fn is_path(path: &str) -> bool {
    const FOLDERS: [&str; 11] = [
        "photos",
        "video_files",
        "voice_messages",
        "round_video_messages",
        "stickers",
        "animations",
        "files",
        "contacts",
        "profile_pictures",
        "stories",
        "profile_music",
    ];
    path.rsplit_once('/').is_some_and(|(folders, _)| folders.rsplit('/').next().is_some_and(|folder| FOLDERS.contains(&folder)))
}

impl Files for AnyFile {
    fn find(&mut self, path: &str) -> Option<(EntryPath, u64)> {
        is_path(path).then(|| (media_path(MediaKind::Document, path, "full", "").unwrap(), 1))
    }
}

/// All that an export holds.
#[derive(Default)]
pub struct Collected {
    file: Vec<u8>,
    pub chats: Vec<(ChatInfo, Vec<MessageRecord>)>,
    pub sections: Vec<AccountSection>,
    pub problems: Vec<String>,
}

impl Receiver for Collected {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.extend_from_slice(bytes);
        Ok(())
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        let Some(Raw::Json { bytes, .. }) = &record.raw else { panic!("a message without its bytes") };
        self.file.extend_from_slice(bytes);
        // Through the log's form and back, as a backup does.
        let mut line = Vec::new();
        Record::Message(record).write_line(&mut line).unwrap();
        let Record::Message(record) = Record::from_line(&line).unwrap() else { panic!("another kind of record") };
        let (chat, messages) = self.chats.last_mut().unwrap();
        assert_eq!(chat.peer, record.peer);
        messages.push(record);
        Ok(())
    }

    fn chat(&mut self, chat: ChatInfo) -> io::Result<()> {
        match self.chats.last_mut() {
            Some((last, _)) if last.peer == chat.peer => *last = chat,
            _ => self.chats.push((chat, Vec::new())),
        }
        Ok(())
    }

    fn section(&mut self, section: AccountSection) -> io::Result<()> {
        self.sections.push(section);
        Ok(())
    }

    fn problem(&mut self, offset: u64, what: &str) {
        self.problems.push(format!("{offset}: {what}"));
    }
}

pub fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

pub fn read(file: &[u8]) -> (Collected, Summary) {
    let circumstances = Circumstances { zone: zone(), observed: 1_760_000_000, run: "r1".parse().unwrap() };
    let mut collected = Collected::default();
    let summary = read_json(file, circumstances, &mut AnyFile, &mut collected).unwrap();
    assert_eq!(summary.bytes, file.len() as u64);
    assert!(collected.file == file, "glue and messages are the file");
    (collected, summary)
}

fn render(collected: &Collected, about: About, single: bool) -> Vec<u8> {
    let options = Options { about, ..Options::new(zone()) };
    let mut names = MediaNamer::new(zone());
    let mut placed = HashMap::new();
    let mut note = |_: &Media, stored: &EntryPath, place: &str| {
        assert_eq!(placed.insert(place.to_owned(), stored.clone()), None, "two files in one place");
        Ok(())
    };
    if single {
        let (chat, messages) = &collected.chats[0];
        let mut json = DesktopJson::single_chat(Vec::new(), ChatHead::of(chat), options);
        for record in messages {
            names.message(record, &mut note);
            json.message(Shown::plain(record), names.places()).unwrap();
        }
        return json.finish().unwrap();
    }
    let mut json = DesktopJson::account(Vec::new(), options);
    for section in &collected.sections {
        names.section(section, &mut note);
        json.section(section, names.places()).unwrap();
    }
    for (index, (chat, messages)) in collected.chats.iter().enumerate() {
        names.begin_chat(&chat_folder(index + 1, collected.chats.len()));
        json.begin_chat(ChatHead::of(chat)).unwrap();
        for record in messages {
            names.message(record, &mut note);
            json.message(Shown::plain(record), names.places()).unwrap();
        }
    }
    json.finish().unwrap()
}

pub fn data(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The texts that Telegram Desktop put into a file.
fn about_of(file: &[u8]) -> About {
    let value: serde_json::Value = serde_json::from_slice(file).unwrap();
    let text = |value: &serde_json::Value| value["about"].as_str().unwrap_or_default().to_owned();
    About { account: text(&value), chats: text(&value["chats"]), left_chats: text(&value["left_chats"]) }
}

#[track_caller]
fn assert_same_text(rendered: &[u8], original: &[u8]) {
    let (rendered, original) = (String::from_utf8_lossy(rendered), String::from_utf8_lossy(original));
    for (number, (ours, theirs)) in rendered.lines().zip(original.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {}", number + 1);
    }
    assert!(rendered == original, "one is longer: {} and {} bytes", rendered.len(), original.len());
}

#[test]
fn an_export_with_every_key_is_rendered_byte_for_byte() {
    for name in ["desktop-export/account-7.json", "sample-export/result.json"] {
        let file = data(name);
        let (collected, summary) = read(&file);
        assert_eq!(collected.problems, [""; 0]);
        assert!(summary.whole);
        assert_same_text(&render(&collected, about_of(&file), false), &file);
    }
}

#[test]
fn rendered_records_read_back_as_the_same_records() {
    let file = data("desktop-export/account-7.json");
    let (first, _) = read(&file);
    let (second, _) = read(&render(&first, About::default(), false));
    assert_eq!(first.chats.len(), second.chats.len());
    for ((_, ours), (_, theirs)) in first.chats.iter().zip(&second.chats) {
        assert_eq!(ours.len(), theirs.len());
        for (one, other) in ours.iter().zip(theirs) {
            assert_eq!((one.id, one.date, one.edited, &one.media), (other.id, other.date, other.edited, &other.media));
            assert_eq!(one.message.get(), other.message.get());
        }
    }
}

#[test]
fn every_age_is_read() {
    let ages = [
        ("age-1.3.json", "1.3", 4),
        ("age-1.5.json", "1.5", 2),
        ("age-2.4.json", "2.4", 2),
        ("age-2.7.2.json", "2.7.2", 1),
        ("age-4.0.json", "4.0", 1),
        ("age-4.1.json", "4.0", 1),
        ("age-4.15.json", "4.2", 2),
        ("age-6.1.json", "5.11", 2),
        ("account-7.json", "7", 103),
    ];
    for (name, age, messages) in ages {
        let (collected, summary) = read(&data(&format!("desktop-export/{name}")));
        assert_eq!((summary.age.name(), summary.messages, summary.whole), (age, messages, true), "{name}");
        assert_eq!(collected.problems, [""; 0], "{name}");
        for record in collected.chats.iter().flat_map(|(_, messages)| messages) {
            let unsupported = record.message.get().contains(r#""type":"unsupported""#);
            assert!(record.date.is_some() || unsupported, "{name}: {}", record.id);
        }
    }
}

#[test]
fn chats_and_senders_of_old_exports_get_typed_peers() {
    let (collected, _) = read(&data("desktop-export/age-1.3.json"));
    let peers: Vec<Peer> = collected.chats.iter().map(|(chat, _)| chat.peer).collect();
    assert!(peers.iter().all(Peer::is_made_up));
    assert_ne!(peers[0], peers[1], "two chats of the same name");
    let (again, _) = read(&data("desktop-export/age-1.3.json"));
    assert_eq!(again.chats[0].0.peer, peers[0]);
    let messages = &collected.chats[0].1;
    // 1 March 2019, 10:00 in Central Europe.
    assert_eq!((messages[0].date, messages[0].edited), (Some(1_551_430_800), None));
    assert_eq!(messages[1].edited, Some(1_551_430_890));
    assert!(messages[0].extra.as_ref().unwrap().get().contains("assumed_zone"));
    assert_eq!(messages[1].media[0].exported_as.as_deref(), Some("chats/chat_1/photos/photo_1@01-03-2019_10-01-00.jpg"));

    let from = |name: &str, index: usize| {
        let (collected, _) = read(&data(name));
        let message: serde_json::Value = serde_json::from_str(collected.chats[0].1[index].message.get()).unwrap();
        message.get("from_id").or_else(|| message.get("actor_id")).and_then(|id| id.as_str()).map(str::to_owned)
    };
    assert_eq!(from("desktop-export/age-1.5.json", 0).as_deref(), Some("user101"));
    assert_eq!(from("desktop-export/age-1.5.json", 1).as_deref(), Some("user101"));
    assert_eq!(from("desktop-export/age-2.4.json", 0).as_deref(), Some("user101"));
    assert_eq!(from("desktop-export/age-2.4.json", 1).as_deref(), Some("channel55"));
}

#[test]
fn files_with_telegram_desktops_bugs_are_read_and_rendered_valid() {
    let file = data("desktop-export/age-4.15.json");
    assert!(std::str::from_utf8(&file).is_err() && serde_json::from_slice::<serde_json::Value>(&file).is_err());
    let (collected, _) = read(&file);
    let rendered = render(&collected, About::default(), true);
    let value: serde_json::Value = serde_json::from_slice(&rendered).unwrap();
    assert_eq!(value["messages"][0]["text"], "line\u{2028}para");
    assert_eq!(value["messages"][0]["inline_bot_buttons"][0][0]["data"], "\0\u{1f}");
    assert_eq!(value["messages"][1]["text"], "fine \\x41 literally");

    let (collected, _) = read(&data("desktop-export/age-4.1.json"));
    let media = &collected.chats[0].1[0].media;
    assert_eq!(media.len(), 1);
    assert_eq!(media[0].exported_as.as_deref(), Some("stickers/AnimatedSticker (1).tgs"));
    serde_json::from_slice::<serde_json::Value>(&render(&collected, About::default(), true)).unwrap();
}

#[test]
fn what_was_left_out_says_why() {
    let (collected, _) = read(&data("desktop-export/age-6.1.json"));
    let messages = &collected.chats[0].1;
    assert_eq!(messages[0].id, -999_999_990);
    assert_eq!(messages[1].media[0].status, MediaStatus::Skipped(SkipReason::TypeNotChosen));
}

#[test]
fn a_file_that_ends_too_early_gives_what_it_holds() {
    let file = data("desktop-export/broken-cut.json");
    let (collected, summary) = read(&file);
    assert!(!summary.whole);
    assert_eq!(summary.messages, 3);
    assert_eq!(collected.problems.len(), 1, "{:?}", collected.problems);
}

#[test]
fn a_value_that_is_no_message_is_kept_and_told() {
    let file = br#"{"name":"a","type":"bot_chat","id":1,"messages":[{"id":1,"text":""},7,{"id":"x"},{"id":2,"text":oops}],"later":[1]}"#;
    let (collected, summary) = read(file);
    assert_eq!(summary.messages, 1);
    assert_eq!(collected.problems.len(), 3);
    assert_eq!(collected.chats[0].0.unknown_keys.as_ref().unwrap().get(), r#"{"later":[1]}"#);
}

/// Lays an import's file down as spans and puts it together again.
struct Spans {
    layout: LayoutWriter<Vec<u8>>,
    raw: HashMap<(Peer, i64), Vec<u8>>,
}

impl Receiver for Spans {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.layout.bytes(bytes)
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        let Some(Raw::Json { bytes, .. }) = record.raw else { panic!("a message without its bytes") };
        self.layout.message(record.peer, &record.run, record.id, &bytes)?;
        self.raw.entry((record.peer, record.id)).or_insert(bytes);
        Ok(())
    }

    fn chat(&mut self, _: ChatInfo) -> io::Result<()> {
        Ok(())
    }

    fn section(&mut self, _: AccountSection) -> io::Result<()> {
        Ok(())
    }

    fn problem(&mut self, _: u64, _: &str) {}
}

#[test]
fn every_golden_file_is_a_concatenation_of_stored_spans() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("desktop-export")).unwrap().map(|f| f.unwrap().path()).collect();
    files.push(folder().join("sample-export/result.json"));
    assert!(files.len() > 10);
    for path in files {
        let file = fs::read(&path).unwrap();
        let circumstances = Circumstances { zone: zone(), observed: 0, run: "r1".parse().unwrap() };
        let mut spans = Spans { layout: LayoutWriter::new(Vec::new()), raw: HashMap::new() };
        read_json(&file[..], circumstances, &mut AnyFile, &mut spans).unwrap();
        let layout = spans.layout.finish().unwrap();
        let mut rebuilt = Vec::new();
        rebuild(&layout[..], |peer, _, id| spans.raw.get(&(peer, id)).cloned(), &mut rebuilt).unwrap();
        assert!(rebuilt == file, "{}", path.display());
    }
}

#[test]
fn every_word_of_the_form_is_in_a_golden_export() {
    let files = fs::read_dir(folder().join("desktop-export")).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let all: Vec<String> = files.map(|file| String::from_utf8_lossy(&file).into_owned()).collect();
    let words = String::from_utf8(data("desktop-export-words.txt")).unwrap();
    let missing: Vec<&str> = words.lines().filter(|word| !all.iter().any(|file| file.contains(&format!("\"{word}\"")))).collect();
    assert_eq!(missing, [""; 0]);
    assert!(words.lines().count() > 250);
}

#[test]
fn a_grown_export_says_the_same_of_old_messages() {
    let old = String::from_utf8(data("sample-export/result.json")).unwrap();
    // A contact was renamed and one text changed.
    let grown = old.replace("Mara Lindqvist", "Mara L.").replace("Leaving 7:40", "Leaving 7:50");
    let contents = |file: &str| {
        let (collected, _) = read(file.as_bytes());
        let records = collected.chats.into_iter().flat_map(|(_, messages)| messages);
        records
            .map(|record| {
                let mut out = Vec::new();
                content(&record, &mut out);
                (record.peer, record.id, out)
            })
            .collect::<Vec<_>>()
    };
    let (old, new) = (contents(&old), contents(&grown));
    let changed: Vec<i64> = old.iter().zip(&new).filter(|(one, other)| one != other).map(|(one, _)| one.1).collect();
    // 1002 has the new text; the names in a service message's `members` have no ids beside them.
    assert_eq!(changed, [1002, -999_999_999]);
}

mod any {
    use proptest::prelude::*;

    fn string() -> impl Strategy<Value = String> {
        prop_oneof![".*", "[\\x00-\\x1f\"\\\\\u{2028}\u{2029}é😀x]{0,12}"]
    }

    fn quoted() -> impl Strategy<Value = String> {
        string().prop_map(|text| serde_json::to_string(&text).unwrap())
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            quoted(),
            any::<i64>().prop_map(|number| number.to_string()),
            (any::<i32>(), 0u32..999_999).prop_map(|(whole, part)| format!("{whole}.{part:06}")),
            Just("null".to_owned()),
            Just("true".to_owned()),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::vec(("[a-z_]{1,8}", inner), 0..4).prop_map(|all| {
                    let members: Vec<String> = all.into_iter().map(|(key, value)| format!("\"x{key}\":{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    /// A message object with known and unknown keys, on one line.
    pub fn message() -> impl Strategy<Value = (i64, String)> {
        let known = prop_oneof![
            quoted().prop_map(|from| format!("\"from\":{from},\"from_id\":\"user7\"")),
            quoted().prop_map(|name| format!("\"forwarded_from\":{name}")),
            (1..i64::MAX).prop_map(|id| format!("\"reply_to_message_id\":{id}")),
            Just("\"photo\":\"(File unavailable, please try again later)\"".to_owned()),
            ("[a-z]{1,8}", value()).prop_map(|(key, value)| format!("\"x{key}\":{value}")),
        ];
        (any::<i64>(), 0i64..4_000_000_000, prop::collection::vec(known, 0..5), quoted()).prop_map(|(id, date, known, text)| {
            let mut keys =
                vec![format!("\"id\":{id}"), "\"type\":\"message\"".to_owned(), format!("\"date\":\"x\",\"date_unixtime\":\"{date}\"")];
            keys.extend(known);
            keys.push(format!("\"text\":{text},\"text_entities\":[{{\"type\":\"plain\",\"text\":{text}}}]"));
            (id, format!("{{{}}}", keys.join(",")))
        })
    }
}

/// Keys in order with their values, local times apart.
fn facts(message: &str) -> Vec<(String, serde_json::Value)> {
    json::members(message)
        .filter(|(key, _)| *key != "date")
        .map(|(key, value)| (key.to_owned(), serde_json::from_str(value).unwrap()))
        .collect()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    #[test]
    fn any_records_are_rendered_and_read_as_the_same_records(messages in proptest::collection::vec(any::message(), 1..6)) {
        let records = messages.iter().map(|(id, message)| MessageRecord {
            peer: Peer::channel(9),
            id: *id,
            observed: 0,
            run: "r".parse().unwrap(),
            date: json::get(message, "date_unixtime").and_then(json::digits),
            edited: None,
            message: serde_json::value::RawValue::from_string(message.clone()).unwrap(),
            extra: Some(serde_json::value::RawValue::from_string(r#"{"topic_id":4,"views":7}"#.into()).unwrap()),
            media: Vec::new(),
            raw: None,
        });
        let head = ChatHead { name: None, kind: Some("private_channel"), id: Some(9), left: false, more: Default::default(), unknown_keys: None };
        let names = MediaNamer::new(zone());
        let mut out = DesktopJson::single_chat(Vec::new(), head, Options::new(zone()));
        let records: Vec<_> = records.collect();
        for record in &records {
            out.message(Shown::plain(record), names.places()).unwrap();
        }
        let (read, summary) = read(&out.finish().unwrap());
        proptest::prop_assert!(summary.whole && read.problems.is_empty(), "{:?}", read.problems);
        let (chat, theirs) = &read.chats[0];
        proptest::prop_assert_eq!(chat.peer, Peer::channel(9));
        proptest::prop_assert_eq!(theirs.len(), records.len());
        for (one, other) in records.iter().zip(theirs) {
            proptest::prop_assert_eq!((one.id, one.date), (other.id, other.date));
            proptest::prop_assert_eq!(facts(one.message.get()), facts(other.message.get()));
            proptest::prop_assert_eq!(one.extra.as_ref().unwrap().get(), other.extra.as_ref().unwrap().get());
        }
    }
}
