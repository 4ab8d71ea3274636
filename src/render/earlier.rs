//! Earlier versions of a message: those that the backup holds, and those that an import of an export of ours told in `history`.

use std::collections::HashSet;

use crate::model::json::{self, Shape};
use crate::model::record::MessageRecord;

use super::html::escape::plain;
use super::shown::Shown;

/// An earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier<'a> {
    /// The message as a JSON object; of an import, whatever stood in its list.
    pub message: &'a str,
    /// When it was seen to say this, Unix seconds.
    pub observed: Option<i64>,
    /// When it was written, Unix seconds: edited, or sent.
    pub written: Option<i64>,
    /// Whether an import told it; `message` has its own `observed_unixtime` then.
    pub told: bool,
}

/// The earlier versions of a message, first to last; what the backup and imports both know, once.
pub fn of<'a>(shown: &Shown<'a>) -> Vec<Earlier<'a>> {
    let own = |record: &'a MessageRecord| Earlier {
        message: record.message.get(),
        observed: Some(record.observed),
        written: record.edited.or(record.date),
        told: false,
    };
    let mut all: Vec<Earlier<'a>> = shown.earlier.iter().map(own).collect();
    if all.is_empty() {
        // One list, said again as it was.
        return told(shown.record).collect();
    }
    let mut known: HashSet<_> = all.iter().map(what).collect();
    for record in shown.earlier.iter().chain([shown.record]) {
        let list: Vec<Earlier<'a>> = told(record).filter(|version| !known.contains(&what(version))).collect();
        known.extend(list.iter().map(what));
        all.extend(list);
    }
    all.sort_by_key(|version| version.observed);
    all
}

/// What an import told of the earlier versions of a message.
fn told(record: &MessageRecord) -> impl Iterator<Item = Earlier<'_>> {
    let list = record.extra.as_deref().and_then(|extra| json::get(extra.get(), "history"));
    let elements = list.filter(|list| json::shape(list) == Shape::Array).map(json::elements);
    elements.into_iter().flatten().map(|message| {
        let unix = |key: &str| json::get(message, key).and_then(json::digits);
        let written = unix("edited_unixtime").or_else(|| unix("date_unixtime"));
        Earlier { message, observed: unix("observed_unixtime"), written, told: true }
    })
}

/// What makes a version the same as another: paths of files may differ, and local times.
fn what(version: &Earlier<'_>) -> (Option<i64>, String) {
    (version.observed, json::get(version.message, "text").map(plain).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::model::peer::Peer;

    fn record(observed: i64, text: &str, extra: &str) -> MessageRecord {
        MessageRecord {
            peer: Peer::user(4),
            id: 1,
            observed,
            run: "r".parse().unwrap(),
            date: Some(5),
            edited: None,
            message: RawValue::from_string(format!(r#"{{"id":1,"text":"{text}"}}"#)).unwrap(),
            extra: Some(RawValue::from_string(extra.into()).unwrap()),
            media: vec![],
            raw: None,
        }
    }

    fn texts(now: &MessageRecord, earlier: &[MessageRecord]) -> Vec<(String, Option<i64>, bool)> {
        let shown = Shown { earlier, ..Shown::plain(now) };
        of(&shown)
            .iter()
            .map(|version| (plain(json::get(version.message, "text").unwrap_or_default()), version.written, version.told))
            .collect()
    }

    #[test]
    fn what_imports_told_joins_what_the_backup_holds() {
        let told = |texts: &[(i64, &str)]| {
            let list: Vec<String> = texts
                .iter()
                .map(|(observed, text)| format!(r#"{{"id":1,"date_unixtime":"7","text":"{text}","observed_unixtime":"{observed}"}}"#))
                .collect();
            format!(r#"{{"history":[{}]}}"#, list.join(","))
        };
        let now = record(90, "d", &told(&[(10, "a"), (20, "b")]));
        let of = |text: &str, written: i64, told: bool| (text.to_owned(), Some(written), told);
        assert_eq!(texts(&now, &[]), [of("a", 7, true), of("b", 7, true)]);
        // What both know stands once, and what an earlier version was told of is not lost.
        let earlier = [record(10, "a", "{}"), record(30, "c", &told(&[(20, "b"), (5, "first")]))];
        assert_eq!(texts(&now, &earlier), [of("first", 7, true), of("a", 5, false), of("b", 7, true), of("c", 5, false)]);
        for odd in [r#"{"history":"x"}"#, r#"{"history":{"a":1}}"#, "{}"] {
            assert_eq!(texts(&record(90, "d", odd), &[]), []);
        }
        assert_eq!(texts(&record(90, "d", r#"{"history":[5,null]}"#), &[]).len(), 2);
    }
}
