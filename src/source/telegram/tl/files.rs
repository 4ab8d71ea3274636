//! The files that a message shows: where Telegram keeps each, and what it is called in a backup.

use std::borrow::Cow;

use grammers_tl_types::{enums, types};

use super::rich::whole_text;
use crate::model::entry::EntryPath;
use crate::model::kinds::FileKind;
use crate::model::media::{MediaKind, MediaRole, SkipReason, media_path};

/// Photos and documents embed sizes of this kind as outlines and blurs, which are not pictures to keep.
const NOT_PICTURES: [&str; 2] = ["i", "j"];

/// Where Telegram keeps a file.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) dc: i32,
    pub(crate) input: enums::InputFileLocation,
}

/// What tells one file of Telegram's from all others, and is its name in the backup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileKey {
    pub(crate) photo: bool,
    pub(crate) id: i64,
    /// `full`, or the letter of a size.
    pub(crate) variant: String,
    /// The end of its name, where messages give it one: two of them may name one file in two ways, and each names what is stored.
    pub(crate) extension: String,
}

/// Where the bytes come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Telegram's servers.
    Remote(Location),
    /// The message itself.
    Inline(Vec<u8>),
    /// Nowhere: Telegram does not hand them out.
    Never(SkipReason),
}

/// A file that a message shows.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) role: MediaRole,
    pub(crate) key: FileKey,
    pub(crate) path: EntryPath,
    pub(crate) size: u64,
    pub(crate) mime: Option<String>,
    pub(crate) name: Option<String>,
    /// The user's switch that it belongs to; `None` for what is always taken.
    pub(crate) kind: Option<FileKind>,
    /// The size that the user's limit is compared with: the main file's, also for its thumbnail.
    pub(crate) judged_size: u64,
    pub(crate) origin: Origin,
    /// When Telegram got the file, Unix seconds; 0 where it does not say.
    pub(crate) date: i64,
}

impl Want {
    /// The data centre that has it; `None` where nothing is to be fetched.
    pub(crate) fn dc(&self) -> Option<i32> {
        match &self.origin {
            Origin::Remote(location) => Some(location.dc),
            Origin::Inline(_) | Origin::Never(_) => None,
        }
    }
}

/// A picture's size that can be fetched or is here already.
pub(super) struct Picture<'a> {
    pub(super) letter: &'a str,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) bytes: u64,
    inline: Option<&'a [u8]>,
}

fn picture(size: &enums::PhotoSize) -> Option<Picture<'_>> {
    let length = |bytes: i32| u64::try_from(bytes).unwrap_or_default();
    let found = match size {
        enums::PhotoSize::Size(s) => Picture { letter: &s.r#type, width: s.w, height: s.h, bytes: length(s.size), inline: None },
        enums::PhotoSize::Progressive(s) => {
            let bytes = length(s.sizes.last().copied().unwrap_or_default());
            Picture { letter: &s.r#type, width: s.w, height: s.h, bytes, inline: None }
        }
        enums::PhotoSize::PhotoCachedSize(s) => {
            Picture { letter: &s.r#type, width: s.w, height: s.h, bytes: s.bytes.len() as u64, inline: Some(&s.bytes) }
        }
        enums::PhotoSize::Empty(_) | enums::PhotoSize::PhotoStrippedSize(_) | enums::PhotoSize::PhotoPathSize(_) => return None,
    };
    (!NOT_PICTURES.contains(&found.letter)).then_some(found)
}

/// The size with the greatest area.
pub(super) fn largest(sizes: &[enums::PhotoSize]) -> Option<Picture<'_>> {
    sizes.iter().filter_map(picture).max_by_key(|size| i64::from(size.width) * i64::from(size.height))
}

/// A photo's own path at its largest size.
pub(crate) fn photo_want(photo: &types::Photo, role: MediaRole) -> Option<Want> {
    let size = largest(&photo.sizes)?;
    let key = FileKey { photo: true, id: photo.id, variant: size.letter.to_owned(), extension: String::new() };
    let origin = match size.inline {
        Some(bytes) => Origin::Inline(bytes.to_vec()),
        None => {
            let input = types::InputPhotoFileLocation {
                id: photo.id,
                access_hash: photo.access_hash,
                file_reference: photo.file_reference.clone(),
                thumb_size: size.letter.to_owned(),
            };
            Origin::Remote(Location { dc: photo.dc_id, input: input.into() })
        }
    };
    let path = media_path(MediaKind::Photo, &photo.id.to_string(), size.letter, "jpg").ok()?;
    Some(Want {
        role,
        key,
        path,
        size: size.bytes,
        mime: Some("image/jpeg".into()),
        name: None,
        kind: Some(FileKind::Photo),
        judged_size: size.bytes,
        origin,
        date: photo.date.into(),
    })
}

/// What a document turns out to be.
#[derive(Default)]
pub(super) struct Traits<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) sticker: Option<&'a types::DocumentAttributeSticker>,
    pub(super) animated: bool,
    pub(super) video: Option<&'a types::DocumentAttributeVideo>,
    pub(super) audio: Option<&'a types::DocumentAttributeAudio>,
    pub(super) picture: Option<(i32, i32)>,
    pub(super) emoji: bool,
}

impl<'a> Traits<'a> {
    pub(super) fn of(document: &'a types::Document) -> Self {
        let mut found = Self::default();
        for attribute in &document.attributes {
            match attribute {
                enums::DocumentAttribute::ImageSize(size) => found.picture = Some((size.w, size.h)),
                enums::DocumentAttribute::Animated => found.animated = true,
                enums::DocumentAttribute::Sticker(sticker) => found.sticker = Some(sticker),
                enums::DocumentAttribute::Video(video) => found.video = Some(video),
                enums::DocumentAttribute::Audio(audio) => found.audio = Some(audio),
                enums::DocumentAttribute::Filename(name) => found.name = Some(&name.file_name),
                enums::DocumentAttribute::CustomEmoji(_) => found.emoji = true,
                enums::DocumentAttribute::HasStickers => {}
            }
        }
        found
    }

    pub(super) fn round(&self) -> bool {
        self.video.is_some_and(|video| video.round_message)
    }

    pub(super) fn voice(&self) -> bool {
        self.audio.is_some_and(|audio| audio.voice)
    }

    pub(super) fn kind(&self) -> FileKind {
        if self.sticker.is_some() {
            FileKind::Sticker
        } else if self.round() {
            FileKind::VideoMessage
        } else if self.voice() {
            FileKind::VoiceMessage
        } else if self.animated {
            FileKind::Gif
        } else if self.video.is_some() {
            FileKind::Video
        } else if self.audio.is_some() {
            FileKind::Music
        } else {
            FileKind::File
        }
    }
}

/// A file's extension: that of its own name, or one for its MIME type.
fn extension(document: &types::Document, traits: &Traits<'_>) -> String {
    const LONGEST: usize = 10;
    let own = traits.name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    if let Some(own) = own
        && !own.is_empty()
        && own.len() <= LONGEST
        && own.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return own.to_ascii_lowercase();
    }
    let known = match document.mime_type.as_str() {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "video/mp4" => "mp4",
        "video/webm" => "webm",
        "video/quicktime" => "mov",
        "audio/ogg" => "ogg",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "application/x-tgsticker" => "tgs",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "text/plain" => "txt",
        _ => "",
    };
    known.to_owned()
}

fn document_location(document: &types::Document, thumb_size: &str) -> Location {
    let input = types::InputDocumentFileLocation {
        id: document.id,
        access_hash: document.access_hash,
        file_reference: document.file_reference.clone(),
        thumb_size: thumb_size.to_owned(),
    };
    Location { dc: document.dc_id, input: input.into() }
}

/// A document's own file.
pub(crate) fn document_want(document: &types::Document, role: MediaRole) -> Option<Want> {
    let traits = Traits::of(document);
    let size = u64::try_from(document.size).unwrap_or_default();
    let extension = extension(document, &traits);
    let path = media_path(MediaKind::Document, &document.id.to_string(), "full", &extension).ok()?;
    // Custom emoji are asked for by their numbers alone.
    let extension = if role == MediaRole::CustomEmoji { String::new() } else { extension };
    Some(Want {
        role,
        key: FileKey { photo: false, id: document.id, variant: "full".into(), extension },
        path,
        size,
        mime: Some(document.mime_type.clone()),
        name: traits.name.map(str::to_owned),
        // Custom emoji are part of the text.
        kind: (role != MediaRole::CustomEmoji).then(|| traits.kind()),
        judged_size: size,
        origin: Origin::Remote(document_location(document, "")),
        date: document.date.into(),
    })
}

/// A document's largest still picture.
pub(super) fn thumbnail_want(document: &types::Document) -> Option<Want> {
    let size = largest(document.thumbs.as_deref()?)?;
    let origin = match size.inline {
        Some(bytes) => Origin::Inline(bytes.to_vec()),
        None => Origin::Remote(document_location(document, size.letter)),
    };
    Some(Want {
        role: MediaRole::Thumbnail,
        key: FileKey { photo: false, id: document.id, variant: size.letter.to_owned(), extension: String::new() },
        path: media_path(MediaKind::Document, &document.id.to_string(), size.letter, "jpg").ok()?,
        size: size.bytes,
        mime: Some("image/jpeg".into()),
        name: None,
        kind: Some(Traits::of(document).kind()),
        judged_size: u64::try_from(document.size).unwrap_or_default(),
        origin,
        date: document.date.into(),
    })
}

fn add_photo(photo: Option<&enums::Photo>, role: MediaRole, wants: &mut Vec<Want>) {
    if let Some(enums::Photo::Photo(photo)) = photo {
        wants.extend(photo_want(photo, role));
    }
}

fn add_document(document: Option<&enums::Document>, role: MediaRole, wants: &mut Vec<Want>) {
    if let Some(enums::Document::Document(document)) = document {
        wants.extend(document_want(document, role));
        wants.extend(thumbnail_want(document));
    }
}

/// A shared contact's card, kept as a file of its own.
fn vcard_want(contact: &types::MessageMediaContact) -> Option<Want> {
    if contact.vcard.is_empty() {
        return None;
    }
    let bytes = contact.vcard.as_bytes().to_vec();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
    let id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let number = digest.first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes)).unwrap_or_default();
    Some(Want {
        role: MediaRole::ContactVcard,
        key: FileKey { photo: false, id: number, variant: "vcard".into(), extension: String::new() },
        path: media_path(MediaKind::Inline, &format!("sha256-{id}"), "full", "vcard").ok()?,
        size: bytes.len() as u64,
        mime: Some("text/vcard".into()),
        name: None,
        kind: None,
        judged_size: 0,
        origin: Origin::Inline(bytes),
        date: 0,
    })
}

fn add_media(media: &enums::MessageMedia, role: Option<MediaRole>, wants: &mut Vec<Want>) {
    use enums::MessageMedia as Media;
    let main = |own: MediaRole| role.unwrap_or(own);
    match media {
        Media::Photo(photo) => {
            let before = wants.len();
            add_photo(photo.photo.as_ref(), main(MediaRole::Photo), wants);
            add_document(photo.video.as_ref(), MediaRole::Attachment, wants);
            if photo.ttl_seconds.is_some() {
                withhold(wants.get_mut(before..));
            }
        }
        Media::Document(document) => {
            let before = wants.len();
            add_document(document.document.as_ref(), main(MediaRole::File), wants);
            add_photo(document.video_cover.as_ref(), MediaRole::Attachment, wants);
            if document.ttl_seconds.is_some() {
                withhold(wants.get_mut(before..));
            }
        }
        Media::Contact(contact) => wants.extend(vcard_want(contact)),
        Media::Game(game) => {
            let enums::Game::Game(game) = &game.game;
            add_photo(Some(&game.photo), MediaRole::Attachment, wants);
            add_document(game.document.as_ref(), MediaRole::Attachment, wants);
        }
        Media::WebPage(page) => {
            if let enums::WebPage::Page(page) = &page.webpage {
                add_photo(page.photo.as_ref(), MediaRole::Attachment, wants);
            }
        }
        Media::PaidMedia(paid) => {
            for extended in &paid.extended_media {
                if let enums::MessageExtendedMedia::Media(extended) = extended {
                    add_media(&extended.media, Some(MediaRole::Attachment), wants);
                }
            }
        }
        Media::Invoice(invoice) => {
            if let Some(enums::MessageExtendedMedia::Media(extended)) = &invoice.extended_media {
                add_media(&extended.media, Some(MediaRole::Attachment), wants);
            }
        }
        Media::Story(story) => {
            if let Some(enums::StoryItem::Item(story)) = &story.story {
                add_media(&story.media, Some(MediaRole::Attachment), wants);
            }
        }
        Media::Poll(poll) => {
            if let Some(attached) = &poll.attached_media {
                add_media(attached, Some(MediaRole::Attachment), wants);
            }
            let enums::Poll::Poll(asked) = &poll.poll;
            for answer in &asked.answers {
                if let enums::PollAnswer::Answer(answer) = answer
                    && let Some(media) = &answer.media
                {
                    add_media(media, Some(MediaRole::Attachment), wants);
                }
            }
        }
        Media::Empty
        | Media::Geo(_)
        | Media::Unsupported
        | Media::Venue(_)
        | Media::GeoLive(_)
        | Media::Dice(_)
        | Media::Giveaway(_)
        | Media::GiveawayResults(_)
        | Media::ToDo(_)
        | Media::VideoStream(_) => {}
    }
}

/// Media that destroys itself is for the eyes of the app that opens it.
fn withhold(wants: Option<&mut [Want]>) {
    for want in wants.into_iter().flatten() {
        if !matches!(want.origin, Origin::Inline(_)) {
            want.origin = Origin::Never(SkipReason::SelfDestructing);
        }
    }
}

/// The files of a story.
pub(crate) fn story_wants(media: &enums::MessageMedia) -> Vec<Want> {
    let mut wants = Vec::new();
    add_media(media, Some(MediaRole::Story), &mut wants);
    for want in &mut wants {
        want.kind = None;
    }
    wants
}

/// The files of a piece of music of a profile.
pub(crate) fn song_wants(song: &types::Document) -> Vec<Want> {
    let mut wants = Vec::new();
    add_media(&song_media(song), None, &mut wants);
    wants
}

/// A document as a message shows it.
pub(super) fn song_media(song: &types::Document) -> enums::MessageMedia {
    types::MessageMediaDocument {
        nopremium: false,
        spoiler: false,
        video: false,
        round: false,
        voice: false,
        document: Some(song.clone().into()),
        alt_documents: None,
        video_cover: None,
        video_timestamp: None,
        ttl_seconds: None,
    }
    .into()
}

/// The files of a message, each once, main file first.
pub(crate) fn wants(message: &enums::Message) -> Vec<Want> {
    let mut wants = Vec::new();
    match message {
        enums::Message::Message(message) => {
            if let Some(media) = &message.media {
                add_media(media, None, &mut wants);
            }
            if let Some(enums::RichMessage::Message(rich)) = &message.rich_message {
                rich.photos.iter().for_each(|photo| add_photo(Some(photo), MediaRole::Attachment, &mut wants));
                rich.documents.iter().for_each(|document| add_document(Some(document), MediaRole::Attachment, &mut wants));
            }
        }
        enums::Message::Service(message) => match &message.action {
            enums::MessageAction::ChatEditPhoto(action) => add_photo(Some(&action.photo), MediaRole::Photo, &mut wants),
            enums::MessageAction::SuggestProfilePhoto(action) => add_photo(Some(&action.photo), MediaRole::Photo, &mut wants),
            enums::MessageAction::StarGift(action) => {
                if let enums::StarGift::Gift(gift) = &action.gift {
                    add_document(Some(&gift.sticker), MediaRole::Attachment, &mut wants);
                }
            }
            _ => {}
        },
        enums::Message::Empty(_) => {}
    }
    let mut seen = std::collections::HashSet::new();
    wants.retain(|want| seen.insert(want.key.clone()));
    wants
}

/// The custom emoji that a message shows in its text and reactions.
pub(crate) fn custom_emoji(message: &enums::Message) -> Vec<i64> {
    let (entities, reactions) = match message {
        enums::Message::Message(message) => (whole_text(message).1, message.reactions.as_ref()),
        enums::Message::Service(message) => (Cow::default(), message.reactions.as_ref()),
        enums::Message::Empty(_) => return vec![],
    };
    let mut ids: Vec<i64> = entities
        .iter()
        .filter_map(|entity| match entity {
            enums::MessageEntity::CustomEmoji(custom) => Some(custom.document_id),
            _ => None,
        })
        .collect();
    if let Some(enums::MessageReactions::Reactions(reactions)) = reactions {
        let counted = reactions.results.iter().map(|enums::ReactionCount::Count(count)| &count.reaction);
        let recent = reactions.recent_reactions.iter().flatten().map(|enums::MessagePeerReaction::Reaction(recent)| &recent.reaction);
        ids.extend(counted.chain(recent).filter_map(|reaction| match reaction {
            enums::Reaction::CustomEmoji(custom) => Some(custom.document_id),
            _ => None,
        }));
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}
