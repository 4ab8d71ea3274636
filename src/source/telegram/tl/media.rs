//! The media keys of a message, in Telegram Desktop's order.

use std::collections::HashMap;

use grammers_tl_types::{enums, types};

use super::files::{FileKey, Traits, Want, largest};
use super::json::{Object, list};
use super::text::{EmojiIds, render};
use crate::model::kinds::FileKind;
use crate::model::media::{Media, MediaRole, MediaStatus, SkipReason};

/// Telegram Desktop's words in place of a path; parsers depend on them.
pub(crate) const UNAVAILABLE: &str = "(File unavailable, please try again later)";
pub(crate) const TOO_LARGE: &str = "(File exceeds maximum size. Change data exporting settings to download.)";
pub(crate) const NOT_INCLUDED: &str = "(File not included. Change data exporting settings to download.)";

/// What became of each file.
pub(crate) type Outcomes = HashMap<FileKey, MediaStatus>;

/// What became of a file; one that nobody reported about was not had.
pub(super) fn status(want: &Want, outcomes: &Outcomes) -> MediaStatus {
    outcomes.get(&want.key).cloned().unwrap_or_else(|| MediaStatus::Failed("not fetched".into()))
}

/// The value of a file's key.
pub(super) fn shown(want: &Want, outcomes: &Outcomes) -> String {
    match status(want, outcomes) {
        MediaStatus::Stored => want.path.to_string(),
        MediaStatus::Skipped(SkipReason::TooLarge) => TOO_LARGE.into(),
        MediaStatus::Skipped(SkipReason::TypeNotChosen) => NOT_INCLUDED.into(),
        MediaStatus::Skipped(_) | MediaStatus::Failed(_) => UNAVAILABLE.into(),
    }
}

/// The stored form of a message's files.
pub(super) fn stored(wants: &[Want], outcomes: &Outcomes) -> Vec<Media> {
    wants
        .iter()
        .map(|want| {
            let status = status(want, outcomes);
            Media {
                role: want.role,
                path: (status == MediaStatus::Stored).then(|| want.path.clone()),
                id: (want.role != MediaRole::ContactVcard).then_some(want.key.id),
                size: Some(want.size),
                mime: want.mime.clone(),
                name: want.name.clone(),
                exported_as: None,
                status,
            }
        })
        .collect()
}

fn of_role(wants: &[Want], role: MediaRole) -> Option<&Want> {
    wants.iter().find(|want| want.role == role)
}

fn size_of(want: &Want) -> i64 {
    i64::try_from(want.size).unwrap_or_default()
}

/// Writes the keys of a photo, in a message or a service message.
pub(super) fn put_photo(
    object: &mut Object,
    photo: Option<&enums::Photo>,
    spoiler: bool,
    ttl: Option<i32>,
    wants: &[Want],
    outcomes: &Outcomes,
) {
    let want = of_role(wants, MediaRole::Photo);
    object.put("photo", &want.map_or_else(|| UNAVAILABLE.into(), |want| shown(want, outcomes)));
    object.put("photo_file_size", &if ttl.is_some() { 0 } else { want.map_or(0, size_of) });
    if let Some(enums::Photo::Photo(photo)) = photo
        && let Some(size) = largest(&photo.sizes)
    {
        object.put("width", &size.width).put("height", &size.height);
    }
    object.put_flag("media_spoiler", spoiler);
    put_ttl(object, ttl);
}

fn put_ttl(object: &mut Object, ttl: Option<i32>) {
    if let Some(ttl) = ttl {
        object.put_number("self_destruct_period_seconds", ttl.into());
    }
}

fn put_document(object: &mut Object, media: &types::MessageMediaDocument, wants: &[Want], outcomes: &Outcomes) {
    let file = of_role(wants, MediaRole::File);
    object.put("file", &file.map_or_else(|| UNAVAILABLE.into(), |want| shown(want, outcomes)));
    let withheld = media.ttl_seconds.is_some();
    let Some(enums::Document::Document(document)) = &media.document else {
        object.put("file_size", &0);
        object.put_flag("media_spoiler", media.spoiler);
        put_ttl(object, media.ttl_seconds);
        return;
    };
    let traits = Traits::of(document);
    object.put_text("file_name", traits.name.unwrap_or_default());
    object.put("file_size", &if withheld { 0 } else { document.size });
    if let Some(thumbnail) = of_role(wants, MediaRole::Thumbnail) {
        object.put("thumbnail", &shown(thumbnail, outcomes)).put_number("thumbnail_file_size", size_of(thumbnail));
    }
    let kind = traits.kind();
    object.put_text("media_type", kind.media_type());
    if let Some(sticker) = traits.sticker {
        object.put_text("sticker_emoji", &sticker.alt);
    }
    if kind == FileKind::Music
        && let Some(audio) = traits.audio
    {
        object.put_text("performer", audio.performer.as_deref().unwrap_or_default());
        object.put_text("title", audio.title.as_deref().unwrap_or_default());
    }
    object.put_text("mime_type", &document.mime_type);
    let duration = traits.video.map(|video| video.duration as i64).or(traits.audio.map(|audio| audio.duration.into()));
    object.put_number("duration_seconds", duration.unwrap_or_default());
    if let Some((width, height)) = traits.video.map(|video| (video.w, video.h)).or(traits.picture)
        && width > 0
        && height > 0
    {
        object.put("width", &width).put("height", &height);
    }
    object.put_flag("media_spoiler", media.spoiler);
    put_ttl(object, media.ttl_seconds);
}

fn location(point: &enums::GeoPoint) -> Option<String> {
    match point {
        enums::GeoPoint::Point(point) => {
            let mut object = Object::new();
            object.put_fraction("latitude", point.lat).put_fraction("longitude", point.long);
            Some(object.end())
        }
        enums::GeoPoint::Empty => None,
    }
}

/// A text with entities as polls, lists and gifts have it: the short form only.
pub(super) fn short_text(text: &enums::TextWithEntities) -> String {
    let enums::TextWithEntities::Entities(text) = text;
    render(&text.text, &text.entities, &EmojiIds::Numbers).text
}

fn poll(media: &types::MessageMediaPoll) -> String {
    let enums::Poll::Poll(poll) = &media.poll;
    let enums::PollResults::Results(results) = &media.results;
    let votes: HashMap<&[u8], &types::PollAnswerVoters> =
        results.results.iter().flatten().map(|enums::PollAnswerVoters::Voters(voters)| (voters.option.as_slice(), voters)).collect();
    let answers = list(poll.answers.iter().filter_map(|answer| {
        let enums::PollAnswer::Answer(answer) = answer else { return None };
        let votes = votes.get(answer.option.as_slice());
        let mut object = Object::new();
        object.put_raw("text", &short_text(&answer.text));
        object.put("voters", &votes.and_then(|votes| votes.voters).unwrap_or_default());
        object.put("chosen", &votes.is_some_and(|votes| votes.chosen));
        Some(object.end())
    }));
    let mut object = Object::new();
    object.put_raw("question", &short_text(&poll.question));
    object.put("closed", &poll.closed).put("total_voters", &results.total_voters.unwrap_or_default()).put_raw("answers", &answers);
    object.end()
}

/// The items of a checklist.
pub(super) fn todo_items(items: &[enums::TodoItem]) -> String {
    list(items.iter().map(|enums::TodoItem::Item(item)| {
        let mut object = Object::new();
        object.put_raw("text", &short_text(&item.title)).put("id", &item.id);
        object.end()
    }))
}

fn todo(media: &types::MessageMediaToDo) -> String {
    let enums::TodoList::List(todo) = &media.todo;
    let mut object = Object::new();
    object.put_raw("title", &short_text(&todo.title));
    object.put("others_can_append", &todo.others_can_append).put("others_can_complete", &todo.others_can_complete);
    object.put_raw("answers", &todo_items(&todo.list));
    object.end()
}

/// The invoice is a JSON object inside a string there, its lines broken.
fn invoice(media: &types::MessageMediaInvoice) -> String {
    let mut lines = vec![
        format!("\"title\": {}", serde_json::json!(media.title)),
        format!("\"description\": {}", serde_json::json!(media.description)),
        format!("\"amount\": {}", media.total_amount),
        format!("\"currency\": {}", serde_json::json!(media.currency)),
    ];
    if let Some(receipt) = media.receipt_msg_id {
        lines.push(format!("\"receipt_message_id\": {receipt}"));
    }
    format!("{{\n {}\n}}", lines.join(",\n "))
}

fn giveaway(media: &types::MessageMediaGiveaway) -> String {
    let mut object = Object::new();
    object.put("quantity", &media.quantity).put("months", &media.months.unwrap_or_default());
    object.put("until_date", &super::json::iso(media.until_date.into())).put("channels", &media.channels);
    object.put("countries", media.countries_iso2.as_deref().unwrap_or_default());
    object.put("additional_prize", media.prize_description.as_deref().unwrap_or_default());
    object.put("stars", &media.stars.unwrap_or_default()).put("is_only_new_subscribers", &media.only_new_subscribers);
    object.end()
}

fn giveaway_results(media: &types::MessageMediaGiveawayResults) -> String {
    let mut object = Object::new();
    object.put("channel", &media.channel_id).put("winners", &media.winners);
    object.put("additional_prize", media.prize_description.as_deref().unwrap_or_default());
    object.put("until_date", &super::json::iso(media.until_date.into())).put("launch_message_id", &media.launch_msg_id);
    object.put("additional_peers_count", &media.additional_peers_count.unwrap_or_default());
    object.put("winners_count", &media.winners_count).put("unclaimed_count", &media.unclaimed_count);
    object.put("months", &media.months.unwrap_or_default()).put("stars", &media.stars.unwrap_or_default());
    object.put("is_refunded", &media.refunded).put("is_only_new_subscribers", &media.only_new_subscribers);
    object.end()
}

/// Writes the media keys of an ordinary message. `via_bot` is the name of the bot behind a game.
pub(super) fn put_media(object: &mut Object, media: &enums::MessageMedia, game_bot: Option<&str>, wants: &[Want], outcomes: &Outcomes) {
    use enums::MessageMedia as Kind;
    match media {
        Kind::Photo(photo) => put_photo(object, photo.photo.as_ref(), photo.spoiler, photo.ttl_seconds, wants, outcomes),
        Kind::Document(document) => put_document(object, document, wants, outcomes),
        Kind::Contact(contact) => {
            let mut inner = Object::new();
            inner.put("first_name", &contact.first_name).put("last_name", &contact.last_name);
            inner.put("phone_number", &contact.phone_number);
            object.put_raw("contact_information", &inner.end());
            if let Some(card) = of_role(wants, MediaRole::ContactVcard) {
                object.put("contact_vcard", &shown(card, outcomes)).put("contact_vcard_file_size", &size_of(card));
            }
        }
        Kind::Geo(geo) => {
            object.put_raw("location_information", location(&geo.geo).as_deref().unwrap_or("null"));
        }
        Kind::GeoLive(live) => {
            object.put_raw("location_information", location(&live.geo).as_deref().unwrap_or("null"));
            object.put("live_location_period_seconds", &live.period);
        }
        Kind::Venue(venue) => {
            object.put_text("place_name", &venue.title).put_text("address", &venue.address);
            if let Some(location) = location(&venue.geo) {
                object.put_raw("location_information", &location);
            }
        }
        Kind::Game(game) => {
            let enums::Game::Game(game) = &game.game;
            object.put_text("game_title", &game.title).put_text("game_description", &game.description);
            if let Some(bot) = game_bot {
                object.put("game_link", &format!("https://t.me/{bot}?game={}", game.short_name));
            }
        }
        Kind::Invoice(media) => {
            object.put("invoice_information", &invoice(media));
        }
        Kind::Poll(media) => {
            object.put_raw("poll", &poll(media));
        }
        Kind::ToDo(media) => {
            object.put_raw("todo_list", &todo(media));
        }
        Kind::Giveaway(media) => {
            object.put_raw("giveaway_information", &giveaway(media));
        }
        Kind::GiveawayResults(media) => {
            object.put_raw("giveaway_results", &giveaway_results(media));
        }
        Kind::PaidMedia(paid) => {
            object.put("paid_stars_amount", &paid.stars_amount);
        }
        Kind::Empty | Kind::Unsupported | Kind::WebPage(_) | Kind::Dice(_) | Kind::Story(_) | Kind::VideoStream(_) => {}
    }
}

/// The preview of a link.
pub(super) fn web_page(page: &enums::WebPage) -> Option<Object> {
    let enums::WebPage::Page(page) = page else { return None };
    let mut object = Object::new();
    object.put("url", &page.url);
    for (key, value) in [
        ("type", &page.r#type),
        ("site_name", &page.site_name),
        ("title", &page.title),
        ("description", &page.description),
        ("author", &page.author),
        ("embed_url", &page.embed_url),
    ] {
        object.put_text(key, value.as_deref().unwrap_or_default());
    }
    Some(object)
}
