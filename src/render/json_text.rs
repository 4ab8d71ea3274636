//! JSON in Telegram Desktop's hand: one space a level, one element a line, floats with six decimals, non-ASCII as it is.
//!
//! Unlike Telegram Desktop's own, the output is always valid JSON and UTF-8: control characters are `\u00NN`, and U+2028 and
//! U+2029 leave no stray bytes behind.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;

use jiff::tz::TimeZone;

use crate::model::json::{self, Shape};
use crate::model::media::may_name_file;
use crate::model::time;

/// Deeper values than this are written on one line as they are, so that hostile nesting cannot exhaust the stack.
const MAX_DEPTH: usize = 100;

/// Keys with a local time, each next to a `…_unixtime` twin.
const TIMES: [&str; 5] = ["date", "edited", "expires", "last_active", "created"];

/// Keys whose value may be the path of a file.
const FILES: [&str; 6] = ["photo", "file", "thumbnail", "contact_vcard", "document_id", "media"];

/// What stands in the place of a file that is not there, by where it is named.
const NO_FILE: &str = "(File unavailable, please try again later)";
const NO_PICTURE: &str = "(Photo unavailable, please try again later)";
const NO_EMOJI: &str = "(unavailable)";

/// Keys of a message that name another message of the same chat.
const SAME_CHAT_IDS: [&str; 5] = ["id", "message_id", "game_message_id", "invoice_message_id", "giveaway_msg_id"];

/// What an object is, which says which of its keys name files of the export.
///
/// A file that an import named and did not have is in no place of the output: Telegram Desktop's words stand for it there, so that
/// no path leads nowhere or out of the folder. The record keeps what the import said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A message, or an earlier version of one.
    Message,
    /// Something inside of a message.
    Part,
    /// A list of pictures or stories of the account.
    Pictures,
    /// Anything else, written as it is.
    Other,
    /// The same with every number as a float: data of the account that belongs to no other section.
    Floats,
}

impl Of {
    /// The words for a file that has no place, unless `path` is something else than the path of one.
    fn instead(self, key: &str, path: &str) -> Option<&'static str> {
        if path.is_empty() || is_words(path) {
            return None;
        }
        match (self, key) {
            (Self::Other | Self::Floats, _) => None,
            // In polls and gifts this is Telegram's number of the emoji.
            (_, "document_id") => path.bytes().any(|byte| !byte.is_ascii_digit()).then_some(NO_EMOJI),
            (Self::Message, "photo" | "file" | "thumbnail" | "contact_vcard") => Some(NO_FILE),
            (Self::Pictures, "photo" | "media") => Some(NO_PICTURE),
            _ => leads_out(path).then_some(NO_FILE),
        }
    }

    /// What the values in it are.
    fn inside(self) -> Self {
        if self == Self::Message { Self::Part } else { self }
    }
}

/// Whether these are words in the place of a path.
fn is_words(path: &str) -> bool {
    path.starts_with('(') && path.ends_with(')') && !path.contains(['/', '\\']) && !path.contains(char::is_control)
}

/// Whether some system takes this for a path that leads out of the folder that it is relative to.
fn leads_out(path: &str) -> bool {
    let is_drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    is_drive || path.starts_with('/') || path.contains('\\') || path.contains(char::is_control) || path.split('/').any(|part| part == "..")
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct At {
    level: usize,
    of: Of,
    /// How much deeper it may go.
    depth: usize,
    /// Whether a text may be the path of a file.
    is_path: bool,
}

impl At {
    fn new(level: usize, of: Of) -> Self {
        Self { level, of, depth: MAX_DEPTH, is_path: false }
    }
}

/// A key as it is spelt, and the value's text.
type Member<'a> = (Cow<'a, str>, &'a str);

/// The members of an object. Letters of a key that are escaped for no reason are not: who escapes them hides what the key is.
fn members(object: &str) -> Vec<Member<'_>> {
    let plain = |key| -> Option<String> {
        let spelt = serde_json::to_string(&json::text(&format!("\"{key}\""))?).ok()?;
        json::spelling(&spelt).map(str::to_owned)
    };
    json::members(object)
        .map(|(key, value)| {
            let plain = key.contains('\\').then(|| plain(key)).flatten();
            (plain.map_or(Cow::Borrowed(key), Cow::Owned), value)
        })
        .collect()
}

/// How values are written.
pub struct Hand<'a> {
    /// The zone of local times.
    pub zone: &'a TimeZone,
    /// Says where a stored media file is found next to the output; `None` leaves the value as it is.
    pub place: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl Hand<'_> {
    /// Writes `value`, which is `of` this sort, with its first line unindented and the others indented by `level`.
    pub fn value(&self, out: &mut Vec<u8>, value: &str, level: usize, of: Of) {
        self.nested(out, value, At::new(level, of));
    }

    /// Writes an object as [`Hand::value`] does, with the members of `more` after its own. `shift` is subtracted from the ids of
    /// messages of the same chat. With `unique`, only the first of several members with one key is written.
    pub fn message(&self, out: &mut Vec<u8>, message: &str, more: &[u8], level: usize, shift: i64, unique: bool) {
        let mut members = members(message);
        if unique {
            let mut seen = HashSet::new();
            members.retain(|(key, _)| seen.insert(key.clone()));
        }
        let other_chat = members.iter().any(|(key, _)| key == "reply_to_peer_id");
        out.push(b'{');
        let mut first = true;
        for (key, value) in &members {
            begin_member(out, &mut first, key, level);
            let is_id = SAME_CHAT_IDS.contains(&&**key) || (key == "reply_to_message_id" && !other_chat);
            match json::integer(value).filter(|_| is_id && shift != 0).and_then(|id| id.checked_sub(shift)) {
                Some(shifted) => out.extend_from_slice(shifted.to_string().as_bytes()),
                None => self.member(out, &members, (key, value), At::new(level, Of::Message)),
            }
        }
        if let Ok(more) = std::str::from_utf8(more) {
            for (key, value) in json::members(more) {
                begin_member(out, &mut first, key, level);
                let of = if matches!(key, "history" | "web_page") { Of::Message } else { Of::Part };
                self.nested(out, value, At::new(level + 1, of));
            }
        }
        end(out, first, level, b'}');
    }

    fn nested(&self, out: &mut Vec<u8>, value: &str, at: At) {
        let At { level, of, depth, is_path } = at;
        let Some(depth) = depth.checked_sub(1) else {
            out.extend_from_slice(value.as_bytes());
            return;
        };
        match json::shape(value) {
            Shape::Object => {
                let members = members(value);
                out.push(b'{');
                let mut first = true;
                for (key, value) in &members {
                    begin_member(out, &mut first, key, level);
                    self.member(out, &members, (key, value), At { level, of, depth, is_path });
                }
                end(out, first, level, b'}');
            }
            Shape::Array => {
                out.push(b'[');
                let mut first = true;
                for element in json::elements(value) {
                    begin_element(out, &mut first, level);
                    self.nested(out, element, At { level: level + 1, of, depth, is_path });
                }
                // An empty list of Telegram Desktop's still has its line break.
                end(out, false, level, b']');
            }
            Shape::String => match json::text(value).filter(|_| is_path).and_then(|path| (self.place)(&path)) {
                Some(shown) => quoted(out, shown),
                None => string(out, value),
            },
            Shape::Plain => number(out, value, of == Of::Floats),
        }
    }

    fn member(&self, out: &mut Vec<u8>, members: &[Member<'_>], (key, value): (&str, &str), at: At) {
        let At { level, of, depth, .. } = at;
        if TIMES.contains(&key) {
            let twin = members.iter().find(|(name, _)| name.strip_suffix("_unixtime") == Some(key));
            if let Some(local) = twin.and_then(|(_, unix)| time::local(self.zone, json::digits(unix)?)) {
                // Telegram Desktop before 2.1.9 wrote 1970 for "never edited"; it has no twin and stays.
                let _ = write!(out, "\"{}\"", time::iso(local));
                return;
            }
        }
        if FILES.contains(&key)
            && json::shape(value) == Shape::String
            // Half a surrogate pair stands for no text, and for no path.
            && let path = json::text(value).unwrap_or("..".into())
            && let Some(shown) = (self.place)(&path).or_else(|| of.instead(key, &path))
        {
            quoted(out, shown);
            return;
        }
        let empty = || json::elements(value).next().is_none();
        match key {
            "text_entities" if json::shape(value) == Shape::Array && empty() => out.extend_from_slice(b"[]"),
            "completed" | "incompleted" if json::shape(value) == Shape::Array => {
                let numbers: Vec<_> = json::elements(value).collect();
                let _ = write!(out, "[{}]", numbers.join(","));
            }
            _ => self.nested(out, value, At { level: level + 1, of: of.inside(), depth, is_path: may_name_file(key) }),
        }
    }
}

/// Starts a member on a line of its own.
pub fn begin_member(out: &mut Vec<u8>, first: &mut bool, key: &str, level: usize) {
    begin_element(out, first, level);
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\": ");
}

/// Starts an element on a line of its own.
pub fn begin_element(out: &mut Vec<u8>, first: &mut bool, level: usize) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
    new_line(out, level + 1);
}

fn end(out: &mut Vec<u8>, empty: bool, level: usize, bracket: u8) {
    if !empty {
        new_line(out, level);
    }
    out.push(bracket);
}

/// Ends a line and indents the next by `level`.
pub fn new_line(out: &mut Vec<u8>, level: usize) {
    out.push(b'\n');
    out.resize(out.len() + level, b' ');
}

/// Writes a JSON string anew, with Telegram Desktop's choice of escapes.
fn string(out: &mut Vec<u8>, value: &str) {
    match json::text(value) {
        Some(text) => quoted(out, &text),
        // Half a surrogate pair: valid JSON that stands for no text.
        None => out.extend_from_slice(value.as_bytes()),
    }
}

/// Writes `text` as a JSON string.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
        let separator = byte == 0xE2 && matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xA8 | 0xA9]));
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && !separator {
            continue;
        }
        out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
        done = at + 1;
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0xE2 => {
                let last = if bytes.get(at + 2) == Some(&0xA8) { '8' } else { '9' };
                let _ = write!(out, "\\u202{last}");
                done = at + 3;
            }
            control => {
                let _ = write!(out, "\\u{control:04X}");
            }
        }
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out.push(b'"');
}

/// Writes a number, `true`, `false` or `null`; a float with at least six decimals. With `float`, an integer is one, too.
fn number(out: &mut Vec<u8>, value: &str, float: bool) {
    out.extend_from_slice(value.as_bytes());
    if float && value.bytes().last().is_some_and(|byte| byte.is_ascii_digit()) && !value.contains(['.', 'e', 'E']) {
        out.extend_from_slice(b".000000");
        return;
    }
    if let Some((_, decimals)) = value.split_once('.')
        && decimals.bytes().all(|byte| byte.is_ascii_digit())
    {
        out.resize(out.len() + 6usize.saturating_sub(decimals.len()), b'0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(value: &str) -> String {
        let zone = TimeZone::UTC;
        let place = |path: &str| (path == "media/photo/1-y.jpg").then_some("photos/photo_1.jpg");
        let mut out = Vec::new();
        Hand { zone: &zone, place: &place }.value(&mut out, value, 0, Of::Message);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_laid_out_as_telegram_desktop_does() {
        assert_eq!(
            write(r#"{"a":[1,2.5,-0.1234567],"b":[],"text_entities":[],"completed":[1, 2],"c":{"d":null},"e":1e5}"#),
            "{\n \"a\": [\n  1,\n  2.500000,\n  -0.1234567\n ],\n \"b\": [\n ],\n \"text_entities\": [],\n \"completed\": [1,2],\n \"c\": {\n  \"d\": null\n },\n \"e\": 1e5\n}"
        );
    }

    #[test]
    fn strings_are_valid_whatever_they_hold() {
        assert_eq!(write(r#""a\/\u00e9\n\u0001\u2028 \ud83d\ude00\"""#), r#""a/é\n\u0001\u2028 😀\"""#);
        assert_eq!(write("\"\u{2029}\""), r#""\u2029""#);
        assert_eq!(write(r#""half \ud83d""#), r#""half \ud83d""#);
    }

    #[test]
    fn times_come_from_their_twins_and_files_from_their_places() {
        assert_eq!(
            write(r#"{"date":"x","date_unixtime":"60","edited":"1970-01-01T00:00:00","photo":"media/photo/1-y.jpg","file":"(none)"}"#),
            "{\n \"date\": \"1970-01-01T00:01:00\",\n \"date_unixtime\": \"60\",\n \"edited\": \"1970-01-01T00:00:00\",\n \"photo\": \"photos/photo_1.jpg\",\n \"file\": \"(none)\"\n}"
        );
    }

    #[test]
    fn files_without_a_place_are_words_and_no_path_leads_out() {
        let write = |value: &str, of: Of| {
            let place = |path: &str| (path == "media/photo/1-y.jpg").then_some("photos/photo_1.jpg");
            let mut out = Vec::new();
            Hand { zone: &TimeZone::UTC, place: &place }.value(&mut out, value, 0, of);
            String::from_utf8(out).unwrap().replace(['\n', ' '], "")
        };
        let no_file = format!("{{\"photo\":{NO_FILE:?}}}").replace(' ', "");
        for path in ["photos/1.jpg", "../../etc/passwd", "/etc/passwd", "C:\\x", "a\0b", "..", "(x/../../../y)", "media/photo/2-y.jpg"] {
            let path = serde_json::to_string(path).unwrap();
            assert_eq!(write(&format!("{{\"photo\":{path}}}"), Of::Message), no_file, "{path}");
        }
        for hidden in [r#"{"ph\u006fto":"../x"}"#, r#"{"photo":"../\ud83d"}"#] {
            assert_eq!(write(hidden, Of::Message), no_file, "{hidden}");
        }
        // What is no path stays: other words, nothing, objects, numbers of emoji.
        for kept in [r#"{"photo":"(Fileexceeds)","file":"","document_id":"5123"}"#, r#"{"photo":{"id":5},"file":7}"#] {
            assert_eq!(write(kept, Of::Message), kept);
        }
        assert_eq!(write(r#"{"a":[{"document_id":"stickers/x.tgs"}]}"#, Of::Message), r#"{"a":[{"document_id":"(unavailable)"}]}"#);
        // Keys of the same name inside of something unknown may be anything, but lead nowhere else.
        assert_eq!(
            write(r#"{"a":{"photo":"x","file":"../x","document_id":"media/photo/1-y.jpg"}}"#, Of::Message),
            format!(r#"{{"a":{{"photo":"x","file":"{NO_FILE}","document_id":"photos/photo_1.jpg"}}}}"#).replace(' ', "")
        );
        assert_eq!(write(r#"[{"photo":"x"}]"#, Of::Pictures), format!(r#"[{{"photo":"{NO_PICTURE}"}}]"#).replace(' ', ""));
        assert_eq!(write(r#"{"photo":"../x"}"#, Of::Other), r#"{"photo":"../x"}"#);
        assert_eq!(
            write(r#"[1,-20,2.5,1e5,true,{"a":null,"b":"3"}]"#, Of::Floats).replace('\n', ""),
            r#"[1.000000,-20.000000,2.500000,1e5,true,{"a":null,"b":"3"}]"#
        );
    }

    #[test]
    fn deep_nesting_stays_valid() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let written = write(&deep);
        assert_eq!(written.bytes().filter(|&byte| byte == b'[').count(), 100_000);
        assert_eq!(written.bytes().filter(|&byte| byte == b']').count(), 100_000);
    }

    proptest::proptest! {
        #[test]
        fn strings_read_back(text in ".*") {
            let mut out = Vec::new();
            quoted(&mut out, &text);
            proptest::prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
