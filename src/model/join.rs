//! What is known of a message, whichever version told it: what the version that counts leaves out does not erase what another said.
//!
//! A newer export may have been made without files, as pages, or by a version that knew less. Its words count, for they are newer;
//! a file, the exact time, a sender's id and the people behind a reaction are kept from the version that has them.

use serde_json::value::RawValue;

use super::json::{self, Shape};
use super::media::{Media, MediaRole, MediaStatus};
use super::record::{MessageRecord, Raw};

/// Keys that a page leaves out because it cannot tell them; what people wrote, and what may go, is not among them.
const OF_NO_PAGE: [&str; 16] = [
    "from_id",
    "actor_id",
    "forwarded_from_id",
    "reply_to_peer_id",
    "photo_file_size",
    "file_size",
    "file_name",
    "mime_type",
    "width",
    "height",
    "sticker_emoji",
    "performer",
    "title",
    "thumbnail_file_size",
    "self_destruct_period_seconds",
    "live_location_period_seconds",
];

/// Keys that tell one file from another, as far as both versions have them.
const OF_A_FILE: [&str; 6] = ["photo_file_size", "file_size", "file_name", "width", "height", "duration_seconds"];

/// Gives `current` what it leaves out and one of `others`, last to first, has.
pub fn complete(current: &mut MessageRecord, others: &[MessageRecord]) {
    for other in others.iter().rev() {
        files(current, other);
        time(current, other);
        people(current, other);
    }
}

/// Votes and reactions after all versions, in their order: a page that shows none may be older than they are.
pub fn counts<'a>(versions: impl Iterator<Item = &'a MessageRecord>) -> Vec<(&'static str, Option<String>)> {
    let mut counts = vec![("poll", None), ("reactions", None)];
    for version in versions {
        for (key, value) in &mut counts {
            match json::get(version.message.get(), key) {
                Some(told) => *value = Some(told.to_owned()),
                None if !is_page(version) => *value = None,
                None => {}
            }
        }
    }
    counts
}

/// Gives a message other votes and reactions.
pub fn set(message: &mut MessageRecord, counts: Vec<(&'static str, Option<String>)>) {
    for (key, value) in counts {
        let known = json::get(message.message.get(), key).map(str::to_owned);
        match (known, value) {
            (known, value) if known == value => {}
            (Some(_), Some(value)) => rewrite(message, |told, _| (told == key).then(|| value.clone()), &[]),
            (None, Some(value)) => rewrite(message, |_, _| None, &[(key, value)]),
            _ => {
                let left =
                    json::members(message.message.get()).filter(|(told, _)| *told != key).map(|(told, value)| (told, value.to_owned()));
                if let Some(left) = object(left) {
                    message.message = left;
                }
            }
        }
    }
}

/// Whether the time of a message is only known in part: of a service message on a page the day, of an old export the local time.
fn is_guess(record: &MessageRecord, sign: &str) -> bool {
    record.extra.as_ref().is_some_and(|extra| json::get(extra.get(), sign).is_some())
}

fn is_page(record: &MessageRecord) -> bool {
    matches!(record.raw, Some(Raw::Html { .. }))
}

/// The key that names the file of a role.
fn key_of(role: MediaRole) -> Option<&'static str> {
    Some(match role {
        MediaRole::Photo => "photo",
        MediaRole::File => "file",
        MediaRole::Thumbnail => "thumbnail",
        MediaRole::ContactVcard => "contact_vcard",
        _ => return None,
    })
}

fn files(current: &mut MessageRecord, other: &MessageRecord) {
    let differ = |key: &&str| {
        let (one, two) = (json::get(current.message.get(), key), json::get(other.message.get(), key));
        one.is_some() && two.is_some() && one != two
    };
    if OF_A_FILE.iter().any(differ) {
        return;
    }
    let mut replaced: Vec<(&'static str, String)> = Vec::new();
    // A file that failed on its way may have been promised by the version before: that one is taken back.
    let is_absent = |media: &&mut Media| !matches!(media.status, MediaStatus::Stored | MediaStatus::Failed { .. });
    for media in current.media.iter_mut().filter(is_absent) {
        let is_it = |known: &&Media| known.role == media.role && known.status == MediaStatus::Stored && known.path.is_some();
        let Some((known, key)) = other.media.iter().find(is_it).zip(key_of(media.role)) else { continue };
        if let Some(path) = &known.path {
            replaced.push((key, serde_json::Value::from(path.to_string()).to_string()));
        }
        *media = known.clone();
    }
    if !replaced.is_empty() {
        rewrite(current, |key, _| replaced.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()), &[]);
    }
}

fn time(current: &mut MessageRecord, other: &MessageRecord) {
    let is_better = ["approximate_date", "assumed_zone"].iter().any(|sign| is_guess(current, sign) && !is_guess(other, sign));
    let Some(date) = other.date.filter(|_| (is_better || current.date.is_none()) && !is_guess(other, "approximate_date")) else { return };
    current.date = Some(date);
    rewrite(current, |key, _| (key == "date_unixtime").then(|| format!("\"{date}\"")), &[]);
    if let Some(extra) = &current.extra {
        let left = json::members(extra.get()).filter(|(key, _)| !matches!(*key, "approximate_date" | "assumed_zone"));
        current.extra = object(left.map(|(key, value)| (key, value.to_owned())));
    }
}

fn people(current: &mut MessageRecord, other: &MessageRecord) {
    if is_page(other) {
        return;
    }
    let message = current.message.get();
    let has = |key: &str| json::get(message, key).is_some();
    let was = |key: &str| json::get(other.message.get(), key);
    let mut more: Vec<(&str, String)> = Vec::new();
    for (name, id) in [("from", "from_id"), ("actor", "actor_id")] {
        if !has(name) && !has(id) && was(id).is_some() {
            more.extend([name, id].into_iter().filter_map(|key| Some((key, was(key)?.to_owned()))));
        }
    }
    if is_page(current) {
        let same = |name: &str| json::get(message, name) == was(name) || !has(name);
        let fits = |key: &str| match key.strip_suffix("_id") {
            Some(name @ ("from" | "actor" | "forwarded_from")) => same(name),
            _ => true,
        };
        let left_out = OF_NO_PAGE.iter().filter(|key| !has(key) && fits(key) && !more.iter().any(|(known, _)| known == *key));
        let found: Vec<(&str, String)> = left_out.filter_map(|key| Some((*key, was(key)?.to_owned()))).collect();
        more.extend(found);
    }
    let reactions = json::get(message, "reactions").zip(was("reactions")).and_then(|(now, then)| with_people(now, then));
    if !more.is_empty() || reactions.is_some() {
        rewrite(current, |key, _| reactions.clone().filter(|_| key == "reactions"), &more);
    }
}

/// The reactions `now`, with the people that those of `then` name.
fn with_people(now: &str, then: &str) -> Option<String> {
    let mut is_changed = false;
    let all: Vec<String> = json::elements(now)
        .map(|reaction| {
            let same = |other: &&str| ["type", "emoji", "document_id"].iter().all(|key| json::get(other, key) == json::get(reaction, key));
            let count = json::get(reaction, "count").and_then(json::integer).unwrap_or_default();
            let recent = json::elements(then).find(same).and_then(|other| json::get(other, "recent"));
            let fits = |people: &&str| i64::try_from(json::elements(people).count()).is_ok_and(|people| people <= count.max(1));
            match recent.filter(|_| json::shape(reaction) == Shape::Object && json::get(reaction, "recent").is_none()).filter(fits) {
                Some(people) => {
                    is_changed = true;
                    format!("{},\"recent\":{people}}}", reaction.trim_ascii_end().trim_end_matches('}'))
                }
                None => reaction.to_owned(),
            }
        })
        .collect();
    is_changed.then(|| format!("[{}]", all.join(",")))
}

/// Writes the message's keys with other values, and `more` before its text.
fn rewrite(record: &mut MessageRecord, other: impl Fn(&str, &str) -> Option<String>, more: &[(&str, String)]) {
    let mut members: Vec<(&str, String)> =
        json::members(record.message.get()).map(|(key, value)| (key, other(key, value).unwrap_or_else(|| value.to_owned()))).collect();
    let text = members.iter().position(|(key, _)| *key == "text").unwrap_or(members.len());
    members.splice(text..text, more.iter().cloned());
    if let Some(message) = object(members.into_iter()) {
        record.message = message;
    }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, String)>) -> Option<Box<RawValue>> {
    let members: Vec<String> = members.map(|(key, value)| format!("\"{key}\":{value}")).collect();
    if members.is_empty() { None } else { RawValue::from_string(format!("{{{}}}", members.join(","))).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::peer::Peer;

    fn record(message: &str, extra: &str, media: &str, date: i64) -> MessageRecord {
        MessageRecord {
            peer: Peer::user(1),
            id: 5,
            observed: 1,
            run: "r".parse().unwrap(),
            date: Some(date),
            edited: None,
            message: RawValue::from_string(message.into()).unwrap(),
            extra: (!extra.is_empty()).then(|| RawValue::from_string(extra.into()).unwrap()),
            media: serde_json::from_str(media).unwrap(),
            raw: Some(Raw::Json { age: "7".into(), bytes: Vec::new() }),
        }
    }

    const STORED: &str = r#"[{"role":"photo","path":"media/photo/1-y.jpg","size":5,"status":"stored"}]"#;
    const LEFT_OUT: &str = r#"[{"role":"photo","size":5,"status":"skipped","reason":"type_not_chosen"}]"#;

    #[test]
    fn files_stay_known_and_other_files_are_not_taken_for_them() {
        let old = record(r#"{"photo":"media/photo/1-y.jpg","photo_file_size":5,"text":""}"#, "", STORED, 7);
        let mut new = record(r#"{"photo":"(File not included)","photo_file_size":5,"text":"new"}"#, "", LEFT_OUT, 7);
        complete(&mut new, std::slice::from_ref(&old));
        assert_eq!(new.message.get(), r#"{"photo":"media/photo/1-y.jpg","photo_file_size":5,"text":"new"}"#);
        assert_eq!(new.media, old.media);
        let mut other = record(r#"{"photo":"(File not included)","photo_file_size":6,"text":""}"#, "", LEFT_OUT, 7);
        complete(&mut other, std::slice::from_ref(&old));
        assert_eq!(other.media[0].path, None);
    }

    #[test]
    fn times_senders_and_people_stay_known() {
        let people = r#""recent":[{"from":"Bo","from_id":"user2","date":"2022-01-01T00:00:00"}]"#;
        let old = record(
            &format!(
                r#"{{"date_unixtime":"7","from":"Ada","from_id":"user1","reactions":[{{"type":"emoji","count":1,"emoji":"x",{people}}}],"text":"a"}}"#
            ),
            "",
            "[]",
            7,
        );
        let mut new = record(
            r#"{"date_unixtime":"9","from":"Ada","reactions":[{"type":"emoji","count":2,"emoji":"x"}],"text":"b"}"#,
            r#"{"approximate_date":true,"views":3}"#,
            "[]",
            9,
        );
        new.raw = Some(Raw::Html { bytes: Vec::new() });
        complete(&mut new, &[old]);
        assert_eq!(new.date, Some(7));
        assert_eq!(
            new.message.get(),
            format!(
                r#"{{"date_unixtime":"7","from":"Ada","reactions":[{{"type":"emoji","count":2,"emoji":"x",{people}}}],"from_id":"user1","text":"b"}}"#
            )
        );
        assert_eq!(new.extra.unwrap().get(), r#"{"views":3}"#);
    }
}
