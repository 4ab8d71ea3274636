//! Makes a vault with one long chat, to time what reads it: `benches/restore_chats` does both.
//!
//! ```text
//! cargo run --release --example million_messages -- FOLDER [MESSAGES]
//! ```
//!
//! `FOLDER/vault` is the vault, `FOLDER/identity.txt` opens it. The same arguments give the same messages.
#![allow(clippy::print_stdout)]

use std::fs::{self, OpenOptions};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use tgvault::Vault;
use tgvault::crypt::keys;
use tgvault::model::entry::{EntryPath, Kind, Metadata, PathError};
use tgvault::operations::init::InitOptions;
use tgvault::source::{Body, Content, Item, Sink, Source, SourceError, SourceName};

/// Messages in one batch of the log: a bit less than 4 MiB.
const PER_BATCH: u64 = 4000;

/// Every so many messages one has a photo.
const PHOTO_EVERY: u64 = 1000;

/// One line of the log: about 800 bytes, mostly short texts, some long, some with links and replies.
fn line(out: &mut Vec<u8>, id: u64) -> io::Result<()> {
    let date = 1_500_000_000 + id * 37;
    let text =
        "the quick brown fox слово 言葉 ".repeat(1 + usize::try_from(id % 7).unwrap_or(0) + usize::from(id.is_multiple_of(100)) * 40);
    let text = text.trim_end();
    let sender = 100 + id % 5;
    let reply = if id.is_multiple_of(6) { format!(r#""reply_to_message_id":{},"#, id - 1) } else { String::new() };
    let (photo, media) = if id.is_multiple_of(PHOTO_EVERY) {
        let path = photo(id);
        let photo = format!(r#""photo":"{path}","photo_file_size":20000,"width":1280,"height":960,"#);
        (photo, format!(r#","media":[{{"role":"photo","path":"{path}","size":20000,"mime":"image/jpeg","status":"stored"}}]"#))
    } else {
        (String::new(), String::new())
    };
    let (short, entities) = if id.is_multiple_of(8) {
        let link = format!(r#"{{"type":"link","text":"https://example.org/{id}"}}"#);
        (format!(r#"["{text} ",{link}]"#), format!(r#"[{{"type":"plain","text":"{text} "}},{link}]"#))
    } else {
        (format!(r#""{text}""#), format!(r#"[{{"type":"plain","text":"{text}"}}]"#))
    };
    // What the server sent, as a live backup keeps it: it hardly compresses.
    let mut state = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let raw: String = (0..200)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'A' + u8::try_from(state % 26).unwrap_or(0))
        })
        .collect();
    writeln!(
        out,
        r#"{{"v":1,"record":"message","peer":"channel5","id":{id},"observed":1764000000,"run":"r1","date":{date},"message":{{"id":{id},"type":"message","date":"2020-01-01T00:00:00","date_unixtime":"{date}","from":"Person {sender}","from_id":"user{sender}",{reply}{photo}"text":{short},"text_entities":{entities}}},"extra":{{"views":{id}}}{media},"raw":{{"layer":230,"tl":"{raw}"}}}}"#
    )
}

fn photo(id: u64) -> String {
    format!("media/photo/{id}-full.jpg")
}

/// What an entry holds, made whenever it is read.
#[derive(Clone, Copy)]
enum Made {
    Batch { first: u64, last: u64 },
    Photo(u64),
}

impl Made {
    fn bytes(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Batch { first, last } => {
                let mut lines = Vec::new();
                for id in first..=last {
                    line(&mut lines, id)?;
                }
                Ok(lines)
            }
            Self::Photo(id) => Ok(id.to_be_bytes().repeat(2500)),
        }
    }
}

struct Reading(Cursor<Vec<u8>>);

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Body for Reading {}

impl Content for Made {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut cursor = Cursor::new(self.bytes()?);
        cursor.set_position(from);
        Ok(Box::new(Reading(cursor)))
    }
}

struct Fixed(Vec<u8>);

impl Content for Fixed {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut cursor = Cursor::new(self.0.clone());
        cursor.set_position(from);
        Ok(Box::new(Reading(cursor)))
    }
}

struct LongChat(u64);

impl LongChat {
    fn items(&self, sink: &mut dyn Sink) -> io::Result<()> {
        let mut put = |path: String, size: usize, content: Arc<dyn Content>| {
            let path = EntryPath::new(path).map_err(|error: PathError| io::Error::other(error))?;
            let meta = Metadata { mode: 0o600, ..Metadata::default() };
            let item =
                Item { path, kind: Kind::File, meta, size: size as u64, sparse: false, stamp: None, content: Some(content), mark: 0 };
            sink.item(item).map_err(io::Error::other)
        };
        let chat = br#"{"v":1,"peer":"channel5","name":"A long chat","type":"private_supergroup","observed":1,"run":"r1"}"#.to_vec();
        put("chats/channel5/chat.json".into(), chat.len(), Arc::new(Fixed(chat)))?;
        for (number, first) in (1..=self.0).step_by(usize::try_from(PER_BATCH).unwrap_or(1)).enumerate() {
            let made = Made::Batch { first, last: (first + PER_BATCH - 1).min(self.0) };
            put(format!("chats/channel5/r1-{:06}.jsonl", number + 1), made.bytes()?.len(), Arc::new(made))?;
        }
        for id in (1..=self.0 / PHOTO_EVERY).map(|number| number * PHOTO_EVERY) {
            put(photo(id), 20_000, Arc::new(Made::Photo(id)))?;
        }
        Ok(())
    }
}

impl Source for LongChat {
    fn name(&self) -> SourceName {
        SourceName { kind: "telegram".into(), name: "example".into() }
    }

    fn lists_everything(&self) -> bool {
        true
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        self.items(sink).map_err(|source| SourceError::Unreadable { what: "the example's messages".into(), source })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: million_messages FOLDER [MESSAGES]")?);
    let messages = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    fs::create_dir_all(&folder)?;
    let (secret, recipient) = keys::generate();
    let mut identity = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("identity.txt"))?;
    identity.write_all(keys::expose(&secret).as_bytes())?;
    let vault = Vault::open(&folder.join("vault").to_string_lossy(), &folder.join("state"))?;
    vault.init(&InitOptions { recipients: vec![recipient], ..Default::default() }).await?;
    let made = vault.backup(Arc::new(LongChat(messages))).await?;
    println!("{messages} messages, {} MiB of log and media, {} MiB stored", made.counts.bytes >> 20, made.counts.stored_bytes >> 20);
    Ok(())
}
