//! One message of a chat page.

use std::fmt::Write;

use super::call::{call, is_call, is_own};
use super::media::{attachments, emoji_picture, group_photo, media};
use super::service::sentence;
use super::view::{View, day};
use super::{Page, escape, preview};
use crate::model::json;
use crate::model::peer::{Peer, PeerKind};
use crate::render::earlier;
use crate::render::shown::Shown;

/// What the next message needs to know of the one before it, for date lines and joining.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    day: Option<(i16, i8, i8)>,
    sender: Option<(Option<Peer>, String)>,
    via: String,
    forward: Option<String>,
    unix: i64,
    album: Option<String>,
    joinable: bool,
}

/// At most so many seconds lie between joined messages; between joined forwards, one.
const JOIN_SECONDS: i64 = 900;

/// Writes one message, a date line before it where the day is a new one.
pub fn message(out: &mut String, shown: Shown<'_>, page: &mut Page<'_>, before: &mut Before) {
    let view = View::new(shown.record, page.zone);
    let id = shown.record.id.saturating_sub(shown.id_shift);
    let local = view.local();
    let today = local.map(|local| (local.year(), local.month(), local.day()));
    if let (Some(local), true) = (local, today != before.day) {
        *page.day_lines += 1;
        let _ = writeln!(
            out,
            "<div class=\"message service\" id=\"message-{}\"><div class=\"body details\">{}</div></div>",
            page.day_lines,
            day(local)
        );
    }
    let is_service = matches!(view.word("type"), "service" | "unsupported") && !is_call(&view);
    let name = view.name(if is_call(&view) { "actor" } else { "from" }).unwrap_or_default().into_owned();
    // In a private chat, whoever it is not is the owner.
    let peer = shown.record.peer;
    if !is_service && peer.kind == PeerKind::User && view.sender().is_some_and(|sender| sender != peer) && page.owner.name.is_none() {
        page.owner.name = Some(name.clone());
    }
    let now = Before {
        day: today.or(before.day),
        sender: Some((view.sender(), name)),
        via: view.text("via_bot").unwrap_or_default().into_owned(),
        forward: view.get("forwarded_from").map(|from| format!("{from}{}", view.word("forwarded_from_id"))),
        unix: shown.record.date.unwrap_or_default(),
        album: view.extra("grouped_id").map(str::to_owned),
        joinable: !is_service,
    };
    if is_service {
        service(out, &view, shown, page, id);
    } else {
        let limit = if now.forward.is_some() { 1 } else { JOIN_SECONDS };
        let joined = before.joinable
            && before.day == now.day
            && (&before.sender, &before.via, &before.forward) == (&now.sender, &now.via, &now.forward)
            && now.unix.saturating_sub(before.unix) <= limit;
        let grouped = joined && now.album.is_some() && before.album == now.album;
        ordinary(out, &view, shown, page, id, joined, grouped);
    }
    let sender = now.sender.as_ref().map(|(_, name)| name.as_str()).unwrap_or_default();
    page.lines.add(id, if is_service { "" } else { sender }, &preview::line(&view));
    *before = now;
}

fn service(out: &mut String, view: &View<'_>, shown: Shown<'_>, page: &Page<'_>, id: i64) {
    let gone = if shown.deleted.is_some() { " deleted" } else { "" };
    let _ = write!(out, "<div class=\"message service{gone}\" id=\"message{id}\"><div class=\"body details\" id=\"go_to_message{id}\">");
    sentence(out, view, &|target, words| link(page, target.saturating_sub(shown.id_shift), words));
    out.push_str("</div>");
    if let Some(photo) = view.get("photo") {
        group_photo(out, view, page, photo);
    }
    attachments(out, view, page);
    history(out, shown, page);
    deletion(out, view, shown);
    out.push_str("</div>\n");
}

fn ordinary(out: &mut String, view: &View<'_>, shown: Shown<'_>, page: &Page<'_>, id: i64, joined: bool, grouped: bool) {
    let gone = if shown.deleted.is_some() { " deleted" } else { "" };
    let more = if joined { " joined" } else { "" };
    let album = if grouped { " grouped" } else { "" };
    let _ = write!(out, "<div class=\"message default clearfix{more}{album}{gone}\" id=\"message{id}\">");
    let name = view.name(if is_call(view) { "actor" } else { "from" }).unwrap_or_default();
    if !joined {
        out.push_str("<div class=\"pull_left userpic_wrap\">");
        userpic(out, view.sender(), &name, 42);
        out.push_str("</div>");
    }
    let own = if is_own(view, page, page.is_of_two) { " data-own=\"1\"" } else { "" };
    let _ = write!(out, "<div class=\"body\" id=\"go_to_message{id}\"{own}>");
    if let Some(local) = view.local() {
        let (full, hour, minute) = (view.full(local), local.hour(), local.minute());
        let _ = write!(out, "<div class=\"pull_right date details\" title=\"{full}\">{hour:02}:{minute:02}</div>");
    }
    if !joined {
        out.push_str("<div class=\"from_name\">");
        escape::text(out, &name);
        if let Some(bot) = view.text("via_bot") {
            out.push_str(" via ");
            escape::text(out, &bot);
        }
        out.push_str("</div>");
    }
    let forwarded = view.get("forwarded_from").is_some();
    if forwarded {
        let from = view.name("forwarded_from").unwrap_or_default();
        out.push_str("<div class=\"pull_left forwarded userpic_wrap\">");
        userpic(out, view.get("forwarded_from_id").and_then(json::spelling).and_then(|id| id.parse().ok()), &from, 42);
        out.push_str("</div><div class=\"forwarded body\"><div class=\"from_name\">");
        escape::text(out, &from);
        if let Some(full) = view.extra("forwarded_date_unixtime").and_then(json::digits).and_then(|unix| view.full_time(unix)) {
            let _ = write!(out, "<span class=\"date details\" title=\"{full}\"> {}</span>", full.split(" UTC").next().unwrap_or_default());
        }
        out.push_str("</div>");
    }
    reply(out, view, shown, page);
    if is_call(view) {
        call(out, view, page);
    } else {
        media(out, view, page);
    }
    text(out, view);
    attachments(out, view, page);
    buttons(out, view);
    if let Some(author) = view.text("author").filter(|author| !author.is_empty()) {
        out.push_str("<div class=\"signature details\">");
        escape::text(out, &author);
        out.push_str("</div>");
    }
    if let Some(edited) = shown.record.edited.filter(|_| view.extra("edit_hide").is_none()) {
        out.push_str("<div class=\"edited details\">edited ");
        escape::text(out, &view.unix_time(edited));
        out.push_str("</div>");
    }
    reactions(out, view, page);
    if forwarded {
        out.push_str("</div>");
    }
    history(out, shown, page);
    deletion(out, view, shown);
    out.push_str("</div></div>\n");
}

/// A coloured circle with initials.
pub fn userpic(out: &mut String, peer: Option<Peer>, name: &str, size: u32) {
    const COLOURS: [u8; 7] = [0, 7, 4, 1, 6, 3, 5];
    let index = peer.map_or(0, |peer| peer.id.rem_euclid(7));
    let colour = usize::try_from(index).ok().and_then(|index| COLOURS.get(index)).copied().unwrap_or(0) + 1;
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let mut initials: String = words.next().into_iter().collect();
    initials.extend(words.next_back());
    let _ = write!(
        out,
        "<div class=\"userpic userpic{colour}\" style=\"width: {size}px; height: {size}px\"><div class=\"initials\" style=\"line-height: {size}px\">"
    );
    escape::text(out, &initials);
    out.push_str("</div></div>");
}

/// A link to a message of this chat, or what it is when the backup does not have it.
fn link(page: &Page<'_>, id: i64, words: &str) -> String {
    let mut html = String::new();
    match (page.page_of)(id) {
        Some(file) => {
            let _ = write!(html, "<a href=\"{file}#go_to_message{id}\">");
            escape::text(&mut html, words);
            html.push_str("</a>");
        }
        None => {
            escape::text(&mut html, words);
            html.push_str(" (not in the backup)");
        }
    }
    html
}

fn reply(out: &mut String, view: &View<'_>, shown: Shown<'_>, page: &Page<'_>) {
    let Some(target) = view.integer("reply_to_message_id") else { return };
    out.push_str("<div class=\"reply_to details\">");
    if view.get("reply_to_peer_id").is_some() {
        out.push_str("In reply to a message in another chat");
    } else {
        let target = target.saturating_sub(shown.id_shift);
        let _ = write!(out, "In reply to {}", link(page, target, "this message"));
    }
    // A part that the sender chose, or else the beginning of the message.
    let answered = if view.get("reply_to_peer_id").is_some() { None } else { page.lines.get(target.saturating_sub(shown.id_shift)) };
    if let Some((name, _)) = answered.filter(|(name, _)| !name.is_empty()) {
        out.push_str("<div class=\"reply_name\">");
        escape::text(out, name);
        out.push_str("</div>");
    }
    if let Some(quote) = view.extra("reply_quote") {
        out.push_str("<blockquote>");
        escape::lines(out, &escape::plain(quote));
        out.push_str("</blockquote>");
    } else if let Some((_, words)) = answered.filter(|(_, words)| !words.is_empty()) {
        out.push_str("<div class=\"reply_words\">");
        escape::text(out, words);
        out.push_str("</div>");
    }
    out.push_str("</div>");
}

fn text(out: &mut String, view: &View<'_>) {
    let value = match (view.get("text_entities"), view.get("text")) {
        (Some(entities), _) if json::elements(entities).next().is_some() => entities,
        (_, Some(text)) if text != "\"\"" => text,
        _ => match view.get("rich_message") {
            Some(rich) => {
                out.push_str("<div class=\"text\">");
                escape::lines(out, &escape::rich_plain(rich));
                out.push_str("</div>");
                return;
            }
            None => return,
        },
    };
    out.push_str("<div class=\"text\">");
    escape::rich(out, value);
    out.push_str("</div>");
}

fn buttons(out: &mut String, view: &View<'_>) {
    let Some(rows) = view.get("inline_bot_buttons") else { return };
    out.push_str("<table class=\"bot_buttons_table\">");
    for row in json::elements(rows) {
        out.push_str("<tr>");
        for button in json::elements(row) {
            let part = |key: &str| json::get(button, key).and_then(json::text).unwrap_or_default();
            out.push_str("<td><div class=\"bot_button\">");
            let link = part("data");
            let is_link = part("type") == "url" && escape::is_safe_link(&link);
            if is_link {
                out.push_str("<a href=\"");
                escape::text(out, &link);
                out.push_str("\" rel=\"noopener noreferrer\">");
            }
            escape::text(out, &part("text"));
            out.push_str(if is_link { "</a></div></td>" } else { "</div></td>" });
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
}

fn reactions(out: &mut String, view: &View<'_>, page: &Page<'_>) {
    let Some(reactions) = view.get("reactions") else { return };
    let own: Vec<&str> = view.extra("own_reactions").map(json::elements).into_iter().flatten().collect();
    out.push_str("<span class=\"reactions\">");
    for reaction in json::elements(reactions) {
        let kind = json::get(reaction, "type").and_then(json::spelling).unwrap_or_default();
        let paid = if kind == "paid" { " paid" } else { "" };
        let is_own = |own: &str| ["type", "emoji", "document_id"].iter().all(|key| json::get(own, key) == json::get(reaction, key));
        let active = if own.iter().any(|own| is_own(own)) { " active" } else { "" };
        let _ = write!(out, "<span class=\"reaction{active}{paid}\"><span class=\"emoji\">");
        let picture = json::get(reaction, "document_id").and_then(|value| emoji_picture(value, page));
        match (json::get(reaction, "emoji").and_then(json::text), picture) {
            (Some(emoji), _) => escape::text(out, &emoji),
            (None, Some(source)) => {
                let _ = write!(out, "<img width=\"20\" height=\"20\" loading=\"lazy\" alt=\"Custom emoji\" src=\"{source}\">");
            }
            (None, None) => out.push_str(if kind == "paid" { "⭐" } else { "🖼" }),
        }
        out.push_str("</span><span class=\"userpics\">");
        let mut listed = 0;
        for person in json::get(reaction, "recent").map(json::elements).into_iter().flatten() {
            let name = json::get(person, "from").and_then(json::text).unwrap_or_else(|| "Deleted Account".into());
            let peer = json::get(person, "from_id").and_then(json::spelling).and_then(|id| id.parse().ok());
            out.push_str("<span title=\"");
            escape::text(out, &name);
            out.push_str("\">");
            userpic(out, peer, &name, 20);
            out.push_str("</span>");
            listed += 1;
        }
        out.push_str("</span>");
        let count = json::get(reaction, "count").and_then(json::integer).unwrap_or_default();
        if count > listed {
            let _ = write!(out, "<span class=\"count\">{count}</span>");
        }
        out.push_str("</span>");
    }
    out.push_str("</span>");
}

fn history(out: &mut String, shown: Shown<'_>, page: &Page<'_>) {
    let versions = earlier::of(&shown);
    if versions.is_empty() {
        return;
    }
    let _ = write!(out, "<details class=\"earlier_versions\"><summary class=\"details\">Earlier versions: {}</summary>", versions.len());
    for version in versions {
        let view = View::of(shown.record, version.message, page.zone);
        let when = version.written.or(version.observed);
        out.push_str("<div class=\"earlier\"><span class=\"details\">");
        escape::text(out, &when.map(|unix| view.unix_time(unix)).unwrap_or_default());
        out.push_str("</span>");
        if view.word("type") == "service" {
            out.push_str("<div class=\"text\">");
            sentence(out, &view, &|target, words| link(page, target.saturating_sub(shown.id_shift), words));
            out.push_str("</div>");
        }
        let beside = |out: &mut String, words: Option<String>| {
            if let Some(words) = words {
                out.push_str("<div class=\"details\">");
                escape::text(out, &words);
                out.push_str("</div>");
            }
        };
        beside(out, preview::kind(&view));
        text(out, &view);
        beside(out, preview::reactions(&view));
        out.push_str("</div>");
    }
    out.push_str("</details>");
}

fn deletion(out: &mut String, view: &View<'_>, shown: Shown<'_>) {
    if let Some(deleted) = shown.deleted {
        out.push_str("<div class=\"details deleted_mark\">Deleted; found missing ");
        escape::text(out, &view.unix_time(deleted));
        out.push_str("</div>");
    }
}
