//! The pages around the chats: the summary, the list of chats, contacts, sessions and the like.

use std::cmp::Reverse;
use std::fmt::Write;

use jiff::tz::TimeZone;

use super::message::userpic;
use super::{Owner, Pages, Written, escape, frame_begin, frame_end};
use crate::model::account::{AccountSection, Section};
use crate::model::chat::{ChatInfo, ChatType, DELETED_ACCOUNT};
use crate::model::json;
use crate::model::peer::Peer;
use crate::model::time;
use crate::render::desktop_json::About;
use crate::render::media_names::Places;

/// A chat in the list.
#[derive(Clone, Debug)]
pub struct ListedChat {
    /// What the chat list shows.
    pub name: String,
    /// Its description.
    pub chat: ChatInfo,
    /// What its pages show.
    pub written: Written,
    /// Its folder, `chats/chat_01/`.
    pub folder: String,
}

/// A chat's name as the pages show it.
pub fn shown_name(chat: &ChatInfo) -> String {
    chat.title().unwrap_or(DELETED_ACCOUNT).to_owned()
}

/// The account's owner, as personal information has it.
pub fn owner(personal: &AccountSection) -> Owner {
    let part = |key: &str| json::get(personal.value.get(), key).and_then(json::text).unwrap_or_default().into_owned();
    let name = format!("{} {}", part("first_name"), part("last_name")).trim().to_owned();
    let id = json::get(personal.value.get(), "user_id").and_then(json::integer);
    Owner { peer: id.map(Peer::user), name: Some(name).filter(|name| !name.is_empty()) }
}

fn kind(chat: &ChatInfo) -> &'static str {
    match chat.kind {
        Some(ChatType::BotChat) => "bot",
        Some(ChatType::PrivateGroup | ChatType::PrivateSupergroup | ChatType::PublicSupergroup) => "group",
        Some(ChatType::PrivateChannel | ChatType::PublicChannel) => "channel",
        _ => "private",
    }
}

/// Writes `lists/chats.html`: the chats that were written to last come first, those that were left last.
///
/// # Errors
/// Those of `pages`.
pub fn chat_list<P: Pages>(chats: &[ListedChat], pages: &mut P) -> Result<(), P::Error> {
    let mut out = String::new();
    frame_begin(&mut out, "../", Some("../export_results.html#allow_back"), "Chats", "list_page");
    out.push_str("<div class=\"entry_list\">");
    let mut told_left = false;
    let mut chats: Vec<&ListedChat> = chats.iter().collect();
    chats.sort_by_key(|listed| (listed.chat.left, Reverse(listed.written.last.as_ref().map(|last| last.sent))));
    for listed in chats {
        if listed.chat.left && !std::mem::replace(&mut told_left, true) {
            out.push_str(
                "</div><div class=\"page_about details\">Groups and channels that the account has left.</div><div class=\"entry_list\">",
            );
        }
        let count = match (listed.written.messages, listed.chat.only_my_messages) {
            (0, _) => "No messages".to_owned(),
            (1, false) => "1 message".to_owned(),
            (count, false) => format!("{count} messages"),
            (count, true) => format!("{count} outgoing messages"),
        };
        let tag = if listed.written.messages > 0 { "a" } else { "div" };
        let _ = write!(out, "<{tag} class=\"entry block_link clearfix\"");
        if listed.written.messages > 0 {
            let _ = write!(out, " href=\"../{}messages.html#allow_back\"", listed.folder);
        }
        out.push_str("><div class=\"pull_left userpic_wrap\">");
        userpic(&mut out, Some(listed.chat.peer), &listed.name, 48);
        let _ = write!(
            out,
            "</div><div class=\"body\"><div class=\"pull_right info details\">{}</div><div class=\"name bold\">",
            kind(&listed.chat)
        );
        escape::text(&mut out, &listed.name);
        out.push_str("</div>");
        if let Some(last) = &listed.written.last {
            let _ = write!(out, "<div class=\"pull_right details\">{}</div><div class=\"preview\">", last.day);
            escape::text(&mut out, &last.line);
            out.push_str("</div>");
        }
        let _ = writeln!(out, "<div class=\"details_entry details\">{count}</div></div></{tag}>");
    }
    out.push_str("</div>");
    frame_end(&mut out);
    pages.page("lists/chats.html", out.into_bytes())
}

/// Writes the page of a section and returns its path, label and number of entries; `None` for a section without a page.
///
/// # Errors
/// Those of `pages`.
pub fn section_page<P: Pages>(
    section: &AccountSection,
    zone: &TimeZone,
    names: &Places,
    pages: &mut P,
) -> Result<Option<(&'static str, &'static str, usize)>, P::Error> {
    let (path, label) = match section.section {
        Section::Contacts => ("lists/contacts.html", "Contacts"),
        Section::FrequentContacts => ("lists/frequent.html", "Frequent contacts"),
        Section::ProfilePictures => ("lists/profile_pictures.html", "Profile pictures"),
        Section::Stories => ("lists/stories.html", "Stories archive"),
        Section::ProfileMusic => ("lists/profile_music.html", "Profile music"),
        Section::Sessions => ("lists/sessions.html", "Sessions"),
        Section::WebSessions => ("lists/web_sessions.html", "Web sessions"),
        Section::OtherData => {
            pages.page("lists/other_data.json", section.value.get().as_bytes().to_vec())?;
            return Ok(Some(("lists/other_data.json", "Other data", 1)));
        }
        Section::Drafts => ("lists/drafts.html", "Drafts"),
        Section::Gifts => ("lists/gifts.html", "Gifts"),
        Section::StoryAlbums => ("lists/story_albums.html", "Story albums"),
        Section::QuickReplies => ("lists/quick_replies.html", "Quick replies"),
        Section::PersonalInformation | Section::TelegramContacts | Section::UnknownKeys => return Ok(None),
    };
    let value = section.value.get();
    let entries = if json::shape(value) == json::Shape::Array { Some(value) } else { json::get(value, "list") };
    let mut out = String::new();
    frame_begin(&mut out, "../", Some("../export_results.html#allow_back"), label, "list_page");
    out.push_str("<div class=\"entry_list\">");
    let mut count = 0;
    for entry in entries.map(json::elements).into_iter().flatten() {
        count += 1;
        list_entry(&mut out, section.section, entry, zone, names);
    }
    out.push_str("</div>");
    frame_end(&mut out);
    pages.page(path, out.into_bytes())?;
    Ok(Some((path, label, count)))
}

/// A piece of music of the profile, with its file.
fn song(out: &mut String, entry: &str, names: &Places) {
    let part = |key: &str| json::get(entry, key).and_then(json::text).filter(|text| !text.is_empty());
    let (title, file) = (part("title").or_else(|| part("file_name")).unwrap_or_default(), part("file").unwrap_or_default());
    out.push_str("<div class=\"entry clearfix\"><div class=\"body\"><div class=\"name bold\">");
    match names.placed(&file) {
        Some(placed) => {
            out.push_str("<a href=\"");
            escape::path(out, "../", placed);
            out.push_str("\">");
            escape::text(out, &title);
            out.push_str("</a>");
        }
        None => escape::text(out, &title),
    }
    out.push_str("</div>");
    let length = json::get(entry, "duration_seconds").and_then(json::integer).map(super::service::duration).unwrap_or_default();
    let gone = if names.placed(&file).is_none() { names.shown(&file).unwrap_or(&file).to_owned() } else { String::new() };
    for details in [part("performer").unwrap_or_default().into_owned(), length, gone].iter().filter(|details| !details.is_empty()) {
        out.push_str("<div class=\"details_entry details\">");
        escape::text(out, details);
        out.push_str("</div>");
    }
    out.push_str("</div></div>");
}

fn list_entry(out: &mut String, section: Section, entry: &str, zone: &TimeZone, names: &Places) {
    let part = |key: &str| json::get(entry, key).and_then(json::text).unwrap_or_default().into_owned();
    // As in `result.json`: times of this zone, where they are known exactly.
    let moment_of = |key: &str| {
        let unix = json::get(entry, &format!("{key}_unixtime")).and_then(json::digits);
        let local = unix.and_then(|unix| time::local(zone, unix)).map(time::iso);
        local.unwrap_or_else(|| part(key)).replace('T', " ")
    };
    let file = Some(part("photo")).filter(|path| !path.is_empty()).unwrap_or_else(|| part("media"));
    if section == Section::ProfileMusic {
        return song(out, entry, names);
    }
    out.push_str("<div class=\"entry clearfix\">");
    let full = format!("{} {}", part("first_name"), part("last_name"));
    let title = ["chat", "title", "shortcut"].map(part).concat();
    let told =
        [full.trim(), &part("name"), &title, &part("application_name"), &part("domain_name"), &part("device_model"), &part("browser")];
    let shown = match told.into_iter().find(|text| !text.is_empty()) {
        Some(name) => name.to_owned(),
        // A picture has a time, a person without a name is gone.
        None if !file.is_empty() => moment_of("date"),
        None => DELETED_ACCOUNT.to_owned(),
    };
    if let Some(placed) = names.placed(&file) {
        out.push_str("<a class=\"pull_left userpic_wrap\" href=\"");
        escape::path(out, "../", placed);
        out.push_str("\">");
        if placed.ends_with(".mp4") {
            out.push_str("Video");
        } else {
            out.push_str("<img width=\"120\" loading=\"lazy\" alt=\"Photo\" src=\"");
            escape::path(out, "../", placed);
            out.push_str("\">");
        }
        out.push_str("</a>");
    } else if file.is_empty() && !matches!(section, Section::Gifts | Section::StoryAlbums | Section::QuickReplies) {
        let id = json::get(entry, "user_id").or_else(|| json::get(entry, "id")).and_then(json::integer);
        out.push_str("<div class=\"pull_left userpic_wrap\">");
        userpic(out, id.map(Peer::user), &shown, 48);
        out.push_str("</div>");
    }
    out.push_str("<div class=\"body\">");
    let when = ["last_active", "date"].into_iter().find(|key| !moment_of(key).is_empty()).unwrap_or_default();
    let moment = moment_of(when);
    if !moment.is_empty() && moment != shown {
        out.push_str("<div class=\"pull_right info details\">");
        escape::text(out, &moment);
        out.push_str("</div>");
    }
    out.push_str("<div class=\"name bold\">");
    escape::text(out, &shown);
    out.push_str("</div>");
    if let Some(words) = instead(section, &file, names) {
        out.push_str("<div class=\"details_entry details\">");
        escape::text(out, &words);
        out.push_str("</div>");
    }
    for (key, value) in json::members(entry) {
        let is_name = matches!(
            key,
            "first_name"
                | "last_name"
                | "name"
                | "chat"
                | "title"
                | "shortcut"
                | "application_name"
                | "domain_name"
                | "device_model"
                | "browser"
        ) && shown.contains(&part(key));
        let told = is_name || key == when || matches!(key, "photo" | "media" | "user_id" | "id");
        if told || key.ends_with("_unixtime") {
            continue;
        }
        let text = match key {
            "sticker" => names.placed(&part(key)).unwrap_or_default().to_owned(),
            "text_entities" => continue,
            _ => shown_value(value),
        };
        if !text.is_empty() {
            let is_time = matches!(key, "date" | "expires" | "created");
            let text = if is_time { moment_of(key) } else { text };
            out.push_str("<div class=\"details_entry details\">");
            escape::text(out, &if key == "phone_number" { text } else { format!("{}: {text}", key.replace('_', " ")) });
            out.push_str("</div>");
        }
    }
    out.push_str("</div></div>\n");
}

/// A value as people read it: texts and numbers as they are, of messages their texts, and nothing of what is not there.
pub(super) fn shown_value(value: &str) -> String {
    match json::shape(value) {
        json::Shape::Array => {
            let is_rich = |element: &str| json::shape(element) == json::Shape::Object && json::get(element, "type").is_some();
            if json::elements(value).any(is_rich) && json::elements(value).all(|element| json::get(element, "id").is_none()) {
                return escape::plain(value);
            }
            let shown: Vec<String> = json::elements(value).map(shown_value).filter(|text| !text.is_empty()).collect();
            shown.join(", ")
        }
        json::Shape::Object => match json::get(value, "text") {
            Some(text) => escape::plain(text),
            None => value.to_owned(),
        },
        _ if value.trim() == "null" => String::new(),
        _ => json::text(value).map_or_else(|| value.to_owned(), |text| text.into_owned()),
    }
}

/// The words for a picture or story that is not there.
fn instead(section: Section, file: &str, names: &Places) -> Option<String> {
    if file.is_empty() || names.placed(file).is_some() {
        return None;
    }
    let words = names.shown(file).unwrap_or(file);
    let words = if words.starts_with('(') { words } else { "(Photo unavailable, please try again later)" };
    Some(if section == Section::Stories { words.replacen("Photo", "Story", 1) } else { words.to_owned() })
}

/// Writes `export_results.html`, the first page of an account export. `sections` are those that [`section_page`] returned.
///
/// # Errors
/// Those of `pages`.
pub fn summary<P: Pages>(
    personal: Option<&AccountSection>,
    picture: Option<&str>,
    chats: usize,
    sections: &[(&str, &str, usize)],
    pages: &mut P,
) -> Result<(), P::Error> {
    let mut out = String::new();
    frame_begin(&mut out, "", None, "Exported Data", "");
    if let Some(personal) = personal {
        let part = |key: &str| json::get(personal.value.get(), key).and_then(json::text).unwrap_or_default().into_owned();
        let name = owner(personal).name.unwrap_or_default();
        out.push_str("<div class=\"personal_info clearfix\"><div class=\"pull_left userpic_wrap\">");
        match picture {
            Some(path) => {
                out.push_str("<div class=\"userpic\" style=\"width: 90px; height: 90px\"><img alt=\"\" src=\"");
                escape::path(&mut out, "", path);
                out.push_str("\"></div>");
            }
            None => userpic(&mut out, None, &name, 90),
        }
        out.push_str("</div><div class=\"rows\"><div class=\"names bold\">");
        escape::text(&mut out, &name);
        out.push_str("</div>");
        for key in ["phone_number", "username", "bio"] {
            let text = part(key);
            if !text.is_empty() {
                let class = if key == "bio" { "bio" } else { "info details" };
                let _ = write!(out, "<div class=\"{class}\">");
                escape::text(&mut out, &text);
                out.push_str("</div>");
            }
        }
        out.push_str("</div></div>");
    }
    out.push_str("<div class=\"sections\">");
    let order = [
        "Contacts",
        "Frequent contacts",
        "Profile pictures",
        "Stories archive",
        "Story albums",
        "Profile music",
        "Gifts",
        "Drafts",
        "Quick replies",
        "Sessions",
        "Web sessions",
        "Other data",
    ];
    let mut sections = sections.to_vec();
    sections.sort_by_key(|(_, label, _)| order.iter().position(|known| known == label));
    for (path, label, count) in [("lists/chats.html", "Chats", chats)].iter().chain(&sections) {
        let class = match *label {
            "Chats" => "chats",
            "Contacts" => "contacts",
            "Frequent contacts" => "frequent",
            "Profile pictures" => "photos",
            "Stories archive" => "stories",
            "Sessions" => "sessions",
            "Web sessions" => "web",
            _ => "other",
        };
        let _ = writeln!(
            out,
            "<a class=\"section block_link {class}\" href=\"{path}#allow_back\"><div class=\"counter details\">{count}</div><div class=\"label bold\">{label}</div></a>"
        );
    }
    out.push_str("</div><div class=\"page_about details\">");
    escape::text(&mut out, &About::default().account);
    out.push_str("</div>");
    frame_end(&mut out);
    pages.page("export_results.html", out.into_bytes())
}
