//! Pages of a viewer: a window of a chat's messages, the list of chats and what a search found, in the looks of restored pages.

use std::collections::HashSet;
use std::fmt::Write;

use jiff::tz::TimeZone;

use super::message::{Before, message, userpic};
use super::preview::Lines;
use super::{Owner, Page, begin, escape, frame_end};
use crate::model::chat::ChatType;
use crate::model::peer::Peer;
use crate::render::shown::Shown;

/// What a window of a chat shows around its messages.
pub struct Around<'a> {
    /// The chat's name.
    pub chat: &'a str,
    /// What kind of chat it is, where that is known.
    pub kind: Option<ChatType>,
    /// The zone of shown times.
    pub zone: &'a TimeZone,
    /// The number of messages before the window.
    pub before: usize,
    /// The number of messages after it.
    pub after: usize,
    /// What is to be said above the messages.
    pub notice: &'a [String],
}

/// The page of some messages of a chat, ascending. It lies two folders below the root, at which stored files have their own paths;
/// `has` says which of them there are.
pub fn window(messages: &[Shown<'_>], around: &Around<'_>, owner: &Owner, has: &dyn Fn(&str) -> bool) -> String {
    let ids: Vec<i64> = messages.iter().map(|shown| shown.record.id.saturating_sub(shown.id_shift)).collect();
    let here: HashSet<i64> = ids.iter().copied().collect();
    let paths = messages.iter().flat_map(|shown| std::iter::once(shown.record).chain(shown.earlier));
    let stored: HashSet<String> =
        paths.flat_map(|record| &record.media).filter_map(|media| media.path.as_ref()).map(ToString::to_string).collect();
    let stored: HashSet<&str> = stored.iter().map(String::as_str).filter(|path| has(path)).collect();
    let mut out = String::new();
    begin(&mut out, ("../../", "", around.chat), Some("../../lists/chats.html#allow_back"), around.chat, "chat_page");
    notices(&mut out, around.notice);
    let _ = write!(
        out,
        "<form class=\"search\" role=\"search\" action=\"../../search\"><input class=\"filter\" type=\"search\" name=\"q\" aria-label=\"Search\" placeholder=\"Search all chats\">\
         </form>\n<form class=\"jump\"><label>Jump to <input class=\"tool\" type=\"date\" name=\"date\"></label> <button class=\"tool\">Go</button> \
         <a class=\"tool\" href=\"?first\">First</a> <a class=\"tool\" href=\"?last\">Last</a></form>\n<div class=\"history\">\n"
    );
    if let (1.., Some(first)) = (around.before, ids.first()) {
        let _ = writeln!(out, "<a class=\"pagination block_link\" href=\"?before={first}\">Previous messages</a>");
    }
    let (mut owner, mut before, mut day_lines, mut lines) = (owner.clone(), Before::default(), 0, Lines::default());
    for shown in messages {
        let place = |path: &str| stored.get(path).copied();
        let page_of = |id: i64| Some(if here.contains(&id) { String::new() } else { format!("?around={id}") });
        let mut page = Page {
            zone: around.zone,
            up: "../../",
            folder: "",
            place: &place,
            page_of: &page_of,
            day_lines: &mut day_lines,
            chat: around.chat,
            owner: &mut owner,
            is_of_two: matches!(around.kind, Some(ChatType::PersonalChat | ChatType::BotChat)),
            lines: &mut lines,
        };
        message(&mut out, *shown, &mut page, &mut before);
    }
    if messages.is_empty() {
        out.push_str("<div class=\"message service\"><div class=\"body details\">No messages</div></div>\n");
    }
    if let (1.., Some(last)) = (around.after, ids.last()) {
        let _ = writeln!(out, "<a class=\"pagination block_link\" href=\"?after={last}\">Next messages</a>");
    }
    out.push_str("</div>");
    frame_end(&mut out);
    out
}

/// A line of the list of chats.
pub struct ChatLine<'a> {
    /// Which.
    pub peer: Peer,
    /// Its name.
    pub name: &'a str,
    /// What it is, in a word.
    pub kind: &'a str,
    /// When its last message was sent, in words.
    pub last: String,
    /// The beginning of its last message.
    pub preview: String,
    /// How many messages it has.
    pub messages: u64,
}

/// The list of chats, one folder below the root.
pub fn chats(title: &str, lines: &[ChatLine<'_>], notice: &[String]) -> String {
    let mut out = String::new();
    begin(&mut out, ("../", "", title), None, title, "list_page");
    notices(&mut out, notice);
    out.push_str(
        "<form class=\"search\" role=\"search\" action=\"../search\"><input class=\"filter\" type=\"search\" name=\"q\" aria-label=\"Search\" placeholder=\"Search all chats\"></form>\n\
         <div class=\"entry_list\">",
    );
    for line in lines {
        let _ = write!(
            out,
            "<a class=\"entry block_link clearfix\" href=\"../chats/{}/messages.html\"><div class=\"pull_left userpic_wrap\">",
            line.peer
        );
        userpic(&mut out, Some(line.peer), line.name, 48);
        let _ = write!(out, "</div><div class=\"body\"><div class=\"pull_right info details\">");
        escape::text(&mut out, &line.last);
        out.push_str("</div><div class=\"name bold\">");
        escape::text(&mut out, line.name);
        out.push_str("</div><div class=\"details_entry details\">");
        escape::text(&mut out, &line.preview);
        let count = if line.messages == 1 { "1 message".to_owned() } else { format!("{} messages", line.messages) };
        let _ = writeln!(out, "</div><div class=\"details_entry details\">{}, {count}</div></div></a>", line.kind);
    }
    out.push_str("</div>");
    frame_end(&mut out);
    out
}

/// What a search found: `hits` as [`hit`] wrote them. At the root.
pub fn found(query: &str, hits: &str, summary: &str) -> String {
    let mut out = String::new();
    begin(&mut out, ("", "", "Search"), Some("lists/chats.html#allow_back"), "Search", "list_page");
    out.push_str("<form class=\"search\" role=\"search\" action=\"search\"><input class=\"filter\" type=\"search\" name=\"q\" aria-label=\"Search\" value=\"");
    escape::text(&mut out, query);
    out.push_str("\"></form>\n<div class=\"page_about details\">");
    escape::text(&mut out, summary);
    out.push_str("</div>\n<div class=\"entry_list\">");
    out.push_str(hits);
    out.push_str("</div>");
    frame_end(&mut out);
    out
}

/// Writes one hit of a search; `date` in words.
pub fn hit(out: &mut String, peer: Peer, chat: &str, id: i64, date: &str, from: &str, text: &str) {
    let _ = write!(
        out,
        "<a class=\"entry block_link clearfix\" href=\"chats/{peer}/messages.html?around={id}#go_to_message{id}\"><div class=\"body\">\
         <div class=\"pull_right info details\">"
    );
    escape::text(out, date);
    out.push_str("</div><div class=\"name bold\">");
    escape::text(out, chat);
    out.push_str("</div><div class=\"details_entry details\">");
    if !from.is_empty() {
        escape::text(out, from);
        out.push_str(": ");
    }
    escape::text(out, text);
    out.push_str("</div></div></a>\n");
}

/// A page that says one thing, such as that something is not there.
pub fn plain(title: &str, text: &str) -> String {
    let mut out = String::new();
    begin(&mut out, ("", "", title), None, title, "list_page");
    out.push_str("<div class=\"page_about details\">");
    escape::text(&mut out, text);
    out.push_str("</div>");
    frame_end(&mut out);
    out
}

fn notices(out: &mut String, notice: &[String]) {
    for text in notice {
        out.push_str("<div class=\"page_about details\" role=\"note\">");
        escape::text(out, text);
        out.push_str("</div>\n");
    }
}
