//! What a message says in one line: for the quote in a reply, for the list of chats, and for its earlier versions.

use std::collections::VecDeque;

use super::escape;
use super::service::{duration, plain_sentence};
use super::view::View;
use crate::model::json;

/// Letters of a line, at most.
const LETTERS: usize = 120;

/// Messages of a chat whose lines are kept for replies: a few hundred bytes each.
const KEPT: usize = 10_000;

/// What a message says, in one line; empty where it says nothing.
pub fn line(view: &View<'_>) -> String {
    if view.word("type") == "service" {
        return cut(&plain_sentence(view));
    }
    let text = ["text", "rich_message"].into_iter().find_map(|key| {
        let value = view.get(key)?;
        let text = if key == "text" { escape::plain(value) } else { escape::rich_plain(value) };
        Some(text).filter(|text| !text.trim().is_empty())
    });
    let parts = [kind(view), text].into_iter().flatten().collect::<Vec<_>>();
    cut(&parts.join(", "))
}

/// Reactions with their numbers.
pub fn reactions(view: &View<'_>) -> Option<String> {
    let all = json::elements(view.get("reactions")?).map(|reaction| {
        let emoji = json::get(reaction, "emoji").and_then(json::text).unwrap_or_else(|| "custom".into());
        format!("{emoji} {}", json::get(reaction, "count").unwrap_or_default())
    });
    Some(all.collect::<Vec<_>>().join("  "))
}

/// What it shows beside its text.
pub fn kind(view: &View<'_>) -> Option<String> {
    let named = |what: &str, name: Option<String>| match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{what}: {name}"),
        None => what.to_owned(),
    };
    let of = |key: &str, inner: &str| view.get(key).map(|value| json::get(value, inner).map(escape::plain).unwrap_or_default());
    if view.get("photo").is_some() {
        return Some("Photo".to_owned());
    }
    if view.get("file").is_some() {
        let length = view.integer("duration_seconds").map(duration).map(|length| format!(" ({length})")).unwrap_or_default();
        return Some(match view.word("media_type") {
            "voice_message" => format!("Voice message{length}"),
            "video_message" => format!("Video message{length}"),
            "video_file" => format!("Video{length}"),
            "animation" => "GIF".to_owned(),
            "sticker" => format!("{} Sticker", view.text("sticker_emoji").unwrap_or_default()).trim().to_owned(),
            "audio_file" => named("Music", view.text("title").or_else(|| view.text("file_name")).map(Into::into)),
            _ => named("File", view.text("file_name").map(Into::into)),
        });
    }
    if let Some(question) = of("poll", "question") {
        return Some(named("Poll", Some(question)));
    }
    if let Some(title) = of("todo_list", "title") {
        return Some(named("Checklist", Some(title)));
    }
    let of_key = |(key, what): (&str, &str)| view.get(key).map(|_| what.to_owned());
    let others = [
        ("contact_information", "Contact"),
        ("location_information", "Location"),
        ("game_title", "Game"),
        ("invoice_information", "Invoice"),
        ("giveaway_information", "Giveaway"),
        ("giveaway_results", "Giveaway results"),
        ("paid_stars_amount", "Paid media"),
    ];
    others.into_iter().find_map(of_key)
}

/// The beginning of a text, its white space as single spaces.
fn cut(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", flat.get(..end).unwrap_or_default().trim_end()),
        None => flat,
    }
}

/// What the last messages of a chat say, for replies to them. Messages come ascending by id.
#[derive(Debug, Default)]
pub struct Lines(VecDeque<Line>);

/// One of them.
#[derive(Debug)]
struct Line {
    id: i64,
    name: Box<str>,
    words: Box<str>,
}

impl Lines {
    /// Takes the next message in.
    pub fn add(&mut self, id: i64, name: &str, words: &str) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Line { id, name: name.into(), words: words.into() });
    }

    /// Name and words of a message; `None` for one that is too far back.
    pub fn get(&self, id: i64) -> Option<(&str, &str)> {
        let at = self.0.binary_search_by_key(&id, |line| line.id).ok()?;
        self.0.get(at).map(|line| (&*line.name, &*line.words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_and_the_last_messages_are_kept() {
        assert_eq!(cut(" a\n\n b\t"), "a b");
        assert_eq!(cut(&"ä".repeat(LETTERS + 1)), format!("{}…", "ä".repeat(LETTERS)));
        let mut lines = Lines::default();
        (1..=KEPT as i64 + 5).for_each(|id| lines.add(id * 2, "A", &format!("m{id}")));
        assert_eq!((lines.get(10), lines.get(13)), (None, None));
        assert_eq!((lines.get(12), lines.0.len()), (Some(("A", "m6")), KEPT));
    }
}
