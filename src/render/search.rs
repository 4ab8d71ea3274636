//! Finding messages by words, in any script, while their logs stream by.
//!
//! A word is found anywhere, also inside longer words: scripts without spaces have it no other way. Neither case counts nor how
//! a letter was typed (see [`letters`](super::letters)). All words of a query must be found in one message. A query is tried on a
//! message's JSON first, so that nearly all messages are never taken apart.

use memchr::memmem::Finder;
use regex::bytes::{Regex as ByteRegex, RegexBuilder as ByteRegexBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::letters::{Disguises, folded};
use crate::model::json::{self, Shape};
use crate::model::kinds::{FileKind, KindChoice};
use crate::model::record::{Head, RecordError, RecordType, VERSION};

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

/// A message's line of a log, opened as far as a search needs it, without copies.
#[derive(Clone, Copy, Debug)]
pub struct FoundLine<'a> {
    /// The message's id.
    pub id: i64,
    /// When it was sent, Unix seconds.
    pub date: Option<i64>,
    /// When it was edited, Unix seconds.
    pub edited: Option<i64>,
    /// Telegram Desktop's object for it.
    pub message: &'a str,
    /// What Telegram Desktop has no key for.
    pub extra: Option<&'a str>,
    /// Its files.
    pub media: Option<&'a str>,
    /// Whether it was read from a page.
    pub is_page: bool,
}

#[derive(Deserialize)]
struct Slow<'a> {
    v: u32,
    record: RecordType,
    #[serde(default)]
    id: Option<i64>,
    #[serde(default)]
    date: Option<i64>,
    #[serde(default)]
    edited: Option<i64>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(default, borrow)]
    extra: Option<&'a RawValue>,
    #[serde(default, borrow)]
    media: Option<&'a RawValue>,
    #[serde(default, borrow)]
    raw: Option<&'a RawValue>,
}

impl<'a> FoundLine<'a> {
    /// Opens a line; `None` for one that is no message.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub fn open(line: &'a [u8]) -> Result<Option<Self>, RecordError> {
        match Self::quick(line) {
            Some(found) => Ok(Some(found)),
            None => Self::slow(line),
        }
    }

    /// A line as this program writes it: the keys in their order, no space between them.
    fn quick(line: &'a [u8]) -> Option<Self> {
        let (head, rest) = Head::quick(line)?;
        let (message, mut rest) = json::split_first(std::str::from_utf8(rest).ok()?)?;
        let (mut extra, mut media) = (None, None);
        for (key, value) in [(",\"extra\":", &mut extra), (",\"media\":", &mut media)] {
            if let Some(after) = rest.strip_prefix(key) {
                let (first, after) = json::split_first(after)?;
                (*value, rest) = (Some(first), after);
            }
        }
        let ends = rest == "}" || rest.starts_with(",\"raw\":{");
        let is_object = message.starts_with('{') && message.ends_with('}');
        let is_page = rest.starts_with(",\"raw\":{\"html\":");
        (ends && is_object).then_some(Self { id: head.id?, date: head.date, edited: head.edited, message, extra, media, is_page })
    }

    fn slow(line: &'a [u8]) -> Result<Option<Self>, RecordError> {
        let Slow { v, record, id, date, edited, message, extra, media, raw } = serde_json::from_slice(line).map_err(RecordError::Form)?;
        if v > VERSION {
            return Err(RecordError::Version(v));
        }
        if record != RecordType::Message {
            return Ok(None);
        }
        let message = message.ok_or(RecordError::Missing("message"))?.get();
        let id = id.ok_or(RecordError::Missing("id"))?;
        let is_page = raw.is_some_and(|raw| json::get(raw.get(), "html").is_some());
        Ok(Some(Self { id, date, edited, message, extra: extra.map(RawValue::get), media: media.map(RawValue::get), is_page }))
    }
}

/// One word, or several in quotes.
#[derive(Clone, Debug)]
struct Word {
    /// In its folded form.
    folded: Finder<'static>,
    /// As it stands in JSON, in any case; none where escapes may stand in it.
    spelt: Option<ByteRegex>,
    /// The letters of other spellings.
    disguises: Disguises,
}

impl Word {
    fn new(word: &str) -> Result<Option<Self>, QueryError> {
        let folded = folded(word);
        if folded.is_empty() {
            return Ok(None);
        }
        let escaped = folded.chars().any(|c| c.is_control() || matches!(c, '\\' | '/' | '"'));
        let spelt = if escaped { None } else { Some(ByteRegexBuilder::new(&regex::escape(&folded)).case_insensitive(true).build()?) };
        let (disguises, folded) = (Disguises::of(&folded), Finder::new(&folded).into_owned());
        Ok(Some(Self { folded, spelt, disguises }))
    }

    /// Whether it might stand in a piece of JSON; false is certain where letters are not spelt `\uNNNN` and texts are in one piece.
    fn may_be_in(&self, json: &str) -> bool {
        let Some(spelt) = &self.spelt else { return true };
        spelt.is_match(json.as_bytes()) || self.disguises.are_in(json)
    }
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query {
    words: Vec<Word>,
    /// Signs of a message whose words may not stand in it in one piece: letters spelt `\uNNNN`, and text with a change of style,
    /// which may fall inside a word.
    hidden: [Finder<'static>; 2],
    /// Only messages sent at this time or later, Unix seconds.
    pub from: Option<i64>,
    /// Only messages sent before this time, Unix seconds.
    pub till: Option<i64>,
    /// Only messages with one of these kinds of media; any message when empty.
    pub media: Vec<KindChoice>,
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
        let mut query = Self { words: Vec::new(), hidden, from: None, till: None, media: Vec::new() };
        for (index, part) in text.split('"').enumerate() {
            let words: Vec<&str> = if index % 2 == 1 { vec![part] } else { part.split_whitespace().collect() };
            for word in words {
                query.words.extend(Word::new(word)?);
            }
        }
        Ok(query)
    }

    /// Whether the message in this line of a log might be found; false is certain, and told without opening the line.
    pub fn may_match(&self, line: &[u8]) -> bool {
        // Without other letters there are no other spellings.
        !line.is_ascii()
            || self.words.iter().all(|word| word.spelt.as_ref().is_none_or(|spelt| spelt.is_match(line)))
            || self.hidden.iter().any(|sign| sign.find(line).is_some())
    }

    /// Whether a message that was sent at this time is wanted.
    pub fn takes_time(&self, sent: Option<i64>) -> bool {
        let sent = sent.unwrap_or(i64::MIN);
        self.from.is_none_or(|from| sent >= from) && self.till.is_none_or(|till| sent < till)
    }

    /// Whether a message is found, by the time that its line tells: of a page that may be a guess, so it is looked at again by
    /// [`Self::takes_time`] with what other versions know.
    pub fn matches(&self, found: &FoundLine<'_>) -> bool {
        if !(found.is_page || self.takes_time(found.date)) {
            return false;
        }
        if !self.media.is_empty() {
            // What a web page shows has no key in the message.
            let attached = || found.media.is_some_and(|media| media.contains("\"attachment\"")).then_some(FileKind::File);
            let kind = FileKind::of_message(found.message);
            let has = |choice: &KindChoice| match choice {
                KindChoice::Any => kind.or_else(attached).is_some(),
                KindChoice::None => kind.or_else(attached).is_none(),
                choice => kind.is_some_and(|kind| choice.takes(kind)),
            };
            if !self.media.iter().any(has) {
                return false;
            }
        }
        if self.words.is_empty() {
            return true;
        }
        // Nearly all messages are never taken apart.
        let pieces = || std::iter::once(found.message).chain(found.extra);
        let may_be = |word: &Word| pieces().any(|piece| word.may_be_in(piece));
        let is_hidden = || pieces().any(|piece| self.hidden.iter().any(|sign| sign.find(piece.as_bytes()).is_some()));
        if !self.words.iter().all(may_be) && !is_hidden() {
            return false;
        }
        let text = folded(&text_of(found.message, found.extra));
        self.words.iter().all(|word| word.folded.find(text.as_bytes()).is_some())
    }
}

/// Everything that people wrote in a message: its text, names of files, songs and places, questions and answers, senders.
/// `message` and `extra` are those of a record.
pub fn text_of(message: &str, extra: Option<&str>) -> String {
    let mut out = String::with_capacity(message.len() / 2);
    collect(&mut out, message, MAX_DEPTH);
    if let Some(extra) = extra {
        for (key, value) in json::members(extra) {
            if matches!(key, "web_page" | "reply_quote") {
                collect(&mut out, value, MAX_DEPTH);
            }
        }
    }
    out
}

/// As [`plain`](super::html::escape::plain), without strings in between.
fn add_plain(out: &mut String, value: &str) {
    match json::shape(value) {
        Shape::Array => json::elements(value).for_each(|element| add_plain(out, element)),
        Shape::Object => json::get(value, "text").into_iter().for_each(|text| add_plain(out, text)),
        _ => out.push_str(&json::text(value).unwrap_or_default()),
    }
}

fn collect(out: &mut String, value: &str, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match json::shape(value) {
        Shape::Object => {
            for (key, value) in json::members(value).filter(|(key, _)| !NOT_TEXT.contains(key)) {
                if key == "text" {
                    // Parts of one text follow each other without a gap.
                    add_plain(out, value);
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
        let log = log();
        let opened = log.lines().filter_map(|line| FoundLine::open(line.as_bytes()).unwrap());
        let found: Vec<i64> = opened.filter(|found| query.matches(found)).map(|found| found.id).collect();
        let passed =
            log.lines().filter(|line| query.may_match(line.as_bytes())).filter_map(|line| FoundLine::open(line.as_bytes()).unwrap());
        assert_eq!(passed.filter(|passed| query.matches(passed)).count(), found.len());
        found
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
            (vec![KindChoice::Any], vec![6, 7, 8]),
            (vec![KindChoice::Photos], vec![6]),
            (vec![KindChoice::Files], vec![7]),
            (vec![KindChoice::VoiceMessages, KindChoice::Photos], vec![6, 8]),
            (vec![KindChoice::Stickers], vec![]),
            (vec![KindChoice::None], vec![1, 2, 3, 4, 5]),
        ] {
            assert_eq!(found(&Query { media: media.clone(), ..Query::new("").unwrap() }), ids, "{media:?}");
        }
    }

    #[test]
    fn words_are_found_however_they_were_typed() {
        for (word, text) in [
            ("café", "Im CAFE\u{301} um acht"),
            ("cafe\u{301}", "Café"),
            ("strasse", "Goethestraße 5"),
            ("STRAẞE", "strassenbahn"),
            ("file", "the ﬁle"),
            ("tokyo", "ＴＯＫＹＯ 2020"),
            ("ガス", "ｶﾞｽ代"),
            ("istanbul", "İstanbul'da"),
            ("ISI", "ısı"),
            ("ΟΔΟΣ", "η οδος μου"),
            ("天気", "今日は天気がいい"),
            ("น้ำ", "ดื่มน\u{e49}\u{e4d}\u{e32}เย็น"),
            ("محمد", "قال مُحَمَّد"),
            ("مُحَمَّد", "محمد"),
            ("שלום", "שָׁלוֹם לך"),
            ("reservation", "re\u{AD}serva\u{200B}tion"),
            ("ёж", "е\u{308}ж"),
            ("한국", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{116E}\u{11A8}어"),
        ] {
            let query = Query::new(word).unwrap();
            let line = line(1, &serde_json::json!({ "text": text }).to_string());
            let opened = FoundLine::open(line.trim_end().as_bytes()).unwrap().unwrap();
            assert!(query.matches(&opened), "{word} in {text}");
        }
        for (word, text) in [("cafe", "café"), ("и", "й"), ("oe", "ö")] {
            let line = line(1, &serde_json::json!({ "text": text }).to_string());
            let opened = FoundLine::open(line.trim_end().as_bytes()).unwrap().unwrap();
            assert!(!Query::new(word).unwrap().matches(&opened), "{word} in {text}");
        }
    }

    #[test]
    fn lines_are_opened_alike_however_they_are_written() {
        let quick = br#"{"v":1,"record":"message","peer":"user1","id":7,"observed":1,"run":"r","date":5,"edited":6,"message":{"a":"}"},"extra":{"b":1},"media":[2],"raw":{"html":"x"}}"#;
        let slow = br#"{ "v":1,"record":"message","peer":"user1","id":7,"observed":1,"run":"r","date":5,"edited":6,"message":{"a":"}"},"raw":{"html":"x"},"extra":{"b":1},"media":[2],"new":3}"#;
        assert!(FoundLine::quick(quick).is_some() && FoundLine::quick(slow).is_none());
        let told = |line: &[u8]| format!("{:?}", FoundLine::open(line).unwrap().unwrap());
        assert_eq!(told(quick), told(slow));
        assert!(FoundLine::open(br#"{"v":1,"record":"deletion","peer":"user1","id":7,"observed":1,"run":"r"}"#).unwrap().is_none());
    }

    #[test]
    fn lines_that_cannot_be_read_are_told() {
        for bad in ["brown", "{}", r#"{"v":2,"record":"message","id":1,"message":{}}"#, r#"{"v":1,"record":"message","id":1}"#] {
            assert!(FoundLine::open(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
