//! A conversation for people at a terminal: plain lines, readable without colour.
//!
//! Nothing that people wrote can drive the terminal: control characters and marks that turn the direction of text are shown as
//! `�`.

use std::fmt::Write;

use jiff::tz::TimeZone;

use super::earlier;
use super::html::escape::plain;
use super::html::media::size_text;
use super::html::preview::reactions;
use super::html::service::{duration, plain_sentence};
use super::html::view::{View, day};
use super::shown::Shown;
use crate::model::harmless::is_harmless;
use crate::model::json;

/// Where lines under a name begin.
const INDENT: &str = "       ";

/// Prints messages one after the other.
#[derive(Debug)]
pub struct Conversation {
    day: Option<(i16, i8, i8)>,
    history: bool,
}

impl Conversation {
    /// With earlier versions, or without.
    pub fn new(history: bool) -> Self {
        Self { day: None, history }
    }

    /// The lines of the next message, a date line before it where the day is a new one.
    pub fn message(&mut self, shown: Shown<'_>, zone: &TimeZone) -> String {
        let view = View::new(shown.record, zone);
        let mut out = String::new();
        let local = view.local();
        let today = local.map(|local| (local.year(), local.month(), local.day()));
        if let Some(local) = local.filter(|_| today != self.day) {
            let _ = writeln!(out, "\n--- {} ---\n", day(local));
            self.day = today;
        }
        let clock = local.map_or_else(|| "     ".to_owned(), |local| format!("{:02}:{:02}", local.hour(), local.minute()));
        if view.word("type") == "service" {
            let _ = writeln!(out, "{clock}  * {}", harmless(&plain_sentence(&view)));
        } else {
            let _ = write!(out, "{clock}  {}", harmless(view.name("from").as_deref().unwrap_or("(sender unknown)")));
            let _ = writeln!(out, "  #{}", shown.record.id.saturating_sub(shown.id_shift));
            body(&mut out, &view);
        }
        if let Some(edited) = shown.record.edited {
            let _ = writeln!(out, "{INDENT}(edited {})", view.unix_time(edited));
        }
        let earlier = if self.history { earlier::of(&shown) } else { Vec::new() };
        for version in earlier {
            lines(&mut out, "(before: ", &said(&View::of(shown.record, version.message, zone)), ")");
        }
        if let Some(deleted) = shown.deleted {
            let _ = writeln!(out, "{INDENT}(deleted; found missing {})", view.unix_time(deleted));
        }
        out
    }
}

/// All that an earlier version says: it may be the same text with another file, or other reactions.
fn said(view: &View<'_>) -> String {
    if view.word("type") == "service" {
        return plain_sentence(view);
    }
    let media = media(view).map(|media| format!("[{media}]"));
    let text = view.get("text").map(plain).filter(|text| !text.is_empty());
    [media, text, reactions(view)].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn body(out: &mut String, view: &View<'_>) {
    if let Some(from) = view.get("forwarded_from") {
        lines(out, "forwarded from ", &json::text(from).unwrap_or("Deleted Account".into()), "");
    }
    if let Some(target) = view.integer("reply_to_message_id") {
        let _ = writeln!(out, "{INDENT}> in reply to #{target}");
    }
    if let Some(media) = media(view) {
        lines(out, "[", &media, "]");
    }
    let text = view.get("text_entities").filter(|entities| json::elements(entities).next().is_some()).or(view.get("text"));
    let text = text.map(plain).unwrap_or_default();
    if !text.is_empty() {
        lines(out, "", &text, "");
    }
    if let Some(reactions) = reactions(view) {
        lines(out, "", &reactions, "");
    }
}

/// A short description of what a message has beside its text.
fn media(view: &View<'_>) -> Option<String> {
    let size = |key: &str| view.integer(key).filter(|&size| size > 0).map(size_text);
    let mut parts = Vec::new();
    if view.get("photo").is_some() {
        parts.push("photo".to_owned());
        parts.extend(size("photo_file_size"));
    } else if view.get("file").is_some() {
        let kind = view.word("media_type");
        parts.push(if kind.is_empty() { "file".to_owned() } else { kind.replace('_', " ") });
        parts.extend(view.text("sticker_emoji").map(std::borrow::Cow::into_owned));
        parts.extend(view.text("file_name").map(std::borrow::Cow::into_owned));
        parts.extend(view.text("title").map(std::borrow::Cow::into_owned));
        parts.extend(view.integer("duration_seconds").map(duration));
        parts.extend(size("file_size"));
    } else if let Some(poll) = view.get("poll") {
        let closed = if json::get(poll, "closed") == Some("true") { ", closed" } else { "" };
        parts.push(format!("poll{closed}: {}", json::get(poll, "question").map(plain).unwrap_or_default()));
        for answer in json::get(poll, "answers").map(json::elements).into_iter().flatten() {
            parts.push(format!("{} ({})", plain(answer), json::get(answer, "voters").unwrap_or("0")));
        }
    } else if let Some(todo) = view.get("todo_list") {
        parts.push(format!("checklist: {}", json::get(todo, "title").map(plain).unwrap_or_default()));
        parts.extend(json::get(todo, "answers").map(json::elements).into_iter().flatten().map(plain));
    } else if let Some(contact) = view.get("contact_information") {
        let part = |key: &str| json::get(contact, key).and_then(json::text).unwrap_or_default().into_owned();
        parts.push(format!("contact: {} {} {}", part("first_name"), part("last_name"), part("phone_number")));
    } else if let Some(place) = view.get("location_information") {
        let part = |key: &str| json::get(place, key).unwrap_or_default();
        let name = view.text("place_name").unwrap_or_else(|| "location".into());
        parts.push(format!("{name}: {} {}", part("latitude"), part("longitude")));
    } else {
        if let Some(information) = view.text("information_text") {
            return Some(information.into_owned());
        }
        let key = ["game_title", "invoice_information", "giveaway_information", "giveaway_results", "paid_stars_amount"]
            .into_iter()
            .find(|key| view.get(key).is_some())?;
        parts.push(key.split('_').next().unwrap_or_default().to_owned());
        parts.extend(view.text("game_title").map(std::borrow::Cow::into_owned));
    }
    parts.retain(|part| !part.is_empty());
    Some(parts.join(", "))
}

fn lines(out: &mut String, before: &str, text: &str, after: &str) {
    let text = format!("{before}{text}{after}");
    for line in text.lines() {
        let _ = writeln!(out, "{INDENT}{}", harmless(line));
    }
}

/// A line with whatever could drive a terminal made visible.
pub fn harmless(line: &str) -> String {
    line.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if !is_harmless(c) {
                '\u{FFFD}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::model::peer::Peer;
    use crate::model::record::MessageRecord;

    fn record(message: &str) -> MessageRecord {
        MessageRecord {
            peer: Peer::user(1),
            id: 5,
            observed: 0,
            run: "r".parse().unwrap(),
            date: Some(1_705_046_706),
            edited: None,
            message: RawValue::from_string(message.into()).unwrap(),
            extra: None,
            media: vec![],
            raw: None,
        }
    }

    #[test]
    fn a_conversation_reads_well() {
        let zone = TimeZone::UTC;
        let mut conversation = Conversation::new(true);
        let first = record(
            r#"{"type":"message","from":"Ada","photo":"x","photo_file_size":2048,"reply_to_message_id":3,"text":["one\n",{"type":"bold","text":"two"}],"reactions":[{"type":"emoji","count":2,"emoji":"👍"}]}"#,
        );
        let earlier = [record(r#"{"text":"zero"}"#)];
        let shown = Shown { record: &first, id_shift: 0, deleted: Some(1_705_050_000), earlier: &earlier };
        assert_eq!(
            conversation.message(shown, &zone),
            "\n--- 12 January 2024 ---\n\n08:05  Ada  #5\n       > in reply to #3\n       [photo, 2.0 KB]\n       one\n       two\n       👍 2\n       (before: zero)\n       (deleted; found missing 12 January 2024 09:00)\n"
        );
        let second = record(r#"{"type":"service","actor":"A & <B>","action":"take_screenshot","text":""}"#);
        assert_eq!(conversation.message(Shown::plain(&second), &zone), "08:05  * A & <B> took a screenshot\n");
    }

    #[test]
    fn nothing_drives_the_terminal() {
        let hostile =
            record(r#"{"type":"message","from":"A\u001b[2J","text":"x\u001b]0;t\u0007\u202Ey\r\tz","file":"f","file_name":"\u009b1m"}"#);
        let shown = Conversation::new(true).message(Shown::plain(&hostile), &TimeZone::UTC);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202E}'));
    }
}
