//! JSON objects whose keys stay in the order of writing, as Telegram Desktop's exports have them.

use serde::Serialize;
use serde_json::value::RawValue;

/// An object being written.
pub(crate) struct Object {
    out: Vec<u8>,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self { out: vec![b'{'] }
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        // All keys are ours: plain ASCII without anything to escape.
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Writes a value.
    pub(crate) fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> &mut Self {
        let before = self.out.len();
        self.key(key);
        // Numbers, strings and lists of them always have a JSON form; a key without a value must not stay in any case.
        if serde_json::to_writer(&mut self.out, value).is_err() {
            self.out.truncate(before);
        }
        self
    }

    /// Writes a string unless it is empty.
    pub(crate) fn put_text(&mut self, key: &str, value: &str) -> &mut Self {
        if value.is_empty() { self } else { self.put(key, value) }
    }

    /// Writes a number unless it is 0.
    pub(crate) fn put_number(&mut self, key: &str, value: i64) -> &mut Self {
        if value == 0 { self } else { self.put(key, &value) }
    }

    /// Writes `true`, or nothing.
    pub(crate) fn put_flag(&mut self, key: &str, value: bool) -> &mut Self {
        if value { self.put(key, &true) } else { self }
    }

    /// Writes a number with six decimals, as the exports have all their fractions.
    pub(crate) fn put_fraction(&mut self, key: &str, value: f64) -> &mut Self {
        let value = if value.is_finite() { value } else { 0.0 };
        self.put_raw(key, &format!("{value:.6}"))
    }

    /// Writes JSON that is there already.
    pub(crate) fn put_raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    /// Ends the object.
    pub(crate) fn end(mut self) -> String {
        self.out.push(b'}');
        String::from_utf8(self.out).unwrap_or_else(|_| "{}".into())
    }

    /// Ends the object.
    pub(crate) fn into_raw(self) -> Box<RawValue> {
        raw(self.end())
    }
}

/// JSON that was written here, as a value.
pub(crate) fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A list of JSON values.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    let mut out = String::from("[");
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(&item);
    }
    out.push(']');
    out
}

/// Unix seconds as the exports write a date, in UTC.
pub(crate) fn iso(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string()).unwrap_or_default()
}

/// Writes `date` and `date_unixtime`.
pub(crate) fn put_date(object: &mut Object, key: &str, seconds: i64) {
    object.put(key, &iso(seconds)).put(&format!("{key}_unixtime"), &seconds.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_order_and_values_are_json() {
        let mut object = Object::new();
        object.put("z", "a\"\u{1}\u{2028}").put_text("empty", "").put_number("none", 0).put_fraction("f", 55.7558).put_flag("no", false);
        put_date(&mut object, "date", 1_764_000_000);
        let json = object.end();
        assert_eq!(
            json,
            "{\"z\":\"a\\\"\\u0001\u{2028}\",\"f\":55.755800,\"date\":\"2025-11-24T16:00:00\",\"date_unixtime\":\"1764000000\"}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        assert_eq!(list(["1".into(), "{}".into()]), "[1,{}]");
    }
}
