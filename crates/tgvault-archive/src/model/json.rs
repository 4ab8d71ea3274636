//! Looking into JSON text without losing any of it: order of keys, repeated keys and the spelling of numbers stay as they are.
//!
//! Everything here takes text that is known to be valid JSON (a [`serde_json::value::RawValue`], or a part of one) and hands out
//! parts of it. On other input the answers are meaningless but nothing panics and everything ends.

use std::borrow::Cow;

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number, `true`, `false` or `null`.
    Plain,
}

/// Says what `value` is.
pub fn shape(value: &str) -> Shape {
    match value.trim_ascii_start().as_bytes().first() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Array,
        Some(b'"') => Shape::String,
        _ => Shape::Plain,
    }
}

/// The text between the quotes of a JSON string as it is spelt, for comparing keys; `None` for anything else.
pub fn spelling(value: &str) -> Option<&str> {
    value.trim_ascii().strip_prefix('"')?.strip_suffix('"')
}

/// The text that a JSON string stands for; `None` for anything else and for strings with half a surrogate pair.
pub fn text(value: &str) -> Option<Cow<'_, str>> {
    let inner = spelling(value)?;
    if inner.contains('\\') { serde_json::from_str(value).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The integer that `value` is; `None` for anything else.
pub fn integer(value: &str) -> Option<i64> {
    value.trim_ascii().parse().ok()
}

/// An integer that is written as a string of digits; some programs write it as a number.
pub fn digits(value: &str) -> Option<i64> {
    spelling(value).unwrap_or(value).trim_ascii().parse().ok()
}

/// The members of an object in order: the key as it is spelt between its quotes, and the value's text.
pub fn members(object: &str) -> Members<'_> {
    Members { parts: Parts::new(object, b'{') }
}

/// The elements of an array in order.
pub fn elements(array: &str) -> Elements<'_> {
    Elements { parts: Parts::new(array, b'[') }
}

/// The value of the last member with this key, as most parsers would answer.
pub fn get<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    members(object).filter(|(name, _)| *name == key).last().map(|(_, value)| value)
}

/// Where text stops to be what was expected. The parser's own words could repeat what it read, which no error may.
pub fn place(error: &serde_json::Error) -> String {
    format!("it cannot be understood from line {}, column {} on", error.line(), error.column())
}

/// The value at the beginning of `text`, and what follows it.
pub fn split_first(text: &str) -> Option<(&str, &str)> {
    let end = value_end(text.as_bytes(), 0);
    if end == 0 { None } else { text.split_at_checked(end) }
}

/// See [`members`].
pub struct Members<'a> {
    parts: Parts<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let key = spelling(self.parts.value()?)?;
        Some((key, self.parts.value()?))
    }
}

/// See [`elements`].
pub struct Elements<'a> {
    parts: Parts<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        self.parts.value()
    }
}

/// The values inside one pair of brackets, keys included.
struct Parts<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parts<'a> {
    fn new(text: &'a str, open: u8) -> Self {
        let start = text.bytes().position(|byte| !byte.is_ascii_whitespace());
        let at = start.filter(|&start| text.as_bytes().get(start) == Some(&open)).map_or(text.len(), |start| start + 1);
        Self { text, at }
    }

    fn value(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b':')) {
            self.at += 1;
        }
        if matches!(bytes.get(self.at), None | Some(b'}' | b']')) {
            return None;
        }
        let start = self.at;
        self.at = value_end(bytes, start);
        self.text.get(start..self.at)
    }
}

/// The index after the value that begins at `start`.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                if depth <= 1 {
                    // A bracket of the surroundings ends a plain value; one of our own belongs to it.
                    return if depth == 0 { at } else { at + 1 };
                }
                depth -= 1;
            }
            b',' | b':' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The index after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_as_they_are_spelt() {
        let object = r#" { "a" : [1, {"b":"]}\"" }, -0.50], "c":null,"a":"x\ny", "d" : { } ,"e":true} "#;
        let all: Vec<_> = members(object).collect();
        assert_eq!(all, [("a", r#"[1, {"b":"]}\"" }, -0.50]"#), ("c", "null"), ("a", r#""x\ny""#), ("d", "{ }"), ("e", "true")]);
        assert_eq!(elements(all[0].1).collect::<Vec<_>>(), ["1", r#"{"b":"]}\"" }"#, "-0.50"]);
        assert_eq!(get(object, "a").and_then(text).as_deref(), Some("x\ny"));
        assert_eq!(members("{}").count() + elements(" [ ] ").count() + members("[1]").count() + elements("").count(), 0);
        assert_eq!((integer(" 12 "), digits("\"-5\""), integer("\"1\""), digits("7")), (Some(12), Some(-5), None, Some(7)));
        assert_eq!(split_first(r#"{"a":[1,"}"]},"b":2}"#), Some((r#"{"a":[1,"}"]}"#, r#","b":2}"#)));
        assert_eq!((split_first("12,3"), split_first(""), split_first("}")), (Some(("12", ",3")), None, None));
        assert_eq!([shape("{"), shape(" ["), shape("\""), shape("1")], [Shape::Object, Shape::Array, Shape::String, Shape::Plain]);
    }

    proptest::proptest! {
        #[test]
        fn any_input_ends(text in ".*") {
            proptest::prop_assert!(members(&text).count() <= text.len());
            proptest::prop_assert!(elements(&text).count() <= text.len());
        }

        #[test]
        fn elements_are_those_that_serde_reads(words in proptest::collection::vec(".*", 0..6)) {
            let array = serde_json::to_string(&words).unwrap();
            let read: Vec<String> = elements(&array).map(|part| text(part).unwrap().into_owned()).collect();
            proptest::prop_assert_eq!(read, words);
        }
    }
}
