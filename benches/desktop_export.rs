//! How fast messages are rendered to Telegram Desktop's forms and read from them. One chat in memory, one core.
#![allow(missing_docs)]

use std::hint::black_box;
use std::io::{self, Write};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use serde_json::value::RawValue;
use tgvault::model::account::AccountSection;
use tgvault::model::chat::ChatInfo;
use tgvault::model::entry::EntryPath;
use tgvault::model::peer::Peer;
use tgvault::model::record::{MessageRecord, Record};
use tgvault::render::desktop_json::{ChatHead, DesktopJson, Options};
use tgvault::render::html::{ChatPages, Pages};
use tgvault::render::media_names::MediaNamer;
use tgvault::render::search::{FoundLine, Query};
use tgvault::render::shown::Shown;
use tgvault::source::desktop::convert::Files;
use tgvault::source::desktop::read::{Circumstances, Receiver, read_json};

const MESSAGES: i64 = 20_000;

/// Messages of the lengths and kinds that chats have: mostly short texts, some long, some with links, replies, photos.
fn messages() -> Vec<MessageRecord> {
    (1..=MESSAGES)
        .map(|id| {
            let date = 1_600_000_000 + id * 37;
            let words = "the quick brown fox слово 言葉 ";
            let text = words.repeat(usize::try_from(id % 7).unwrap() + usize::from(id % 100 == 0) * 60);
            let text = text.trim_end();
            let from = format!(r#""from":"Person {}","from_id":"user{}""#, id % 5, 100 + id % 5);
            let reply = if id % 6 == 0 { format!(r#""reply_to_message_id":{},"#, id - 1) } else { String::new() };
            let media = if id % 9 == 0 {
                r#""photo":"(File not included. Change data exporting settings to download.)","photo_file_size":81234,"width":1280,"height":960,"#
            } else {
                ""
            };
            let (short, entities) = if id % 8 == 0 {
                (
                    format!(r#"["{text} ",{{"type":"link","text":"https://example.org/{id}"}}]"#),
                    format!(r#"[{{"type":"plain","text":"{text} "}},{{"type":"link","text":"https://example.org/{id}"}}]"#),
                )
            } else if text.is_empty() {
                (r#""""#.to_owned(), "[]".to_owned())
            } else {
                (format!(r#""{text}""#), format!(r#"[{{"type":"plain","text":"{text}"}}]"#))
            };
            let message = format!(
                r#"{{"id":{id},"type":"message","date":"2020-01-01T00:00:00","date_unixtime":"{date}",{from},{reply}{media}"text":{short},"text_entities":{entities}}}"#
            );
            MessageRecord {
                peer: Peer::channel(5),
                id,
                observed: 1_760_000_000,
                run: "r1".parse().unwrap(),
                date: Some(date),
                edited: None,
                message: RawValue::from_string(message).unwrap(),
                extra: None,
                media: Vec::new(),
                raw: None,
            }
        })
        .collect()
}

fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn head() -> ChatHead<'static> {
    ChatHead {
        name: Some("Bench"),
        kind: Some("private_supergroup"),
        id: Some(5),
        left: false,
        more: Default::default(),
        unknown_keys: None,
    }
}

fn json(messages: &[MessageRecord], out: impl Write) {
    let names = MediaNamer::new(zone());
    let mut json = DesktopJson::single_chat(out, head(), Options::new(zone()));
    for record in messages {
        json.message(Shown::plain(record), names.places()).unwrap();
    }
    json.finish().unwrap();
}

struct NoPages;

impl Pages for NoPages {
    type Error = io::Error;

    fn page(&mut self, _: &str, bytes: Vec<u8>) -> io::Result<()> {
        black_box(bytes);
        Ok(())
    }
}

struct NoFiles;

impl Files for NoFiles {
    fn find(&mut self, _: &str) -> Option<(EntryPath, u64)> {
        None
    }
}

/// Writes each record as a line, as an import does.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    bytes: usize,
}

impl Receiver for Lines {
    fn bytes(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        self.buffer.clear();
        Record::Message(record).write_line(&mut self.buffer).map_err(io::Error::other)?;
        self.bytes += self.buffer.len();
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

fn desktop_export(c: &mut Criterion) {
    let messages = messages();
    let mut lines = Vec::new();
    for record in &messages {
        Record::Message(record.clone()).write_line(&mut lines).unwrap();
    }

    let mut group = c.benchmark_group("render");
    group.throughput(Throughput::Elements(MESSAGES.unsigned_abs()));
    group.bench_function(BenchmarkId::new("json", MESSAGES), |b| b.iter(|| json(&messages, io::sink())));
    group.bench_function(BenchmarkId::new("lines to json", MESSAGES), |b| {
        b.iter(|| {
            let names = MediaNamer::new(zone());
            let mut json = DesktopJson::single_chat(io::sink(), head(), Options::new(zone()));
            for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                if let Record::Message(record) = Record::from_line(line).unwrap() {
                    json.message(Shown::plain(&record), names.places()).unwrap();
                }
            }
            json.finish().unwrap();
        });
    });
    group.bench_function(BenchmarkId::new("html", MESSAGES), |b| {
        b.iter(|| {
            let names = MediaNamer::new(zone());
            let mut sink = NoPages;
            let mut pages = ChatPages::new("Bench", "chats/chat_1/", zone(), &mut sink);
            for record in &messages {
                pages.message(Shown::plain(record), names.places()).unwrap();
            }
            pages.finish().unwrap();
        });
    });
    group.finish();

    let mut group = c.benchmark_group("search");
    group.throughput(Throughput::Elements(MESSAGES.unsigned_abs()));
    for (name, words) in [("rare", "zebra"), ("frequent", "fox"), ("Cyrillic", "СЛОВО")] {
        let query = Query::new(words).unwrap();
        group.bench_function(BenchmarkId::new(name, MESSAGES), |b| {
            b.iter(|| {
                let found = lines.split(|&byte| byte == b'\n').filter_map(|line| FoundLine::open(line).ok().flatten());
                black_box(found.filter(|found| query.matches(found)).count())
            })
        });
    }
    group.finish();

    let mut file = Vec::new();
    json(&messages, &mut file);
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function(BenchmarkId::new("json to lines", file.len()), |b| {
        b.iter(|| {
            let circumstances = Circumstances { zone: zone(), observed: 0, run: "r".parse().unwrap() };
            let mut lines = Lines::default();
            black_box(read_json(&file[..], circumstances, &mut NoFiles, &mut lines).unwrap());
            assert!(lines.bytes > file.len());
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = desktop_export
}
criterion_main!(benches);
