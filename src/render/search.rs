//! Finding messages by words, in any script, while their logs stream by.
//!
//! A word is found anywhere, also inside longer words: scripts without spaces have it no other way. Case does not count. All
//! words of a query must be found in one message. A query is tried on the bytes of a line first, so that nearly all lines are
//! never taken apart.

use memchr::memmem::Finder;
use regex::bytes::{Regex as ByteRegex, RegexBuilder as ByteRegexBuilder};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::json::{self, Shape};
use crate::model::media::MediaRole;
use crate::model::record::{MessageRecord, Record, RecordError, RecordType, VERSION};

/// Keys whose values are not what people wrote.
const NOT_TEXT: [&str; 26] = [
    "id",
    "type",
    "date",
    "date_unixtime",
    "edited",
    "edited_unixtime",
    "from_id",
    "actor_id",
    "forwarded_from_id",
    "photo",
    "file",
    "thumbnail",
    "media_type",
    "mime_type",
    "document_id",
    "contact_vcard",
    "text_entities",
    "action",
    "to_id",
    "dataBase64",
    "language",
    "peer_id",
    "boost_peer_id",
    "reply_to_peer_id",
    "transaction_id",
    "charge_id",
];

/// How deep values are searched.
const MAX_DEPTH: usize = 32;

/// The kinds of media that a search can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaFilter {
    /// Any file.
    Any,
    /// Photos.
    Photo,
    /// Videos, round ones included.
    Video,
    /// Voice messages.
    Voice,
    /// Music.
    Audio,
    /// Stickers.
    Sticker,
    /// Animations.
    Animation,
    /// Other files.
    File,
}

impl MediaFilter {
    fn accepts(self, message: &str) -> bool {
        let kind = json::get(message, "media_type").and_then(json::spelling);
        let has = |key: &str| json::get(message, key).is_some();
        match self {
            Self::Any => has("photo") || has("file"),
            Self::Photo => has("photo"),
            Self::Video => matches!(kind, Some("video_file" | "video_message")),
            Self::Voice => kind == Some("voice_message"),
            Self::Audio => kind == Some("audio_file"),
            Self::Sticker => kind == Some("sticker"),
            Self::Animation => kind == Some("animation"),
            Self::File => has("file") && kind.is_none(),
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query {
    words: Vec<Regex>,
    /// The words as they stand in a line's JSON; those that escapes would change are not here.
    in_line: Vec<ByteRegex>,
    /// Signs of a line whose words may not stand in it in one piece: letters spelt `\uNNNN`, and text with a change of style,
    /// which may fall inside a word.
    hidden: [Finder<'static>; 2],
    /// Only messages sent at this time or later, Unix seconds.
    pub from: Option<i64>,
    /// Only messages sent before this time, Unix seconds.
    pub till: Option<i64>,
    /// Only messages with such media.
    pub media: Option<MediaFilter>,
}

/// The words cannot be searched for.
#[derive(Debug, thiserror::Error)]
#[error("this cannot be searched for; use fewer or shorter words")]
pub struct QueryError(#[from] regex::Error);

impl Query {
    /// A query for all words of `text`; what stands in double quotes is one word, spaces included. Without any word every
    /// message is found.
    ///
    /// # Errors
    /// When the words are longer than can be searched for.
    pub fn new(text: &str) -> Result<Self, QueryError> {
        let hidden = [Finder::new(b"\\u"), Finder::new(b",{\"type\":")];
        let mut query = Self { words: Vec::new(), in_line: Vec::new(), hidden, from: None, till: None, media: None };
        for (index, part) in text.split('"').enumerate() {
            let words: Vec<&str> = if index % 2 == 1 { vec![part] } else { part.split_whitespace().collect() };
            for word in words.into_iter().filter(|word| !word.is_empty()) {
                let pattern = regex::escape(word);
                query.words.push(RegexBuilder::new(&pattern).case_insensitive(true).build()?);
                if !word.chars().any(|c| c.is_control() || matches!(c, '\\' | '/' | '"')) {
                    query.in_line.push(ByteRegexBuilder::new(&pattern).case_insensitive(true).build()?);
                }
            }
        }
        Ok(query)
    }

    /// Whether the message in this line of a log might be found; false is certain.
    pub fn may_match(&self, line: &[u8]) -> bool {
        self.in_line.iter().all(|word| word.is_match(line)) || self.hidden.iter().any(|sign| sign.find(line).is_some())
    }

    /// Whether a message is found.
    pub fn matches(&self, record: &MessageRecord) -> bool {
        let attached = record.media.iter().any(|media| media.role == MediaRole::Attachment);
        self.accepts(record.date, record.message.get(), record.extra.as_deref().map(RawValue::get), attached)
    }

    fn accepts(&self, date: Option<i64>, message: &str, extra: Option<&str>, attached: bool) -> bool {
        let sent = date.unwrap_or(i64::MIN);
        if self.from.is_some_and(|from| sent < from) || self.till.is_some_and(|till| sent >= till) {
            return false;
        }
        let has_media = |filter: MediaFilter| filter.accepts(message) || (filter == MediaFilter::Any && attached);
        if !self.media.is_none_or(has_media) {
            return false;
        }
        if self.words.is_empty() {
            return true;
        }
        let text = text_of(message, extra);
        self.words.iter().all(|word| word.is_match(&text))
    }

    /// The messages of a batch of a log that are found, with the offset of their lines.
    pub fn find<'a>(&'a self, batch: &'a [u8]) -> impl Iterator<Item = Result<(usize, MessageRecord), RecordError>> + 'a {
        let mut at = 0;
        let lines = batch.split_inclusive(|&byte| byte == b'\n').map(move |line| {
            let start = at;
            at += line.len();
            (start, line)
        });
        lines.filter_map(|(start, line)| {
            if line.trim_ascii().is_empty() || !self.may_match(line) {
                return None;
            }
            let seen: Seen<'_> = match serde_json::from_slice(line) {
                Ok(seen) => seen,
                Err(error) => return Some(Err(RecordError::Form(error))),
            };
            let message = match (seen.v, seen.record, seen.message) {
                (v, ..) if v > VERSION => return Some(Err(RecordError::Version(v))),
                (_, RecordType::Message, Some(message)) => message.get(),
                (_, RecordType::Message, None) => return Some(Err(RecordError::Missing("message"))),
                (_, RecordType::Deletion | RecordType::Event, _) => return None,
            };
            let attached = seen.media.is_some_and(|media| media.get().contains("\"attachment\""));
            if !self.accepts(seen.date, message, seen.extra.map(RawValue::get), attached) {
                return None;
            }
            match Record::from_line(line) {
                Ok(Record::Message(record)) => Some(Ok((start, record))),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            }
        })
    }
}

/// What of a line tells whether it is found, without copies.
#[derive(Deserialize)]
struct Seen<'a> {
    v: u32,
    record: RecordType,
    #[serde(default)]
    date: Option<i64>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(default, borrow)]
    extra: Option<&'a RawValue>,
    #[serde(default, borrow)]
    media: Option<&'a RawValue>,
}

/// Everything that people wrote in a message: its text, names of files, songs and places, questions and answers, senders.
/// `message` and `extra` are those of a record.
pub fn text_of(message: &str, extra: Option<&str>) -> String {
    let mut out = String::new();
    collect(&mut out, message, MAX_DEPTH);
    if let Some(extra) = extra {
        for key in ["web_page", "reply_quote"] {
            if let Some(value) = json::get(extra, key) {
                collect(&mut out, value, MAX_DEPTH);
            }
        }
    }
    out
}

fn collect(out: &mut String, value: &str, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match json::shape(value) {
        Shape::Object => {
            for (key, value) in json::members(value).filter(|(key, _)| !NOT_TEXT.contains(key)) {
                if key == "text" {
                    // Parts of one text follow each other without a gap.
                    out.push_str(&super::html::escape::plain(value));
                    out.push('\n');
                } else {
                    collect(out, value, depth);
                }
            }
        }
        Shape::Array => {
            for element in json::elements(value) {
                collect(out, element, depth);
            }
        }
        Shape::String => {
            out.push_str(&json::text(value).unwrap_or_default());
            out.push('\n');
        }
        Shape::Plain => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: i64, message: &str) -> String {
        format!(
            "{{\"v\":1,\"record\":\"message\",\"peer\":\"user1\",\"id\":{id},\"observed\":1,\"run\":\"r\",\"date\":{},\"message\":{message}}}\n",
            id * 100
        )
    }

    fn log() -> String {
        let messages = [
            r#"{"text":"The Quick brown fox"}"#,
            r#"{"text":["quick ",{"type":"bold","text":"BRO"},"wn"]}"#,
            r#"{"text":"Привет, МИР"}"#,
            r#"{"text":"今日はいい天気"}"#,
            r#"{"text":"\u0442\u0435\u0441\u0442 escaped"}"#,
            r#"{"photo":"media/photo/brown-y.jpg","text":""}"#,
            r#"{"file":"(x)","file_name":"Brown paper.pdf","text":"","from":"Fox"}"#,
            r#"{"file":"(x)","media_type":"voice_message","text":"C:\\dir \"q\" a/b"}"#,
        ];
        let mut log: String = (1..).zip(messages).map(|(id, message)| line(id, message)).collect();
        log.push_str("{\"v\":1,\"record\":\"deletion\",\"peer\":\"user1\",\"id\":1,\"observed\":1,\"run\":\"brown\",\"evidence\":{\"by\":\"update\"}}\n");
        log
    }

    fn found(query: &Query) -> Vec<i64> {
        query.find(log().as_bytes()).map(|hit| hit.unwrap().1.id).collect()
    }

    #[test]
    fn words_are_found_in_any_script_and_case() {
        for (words, ids) in [
            ("brown", vec![1, 2, 7]),
            ("BROWN quick", vec![1, 2]),
            ("\"quick brown\"", vec![1, 2]),
            ("\"brown quick\"", vec![]),
            ("мир", vec![3]),
            ("天気", vec![4]),
            ("ТЕСТ", vec![5]),
            ("fox", vec![1, 7]),
            ("c:\\DIR", vec![8]),
            ("a/b", vec![8]),
            (".*", vec![]),
            ("", vec![1, 2, 3, 4, 5, 6, 7, 8]),
        ] {
            assert_eq!(found(&Query::new(words).unwrap()), ids, "{words}");
        }
    }

    #[test]
    fn times_and_media_narrow_a_search() {
        let query = Query { from: Some(200), till: Some(700), ..Query::new("brown").unwrap() };
        assert_eq!(found(&query), [2]);
        for (media, ids) in [
            (MediaFilter::Any, vec![6, 7, 8]),
            (MediaFilter::Photo, vec![6]),
            (MediaFilter::File, vec![7]),
            (MediaFilter::Voice, vec![8]),
            (MediaFilter::Sticker, vec![]),
        ] {
            assert_eq!(found(&Query { media: Some(media), ..Query::new("").unwrap() }), ids, "{media:?}");
        }
    }

    #[test]
    fn lines_that_cannot_be_read_are_told() {
        let query = Query::new("brown").unwrap();
        let hits: Vec<_> = query.find(b"brown\n\n{}\n").collect();
        assert_eq!(hits.len(), 1);
        assert!(hits[0].is_err());
    }
}
