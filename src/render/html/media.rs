//! Photos, videos, voice, files, places, polls and the like inside a message.

use std::fmt::Write;

use crate::model::json;
use crate::model::media::MediaRole;
use crate::render::media_names::is_placeholder;

use super::Page;
use super::escape;
use super::service::duration;
use super::view::View;

/// A picture for each class of block, drawn here.
const ICONS: [(&str, &str); 12] = [
    ("media_call", "M7 4l3 5-2 2a12 12 0 0 0 5 5l2-2 5 3c0 2-2 4-4 4C10 21 3 14 3 8c0-2 2-4 4-4z"),
    ("media_photo", "M4 5h16v14H4z M7 16l4-5 3 3 2-2 2 4z"),
    ("media_video", "M3 6h12v12H3z M15 10l6-3v10l-6-3z"),
    ("media_voice_message", "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3z M6 11a6 6 0 0 0 12 0 M12 17v4"),
    ("media_audio_file", "M9 18V6l10-2v12 M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z M19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z"),
    ("media_contact", "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8z M4 20c1-4 4-6 8-6s7 2 8 6z"),
    ("media_location", "M12 21s7-7 7-12a7 7 0 0 0-14 0c0 5 7 12 7 12z M12 11a2 2 0 1 0 0-4 2 2 0 0 0 0 4z"),
    ("media_live_location", "M12 21s7-7 7-12a7 7 0 0 0-14 0c0 5 7 12 7 12z M12 11a2 2 0 1 0 0-4 2 2 0 0 0 0 4z"),
    ("media_venue", "M12 21s7-7 7-12a7 7 0 0 0-14 0c0 5 7 12 7 12z M12 11a2 2 0 1 0 0-4 2 2 0 0 0 0 4z"),
    ("media_invoice", "M6 3h12v18l-3-2-3 2-3-2-3 2z M9 8h6 M9 12h6"),
    ("media_game", "M4 8h16v8H4z M8 10v4 M6 12h4 M16 12h1"),
    ("media_file", "M6 3h8l4 4v14H6z M14 3v4h4"),
];

/// Nothing was drawn for a video without a still picture: a grey field.
const EMPTY_PICTURE: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 9'%3E%3Crect width='16' height='9' fill='%23567'/%3E%3C/svg%3E";

/// Where a file of a message is to be had.
enum Place<'a> {
    /// At this path of the export.
    Here(&'a str),
    /// Nowhere; why.
    Not(&'static str),
}

fn place<'a>(value: &str, page: &Page<'a>) -> Place<'a> {
    let text = json::text(value).unwrap_or_default();
    let shown = (page.place)(&text);
    if let Some(placed) = shown.filter(|shown| !is_placeholder(shown)) {
        return Place::Here(placed);
    }
    Place::Not(match shown.unwrap_or(&text) {
        text if text.contains("exceeds maximum size") => "Exceeds maximum size, change data exporting settings to download.",
        text if text.contains("not included") => "Not included, change data exporting settings to download.",
        _ => "Unavailable, please try again later.",
    })
}

/// Writes what a message shows beside its text.
pub fn media(out: &mut String, view: &View<'_>, page: &Page<'_>) {
    if let Some(photo) = view.get("photo") {
        photo_block(out, view, page, photo);
    } else if let Some(file) = view.get("file") {
        document(out, view, page, file);
    } else if let Some(contact) = view.get("contact_information") {
        let part = |key: &str| json::get(contact, key).and_then(json::text).unwrap_or_default().into_owned();
        let title = format!("{} {}", part("first_name"), part("last_name"));
        let href = view.get("contact_vcard").and_then(|value| match place(value, page) {
            Place::Here(path) => Some(relative(page, path)),
            Place::Not(_) => None,
        });
        block(out, "media_contact", title.trim(), &part("phone_number"), "", href.as_deref());
    } else if let Some(location) = view.get("location_information") {
        place_block(out, view, location);
    } else if let Some(game) = view.text("game_title") {
        let link = view.text("game_link").filter(|link| escape::is_safe_link(link)).map(|link| escaped(&link));
        block(out, "media_game", &game, &view.text("game_description").unwrap_or_default(), "", link.as_deref());
    } else if let Some(invoice) = view.get("invoice_information") {
        // Telegram Desktop writes the object as a string.
        let inside = json::text(invoice).filter(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        let invoice = inside.as_deref().unwrap_or(invoice);
        let part = |key: &str| json::get(invoice, key).and_then(json::text).unwrap_or_default().into_owned();
        let amount = json::get(invoice, "amount").and_then(json::integer).unwrap_or_default();
        let price = format!("{}.{:02} {}", amount / 100, (amount % 100).abs(), part("currency"));
        block(out, "media_invoice", &part("title"), &part("description"), &price, None);
    } else if let Some(poll) = view.get("poll") {
        list(out, poll, "question", "Poll", "total_voters");
    } else if let Some(todo) = view.get("todo_list") {
        list(out, todo, "title", "Checklist", "");
    } else if let Some(giveaway) = view.get("giveaway_information") {
        giveaway_block(out, giveaway, "Giveaway", "quantity", "prizes");
    } else if let Some(results) = view.get("giveaway_results") {
        giveaway_block(out, results, "Giveaway results", "winners_count", "winners");
    } else if let Some(stars) = view.integer("paid_stars_amount") {
        block(out, "media_invoice", "Paid media", &format!("{stars} Stars"), "", None);
    } else if let Some(dice) = view.extra("dice") {
        let emoji = json::get(dice, "emoji").and_then(json::text).unwrap_or_default();
        let shown = json::get(dice, "value").unwrap_or_default();
        block(out, "media_game", &emoji, shown, "", None);
    } else if let Some(information) = view.text("information_text") {
        // A block of an imported page that no key stands for.
        block(out, "media_information", &information, "", "", None);
    }
}

/// Writes the files that no key of the message names: pictures of link previews, paid media and the like.
pub fn attachments(out: &mut String, view: &View<'_>, page: &Page<'_>) {
    for media in view.record.media.iter().filter(|media| media.role == MediaRole::Attachment) {
        let shown = media.path.as_ref().and_then(|stored| (page.place)(&stored.to_string()));
        let Some(path) = shown.filter(|shown| !is_placeholder(shown)) else { continue };
        let source = relative(page, path);
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        if matches!(&*extension, "jpg" | "jpeg" | "png" | "webp" | "gif") {
            let _ =
                write!(out, "<div class=\"media_wrap clearfix attachment\"><a class=\"photo_wrap clearfix pull_left\" href=\"{source}\">");
            image(out, "photo", &source, "Picture", None);
            out.push_str("</a></div>");
        } else {
            out.push_str("<div class=\"attachment\">");
            block(out, "media_file", name, "", "", Some(&source));
            out.push_str("</div>");
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape::text(&mut out, text);
    out
}

/// The path as the value of an attribute.
fn relative(page: &Page<'_>, path: &str) -> String {
    let mut out = String::new();
    // By way of the root, as Telegram Desktop does: tools tell by it which chat a file belongs to.
    escape::path(&mut out, page.up, path);
    out
}

/// Width and height in CSS pixels: the picture fitted into `limit` × `limit`; `None` where the message does not tell.
fn fitted(view: &View<'_>, limit: i64) -> Option<(i64, i64)> {
    let (width, height) = (view.integer("width")?, view.integer("height")?);
    if width <= 0 || height <= 0 || width > 1 << 20 || height > 1 << 20 {
        return None;
    }
    let longest = width.max(height).max(limit);
    Some(((width * limit / longest).max(1), (height * limit / longest).max(1)))
}

/// `source` is escaped already. `alt` says what the picture is where it stands for a link.
fn image(out: &mut String, class: &str, source: &str, alt: &str, size: Option<(i64, i64)>) {
    let _ = write!(out, "<img class=\"{class}\" src=\"{source}\" loading=\"lazy\" alt=\"");
    escape::text(out, alt);
    out.push('"');
    if let Some((width, height)) = size {
        let _ = write!(out, " width=\"{width}\" height=\"{height}\"");
    }
    out.push('>');
}

fn photo_block(out: &mut String, view: &View<'_>, page: &Page<'_>, photo: &str) {
    match place(photo, page) {
        Place::Here(path) => {
            let source = relative(page, path);
            let _ = write!(out, "<div class=\"media_wrap clearfix\"><a class=\"photo_wrap clearfix pull_left\" href=\"{source}\">");
            image(out, "photo", &source, "Photo", fitted(view, 520));
            out.push_str("</a></div>");
        }
        Place::Not(why) => {
            let size = match (view.integer("width"), view.integer("height")) {
                (Some(width), Some(height)) => format!("{width}x{height}"),
                _ => String::new(),
            };
            let title = if view.get("self_destruct_period_seconds").is_some() { "Self-destructing photo" } else { "Photo" };
            block(out, "media_photo", title, why, &size, None);
        }
    }
}

/// The picture of a custom emoji as the value of an attribute; `None` where it is not there, or moves in a form that browsers do not show.
pub fn emoji_picture(value: &str, page: &Page<'_>) -> Option<String> {
    match place(value, page) {
        Place::Here(path) if path.ends_with(".webp") || path.ends_with(".png") => Some(relative(page, path)),
        _ => None,
    }
}

/// The new photo of a group, or one that is suggested to somebody: small and round, a link to the file.
pub fn group_photo(out: &mut String, view: &View<'_>, page: &Page<'_>, photo: &str) {
    let Place::Here(path) = place(photo, page) else { return photo_block(out, view, page, photo) };
    let source = relative(page, path);
    let _ = write!(
        out,
        "<div class=\"userpic_wrap\"><a class=\"userpic_link\" href=\"{source}\"><img class=\"userpic\" style=\"width: 60px; height: 60px\" src=\"{source}\" loading=\"lazy\" alt=\"The photo\"></a></div>"
    );
}

fn document(out: &mut String, view: &View<'_>, page: &Page<'_>, file: &str) {
    let kind = view.word("media_type");
    let here = place(file, page);
    let thumb = view.get("thumbnail").and_then(|value| match place(value, page) {
        Place::Here(path) => Some(relative(page, path)),
        Place::Not(_) => None,
    });
    let length = view.integer("duration_seconds").map(duration).unwrap_or_default();
    let own_name = view.text("file_name").unwrap_or_default();
    let (class, title) = match kind {
        "voice_message" => ("media_voice_message", "Voice message".to_owned()),
        "video_message" => ("media_video", "Video message".to_owned()),
        "video_file" => ("media_video", "Video file".to_owned()),
        "animation" => ("media_video", "Animation".to_owned()),
        "sticker" => ("media_photo", format!("{} Sticker", view.text("sticker_emoji").unwrap_or_default()).trim().to_owned()),
        "audio_file" => {
            let (performer, song) = (view.text("performer").unwrap_or_default(), view.text("title").unwrap_or_default());
            let dash = if performer.is_empty() || song.is_empty() { "" } else { " – " };
            let both = format!("{performer}{dash}{song}");
            ("media_audio_file", if both.is_empty() { own_name.clone().into_owned() } else { both })
        }
        _ => ("media_file", if own_name.is_empty() { "File".to_owned() } else { own_name.clone().into_owned() }),
    };
    let size = view.integer("file_size").filter(|&size| size > 0).map(size_text).unwrap_or_default();
    let status = [&*length, &*size].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let path = match here {
        Place::Here(path) => path,
        Place::Not(why) => return block(out, class, &title, why, &status, None),
    };
    let source = relative(page, path);
    let is_picture = matches!(view.word("mime_type"), "image/webp" | "image/png" | "image/jpeg" | "image/gif");
    match kind {
        "sticker" if is_picture || thumb.is_some() => {
            let _ = write!(out, "<div class=\"media_wrap clearfix\"><a class=\"sticker_wrap clearfix pull_left\" href=\"{source}\">");
            image(out, "sticker", if is_picture { &source } else { thumb.as_deref().unwrap_or_default() }, &title, fitted(view, 192));
            out.push_str("</a></div>");
        }
        "video_file" | "video_message" | "animation" => {
            let gif = kind == "animation";
            let (wrap, play, picture) = if gif {
                ("animated_wrap", "<div class=\"gif_play\">GIF</div>", "animated")
            } else {
                ("video_file_wrap", "<div class=\"video_play\"></div>", "video_file")
            };
            let _ = write!(
                out,
                "<div class=\"media_wrap clearfix\"><a class=\"{wrap} clearfix pull_left\" href=\"{source}\" data-play=\"1\"><div class=\"video_play_bg\">{play}</div>"
            );
            if !gif && !length.is_empty() {
                let _ = write!(out, "<div class=\"video_duration\">{length}</div>");
            }
            let alt = [&*title, &*own_name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
            image(out, picture, thumb.as_deref().unwrap_or(EMPTY_PICTURE), &alt, fitted(view, 320).or(Some((320, 180))));
            out.push_str("</a></div>");
        }
        _ => {
            let preview = if is_picture && class == "media_file" { Some(&*source) } else { thumb.as_deref() };
            block_with(out, class, &title, "", &status, Some(&source), preview);
            if matches!(kind, "voice_message" | "audio_file") {
                let _ = write!(out, "<audio controls preload=\"none\" src=\"{source}\"></audio>");
            }
        }
    }
}

/// A photo or video as a tile of the chat's overview, a link to the message; `None` for anything else. `href` is escaped already.
pub fn shot(view: &View<'_>, page: &Page<'_>, href: &str, title: &str) -> Option<String> {
    let here = |key: &str| match place(view.get(key)?, page) {
        Place::Here(path) => Some(relative(page, path)),
        Place::Not(_) => None,
    };
    let is_film = matches!(view.word("media_type"), "video_file" | "video_message" | "animation");
    let (picture, mark) = match (here("photo"), is_film) {
        (Some(photo), _) => (photo, String::new()),
        (None, true) => {
            here("file")?;
            let length = view.integer("duration_seconds").map(duration).unwrap_or_default();
            (here("thumbnail").unwrap_or_else(|| EMPTY_PICTURE.to_owned()), format!("<span class=\"video_duration\">▶ {length}</span>"))
        }
        (None, false) => return None,
    };
    let mut out = format!("<a class=\"shot\" href=\"{href}\" title=\"");
    escape::text(&mut out, title);
    out.push_str("\">");
    image(&mut out, "shot_picture", &picture, title, None);
    out.push_str(&mark);
    out.push_str("</a>");
    Some(out)
}

/// Bytes in words, tenths cut.
pub fn size_text(bytes: i64) -> String {
    let tenths = |unit: i64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KB", tenths(1024)),
        _ => format!("{} MB", tenths(1_048_576)),
    }
}

fn place_block(out: &mut String, view: &View<'_>, location: &str) {
    let part = |key: &str| {
        let number = json::get(location, key).unwrap_or_default();
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
        plain.then(|| number.to_owned()).filter(|number| !number.is_empty())
    };
    let at = part("latitude").zip(part("longitude"));
    let link = at.as_ref().map(|(latitude, longitude)| {
        format!("https://maps.google.com/maps?q={latitude},{longitude}&amp;ll={latitude},{longitude}&amp;z=16")
    });
    let where_it_is = at.map(|(latitude, longitude)| format!("{latitude}, {longitude}")).unwrap_or_default();
    let live = view.integer("live_location_period_seconds");
    match (view.text("place_name"), live) {
        (Some(name), _) => {
            let address = view.text("address").unwrap_or_default();
            block(out, "media_venue", &name, &address, &where_it_is, link.as_deref());
        }
        (None, Some(_)) => block(out, "media_live_location", "Live location", "", &where_it_is, link.as_deref()),
        (None, None) => block(out, "media_location", "Location", "", &where_it_is, link.as_deref()),
    }
}

/// A poll or a checklist. A bar behind each answer shows its share of the votes.
fn list(out: &mut String, value: &str, title: &str, kind: &str, total: &str) {
    out.push_str("<div class=\"media_wrap clearfix\"><div class=\"media_poll\"><div class=\"question bold\">");
    escape::lines(out, &json::get(value, title).map(escape::plain).unwrap_or_default());
    let closed = if json::get(value, "closed") == Some("true") { ", closed" } else { "" };
    let _ = write!(out, "</div><div class=\"details\">{kind}{closed}</div>");
    let answers = || json::get(value, "answers").map(json::elements).into_iter().flatten();
    let voters_of = |answer: &str| json::get(answer, "voters").and_then(json::integer).unwrap_or_default().max(0);
    let all = json::get(value, total).and_then(json::integer);
    // Of several answers that one may choose, all together may have more votes than there are voters.
    let most = answers().map(voters_of).chain(all).max().unwrap_or_default().max(1);
    for answer in answers() {
        let voters = voters_of(answer);
        let is_chosen = json::get(answer, "chosen") == Some("true");
        let share = voters.saturating_mul(100) / most;
        let _ = match (all, is_chosen) {
            (Some(_), true) => write!(out, "<div class=\"answer chosen\" style=\"--share: {share}%\">"),
            (Some(_), false) => write!(out, "<div class=\"answer\" style=\"--share: {share}%\">"),
            (None, _) => write!(out, "<div class=\"answer\">"),
        };
        // Telegram Desktop's pages begin an answer so.
        out.push_str("<span class=\"dash\">- </span>");
        escape::lines(out, &escape::plain(answer));
        if voters > 0 {
            let chosen = if is_chosen { ", chosen vote" } else { "" };
            let _ = write!(out, " <span class=\"details\">{}{chosen}</span>", votes(voters));
        }
        out.push_str("</div>");
    }
    if let Some(voters) = all {
        let _ = write!(out, "<div class=\"total details\">{}</div>", votes(voters));
    }
    out.push_str("</div></div>");
}

fn votes(count: i64) -> String {
    if count == 1 { "1 vote".to_owned() } else { format!("{count} votes") }
}

fn giveaway_block(out: &mut String, value: &str, title: &str, count: &str, of_what: &str) {
    let number = json::get(value, count).and_then(json::integer).unwrap_or_default();
    let until = json::get(value, "until_date").and_then(json::text).unwrap_or_default();
    let _ = write!(
        out,
        "<div class=\"media_wrap clearfix\"><div class=\"media_giveaway\"><div class=\"section_title bold\">{title}</div><div class=\"section_body\">{number} {of_what}"
    );
    let prize = json::get(value, "additional_prize").and_then(json::text).unwrap_or_default();
    for (words, text) in [(", also: ", prize), (", until ", until)] {
        if !text.is_empty() {
            out.push_str(words);
            escape::text(out, &text);
        }
    }
    out.push_str("</div></div></div>");
}

/// The generic block without a picture. `href` is escaped already.
pub fn block(out: &mut String, class: &str, title: &str, description: &str, status: &str, href: Option<&str>) {
    block_with(out, class, title, description, status, href, None);
}

/// The generic block. `href` and `thumb` are escaped already.
fn block_with(out: &mut String, class: &str, title: &str, description: &str, status: &str, href: Option<&str>, thumb: Option<&str>) {
    out.push_str("<div class=\"media_wrap clearfix\">");
    let tag = if href.is_some() { "a" } else { "div" };
    let link = if href.is_some() { "block_link " } else { "" };
    let _ = write!(out, "<{tag} class=\"media clearfix pull_left {link}{class}\"");
    if let Some(href) = href {
        let _ = write!(out, " href=\"{href}\"");
    }
    out.push('>');
    match thumb {
        Some(thumb) => image(out, "thumb pull_left", thumb, "", None),
        None => {
            let icon = ICONS.iter().find(|(name, _)| class.split(' ').next() == Some(name)).or(ICONS.last()).map_or("", |(_, path)| path);
            let _ = write!(
                out,
                "<div class=\"fill pull_left\"><svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" aria-hidden=\"true\"><path d=\"{icon}\"/></svg></div>"
            );
        }
    }
    out.push_str("<div class=\"body\"><div class=\"title bold\">");
    escape::text(out, title);
    out.push_str("</div>");
    for (class, text) in [("description", description), ("status details", status)] {
        if !text.is_empty() {
            let _ = write!(out, "<div class=\"{class}\">");
            escape::text(out, text);
            out.push_str("</div>");
        }
    }
    let _ = write!(out, "</div></{tag}></div>");
}
