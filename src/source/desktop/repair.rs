//! Makes valid JSON of a piece of a real export.
//!
//! Telegram Desktop writes control characters as `\xNN`, which is not JSON, and leaves the last two bytes of U+2028 and U+2029
//! behind after their escape, which is not UTF-8; its versions 4.1.0 and 4.1.1 forgot the quotes of `document_id`. What is made
//! here serves for reading only: the bytes as they were are kept with the record.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

/// How a byte is written that is not JSON.
static ESCAPED_BYTE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\x"));

/// The piece as valid JSON; `None` if it cannot be understood.
pub fn repair(piece: &[u8]) -> Option<Cow<'_, str>> {
    if let Some(text) = valid_text(piece).filter(|text| is_json(text)) {
        return Some(Cow::Borrowed(text));
    }
    let text = strings_repaired(piece);
    if is_json(&text) {
        return Some(Cow::Owned(text));
    }
    let text = document_ids_quoted(&text);
    is_json(&text).then_some(Cow::Owned(text))
}

/// The piece as text where it has none of the two bugs; whether it is JSON is not looked at.
pub fn valid_text(piece: &[u8]) -> Option<&str> {
    if ESCAPED_BYTE.find(piece).is_some() { None } else { std::str::from_utf8(piece).ok() }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn strings_repaired(piece: &[u8]) -> String {
    let mut out = Vec::with_capacity(piece.len() + 16);
    let mut inside = false;
    let mut at = 0;
    while let Some(&byte) = piece.get(at) {
        match byte {
            b'"' => inside = !inside,
            b'\\' if inside => {
                let rest = piece.get(at + 1..).unwrap_or_default();
                match rest {
                    [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                        out.extend_from_slice(b"\\u00");
                        out.extend_from_slice(&[*high, *low]);
                        at += 4;
                    }
                    [b'u', b'2', b'0', b'2', last @ (b'8' | b'9'), 0x80, left, ..] if *left == last - b'8' + 0xA8 => {
                        out.extend_from_slice(b"\\u202");
                        out.push(*last);
                        at += 8;
                    }
                    [next, ..] => {
                        out.extend_from_slice(&[b'\\', *next]);
                        at += 2;
                    }
                    [] => at += 1,
                }
                continue;
            }
            control if inside && control < 0x20 => {
                out.extend_from_slice(format!("\\u{control:04X}").as_bytes());
                at += 1;
                continue;
            }
            _ => {}
        }
        out.push(byte);
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The key stands last in its object, so an unquoted value ends with its line.
fn document_ids_quoted(text: &str) -> String {
    const KEY: &str = "\"document_id\": ";
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        let bare = line.find(KEY).map(|at| line.split_at(at + KEY.len()));
        match bare {
            Some((before, value)) if !value.starts_with(['"', '{', '[']) && value.trim_end().parse::<i64>().is_err() => {
                let value_text = value.trim_end();
                out.push_str(before);
                out.push('"');
                out.push_str(&value_text.replace('\\', "\\\\").replace('"', "\\\""));
                out.push('"');
                out.push_str(value.get(value_text.len()..).unwrap_or_default());
            }
            _ => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(piece: &[u8]) -> Option<serde_json::Value> {
        serde_json::from_str(&repair(piece)?).ok()
    }

    #[test]
    fn both_bugs_are_read() {
        assert_eq!(read(br#"{"data": "a\x00\x1Bb\\x41"}"#).unwrap()["data"], "a\0\u{1b}b\\x41");
        let piece = b"{\"text\": \"one\\u2028\x80\xA8two\\u2029\x80\xA9three\\u2028four\"}";
        assert_eq!(read(piece).unwrap()["text"], "one\u{2028}two\u{2029}three\u{2028}four");
        assert_eq!(read(b"{\"text\": \"a\tb\xFF\"}").unwrap()["text"], "a\tb\u{fffd}");
    }

    #[test]
    fn forgotten_quotes_are_read() {
        let piece = b"[{\n \"type\": \"custom_emoji\",\n \"document_id\": stickers/a (1).tgs\n},{\n \"document_id\": (unavailable)\n},{\n \"document_id\": 5\n}]";
        let value = read(piece).unwrap();
        assert_eq!(value[0]["document_id"], "stickers/a (1).tgs");
        assert_eq!(value[1]["document_id"], "(unavailable)");
        assert_eq!(value[2]["document_id"], 5);
    }

    #[test]
    fn valid_json_is_left_as_it_is_and_nonsense_refused() {
        let valid = "{\"text\": \"\u{2028} ok \\u00e9\"}";
        assert!(matches!(repair(valid.as_bytes()), Some(Cow::Borrowed(text)) if text == valid));
        assert_eq!(repair(b"{\"text\": }"), None);
        assert_eq!(repair(b"\"\\"), None);
    }
}
