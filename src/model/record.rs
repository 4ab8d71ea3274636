//! The log of a chat: one JSON object a line, append-only.
//!
//! Lines lie in batches of at most [`super::paths::MAX_BATCH_BYTES`] under `chats/<typed peer>/<run id>-<seq>.jsonl`, ascending
//! by message id inside one run where the source can manage it (readers do not rely on it). Version 1 of a line:
//!
//! ```text
//! {"v":1,"record":"message","peer":"channel12","id":55,"observed":1764000000,"run":"…",
//!  "date":1763999000,"edited":1763999500,       Unix seconds, for filters and folding; `edited` only when it was
//!  "message":{…},                               Telegram Desktop's keys in Telegram Desktop's order
//!  "extra":{…},                                 what Telegram Desktop has no key for: [`Extra`]
//!  "media":[…],                                 the files: [`Media`]
//!  "raw":{"layer":230,"tl":"<base64>"}}         or {"age":"6.1","json":"<verbatim>"}, {"html":"<verbatim>"}
//! {"v":1,"record":"deletion","peer":…,"id":55,"observed":…,"run":…,"evidence":{"by":"absence","range":[1,100]}}
//! {"v":1,"record":"event","peer":…,"observed":…,"run":…,"event":{"name":"cleared","up_to":55}}
//! ```
//!
//! An edit is a further message line with the same key; [`super::fold`] says which line counts. Keys that are not known are
//! ignored by readers, a higher `v` is refused.
//!
//! `message` differs from an export's in two points only: media keys hold paths of the backup (see [`Media`]), and a local
//! `date` or `edited` may be in any zone, for rendering writes it anew from its `_unixtime` twin. Ids are the peer's own, never
//! shifted by [`super::peer::MIGRATED_ID_OFFSET`].

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use memchr::memmem::Finder;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::coverage::IdRange;
use super::entry::bytes_as_text;
use super::ids::IdList;
use super::json;
use super::media::Media;
use super::paths::RunId;
use super::peer::Peer;

pub use super::extra::{Dice, Digits, Extra, Quote};

/// The version of the stored forms in this folder.
pub const VERSION: u32 = 1;

/// Says why a line cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The line is not JSON of the form above.
    #[error("a record of a chat's log cannot be read: {}", json::place(.0))]
    Form(serde_json::Error),
    /// The line was written by a later version.
    #[error("a record has version {0}, this program reads up to {VERSION}; a newer tgvault is needed")]
    Version(u32),
    /// A key that this kind of record must have is not there.
    #[error("a record of a chat's log lacks its {0:?}")]
    Missing(&'static str),
}

/// The source's own bytes of a record, kept so that nothing is lost that the rendered keys do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Raw {
    /// A TL object of Telegram's API.
    Tl {
        /// The layer of the schema, for instance 230.
        layer: u32,
        /// The object's bytes, constructor id first.
        bytes: Vec<u8>,
    },
    /// A piece of a Telegram Desktop `result.json`.
    Json {
        /// The age of the export's schema, as the reader detected it (`1.3`, `2.7.2`, `6.1`, …).
        age: String,
        /// The object's bytes as they stand in the file, not always valid UTF-8.
        bytes: Vec<u8>,
    },
    /// A piece of a Telegram Desktop HTML page.
    Html {
        /// The element's bytes as they stand in the file.
        bytes: Vec<u8>,
    },
}

#[derive(Serialize, Deserialize)]
struct RawForm<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    tl: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    age: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<Verbatim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<Verbatim>,
}

#[derive(Serialize, Deserialize)]
struct Verbatim(#[serde(with = "bytes_as_text")] Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = RawForm { layer: None, tl: None, age: None, json: None, html: None };
        match self {
            Self::Tl { layer, bytes } => {
                form.layer = Some(*layer);
                form.tl = Some(BASE64.encode(bytes).into());
            }
            Self::Json { age, bytes } => {
                form.age = Some(age.into());
                form.json = Some(Verbatim(bytes.clone()));
            }
            Self::Html { bytes } => form.html = Some(Verbatim(bytes.clone())),
        }
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match RawForm::deserialize(deserializer)? {
            RawForm { layer: Some(layer), tl: Some(tl), .. } => {
                Ok(Self::Tl { layer, bytes: BASE64.decode(tl.as_bytes()).map_err(Error::custom)? })
            }
            RawForm { age: Some(age), json: Some(json), .. } => Ok(Self::Json { age: age.into_owned(), bytes: json.0 }),
            RawForm { html: Some(html), .. } => Ok(Self::Html { bytes: html.0 }),
            _ => Err(Error::custom("raw bytes are neither layer + tl, age + json, nor html")),
        }
    }
}

/// A message, or its state after an edit.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    /// The chat.
    pub peer: Peer,
    /// The message's id in that chat.
    pub id: i64,
    /// When the source saw it so, Unix seconds. For an import: when the export was made.
    pub observed: i64,
    /// The run that wrote it.
    pub run: RunId,
    /// When it was sent, Unix seconds; `None` where the source does not tell (unsupported messages of exports).
    pub date: Option<i64>,
    /// When it was last edited, Unix seconds.
    pub edited: Option<i64>,
    /// Telegram Desktop's object for it.
    pub message: Box<RawValue>,
    /// An [`Extra`] object, or with further keys.
    pub extra: Option<Box<RawValue>>,
    /// Its files.
    pub media: Vec<Media>,
    /// The source's own bytes.
    pub raw: Option<Raw>,
}

/// How it is known that a message is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Evidence {
    /// Telegram said so in an update.
    Update,
    /// It was absent when a range was read completely.
    Absence {
        /// The range of ids.
        range: IdRange,
    },
}

/// A message is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionRecord {
    /// The chat.
    pub peer: Peer,
    /// The message's id.
    pub id: i64,
    /// When that was found, Unix seconds.
    pub observed: i64,
    /// The run that found it.
    pub run: RunId,
    /// How it is known.
    pub evidence: Evidence,
}

/// Something that happened to a chat as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
#[non_exhaustive]
pub enum ChatEvent {
    /// The account left, or was removed.
    Left,
    /// The account is in it again.
    Joined,
    /// The chat cannot be seen any more.
    Gone {
        /// The server's word.
        reason: String,
    },
    /// Its history was cleared.
    Cleared {
        /// The highest id that went with it; `None` for all that were known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_to: Option<i64>,
    },
    /// Messages destroy themselves after this time from now on; 0 turns it off.
    Ttl {
        /// In seconds.
        seconds: i64,
    },
    /// A basic group became a supergroup.
    MigratedTo {
        /// The supergroup.
        peer: Peer,
    },
}

/// An event of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// The chat.
    pub peer: Peer,
    /// When it was found, Unix seconds.
    pub observed: i64,
    /// The run that found it.
    pub run: RunId,
    /// What happened.
    pub event: ChatEvent,
}

/// A line of `imports/<run>/seen.jsonl`: what an import found again just as `run` had stored it, and did not store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenAgain {
    /// The line's version.
    pub v: u32,
    /// The chat.
    pub peer: Peer,
    /// The run that had stored the messages.
    pub run: RunId,
    /// When the export was made, Unix seconds.
    pub observed: i64,
    /// The messages.
    pub ids: IdList,
}

/// One line of a chat's log.
#[derive(Clone, Debug)]
pub enum Record {
    /// A message or its edit.
    Message(MessageRecord),
    /// A message that is gone.
    Deletion(DeletionRecord),
    /// Something that happened to the chat.
    Event(EventRecord),
}

/// The word in a line's `record` key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordType {
    /// See [`MessageRecord`].
    Message,
    /// See [`DeletionRecord`].
    Deletion,
    /// See [`EventRecord`].
    Event,
}

/// What a fold or a filter needs of a line; the rest is skipped, which is several times faster than reading all of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Head<'a> {
    /// The line's version.
    pub v: u32,
    /// What it is.
    pub record: RecordType,
    /// The chat.
    pub peer: Peer,
    /// The message's id.
    #[serde(default)]
    pub id: Option<i64>,
    /// When it was found, Unix seconds.
    pub observed: i64,
    /// The run that wrote it.
    #[serde(borrow)]
    pub run: Cow<'a, str>,
    /// When the message was sent, Unix seconds.
    #[serde(default)]
    pub date: Option<i64>,
    /// When it was last edited, Unix seconds.
    #[serde(default)]
    pub edited: Option<i64>,
    /// What happened to the chat.
    #[serde(default)]
    pub event: Option<ChatEvent>,
    /// Whether it was read from a page.
    #[serde(skip)]
    pub is_page: bool,
}

/// How a line begins to tell the bytes of a page. Inside of a text its quotes would be escaped.
static OF_PAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"raw\":{\"html\":"));

impl<'a> Head<'a> {
    /// Reads the head of a message's line as this program writes it, up to the message itself, and gives what follows
    /// `"message":`; `None` for any other line. Unlike [`Self::from_line`] it does not see whether the rest is JSON, and is many
    /// times faster.
    pub fn quick(line: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let rest = line.strip_prefix(b"{\"v\":1,\"record\":\"message\",\"peer\":\"")?;
        if line.last() != Some(&b'}') {
            return None;
        }
        let (peer, rest) = until_quote(rest)?;
        let (id, rest) = number(rest.strip_prefix(b",\"id\":")?)?;
        let (observed, rest) = number(rest.strip_prefix(b",\"observed\":")?)?;
        let (run, rest) = until_quote(rest.strip_prefix(b",\"run\":\"")?)?;
        let (date, rest) = match rest.strip_prefix(b",\"date\":") {
            Some(rest) => number(rest).map(|(date, rest)| (Some(date), rest))?,
            None => (None, rest),
        };
        let (edited, rest) = match rest.strip_prefix(b",\"edited\":") {
            Some(rest) => number(rest).map(|(edited, rest)| (Some(edited), rest))?,
            None => (None, rest),
        };
        let rest = rest.strip_prefix(b",\"message\":")?;
        let (record, peer, run) = (RecordType::Message, peer.parse().ok()?, Cow::Borrowed(run));
        let is_page = edited.is_none() && OF_PAGE.find(rest).is_some();
        Some((Self { v: 1, record, peer, id: Some(id), observed, run, date, edited, event: None, is_page }, rest))
    }

    /// Reads the head of one line.
    ///
    /// # Errors
    /// When the line is not a record, or one of a later version.
    pub fn from_line(line: &'a [u8]) -> Result<Self, RecordError> {
        let mut head: Self = serde_json::from_slice(line).map_err(RecordError::Form)?;
        head.is_page = head.edited.is_none() && OF_PAGE.find(line).is_some();
        check_version(head.v)?;
        if head.record != RecordType::Event && head.id.is_none() {
            return Err(RecordError::Missing("id"));
        }
        Ok(head)
    }
}

/// The text up to the next quote, if there is no escape in it, and what follows the quote.
fn until_quote(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let at = bytes.iter().take(128).position(|&byte| byte == b'"')?;
    let text = std::str::from_utf8(bytes.get(..at)?).ok().filter(|text| !text.contains('\\'))?;
    Some((text, bytes.get(at + 1..)?))
}

/// The integer at the beginning, and what follows it.
fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let at = bytes.iter().take(24).position(|byte| !byte.is_ascii_digit() && *byte != b'-')?;
    let digits = std::str::from_utf8(bytes.get(..at)?).ok()?;
    Some((digits.parse().ok()?, bytes.get(at..)?))
}

#[derive(Deserialize)]
struct Line {
    v: u32,
    record: RecordType,
    peer: Peer,
    id: Option<i64>,
    observed: i64,
    run: RunId,
    date: Option<i64>,
    edited: Option<i64>,
    message: Option<Box<RawValue>>,
    extra: Option<Box<RawValue>>,
    #[serde(default)]
    media: Vec<Media>,
    raw: Option<Raw>,
    evidence: Option<Evidence>,
    event: Option<ChatEvent>,
}

#[derive(Serialize)]
struct LineRef<'a> {
    v: u32,
    record: RecordType,
    peer: Peer,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    observed: i64,
    run: &'a RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    media: &'a [Media],
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'a Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a ChatEvent>,
}

fn check_version(version: u32) -> Result<(), RecordError> {
    if version > VERSION { Err(RecordError::Version(version)) } else { Ok(()) }
}

/// Inside JSON a line break is white space between tokens only, so a space can take its place.
fn on_one_line(raw: &RawValue) -> Result<Cow<'_, RawValue>, RecordError> {
    if memchr::memchr2(b'\n', b'\r', raw.get().as_bytes()).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    RawValue::from_string(raw.get().replace(['\n', '\r'], " ")).map(Cow::Owned).map_err(RecordError::Form)
}

impl Record {
    /// The chat.
    pub fn peer(&self) -> Peer {
        match self {
            Self::Message(record) => record.peer,
            Self::Deletion(record) => record.peer,
            Self::Event(record) => record.peer,
        }
    }

    /// Appends the line, its end included, to `out`.
    ///
    /// # Errors
    /// When the record cannot be written as JSON.
    pub fn write_line(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let (record, peer, id, observed, run) = match self {
            Self::Message(m) => (RecordType::Message, m.peer, Some(m.id), m.observed, &m.run),
            Self::Deletion(d) => (RecordType::Deletion, d.peer, Some(d.id), d.observed, &d.run),
            Self::Event(e) => (RecordType::Event, e.peer, None, e.observed, &e.run),
        };
        let mut line = LineRef {
            v: VERSION,
            record,
            peer,
            id,
            observed,
            run,
            date: None,
            edited: None,
            message: None,
            extra: None,
            media: &[],
            raw: None,
            evidence: None,
            event: None,
        };
        match self {
            Self::Message(message) => {
                line.date = message.date;
                line.edited = message.edited;
                line.message = Some(on_one_line(&message.message)?);
                line.extra = message.extra.as_deref().map(on_one_line).transpose()?;
                line.media = &message.media;
                line.raw = message.raw.as_ref();
            }
            Self::Deletion(deletion) => line.evidence = Some(&deletion.evidence),
            Self::Event(event) => line.event = Some(&event.event),
        }
        let start = out.len();
        if let Err(error) = serde_json::to_writer(&mut *out, &line) {
            out.truncate(start);
            return Err(RecordError::Form(error));
        }
        out.push(b'\n');
        Ok(())
    }

    /// Reads one line, with or without its end.
    ///
    /// # Errors
    /// When the line is not a record, or one of a later version.
    pub fn from_line(line: &[u8]) -> Result<Self, RecordError> {
        let line: Line = serde_json::from_slice(line).map_err(RecordError::Form)?;
        check_version(line.v)?;
        let Line { peer, observed, run, .. } = line;
        let id = || line.id.ok_or(RecordError::Missing("id"));
        Ok(match line.record {
            RecordType::Message => Self::Message(MessageRecord {
                peer,
                id: id()?,
                observed,
                run,
                date: line.date,
                edited: line.edited,
                message: line.message.ok_or(RecordError::Missing("message"))?,
                extra: line.extra,
                media: line.media,
                raw: line.raw,
            }),
            RecordType::Deletion => Self::Deletion(DeletionRecord {
                peer,
                id: id()?,
                observed,
                run,
                evidence: line.evidence.ok_or(RecordError::Missing("evidence"))?,
            }),
            RecordType::Event => Self::Event(EventRecord { peer, observed, run, event: line.event.ok_or(RecordError::Missing("event"))? }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(line: &str) -> Record {
        let record = Record::from_line(line.as_bytes()).unwrap();
        let mut out = Vec::new();
        record.write_line(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\n"));
        record
    }

    #[test]
    fn lines_are_written_as_they_were_read() {
        round(
            r#"{"v":1,"record":"message","peer":"channel12","id":55,"observed":1764000000,"run":"r1","date":1763999000,"edited":1763999500,"message":{"id":55,"type":"message","text":"a","text":"","rating":0.500000},"extra":{"topic_id":4,"grouped_id":"13947361234567890"},"media":[{"role":"photo","path":"media/photo/77-y.jpg","status":"stored"}],"raw":{"layer":230,"tl":"AAEC/w=="}}"#,
        );
        round(
            r#"{"v":1,"record":"message","peer":"user1","id":5,"observed":1,"run":"r","message":{},"raw":{"age":"1.3","json":{"base64":"/w=="}}}"#,
        );
        round(r#"{"v":1,"record":"deletion","peer":"user1","id":5,"observed":9,"run":"r","evidence":{"by":"absence","range":[1,100]}}"#);
        round(r#"{"v":1,"record":"deletion","peer":"user1","id":5,"observed":9,"run":"r","evidence":{"by":"update"}}"#);
        round(r#"{"v":1,"record":"event","peer":"user1","observed":9,"run":"r","event":{"name":"cleared","up_to":55}}"#);
        round(r#"{"v":1,"record":"event","peer":"user1","observed":9,"run":"r","event":{"name":"left"}}"#);
    }

    #[test]
    fn quick_heads_are_those_of_whole_lines() {
        let lines = [
            r#"{"v":1,"record":"message","peer":"channel12","id":-55,"observed":1764000000,"run":"r1","date":1763999000,"edited":1763999500,"message":{"id":55}}"#,
            r#"{"v":1,"record":"message","peer":"user1","id":5,"observed":1,"run":"r","message":{}}"#,
            r#"{"v":1,"record":"message","peer":"user1","id":5,"observed":1,"run":"r","date":7,"message":{},"raw":{"html":"x"}}"#,
        ];
        for line in lines {
            let ((quick, _), whole) = (Head::quick(line.as_bytes()).unwrap(), Head::from_line(line.as_bytes()).unwrap());
            assert_eq!(format!("{quick:?}"), format!("{whole:?}"));
        }
        for other in [
            r#"{"v":1,"record":"deletion","peer":"user1","id":5,"observed":9,"run":"r","evidence":{"by":"update"}}"#,
            r#"{"v":1,"record":"message","peer":"user1","id":5,"observed":1,"run":"r\"","message":{}}"#,
            r#"{"v":1,"record":"message","peer":"user1","id":5,"observed":1,"run":"r","message":{},"x":[1"#,
            r#"{"v":1,"record":"message","peer":"user1","id":5.5,"observed":1,"run":"r","message":{}}"#,
            r#"{"v":2,"record":"message","peer":"user1","id":5,"observed":1,"run":"r","message":{}}"#,
        ] {
            assert!(Head::quick(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_message_on_many_lines_becomes_one_line() {
        let record = Record::Message(MessageRecord {
            peer: Peer::user(1),
            id: 5,
            observed: 1,
            run: "r".parse().unwrap(),
            date: None,
            edited: None,
            message: RawValue::from_string("{\n \"id\": 5,\r\n \"text\": \"a\\nb\"\n}".into()).unwrap(),
            extra: None,
            media: vec![],
            raw: Some(Raw::Html { bytes: b"<div>\n</div>".to_vec() }),
        });
        let mut out = Vec::new();
        record.write_line(&mut out).unwrap();
        assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let Record::Message(read) = Record::from_line(&out).unwrap() else { panic!("a message was written") };
        assert_eq!(read.message.get().replace(' ', ""), r#"{"id":5,"text":"a\nb"}"#);
        assert_eq!(read.raw, Some(Raw::Html { bytes: b"<div>\n</div>".to_vec() }));
    }

    #[test]
    fn later_versions_and_broken_lines_are_refused() {
        let later = r#"{"v":2,"record":"message","peer":"user1","id":5,"observed":1,"run":"r","message":{}}"#;
        assert!(matches!(Record::from_line(later.as_bytes()), Err(RecordError::Version(2))));
        assert!(matches!(Head::from_line(later.as_bytes()), Err(RecordError::Version(2))));
        for (line, lacks) in [
            (r#"{"v":1,"record":"message","peer":"user1","observed":1,"run":"r","message":{}}"#, "id"),
            (r#"{"v":1,"record":"message","peer":"user1","id":1,"observed":1,"run":"r"}"#, "message"),
            (r#"{"v":1,"record":"deletion","peer":"user1","id":1,"observed":1,"run":"r"}"#, "evidence"),
            (r#"{"v":1,"record":"event","peer":"user1","observed":1,"run":"r"}"#, "event"),
        ] {
            assert!(matches!(Record::from_line(line.as_bytes()), Err(RecordError::Missing(key)) if key == lacks), "{line}");
        }
        assert!(matches!(Record::from_line(b"{\"v\":1"), Err(RecordError::Form(_))));
    }
}
