//! Names and folders of media files in an export, by Telegram Desktop's rules.
//!
//! A stored file gets its name when the first message shows it; every later message points to that first place, also across
//! chats. Counters run per chat and kind and count files that were left out, too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::account::{AccountSection, Section};
use crate::model::chat_part::ChatPart;
use crate::model::entry::EntryPath;
use crate::model::json;
use crate::model::media::{Media, MediaRole, MediaStatus};
use crate::model::record::MessageRecord;
use crate::model::time;

/// The longest name of a file, in bytes: most file systems take 255, and a counter and `_thumb.jpg` must still fit.
const MAX_NAME_BYTES: usize = 200;

/// The folders of a chat, as Telegram Desktop names them.
const FOLDERS: [&str; 8] =
    ["photos", "video_files", "voice_messages", "round_video_messages", "stickers", "animations", "files", "contacts"];

#[derive(Default)]
struct Counters {
    photos: u64,
    audios: u64,
    videos: u64,
    files: u64,
    contacts: u64,
}

/// Where stored media files lie in an export, or which placeholder stands for them.
#[derive(Clone, Debug, Default)]
pub struct Places(HashMap<EntryPath, Arc<str>>);

impl Places {
    /// What an export says of a stored file: its place relative to the export's root, or a placeholder; `None` for a file that no
    /// message has shown yet.
    pub fn shown(&self, stored: &str) -> Option<&str> {
        // Every stored file lies below `media/`: most texts are told apart without building a path.
        let path = stored.starts_with("media/").then(|| EntryPath::new(stored).ok())??;
        self.0.get(&path).map(|place| &**place)
    }

    /// Where a stored file lies in the export; `None` where it does not.
    pub fn placed(&self, stored: &str) -> Option<&str> {
        self.shown(stored).filter(|place| !is_placeholder(place))
    }

    /// Takes over what `other` says of the files of a message.
    pub fn copy(&mut self, record: &MessageRecord, other: &Self) {
        self.copy_media(&record.media, other);
    }

    /// Takes over what `other` says of these files.
    pub fn copy_media(&mut self, media: &[Media], other: &Self) {
        for path in media.iter().filter_map(|media| media.path.as_ref()) {
            if let Some(place) = other.0.get(path) {
                self.0.insert(path.clone(), Arc::clone(place));
            }
        }
    }
}

/// Whether a text stands in the place of a path: every place begins with the name of a folder.
pub fn is_placeholder(place: &str) -> bool {
    place.is_empty() || place.starts_with('(')
}

/// Why a stored file is not part of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Its kind was not chosen.
    NotChosen,
    /// It cannot be had.
    Unavailable,
}

impl LeftOut {
    /// Telegram Desktop's words in `result.json`.
    fn placeholder(self, role: MediaRole) -> &'static str {
        match (self, role) {
            (Self::NotChosen, MediaRole::CustomEmoji) => "",
            (Self::Unavailable, MediaRole::CustomEmoji) => "(unavailable)",
            (Self::NotChosen, MediaRole::Userpic | MediaRole::Story) => "(Photo not included. Change data exporting settings to download.)",
            (Self::Unavailable, MediaRole::Userpic | MediaRole::Story) => "(Photo unavailable, please try again later)",
            (Self::NotChosen, _) => "(File not included. Change data exporting settings to download.)",
            (Self::Unavailable, _) => "(File unavailable, please try again later)",
        }
    }
}

/// Takes the files that get a place: `Ok` when the file may lie there.
pub type Placing<'a> = dyn FnMut(&Media, &EntryPath, &str) -> Result<(), LeftOut> + 'a;

/// Gives every stored media file its place in an export.
pub struct MediaNamer {
    zone: TimeZone,
    folder: String,
    counters: Counters,
    places: Places,
    taken: HashSet<Box<str>>,
}

impl MediaNamer {
    /// A namer whose file names carry local times of `zone`.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, folder: String::new(), counters: Counters::default(), places: Places::default(), taken: HashSet::new() }
    }

    /// Begins the chat in `folder`: `chats/chat_01/`, or empty in a single-chat export.
    pub fn begin_chat(&mut self, folder: &str) {
        folder.clone_into(&mut self.folder);
        self.counters = Counters::default();
    }

    /// Gives places to the files of a message, which comes after all earlier messages of its chat; hands each newly placed file
    /// to `placed` with its place relative to the export's root. What that leaves out gets a placeholder.
    pub fn message(&mut self, record: &MessageRecord, placed: &mut Placing<'_>) {
        if record.media.is_empty() {
            return;
        }
        let message = record.message.get();
        let date = record
            .date
            .and_then(|unix| time::local(&self.zone, unix))
            .or_else(|| time::parse_iso(&json::text(json::get(message, "date")?)?));
        let mut main: Option<String> = None;
        for media in &record.media {
            let wish = match media.role {
                MediaRole::Thumbnail => self.exported(media).or_else(|| main.as_ref().map(|main| format!("{main}_thumb.jpg"))),
                _ => {
                    let wish = self.wish(media, message, date);
                    main = Some(wish.clone());
                    Some(wish)
                }
            };
            let wish = wish.unwrap_or_else(|| format!("{}files/thumb.jpg", self.folder));
            self.place(media, wish, placed);
        }
    }

    /// Gives places to the files of a section of the account (profile pictures, stories, music, what a later version has).
    pub fn section(&mut self, section: &AccountSection, placed: &mut Placing<'_>) {
        let elements: Vec<&str> = json::elements(section.value.get()).collect();
        for media in &section.media {
            let Some(path) = media.path.as_ref().map(ToString::to_string) else { continue };
            let index = elements.iter().position(|element| element.contains(&path));
            // What the section does not speak of has no place of its own in it.
            if index.is_none() && media.exported_as.is_none() {
                continue;
            }
            let date = index.and_then(|index| json::get(elements.get(index)?, "date_unixtime")).and_then(json::digits);
            let stamp = stamp(date.and_then(|unix| time::local(&self.zone, unix)));
            let n = index.map_or(1, |index| index + 1);
            let own = |otherwise: String| media.name.as_deref().filter(|name| !name.is_empty()).map_or(otherwise, sanitise);
            let exported = media.exported_as.as_deref().and_then(|path| path.rsplit_once('/'));
            let wish = match (media.role, exported) {
                (_, Some((folder @ ("profile_pictures" | "stories" | "profile_music"), name))) => format!("{folder}/{}", sanitise(name)),
                (MediaRole::Story, _) => format!("stories/story_{n}{stamp}{}", extension(media, "jpg")),
                (MediaRole::Userpic, _) => format!("profile_pictures/photo_{n}{stamp}.jpg"),
                (_, exported) if section.section != Section::ProfileMusic => {
                    format!("files/{}", exported.map_or_else(|| own(format!("file_{n}")), |(_, name)| sanitise(name)))
                }
                (MediaRole::Thumbnail, _) => format!("profile_music/file_{n}_thumb.jpg"),
                _ => format!("profile_music/{}", own(format!("file_{n}{}", extension(media, "mp3")))),
            };
            self.place(media, wish, placed);
        }
    }

    /// Gives places to the files of what a chat has beside messages, in folders of the chat.
    pub fn part(&mut self, part: &ChatPart, placed: &mut Placing<'_>) {
        let elements: Vec<&str> = json::elements(part.value.get()).collect();
        for media in &part.media {
            let Some(path) = media.path.as_ref().map(ToString::to_string) else { continue };
            let index = elements.iter().position(|element| element.contains(&path));
            // What the part does not speak of, such as the still picture of a story, has no place of its own in it.
            if index.is_none() {
                continue;
            }
            let date = index.and_then(|index| json::get(elements.get(index)?, "date_unixtime")).and_then(json::digits);
            let stamp = stamp(date.and_then(|unix| time::local(&self.zone, unix)));
            let (folder, n) = (&self.folder, index.map_or(1, |index| index + 1));
            let wish = match media.role {
                MediaRole::Userpic => format!("{folder}profile_pictures/photo_{n}{stamp}.jpg"),
                MediaRole::Story => format!("{folder}stories/story_{n}{stamp}{}", extension(media, "jpg")),
                _ => {
                    let own = media.name.as_deref().filter(|name| !name.is_empty()).map(sanitise);
                    let name = own.unwrap_or_else(|| format!("file_{n}{stamp}{}", extension(media, "bin")));
                    format!("{folder}{}/{name}", part.part.key())
                }
            };
            self.place(media, wish, placed);
        }
    }

    /// Where the files lie.
    pub fn places(&self) -> &Places {
        &self.places
    }

    fn place(&mut self, media: &Media, wish: String, placed: &mut Placing<'_>) {
        let (MediaStatus::Stored, Some(path)) = (&media.status, &media.path) else { return };
        if self.places.0.contains_key(path) {
            return;
        }
        let place = self.free(wish);
        let shown = match placed(media, path, &place) {
            Ok(()) => place.into(),
            Err(left_out) => {
                self.taken.remove(place.to_lowercase().as_str());
                left_out.placeholder(media.role).into()
            }
        };
        self.places.0.insert(path.clone(), shown);
    }

    /// The wished path, or the next one with a counter before the first dot of its name. Case is ignored, for the export may be
    /// moved to a file system that ignores it.
    fn free(&mut self, wish: String) -> String {
        if self.taken.insert(wish.to_lowercase().into()) {
            return wish;
        }
        let name_at = wish.rfind('/').map_or(0, |slash| slash + 1);
        let dot = wish.get(name_at..).and_then(|name| name.find('.')).map_or(wish.len(), |dot| name_at + dot);
        let (stem, rest) = wish.split_at(dot);
        let mut counter = 1u64;
        loop {
            let candidate = format!("{stem} ({counter}){rest}");
            if self.taken.insert(candidate.to_lowercase().into()) {
                return candidate;
            }
            counter += 1;
        }
    }

    /// The name that an imported file had, below this chat's folder.
    fn exported(&self, media: &Media) -> Option<String> {
        let (folders, name) = media.exported_as.as_deref()?.rsplit_once('/')?;
        let folder = folders.rsplit('/').next()?;
        FOLDERS.contains(&folder).then(|| format!("{}{folder}/{}", self.folder, sanitise(name)))
    }

    fn wish(&mut self, media: &Media, message: &str, date: Option<DateTime>) -> String {
        let stamp = stamp(date);
        let own_name = media.name.as_deref().filter(|name| !name.is_empty()).map(sanitise);
        let mime = media.mime.as_deref().unwrap_or_default();
        let (folder, name) = match media.role {
            MediaRole::Photo => {
                self.counters.photos += 1;
                ("photos", format!("photo_{}{stamp}.jpg", self.counters.photos))
            }
            MediaRole::ContactVcard => {
                self.counters.contacts += 1;
                ("contacts", format!("contact_{}.vcard", self.counters.contacts))
            }
            MediaRole::CustomEmoji => {
                let folder = if mime == "video/webm" { "video_files" } else { "stickers" };
                let name = own_name.unwrap_or_else(|| {
                    self.counters.files += 1;
                    format!("file_{}{}", self.counters.files, extension(media, "unknown"))
                });
                (folder, name)
            }
            MediaRole::File => self.document(media, message, &stamp, own_name),
            MediaRole::Thumbnail | MediaRole::Userpic | MediaRole::Story | MediaRole::Attachment => {
                let name = own_name.unwrap_or_else(|| {
                    self.counters.files += 1;
                    format!("file_{}{stamp}{}", self.counters.files, extension(media, "unknown"))
                });
                ("files", name)
            }
        };
        self.exported(media).unwrap_or_else(|| format!("{}{folder}/{name}", self.folder))
    }

    fn document(&mut self, media: &Media, message: &str, stamp: &str, own: Option<String>) -> (&'static str, String) {
        let kind = json::get(message, "media_type").and_then(json::spelling).unwrap_or_default();
        let mime = media.mime.as_deref().unwrap_or_default();
        let is_video = mime.starts_with("video/");
        let folder = match kind {
            "video_message" => "round_video_messages",
            "voice_message" => "voice_messages",
            // Video attributes win over these two: MP4 animations and WebM stickers lie with the videos.
            "video_file" => "video_files",
            "animation" | "sticker" if is_video => "video_files",
            "animation" => "animations",
            "sticker" => "stickers",
            _ => "files",
        };
        let name = own.unwrap_or_else(|| match folder {
            "voice_messages" => {
                self.counters.audios += 1;
                let extension = if mime == "audio/mp3" { "mp3" } else { "ogg" };
                format!("audio_{}{stamp}.{extension}", self.counters.audios)
            }
            "video_files" => {
                self.counters.videos += 1;
                format!("video_{}{stamp}{}", self.counters.videos, extension(media, "mov"))
            }
            "round_video_messages" => {
                self.counters.files += 1;
                format!("file_{}{stamp}.mp4", self.counters.files)
            }
            _ => {
                self.counters.files += 1;
                format!("file_{}{stamp}{}", self.counters.files, extension(media, "unknown"))
            }
        });
        (folder, name)
    }
}

/// `chats/chat_N/` of the chat with this number (from 1) among `total`: padded to the digits of `total` − 1.
pub fn chat_folder(number: usize, total: usize) -> String {
    let width = total.saturating_sub(1).to_string().len();
    format!("chats/chat_{number:0width$}/")
}

fn stamp(date: Option<DateTime>) -> String {
    date.map(|date| format!("@{}", time::file_stamp(date))).unwrap_or_default()
}

/// The extension that goes with a MIME type, its dot included.
fn extension(media: &Media, otherwise: &str) -> String {
    let known = match media.mime.as_deref().unwrap_or_default() {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/heic" => "heic",
        "image/svg+xml" => "svg",
        "application/x-tgsticker" => "tgs",
        "video/mp4" => "mp4",
        "video/webm" => "webm",
        "video/quicktime" => "mov",
        "video/x-matroska" => "mkv",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/ogg" => "ogg",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/wav" | "audio/x-wav" => "wav",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "application/gzip" => "gz",
        "application/json" => "json",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => "pptx",
        "application/vnd.android.package-archive" => "apk",
        "application/epub+zip" => "epub",
        "text/plain" => "txt",
        "text/html" => "html",
        "text/csv" => "csv",
        _ => otherwise,
    };
    format!(".{known}")
}

/// Makes a name that every system takes: control characters, `/ \ < > : " | ? *` and the marks that turn the direction of text
/// become `_`; an empty name and one that ends in a space or dot gets `_`; a very long one is cut before its extension.
pub fn sanitise(name: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*')
            || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}' | '\u{202B}' | '\u{202D}' | '\u{202E}' | '\u{2066}' | '\u{2067}')
    };
    let mut clean: String = name.chars().map(|c| if bad(c) { '_' } else { c }).collect();
    if clean.len() > MAX_NAME_BYTES {
        let extension = clean.rfind('.').map(|dot| clean.split_off(dot)).filter(|e| e.len() <= 20).unwrap_or_default();
        let mut cut = MAX_NAME_BYTES.saturating_sub(extension.len()).min(clean.len());
        while !clean.is_char_boundary(cut) {
            cut -= 1;
        }
        clean.truncate(cut);
        clean.push_str(&extension);
    }
    if clean.is_empty() || clean.ends_with([' ', '.']) {
        clean.push('_');
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::model::media::{MediaKind, SkipReason, media_path};
    use crate::model::peer::Peer;

    fn media(role: MediaRole, id: &str, mime: &str, name: Option<&str>) -> Media {
        Media {
            role,
            path: Some(media_path(MediaKind::Document, id, "full", "").unwrap()),
            id: None,
            size: None,
            mime: Some(mime.into()),
            name: name.map(Into::into),
            exported_as: None,
            status: MediaStatus::Stored,
        }
    }

    fn names(messages: Vec<(&str, Vec<Media>)>) -> Vec<String> {
        let mut namer = MediaNamer::new(TimeZone::UTC);
        namer.begin_chat("chats/chat_1/");
        let mut places = Vec::new();
        for (message, media) in messages {
            let record = MessageRecord {
                peer: Peer::user(1),
                id: 1,
                observed: 0,
                run: "r".parse().unwrap(),
                date: Some(0),
                edited: None,
                message: RawValue::from_string(message.into()).unwrap(),
                extra: None,
                media,
                raw: None,
            };
            namer.message(&record, &mut |_, _, place| {
                places.push(place.trim_start_matches("chats/chat_1/").to_owned());
                Ok(())
            });
        }
        places
    }

    #[test]
    fn folders_and_names_follow_the_kind_of_media() {
        use MediaRole::*;
        let mut skipped = media(Photo, "2", "image/jpeg", None);
        (skipped.path, skipped.status) = (None, MediaStatus::Skipped(SkipReason::TooLarge));
        let of = |kind: &str| format!(r#"{{"media_type":"{kind}"}}"#);
        let (video, voice, round) = (of("video_file"), of("voice_message"), of("video_message"));
        let (gif, sticker, audio) = (of("animation"), of("sticker"), of("audio_file"));
        let stamp = "@01-01-1970_00-00-00";
        assert_eq!(
            names(vec![
                ("{}", vec![media(Photo, "1", "image/jpeg", None)]),
                ("{}", vec![skipped]),
                ("{}", vec![media(Photo, "3", "image/jpeg", None)]),
                ("{}", vec![media(Photo, "1", "image/jpeg", None)]),
                (&video, vec![media(File, "4", "video/mp4", None), media(Thumbnail, "5", "image/jpeg", None)]),
                (&video, vec![media(File, "6", "video/odd", None)]),
                (&voice, vec![media(File, "7", "audio/ogg", None)]),
                (&round, vec![media(File, "8", "video/mp4", None)]),
                (&gif, vec![media(File, "9", "video/mp4", Some("a.mp4"))]),
                (&gif, vec![media(File, "10", "image/gif", Some("a.gif"))]),
                (&sticker, vec![media(File, "11", "image/webp", Some("sticker.webp"))]),
                (&sticker, vec![media(File, "12", "image/webp", Some("Sticker.webp"))]),
                (&audio, vec![media(File, "13", "audio/mpeg", Some("a/b?.tar.gz"))]),
                ("{}", vec![media(File, "14", "x/y", None), media(CustomEmoji, "15", "application/x-tgsticker", None)]),
                ("{}", vec![media(ContactVcard, "16", "", None)]),
                ("{}", vec![media(File, "17", "x/y", Some("a_b_.tar.gz"))]),
            ]),
            [
                format!("photos/photo_1{stamp}.jpg"),
                format!("photos/photo_3{stamp}.jpg"),
                format!("video_files/video_1{stamp}.mp4"),
                format!("video_files/video_1{stamp}.mp4_thumb.jpg"),
                format!("video_files/video_2{stamp}.mov"),
                format!("voice_messages/audio_1{stamp}.ogg"),
                format!("round_video_messages/file_1{stamp}.mp4"),
                "video_files/a.mp4".into(),
                "animations/a.gif".into(),
                "stickers/sticker.webp".into(),
                "stickers/Sticker (1).webp".into(),
                "files/a_b_.tar.gz".into(),
                format!("files/file_2{stamp}.unknown"),
                "stickers/file_3.tgs".into(),
                "contacts/contact_1.vcard".into(),
                "files/a_b_ (1).tar.gz".into(),
            ]
        );
    }

    #[test]
    fn imported_files_keep_their_names_inside_the_chat() {
        let mut one = media(MediaRole::Photo, "1", "image/jpeg", None);
        one.exported_as = Some("chats/chat_07/photos/photo_9@x.jpg".into());
        let mut two = media(MediaRole::Photo, "2", "image/jpeg", None);
        two.exported_as = Some("../../etc/passwd".into());
        assert_eq!(names(vec![("{}", vec![one]), ("{}", vec![two])]), ["photos/photo_9@x.jpg", "photos/photo_2@01-01-1970_00-00-00.jpg"]);
    }

    #[test]
    fn names_cannot_leave_their_folder_or_grow_without_bound() {
        for (name, clean) in [("..", ".._"), ("", "_"), ("a\u{202E}gpj.exe", "a_gpj.exe"), ("x ", "x _"), ("a\nb", "a_b")] {
            assert_eq!(sanitise(name), clean);
        }
        let long = sanitise(&format!("{}.jpeg", "é".repeat(400)));
        assert!(long.len() <= MAX_NAME_BYTES && long.ends_with("é.jpeg"), "{long}");
    }

    #[test]
    fn chat_folders_are_padded_to_the_last_ones_width() {
        assert_eq!(chat_folder(1, 10), "chats/chat_1/");
        assert_eq!(chat_folder(10, 10), "chats/chat_10/");
        assert_eq!(chat_folder(1, 11), "chats/chat_01/");
        assert_eq!(chat_folder(1, 1), "chats/chat_1/");
    }
}
