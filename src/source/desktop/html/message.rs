//! From a message's element to Telegram Desktop's JSON keys, as far as pages tell them.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use super::dom::{Element, Node, closes_before, flowing};
use super::loose;

/// What a page tells of one message.
#[derive(Debug, Default)]
pub struct Told {
    /// Its id.
    pub id: i64,
    /// When it was sent, Unix seconds; `None` for service messages, of which pages tell the day only.
    pub date: Option<i64>,
    /// Whether it was sent by the sender of the message before, whose name is not repeated.
    pub joined: bool,
    /// The keys, as members of an object without its brackets, `id`, `type`, dates and sender left out.
    pub keys: String,
    /// The sender's name; empty where it is not told.
    pub from: String,
    /// The bot that it was sent with.
    pub via_bot: Option<String>,
    /// `service`, or `message`.
    pub kind: &'static str,
    /// When a forwarded message was first sent, Unix seconds.
    pub forwarded_date: Option<i64>,
}

/// Where a page lies, and how it writes links.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a> {
    /// The page's folder, relative to the export's root.
    pub path: &'a str,
    /// Whether links have `%NN` for some characters: ours do, Telegram Desktop's are plain paths.
    pub escaped: bool,
}

/// What stands for a message that Telegram Desktop cannot export.
const UNSUPPORTED: &str = "This message is not supported by this version of Telegram Desktop. Please update the application.";

/// The keys of one message, written in the order of Telegram Desktop's JSON.
struct Keys(String);

impl Keys {
    fn raw(&mut self, key: &str, value: &str) {
        let _ = write!(self.0, ",\"{key}\":{value}");
    }

    fn text(&mut self, key: &str, text: &str) {
        self.raw(key, &quoted(text));
    }

    fn number(&mut self, key: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.raw(key, &number.to_string());
        }
    }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether elements with this id are lines that say a day: they are numbered -1, -2, …; so are messages from before a migration, far
/// below.
fn is_day(id: i64) -> bool {
    (-1_000_000..0).contains(&id)
}

/// The number in an element's id.
fn id_of(element: &Element<'_>) -> Option<i64> {
    element.attribute("id")?.strip_prefix("message")?.parse().ok()
}

/// Whether this is a line that says a day, and no message.
pub fn is_day_line(element: &Element<'_>) -> bool {
    id_of(element).is_some_and(is_day)
}

/// The messages and date lines of a page, told by their ids: where their tags begin, ascending, and their ids. This is asked of the
/// bytes alone, so that what is read of the page can be compared with it.
pub fn starts(page: &str) -> Vec<(usize, i64)> {
    let mut found = Vec::new();
    for at in memchr::memmem::find_iter(page.as_bytes(), b"message") {
        let (before, after) = (page.get(..at).unwrap_or_default(), page.get(at + b"message".len()..).unwrap_or_default());
        let digits = after.strip_prefix('-').unwrap_or(after).bytes().take_while(u8::is_ascii_digit).count();
        let digits = digits + usize::from(after.starts_with('-'));
        let Some(id) = after.get(..digits).and_then(|id| id.parse().ok()) else { continue };
        let is_ended =
            after.get(digits..).is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '>')));
        let key = before.trim_end_matches(['"', '\'']).trim_end().strip_suffix('=').unwrap_or_default().trim_end();
        let key = key.rsplit(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).next().unwrap_or_default();
        let tag = before.rfind('<').filter(|_| is_ended && key.eq_ignore_ascii_case("id"));
        // Behind the end of its tag it is a word of a text.
        let tag = tag.filter(|&tag| !before.get(tag..).is_some_and(closes_before));
        if let Some(tag) = tag.filter(|tag| found.last().is_none_or(|(last, _)| last < tag)) {
            found.push((tag, id));
        }
    }
    found
}

/// Reads a message's element; `None` for date lines and what is no message.
pub fn message(element: &Element<'_>, zone: &TimeZone, folder: Folder<'_>) -> Option<Told> {
    let id = id_of(element)?;
    let body = loose::body(element);
    if body.children.is_empty() {
        return None;
    }
    let mut told = Told { id, kind: "message", joined: element.has_class("joined"), ..Told::default() };
    let mut keys = Keys(String::new());
    if element.has_class("service") {
        if is_day(id) {
            return None;
        }
        if body.own_text() == UNSUPPORTED {
            told.kind = "unsupported";
            return Some(told);
        }
        told.kind = "service";
        if let Some(photo) = find_link(element, "userpic_link").or_else(|| find_link(element, "photo_wrap")) {
            keys.text("photo", &path(folder, &photo));
        }
        keys.text("information_text", &body.text());
        keys.raw("text", "\"\"");
        keys.raw("text_entities", "[]");
        told.keys = keys.0;
        return Some(told);
    }
    let date = body.elements().find(|child| child.has_class("date"));
    told.date = date.and_then(|date| full_date(&date.attribute("title")?, zone));
    if let Some(from) = body.elements().find(|child| child.has_class("from_name")) {
        (told.from, told.via_bot) = name(from);
    }
    if let Some(block) = body.find("media_call") {
        told.kind = "service";
        told.keys = call(block);
        return Some(told);
    }
    let forwarded = body.elements().find(|child| child.has_class("forwarded") && child.has_class("body"));
    let inside = forwarded.unwrap_or(body);
    if let Some(signature) = inside.find("signature").or_else(|| body.find("signature")) {
        keys.text("author", &signature.text());
    }
    if let Some(from) = forwarded.and_then(|forwarded| forwarded.elements().find(|child| child.has_class("from_name"))) {
        let (name, via_bot) = name(from);
        keys.text("forwarded_from", &name);
        told.via_bot = told.via_bot.or(via_bot);
        let date = from.find("date").map(|date| date.attribute("title").map_or_else(|| date.text(), |title| title.into_owned()));
        told.forwarded_date = date.and_then(|date| full_date(&date, zone));
    }
    if let Some(reply) = inside.find("reply_to").or_else(|| body.find("reply_to")) {
        let link = reply.elements().find(|child| child.is("a")).and_then(|link| link.attribute("href"));
        let target = link.and_then(|link| link.split_once("#go_to_message")?.1.parse().ok());
        keys.number("reply_to_message_id", target);
    }
    if let Some(bot) = &told.via_bot {
        keys.text("via_bot", bot);
    }
    // Pages of ours show more files than a message has keys for.
    let mut attached = Vec::new();
    inside.find_all("attachment", &mut attached);
    let links = attached.iter().filter_map(|wrap| find_link(wrap, "photo_wrap").or_else(|| find_link(wrap, "media")));
    let text = inside.elements().find(|child| child.has_class("text"));
    let rich = text.filter(|text| text.has_class("rich_message"));
    let mut in_text = Vec::new();
    rich.into_iter().for_each(|rich| super::rich::files(rich, &mut in_text));
    let links = links.chain(in_text.into_iter().map(std::borrow::Cow::into_owned));
    let attached: Vec<String> =
        links.map(|link| format!("{{\"role\":\"attachment\",\"file\":{}}}", quoted(&path(folder, &link)))).collect();
    let mut wraps = Vec::new();
    for child in inside.elements().filter(|child| !child.has_class("attachment")) {
        child.find_all("media_wrap", &mut wraps);
    }
    for wrap in wraps {
        media(&mut keys, wrap, folder);
    }
    match rich.map(super::rich::text_of) {
        Some(parts) => {
            keys.raw("text", &parts.short());
            keys.raw("text_entities", &parts.long());
        }
        None => {
            let entities = text.map_or_else(|| entities(loose::text(inside)), |text| entities(text.nodes()));
            keys.raw("text", &short_text(&entities));
            keys.raw("text_entities", &long_text(&entities));
        }
    }
    buttons(&mut keys, body);
    reactions(&mut keys, body);
    if !attached.is_empty() {
        keys.raw("attachments", &format!("[{}]", attached.join(",")));
    }
    told.keys = keys.0;
    Some(told)
}

/// The day of a date line, `12 January 2024`; `None` for any other element.
pub fn day(element: &Element<'_>) -> Option<Date> {
    const MONTHS: [&str; 12] =
        ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    let text = element.find("body").unwrap_or(element).text();
    let mut words = text.split_whitespace();
    let (day, month, year) = (words.next()?.parse().ok()?, words.next()?, words.next()?.parse().ok()?);
    let month = i8::try_from(MONTHS.iter().position(|name| *name == month)? + 1).ok()?;
    Date::new(year, month, day).ok().filter(|_| words.next().is_none())
}

/// A name, and the bot after " via ".
fn name(element: &Element<'_>) -> (String, Option<String>) {
    let text = element.own_text();
    match text.split_once(" via @") {
        Some((name, bot)) => (name.trim().to_owned(), Some(format!("@{}", bot.trim()))),
        None => (text, None),
    }
}

/// Reads `DD.MM.YYYY HH:MM:SS` with ` UTC+HH:MM` behind it, which older exports leave out.
pub fn full_date(text: &str, zone: &TimeZone) -> Option<i64> {
    let mut parts = text.split_whitespace();
    let mut day = parts.next()?.split('.').map(str::parse::<i16>);
    let (d, m, y) = (day.next()?.ok()?, day.next()?.ok()?, day.next()?.ok()?);
    let mut time = parts.next()?.split(':').map(str::parse::<i8>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next().unwrap_or(Ok(0)).ok()?);
    let local = DateTime::new(y, i8::try_from(m).ok()?, i8::try_from(d).ok()?, hour, minute, second, 0).ok()?;
    let offset = parts.next().and_then(|zone| {
        let zone = zone.strip_prefix("UTC")?;
        let sign = if zone.starts_with('-') { -1 } else { 1 };
        let (hours, minutes) = zone.trim_start_matches(['+', '-']).split_once(':')?;
        Offset::from_seconds(sign * (hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60)).ok()
    });
    let stamp: Timestamp = match offset {
        Some(offset) => offset.to_timestamp(local).ok()?,
        None => zone.to_timestamp(local).ok()?,
    };
    Some(stamp.as_second())
}

fn find_link(element: &Element<'_>, class: &str) -> Option<String> {
    element.find(class)?.attribute("href").map(std::borrow::Cow::into_owned)
}

/// A link relative to the page as a path relative to the export's root.
fn path(folder: Folder<'_>, link: &str) -> String {
    let link = if folder.escaped { unescaped(link) } else { link.to_owned() };
    let mut parts: Vec<&str> = folder.path.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Resolves `%NN`.
fn unescaped(link: &str) -> String {
    let mut out = Vec::with_capacity(link.len());
    let mut bytes = link.bytes();
    while let Some(byte) = bytes.next() {
        let mut rest = bytes.clone();
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (byte, hex(rest.next()), hex(rest.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                bytes = rest;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| link.to_owned())
}

/// `1:02:03` or `02:03` in seconds.
fn seconds(text: &str) -> Option<i64> {
    let clock = text.split(',').map(str::trim).find(|part| part.contains(':'))?;
    clock.split(':').try_fold(0i64, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))
}

fn media(keys: &mut Keys, wrap: &Element<'_>, folder: Folder<'_>) {
    for (class, key, kind) in [
        ("photo_wrap", "photo", ""),
        ("video_file_wrap", "file", "video_file"),
        ("animated_wrap", "file", "animation"),
        ("sticker_wrap", "file", "sticker"),
    ] {
        let Some(link) = find_link(wrap, class) else { continue };
        keys.text(key, &path(folder, &link));
        let image = wrap.find(match class {
            "video_file_wrap" => "video_file",
            "animated_wrap" => "animated",
            _ => "",
        });
        let thumbnail = image.and_then(|image| image.attribute("src")).filter(|src| !src.starts_with("data:"));
        if let Some(thumbnail) = thumbnail {
            keys.text("thumbnail", &path(folder, &thumbnail));
        }
        if !kind.is_empty() {
            keys.text("media_type", kind);
        }
        keys.number("duration_seconds", wrap.find("video_duration").and_then(|duration| seconds(&duration.text())));
        return;
    }
    if let Some(poll) = wrap.find("media_poll") {
        return poll_keys(keys, poll);
    }
    if let Some(giveaway) = wrap.find("media_giveaway") {
        return keys.text("information_text", &giveaway.text().replace('\n', " "));
    }
    let Some(block) = wrap.find("media") else { return };
    let part = |class: &str| block.find(class).map(Element::text).unwrap_or_default();
    let (title, description, status) = (part("title"), part("description"), part("status"));
    let link = block.attribute("href").map(std::borrow::Cow::into_owned);
    let classes = block.attribute("class").unwrap_or_default();
    let class = classes.split_whitespace().find(|class| class.starts_with("media_")).unwrap_or_default();
    let file = |keys: &mut Keys, key: &str| {
        let reason = description.to_ascii_lowercase();
        match &link {
            Some(link) => keys.text(key, &path(folder, link)),
            None if reason.contains("exceeds maximum size") => {
                keys.text(key, "(File exceeds maximum size. Change data exporting settings to download.)");
            }
            None if reason.contains("not included") => {
                keys.text(key, "(File not included. Change data exporting settings to download.)");
            }
            None => keys.text(key, "(File unavailable, please try again later)"),
        }
    };
    let document = |keys: &mut Keys, kind: &str| {
        file(keys, "file");
        if !kind.is_empty() {
            keys.text("media_type", kind);
        }
        keys.number("duration_seconds", seconds(&status));
    };
    match class {
        "media_photo" if title.contains("Sticker") => document(keys, "sticker"),
        "media_photo" => file(keys, "photo"),
        "media_voice_message" => document(keys, "voice_message"),
        "media_video" if title.starts_with("Video message") => document(keys, "video_message"),
        "media_video" if title.starts_with("Animation") => document(keys, "animation"),
        "media_video" => document(keys, "video_file"),
        "media_audio_file" => {
            file(keys, "file");
            keys.text("media_type", "audio_file");
            match title.split_once(" – ") {
                Some((performer, song)) => {
                    keys.text("performer", performer);
                    keys.text("title", song);
                }
                None => keys.text("title", &title),
            }
            keys.number("duration_seconds", seconds(&status));
        }
        "media_file" => {
            file(keys, "file");
            keys.text("file_name", &title);
        }
        "media_contact" => {
            let phone = if description.is_empty() { &status } else { &description };
            keys.raw(
                "contact_information",
                &format!("{{\"first_name\":{},\"last_name\":\"\",\"phone_number\":{}}}", quoted(&title), quoted(phone)),
            );
            if let Some(link) = &link {
                keys.text("contact_vcard", &path(folder, link));
            }
        }
        "media_location" | "media_live_location" | "media_venue" => {
            if class == "media_venue" {
                keys.text("place_name", &title);
                keys.text("address", &description);
            }
            if let Some((latitude, longitude)) = link.as_deref().and_then(coordinates) {
                keys.raw("location_information", &format!("{{\"latitude\":{latitude},\"longitude\":{longitude}}}"));
            }
        }
        "media_game" => {
            keys.text("game_title", &title);
            keys.text("game_description", &description);
            if let Some(link) = &link {
                keys.text("game_link", link);
            }
        }
        _ => keys.text("information_text", &[title, description, status].join(" ").trim().replace('\n', " ")),
    }
}

/// The keys of a phone call, after its actor's. A call that was answered tells its length; why another ended, its first word.
fn call(block: &Element<'_>) -> String {
    let status = block.find("status").map(Element::text).unwrap_or_default();
    let mut keys = Keys(String::new());
    keys.text("action", "phone_call");
    let seconds = status.split_once('(').and_then(|(_, length)| length.split_whitespace().next()?.parse().ok());
    keys.number("duration_seconds", seconds);
    match status.split_whitespace().next() {
        Some("Cancelled" | "Missed") => keys.text("discard_reason", "missed"),
        Some("Declined") => keys.text("discard_reason", "busy"),
        _ => {}
    }
    keys.raw("text", "\"\"");
    keys.raw("text_entities", "[]");
    keys.0
}

/// The place in a link to a map, `…q=59.3,18.1&…`.
fn coordinates(link: &str) -> Option<(String, String)> {
    let place = link.split_once("q=")?.1;
    let place = place.split(['&', '#']).next()?;
    let (latitude, longitude) = place.split_once(',')?;
    let float = |text: &str| Some(format!("{:.6}", text.parse::<f64>().ok().filter(|number| number.is_finite())?));
    Some((float(latitude)?, float(longitude)?))
}

fn poll_keys(keys: &mut Keys, poll: &Element<'_>) {
    let kind = poll.elements().find(|child| child.has_class("details")).map(Element::text).unwrap_or_default().to_lowercase();
    if kind.contains("checklist") || kind.contains("to-do") || kind.contains("todo") {
        return todo_keys(keys, poll);
    }
    let is_closed = kind.contains("final") || kind.contains("closed");
    let question = poll.find("question").map(Element::text).unwrap_or_default();
    let mut answers = Vec::new();
    poll.find_all("answer", &mut answers);
    let count = |text: &str| text.split_whitespace().find_map(|word| word.parse::<i64>().ok());
    let texts: Vec<String> = answers
        .iter()
        .map(|answer| {
            let text = answer_text(answer);
            let details = answer.find("details").map(Element::text).unwrap_or_default();
            let chosen = details.contains("chosen");
            format!("{{\"text\":{},\"voters\":{},\"chosen\":{chosen}}}", quoted(&text), count(&details).unwrap_or_default())
        })
        .collect();
    let total = poll.find("total").and_then(|total| count(&total.text())).unwrap_or_default();
    keys.raw(
        "poll",
        &format!(
            "{{\"question\":{},\"closed\":{is_closed},\"total_voters\":{total},\"answers\":[{}]}}",
            quoted(&question),
            texts.join(",")
        ),
    );
}

/// An answer or a task without the dash before it, which has an element of its own on our pages.
fn answer_text(answer: &Element<'_>) -> String {
    let text = answer.own_text();
    let without = if answer.find("dash").is_some() { None } else { text.strip_prefix("- ").or_else(|| text.strip_prefix('-')) };
    without.unwrap_or(&text).trim().to_owned()
}

/// A checklist is a poll without votes on a page; its tasks have no ids there.
fn todo_keys(keys: &mut Keys, list: &Element<'_>) {
    let title = list.find("question").map(Element::text).unwrap_or_default();
    let mut answers = Vec::new();
    list.find_all("answer", &mut answers);
    let tasks: Vec<String> =
        answers.iter().zip(1..).map(|(answer, id)| format!("{{\"text\":{},\"id\":{id}}}", quoted(&answer_text(answer)))).collect();
    keys.raw("todo_list", &format!("{{\"title\":{},\"answers\":[{}]}}", quoted(&title), tasks.join(",")));
}

fn buttons(keys: &mut Keys, body: &Element<'_>) {
    let Some(table) = body.find("bot_buttons_table") else { return };
    let mut rows = Vec::new();
    rows_of(table, &mut rows);
    let rows: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let mut cells = Vec::new();
            row.find_all("bot_button", &mut cells);
            let cells: Vec<String> = cells.iter().map(|cell| button(cell)).collect();
            format!("[{}]", cells.join(","))
        })
        .collect();
    keys.raw("inline_bot_buttons", &format!("[{}]", rows.join(",")));
}

/// A button: its text, and where it leads if that is told.
fn button(cell: &Element<'_>) -> String {
    let link = cell.elements().chain([cell]).find(|child| child.is("a"));
    let url = link.and_then(|link| link.attribute("href")).filter(|url| url.contains(':'));
    // `return ShowTextCopied('Data: … | Type: callback');`
    let told = link.and_then(|link| link.attribute("onclick")).unwrap_or_default().into_owned();
    let told = told.split_once('\'').and_then(|(_, told)| told.rsplit_once('\'')).map(|(told, _)| told).unwrap_or_default();
    let after = |words: &str| told.split(" | ").find_map(|part| part.trim().strip_prefix(words)).map(|part| part.trim().to_owned());
    let kind = after("Type:").filter(|kind| kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let (kind, data) = match url {
        Some(url) => ("url".to_owned(), Some(url.into_owned())),
        None => (kind.unwrap_or_else(|| "default".to_owned()), after("Data:")),
    };
    let data = data.map(|data| format!(",\"data\":{}", quoted(&data))).unwrap_or_default();
    format!("{{\"type\":\"{kind}\",\"text\":{}{data}}}", quoted(&cell.text()))
}

fn rows_of<'e, 'a>(element: &'e Element<'a>, rows: &mut Vec<&'e Element<'a>>) {
    for child in element.elements() {
        if child.is("tr") {
            rows.push(child);
        } else {
            rows_of(child, rows);
        }
    }
}

fn reactions(keys: &mut Keys, body: &Element<'_>) {
    let mut found = Vec::new();
    body.find_all("reaction", &mut found);
    if found.is_empty() {
        return;
    }
    let all: Vec<String> = found
        .iter()
        .map(|reaction| {
            let emoji = reaction.find("emoji").map(Element::text).unwrap_or_default();
            let mut people = Vec::new();
            reaction.find_all("userpic", &mut people);
            let listed = i64::try_from(people.len()).unwrap_or_default();
            let count = reaction.find("count").and_then(|count| count.text().parse().ok()).unwrap_or(listed);
            let kind = if reaction.has_class("paid") { "paid" } else { "emoji" };
            format!("{{\"type\":\"{kind}\",\"count\":{count},\"emoji\":{}}}", quoted(&emoji))
        })
        .collect();
    keys.raw("reactions", &format!("[{}]", all.join(",")));
}

/// A part of a text: its type, the text, a further key and its value.
struct Entity {
    kind: &'static str,
    text: String,
    more: Option<(&'static str, String)>,
}

fn entities<'e, 'a: 'e>(nodes: impl IntoIterator<Item = (&'e Node<'a>, Option<&'e Node<'a>>)>) -> Vec<Entity> {
    let mut found: Vec<Entity> = Vec::new();
    for (node, next) in nodes {
        let before = found.last().and_then(|last| last.text.chars().next_back());
        match node {
            Node::Text(text) => plain(&mut found, &flowing(text, before, next)),
            Node::Element(child) if child.is("br") => plain(&mut found, "\n"),
            Node::Element(child) => match entity(child) {
                Some(entity) => found.push(entity),
                None => plain(&mut found, &child.text()),
            },
        }
    }
    // Pages put the text on lines of its own; Telegram leaves no white space at the ends of a message.
    if let Some(first) = found.first_mut().filter(|first| first.kind == "plain") {
        first.text = first.text.trim_start().to_owned();
    }
    if let Some(last) = found.last_mut().filter(|last| last.kind == "plain") {
        last.text.truncate(last.text.trim_end().len());
    }
    found.retain(|entity| !entity.text.is_empty());
    found
}

fn plain(found: &mut Vec<Entity>, text: &str) {
    match found.last_mut() {
        Some(last) if last.kind == "plain" => last.text.push_str(text),
        _ => found.push(Entity { kind: "plain", text: text.to_owned(), more: None }),
    }
}

fn entity(element: &Element<'_>) -> Option<Entity> {
    let mut text = String::new();
    element.add_text(false, &mut text);
    let of = |kind: &'static str| Some(Entity { kind, text: text.clone(), more: None });
    match element.name.to_ascii_lowercase().as_str() {
        "strong" | "b" => of("bold"),
        "em" | "i" => of("italic"),
        "u" => of("underline"),
        "s" => of("strikethrough"),
        "code" => of("code"),
        "pre" => Some(Entity { kind: "pre", text, more: Some(("language", String::new())) }),
        "blockquote" => of("blockquote"),
        "span" => ["spoiler", "hashtag", "cashtag", "bot_command"].into_iter().find(|kind| element.has_class(kind)).and_then(of),
        "a" => {
            let click = element.attribute("onclick").unwrap_or_default();
            let href = element.attribute("href").unwrap_or_default().into_owned();
            for (function, kind) in
                [("ShowHashtag", "hashtag"), ("ShowCashtag", "cashtag"), ("ShowBotCommand", "bot_command"), ("ShowSpoiler", "spoiler")]
            {
                if click.contains(function) {
                    return of(kind);
                }
            }
            if href.strip_prefix("mailto:") == Some(&text) {
                of("email")
            } else if href.strip_prefix("tel:") == Some(&text) {
                of("phone")
            } else if text.starts_with('@') && href.contains("t.me/") {
                of("mention")
            } else if href.trim_end_matches('/').ends_with(text.trim_end_matches('/')) && text.contains('.') {
                of("link")
            } else if href.is_empty() {
                None
            } else {
                Some(Entity { kind: "text_link", text, more: Some(("href", href)) })
            }
        }
        _ => None,
    }
}

impl Entity {
    fn object(&self) -> String {
        let more = self.more.as_ref().map(|(key, value)| format!(",\"{key}\":{}", quoted(value))).unwrap_or_default();
        format!("{{\"type\":\"{}\",\"text\":{}{more}}}", self.kind, quoted(&self.text))
    }
}

fn short_text(entities: &[Entity]) -> String {
    match entities {
        [] => "\"\"".to_owned(),
        [one] if one.kind == "plain" => quoted(&one.text),
        all => {
            let parts: Vec<String> = all.iter().map(|one| if one.kind == "plain" { quoted(&one.text) } else { one.object() }).collect();
            format!("[{}]", parts.join(","))
        }
    }
}

fn long_text(entities: &[Entity]) -> String {
    let parts: Vec<String> = entities.iter().map(Entity::object).collect();
    format!("[{}]", parts.join(","))
}
