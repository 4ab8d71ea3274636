//! HTML exports are read for what they tell, and kept for what they are.

use std::io;

use serde_json::Value;
use tgvault::model::account::AccountSection;
use tgvault::model::chat::{ChatInfo, ChatType};
use tgvault::model::entry::EntryPath;
use tgvault::model::media::{MediaKind, MediaStatus, SkipReason, media_path};
use tgvault::model::peer::Peer;
use tgvault::model::record::{MessageRecord, Raw};
use tgvault::render::html::{ChatPages as Render, Pages};
use tgvault::render::media_names::MediaNamer;
use tgvault::render::shown::Shown;
use tgvault::source::desktop::convert::Files;
use tgvault::source::desktop::html::{ChatPages, is_chat_page};
use tgvault::source::desktop::read::{Circumstances, Receiver};

use super::desktop_export::{data, is_path, read, zone};

struct AnyFile;

impl Files for AnyFile {
    fn find(&mut self, path: &str) -> Option<(EntryPath, u64)> {
        is_path(path).then(|| (media_path(MediaKind::Document, path, "full", "").unwrap(), 1))
    }
}

#[derive(Default)]
struct Collected {
    page: Vec<u8>,
    chat: Option<ChatInfo>,
    messages: Vec<MessageRecord>,
    problems: Vec<String>,
}

impl Receiver for Collected {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.page.extend_from_slice(bytes);
        Ok(())
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        let Some(Raw::Html { bytes }) = &record.raw else { panic!("a message without its bytes") };
        self.page.extend_from_slice(bytes);
        self.messages.push(record);
        Ok(())
    }

    fn chat(&mut self, chat: ChatInfo) -> io::Result<()> {
        self.chat = Some(chat);
        Ok(())
    }

    fn section(&mut self, _: AccountSection) -> io::Result<()> {
        panic!("a page has no sections")
    }

    fn problem(&mut self, offset: u64, what: &str) {
        self.problems.push(format!("{offset}: {what}"));
    }
}

fn import(pages: &[&[u8]], folder: &str) -> Collected {
    let circumstances = Circumstances { zone: zone(), observed: 0, run: "r".parse().unwrap() };
    let mut reader = ChatPages::new(circumstances, folder, None, Some(ChatType::PrivateSupergroup));
    let mut collected = Collected::default();
    for page in pages {
        reader.page(page, &mut AnyFile, &mut collected).unwrap();
    }
    assert!(collected.page == pages.concat(), "the pieces are the pages");
    collected
}

#[test]
fn a_page_of_telegram_desktop_is_read() {
    let page = data("desktop-export/messages.html");
    assert!(is_chat_page(&page) && !is_chat_page(b"<html>"));
    let collected = import(&[&page], "");
    assert_eq!(collected.problems, [""; 0]);
    let chat = collected.chat.unwrap();
    assert_eq!(chat.name.as_deref(), Some("Tea & Company"));
    assert!(chat.peer.is_made_up());
    let all: Vec<Value> = collected.messages.iter().map(|m| serde_json::from_str(m.message.get()).unwrap()).collect();
    let ids: Vec<i64> = collected.messages.iter().map(|message| message.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
    // 12 January 2024, 09:05:06 in Central Europe.
    let nine = 1_705_046_706;
    let dates: Vec<Option<i64>> = collected.messages.iter().map(|message| message.date).collect();
    let midnight = 1_705_014_000;
    assert_eq!(dates[..5], [Some(midnight), Some(nine), Some(nine + 54), Some(nine + 3294), Some(nine + 3354)]);

    assert_eq!(all[0]["type"], "service");
    assert!(all[0]["information_text"].as_str().unwrap().starts_with("Ada Byron created group «Tea»"));
    assert_eq!((&all[1]["from"], &all[2]["from"], &all[3]["from"]), (&"Ada Byron".into(), &"Ada Byron".into(), &"Bo".into()));
    assert_eq!(all[3]["via_bot"], "@gif");
    assert_eq!(all[4]["from"], Value::Null);
    assert_eq!(
        all[1]["text_entities"],
        serde_json::json!([
            {"type": "plain", "text": "Hello <all> & "},
            {"type": "bold", "text": "welcome"},
            {"type": "plain", "text": ",\nsee "},
            {"type": "link", "text": "https://e.org/a?b=1&c=2"},
            {"type": "plain", "text": " or "},
            {"type": "text_link", "text": "this page", "href": "https://e.org/x"},
            {"type": "plain", "text": " "},
            {"type": "hashtag", "text": "#tea"},
            {"type": "plain", "text": " "},
            {"type": "mention", "text": "@bo"},
            {"type": "plain", "text": " "},
            {"type": "spoiler", "text": "secret"},
        ])
    );
    assert_eq!(
        all[1]["reactions"],
        serde_json::json!([{"type": "emoji", "count": 1, "emoji": "👍"}, {"type": "emoji", "count": 12, "emoji": "❤"}])
    );
    assert_eq!(all[2]["text"], "a caption");
    let photo = &collected.messages[2].media[0];
    assert_eq!(photo.exported_as.as_deref(), Some("photos/photo_1@12-01-2024_09-06-00.jpg"));
    assert_eq!((&all[3]["media_type"], &all[3]["duration_seconds"]), (&"voice_message".into(), &65.into()));
    assert_eq!(all[3]["reply_to_message_id"], 2);
    assert_eq!((&all[4]["forwarded_from"], &all[4]["text"]), (&"Cy Ek".into(), &"forwarded text".into()));
    assert_eq!(all[4]["duration_seconds"], 3723);
    assert_eq!(collected.messages[4].media[0].status, MediaStatus::Skipped(SkipReason::TooLarge));
    assert!(collected.messages[4].extra.as_ref().unwrap().get().contains(r#""forwarded_date_unixtime":"1704063600""#));
    assert_eq!(
        all[5]["poll"],
        serde_json::json!({"question": "Tea?", "closed": false, "total_voters": 2, "answers": [
            {"text": "yes", "voters": 2, "chosen": true}, {"text": "no", "voters": 0, "chosen": false}]})
    );
    assert_eq!((&all[6]["place_name"], &all[6]["address"], &all[6]["author"]), (&"Harbour".into(), &"Quay 1".into(), &"Ed".into()));
    assert_eq!(all[6]["location_information"], serde_json::json!({"latitude": 59.325, "longitude": 18.07}));
}

#[test]
fn a_phone_call_is_read_as_one() {
    let call = |id: u32, name: &str, class: &str, status: &str| {
        let joined = if name.is_empty() { " joined" } else { "" };
        let name = if name.is_empty() { String::new() } else { format!("<div class=\"from_name\">{name}</div>") };
        format!(
            "<div class=\"message default clearfix{joined}\" id=\"message{id}\"><div class=\"body\"><div class=\"pull_right date details\" title=\"12.01.2024 09:05:0{id} UTC+01:00\">09:05</div>{name}<div class=\"media_wrap clearfix\"><div class=\"media clearfix pull_left {class}\"><div class=\"fill pull_left\"></div><div class=\"body\"><div class=\"title bold\">Ann</div><div class=\"status details\">{status}</div></div></div></div></div></div>"
        )
    };
    let page = [
        call(1, "Ada", "media_call success", "Outgoing (61 seconds)"),
        call(2, "", "media_call", "Cancelled"),
        call(3, "Ann", "media_call", "Declined"),
        call(4, "Deleted Account", "media_call", "Incoming"),
    ]
    .concat();
    let collected = import(&[page.as_bytes()], "");
    let all: Vec<Value> = collected.messages.iter().map(|m| serde_json::from_str(m.message.get()).unwrap()).collect();
    let part = |key: &str| -> Vec<&Value> { all.iter().map(|message| &message[key]).collect() };
    assert_eq!(part("type"), ["service"; 4]);
    assert_eq!(part("action"), ["phone_call"; 4]);
    assert_eq!(part("actor"), [&Value::from("Ada"), &"Ada".into(), &"Ann".into(), &Value::Null]);
    assert_eq!(part("duration_seconds"), [&Value::from(61), &Value::Null, &Value::Null, &Value::Null]);
    assert_eq!(part("discard_reason"), [&Value::Null, &"missed".into(), &"busy".into(), &Value::Null]);
    assert_eq!(collected.messages[0].date, Some(1_705_046_701));
    assert!(collected.messages.iter().all(|message| message.extra.is_none()), "the times are exact");
}

#[test]
fn when_a_forwarded_message_was_sent_is_read_back() {
    let record = MessageRecord {
        peer: Peer::user(5),
        id: 1,
        observed: 0,
        run: "r".parse().unwrap(),
        date: Some(1_705_046_706),
        edited: None,
        message: serde_json::value::RawValue::from_string(r#"{"id":1,"type":"message","from":"A","forwarded_from":"C","text":"x"}"#.into())
            .unwrap(),
        extra: Some(serde_json::value::RawValue::from_string(r#"{"forwarded_date_unixtime":"1704063600"}"#.into()).unwrap()),
        media: Vec::new(),
        raw: None,
    };
    let mut kept = Kept(Vec::new());
    let mut out = Render::new("A chat", "", zone(), &mut kept);
    out.message(Shown::plain(&record), MediaNamer::new(zone()).places()).unwrap();
    out.finish().unwrap();
    let collected = import(&[&kept.0[0]], "");
    let extra = collected.messages[0].extra.as_ref().unwrap().get();
    assert_eq!(extra, r#"{"forwarded_date_unixtime":"1704063600"}"#);
}

struct Kept(Vec<Vec<u8>>);

impl Pages for Kept {
    type Error = io::Error;

    fn page(&mut self, _: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.0.push(bytes);
        Ok(())
    }
}

#[test]
fn pages_of_ours_read_back_what_they_show() {
    let (export, _) = read(&data("sample-export/result.json"));
    for (chat, messages) in &export.chats {
        if messages.is_empty() {
            continue;
        }
        let mut names = MediaNamer::new(zone());
        names.begin_chat("chats/chat_1/");
        let mut kept = Kept(Vec::new());
        let mut out = Render::new("A chat", "chats/chat_1/", zone(), &mut kept);
        for record in messages {
            names.message(record, &mut |_, _, _| Ok(()));
            out.message(Shown::plain(record), names.places()).unwrap();
        }
        out.finish().unwrap();
        let pages: Vec<&[u8]> = kept.0.iter().map(Vec::as_slice).collect();
        let collected = import(&pages, "chats/chat_1/");
        assert_eq!(collected.messages.len(), messages.len(), "{:?}", chat.name);
        for (ours, theirs) in messages.iter().zip(&collected.messages) {
            let (one, other): (Value, Value) =
                (serde_json::from_str(ours.message.get()).unwrap(), serde_json::from_str(theirs.message.get()).unwrap());
            assert_eq!((ours.id, &one["type"]), (theirs.id, &other["type"]));
            if one["type"] == "service" {
                let call = one["action"] == "phone_call";
                for key in ["actor", "action", "duration_seconds"] {
                    assert!(!call || one[key] == other[key], "{key} of {}", ours.id);
                }
                continue;
            }
            assert_eq!(ours.date, theirs.date);
            for key in ["from", "forwarded_from", "reply_to_message_id", "media_type", "author", "place_name"] {
                assert_eq!(one[key], other[key], "{key} of {}", ours.id);
            }
            let text = |message: &Value| -> String {
                let parts = message["text_entities"].as_array().unwrap();
                parts.iter().map(|part| part["text"].as_str().unwrap()).collect::<String>().trim().to_owned()
            };
            assert_eq!(text(&one), text(&other), "text of {}", ours.id);
            let files = |record: &MessageRecord| -> Vec<Option<String>> {
                record.media.iter().filter(|m| m.path.is_some()).map(|m| m.exported_as.clone()).take(1).collect()
            };
            let folder = |path: Vec<Option<String>>| -> Vec<String> {
                path.into_iter().flatten().map(|path| path.splitn(3, '/').nth(2).unwrap().to_owned()).collect()
            };
            assert_eq!(folder(files(ours)), folder(files(theirs)), "files of {}", ours.id);
        }
    }
}

#[test]
fn pages_that_are_none_are_kept() {
    for page in [&b"\xFF\xFE<html>"[..], b"", b"<div class=\"message default\" id=\"message1\">", b"<div class=message id=messageX>"] {
        let collected = import(&[page], "");
        assert_eq!(collected.messages.len(), 0);
    }
    assert_eq!(import(&[b"\xFF"], "").problems.len(), 1);
    assert_ne!(import(&[b""], "").chat.unwrap().peer, Peer::user(0));
}
