//! What the targets of imports need: a receiver that keeps everything, and what is rendered of it.

use std::io;

use tgvault::model::account::AccountSection;
use tgvault::model::chat::ChatInfo;
use tgvault::model::entry::EntryPath;
use tgvault::model::record::{MessageRecord, Raw};
use tgvault::render::desktop_json::{ChatHead, DesktopJson, Options, Shown};
use tgvault::render::html::{ChatPages, Pages};
use tgvault::render::media_names::Places;
use tgvault::source::desktop::convert::Files;
use tgvault::source::desktop::read::{Circumstances, Receiver};

/// What is known of an export from outside: the same for each input.
pub fn circumstances() -> Circumstances {
    Circumstances { zone: jiff::tz::TimeZone::UTC, observed: 1_700_000_000, run: "r1".parse().expect("a run id") }
}

/// An export without files.
pub struct NoFiles;

impl Files for NoFiles {
    fn find(&mut self, _: &str) -> Option<(EntryPath, u64)> {
        None
    }
}

/// Keeps the file as it was handed out, and its messages.
#[derive(Default)]
pub struct Everything {
    /// The pieces, one after the other.
    pub file: Vec<u8>,
    /// The records.
    pub messages: Vec<MessageRecord>,
}

impl Receiver for Everything {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.extend_from_slice(bytes);
        Ok(())
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        if let Some(Raw::Json { bytes, .. } | Raw::Html { bytes }) = &record.raw {
            self.file.extend_from_slice(bytes);
        }
        self.messages.push(record);
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

struct NoPages;

impl Pages for NoPages {
    fn page(&mut self, _: &str, _: Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

/// Renders the messages as one chat: the JSON is valid, and none of its files leads out of the folder.
pub fn render(messages: &[MessageRecord]) {
    let zone = jiff::tz::TimeZone::UTC;
    let head = ChatHead { name: None, kind: Some("private_group"), id: Some(1), left: false, more: Default::default(), unknown_keys: None };
    let mut json = DesktopJson::single_chat(Vec::new(), head, Options::new(zone.clone()));
    let mut no_pages = NoPages;
    let mut pages = ChatPages::new("x", "", zone, &mut no_pages);
    for message in messages {
        json.message(Shown::plain(message), &Places::default()).expect("nothing fails in memory");
        pages.message(Shown::plain(message), &Places::default()).expect("nothing fails in memory");
    }
    pages.finish().expect("nothing fails in memory");
    let json = String::from_utf8(json.finish().expect("nothing fails in memory")).expect("what is rendered is UTF-8");
    match serde_json::from_str::<serde_json::Value>(&json) {
        Ok(value) => {
            for message in value["messages"].as_array().expect("a chat has messages") {
                for key in ["photo", "file", "thumbnail", "contact_vcard"] {
                    let path = message.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
                    assert!(path.is_empty() || path.starts_with('('), "{key} names a file that is not there: {path:?}");
                }
            }
        }
        // Numbers without bounds and nesting without end are JSON nevertheless.
        Err(error) => assert!(error.to_string().contains("recursion") || error.to_string().contains("number out of range") || error.to_string().contains("surrogate") || error.to_string().contains("hex escape"), "{error}"),
    }
}
