//! The page of a chat that tells what it has beside messages.

use std::fmt::Write;

use jiff::tz::TimeZone;

use super::lists::shown_value;
use super::message::userpic;
use super::{ABOUT_FILE, Pages, escape, frame_begin, frame_end};
use crate::model::chat::DELETED_ACCOUNT;
use crate::model::chat_part::ChatPart;
use crate::model::json;
use crate::model::part::Part;
use crate::model::peer::Peer;
use crate::model::time;
use crate::render::media_names::Places;

/// Writes `about.html` in the folder of a chat; an empty folder is that of a single-chat export.
///
/// # Errors
/// Those of `pages`.
pub fn about_page<P: Pages>(
    name: &str,
    folder: &str,
    parts: &[ChatPart],
    zone: &TimeZone,
    names: &Places,
    pages: &mut P,
) -> Result<(), P::Error> {
    let up = if folder.is_empty() { "" } else { "../../" };
    let mut out = String::new();
    frame_begin(&mut out, up, Some("messages.html#allow_back"), name, "list_page");
    for part in parts {
        let entries: Vec<&str> = if part.part == Part::About { vec![part.value.get()] } else { json::elements(part.value.get()).collect() };
        if entries.is_empty() {
            continue;
        }
        let _ = write!(out, "<div class=\"page_about bold\">{}", label(part.part));
        if part.part != Part::About {
            let _ = write!(out, " ({})", entries.len());
        }
        out.push_str("</div><div class=\"entry_list\">");
        for entry in entries {
            write_entry(&mut out, part.part, entry, &Around { zone, names, up });
        }
        out.push_str("</div>\n");
    }
    frame_end(&mut out);
    pages.page(&format!("{folder}{ABOUT_FILE}"), out.into_bytes())
}

fn label(part: Part) -> &'static str {
    match part {
        Part::About => "About",
        Part::Members => "Members",
        Part::ProfilePictures => "Profile pictures",
        Part::Stories => "Stories",
        Part::ScheduledMessages => "Scheduled messages",
        Part::AdminLog => "Recent actions of administrators",
    }
}

/// What an entry needs to know of the page.
struct Around<'a> {
    zone: &'a TimeZone,
    names: &'a Places,
    up: &'a str,
}

impl Around<'_> {
    /// A moment of an entry, in this zone.
    fn moment(&self, entry: &str, key: &str) -> Option<String> {
        let unix = json::get(entry, &format!("{key}_unixtime")).and_then(json::digits)?;
        Some(time::iso(time::local(self.zone, unix)?).replace('T', " "))
    }
}

fn write_entry(out: &mut String, part: Part, entry: &str, around: &Around<'_>) {
    let word = |key: &str| json::get(entry, key).and_then(json::text).filter(|text| !text.is_empty());
    out.push_str("<div class=\"entry clearfix\">");
    let file = ["photo", "media", "file"].into_iter().find_map(|key| around.names.placed(&word(key)?).map(str::to_owned));
    if let Some(placed) = &file {
        picture(out, around.up, placed);
    } else if part == Part::Members {
        let name = word("name").unwrap_or_default();
        out.push_str("<div class=\"pull_left userpic_wrap\">");
        userpic(out, word("id").and_then(|id| id.parse::<Peer>().ok()), &name, 48);
        out.push_str("</div>");
    }
    out.push_str("<div class=\"body\">");
    if let Some(moment) = around.moment(entry, "date") {
        out.push_str("<div class=\"pull_right info details\">");
        escape::text(out, &moment);
        out.push_str("</div>");
    }
    let title = match part {
        Part::Members => Some(word("name").map_or_else(|| DELETED_ACCOUNT.to_owned(), Into::into)),
        Part::AdminLog => Some(format!(
            "{}: {}",
            word("actor").as_deref().unwrap_or(DELETED_ACCOUNT),
            word("action").unwrap_or_default().replace('_', " ")
        )),
        Part::About | Part::ProfilePictures | Part::Stories | Part::ScheduledMessages => None,
    };
    if let Some(title) = title {
        out.push_str("<div class=\"name bold\">");
        escape::text(out, &title);
        out.push_str("</div>");
    }
    if part == Part::ScheduledMessages
        && let Some(text) = json::get(entry, "text")
    {
        out.push_str("<div class=\"text\">");
        escape::lines(out, &escape::plain(text));
        out.push_str("</div>");
    }
    for (key, value) in json::members(entry) {
        let told = match key {
            "photo" | "media" | "file" if file.is_some() => true,
            "name" if part == Part::Members => true,
            "actor" | "actor_id" | "action" | "id" if part == Part::AdminLog => true,
            "id" | "type" | "from" | "from_id" | "text" | "text_entities" if part == Part::ScheduledMessages => true,
            "date" | "text_entities" => true,
            key => key.ends_with("_unixtime"),
        };
        let text = if told { String::new() } else { shown_value(value) };
        if text.is_empty() {
            continue;
        }
        let text = around.moment(entry, key).unwrap_or(text);
        out.push_str("<div class=\"details_entry details\">");
        match key {
            "description" | "caption" => escape::lines(out, &text),
            "role" => escape::text(out, &text),
            _ => escape::lines(out, &format!("{}: {text}", key.replace('_', " "))),
        }
        out.push_str("</div>");
    }
    out.push_str("</div></div>\n");
}

/// A picture, or a link to another file.
fn picture(out: &mut String, up: &str, placed: &str) {
    out.push_str("<a class=\"pull_left userpic_wrap\" href=\"");
    escape::path(out, up, placed);
    out.push_str("\">");
    let name = placed.to_lowercase();
    if [".jpg", ".jpeg", ".png", ".webp", ".gif"].iter().any(|end| name.ends_with(end)) {
        out.push_str("<img width=\"120\" loading=\"lazy\" alt=\"Photo\" src=\"");
        escape::path(out, up, placed);
        out.push_str("\">");
    } else {
        out.push_str(if name.ends_with(".mp4") { "Video" } else { "File" });
    }
    out.push_str("</a>");
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    struct Kept(Vec<(String, String)>);

    impl Pages for Kept {
        type Error = std::convert::Infallible;

        fn page(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), Self::Error> {
            self.0.push((path.to_owned(), String::from_utf8(bytes).unwrap()));
            Ok(())
        }
    }

    #[test]
    fn a_page_tells_all_parts_and_escapes_what_people_wrote() {
        let part = |part: Part, value: &str| ChatPart {
            v: 1,
            peer: Peer::channel(5),
            part,
            observed: 9,
            run: "r".parse().unwrap(),
            value: RawValue::from_string(value.to_owned()).unwrap(),
            media: vec![],
            raw: vec![],
        };
        let parts = [
            part(Part::About, r#"{"description":"<b>Hikers</b>\nand more","pinned_message_id":7,"members_count":2}"#),
            part(
                Part::Members,
                r#"[{"id":"user1","name":"Ann <3","role":"creator","date_unixtime":"1764000000"},{"id":"user2","name":null,"role":"member"}]"#,
            ),
            part(
                Part::ScheduledMessages,
                r#"[{"id":1,"type":"message","date_unixtime":"1764000000","from":"Me","text":["See ",{"type":"bold","text":"you"}]}]"#,
            ),
            part(
                Part::AdminLog,
                r#"[{"id":3,"date_unixtime":"1764000000","actor":"Bob","actor_id":"user4","action":"change_title","before":"A","now":"B"}]"#,
            ),
            part(Part::Stories, "[]"),
        ];
        let mut pages = Kept(vec![]);
        about_page("Hikers & co", "chats/chat_01/", &parts, &TimeZone::UTC, &Places::default(), &mut pages).unwrap();
        let (path, page) = &pages.0[0];
        assert_eq!(path, "chats/chat_01/about.html");
        for expected in [
            "Hikers &amp; co",
            "&lt;b&gt;Hikers&lt;/b&gt;<br>and more",
            "pinned message id: 7",
            "Members (2)",
            "Ann &lt;3",
            "Deleted Account",
            ">creator<",
            "2025-11-24 16:00:00",
            "See you",
            "Bob: change title",
            "before: A",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
        assert!(!page.contains("Stories") && !page.contains("<b>"), "{page}");
    }
}
