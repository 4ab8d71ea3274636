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

/// The earlier versions of a message, first to last; what the backup and imports both know, once. A version that people cannot tell
/// from the next one is none: a newer form of export, or another way to name somebody, changes no message.
pub fn of<'a>(shown: &Shown<'a>) -> Vec<Earlier<'a>> {
    let mut all = known(shown);
    let mut next = shown.record.message.get();
    let mut index = all.len();
    while let Some(version) = index.checked_sub(1).and_then(|at| all.get(at).copied()) {
        index -= 1;
        if !version.told && reads_alike(version.message, next) {
            all.remove(index);
        } else {
            next = version.message;
        }
    }
    all
}

/// Keys whose values people see, beside the text and the files.
const SEEN: [&str; 12] = [
    "action",
    "title",
    "poll",
    "todo_list",
    "location_information",
    "contact_information",
    "place_name",
    "game_title",
    "invoice_information",
    "new_title",
    "media_type",
    "inline_bot_buttons",
];

/// Whether two versions of a message read alike: what only one of them tells makes no difference where its form tells less.
fn reads_alike(one: &str, two: &str) -> bool {
    use json::get;
    let text = |message| get(message, "text").map(plain).unwrap_or_default().trim().to_owned();
    let is_service = |message| get(message, "type").and_then(json::spelling) == Some("service");
    let of_page = |message| get(message, "from_id").is_none() && get(message, "actor_id").is_none();
    let alike = |key: &&str| match (get(one, key), get(two, key)) {
        (Some(one), Some(two)) => one == two,
        (None, None) => true,
        // A page says less, and has sentences for what happened.
        _ => of_page(one) || of_page(two),
    };
    let is_stored = |path: &&str| json::text(path).is_some_and(|path| path.starts_with("media/"));
    let same_file = |key: &&str| match (get(one, key).filter(is_stored), get(two, key).filter(is_stored)) {
        (Some(one), Some(two)) => one == two,
        _ => true,
    };
    let reactions = |message| -> Vec<String> {
        let told = |reaction| ["type", "emoji", "document_id", "count"].map(|key| get(reaction, key).unwrap_or_default()).join(" ");
        let mut all: Vec<String> = get(message, "reactions").map(json::elements).into_iter().flatten().map(told).collect();
        all.sort_unstable();
        all
    };
    let same_text = text(one) == text(two) || is_service(one) && is_service(two) && (of_page(one) != of_page(two));
    same_text && SEEN.iter().all(alike) && ["photo", "file"].iter().all(same_file) && reactions(one) == reactions(two)
}

/// The earlier versions of a message that are known.
fn known<'a>(shown: &Shown<'a>) -> Vec<Earlier<'a>> {
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
